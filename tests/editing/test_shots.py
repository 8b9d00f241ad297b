"""Frames: drawn, laid over what is behind, and written."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gainer_ns.editing.backdrops import BackgroundPlate, UniformBackdrop
from gainer_ns.editing.backgrounds import Background
from gainer_ns.editing.shots import Camera, Shot, check_frame, write_film
from gainer_ns.editing.stage import Stage
from gainer_ns.errors import GainerError
from gainer_ns.rendering.compositing import Raster
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.raster import Crop

BOX = {"box": [10, 10, 30, 30]}
MOVE = {"select": BOX, "mode": "piece", "move": {"by": [25, 0]}}


@dataclass
class CountingBackdrop:
    """A red backdrop that counts how often it was drawn."""

    drawn: list[Crop] = field(default_factory=list)

    def on(self, crop: Crop, width: int, height: int) -> Raster:
        self.drawn.append(crop)
        return UniformBackdrop(torch.tensor([1.0, 0.0, 0.0])).on(crop, width, height)


@pytest.fixture
def moved(landscape: BakedPicture, staged: Callable[..., Stage]) -> Stage:
    """The landscape with a box moved away."""
    return staged(landscape, MOVE)


def behind(stage: Stage, **words: Any) -> BackgroundPlate:
    return BackgroundPlate.of(Background.model_validate(words), stage.picture, stage.hole)


def test_what_is_clear_shows_what_lies_behind(moved: Stage) -> None:
    frame = Camera(behind(moved, color=[255, 0, 128])).draw(moved.at(1.0))
    torch.testing.assert_close(frame.colours[12:28, 12:28], torch.tensor([1, 0, 128 / 255]).expand(16, 16, 3))
    assert bool((frame.opacity == 1).all())
    frame = Camera(behind(moved, transparent=True)).draw(moved.at(1.0))
    assert not bool(frame.opacity[12:28, 12:28].any()) and not bool(frame.colours[12:28, 12:28].any())


def test_a_picture_behind_covers_all(moved: Stage, tmp_path: Path) -> None:
    Image.new("RGB", (7, 9), (0, 200, 0)).save(tmp_path / "green.png")
    frame = Camera(behind(moved, image=tmp_path / "green.png")).draw(moved.at(1.0))
    assert bool((frame.opacity == 1).all())
    assert (frame.colours[12:28, 12:28] - torch.tensor([0, 200 / 255, 0])).abs().max() < 2 / 255


@pytest.mark.parametrize(
    ("scale", "crop", "says"), [(0.0, None, "scale"), (1.0, (3.0, 0.0, 3.0, 9.0), "X0 < X1"), (1e9, None, "lower")]
)
def test_sizes_that_cannot_be_drawn_are_refused_beforehand(
    scale: float, crop: Crop | None, says: str, landscape: BakedPicture
) -> None:
    with pytest.raises(GainerError, match=says):
        check_frame(landscape, scale, crop)
    with pytest.raises(GainerError, match=says):
        Camera(BackgroundPlate(CountingBackdrop()), scale, crop).draw(landscape)
    check_frame(landscape, 1.0, (100.0, 0.0, 120.0, 9.0))  # things may come there


def test_what_stands_still_is_drawn_once(moved: Stage) -> None:
    backdrop = CountingBackdrop()
    camera = Camera(BackgroundPlate(backdrop), 2.0, (-4.0, 0.0, 60.0, 48.0))
    for t in (0.0, 0.5, 1.0):
        frame = camera.draw(moved.at(t))
        assert frame.opacity.shape == (96, 128)
    assert backdrop.drawn == [(-4.0, 0.0, 60.0, 48.0)]


def test_a_camera_that_follows_moves_by_whole_pixels(landscape: BakedPicture, staged: Callable[..., Stage]) -> None:
    """What it follows stays where it is in the frame, and what stands still passes by without being resampled."""
    backdrop = CountingBackdrop()
    camera = Camera(BackgroundPlate(backdrop), 1.5, (-3.0, 2.0, 64.3, 49.0))
    stage = staged(landscape, {"move": {"by": [20, -10]}})
    still = camera.draw(Shot(stage.at(0.0), (0.0, 0.0)))
    followed = camera.draw(Shot(stage.at(1.0), (20.0, -10.0)))
    picture = slice(4, 63), slice(10, 94)  # inside of its border, which is sharp only while it lies on pixels
    torch.testing.assert_close(followed.colours[picture], still.colours[picture], rtol=0, atol=1e-3)
    assert len(backdrop.drawn) == 2, "drawn anew where the camera has moved"
    camera.draw(Shot(stage.at(1.0), (20.2, -9.8)))
    assert len(backdrop.drawn) == 2, "and not where that is less than half a pixel"
    (left, top, right, bottom), moved = backdrop.drawn
    assert (left, top) == (-3, 2)
    assert [1.5 * (right - left), 1.5 * (bottom - top)] == pytest.approx([101, 70]), "whole pixels"
    assert [1.5 * (new - old) for new, old in zip(moved, backdrop.drawn[0], strict=True)] == pytest.approx(
        [30, -15, 30, -15]
    )


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.7])
def test_a_picture_behind_does_not_shimmer(landscape: BakedPicture, scale: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (72, 96, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    camera = Camera(
        BackgroundPlate.colour_or_image(None, tmp_path / "noise.png", landscape), scale, (10.3, 8.7, 30.8, 29.4)
    )
    nothing_before = replace(landscape, layers=(replace(landscape.only_layer, half_extent=(1e-6, 1e-6)),))
    first = camera.draw(Shot(nothing_before, (0.0, 0.0))).colours
    for pixels in (1, 2, 5):
        moved = camera.draw(Shot(nothing_before, (pixels / scale, -pixels / scale))).colours
        assert moved.shape == first.shape
        torch.testing.assert_close(moved[pixels:, :-pixels], first[:-pixels, pixels:], rtol=0, atol=1e-4)


def test_all_frames_of_a_moving_camera_have_one_size(landscape: BakedPicture, tmp_path: Path) -> None:
    """Also where the crop is so many pixels and a half."""
    camera = Camera(BackgroundPlate(CountingBackdrop()), 1.0, (0.1, 0.2, 20.6, 15.7))
    shots = [Shot(landscape, (0.1 * number, 3.7 * number)) for number in range(9)]
    write_film(tmp_path / "film", map(camera.draw, shots), frames=9)
    sizes = {Image.open(path).size for path in (tmp_path / "film").iterdir()}
    assert len(sizes) == 1


def test_an_interrupted_film_can_be_kept(moved: Stage, tmp_path: Path) -> None:
    def pictures() -> Any:
        yield moved.at(0.0)
        raise KeyboardInterrupt

    camera = Camera(behind(moved, color=[0, 0, 0]))
    with pytest.raises(KeyboardInterrupt):
        write_film(tmp_path / "lost", map(camera.draw, pictures()), frames=5)
    with pytest.raises(KeyboardInterrupt):
        write_film(tmp_path / "kept", map(camera.draw, pictures()), frames=5, keep_interrupted=True)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")] == ["kept/frame_00000.png"]


def test_a_hole_is_painted_from_around_it(moved: Stage, landscape: BakedPicture) -> None:
    """What was cut out does not shine through, and what is nobody's is filled as well."""
    rgb, _ = landscape.raster()
    frame = Camera(behind(moved, inpaint="telea")).draw(moved.at(1.0))
    assert float(frame.opacity.min()) > 0.999
    torch.testing.assert_close(frame.colours[:6], rgb[:6], rtol=0, atol=1e-3)
    around = rgb[4:36, 4:36].reshape(-1, 3)
    hole = frame.colours[12:28, 12:28]
    assert bool((hole >= around.amin(dim=0) - 0.01).all() and (hole <= around.amax(dim=0) + 0.01).all())


