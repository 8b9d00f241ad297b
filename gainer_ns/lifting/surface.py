"""The surface that a depth map shows: smooth where depth is, and cut where it jumps.

All of it is told in inverse depth, in which a plane of the world is a plane over the picture too. So a floor that runs
away from the camera is smooth to its end, and what deviates from the plane through its neighbours is an edge.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

MAX_SLOPE = 12.0
"""Slopes beyond this, in pixel widths of depth a pixel, count as this steep: the surface is then seen at 85 degrees."""
EDGE_THRESHOLD = 0.02
"""A depth edge is where two neighbouring pixels miss each other's tangent plane by this share of their depth, or more
where depth is noisy."""
_EDGE_TO_NOISE_RATIO = 4.0
"""Depth edges stand out by this multiple of the noise."""
MAX_EDGE_THRESHOLD = 0.05
"""And always are where pixels miss each other's plane by this share."""
_MADE_UP_EDGE_THRESHOLD = 0.3
"""And by which share where what is made up has one."""
_MIN_NOISE_PX = 1.0
"""Neighbours within this many pixel widths of each other's tangent plane are always smoothed together."""
_NOISE_QUANTILE = 0.8
"""The quantile of deviations that counts as typical: above it are the edges."""
_FIT_RADIUS_PX = 3
"""Pixels to each side of a pixel that its tangent plane is fitted to."""
MAX_MIXED_PX = 3
"""How many pixels across an edge depth may lie between its two sides."""
RIM_WIDTH_PX = 3
"""How far beyond its edges, in pixels, a surface is continued."""


@dataclass(eq=False)
class DepthSurface:
    """A surface over the pixels of a picture.

    Attributes:
        inverse_depth: [h, w], float64; 0 where no surface is known.
        gradient: [h, w, 2], its change per pixel along x and y.
        focal_length: Of the camera in pixels: at depth z a pixel is z / focal_length wide.
        edge: By which share of their depth neighbouring pixels miss each other's plane at a depth edge.
    """

    inverse_depth: Float[Tensor, "h w"]
    gradient: Float[Tensor, "h w 2"]
    focal_length: float
    edge: float

    @property
    def known(self) -> Bool[Tensor, "h w"]:
        """Where there is a surface."""
        return self.inverse_depth > 0

    @cached_property
    def edge_distance(self) -> Float[Tensor, "h w"]:
        """Of each pixel from the nearest pixel that its surface does not reach, in pixels; at most ``RIM_WIDTH_PX``.

        1 right at a depth edge; the picture's own frame is none.
        """
        nearest = torch.full_like(self.inverse_depth, float(RIM_WIDTH_PX))
        for row, column in offsets(RIM_WIDTH_PX - 1):
            inside = shifted(torch.ones_like(self.known), row, column)
            cut = inside & ~self.joined(row, column)
            nearest = torch.where(cut, nearest.clamp(max=math.hypot(row, column)), nearest)
        return torch.where(self.known, nearest, 0.0)

    def joined(self, row: int, column: int) -> Bool[Tensor, "h w"]:
        """Return whether each pixel and the one at an offset are known, and near each other's plane."""
        other, gradient = shifted(self.inverse_depth, row, column), shifted(self.gradient, row, column)
        theirs = other - gradient[..., 0] * column - gradient[..., 1] * row - self.inverse_depth
        own = self.inverse_depth + self.gradient[..., 0] * column + self.gradient[..., 1] * row - other
        miss = torch.minimum(theirs.abs(), own.abs()) / max(1.0, math.hypot(row, column))
        return self.known & (other > 0) & (miss < self.edge * self.inverse_depth)


@dataclass(frozen=True)
class Rim:
    """Where a surface is continued beyond its edges, by the planes of its last pixels.

    Attributes:
        pixel: [r], row-major indices of the pixels in which the rim is seen (or would be, if nothing hid it).
        inverse_depth: [r].
        gradient: [r, 2].
        source: [r], row-major indices of the nearest pixels of the surface that is continued.
        distance: [r], from those, in pixels.
        hidden: [r], whether the rim lies behind what the pixel shows.
    """

    pixel: Int[Tensor, " r"]
    inverse_depth: Float[Tensor, " r"]
    gradient: Float[Tensor, "r 2"]
    source: Int[Tensor, " r"]
    distance: Float[Tensor, " r"]
    hidden: Bool[Tensor, " r"]


