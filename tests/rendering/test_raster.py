"""Where the samples of an output picture lie, and that what was squeezed is sampled more finely."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gainer_ns.frames import ImagePlane
from gainer_ns.rendering import drawable
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.raster import RasterGrid

MakePicture = Callable[..., BakedPicture]


def checks(width: int, height: int) -> Tensor:
    """A chessboard of single pixels, black and white: [h * w, 3]."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return ((x + y) % 2).float().view(-1, 1).expand(-1, 3)


def scaled(picture: BakedPicture, across: float, down: float) -> BakedPicture:
    """The picture's Gaussians scaled about the middle."""
    jacobian = torch.diag(torch.tensor([across, down]))
    return picture.with_gaussians(picture.gaussians.transformed(picture.gaussians.means @ jacobian.T, jacobian[None]))


def test_samples_of_a_grid_are_centred() -> None:
    grid = RasterGrid.over(ImagePlane(24, 18), 0.5, None)
    assert (grid.width, grid.height, grid.samples, grid.pixels) == (12, 9, (2, 2), 108)
    points = torch.stack([grid.points(torch.tensor([0, 13]), range(row, row + 1)) for row in (0, 1)], dim=1)
    assert points[0].tolist() == [[[0.5, 0.5], [1.5, 0.5]], [[0.5, 1.5], [1.5, 1.5]]]
    assert points[1].tolist() == [[[2.5, 2.5], [3.5, 2.5]], [[2.5, 3.5], [3.5, 3.5]]]
    both = grid.points(torch.tensor([0, 13]), range(2))
    assert torch.equal(both, points.view(2, 4, 2)), "row by row"


@pytest.mark.parametrize(("scale", "samples"), [(1.0, 1), (2.5, 1), (0.95, 2), (0.5, 2), (0.3, 3)])
def test_axes_hold_the_samples_of_all_pixels(scale: float, samples: int) -> None:
    plane = ImagePlane(24, 18)
    grid = RasterGrid.over(plane, scale, (-2.0, 1.0, 10.0, 13.0))
    x, y = grid.axes(plane, "cpu")
    assert grid.samples == (samples, samples) and len(x) == grid.width * samples
    pixels = torch.arange(grid.pixels)
    expected = plane.plane_from_pixel(grid.points(pixels, range(samples)))
    expected = expected.view(grid.height, grid.width, samples, samples, 2).transpose(1, 2).reshape(-1, len(x), 2)
    torch.testing.assert_close(x.expand(len(y), -1), expected[..., 0].float(), rtol=0, atol=1e-6)
    torch.testing.assert_close(y[:, None].expand(-1, len(x)), expected[..., 1].float(), rtol=0, atol=1e-6)
    assert grid.spacing == pytest.approx((10 + 2) / grid.width / samples)


def test_squeezed_checks_become_grey(picture: MakePicture) -> None:
    """Squeezed three times, each pixel is the mean of the nine that fell into it."""
    source = picture(36, 36, colours=checks(36, 36), hidden_layers=0)
    blocks = source.at(source.plane.pixel_centres(torch.arange(36 * 36))).rgb.view(12, 3, 12, 3, 3).mean(dim=(1, 3))
    rgb, alpha = scaled(source, 1 / 3, 1 / 3).raster()
    inner = rgb[13:23, 13:23]
    torch.testing.assert_close(inner, blocks[1:-1, 1:-1], rtol=0, atol=2e-3)
    assert float((inner - 0.5).abs().max()) < 0.07 and bool((alpha[12:24, 12:24] == 1).all())


@pytest.mark.parametrize("times", [4, 6])
def test_squeezed_stripes_become_their_mean(times: int, picture: MakePicture) -> None:
    stripes = (torch.arange(72) % 2).float().repeat(9)[:, None].expand(-1, 3)
    source = picture(72, 9, colours=stripes, hidden_layers=0)
    rgb, _ = scaled(source, 1 / times, 1.0).raster()
    half = 36 // times - 1
    torch.testing.assert_close(rgb[2:-2, 36 - half : 36 + half], torch.full((5, 2 * half, 3), 0.5), rtol=0, atol=5e-3)


