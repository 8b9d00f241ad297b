"""Drawing a baked picture at points and on grids."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.fitting.bands import PictureBands
from gainer_ns.gaussians import reference
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.rendering import drawable
from gainer_ns.rendering.plane import BakedPicture

MakePicture = Callable[..., BakedPicture]


def ramp(picture: MakePicture, width: int = 24, height: int = 18) -> BakedPicture:
    """Red rises to the right, green falls downwards, blue stays."""
    column, row = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    y, x = torch.meshgrid(row, column, indexing="ij")
    colours = torch.stack([x / width, 1 - y / height, torch.full_like(x, 0.25)], dim=-1).view(-1, 3)
    return picture(width, height, colours=colours, hidden_layers=0)


def test_equals_the_reference(picture: MakePicture) -> None:
    drawn_from = picture(jitter=0.3)
    points = (torch.rand(200, 2) - 0.5) * torch.tensor([1.0, 0.75])
    gaussians = drawn_from.gaussians
    neighbours = reference.nearest(points, gaussians.means, 16, gaussians.radius)
    features = reference.aggregate(points, neighbours, gaussians.means, gaussians.precisions, gaussians.features)
    rgb, alpha = drawn_from.at(points)
    torch.testing.assert_close(rgb, drawn_from.only_layer.decoder.decode(features), rtol=0, atol=1e-4)
    assert torch.equal(alpha, torch.ones(200, 1)) and not rgb.requires_grad


@pytest.mark.parametrize("band_pixels", [10**6, 12 * 4])
def test_pixel_centres_are_what_was_fitted(band_pixels: int, picture: MakePicture) -> None:
    """The fit reads its Gaussians band by band, the picture all at once: both read the same ones."""
    drawn_from = picture(12, 40)
    pixels = torch.arange(480)
    bands = PictureBands(drawn_from.plane, drawn_from.gaussians, 16, pixels, band_pixels=band_pixels)
    expected = bands.decode(drawn_from.gaussians.features, drawn_from.only_layer.decoder)
    drawn = drawn_from.at(drawn_from.plane.pixel_centres(pixels))
    torch.testing.assert_close(drawn.rgb, expected, rtol=0, atol=2e-6)
    rgb, _ = drawn_from.raster()
    torch.testing.assert_close(rgb.view(-1, 3), expected.clamp(0, 1), rtol=0, atol=2e-6)


@pytest.mark.parametrize("block", [1, 7, 64])
def test_blocks_change_nothing(block: int, picture: MakePicture, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn_from = picture()
    points = (torch.rand(150, 2) - 0.5) * 1.3
    expected, raster, small = drawn_from.at(points), drawn_from.raster(2.0), drawn_from.raster(0.4)
    monkeypatch.setattr(drawable, "BLOCK_POINTS", block)
    for one, other in zip(
        (*drawn_from.at(points), *drawn_from.raster(2.0), *drawn_from.raster(0.4)),
        (*expected, *raster, *small),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1])
def test_few_points(count: int, picture: MakePicture) -> None:
    rgb, alpha = picture().at(torch.zeros(count, 2))
    assert rgb.shape == (count, 3) and alpha.shape == (count, 1)


def test_beyond_the_frame_is_transparent(picture: MakePicture) -> None:
    drawn_from = picture(12, 9)
    half = 0.375
    outside = torch.tensor(
        [[0.51, 0.0], [-0.51, 0.0], [0.0, half + 0.01], [0.0, -half - 0.01], [math.inf, 0.0], [0.0, math.nan]]
        + [[math.nan, math.nan], [-math.inf, math.inf], [3e38, 3e38]]
    )
    on_the_edge = torch.tensor([[0.5, half], [-0.5, -half], [0.5, -half], [0.0, 0.0]])
    rgb, alpha = drawn_from.at(torch.cat([outside, on_the_edge]))
    assert not rgb[:9].any() and not alpha[:9].any()
    assert bool((alpha[9:] == 1).all()) and bool(rgb[9:].isfinite().all())
    rgb, alpha = drawn_from.at(outside)
    assert not rgb.any() and not alpha.any()


def test_float64_points(picture: MakePicture) -> None:
    drawn_from = picture()
    points = (torch.rand(50, 2) - 0.5) * 1.3
    rgb, alpha = drawn_from.at(points.double())
    expected = drawn_from.at(points)
    torch.testing.assert_close(rgb, expected.rgb, rtol=0, atol=1e-6)
    assert torch.equal(alpha, expected.alpha)


def test_pixel_coordinates(picture: MakePicture) -> None:
    drawn_from = ramp(picture)
    rgb, _ = drawn_from.at_pixels(torch.tensor([[6.0, 4.0], [18.0, 14.0], [12.5, 9.5]]))
    expected = torch.tensor([[6 / 24, 1 - 4 / 18, 0.25], [18 / 24, 1 - 14 / 18, 0.25], [12.5 / 24, 1 - 9.5 / 18, 0.25]])
    torch.testing.assert_close(rgb, expected, rtol=0, atol=2e-3)
    whole, _ = drawn_from.at_pixels(torch.tensor([[6, 4]]))
    torch.testing.assert_close(whole, expected[:1], rtol=0, atol=2e-3)


@pytest.mark.parametrize("scale", [1.0, 2.0, 3.0, 2.5, 0.5, 0.25])
def test_raster_places_pixels(scale: float, picture: MakePicture) -> None:
    """On a ramp, half a pixel of shift would show: colours say where a pixel's centre is."""
    drawn_from = ramp(picture)
    rgb, alpha = drawn_from.raster(scale)
    height, width = round(18 * scale), round(24 * scale)
    assert rgb.shape == (height, width, 3) and alpha.shape == (height, width, 1) and bool((alpha == 1).all())
    inner = slice(math.ceil(2 * scale), -math.ceil(2 * scale))  # the weighted mean bends a ramp at its ends
    x = (torch.arange(width) + 0.5) / width
    y = 1 - (torch.arange(height) + 0.5) / height
    torch.testing.assert_close(rgb[inner, inner, 0], x[inner].expand_as(rgb[inner, inner, 0]), rtol=0, atol=2e-3)
    torch.testing.assert_close(rgb[inner, inner, 1], y[inner, None].expand_as(rgb[inner, inner, 1]), rtol=0, atol=2e-3)


