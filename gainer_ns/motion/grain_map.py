"""The rest map of grains: what holds together shows the picture, every particle that has come loose its own patch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
import warp as wp
from jaxtyping import Float, Int, Int32
from torch import Tensor
from torch.nn import functional

from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.gaussians.small_matrices import singular_range
from gainer_ns.motion.grain_kernels import Grains, locate_grains_kernel
from gainer_ns.motion.rest_map import PointRows, RestPoints

WHOLE_REACH_SPACINGS = 1.4
"""How far from it a particle shows something that holds together with its neighbours: beyond the edge of the body."""
SUPPORT_SPACINGS = 1.5
"""How far from it such a particle says, with others, where points lay."""
PARTING_SPACINGS = 0.35
"""By how many spacings particles disagree about a point when they no longer count as one."""
DENSITY_SPACINGS = 3.0
"""How many spacings around a place it is told by the grains whether gaps are closed there."""
ASIDE_WEIGHT = 0.8
CLOSING_BEGIN, CLOSING_END = 0.16, 0.18
"""Gaps are closed where grains lie densely and all around: by how many there are relative to rest, less this weight
times the length of the mean way to them relative to their mean distance. Up to the first bound nothing is closed, from
the second on all."""
CLOSING_SPACINGS = 2.0
"""How far away the particle is at least looked for that closes a gap."""
MAX_BINS = 1 << 22
"""Where grains are spread over more, bins are larger."""


class RestOwners(NamedTuple):
    """Which particle is nearest to each place at rest: by cells of a raster.

    Attributes:
        numbers: [r, c], of the particles; -1 for none.
        low: Corner of the first cell.
        step: To the next of its row, and of its column; either may be negative.
    """

    numbers: Int32[Tensor, "r c"]
    low: tuple[float, float]
    step: tuple[float, float]


@dataclass(frozen=True)
class GrainMap:
    """Where points of a canvas lay, by the grain that is in front there.

    A particle that has come loose is a grain: a small disc that shows the picture around the particle at rest, moved by
    the particle's own affine map alone. Grains bulge: where several cover a point, the one whose surface is highest
    there is shown, so that nothing is averaged across them. Gaps within a heap are closed by the nearest grain. Where
    particles still hold together, it is a blend of the affine maps of all that agree, a partition of unity (Babuska and
    Melenk 1997); from one to the other it changes with how loose the particle is, without a jump.

    Attributes:
        positions: [p, 2], the particles on the canvas.
        origins: [p, 2], at rest, the place that each shows at its middle.
        inverse_gradients: [p, 2, 2], of their deformation gradients.
        looseness: [p], from 0, where a particle holds together with its neighbours, to 1, where it is a grain.
        heights: [p], from 0 to 1, the order of depth of grains.
        patches: [p], at rest, how far around its origin a grain shows the picture; farther out as it is there.
        shades: [p], by how much a grain is lighter than the picture, from -1 to 1.
        radius: Of a grain.
        spacing: Of the particles at rest.
        pixel: Side of a pixel of the canvas, over which edges end.
        forward: Where points at rest have gone, and how a small step shows there.
        owners: Of a body that tears: nothing shows where the particle nearest at rest has it elsewhere, and no gap is
            closed. None of grains.
    """

    positions: Float[Tensor, "p 2"]
    origins: Float[Tensor, "p 2"]
    inverse_gradients: Float[Tensor, "p 2 2"]
    looseness: Float[Tensor, " p"]
    heights: Float[Tensor, " p"]
    patches: Float[Tensor, " p"]
    shades: Float[Tensor, " p"]
    radius: float
    spacing: float
    pixel: float
    forward: Callable[[Float[Tensor, "m 2"]], tuple[Float[Tensor, "m 2"], Float[Tensor, "m 2 2"]]]
    owners: RestOwners | None = None

    @cached_property
    def reaches(self) -> Float[Tensor, " p"]:
        """How far from it, at rest, each particle shows something."""
        whole = torch.full_like(self.looseness, WHOLE_REACH_SPACINGS * self.spacing)
        return torch.lerp(whole, torch.full_like(whole, self.radius), self.looseness)

    @cached_property
    def _shown_reaches(self) -> Float[Tensor, " p"]:
        """How far from it, on the canvas, each particle may say something about points."""
        smallest, _ = singular_range(self.inverse_gradients)
        support = SUPPORT_SPACINGS * self.spacing * (self.looseness < 1)
        return torch.maximum(self.reaches, support) / smallest + self.pixel

    @property
    def bounds(self) -> tuple[Float[Tensor, "2"], Float[Tensor, "2"]]:
        """Lowest and highest coordinates at which there can be anything."""
        reach = self._shown_reaches[:, None]
        return (self.positions - reach).amin(dim=0), (self.positions + reach).amax(dim=0)

    def at(self, points: Float[Tensor, "m 2"]) -> RestPoints:
        """Return where points of the canvas lay."""
        return self._located(points, self.pixel)

    def over(self, rows: PointRows, tolerance: float) -> RestPoints:
        """Return where points in rows and columns lay."""
        return self._located(rows.points, float((rows.x[1] - rows.x[0]).abs()) if len(rows.x) > 1 else self.pixel)

    @torch.no_grad()
    def _located(self, points: Float[Tensor, "m 2"], pixel: float) -> RestPoints:
        coverage, shade = points.new_empty(2, len(points), 1)
        result = RestPoints(points.new_empty(len(points), 2), points.new_empty(len(points), 2, 2), coverage, shade)
        outputs = [
            Typed(result.positions, wp.vec2),
            Typed(result.inverse_jacobians, wp.mat22),
            Typed(coverage.view(-1), wp.float32),
            Typed(shade.view(-1), wp.float32),
        ]
        inputs = [Typed(points.contiguous(), wp.vec2), self._grains, min(pixel, self.pixel), *outputs]
        kernels.launch(locate_grains_kernel, len(points), inputs, points.device)
        return result

    @cached_property
    def _grains(self) -> Any:
        """What the kernel reads: particles in the order of the bins in which they are."""
        low, high = self.bounds
        extent = (high - low).double()
        nearby = float(self._shown_reaches.amin()) * (
            1 + 1e-4
        )  # so that neighbouring bins are enough where all is loose
        side = max(self.spacing, nearby, float((extent.prod() / MAX_BINS).sqrt()))
        columns, rows = (int(length / side) + 2 for length in extent.tolist())
        column, row = ((self.positions - low) / side).long().unbind(1)
        bins = row * columns + column
        order = bins.argsort(stable=True)
        counts = torch.bincount(bins, minlength=rows * columns)
        starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).int()
        closing_window = math.ceil(CLOSING_SPACINGS * self.spacing / side)
        windows = _windows((self._shown_reaches / side).ceil(), bins, (rows, columns), closing_window)

        def sorted_as(values: Tensor, kind: Any) -> Typed:
            return Typed(values.float()[order].contiguous(), kind)

        closed = _closed(counts.view(rows, columns), side / self.spacing)
        owners = torch.empty(0, 0, dtype=torch.int32, device=order.device)
        (left, top), (across, down) = (0.0, 0.0), (1.0, 1.0)
        if self.owners is not None:
            place = torch.empty_like(order)
            place[order] = torch.arange(len(order), device=order.device)
            found, (left, top), (across, down) = self.owners
            owners = torch.where(found < 0, -1, place[found.clamp(min=0).long()]).int().contiguous()
            closed = torch.zeros_like(closed)
        return kernels.struct(
            Grains,
            owners=Typed(owners.view(-1), wp.int32),
            owner_low=wp.vec2(left, top),
            owner_step=wp.vec2(across, down),
            owner_columns=owners.shape[1],
            owner_rows=owners.shape[0],
            starts=Typed(starts, wp.int32),
            windows=Typed(windows, wp.int32),
            closed=Typed(closed, wp.float32),
            closing_window=closing_window,
            columns=columns,
            rows=rows,
            low=wp.vec2(*low.tolist()),
            bin_side=side,
            positions=sorted_as(self.positions, wp.vec2),
            origins=sorted_as(self.origins, wp.vec2),
            inverses=sorted_as(self.inverse_gradients, wp.mat22),
            looseness=sorted_as(self.looseness, wp.float32),
            reaches=sorted_as(self.reaches, wp.float32),
            bounds=sorted_as(self._shown_reaches.square(), wp.float32),
            patches=sorted_as(self.patches / self.looseness.clamp(min=1e-6), wp.float32),
            shades=sorted_as(self.looseness * self.shades, wp.float32),
            heights=sorted_as(self.looseness * self.heights * self.radius**2, wp.float32),
            sharpness=1 / (SUPPORT_SPACINGS * self.spacing) ** 2,
            parting=0.5 / (PARTING_SPACINGS * self.spacing) ** 2,
        )

    def to(self, device: torch.device | str) -> GrainMap:
        """Return the same map on a device."""
        tensors = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        fields = {name: tensors[name] for name in self.__dataclass_fields__ if name in tensors}
        owners = None if self.owners is None else self.owners._replace(numbers=self.owners.numbers.to(device))
        return replace(self, **fields, owners=owners)


def _windows(
    reaches: Float[Tensor, " p"], bins: Int[Tensor, " p"], shape: tuple[int, int], least: int
) -> Int32[Tensor, " b"]:
    """Return how many bins away particles are, at most, that say something about the points of each bin.

    Args:
        reaches: Of particles, in bins, whole numbers.
        bins: In which they are.
        shape: Rows and columns of the bins.
        least: Bins that are so near to a particle count too; -1 where there is none.
    """
    result = torch.full(shape, -1.0, device=bins.device)
    for reach in reaches.unique().tolist():
        there = result.new_full((shape[0] * shape[1],), -1.0).index_fill(0, bins[reaches == reach], reach)
        away = int(max(reach, least))
        rows = functional.max_pool2d(there.view(1, *shape), (1, 2 * away + 1), 1, (0, away))
        result = torch.maximum(result, functional.max_pool2d(rows, (2 * away + 1, 1), 1, (away, 0))[0])
    return result.flatten().int()


def _closed(counts: Int[Tensor, "r c"], side: float) -> Float[Tensor, " b"]:
    """Return how far gaps are closed in the middle of each bin: 0 and less for not, 1 and more for wholly.

    Args:
        counts: Particles in each bin.
        side: Of the bins, spacings.
    """
    away = math.ceil(DENSITY_SPACINGS / side)
    steps = side * torch.arange(-away, away + 1, device=counts.device)
    x, y = steps[None, :].expand(len(steps), -1), steps[:, None].expand(-1, len(steps))
    distances = torch.hypot(x, y)
    shares = (1 - distances / DENSITY_SPACINGS).clamp(min=0)
    weights = torch.stack([shares, shares * x, shares * y, shares * distances])
    read = functional.conv2d(counts[None, None].float(), weights[:, None], padding=away)[0]
    density = read[0] / (side * side * shares.sum())
    aside = torch.hypot(read[1], read[2]) / read[3].clamp(min=1e-12)
    dense = density - ASIDE_WEIGHT * aside
    return ((dense - CLOSING_BEGIN) / (CLOSING_END - CLOSING_BEGIN)).flatten()