def fit_surface(depth: Float[Tensor, "h w"], focal_length: float) -> DepthSurface:
    """Fit a surface to a depth map, without the steps and the noise that a plane through its neighbours smooths out.

    Args:
        depth: Distances along the camera's axis; 0 where unknown.
        focal_length: Of the camera, in pixels.
    """
    known = depth > 0
    measured = torch.where(known, 1 / depth.double().clamp(min=1e-30), 0.0)
    measured = _unmixed(measured, max(EDGE_THRESHOLD, MAX_SLOPE / focal_length))
    steepest = MAX_SLOPE * measured / focal_length
    gradient = torch.stack([_one_sided(measured, known, axis) for axis in (1, 0)], dim=-1)
    inverse_depth = measured
    noise = _noise(measured, known)
    edge = min(max(EDGE_THRESHOLD, _EDGE_TO_NOISE_RATIO * noise), MAX_EDGE_THRESHOLD)
    noise = min(max(noise, _MIN_NOISE_PX / focal_length), EDGE_THRESHOLD / 2)
    tolerance = (noise * measured).clamp(min=1e-30)
    for _ in range(2):  # the first planes tell which neighbours belong to the second
        gradient = gradient.clamp(-steepest[..., None], steepest[..., None])
        inverse_depth, gradient = _planes(measured, known, gradient, tolerance)
    gradient = gradient.clamp(-steepest[..., None], steepest[..., None])
    # A plane through almost nothing but one far neighbour could leave the measured depth behind.
    inverse_depth = torch.minimum(torch.maximum(inverse_depth, measured - tolerance), measured + tolerance)
    return DepthSurface(torch.where(known, inverse_depth, 0.0), gradient * known[..., None], focal_length, edge)


def smooth_surface(depth: Float[Tensor, "h w"], focal_length: float) -> DepthSurface:
    """Return the surface of a depth map that was made up, smooth as it is, where a slope is better than an edge.

    Args:
        depth: Distances along the camera's axis; 0 where nothing was made up.
        focal_length: Of the camera, in pixels.
    """
    known = depth > 0
    inverse_depth = torch.where(known, 1 / depth.double().clamp(min=1e-30), 0.0)
    gradient = torch.stack([_one_sided(inverse_depth, known, axis) for axis in (1, 0)], dim=-1)
    steepest = (MAX_SLOPE * inverse_depth / focal_length)[..., None]
    return DepthSurface(inverse_depth, gradient.clamp(-steepest, steepest), focal_length, _MADE_UP_EDGE_THRESHOLD)


def continue_edges(surface: DepthSurface) -> Rim:
    """Continue a surface beyond its edges: over what is behind it, and a little behind what is before it."""
    rims = [_rim(surface, hidden) for hidden in (False, True)]
    return Rim(*(torch.cat([getattr(rim, name) for rim in rims]) for name in Rim.__dataclass_fields__))


def _rim(surface: DepthSurface, hidden: bool) -> Rim:
    """Return the part of the rim that lies before what is seen (or nothing), or the part hidden by it."""
    here = surface.inverse_depth
    found = torch.zeros_like(here)
    total, weight = torch.zeros_like(here), torch.zeros_like(here)
    slope = torch.zeros_like(surface.gradient)
    source = torch.zeros_like(here, dtype=torch.long)
    distance = torch.zeros_like(here)
    index = torch.arange(here.numel()).view_as(here)
    for row, column in offsets(RIM_WIDTH_PX):  # nearest first
        other, gradient = shifted(here, row, column), shifted(surface.gradient, row, column)
        continued = other - gradient[..., 0] * column - gradient[..., 1] * row
        beyond = (other > 0) & (continued > 0.5 * other) & ~surface.joined(row, column)
        beyond &= (here > 0) & (continued < here) if hidden else (here <= 0) | (continued > here)
        first = beyond & (weight <= 0)
        found = torch.where(first, continued, found)
        source = torch.where(first, shifted(index, row, column), source)
        away = math.hypot(row, column)
        distance = torch.where(first, away, distance)
        agrees = beyond & ((continued - found).abs() < surface.edge * found)
        share = agrees * away**-4
        total, weight = total + share * continued, weight + share
        slope = slope + share[..., None] * gradient
    pixel = (weight > 0).flatten().nonzero()[:, 0]
    weight = weight.flatten()[pixel]
    return Rim(
        pixel=pixel,
        inverse_depth=total.flatten()[pixel] / weight,
        gradient=slope.view(-1, 2)[pixel] / weight[:, None],
        source=source.flatten()[pixel],
        distance=distance.flatten()[pixel],
        hidden=torch.full_like(pixel, hidden, dtype=torch.bool),
    )


