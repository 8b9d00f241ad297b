"""The panel in a real browser: what a person does, sees and saves."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from gainer_ns.cli.main import entrypoint

Visit = Callable[[Any], Any]


@pytest.fixture(scope="module")
def viewer(fit: Callable[..., Path], photo: Path, serve: Callable[[Path], Any], tmp_path_factory: Any) -> Any:
    """ns-viewer on a photograph of 96 x 64 pixels."""
    return serve(fit(photo, tmp_path_factory.mktemp("viewed")))


@pytest.fixture(autouse=True)
def _fresh(viewer: Any, visit: Visit) -> None:
    """Leaves nothing of what was done before."""
    page = visit(viewer)
    page.tab("Move")
    page.press("reset", "Steps")
    page.says("0 edits.")
    page.tab("Select")
    page.press("clear", "Selection")
    page.says("Nothing is selected.")
    page.page.context.close()


def gainer(*words: object) -> None:
    entrypoint([str(word) for word in words])


def samples(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGBA")).astype(float)


def on_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:] / 255
    return rgba[..., :3] * alpha + 255 * (1 - alpha)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(max(np.square((one - other) / 255).mean(), 1e-20)))


def as_seen(page: np.ndarray) -> np.ndarray:
    """The page's picture of 96 x 64 pixels, which fills 960 x 640 of the canvas, at its own size."""
    top = (page.shape[0] - 640) // 2
    return page[top : top + 640, :960].reshape(64, 10, 96, 10, 3).mean(axis=(1, 3))


def test_the_first_view_is_the_picture(viewer: Any, visit: Visit, photo: Path) -> None:
    page = visit(viewer).picture()
    assert psnr(as_seen(page), on_white(samples(photo))) > 24, "as sharp as a JPEG of 512 pixels shows it"
    top = (page.shape[0] - 640) // 2
    assert (page[10 : top - 3, 100:900] > 240).all(), "nothing but the background is over it"
    assert (page[top + 3 : top + 9] < 250).any(), "it begins there"


def test_what_is_edited_by_hand_is_what_gainer_edit_draws(
    viewer: Any, visit: Visit, photo: Path, tmp_path: Path
) -> None:
    page = visit(viewer)
    page.select()
    unmoved = page.picture()
    page.tab("Move")
    page.type("Bend, deg", 30)
    page.says("bend")
    page.drag((560, 425), (600, 425), (640, 425))  # the red arrow of the gizmo
    page.says("bend, move")
    page.press("Next edit")
    page.type("Scale", 0.8)
    page.says("scale")
    page.press("undo", "Steps")
    page.says("1 edits.")
    page.tab("Select")
    page.press("clear", "Selection")
    page.says("Nothing is selected.")
    seen = page.picture()
    page.tab("Files")
    page.type("Name", "by hand")
    page.press("script", "Save")
    page.says("by hand.yaml")
    page.press("PNG", "Save")
    page.says("by hand.png")

    script = yaml.safe_load((viewer.edits / "by hand.yaml").read_text())
    (edit,) = script["edits"]
    assert edit["bend"]["degrees"] == 30
    right, down = edit["move"]["by"]
    assert 5 < right < 11 and abs(down) < 0.5, "80 pixels of the page are 8 of the picture"
    config = viewer.run / "config.yml"
    gainer("edit", "--load-config", config, "--script", viewer.edits / "by hand.yaml", "--output", tmp_path / "a.png")
    drawn = samples(tmp_path / "a.png")
    assert psnr(samples(viewer.edits / "by hand.png"), drawn) > 60
    changed = np.abs(on_white(drawn) - on_white(samples(photo))).max(axis=2) > 40
    right, wrong = (np.abs(as_seen(page) - on_white(drawn))[changed].mean() for page in (seen, unmoved))
    assert changed.sum() > 200 and right < 0.35 * wrong, "the page shows the edit"


