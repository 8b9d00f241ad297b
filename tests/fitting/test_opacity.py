"""Opacities fitted so that their averages are the picture's own."""

import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gainer_ns.fitting.bands import PictureBands, fit_opacities
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians import reference
from gainer_ns.gaussians.gaussian_set import GaussianSet, isotropic
from gainer_ns.gaussians.opacity import near_visible_pixels, opacity_field
from gainer_ns.gaussians.placement import lattice_means

WIDTH, HEIGHT = 40, 30


def ring() -> Tensor:
    row, column = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    distance = torch.hypot(row - 14.2, column - 19.7)
    return ((distance < 12) & (distance > 3.5)).float()


def at_the_frame() -> Tensor:
    opacity = torch.zeros(HEIGHT, WIDTH)
    opacity[:20, 10:] = 1
    return opacity


def one_pixel() -> Tensor:
    opacity = torch.zeros(HEIGHT, WIDTH)
    opacity[8, 31] = 1
    return opacity


SHAPES: dict[str, Callable[[], Tensor]] = {
    "ring": ring,
    "at the frame": at_the_frame,
    "one pixel": one_pixel,
    "gradient": lambda: torch.linspace(0, 1, WIDTH).expand(HEIGHT, WIDTH).clone(),
    "faint": lambda: torch.full((HEIGHT, WIDTH), 1 / 255),
    "solid": lambda: torch.ones(HEIGHT, WIDTH),
    "noise": lambda: torch.rand(HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1)),
    "scattered": lambda: (torch.rand(HEIGHT, WIDTH, generator=torch.Generator().manual_seed(2)) < 0.5).float(),
}


def fitted(opacity: Tensor, jitter: float = 0.0, bit_depth: int = 16) -> tuple[GaussianSet, Tensor]:
    """Gaussians on the picture with fitted opacities, and the pixels that were fitted."""
    plane, near = ImagePlane(WIDTH, HEIGHT), near_visible_pixels(opacity)
    means = lattice_means(plane, inside=near, jitter=jitter)
    field, pixels = opacity_field(opacity).flatten(), near.flatten().nonzero()[:, 0]
    covariances = isotropic(0.64 * plane.pixel_size, 2)
    start = GaussianSet(means, covariances, torch.zeros(len(means), 1), 10 * plane.pixel_size, field[pixels])
    assert start.opacities is not None
    before = start.opacities.clone()
    found = fit_opacities(plane, start, 16, pixels, field[pixels], bit_depth)
    assert torch.equal(start.opacities, before), "what was there stays as it is"
    return GaussianSet(means, covariances, found[:, None], start.radius, found), pixels


def shown(gaussians: GaussianSet, points: Tensor) -> Tensor:
    """What points show, by the reference."""
    assert gaussians.opacities is not None
    neighbours = reference.nearest(points, gaussians.means, 16, gaussians.radius)
    read = reference.aggregate(points, neighbours, gaussians.means, gaussians.precisions, gaussians.opacities[:, None])
    return read[:, 0].clamp(0, 1)


@pytest.mark.parametrize("bit_depth", [8, 16])
@pytest.mark.parametrize("jitter", [0.0, 0.2])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_level_is_met(shape: str, jitter: float, bit_depth: int) -> None:
    """At every fitted pixel, to well below half a level; what is solid or clear is exactly that."""
    opacity = SHAPES[shape]()
    gaussians, pixels = fitted(opacity, jitter, bit_depth)
    found = shown(gaussians, ImagePlane(WIDTH, HEIGHT).pixel_centres(pixels))
    expected = opacity.flatten()[pixels]
    assert float((found - expected).abs().max()) < 0.2 / (2**bit_depth - 1)
    ends = (expected == 0) | (expected == 1)
    assert torch.equal(found[ends], expected[ends])
    assert gaussians.opacities is not None and float(gaussians.opacities.abs().max()) < 100


def test_between_the_pixels_it_is_solid_and_clear() -> None:
    gaussians, _ = fitted(ring())
    points = (torch.rand(4000, 2) - 0.5) * torch.tensor([1.0, 0.75])
    found = shown(gaussians, points)
    pixel = ImagePlane(WIDTH, HEIGHT).pixel_from_plane(points)
    distance = torch.hypot(pixel[:, 0] - 20.2, pixel[:, 1] - 14.7)
    inside, outside = (distance > 5) & (distance < 10.5), (distance < 2) | ((distance > 13.5) & (distance < 14.2))
    assert int(inside.sum()) > 500 and bool((found[inside] == 1).all())
    assert int(outside.sum()) > 20 and not bool(found[outside].any())


@pytest.mark.parametrize("shape", ["ring", "gradient", "noise"])
def test_bands_change_nothing(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large picture is fitted band by band, with the same result."""
    whole, _ = fitted(SHAPES[shape]())
    narrow = functools.partial(PictureBands, band_pixels=WIDTH * 8)
    monkeypatch.setattr("gainer_ns.fitting.bands.PictureBands", narrow)
    banded, pixels = fitted(SHAPES[shape]())
    points = ImagePlane(WIDTH, HEIGHT).pixel_centres(pixels)
    torch.testing.assert_close(shown(banded, points), shown(whole, points), rtol=0, atol=1e-5)
