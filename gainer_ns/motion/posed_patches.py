"""The patches of a posed grid, listed by the cells of the canvas that they touch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
import warp as wp
from jaxtyping import Float, Int, Int32
from torch import Tensor

from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.motion.control_grid import ControlGrid
from gainer_ns.motion.posed_patch_kernels import (
    PosedPatches,
    count_touching_kernel,
    list_touching_kernel,
    measure_patches_kernel,
    tell_single_kernel,
)

_MAX_CELLS_PER_PATCH = 4
"""More cells than so many times the patches would be empty for the most part."""
_MAX_CELLS_TOUCHED = 64
"""How many cells a patch touches on average, at most: bounds memory."""
_CENTRAL_SHARE = 0.98
"""Of the patches, which the cells are laid over where all of them would spread too far."""

Limits = tuple[tuple[float, float], tuple[float, float]]
"""Lowest and highest coordinates."""


@dataclass(frozen=True)
class MeasuredPatches:
    """Where the patches of a posed grid are, and how far from straight.

    Attributes:
        grid: The grid.
        corners: [p], the node before each.
        centres: [p, 2], where the middle has gone.
        inverses: [p, 2, 2], from steps there to patches.
        bulges: [p], how far from where it would lie if the patch were straight a point of it may be, in patches.
        low: [p, 2], least coordinates on the canvas.
        high: [p, 2], largest.
        doubtful: [p], 1 where it may cover itself or what is beside it, else 0.
    """

    grid: ControlGrid
    corners: Int32[Tensor, " p"]
    centres: Float[Tensor, "p 2"]
    inverses: Float[Tensor, "p 2 2"]
    bulges: Float[Tensor, " p"]
    low: Float[Tensor, "p 2"]
    high: Float[Tensor, "p 2"]
    doubtful: Int32[Tensor, " p"]

    @classmethod
    def of(cls, grid: ControlGrid, corners: Int32[Tensor, " p"]) -> MeasuredPatches:
        """Measure patches, one or more, by the nodes before them."""
        count, device = len(corners), corners.device
        measured = cls(
            grid,
            corners,
            *(torch.empty(count, *shape, device=device) for shape in ((2,), (2, 2), (), (2,), (2,))),
            doubtful=torch.empty_like(corners),
        )
        inputs = [
            Typed(grid.nodes.view(-1, 2), wp.vec2),
            Typed(grid.coefficients.view(-1, 2), wp.vec2),
            Typed(corners, wp.int32),
            grid.nodes.shape[1],
            math.copysign(1.0, grid.step[0] * grid.step[1]),
            Typed(measured.centres, wp.vec2),
            Typed(measured.inverses, wp.mat22),
            Typed(measured.bulges, wp.float32),
            Typed(measured.low, wp.vec2),
            Typed(measured.high, wp.vec2),
            Typed(measured.doubtful, wp.int32),
        ]
        kernels.launch(measure_patches_kernel, count, inputs, device)
        return measured

    def listed(self, depths: Float[Tensor, " p"], limits: Limits | None, device: torch.device) -> Any:
        """Return what kernels read: a ``PosedPatches``.

        Args:
            depths: Of each patch, the larger the nearer.
            limits: At rest, of what there is of the sheet; None for all of the patches.
            device: Where the kernels run.
        """
        grid, (cells, offsets, members, single) = self.grid, self.crowd
        low, high = limits or ((-math.inf, -math.inf), (math.inf, math.inf))

        def there(values: Tensor, kind: Any) -> Typed:
            return Typed(values.to(device), kind)

        return kernels.struct(
            PosedPatches,
            origin=wp.vec2(*cells.origin),
            cells_per_unit=1 / cells.side,
            columns=cells.columns,
            rows=cells.rows,
            offsets=there(offsets, wp.int32),
            members=there(members, wp.int32),
            single=there(single, wp.int32),
            corners=there(self.corners, wp.int32),
            centres=there(self.centres, wp.vec2),
            inverses=there(self.inverses, wp.mat22),
            bulges=there(self.bulges, wp.float32),
            depths=there(depths.float().contiguous(), wp.float32),
            coefficients=there(grid.coefficients.view(-1, 2), wp.vec2),
            width=grid.nodes.shape[1],
            rest_origin=wp.vec2(*grid.origin),
            rest_step=wp.vec2(*grid.step),
            low=wp.vec2(*low),
            high=wp.vec2(*high),
        )

    @cached_property
    def crowd(self) -> PatchCrowd:
        """Which patches touch which cells of the canvas."""
        cells, spans = self._cells()
        offsets, members = _listed(cells, spans)
        single = torch.empty_like(offsets[1:])
        inputs = [Typed(one, wp.int32) for one in (offsets, members, self.corners, self.doubtful)]
        inputs = [*inputs, self.grid.nodes.shape[1], Typed(single, wp.int32)]
        kernels.launch(tell_single_kernel, len(single), inputs, single.device)
        return PatchCrowd(cells, offsets, members, single)

    def _cells(self) -> tuple[_Cells, Int32[Tensor, "p 4"]]:
        """Lay cells over the patches, about as large as most of these, and tell which each touches."""
        low, high = self.low, self.high
        side = float((high - low).amax(dim=1).median().clamp(min=1e-9))
        start, end = low.amin(dim=0), high.amax(dim=0)
        if float(((end - start) / side + 1).prod()) > _MAX_CELLS_PER_PATCH * len(low):
            share = low.new_tensor([(1 - _CENTRAL_SHARE) / 2, (1 + _CENTRAL_SHARE) / 2])
            start, end = torch.quantile(self.centres[:: max(1, len(low) // 65_536)], share, dim=0)
            side = max(side, float(((end - start).prod() / (_MAX_CELLS_PER_PATCH * len(low))).sqrt()))
        while True:
            columns, rows = ((end - start) / side).ceil().int().clamp(min=1).tolist()
            limit = low.new_tensor([columns - 1, rows - 1])
            first, last = (((corner - start) / side).floor().clamp(min=0).minimum(limit) for corner in (low, high))
            if columns * rows == 1 or float((last - first + 1).prod(dim=1).sum()) <= _MAX_CELLS_TOUCHED * len(low):
                break
            side *= 2  # some patches are so much larger than most that they would be in nearly all cells
        x, y = start.tolist()
        return _Cells((x, y), side, columns, rows), torch.cat([first, last], dim=1).int()


class PatchCrowd(NamedTuple):
    """Patches by the cells of a grid over the canvas that they touch.

    Attributes:
        cells: The grid.
        offsets: [cells + 1], where each cell's patches begin.
        members: Patches, cell by cell.
        single: [cells], 1 where no two patches can lie over one another.
    """

    cells: _Cells
    offsets: Int[Tensor, " o"]
    members: Int32[Tensor, " e"]
    single: Int32[Tensor, " cells"]


class _Cells(NamedTuple):
    """A grid over the canvas; what lies beyond it belongs to the cells of its border."""

    origin: tuple[float, float]
    side: float
    columns: int
    rows: int


def _listed(cells: _Cells, spans: Int32[Tensor, "p 4"]) -> tuple[Int[Tensor, " o"], Int32[Tensor, " e"]]:
    """Return where the patches of each cell begin among all that are listed, cell by cell, and these."""
    device, count = spans.device, len(spans)
    offsets = torch.zeros(cells.columns * cells.rows + 1, dtype=torch.int32, device=device)
    inputs = [Typed(spans, wp.vec4i), cells.columns]
    # In one range: on CPUs Warp's atomic operations hold for one thread.
    kernels.launch(count_touching_kernel, count, [*inputs, Typed(offsets[1:], wp.int32)], device, grain=count)
    offsets = offsets.cumsum(0, dtype=torch.int32)
    members = torch.empty(int(offsets[-1]), dtype=torch.int32, device=device)
    outputs = [Typed(offsets[:-1].clone(), wp.int32), Typed(members, wp.int32)]
    kernels.launch(list_touching_kernel, count, [*inputs, *outputs], device, grain=count)
    return offsets, members
