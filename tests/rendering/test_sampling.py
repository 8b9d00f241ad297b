"""Pictures read clamped or nearest between their pixels: line art without ringing, pixel art with square pixels."""

import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float
from torch import Tensor

import gainer_ns as gn
from gainer_ns.errors import GainerError
from gainer_ns.gaussians.footprints import PixelExtent
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture

MakePicture = Callable[..., BakedPicture]


def line_art(width: int = 60, height: int = 44) -> np.ndarray:
    """Black, red and blue lines and discs on white, without a gray pixel."""
    art = np.full((height, width, 3), 255, np.uint8)
    cv2.line(art, (5, 4), (50, 38), (0, 0, 0), 1)
    cv2.line(art, (2, 40), (57, 22), (255, 0, 0), 3)
    cv2.circle(art, (34, 16), 9, (0, 0, 255), 2)
    cv2.rectangle(art, (8, 20), (20, 34), (0, 0, 0), -1)
    return art


@pytest.fixture(scope="module")
def drawing() -> gn.Picture:
    """The line art, fitted."""
    return gn.fit(line_art())


@pytest.fixture(scope="module")
def cut_out() -> gn.Picture:
    """The same, clear around a disc."""
    y, x = np.mgrid[:44, :60] + 0.5
    inside = ((x - 30) ** 2 + (y - 22) ** 2 < 18**2) * np.uint8(255)
    return gn.fit(np.dstack((line_art(), inside)))


def own_pixels(picture: gn.Picture) -> Float[Tensor, "h w 4"]:
    """Return what the picture shows at its pixels' centres, not clamped: colours and opacity."""
    plane = picture.plane
    drawn = baked(picture).at(plane.pixel_centres(torch.arange(plane.pixels)))
    return torch.cat(drawn, dim=1).view(plane.height, plane.width, 4)


def between_centres(pixels: Float[Tensor, "m 2"]) -> Float[Tensor, "k 2"]:
    """Return those of points that are not on a line through centres, where rounding says which four are around."""
    apart = (pixels - 0.5 - (pixels - 0.5).round()).abs() > 0.002
    return pixels[apart.all(dim=1)]


def baked(picture: gn.Picture) -> BakedPicture:
    """Return what is drawn."""
    assert isinstance(picture._drawn, BakedPicture)
    return picture._drawn


def some_pixels(picture: gn.Picture, count: int = 400, seed: int = 0) -> Float[Tensor, "m 2"]:
    """Return points in the picture's frame, in pixels."""
    random = torch.Generator().manual_seed(seed)
    return torch.rand(count, 2, generator=random).double() * torch.tensor([picture.width, picture.height])


@pytest.mark.parametrize("way", ["smooth", "clamped", "nearest"])
def test_at_scale_1_each_is_the_picture(way: str, drawing: gn.Picture, cut_out: gn.Picture) -> None:
    np.testing.assert_array_equal(drawing.render(sampling=way), line_art())  # pyright: ignore[reportArgumentType]
    np.testing.assert_array_equal(
        cut_out.render(sampling=way),  # pyright: ignore[reportArgumentType]
        cut_out.render(),
    )


@pytest.mark.parametrize("scale", [2, 3, 7])
def test_nearest_keeps_pixels_square(scale: int, drawing: gn.Picture) -> None:
    expected = np.kron(line_art(), np.ones((scale, scale, 1), np.uint8))
    np.testing.assert_array_equal(drawing.render(scale=scale, sampling="nearest"), expected)


@given(st.floats(0.3, 4.0), st.floats(-180, 180), st.integers(0, 2**31))
def test_edited_nearest_is_the_pixel_in_which_a_point_lay(factor: float, degrees: float, seed: int) -> None:
    """An edit that enlarges and turns, against the formula; what shrinks is averaged, and not looked at here."""
    picture = gn.fit(line_art())
    factor = max(factor, 1.0)
    edited = picture.sampled("nearest").edit([{"scale": {"factor": factor}}, {"rotate": {"degrees": degrees}}])
    pixels = some_pixels(picture, 200, seed)
    drawn = baked(edited).at_pixels(pixels)
    centre, turn = torch.tensor([30.0, 22.0]).double(), math.radians(degrees)
    back = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]).double()
    places = (pixels - centre) @ back.T / factor + centre
    inside = ((places > 0.6) & (places < torch.tensor([59.4, 43.4]))).all(dim=1)
    inside &= ((places - places.round()).abs() > 0.01).all(dim=1)  # not between two
    column, row = places[inside].floor().long().unbind(1)
    torch.testing.assert_close(drawn.rgb[inside], own_pixels(picture)[row, column, :3], atol=1e-5, rtol=0)


