"""A picture's own border as opacities of its Gaussians, so that it moves with them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gainer_ns.editing.limits import Limit, averaging_to
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.gaussians.opacity import OPACITY_MARGIN_PX
from gainer_ns.rendering.layer import Layer

_SLOPE = 1.02
"""Change of opacity, in 1 / pixel, across a border: a little over 1, so that border pixels are opaque for certain."""

INVISIBLE_PX = 0.02
"""A movement that nobody sees: the digits of an OBJ file move by less."""

_SPACING_NEIGHBOURS = 8
"""How many Gaussians around one tell how far apart they are."""


@dataclass(frozen=True)
class Border:
    """Where a picture ends, at each of its Gaussians.

    Attributes:
        half_extent: Half its width and height, in plane units.
        limit: Of opacities, where it has moved.
        is_beyond: [n], whether a Gaussian is of the mirror image beyond the frame.
    """

    half_extent: tuple[float, float]
    limit: Limit
    is_beyond: Bool[Tensor, " n"]

    @property
    def near(self) -> Int[Tensor, " m"]:
        """Which Gaussians say where the picture ends."""
        return (self.limit.values < 1 + OPACITY_MARGIN_PX).nonzero()[:, 0]

    def __getitem__(self, chosen: Int[Tensor, " m"]) -> Border:
        """Of some of the Gaussians."""
        return replace(self, limit=self.limit[chosen], is_beyond=self.is_beyond[chosen])


def unframed(layer: Layer, plane: ImagePlane) -> tuple[Layer, Border | None]:
    """Continue a layer beyond the frame of its picture for some pixels as its mirror image.

    Args:
        layer: A layer of a picture that was fitted; returned as it is if it has no frame.
        plane: The plane that it was fitted on.

    Returns:
        The layer, and where it is to end; None if it had no frame.
    """
    if layer.half_extent is None:
        return layer, None
    count = len(layer.gaussians)
    gaussians, margin = (
        layer.gaussians,
        (OPACITY_MARGIN_PX * typical_spacing(layer.gaussians, plane) + 1) * plane.pixel_size,
    )
    for axis, half in enumerate(layer.half_extent):
        for side in (-half, half):
            near = (side - gaussians.means[:, axis]).abs() < margin
            gaussians = concatenated(gaussians, _mirrored(gaussians[near], axis, side))
    half_extent = gaussians.means.new_tensor(layer.half_extent)
    inside = (half_extent - gaussians.means.abs()).amin(dim=1) / plane.pixel_size
    field = 0.5 + _SLOPE * inside
    limit = averaging_to(field, gaussians, layer.num_neighbours)
    is_beyond = torch.arange(len(gaussians), device=field.device) >= count
    return replace(layer, gaussians=gaussians, half_extent=None), Border(layer.half_extent, limit, is_beyond)


def typical_spacing(gaussians: GaussianSet, plane: ImagePlane) -> float:
    """Return how far apart Gaussians were fitted on a plane, typically, in its pixels; at least 1."""
    if len(gaussians) <= _SPACING_NEIGHBOURS:
        return 1.0
    some = gaussians.means[:: max(1, len(gaussians) // 4096)]
    index = NeighbourIndex(gaussians.means, float("inf"), gaussians.inverse_jacobians)
    neighbours = index.query(some, _SPACING_NEIGHBOURS + 1)  # one is the point itself
    radius = neighbours.squared_distances.amax(dim=1).sqrt().median()
    return max(1.0, math.sqrt(math.pi / _SPACING_NEIGHBOURS) * float(radius) / plane.pixel_size)


def concatenated(one: GaussianSet, other: GaussianSet) -> GaussianSet:
    """Return two sets of the same kind as one, the first one's Gaussians before the other's."""
    shared = len(one.covariances) == 1 and len(one) > 1
    covariances = one.covariances if shared else torch.cat([one.covariances, other.covariances])
    inverses = None
    if one.inverse_jacobians is not None and other.inverse_jacobians is not None:
        mine, theirs = one.inverse_jacobians, other.inverse_jacobians
        inverses = torch.cat([mine.expand(len(one), -1, -1), theirs.expand(len(other), -1, -1)])
    return replace(
        one,
        means=torch.cat([one.means, other.means]),
        covariances=covariances,
        features=torch.cat([one.features, other.features]),
        opacities=_both(one.opacities, other.opacities),
        slopes=_both(one.slopes, other.slopes),
        opacity_slopes=_both(one.opacity_slopes, other.opacity_slopes),
        inverse_jacobians=inverses,
    )


def _both(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """Return what two sets have, as one; None where either has none."""
    return None if one is None or other is None else torch.cat([one, other])


def _mirrored(gaussians: GaussianSet, axis: int, side: float) -> GaussianSet:
    """Return Gaussians mirrored at a side of the frame: where the plane's coordinate ``axis`` is ``side``."""
    flip = torch.ones(gaussians.dimensions).to(gaussians.means)
    flip[axis] = -1
    offset: Float[Tensor, " d"] = torch.zeros_like(flip)
    offset[axis] = 2 * side
    flips = flip[:, None] * flip[None, :]
    inverses = None if gaussians.inverse_jacobians is None else gaussians.inverse_jacobians * flips
    slopes, of_opacity = (None if one is None else one * flip for one in (gaussians.slopes, gaussians.opacity_slopes))
    means, covariances = gaussians.means * flip + offset, gaussians.covariances * flips
    return replace(
        gaussians,
        means=means,
        covariances=covariances,
        slopes=slopes,
        opacity_slopes=of_opacity,
        inverse_jacobians=inverses,
    )
