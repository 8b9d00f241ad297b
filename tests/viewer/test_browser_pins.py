"""Pins in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture(scope="module")
def viewer(fit: Callable[..., Path], photo: Path, serve: Callable[[Path], Any], tmp_path_factory: Any) -> Any:
    return serve(fit(photo, tmp_path_factory.mktemp("pinned")))


def test_pins_are_clicked_and_dragged(viewer: Any, visit: Callable[[Any], Any]) -> None:
    page = visit(viewer)
    page.tab("Pins")
    page.press("place", "Pins")
    page.says("Click where pins are to be")
    for number, place in enumerate(((300, 425), (660, 425)), start=1):
        page.page.mouse.click(*place)
        page.says(f"{number} pins.")
    page.press("done", "Pins")
    page.says("Drag the pins.")
    page.type("Stiffness, px", 6)
    page.page.mouse.move(690, 425)
    page.page.wait_for_timeout(500)
    page.drag((690, 425), (720, 425), (750, 425))  # the red arrow of the second
    page.tab("Files")
    page.type("Name", "pinned")
    page.press("script", "Save")
    page.says("Saved pinned.yaml")
    (edit,) = yaml.safe_load((viewer.edits / "pinned.yaml").read_text())["edits"]
    first, second = edit["pins"]["pins"] if isinstance(edit["pins"], dict) else edit["pins"]
    assert "to" not in first and second["stiffness"] == 6
    assert 2 < second["to"][0] - second["at"][0] < 12 and abs(second["to"][1] - second["at"][1]) < 1
