"""A picture's own border, which moves with it."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from gainer_ns.editing.borders import concatenated, typical_spacing, unframed
from gainer_ns.editing.limits import Limit, averaging_to, limited
from gainer_ns.fields.decoder import Decoder
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.opacity import OPACITY_MARGIN_PX
from gainer_ns.gaussians.placement import lattice_means
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture

WIDE = (-6.0, -6.0, 70.0, 54.0)


def with_border(layer: Layer, plane: ImagePlane) -> Layer:
    """The same layer, ending where its picture's frame ends by its opacities instead of by the frame."""
    layer, border = unframed(layer, plane)
    return layer if border is None else layer.with_gaussians(limited(layer.gaussians, border.limit))


def test_a_border_ends_the_picture_where_the_frame_did(landscape: BakedPicture, seen: Callable[..., Any]) -> None:
    layer = with_border(landscape.only_layer, landscape.plane)
    assert layer.half_extent is None
    after = seen(replace(landscape, layers=(layer,)), 1, WIDE)
    assert after.alpha[6:-6, 6:-6].min() > 0.99, "border pixels are opaque"
    outside = torch.ones(60, 76, dtype=torch.bool)
    outside[6:-6, 6:-6] = False
    assert after.alpha[outside.numpy()].max() < 0.02
    fine = seen(replace(landscape, layers=(layer,)), 8, (-1.0, 20.0, 1.0, 21.0)).alpha[4]
    assert (fine[1:] >= fine[:-1] - 1e-6).all() and abs(fine[7:9].mean() - 0.5) < 0.05, "half on the frame itself"


def test_colours_go_on_beyond_the_frame_as_in_a_mirror(
    landscape: BakedPicture, seen: Callable[..., Any], psnr: Callable[..., float]
) -> None:
    layer, border = unframed(landscape.only_layer, landscape.plane)
    assert border is not None and int((~border.is_beyond).sum()) == 64 * 48
    picture = replace(landscape, layers=(layer,))
    inside, beyond = (seen(picture, 1, (-2, 10, 2, 40))[:, columns] for columns in (slice(2, 4), slice(0, 2)))
    assert psnr(type(inside)(inside.rgb[:, ::-1], inside.alpha[:, ::-1]), beyond) > 45
    assert psnr(seen(picture, 1, (0, 0, 64, 48)), seen(landscape)) > 45


def test_a_layer_without_a_frame_stays_as_it_is(landscape: BakedPicture) -> None:
    layer = replace(landscape.only_layer, half_extent=None)
    assert with_border(layer, landscape.plane) is layer
    assert unframed(layer, landscape.plane) == (layer, None)


def test_the_border_of_some_gaussians(landscape: BakedPicture) -> None:
    _, border = unframed(landscape.only_layer, landscape.plane)
    assert border is not None
    chosen = torch.tensor([0, 24 * 64 + 32, len(border.is_beyond) - 1])
    some = border[chosen]
    assert some.is_beyond.tolist() == [False, False, True]
    assert torch.equal(some.limit.values, border.limit.values[chosen])
    assert some.near.tolist() == [0, 2], "the one in the middle does not say where the picture ends"


def test_averages_are_the_field(landscape: BakedPicture) -> None:
    """A field with a corner, which plain averages round off."""
    layer = landscape.only_layer
    pixels = landscape.plane.pixel_from_plane(layer.gaussians.means)
    field = 0.5 + torch.minimum(pixels[:, 0] - 20.3, pixels[:, 1] - 14.6)

    def read(values: Tensor) -> Tensor:
        gaussians = replace(layer.gaussians, opacities=values)
        return layer.with_gaussians(gaussians).at(gaussians.means).alpha[:, 0]

    wanted = field.clamp(0, 1)
    assert (read(averaging_to(field, layer.gaussians, layer.num_neighbours).values) - wanted).abs().max() < 0.01
    assert (read(field) - wanted).abs().max() > 0.03


def test_far_from_the_edge_a_field_stays_as_it_is(landscape: BakedPicture) -> None:
    layer = landscape.only_layer
    field = landscape.plane.pixel_from_plane(layer.gaussians.means)[:, 0] - 30.0
    values = averaging_to(field, layer.gaussians, layer.num_neighbours).values
    far = (field < -OPACITY_MARGIN_PX) | (field > 1 + OPACITY_MARGIN_PX)
    assert torch.equal(values[far], field[far])


def test_limits_only_lower_opacities(landscape: BakedPicture) -> None:
    gaussians = landscape.gaussians
    limit = torch.linspace(-1, 2, len(gaussians))
    once = limited(gaussians, Limit(limit))
    assert once.opacities is not None and torch.equal(once.opacities, limit)
    twice = limited(once, Limit(limit).complement())
    assert twice.opacities is not None and torch.equal(twice.opacities, torch.minimum(limit, 1 - limit))


def test_two_sets_as_one(landscape: BakedPicture) -> None:
    gaussians = landscape.gaussians
    chosen = torch.arange(10)
    both = concatenated(gaussians, gaussians[chosen])
    assert len(both) == len(gaussians) + 10 and len(both.covariances) == 1
    own = replace(gaussians, covariances=gaussians.covariances.expand(len(gaussians), 2, 2))
    assert concatenated(own, own[chosen]).covariances.shape == (len(gaussians) + 10, 2, 2)


@pytest.mark.parametrize("density", [1.0, 0.25])
def test_spacing(density: float) -> None:
    plane = ImagePlane(60, 44)
    means = lattice_means(plane, density)
    gaussians = GaussianSet(means, torch.eye(2)[None] * 1e-4, torch.zeros(len(means), 3), 1.0)
    assert math.isclose(typical_spacing(gaussians, plane), density**-0.5, rel_tol=0.15)


def test_few_long_gaussians_do_not_reach_beyond_the_border() -> None:
    """Nothing is added again to averages by learned ellipses: that would not settle, and show far outside."""
    plane = ImagePlane(64, 48)
    means = lattice_means(plane, 0.2, jitter=0.3)
    direction = torch.randn(len(means), 2)
    direction = direction / direction.norm(dim=1, keepdim=True)
    long, thin = (4.0 * plane.pixel_size) ** 2, (0.8 * plane.pixel_size) ** 2
    covariances = thin * torch.eye(2) + (long - thin) * direction[:, :, None] * direction[:, None, :]
    gaussians = GaussianSet(means, covariances, torch.zeros(len(means), 8), 20 * plane.pixel_size)
    layer = with_border(Layer(gaussians, Decoder(8, hidden_layers=0), 9, plane.half_extent), plane)
    turned = layer.with_gaussians(layer.gaussians.transformed(layer.gaussians.means, torch.eye(2)[None]))
    picture = BakedPicture(plane, (turned,))
    _, alpha = picture.raster(crop=(-20.0, -20.0, 84.0, 68.0))
    inside = torch.zeros(88, 104, dtype=torch.bool)
    inside[20:68, 20:84] = True
    beyond = torch.ones(88, 104, dtype=torch.bool)
    beyond[16:72, 16:88] = False
    assert float(alpha[beyond].max()) == 0
    assert float((alpha[..., 0][inside] > 0.98).float().mean()) > 0.93