def test_beyond_the_picture_is_painted_too(landscape: BakedPicture, staged: Callable[..., Stage]) -> None:
    stage = staged(landscape, {"move": {"by": [16, 0]}})
    frame = Camera(behind(stage, inpaint="telea")).draw(stage.at(1.0))
    assert float(frame.opacity.min()) > 0.999 and bool(frame.colours[:, :14].any())


def test_a_cut_out_is_not_painted_around(cutout: BakedPicture, staged: Callable[..., Stage]) -> None:
    stage = staged(cutout, {"select": {"box": [18, 18, 26, 26]}, "mode": "piece", "move": {"by": [0, 25]}})
    frame = Camera(behind(stage, inpaint="telea")).draw(stage.at(1.0))
    assert not bool(frame.opacity[:5].any()), "its surroundings stay clear"
    assert float(frame.opacity[19:25, 19:25].min()) > 0.99, "its hole is filled"


def test_where_nothing_is_left_nothing_can_be_painted(landscape: BakedPicture) -> None:
    with pytest.raises(GainerError, match="nothing is left"):
        BackgroundPlate.of(
            Background.model_validate({"inpaint": "telea"}), landscape, lambda: torch.ones(48, 64, dtype=torch.bool)
        )


@pytest.mark.parametrize(("colour", "image"), [((300.0, 0.0, 0.0), None), ((0.0, 0.0, 0.0), Path("sea.png"))])
def test_what_cannot_lie_behind_is_refused(
    colour: tuple[float, float, float], image: Path | None, landscape: BakedPicture
) -> None:
    with pytest.raises(GainerError, match="background"):
        BackgroundPlate.colour_or_image(colour, image, landscape)


