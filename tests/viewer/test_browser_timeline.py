"""Keyframes and films in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import pytest
import yaml


@pytest.fixture(scope="module")
def viewer(fit: Callable[..., Path], photo: Path, serve: Callable[[Path], Any], tmp_path_factory: Any) -> Any:
    return serve(fit(photo, tmp_path_factory.mktemp("timed")))


def test_keyframes_are_set_played_and_saved(viewer: Any, visit: Callable[[Any], Any]) -> None:
    page = visit(viewer)
    page.select()
    page.tab("Move")
    page.type("Turn, deg", 20)
    page.says("rotate")
    page.tab("Film")
    page.says("as without keyframes")
    page.type("Time", 0.5)
    page.says("Keyframes: 0: 0 · 1: 1")
    page.type("Amount", -0.5)
    page.press("set", "Keyframe")
    page.says("A keyframe at 0.5.")
    page.says("0: 0 · 0.5: -0.5 · 1: 1")
    page.type("Time", 0.75)
    page.type("Amount", 2)
    page.press("set", "Keyframe")
    page.says("A keyframe at 0.75.")
    page.press("previous", "Go to")
    page.press("remove", "Keyframe")
    page.says("No keyframe at 0.5.")
    page.tab("Move")
    page.press("undo", "Steps")
    page.says("1 edits.")
    page.tab("Film")
    page.says("0: 0 · 0.5: -0.5 · 0.75: 2 · 1: 1")
    page.type("Onion skin", 2)
    page.type("Frames", 10)
    page.press("play", "Film")
    page.says("Played.")
    page.tab("Files")
    page.type("Name", "timed")
    page.press("film", "Save")
    page.says("Saved timed.mp4")
    assert len(iio.imread(viewer.edits / "timed.mp4", plugin="pyav")) == 10
    page.press("script", "Save")
    page.says("Saved timed.yaml")
    script = yaml.safe_load((viewer.edits / "timed.yaml").read_text())
    assert script["frames"] == 10
    (edit,) = script["edits"]
    assert edit["keyframes"] == {0.0: 0.0, 0.5: -0.5, 0.75: 2.0, 1.0: 1.0} and edit["rotate"]["degrees"] == 20