def test_clamped_is_smooth_within_the_range_of_four_pixels(drawing: gn.Picture, cut_out: gn.Picture) -> None:
    for picture in (drawing, cut_out):
        pixels, own = between_centres(some_pixels(picture, 3000)), own_pixels(picture)
        pixels = pixels[((pixels > 0.5) & (pixels < torch.tensor([59.5, 43.5]))).all(dim=1)]
        smooth = baked(picture).at_pixels(pixels)
        column, row = (pixels - 0.5).floor().long().unbind(1)
        around = torch.stack([own[row + down, column + across] for across in (0, 1) for down in (0, 1)])
        shown = around[..., 3:] > 0
        low = torch.where(shown, around[..., :3], torch.inf).amin(dim=0)
        high = torch.where(shown, around[..., :3], -torch.inf).amax(dim=0)
        counted = shown.any(dim=0)[:, 0]
        alpha = smooth.alpha.clamp(around[..., 3:].amin(dim=0), around[..., 3:].amax(dim=0))
        drawn = baked(picture.sampled("clamped")).at_pixels(pixels)
        torch.testing.assert_close(drawn.alpha, alpha, atol=1e-5, rtol=0)
        seen = counted & (alpha[:, 0] > 0)
        expected = smooth.rgb[seen].minimum(high[seen]).maximum(low[seen])
        torch.testing.assert_close(drawn.rgb[seen], expected, atol=1e-5, rtol=0)
        assert float((smooth.rgb[seen] - expected).abs().amax()) > 0.05  # it rings


