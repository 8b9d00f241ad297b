"""The mixed colours of depth edges, taken apart into what is before and what is behind."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.lifting.surface import RIM_WIDTH_PX, DepthSurface, Rim, offsets, shifted

_MIXED_WIDTH_PX = 1.1
"""How far from a surface's last pixel, in pixels, another pixel may still show some of it."""
_PURE_DISTANCE_PX = 1.4
"""From how many pixels inside of its edges on a surface shows its own colour alone."""
_DISTINCT_COLOURS = 0.2
"""Colours nearer to each other than about this cannot be told apart in a mixture."""


class Matte(NamedTuple):
    """Colours and coverages at depth edges.

    Attributes:
        colours: [h, w, 3], of what each pixel's own surface would show alone.
        coverage: [h, w], how much of each pixel its own surface covers.
        rim_colours: [r, 3], likewise of a rim.
        rim_coverage: [r], how much of their pixel those parts of a rim cover that nothing hides; 0 of the others.
    """

    colours: Float[Tensor, "h w 3"]
    coverage: Float[Tensor, "h w"]
    rim_colours: Float[Tensor, "r 3"]
    rim_coverage: Float[Tensor, " r"]


def matte(colours: Float[Tensor, "h w 3"], surface: DepthSurface, rim: Rim) -> Matte:
    """Take the pixels along depth edges apart.

    Such a pixel shows a mixture ``a F + (1 - a) B`` of what is before the edge and what is behind it. Colours a little
    inside of both surfaces stand for F and B, the pixel's place between them is ``a``, and what neither explains is
    divided between the two so that the mixture is exact (the two-colour model of Ruzon and Tomasi, Alpha Estimation in
    Natural Images, 2000).

    Args:
        colours: Of the photo.
        surface: Over its pixels.
        rim: Of that surface.
    """
    pure = surface.edge_distance >= _PURE_DISTANCE_PX
    own_pure = _own_colours(colours, surface, pure)
    flat, own_flat = colours.view(-1, 3), own_pure.view(-1, 3)
    rim_pure, found = _rim_colours(colours, surface, rim, pure)
    rim_colours, rim_coverage = flat[rim.source].clone(), torch.zeros(len(rim.pixel), dtype=colours.dtype)
    result, coverage = flat.clone(), torch.ones(len(flat), dtype=colours.dtype)
    mixed = found & (rim.distance <= _MIXED_WIDTH_PX) & surface.known.flatten()[rim.pixel]
    divided = torch.zeros(len(flat), dtype=torch.bool)
    divided[rim.pixel[mixed & rim.hidden]] = True
    mixed &= rim.hidden | ~divided[rim.pixel]  # three surfaces in one pixel are more than colours can tell
    pixel, hidden = rim.pixel[mixed], rim.hidden[mixed]
    shown, own, other = flat[pixel], own_flat[pixel], rim_pure[mixed]
    front, back = torch.where(hidden[:, None], own, other), torch.where(hidden[:, None], other, own)
    apart = (front - back).square().sum(dim=1)
    share = ((shown - back) * (front - back)).sum(dim=1) / apart.clamp(min=1e-12)
    usual = hidden.to(share)
    share = usual + (share.clamp(0, 1) - usual) * apart / (apart + _DISTINCT_COLOURS**2)
    unexplained = shown - share[:, None] * front - (1 - share[:, None]) * back
    unexplained = unexplained / (share.square() + (1 - share).square())[:, None]
    front = (front + share[:, None] * unexplained).clamp(0, 1)
    back = (back + (1 - share[:, None]) * unexplained).clamp(0, 1)
    rim_colours[mixed] = torch.where(hidden[:, None], back, front)
    rim_coverage[mixed] = torch.where(hidden, 0.0, share)
    result[pixel] = torch.where(hidden[:, None], front, back)
    coverage[pixel[hidden]] = share[hidden]
    return Matte(result.view_as(colours), coverage.view(colours.shape[:2]), rim_colours, rim_coverage)


def _own_colours(
    colours: Float[Tensor, "h w 3"], surface: DepthSurface, pure: Bool[Tensor, "h w"]
) -> Float[Tensor, "h w 3"]:
    """Return the colours of each pixel's own surface a little inside of its edges; its own colour if there are none."""
    total, weight = torch.zeros_like(colours), torch.zeros_like(colours[..., 0])
    for row, column in offsets(RIM_WIDTH_PX):
        there = surface.joined(row, column) & shifted(pure, row, column)
        share = there * math.hypot(row, column) ** -2
        total, weight = total + share[..., None] * shifted(colours, row, column), weight + share
    return torch.where((weight > 0)[..., None], total / weight.clamp(min=1e-12)[..., None], colours)


def _rim_colours(
    colours: Float[Tensor, "h w 3"], surface: DepthSurface, rim: Rim, pure: Bool[Tensor, "h w"]
) -> tuple[Float[Tensor, "r 3"], Bool[Tensor, " r"]]:
    """Return colours of the surface that a rim continues, a little inside its edges, and where there are any."""
    height, width = surface.inverse_depth.shape
    y, x = rim.pixel // width, rim.pixel % width
    total, weight = colours.new_zeros(len(rim.pixel), 3), colours.new_zeros(len(rim.pixel))
    for row, column in offsets(RIM_WIDTH_PX + 1):
        inside = (y + row >= 0) & (y + row < height) & (x + column >= 0) & (x + column < width)
        there = (y + row).clamp(0, height - 1) * width + (x + column).clamp(0, width - 1)
        expected = rim.inverse_depth + rim.gradient[:, 0] * column + rim.gradient[:, 1] * row
        near = (surface.inverse_depth.flatten()[there] - expected).abs() < surface.edge * rim.inverse_depth
        share = (inside & near & pure.flatten()[there]) * math.hypot(row, column) ** -2
        total, weight = total + share[:, None] * colours.view(-1, 3)[there], weight + share
    return total / weight.clamp(min=1e-12)[:, None], weight > 0
