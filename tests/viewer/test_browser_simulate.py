"""A picture that is let go and pulled at in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

PATIENCE = 60
"""Seconds."""


@pytest.fixture(scope="module")
def viewer(fit: Callable[..., Path], photo: Path, serve: Callable[[Path], Any], tmp_path_factory: Any) -> Any:
    return serve(fit(photo, tmp_path_factory.mktemp("let go")))


def test_a_picture_is_pulled_by_the_mouse_and_saved_as_a_scene(viewer: Any, visit: Callable[[Any], Any]) -> None:
    page = visit(viewer)
    page.picture()
    before = page.sent
    page.tab("Simulate")
    page.type("Particles", 200)
    page.type("Gravity", 0)
    page.press("start", "Simulation")
    page.says("Click where the hand is to be")
    page.press("pin", "Hand")
    page.says("Click what is to stay")
    page.page.mouse.click(200, 425)
    page.says("1 pins.")
    page.press("pull", "Hand")
    page.says("Click where the hand is to be")
    page.page.mouse.click(600, 425)
    page.page.wait_for_timeout(2500)  # until the handle is there, on a machine with other work
    page.drag((600, 425), (640, 405), (680, 385), (720, 365))
    for _ in range(4 * PATIENCE):  # it goes on swinging, and never comes to rest
        page.page.wait_for_timeout(250)
        if np.abs(page.sent - before).mean() > 3:
            break
    else:
        pytest.fail("nothing has moved")
    page.page.wait_for_timeout(1500)  # until all of the drag has been taken in, on a machine with other work
    page.type("Simulation name", "pulled")
    page.press("scene", "Keep")
    page.says("Saved pulled.scene.yaml")
    scene = yaml.safe_load((viewer.edits / "pulled.scene.yaml").read_text())
    pin, pull = scene["pulls"]
    assert "to" not in pin and "until" not in pin
    (first, *_, last) = [pull["to"][time] for time in sorted(pull["to"])]
    assert np.allclose(pull["at"], (0.625, 0.345), atol=0.02), "960 pixels of the page are its width"
    assert np.allclose(np.subtract(last, first), (0.125, -0.0625), atol=0.02)
    assert pull["until"] > pull["from"], "it is let go with the button"
    page.press("stop", "Simulation")
    page.until(lambda seen: np.abs(page.sent - before).mean() < 1, "as it was")