@pytest.mark.parametrize("scale", [1.0, 2.0, 0.5])
def test_crop_is_a_part_of_the_raster(scale: float, picture: MakePicture) -> None:
    drawn_from = picture(24, 18)
    whole, _ = drawn_from.raster(scale)
    part, alpha = drawn_from.raster(scale, (4.0, 6.0, 20.0, 14.0))
    left, top, right, bottom = (round(side * scale) for side in (4, 6, 20, 14))
    torch.testing.assert_close(part, whole[top:bottom, left:right], rtol=0, atol=2e-4)
    assert bool((alpha == 1).all())


def test_crop_beyond_the_picture_is_transparent(picture: MakePicture) -> None:
    drawn_from = picture(24, 18)
    whole, _ = drawn_from.raster()
    rgb, alpha = drawn_from.raster(1.0, (-3.0, -2.0, 27.0, 19.0))
    assert rgb.shape == (21, 30, 3)
    expected = torch.zeros(21, 30, 1)
    expected[2:20, 3:27] = 1
    assert torch.equal(alpha, expected) and not rgb[alpha[..., 0] == 0].any()
    torch.testing.assert_close(rgb[2:20, 3:27], whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("factor", [2, 3, 6])
def test_shrinking_averages(factor: int, picture: MakePicture) -> None:
    drawn_from = picture(24, 18)
    pixels = drawn_from.at(drawn_from.plane.pixel_centres(torch.arange(24 * 18))).rgb  # not clamped yet
    blocks = pixels.view(18 // factor, factor, 24 // factor, factor, 3).mean(dim=(1, 3))
    rgb, alpha = drawn_from.raster(1 / factor)
    # Rounding decides which of equally near Gaussians are read at a pixel's centre.
    torch.testing.assert_close(rgb, blocks.clamp(0, 1), rtol=0, atol=1e-5 if factor < 4 else 5e-4)
    assert bool((alpha == 1).all())


def test_colours_are_clamped_in_rasters_alone(picture: MakePicture) -> None:
    drawn_from = picture(colours=torch.tensor([[1.4, -0.3, 0.5]]).expand(108, 3), hidden_layers=0)
    rgb, _ = drawn_from.raster()
    torch.testing.assert_close(rgb[4, 4], torch.tensor([1.0, 0.0, 0.5]))
    rgb, _ = drawn_from.at(torch.zeros(1, 2))
    torch.testing.assert_close(rgb[0], torch.tensor([1.4, -0.3, 0.5]), rtol=0, atol=1e-5)


def mask() -> Tensor:
    inside = torch.zeros(18, 24, dtype=torch.bool)
    inside[4:12, 6:20] = True
    inside[6:8, 9:15] = False
    return inside


def test_alpha_is_the_mask_at_any_scale(picture: MakePicture) -> None:
    drawn_from = picture(24, 18, opacity=mask())
    assert drawn_from.has_alpha and not picture().has_alpha
    rgb, alpha = drawn_from.raster()
    torch.testing.assert_close(alpha[..., 0], mask().float(), rtol=0, atol=1e-3)
    assert not rgb[alpha[..., 0] == 0].any() and bool((alpha[mask()] > 0.999).all())
    _, small = drawn_from.raster(0.5)
    expected = mask().float().view(9, 2, 12, 2).mean(dim=(1, 3))
    torch.testing.assert_close(small[..., 0], expected, rtol=0, atol=1e-3)
    _, large = drawn_from.raster(4.0)
    core = torch.zeros(18, 24, dtype=torch.bool)
    core[5:11, 7:19] = True
    core[5:9, 8:16] = False
    shrunk = large[..., 0].view(18, 4, 24, 4)
    assert bool((shrunk.amin(dim=(1, 3))[core] == 1).all()), "no holes between pixels"
    far = torch.ones(18, 24, dtype=torch.bool)
    far[3:13, 5:21] = False
    assert not shrunk.amax(dim=(1, 3))[far].any(), "no veil around what shows"


def test_transparency_does_not_bleed(picture: MakePicture) -> None:
    """A constant picture with a hole stays constant when it is shrunk."""
    colours = torch.tensor([[0.2, 0.9, 0.6]])
    drawn_from = picture(24, 18, opacity=mask(), colours=colours, hidden_layers=0)
    for factor in (2, 3, 6):
        rgb, alpha = drawn_from.raster(1 / factor)
        seen = alpha[..., 0] > 0
        assert bool(seen.any()) and not bool(seen.all())
        torch.testing.assert_close(rgb[seen], colours.expand(int(seen.sum()), 3), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("scale", "crop", "message"),
    [
        (0.0, None, "positive"),
        (-1.0, None, "positive"),
        (math.nan, None, "positive"),
        (math.inf, None, "positive"),
        (1e9, None, "lower the scale"),
        (1.0, (3.0, 0.0, 3.0, 5.0), "X0 < X1"),
        (1.0, (0.0, 5.0, 3.0, 4.0), "Y0 < Y1"),
        (1.0, (math.nan, 0.0, 3.0, 4.0), "X0 < X1"),
        (1.0, (0.0, 0.0, math.inf, 4.0), "X0 < X1"),
        (1.0, (12.0, 0.0, 15.0, 4.0), "wholly outside"),
    ],
)
def test_no_picture(scale: float, crop: tuple | None, message: str, picture: MakePicture) -> None:
    with pytest.raises(GainerError, match=message) as error:
        picture().raster(scale, crop)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 0.04, 0.1])