@pytest.mark.parametrize("block", [7, 300])
def test_blocks_change_nothing(block: int, picture: MakePicture, monkeypatch: pytest.MonkeyPatch) -> None:
    squeezed = scaled(picture(24, 18), 1 / 3, 1 / 2)
    expected = squeezed.raster(), squeezed.raster(0.4)
    monkeypatch.setattr(drawable, "BLOCK_POINTS", block)
    for (rgb, alpha), scale in zip(expected, (1.0, 0.4), strict=True):
        found = squeezed.raster(scale)
        torch.testing.assert_close(found[0], rgb, rtol=0, atol=1e-5)
        torch.testing.assert_close(found[1], alpha, rtol=0, atol=1e-5)


@pytest.mark.parametrize("times", [1.0, 2.0])
def test_what_was_not_squeezed_is_read_at_pixel_centres(times: float, picture: MakePicture) -> None:
    drawn_from = scaled(picture(24, 18), times, times)
    drawn = drawn_from.at(drawn_from.plane.pixel_centres(torch.arange(24 * 18)))
    rgb, alpha = drawn_from.raster()
    assert torch.equal(rgb.view(-1, 3), drawn.rgb.clamp(0, 1)) and torch.equal(alpha.view(-1, 1), drawn.alpha)


def test_only_the_squeezed_side_changes(picture: MakePicture) -> None:
    """The left half stays as it is, the right is squeezed: the left half is drawn as before, to the bit."""
    source = picture(48, 12, colours=checks(48, 12), hidden_layers=0)
    means, ones = source.gaussians.means, torch.ones(48 * 12)
    right = means[:, 0] > 0
    moved = torch.stack([torch.where(right, means[:, 0] / 4, means[:, 0]), means[:, 1]], dim=-1)
    jacobians = torch.diag_embed(torch.stack([torch.where(right, ones / 4, ones), ones], dim=-1))
    deformed = source.with_gaussians(source.gaussians.transformed(moved, jacobians))
    rgb, _ = deformed.raster()
    plain = source.raster()[0]
    torch.testing.assert_close(rgb[:, :20], plain[:, :20], rtol=0, atol=1e-5)
    assert float((rgb[3:-3, 25:29] - 0.5).abs().max()) < 0.01


def test_a_stretch_leaves_no_hole(picture: MakePicture) -> None:
    """Three times as wide: solid inside, nothing outside, as sharp at the edge as three times a pixel can be."""
    opacity = torch.zeros(20, 60)
    opacity[5:15, 22:38] = 1
    source = picture(60, 20, opacity=opacity, colours=torch.tensor([[0.1, 0.4, 0.8]]), hidden_layers=0)
    for across, down in ((3.0, 1.0), (1.0, 3.0), (3.0, 3.0)):
        stretched = scaled(source, across, down)
        layer = replace(stretched.only_layer, half_extent=None)
        stretched = replace(stretched, layers=(layer,))
        rgb, alpha = (part.numpy() for part in stretched.raster(2.0, (-40.0, -40.0, 100.0, 60.0)))
        x, y = (torch.arange(280) / 2 - 40 + 0.25, torch.arange(200) / 2 - 40 + 0.25)
        in_x, in_y = (x - 30).abs() / across - 8, (y - 10).abs() / down - 5
        beyond = torch.maximum(in_x[None, :], in_y[:, None]).numpy()  # in source pixels; inside it is negative
        assert (alpha[beyond < -0.75] == 1).all(), "no hole"
        assert not alpha[beyond > 1.5].any(), "no veil"
        assert abs(rgb[beyond < -0.75] - [0.1, 0.4, 0.8]).max() < 1e-3
