"""The panel in a real browser: what a person does, sees and saves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from gainer_ns.cli.main import entrypoint

Visit = Callable[[Any], Any]
SENT, SEEN = 24, 15
"""PSNR, in dB, of a picture of 96 pixels as the viewer sends it, a JPEG of 512, and as the canvas shows it at least."""


@pytest.fixture(scope="module")
def viewer(fit: Callable[..., Path], photo: Path, serve: Callable[[Path], Any], tmp_path_factory: Any) -> Any:
    """ns-viewer on a photograph of 96 x 64 pixels."""
    return serve(fit(photo, tmp_path_factory.mktemp("viewed")))


@pytest.fixture
def page(viewer: Any, visit: Visit) -> Any:
    """A page on which nothing is left of what was done before."""
    page = visit(viewer)
    page.tab("Move")
    page.press("reset", "Steps")
    page.says("0 edits.")
    page.tab("Select")
    page.press("clear", "Selection")
    page.says("Nothing is selected.")
    return page


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


def gizmo(page: Any, start: tuple[float, float], *way: tuple[float, float]) -> None:
    """Drags something by the gizmo, and lets it be taken hold of first."""
    page.page.mouse.move(*start)
    page.page.wait_for_timeout(500)
    page.drag(start, *way)


def test_the_first_view_is_the_picture(page: Any, photo: Path) -> None:
    wanted = on_white(samples(photo))
    page.until(
        lambda seen: psnr(as_seen(seen), wanted) > SEEN and psnr(as_seen(page.sent), wanted) > SENT, "it is there"
    )
    top = (page.sent.shape[0] - 640) // 2
    assert (page.sent[10 : top - 4, 100:900] > 235).all(), "nothing but the background is over it"
    assert (page.sent[top + 4 : top + 10, 100:900] < 235).mean() > 0.8, "it begins there"


def test_what_is_edited_by_hand_is_what_gainer_edit_draws(viewer: Any, page: Any, photo: Path, tmp_path: Path) -> None:
    page.select()
    unmoved = page.picture()
    page.tab("Move")
    page.type("Bend, deg", 30)
    page.says("bend")
    gizmo(page, (560, 425), (600, 425), (640, 425))  # its red arrow
    page.says("bend, move")
    page.press("Next edit")
    page.type("Scale", 0.8)
    page.says("scale")
    for step, edits in (("undo", 1), ("redo", 2), ("undo", 1)):
        page.press(step, "Steps")
        page.says(f"{edits} edits.")
    page.tab("Select")
    page.press("clear", "Selection")
    page.says("Nothing is selected.")
    page.tab("Files")
    page.type("Name", "by hand")
    page.press("script", "Save")
    page.says("by hand.yaml")
    page.press("PNG", "Save")
    page.says("by hand.png")
    for kind, suffix in (("script", "yaml"), ("PNG", "png")):
        with page.page.expect_download() as download:
            page.press(kind, "Download")
        assert download.value.suggested_filename == f"by hand.{suffix}"
        assert Path(download.value.path()).read_bytes() == (viewer.edits / f"by hand.{suffix}").read_bytes()

    script = yaml.safe_load((viewer.edits / "by hand.yaml").read_text())
    (edit,) = script["edits"]
    assert edit["bend"]["degrees"] == 30
    right, down = edit["move"]["by"]
    assert 5 < right < 11 and abs(down) < 0.5, "80 pixels of the page are 8 of the picture"
    config = viewer.run / "config.yml"
    gainer("edit", "--load-config", config, "--script", viewer.edits / "by hand.yaml", "--output", tmp_path / "a.png")
    drawn = samples(tmp_path / "a.png")
    assert psnr(samples(viewer.edits / "by hand.png"), drawn) > 60
    assert drawn[..., 3].min() == 0, "the hole keeps its alpha"
    changed = np.abs(on_white(drawn) - on_white(samples(photo))).max(axis=2) > 40
    assert changed.sum() > 200

    def away(seen: np.ndarray) -> float:
        return float(np.abs(as_seen(seen) - on_white(drawn))[changed].mean())

    wrong = away(unmoved)
    page.until(lambda seen: away(page.sent) < 0.35 * wrong and away(seen) < 0.6 * wrong, "the page shows the edit")
    assert psnr(as_seen(page.sent), on_white(drawn)) > SENT - 2, "the borders of what moved are sharp"


def test_what_is_selected_is_scaled_and_turned_by_its_handles(viewer: Any, page: Any) -> None:
    page.select()
    page.tab("Move")
    gizmo(page, (622, 308), (652, 284), (682, 260))  # the square at the corner
    page.says("scale")
    gizmo(page, (533, 372), (520, 362), (500, 352))  # the arc
    page.says("scale, rotate")
    page.tab("Files")
    page.type("Name", "handles")
    page.press("script", "Save")
    page.says("handles.yaml")
    (edit,) = yaml.safe_load((viewer.edits / "handles.yaml").read_text())["edits"]
    assert 1.2 < edit["scale"]["factor"] < 2.2 and 5 < edit["rotate"]["degrees"] < 90


def test_films_are_played_and_scripts_are_loaded(viewer: Any, page: Any) -> None:
    edits = [{"select": {"box": [10, 10, 60, 50]}, "move": {"by": [30, 0]}}]
    viewer.edits.mkdir(exist_ok=True)
    (viewer.edits / "slide.yaml").write_text(yaml.safe_dump({"edits": edits}))
    page.picture()
    fitted = page.sent
    page.tab("Files")
    page.press("look again", "Script")
    page.says("Looked for scripts.")
    page.choose("Scripts", "slide")
    page.press("load", "Script")
    page.says("Loaded 1 edits.")
    page.until(lambda seen: psnr(page.sent, fitted) < 25, "the edit is shown")
    after = page.sent
    page.tab("Film")
    page.type("Time", 0)
    page.until(lambda seen: psnr(page.sent, fitted) > 28, "at first nothing is done")
    page.press("play", "Film")
    page.says("Played.")
    page.until(lambda seen: psnr(page.sent, after) > 28, "at the end all is done")
    page.tab("Move")
    page.press("reset", "Steps")
    page.says("0 edits.")
    page.until(lambda seen: psnr(page.sent, fitted) > 28, "nothing is done")


def test_mistakes_are_said_in_the_panel(viewer: Any, page: Any, tmp_path: Path) -> None:
    viewer.edits.mkdir(exist_ok=True)
    (viewer.edits / "slide.yaml").write_text("edits: [{rotate: {degrees: 5}}]")
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
        ("edits: [{rotate: {degrees: 5}}]\nbackground: {image: /etc/passwd}", "is elsewhere"),
        ("edits: [{select: {mask: ../config.yml}, rotate: {degrees: 5}}]", "is elsewhere"),
        ("edits: [{rotate: {degrees: 5}}]\nlayers: {a: {picture: slide.yaml}}", "is no picture file"),
        ("edits: [{rotate: {degrees: 5}}]\nbackground: {inpaint: {diffusers: x}}", "may not name a model"),
    ):
        script = tmp_path / f"{len(text)}.yaml"  # a browser takes no notice of the same file again
        script.write_text(text)
        page.page.set_input_files("input[type=file]", script)
        page.says(complaint)
    assert not (viewer.edits / "uploaded.yaml").exists()
    good = tmp_path / "good.yaml"
    good.write_text("edits: [{rotate: {degrees: 5}}]")
    page.page.set_input_files("input[type=file]", good)
    page.says("Loaded 1 edits.")


def test_two_tabs_see_the_same_and_one_may_be_closed_in_the_middle(viewer: Any, page: Any, visit: Visit) -> None:
    one, other = page, visit(viewer)
    one.select()
    other.tab("Move")
    mouse = one.page.mouse
    mouse.move(560, 425)
    one.page.wait_for_timeout(500)
    mouse.down()
    mouse.move(620, 425, steps=4)
    other.says("^move$")
    one.page.context.close()
    other.type("Twirl, deg", 40)
    other.says("twirl")
    other.press("reset", "Steps")
    other.says("0 edits.")


def test_looking_from_behind_and_from_near(page: Any) -> None:
    page.picture()
    front = as_seen(page.sent)
    height = page.page.viewport_size["height"] - 51
    page.drag((280, 400), (280 + height / 4, 400))
    page.until(lambda seen: (seen[100:700, 100:440] > 240).mean() > 0.95, "from the side it is a line")
    page.drag((280, 400), (280 + height / 4, 400))
    page.until(lambda seen: psnr(as_seen(page.sent)[:, ::-1], front) > 22, "half a turn shows its back, mirrored")
    page.press("Frame the picture")
    page.until(lambda seen: psnr(as_seen(page.sent), front) > 28, "as it was")
    page.page.mouse.move(480, 400)
    for _ in range(12):
        page.page.mouse.wheel(0, -300)
    page.until(lambda seen: seen.std() > 10 and psnr(as_seen(page.sent), front) < 25, "larger")
    page.press("Frame the picture")
    page.until(lambda seen: psnr(as_seen(page.sent), front) > 28, "as it was")


def test_objects_polygons_points_and_overlays(viewer: Any, page: Any) -> None:
    plain = page.picture()
    for overlay in ("Gaussians", "errors", "mask"):
        page.choose("Show", overlay)
        page.until(lambda seen: np.abs(seen - plain).mean() > 0.5, overlay)
    page.choose("Show", "nothing")
    page.choose("Pointer", "object")
    page.says("Click on an object")
    page.page.mouse.click(275, 240)
    page.says("Region [0-9] of")
    assert list(viewer.edits.glob("mask_*.png"))
    page.choose("Pointer", "polygon")
    page.says("Click the corners")
    for number, corner in enumerate(((300, 300), (660, 300), (660, 560), (300, 560)), start=1):
        page.page.mouse.click(*corner)
        page.says(f"{number} corners.")
    page.press("Close polygon")
    page.says("Selected.")
    page.tab("Move")
    for what, place in (("pin", (330, 530)), ("drag", (400, 400))):
        page.press(what, "Points")
        page.says("Click what is to stay" if what == "pin" else "Click where the point")
        page.page.mouse.click(*place)
        page.says("Drag it|It stays")
    page.type("Wave, px", 3)
    page.says("wave")
    gizmo(page, (428, 400), (450, 400), (480, 400))  # the red arrow of the point
    page.says("drag, wave")
    page.tab("Files")
    page.type("Name", "points")
    page.choose("Film as", "frames in a folder")
    page.press("film", "Save")
    page.says("Saved points")
    assert len(list((viewer.edits / "points").glob("*.png"))) == 24
