"""The rest map of liquids: where particles still lie as they did, where they have mixed, and where their surface is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, cast

import numpy as np
import torch
import warp as wp
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.motion.liquid_kernels import (
    FULL_SLOPE,
    SUPPORT_SPACINGS,
    SURFACE_SHARE,
    fields_kernel,
    read_kernel,
)
from gainer_ns.motion.rest_map import PointRows, RestPoints
from gainer_ns.motion.rest_map_kernels import NOWHERE_COORDINATE

NODES_PER_SPACING = 1.5
"""How densely fields are computed, which are read between these nodes."""
INSIDE_SPACINGS = 1.5
"""How far inside of it nothing is clear: not even what lay between parts that have met."""
SOFT_NODES = 2
"""Over so many nodes to each side what is whole changes to what has mixed."""
DIFFUSION_SPACINGS = 2.0
"""How far colours are blended with those around where liquid has mixed, to each side and twice."""
MAX_BEYOND_SPACINGS = 0.6
"""How far beyond the surface of the particles what is whole shows: hair, say, that is thinner than they lie apart."""


FULL_SHARE = 4 / (math.pi * SUPPORT_SPACINGS**2)
"""What share of its neighbourhood each squared spacing of weights is."""
MAX_PORE_SPACINGS = 4.0
"""Diameter of the largest hole that is closed: particles in motion leave such that no liquid would keep open."""
WALL_SPACINGS = 2.5
"""Where liquid meets a wall it is as deep, so near, as so far off: particles stop up to 1.5 spacings before walls."""
MIN_FREE_SHARE = 0.1
"""By a wall, what is free of a neighbourhood tells how full it is, unless it is less than this."""


class LiquidPoints(NamedTuple):
    """What liquid is at points.

    Attributes:
        found: Where they lay, as the particles around agree best.
        alpha: [m], of the liquid: a step over a pixel, at its surface.
        most: [m], the most of what is whole.
        inner: [m], the least of it, well inside of its surface.
        whole: [m], from 0, where particles have mixed, to 1, where they lie as they did.
        colours: [m, 3], means of those of the particles around.
    """

    found: RestPoints
    alpha: Float[Tensor, " m"]
    most: Float[Tensor, " m"]
    inner: Float[Tensor, " m"]
    whole: Float[Tensor, " m"]
    colours: Float[Tensor, "m 3"]


@dataclass(frozen=True)
class LiquidField:
    """Fields of particles that flow: their surface, where points lay, and the mean of their colours.

    The surface is where half of a neighbourhood is liquid, or nearer to the centre of what there is than the radius of
    a drop, so that films and drops remain (Zhu and Bridson, "Animating Sand as a Fluid", 2005). Where points lay is
    told by the affine map that fits the particles around best (moving least squares); by how much they are off it, the
    picture is whole there, or mixed.

    Attributes:
        rest: [p, 2], the particles at rest.
        positions: [p, 2], on the canvas.
        shares: [p], how much of a squared spacing each stands for.
        colours: [p, 3], that each carries.
        spacing: How far apart they were at rest.
        forward: Where points at rest have gone, and how a small step shows there.
        depths: How deep points of the canvas are in each of what is in the way, negative outside; None for nothing.
    """

    rest: Float[Tensor, "p 2"]
    positions: Float[Tensor, "p 2"]
    shares: Float[Tensor, " p"]
    colours: Float[Tensor, "p 3"]
    spacing: float
    forward: Callable[[Float[Tensor, "m 2"]], tuple[Float[Tensor, "m 2"], Float[Tensor, "m 2 2"]]]
    depths: Callable[[Float[Tensor, "m 2"]], Float[Tensor, "c m"]] | None = None

    @property
    def radius(self) -> float:
        """How far from a particle its part of the fields ends."""
        return SUPPORT_SPACINGS * self.spacing

    @cached_property
    def bounds(self) -> tuple[Float[Tensor, "2"], Float[Tensor, "2"]]:
        """Lowest and highest coordinates at which there can be anything."""
        return self.positions.amin(dim=0) - self.radius, self.positions.amax(dim=0) + self.radius

    @torch.no_grad()
    def located(self, points: Float[Tensor, "m 2"], pixel: float) -> LiquidPoints:
        """Return what liquid is at points of the canvas, which are pixels of a side."""
        count, device = len(points), points.device
        found = RestPoints(points.new_empty(count, 2), points.new_empty(count, 2, 2))
        alpha, most, inner, whole = points.new_empty(4, count)
        colours = points.new_empty(count, 3)
        outputs = [
            Typed(found.positions, wp.vec2),
            Typed(found.inverse_jacobians, wp.mat22),
            *(Typed(each, wp.float32) for each in (alpha, most, inner, whole)),
            Typed(colours, wp.vec3),
        ]
        inputs = [
            Typed(points.contiguous(), wp.vec2),
            *self._fields,
            *self._lattice,
            self._nodes[0],
            pixel,
            MAX_BEYOND_SPACINGS * self.spacing,
            INSIDE_SPACINGS * self.spacing,
            NOWHERE_COORDINATE,
        ]
        kernels.launch(read_kernel, count, [*inputs, *outputs], device)
        if self.depths is not None:
            seen = (most > 0).nonzero()[:, 0]
            outside = (0.5 - self.depths(points[seen]).amax(dim=0) / pixel).clamp(0, 1).to(alpha)
            for each in (alpha, most, inner):
                each[seen] *= outside
        return LiquidPoints(found, alpha, most, inner, whole, colours)

    def at(self, points: Float[Tensor, "m 2"]) -> RestPoints:
        """Return where points of the canvas lay."""
        return self.located(points, self.spacing).found

    def over(self, rows: PointRows, tolerance: float) -> RestPoints:
        """Return where points in rows and columns lay."""
        return self.at(rows.points)

    def to(self, device: torch.device | str) -> LiquidField:
        """Return the same fields on a device."""
        tensors = {name: value.to(device) for name, value in vars(self).items() if name in _TENSORS}
        return replace(self, **tensors)

    @property
    def _step(self) -> float:
        return self.spacing / NODES_PER_SPACING

    @cached_property
    def _nodes(self) -> tuple[int, int]:
        """Rows and columns of nodes."""
        low, high = self.bounds
        across, down = ((high - low) / self._step).tolist()
        return math.ceil(down) + 2, math.ceil(across) + 2

    @property
    def _lattice(self) -> list[object]:
        return [wp.vec2(*self.bounds[0].tolist()), self._step, self._nodes[1]]

    @cached_property
    def _fields(self) -> list[Typed]:
        """Levels, masses, wholes, places at rest, slopes and colours of the nodes, as they are read."""
        fields = self._told
        levels, masses, wholes, *_, colours = (each.tensor for each in fields)
        self._meet_walls(levels, masses)
        self._close_pores(levels)
        self._soften(wholes, levels)
        self._diffuse(colours, masses)
        return fields

    @property
    def _told(self) -> list[Typed]:
        """The same as the particles around each node tell."""
        low, high = self.bounds
        across, down = (int(cells) + 1 for cells in ((high - low) / self.radius).tolist())
        column, row = ((self.positions - low) / self.radius).floor().long().unbind(dim=1)
        keys, order = (row * across + column).sort(stable=True)
        starts = torch.searchsorted(keys, torch.arange(across * down + 1, device=keys.device), out_int32=True)
        ordered = [each[order].float().contiguous() for each in (self.positions, self.rest, self.shares, self.colours)]
        kinds = wp.vec2, wp.vec2, wp.float32, wp.vec3
        count, like = math.prod(self._nodes), self.positions
        levels, masses, wholes = like.new_empty(3, count)
        fields = [
            *(Typed(each, wp.float32) for each in (levels, masses, wholes)),
            Typed(like.new_empty(count, 2), wp.vec2),
            Typed(like.new_empty(count, 2, 2), wp.mat22),
            Typed(like.new_zeros(count, 3), wp.vec3),
        ]
        inputs = [
            *(Typed(each, kind) for each, kind in zip(ordered, kinds, strict=True)),
            Typed(starts, wp.int32),
            across,
            down,
            wp.vec2(*low.tolist()),
            self.spacing,
            *self._lattice,
        ]
        kernels.launch(fields_kernel, count, [*inputs, *fields], like.device)
        return fields

    def _meet_walls(self, levels: Float[Tensor, " n"], masses: Float[Tensor, " n"]) -> None:
        """Let the surface go on in walls, as if there were liquid: it is drawn up to them, as deep as a little off."""
        if self.depths is None:
            return
        axes = zip(self.bounds[0], reversed(self._nodes), strict=True)
        x, y = (low + self._step * torch.arange(size).to(levels) for low, size in axes)
        depths = self.depths(torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).view(-1, 2)).to(levels)
        free = (1 - half_plane_share(depths / self.radius)).prod(dim=0)
        beside = surface_level(masses * FULL_SHARE / free.clamp(min=MIN_FREE_SHARE), self.radius)
        levels.copy_(torch.where(free < 1, torch.maximum(levels, beside), levels))
        for depth in depths:
            near = ((depth > -WALL_SPACINGS * self.spacing) & (levels > 0)).nonzero()[:, 0]
            off = (depth[near] + WALL_SPACINGS * self.spacing)[:, None] * self._falls(depth)[near]
            levels[near] = torch.maximum(levels[near], self._between(levels, near, off))

    def _falls(self, depth: Float[Tensor, " n"]) -> Float[Tensor, "n 2"]:
        """Return the way out of what is in the way, by how deep nodes are in it: unit vectors."""
        down, across = torch.gradient(depth.view(self._nodes), spacing=self._step)
        return -functional.normalize(torch.stack([across, down], dim=-1).view(-1, 2), dim=1)

    def _between(
        self, values: Float[Tensor, " n"], nodes: Int[Tensor, " m"], steps: Float[Tensor, "m 2"]
    ) -> Float[Tensor, " m"]:
        """Return values of the nodes, bilinearly, at steps away from some of them."""
        rows, columns = self._nodes
        places = torch.stack([nodes % columns, nodes // columns], dim=1) + steps / self._step
        places = 2 * places / places.new_tensor([columns - 1, rows - 1]) - 1
        image = values.view(1, 1, rows, columns)
        return functional.grid_sample(image, places.view(1, 1, -1, 2), padding_mode="border", align_corners=True).view(
            -1
        )

    def _close_pores(self, levels: Float[Tensor, " n"]) -> None:
        """Close holes that are smaller than particles tell of."""
        from scipy.ndimage import label  # which what draws other pictures does without

        holes, count = cast("tuple[np.ndarray, int]", label((levels < 0).view(self._nodes).cpu().numpy()))
        areas = np.bincount(holes.ravel(), minlength=count + 1) / NODES_PER_SPACING**2
        pores = np.append(False, areas[1:] < math.pi / 4 * MAX_PORE_SPACINGS**2)
        levels.masked_fill_(torch.from_numpy(pores[holes].ravel()).to(levels.device), INSIDE_SPACINGS * self.spacing)

    def _soften(self, wholes: Float[Tensor, " n"], levels: Float[Tensor, " n"]) -> None:
        """Let what is whole end softly where it meets what has mixed, and before it; outside counts for neither."""
        mixed = torch.where(levels > 0, 1 - wholes, 0.0).view(1, *self._nodes)
        mixed = functional.max_pool2d(mixed, 2 * SOFT_NODES + 1, 1, SOFT_NODES)
        for _ in range(SOFT_NODES):
            mixed = functional.avg_pool2d(mixed, 3, 1, 1)
        soft = 1 - mixed.flatten()
        wholes.copy_(torch.where(levels > 0, soft, torch.minimum(wholes, soft)))

    def _diffuse(self, colours: Float[Tensor, "n 3"], masses: Float[Tensor, " n"]) -> None:
        """Blend the colours of nodes with those around, as liquids do that have mixed."""
        rows, columns = self._nodes
        sums = torch.cat([colours * masses[:, None], masses[:, None]], dim=1).T.view(1, 4, rows, columns)
        side = 2 * round(DIFFUSION_SPACINGS * NODES_PER_SPACING) + 1
        for _ in range(2):
            sums = functional.avg_pool2d(sums, (1, side), 1, (0, side // 2))
            sums = functional.avg_pool2d(sums, (side, 1), 1, (side // 2, 0))
        colours.copy_((sums[0, :3] / sums[0, 3:].clamp(min=1e-12)).view(3, -1).T)


def surface_level(filled: Float[Tensor, " n"], radius: float) -> Float[Tensor, " n"]:
    """Return how deep below the surface that is, about, whose neighbourhood is so full."""
    return (filled - SURFACE_SHARE) * radius / FULL_SLOPE


def half_plane_share(depth: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return what share of a neighbourhood, as particles weigh, lies in a half plane in which it is so many radii deep.

    That is the integral of ``(1 - x^2)^(7 / 2)``, normalised, by the angle whose sine is x.
    """
    angle = depth.clamp(-1, 1).asin()
    waves = 28 * (2 * angle).sin() + 7 * (4 * angle).sin() + 4 / 3 * (6 * angle).sin() + (8 * angle).sin() / 8
    return 0.5 + (35 * angle + waves) / (35 * math.pi)


_TENSORS = ("rest", "positions", "shares", "colours")