def test_frames_are_written_with_what_they_need(moved: Stage, landscape: BakedPicture, tmp_path: Path) -> None:
    said: list[float] = []
    camera = Camera(behind(moved, transparent=True))
    pictures = (moved.at(t) for t in (0.0, 1.0))
    size = write_film(tmp_path / "frames", map(camera.draw, pictures), frames=2, progress=said.append)
    assert size == (64, 48) and said == [0.5, 1.0]
    modes = [Image.open(path).mode for path in sorted((tmp_path / "frames").iterdir())]
    assert modes[1] == "RGBA"
    first = np.asarray(Image.open(tmp_path / "frames" / "frame_00000.png").convert("RGB"))
    np.testing.assert_allclose(first, 255 * landscape.raster()[0].numpy(), atol=1)


def test_nothing_is_left_where_a_frame_fails(moved: Stage, tmp_path: Path) -> None:
    def pictures() -> Any:
        yield moved.at(0.0)
        raise GainerError("corners: they fold")

    with pytest.raises(GainerError, match="fold"):
        write_film(tmp_path / "film.mp4", map(Camera(behind(moved, color=[0, 0, 0])).draw, pictures()), frames=5)
    camera = replace(Camera(behind(moved, transparent=True)), crop=(100.0, 0.0, 100.0, 10.0))
    with pytest.raises(GainerError, match="X0 < X1"):
        write_film(tmp_path / "out.png", [camera.draw(moved.at(1.0))], frames=1)
    assert not list(tmp_path.iterdir())


def test_colours_are_not_darkened_along_soft_edges(
    fitted: Callable[..., BakedPicture], staged: Callable[..., Stage]
) -> None:
    """White over white stays white, wherever an edge runs."""
    white: Tensor = torch.ones(48, 64, 3)
    stage = staged(fitted(white), {"select": BOX, "rotate": {"degrees": 33}})
    frame = Camera(behind(stage, color=[255, 255, 255])).draw(stage.at(1.0))
    assert float(frame.colours.min()) > 1 - 1 / 255


@pytest.mark.parametrize("by", [5, 4000])
def test_a_film_of_nothing_is_told_of(
    by: float, landscape: BakedPicture, staged: Callable[..., Stage], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stage = staged(landscape, {"move": {"by": [by, 0]}})
    write_film(tmp_path / "out.png", [Camera(behind(stage, transparent=True)).draw(stage.at(1.0))], frames=1)
    assert ("nothing shows in it" in caplog.text) == (by == 4000)