def test_films_are_played_and_scripts_are_loaded(viewer: Any, visit: Visit) -> None:
    edits = [{"select": {"box": [10, 10, 60, 50]}, "move": {"by": [30, 0]}}]
    viewer.edits.mkdir(exist_ok=True)
    (viewer.edits / "slide.yaml").write_text(yaml.safe_dump({"edits": edits}))
    page = visit(viewer)
    page.tab("Files")
    page.press("look again", "Script")
    page.says("Looked for scripts.")
    page.choose("Scripts", "slide")
    page.press("load", "Script")
    page.says("Loaded 1 edits.")
    after = page.picture()
    page.tab("Film")
    page.type("Time", 0)
    before = page.picture()
    assert psnr(before, after) < 25
    page.press("play", "Film")
    page.says("Played.")
    assert psnr(page.picture(), after) > 28
    page.tab("Move")
    page.press("reset", "Steps")
    page.says("0 edits.")
    assert psnr(page.picture(), before) > 28


def test_mistakes_are_said_in_the_panel(viewer: Any, visit: Visit, tmp_path: Path) -> None:
    page = visit(viewer)
    page.tab("Select")
    page.press("clear", "Selection")
    page.tab("Move")
    page.type("Bend, deg", 12)
    page.says("nothing is selected")
    page.tab("Select")
    page.press("grow", "Border")
    page.says("nothing is selected")
    page.tab("Files")
    page.type("Name", "../../out")
    page.press("script", "Save")
    page.says("is no name for a file")
    assert not list(viewer.run.parent.glob("out*"))
    for text, complaint in (
        ("edits: [", "is not valid YAML"),
        ("edits: [{bend: {degrees: x}}]", "must be a number"),
        ("edits: [{rotate: {degrees: 5}}]\nbackground: {image: /etc/passwd}", "may name files of the run"),
    ):
        script = tmp_path / f"{len(text)}.yaml"  # a browser takes no notice of the same file again
        script.write_text(text)
        page.page.set_input_files("input[type=file]", script)
        page.says(complaint)
    assert not (viewer.edits / "uploaded.yaml").exists()


def test_two_tabs_see_the_same_and_one_may_be_closed_in_the_middle(viewer: Any, visit: Visit) -> None:
    one, other = visit(viewer), visit(viewer)
    one.select()
    other.tab("Move")
    mouse = one.page.mouse
    mouse.move(560, 425)
    mouse.down()
    mouse.move(620, 425, steps=4)
    one.page.context.close()
    time.sleep(1)
    other.type("Twirl, deg", 40)
    other.says("twirl")
    other.press("reset", "Steps")
    other.says("0 edits.")


def test_looking_from_behind_and_from_near(viewer: Any, visit: Visit) -> None:
    page = visit(viewer)
    front = as_seen(page.picture())
    page.page.mouse.move(480, 400)
    for _ in range(12):
        page.page.mouse.wheel(0, -300)
    near = page.picture()
    assert near.std() > 10 and psnr(as_seen(near), front) < 25, "larger"
    page.press("Frame the picture")
    assert psnr(as_seen(page.picture()), front) > 30


def test_objects_polygons_points_and_overlays(viewer: Any, visit: Visit) -> None:
    page = visit(viewer)
    plain = page.picture()
    for overlay in ("Gaussians", "errors", "mask"):
        page.choose("Show", overlay)
        assert np.abs(page.picture() - plain).mean() > 0.5, overlay
    page.choose("Show", "nothing")
    page.choose("Pointer", "object")
    page.says("Click on an object")
    page.page.mouse.click(275, 240)
    page.says("Selected.")
    assert list(viewer.edits.glob("mask_*.png"))
    page.choose("Pointer", "polygon")
    page.says("Click the corners")
    for number, corner in enumerate(((300, 300), (660, 300), (660, 560), (300, 560)), start=1):
        page.page.mouse.click(*corner)
        page.says(f"{number} corners.")
    page.press("Close polygon")
    page.says("Selected.")
    page.tab("Move")
    for what, place in (("pin", (330, 530)), ("drag", (480, 430))):
        page.press(what, "Points")
        page.says("Click what is to stay" if what == "pin" else "Click where the point")
        page.page.mouse.click(*place)
        time.sleep(1)
    page.type("Wave, px", 3)
    page.says("wave")
    page.drag((510, 430), (550, 430), (590, 430))  # the red arrow of the point, or of the gizmo under it
    page.says("move|drag")
    page.tab("Files")
    page.type("Name", "points")
    page.press("film", "Save")
    page.says("Saved points")
    assert len(list((viewer.edits / "points").glob("*.png"))) == 24
