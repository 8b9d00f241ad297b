"""Bones in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture(scope="module")
def viewer(fit: Callable[..., Path], photo: Path, serve: Callable[[Path], Any], tmp_path_factory: Any) -> Any:
    return serve(fit(photo, tmp_path_factory.mktemp("boned")))


def test_bones_are_drawn_and_posed_by_dragging(viewer: Any, visit: Callable[[Any], Any]) -> None:
    page = visit(viewer)
    page.tab("Bones")
    page.press("root", "Bones")
    page.says("Click where the first bone starts")
    page.page.mouse.click(300, 425)
    page.says("Drag out of a joint")
    page.drag((300, 425), (400, 400), (480, 380))
    page.says("1 bone.")
    page.drag((480, 380), (560, 400), (660, 425))
    page.says("2 bones.")
    page.press("pose", "Bones")
    page.says("Drag the joints.")
    page.page.mouse.move(660, 395)
    page.page.wait_for_timeout(500)
    page.drag((660, 395), (660, 365), (660, 335))  # the green arrow of the last joint
    page.tab("Files")
    page.type("Name", "boned")
    page.press("script", "Save")
    page.says("Saved boned.yaml")
    (edit,) = yaml.safe_load((viewer.edits / "boned.yaml").read_text())["edits"]
    rig = edit["rig"]
    assert rig["bones"] == {"bone 1": ["joint 1", "joint 2"], "bone 2": ["joint 2", "joint 3"]}
    first, second, third = (rig["joints"][f"joint {number}"] for number in (1, 2, 3))
    assert first[0] < second[0] < third[0] and second[1] < first[1]
    assert 5 < rig["pose"]["bone 2"] < 60, "the end went up"
    page.tab("Move")
    page.press("undo", "Steps")
    page.tab("Files")
    page.type("Name", "unposed")
    page.press("script", "Save")
    page.says("Saved unposed.yaml")
    (edit,) = yaml.safe_load((viewer.edits / "unposed.yaml").read_text())["edits"]
    assert not edit["rig"].get("pose") and len(edit["rig"]["bones"]) == 2