def _noise(measured: Float[Tensor, "h w"], known: Bool[Tensor, "h w"]) -> float:
    """Return twice the typical deviation of a pixel from the line through its neighbours, as a share of its depth."""
    whole = known & shifted(known, 0, 1) & shifted(known, 0, -1)
    deviation = measured - 0.5 * (shifted(measured, 0, 1) + shifted(measured, 0, -1))
    relative = (deviation.abs() / measured.clamp(min=1e-30))[whole]
    return (
        2 * float(relative[:: max(1, len(relative) // 10**6)].quantile(_NOISE_QUANTILE)) if len(relative) > 0 else 0.0
    )


def _unmixed(measured: Float[Tensor, "h w"], step: float) -> Float[Tensor, "h w"]:
    """Return inverse depths, those that lie between two surfaces, and on none, moved to the nearer one of the two.

    Depth that was reduced, or that a network estimates, has such pixels along its edges, steps away from both sides.
    """
    for _ in range(MAX_MIXED_PX):
        for row, column in ((0, 1), (1, 0)):
            one, other = shifted(measured, row, column), shifted(measured, -row, -column)
            ahead, back = one - measured, measured - other
            between = (measured > 0) & (one > 0) & (other > 0) & (ahead * back > 0)
            between &= torch.minimum(ahead.abs(), back.abs()) > step * measured
            measured = torch.where(between, torch.where(ahead.abs() < back.abs(), one, other), measured)
    return measured


def _one_sided(values: Float[Tensor, "h w"], known: Bool[Tensor, "h w"], axis: int) -> Float[Tensor, "h w"]:
    """Return the smaller of the differences with the neighbours before and behind: the one that crosses no edge."""
    row, column = (1, 0) if axis == 0 else (0, 1)
    steps = []
    for sign in (1, -1):
        there = shifted(known, sign * row, sign * column)
        steps.append(
            torch.where(known & there, sign * (shifted(values, sign * row, sign * column) - values), torch.inf)
        )
    smaller = torch.where(steps[0].abs() < steps[1].abs(), steps[0], steps[1])
    return torch.where(smaller.isfinite(), smaller, 0.0)


def _planes(
    measured: Float[Tensor, "h w"],
    known: Bool[Tensor, "h w"],
    gradient: Float[Tensor, "h w 2"],
    tolerance: Float[Tensor, "h w"],
) -> tuple[Float[Tensor, "h w"], Float[Tensor, "h w 2"]]:
    """Return planes fitted to those neighbours of each pixel that lie near its present one: heights and gradients."""
    moments = measured.new_zeros(*measured.shape, 6)  # of 1, x, y with each other: 1, x, y, xx, xy, yy
    right = measured.new_zeros(*measured.shape, 3)
    for row in range(-_FIT_RADIUS_PX, _FIT_RADIUS_PX + 1):
        for column in range(-_FIT_RADIUS_PX, _FIT_RADIUS_PX + 1):
            difference = shifted(measured, row, column) - measured
            miss = (difference - gradient[..., 0] * column - gradient[..., 1] * row) / tolerance
            near = math.exp(-2 * (row**2 + column**2) / _FIT_RADIUS_PX**2)
            weight = near * torch.exp(-0.5 * miss.square()) * (shifted(known, row, column) & known)
            powers = measured.new_tensor([1.0, column, row, column**2, column * row, row**2])
            moments += weight[..., None] * powers
            right += (weight * difference)[..., None] * powers[:3]
    one, x, y, xx, xy, yy = moments.unbind(-1)
    # A pixel without neighbours keeps its slope of 0.
    matrix = torch.stack([one + 1e-12, x, y, x, xx + 1e-6, xy, y, xy, yy + 1e-6], dim=-1).view(*measured.shape, 3, 3)
    height, *slope = torch.linalg.solve(matrix, right[..., None])[..., 0].unbind(-1)
    return measured + height, torch.stack(slope, dim=-1)


def offsets(reach: int) -> Iterator[tuple[int, int]]:
    """Return rows and columns of all offsets within a distance, the nearest first, without 0."""
    square = [(row, column) for row in range(-reach, reach + 1) for column in range(-reach, reach + 1)]
    yield from sorted((o for o in square if 0 < math.hypot(*o) <= reach), key=lambda o: math.hypot(*o))


def shifted(values: Tensor, row: int, column: int) -> Tensor:
    """Return the values at an offset from each pixel: 0, or False, beyond the frame."""
    height, width = values.shape[:2]
    result = torch.zeros_like(values)
    if abs(row) >= height or abs(column) >= width:
        return result
    to = slice(max(0, -row), height - max(0, row)), slice(max(0, -column), width - max(0, column))
    of = slice(max(0, row), height - max(0, -row)), slice(max(0, column), width - max(0, -column))
    result[to] = values[of]
    return result