@pytest.mark.parametrize("way", ["clamped", "nearest"])
def test_other_pictures_are_read_of_their_pixels(way: str, picture: MakePicture) -> None:
    """A decoder that is no matrix, and Gaussians that stand on no lattice: the same, of what is drawn at the pixels."""
    for baked_picture in (picture(24, 18, num_neighbours=21), picture(24, 18, jitter=0.3)):
        plane = baked_picture.plane
        sampled = baked_picture.sampled(way)  # pyright: ignore[reportArgumentType]
        at_rest, expected = sampled.raster()[0], baked_picture.raster()[0]
        torch.testing.assert_close(at_rest, expected, atol=1e-5, rtol=0)
        own = baked_picture.at(plane.pixel_centres(torch.arange(plane.pixels))).rgb.view(18, 24, 3)
        pixels = between_centres(torch.rand(500, 2, dtype=torch.float64) * torch.tensor([23.0, 17.0]) + 0.5)
        drawn = sampled.at_pixels(pixels).rgb
        if way == "nearest":
            column, row = pixels.floor().long().unbind(1)
            torch.testing.assert_close(drawn, own[row, column], atol=1e-5, rtol=0)
            continue
        column, row = (pixels - 0.5).floor().long().unbind(1)
        around = torch.stack([own[row + down, column + across] for across in (0, 1) for down in (0, 1)])
        expected = baked_picture.at_pixels(pixels).rgb.minimum(around.amax(dim=0)).maximum(around.amin(dim=0))
        torch.testing.assert_close(drawn, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("way", ["smooth", "clamped", "nearest"])
@pytest.mark.parametrize("shrink", [1.3, 2, 4, 5])
def test_shrunk_it_is_an_average(way: str, shrink: float, drawing: gn.Picture) -> None:
    sampled = baked(drawing.sampled(way))  # pyright: ignore[reportArgumentType]
    drawn = sampled.raster(1 / shrink)[0][1:-1, 1:-1]
    height, width = round(44 / shrink), round(60 / shrink)
    y, x = torch.meshgrid(torch.arange(16 * height) + 0.5, torch.arange(16 * width) + 0.5, indexing="ij")
    samples = torch.stack([x * (60 / width / 16), y * (44 / height / 16)], dim=2).view(-1, 2)
    means = sampled.at_pixels(samples).rgb.view(height, 16, width, 16, 3).mean(dim=(1, 3)).clamp(0, 1)
    # Squares that lie across a pixel's border are weighed by the samples in them.
    assert float((drawn - means[1:-1, 1:-1]).square().mean().sqrt()) < (0.06 if way == "nearest" else 0.03)


def test_films_layers_and_stored_pictures_are_read_so(drawing: gn.Picture, tmp_path: Path) -> None:
    drawing.save(tmp_path / "drawing.safetensors")
    quarter = {"edits": [{"rotate": {"degrees": 90}}], "frames": 2, "canvas": [0, 0, 60, 44]}
    first, last = gn.load(tmp_path / "drawing.safetensors").sampled("nearest").frames(quarter, scale=3)
    np.testing.assert_array_equal(first[..., :3], np.kron(line_art(), np.ones((3, 3, 1), np.uint8)))
    turned = np.kron(np.rot90(line_art()), np.ones((3, 3, 1), np.uint8))
    np.testing.assert_array_equal(last[..., :3][3:-3, 30:-30], turned[27:-27][:, 6:-6])


def test_what_cannot_be_read_so_is_refused(drawing: gn.Picture, tmp_path: Path) -> None:
    with pytest.raises(GainerError, match="sampling 'square': choose from smooth, clamped, nearest"):
        drawing.sampled("square")  # pyright: ignore[reportArgumentType]
    with pytest.raises(GainerError, match="leave scale, crop and sampling out"):
        drawing.save(tmp_path / "drawing.safetensors", sampling="nearest")


@pytest.mark.parametrize("way", ["smooth", "nearest"])
def test_far_and_broken_points_show_nothing(way: str, drawing: gn.Picture) -> None:
    layer = baked(drawing.sampled(way)).only_layer  # pyright: ignore[reportArgumentType]
    far = torch.tensor([[3.0, 0.0], [1e6, 1e6], [math.nan, 0.0], [math.inf, -math.inf]])
    for read in (layer.at(far, PixelExtent(0.2, 1 / 60)), layer.read(far[:2], PixelExtent(0.2, 1 / 60))):
        assert not read.rgb.any() and not read.alpha.any()


def test_a_way_of_its_own_does_not_stay_with_other_layers(picture: MakePicture) -> None:
    one = picture().only_layer
    assert isinstance(one, Layer) and one.way == "smooth"
    plane = picture().plane
    assert one.sampled("nearest", plane).way == "nearest"
    assert one.sampled("nearest", plane).sampled("smooth", plane).way == "smooth"


@pytest.mark.parametrize("way", ["smooth", "clamped", "nearest"])
@pytest.mark.parametrize("scale", [0.25, 0.2, 0.11])
def test_much_smaller_pictures_are_opaque_to_their_edge(way: str, scale: float, drawing: gn.Picture) -> None:
    drawn = drawing.render(scale=scale, sampling=way)  # pyright: ignore[reportArgumentType]
    assert drawn.shape[2] == 3
    wider = drawing.render(scale=0.25, crop=(-8, -8, 68, 52), sampling=way)  # pyright: ignore[reportArgumentType]
    assert wider.shape == (15, 19, 4) and (wider[2:-2, 2:-2, 3] == 255).all() and not wider[:2, :, 3].any()


@pytest.mark.parametrize("shrink", [4, 6, 9])
def test_much_smaller_cut_outs_keep_their_area(shrink: int, cut_out: gn.Picture) -> None:
    for drawn in (
        cut_out.render(scale=1 / shrink, dtype="float32"),
        cut_out.edit({"scale": {"factor": 1 / shrink}}).render(dtype="float32"),
    ):
        sides = (60 * 44) / (drawn.shape[0] * drawn.shape[1]) if drawn.shape[1] < 60 else shrink**2
        area = float(drawn[..., 3].sum()) * sides
        assert area == pytest.approx(math.pi * 18**2, rel=0.03)


def test_other_pictures_shrink_by_tables_too(picture: MakePicture) -> None:
    """Gaussians that stand on no lattice, at a tenth: as the average of all their pixels, read as they are."""
    baked_picture = picture(80, 60, jitter=0.3)
    drawn, pixels = baked_picture.raster(0.1)[0], baked_picture.raster(1.0)[0]
    means = pixels.view(6, 10, 8, 10, 3).mean(dim=(1, 3))
    assert float((drawn - means).square().mean().sqrt()) < 0.02