def test_shrinking_to_next_to_nothing(scale: float, picture: MakePicture) -> None:
    drawn_from = picture(24, 18, colours=torch.full((24 * 18, 3), 0.4), hidden_layers=0)
    rgb, alpha = drawn_from.raster(scale)
    assert rgb.shape[:2] == (max(1, round(18 * scale)), max(1, round(24 * scale)))
    torch.testing.assert_close(rgb, torch.full_like(rgb, 0.4), rtol=0, atol=1e-5)
    assert bool((alpha == 1).all())


def test_progress_ends_at_one(picture: MakePicture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawable, "BLOCK_POINTS", 50)
    shares: list[float] = []
    picture().raster(1.5, progress=shares.append)
    assert len(shares) > 2 and shares == sorted(shares) and shares[0] > 0 and shares[-1] == 1


def test_edited_gaussians_are_drawn(picture: MakePicture) -> None:
    """What an edit makes is drawn with its own index and covariances, and the picture before it stays as it is."""
    before = picture(12, 12)
    expected = before.raster()[0]
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    gaussians = before.gaussians.transformed(before.gaussians.means @ turn.T, turn[None])
    turned = before.with_gaussians(gaussians).raster()[0]
    torch.testing.assert_close(turned, expected.rot90(), rtol=0, atol=2e-3)
    assert torch.equal(before.raster()[0], expected)


def test_nothing_is_drawn_without_gaussians(picture: MakePicture) -> None:
    full = picture()
    none = full.with_gaussians(
        GaussianSet(torch.empty(0, 2), full.gaussians.covariances, torch.empty(0, 8), full.gaussians.radius)
    )
    rgb, alpha = none.raster()
    assert not rgb.any() and not alpha.any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda(picture: MakePicture) -> None:
    drawn_from = picture(24, 18, opacity=mask())
    rgb, alpha = drawn_from.raster(1.7)
    rgb_there, alpha_there = drawn_from.to("cuda").raster(1.7)
    torch.testing.assert_close(rgb_there.cpu(), rgb, rtol=0, atol=1e-4)
    torch.testing.assert_close(alpha_there.cpu(), alpha, rtol=0, atol=1e-4)
