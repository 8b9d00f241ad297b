"""A surface as Gaussians: a flat disc on every pixel, and transparent or hidden ones where the surface ends."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.frames import PinholeCamera
from gainer_ns.gaussians.disc_links import NO_DISC, DiscLinks
from gainer_ns.lifting.matting import Matte
from gainer_ns.lifting.surface import DepthSurface, Rim

DISC_THICKNESS_PX = 0.25
"""Thickness of a disc, in widths of a pixel at its depth, where its radius is 1."""
_SOLID_COVERAGE = 0.98
"""From this coverage on a pixel at an edge counts as all of one surface."""
_HIDDEN_OVERLAP_PX = 1.5
"""How far, in pixels, a surface stays opaque behind what hides it, so that no seam shows between the two."""


@dataclass(frozen=True)
class Discs:
    """Where the Gaussians of a surface lie in space, and what they stand for.

    Attributes:
        means: [n, 3], in the units of the depth, in the axes of the camera that took the photo.
        jacobians: [n, 3, 3]: how space moves with a step of one pixel along x, along y, and of one disc's thickness
            towards the camera.
        pixel: [n], row-major indices of the photo's pixels that they belong to: those of a rim belong to the pixel
            whose surface they continue.
        colours: [n, 3], what they should decode to.
        opacity: [n], likewise: 1 or more where the surface is solid, 0 or less where there is none.
        links: Which of them are neighbours on the surface.
    """

    means: Float[Tensor, "n 3"]
    jacobians: Float[Tensor, "n 3 3"]
    pixel: Int[Tensor, " n"]
    colours: Float[Tensor, "n 3"]
    opacity: Float[Tensor, " n"]
    links: DiscLinks

    def __len__(self) -> int:
        return len(self.means)


def place_discs(
    surface: DepthSurface,
    rim: Rim,
    edges: Matte,
    camera: PinholeCamera,
    opacity: Float[Tensor, "h w"] | None = None,
) -> Discs:
    """Place discs on every pixel of a surface and on its rim.

    Opacity falls from 1 at the last pixel of a surface to 0 one pixel beyond it, as steeply as a pixel's own area fades
    out, and a surface goes on solid for a pixel behind whatever hides it.

    Args:
        surface: Over the camera's pixels.
        rim: Of the surface.
        edges: The photo's colours, taken apart along the rim.
        camera: The one that took the photo.
        opacity: Of its pixels; None where all are opaque.
    """
    own = surface.known.flatten().nonzero()[:, 0]
    pixel = torch.cat([own, rim.pixel])
    source = torch.cat([own, rim.source])
    inverse_depth = torch.cat([surface.inverse_depth.flatten()[own], rim.inverse_depth])
    gradient = torch.cat([surface.gradient.view(-1, 2)[own], rim.gradient])
    inside, covered = surface.edge_distance.flatten()[own], edges.coverage.flatten()[own]
    inside = torch.where(covered < _SOLID_COVERAGE, covered, inside)
    outside = torch.where(rim.hidden, 1 + _HIDDEN_OVERLAP_PX, 1.0) - rim.distance
    outside = torch.where(edges.rim_coverage > 1 - _SOLID_COVERAGE, edges.rim_coverage, outside)
    solid = torch.cat([inside, outside])
    if opacity is not None:
        seen = opacity.double().flatten()[source]
        solid = torch.where(seen < 1, torch.minimum(solid, seen), solid)
    place = torch.stack([pixel % camera.width, pixel // camera.width], dim=-1).double() + 0.5
    means = camera.unproject(place, inverse_depth)
    tangents = camera.unprojection_jacobian(place, inverse_depth, gradient)
    normals = torch.linalg.cross(tangents[..., 0], tangents[..., 1])
    normals = torch.nn.functional.normalize(normals, dim=-1)
    normals = normals * torch.where((normals * means).sum(dim=-1, keepdim=True) > 0, -1.0, 1.0)
    width = 1 / (inverse_depth * sum(camera.focal_length) / 2)
    jacobians = torch.cat([tangents, (DISC_THICKNESS_PX * width[:, None] * normals)[..., None]], dim=-1)
    shown = torch.cat([edges.colours.view(-1, 3)[own], edges.rim_colours])
    links = _links(surface, rim, inverse_depth, gradient)
    return Discs(means.float(), jacobians.float(), source, shown.float(), solid.float(), links)


def _links(
    surface: DepthSurface, rim: Rim, inverse_depth: Float[Tensor, " n"], gradient: Float[Tensor, "n 2"]
) -> DiscLinks:
    """Return which discs are neighbours: those of adjacent pixels that lie nearest to each other's planes.

    A pixel may have three discs: its own, one of a rim before it, and one of a rim behind it.
    """
    height, width = surface.known.shape
    own = int(surface.known.sum())
    numbers = torch.full((3, height * width), NO_DISC)
    numbers[0][surface.known.flatten()] = torch.arange(own)
    numbers[1 + rim.hidden.long(), rim.pixel] = own + torch.arange(len(rim.pixel))
    numbers = numbers.view(3, height, width)
    return DiscLinks.of(*(_linked(numbers, inverse_depth, gradient, surface.edge, axis).int() for axis in range(2)))


def _linked(
    numbers: Int[Tensor, "3 h w"],
    inverse_depth: Float[Tensor, " n"],
    gradient: Float[Tensor, "n 2"],
    edge: float,
    axis: int,
) -> Int[Tensor, " n"]:
    """Return the neighbour of each disc a step along x (axis 0) or y (axis 1)."""
    size = numbers.shape[2 - axis]
    these, those = (numbers.narrow(2 - axis, start, size - 1).flatten(1) for start in (0, 1))
    misses = inverse_depth.new_full((3, 3, these.shape[1]), torch.inf)
    for i, one in enumerate(these):
        for j, other in enumerate(those):
            both = ((one >= 0) & (other >= 0)).nonzero()[:, 0]
            a, b = one[both], other[both]
            ahead = (inverse_depth[a] + gradient[a, axis] - inverse_depth[b]).abs()
            back = (inverse_depth[b] - gradient[b, axis] - inverse_depth[a]).abs()
            miss = torch.minimum(ahead, back) / inverse_depth[a]
            # What the photo shows goes on in what it shows, wherever it can.
            misses[i, j, both] = torch.where(miss < edge, miss - float(i == j == 0), torch.inf)
    least, back = misses.amin(dim=1, keepdim=True), misses.amin(dim=0, keepdim=True)
    linked = torch.full((len(inverse_depth),), NO_DISC)
    i, j, place = ((misses == least) & (misses == back) & misses.isfinite()).nonzero(as_tuple=True)
    linked[these[i, place]] = those[j, place]
    return linked
