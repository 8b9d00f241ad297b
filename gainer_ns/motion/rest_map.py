"""Rest maps: where the points of a canvas lie on a sheet at rest, once the sheet has been posed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, NamedTuple

import torch
import warp as wp
from jaxtyping import Bool, Float, Int32, Int64
from torch import Tensor

from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.gaussians.small_matrices import determinant, inverse
from gainer_ns.motion.control_grid import ControlGrid
from gainer_ns.motion.rest_map_kernels import (
    NOWHERE_COORDINATE,
    TILE_POINTS,
    PosedPatches,
    locate_kernel,
    locate_tiles_kernel,
)

_MAX_CELLS_PER_PATCH = 4
"""More cells than so many times the patches would be empty for the most part."""
_MAX_CELLS_TOUCHED = 64
"""How many cells a patch touches on average, at most: bounds memory."""
_CENTRAL_SHARE = 0.98
"""Of the patches, which the cells are laid over where all of them would spread too far."""
_TILE_GRAIN = 64
"""Tiles that a thread takes at least at once."""
_MAX_SINGLE_SPAN = 3
"""Patches that lie in one cell and no farther apart at rest are of one layer, if none is turned over or bent much."""
_MAX_SINGLE_BULGE = 0.5
"""In patches: what is bent more may fold."""


class PointRows(NamedTuple):
    """Points in rows and columns on the canvas.

    Attributes:
        x: [c], of the columns, evenly spaced.
        y: [r], of the rows.
    """

    x: Float[Tensor, " c"]
    y: Float[Tensor, " r"]

    @property
    def points(self) -> Float[Tensor, "m 2"]:
        """All of them, row by row."""
        return torch.stack(torch.broadcast_tensors(self.x[None, :], self.y[:, None]), dim=-1).view(-1, 2)


class RestPoints(NamedTuple):
    """Where points of the canvas lay.

    Attributes:
        positions: [m, 2], on the sheet at rest; ``NOWHERE_COORDINATE`` where there is no sheet.
        inverse_jacobians: [m, 2, 2], from steps on the canvas to steps at rest; 0 where there is no sheet.
    """

    positions: Float[Tensor, "m 2"]
    inverse_jacobians: Float[Tensor, "m 2 2"]

    @classmethod
    def nowhere(cls, count: int, device: torch.device) -> RestPoints:
        """Return those of points where there is no sheet."""
        return cls(torch.full((count, 2), NOWHERE_COORDINATE, device=device), torch.zeros(count, 2, 2, device=device))

    @property
    def found(self) -> Bool[Tensor, " m"]:
        """Whether the sheet is there."""
        return self.positions[:, 0] != NOWHERE_COORDINATE


@dataclass(frozen=True)
class RestMap:
    """The inverse of a map of the plane, which need not be one to one: where a sheet covers itself, the nearest counts.

    Nearest is what faces as it did, before what is turned over; among these what has the greatest depth; then what
    comes last on the sheet.

    Attributes:
        grid: Where the sheet has gone.
        present: [r - 3, c - 3], which patches there are: the one at ``(row, column)`` begins at the node
            ``(row + 1, column + 1)``. None for all.
        depths: [r - 3, c - 3], the larger the nearer; None where all lie equally deep.
        limits: Lowest and highest coordinates, at rest, of what there is of the sheet; None for all of the patches.
    """

    grid: ControlGrid
    present: Bool[Tensor, "r c"] | None = None
    depths: Float[Tensor, "r c"] | None = None
    limits: tuple[tuple[float, float], tuple[float, float]] | None = None

    @torch.no_grad()
    def at(self, points: Float[Tensor, "m 2"]) -> RestPoints:
        """Return where points of the canvas lay at rest."""
        if self._patches is None:
            return RestPoints.nowhere(len(points), points.device)
        result = RestPoints(points.new_empty(len(points), 2), points.new_empty(len(points), 2, 2))
        outputs = [Typed(result.positions, wp.vec2), Typed(result.inverse_jacobians, wp.mat22)]
        inputs = [Typed(points.contiguous(), wp.vec2), self._patches, *outputs]
        kernels.launch(locate_kernel, len(points), inputs, points.device)
        return result

    @torch.no_grad()
    def over(self, rows: PointRows, tolerance: float) -> RestPoints:
        """Return where points in rows and columns lay at rest, row by row; as :meth:`at` does, in a part of the time.

        Tiles of them are interpolated between their corners where the sheet lies in one layer.

        Args:
            rows: The points.
            tolerance: How far off an interpolated position may be, in the units of the sheet at rest.
        """
        x, y = rows
        count = len(x) * len(y)
        if self._patches is None:
            return RestPoints.nowhere(count, x.device)
        result = RestPoints(x.new_empty(count, 2), x.new_empty(count, 2, 2))
        outputs = [Typed(result.positions, wp.vec2), Typed(result.inverse_jacobians, wp.mat22)]
        inputs = [Typed(x, wp.float32), Typed(y, wp.float32), self._patches, tolerance, *outputs]
        tiles = math.ceil(len(x) / TILE_POINTS) * math.ceil(len(y) / TILE_POINTS)
        kernels.launch(locate_tiles_kernel, tiles, inputs, x.device, grain=_TILE_GRAIN)
        return result

    def forward(self, points: Float[Tensor, "m 2"]) -> tuple[Float[Tensor, "m 2"], Float[Tensor, "m 2 2"]]:
        """Return where points at rest have gone, and how a small step shows there."""
        return self.grid.with_jacobians(points)

    @property
    def bounds(self) -> tuple[Float[Tensor, "2"], Float[Tensor, "2"]]:
        """Lowest and highest coordinates, on the canvas, at which there can be anything."""
        columns, nodes = self.grid.nodes.shape[1], self.grid.nodes.view(-1, 2)
        if len(self._members) == 0:
            return nodes.new_full((2,), torch.inf), nodes.new_full((2,), -torch.inf)
        corners = torch.cat([nodes[self._members + away] for away in (0, 1, columns, columns + 1)])
        margin = self._bulges_of_patches.amax()
        return corners.amin(dim=0) - margin, corners.amax(dim=0) + margin

    def to(self, device: torch.device | str) -> RestMap:
        """Return the same map on a device."""
        present, depths = (None if one is None else one.to(device) for one in (self.present, self.depths))
        return RestMap(self.grid.to(device), present, depths, self.limits)

    @cached_property
    def _members(self) -> Int64[Tensor, " p"]:
        """The nodes before the patches that there are."""
        rows, columns, _ = self.grid.nodes.shape
        nodes = torch.arange(rows * columns, device=self.grid.nodes.device).view(rows, columns)[1:-2, 1:-2]
        return nodes.flatten() if self.present is None else nodes[self.present]

    @cached_property
    def _patches(self) -> Any:
        """What the kernel reads; None where no patch is present."""
        if len(self._members) == 0:
            return None
        grid, corners = self.grid, self._members
        columns = grid.nodes.shape[1]
        # The middle of each patch and its slopes there, and how far from straight it is: a B-spline's second
        # derivatives lie within the second differences of its coefficients.
        a, b = grid.nodes[1:-2, 1:-2], grid.nodes[1:-2, 2:-1]
        c, d = grid.nodes[2:-1, 1:-2], grid.nodes[2:-1, 2:-1]
        along, across = (b + d - a - c) / 2, (c + d - a - b) / 2
        slopes = self._chosen(torch.stack([along, across], dim=3))
        bulge = self._bulges_of_patches
        centres = self._chosen((a + b + c + d) / 4)
        low, high = (self._chosen(ends) for ends in (_least(a, b, c, d), -_least(-a, -b, -c, -d)))
        low, high = low - bulge[:, None], high + bulge[:, None]
        inverses = inverse(slopes)
        reach = inverses.abs().sum(dim=2).amax(dim=1)  # patches by a unit of the canvas
        bulges = torch.where(reach.isfinite(), 0.01 + 1.5 * bulge * reach, torch.inf)
        cells, offsets, members = _binned(low, high, centres)
        turned = determinant(slopes) * grid.step[0] * grid.step[1] <= 0
        single = _is_single(cells, offsets, members, corners, columns, turned | (bulges > _MAX_SINGLE_BULGE))
        depths = torch.zeros_like(bulge) if self.depths is None else self._chosen(self.depths)
        low_end, high_end = self.limits or ((-math.inf, -math.inf), (math.inf, math.inf))
        return kernels.struct(
            PosedPatches,
            origin=wp.vec2(*cells.origin),
            cells_per_unit=cells.per_unit,
            columns=cells.columns,
            rows=cells.rows,
            offsets=Typed(offsets, wp.int32),
            members=Typed(members, wp.int32),
            single=Typed(single, wp.int32),
            corners=Typed(corners.int(), wp.int32),
            centres=Typed(centres.contiguous(), wp.vec2),
            inverses=Typed(inverses.nan_to_num().contiguous(), wp.mat22),
            bulges=Typed(bulges, wp.float32),
            depths=Typed(depths.float().contiguous(), wp.float32),
            coefficients=Typed(grid.coefficients.view(-1, 2), wp.vec2),
            width=columns,
            rest_origin=wp.vec2(*grid.origin),
            rest_step=wp.vec2(*grid.step),
            low=wp.vec2(*low_end),
            high=wp.vec2(*high_end),
        )

    @cached_property
    def _bulges_of_patches(self) -> Float[Tensor, " p"]:
        """How far each patch may be from straight, on the canvas."""
        nodes = self.grid.nodes[1:-1, 1:-1]
        twists = nodes.diff(dim=0).diff(dim=1).abs().sum(dim=2)
        return self._chosen(_bulges(self.grid.coefficients) + twists / 4)

    def _chosen(self, values: Float[Tensor, "r c *d"]) -> Float[Tensor, "p *d"]:
        """Return what is said of the patches that there are."""
        return values.flatten(0, 1) if self.present is None else values[self.present]


class _Cells(NamedTuple):
    """A grid over the canvas; what lies beyond it belongs to the cells of its border."""

    origin: tuple[float, float]
    per_unit: float
    columns: int
    rows: int


def _bulges(coefficients: Float[Tensor, "r c 2"]) -> Float[Tensor, "p q"]:
    """Return how far from straight each patch is at most along its rows and columns."""
    along = coefficients.diff(n=2, dim=1).abs().sum(dim=2)[1:-2]
    across = coefficients.diff(n=2, dim=0).abs().sum(dim=2)[:, 1:-2]
    return (torch.maximum(along[:, :-1], along[:, 1:]) + torch.maximum(across[:-1], across[1:])) / 8


def _least(*values: Tensor) -> Tensor:
    return reduce(torch.minimum, values)


def _binned(
    low: Float[Tensor, "p 2"], high: Float[Tensor, "p 2"], centres: Float[Tensor, "p 2"]
) -> tuple[_Cells, Int32[Tensor, " o"], Int32[Tensor, " e"]]:
    """Lay cells over boxes, about as large as most of these, and list the boxes that touch each cell."""
    side = float((high - low).amax(dim=1).median().clamp(min=1e-9))
    start, end = low.amin(dim=0), high.amax(dim=0)
    if float(((end - start) / side + 1).prod()) > _MAX_CELLS_PER_PATCH * len(low):
        share = low.new_tensor([(1 - _CENTRAL_SHARE) / 2, (1 + _CENTRAL_SHARE) / 2])
        start, end = torch.quantile(centres[:: max(1, len(centres) // 65_536)], share, dim=0)
        side = max(side, float(((end - start).prod() / (_MAX_CELLS_PER_PATCH * len(low))).sqrt()))
    while True:
        columns, rows = ((end - start) / side).ceil().int().clamp(min=1).tolist()
        limit = low.new_tensor([columns - 1, rows - 1])
        first, last = (((corner - start) / side).floor().clamp(min=0).minimum(limit).int() for corner in (low, high))
        wide, tall = (last - first + 1).long().unbind(1)
        if columns * rows == 1 or int((wide * tall).sum()) <= _MAX_CELLS_TOUCHED * len(low):
            break
        side *= 2  # some patches are so much larger than most that they would be in nearly all cells
    # One entry for each cell that a box touches, sorted by cells.
    count = wide * tall
    owner = torch.repeat_interleave(count)
    number = torch.arange(len(owner), device=low.device) - (count.cumsum(0) - count)[owner]
    column = first[owner, 0] + number % wide[owner]
    row = first[owner, 1] + number // wide[owner]
    cell = row * columns + column
    order = cell.argsort()
    offsets = torch.zeros(columns * rows + 1, dtype=torch.int32, device=low.device)
    offsets[1:] = torch.bincount(cell, minlength=columns * rows).cumsum(0)
    x, y = start.tolist()
    return _Cells((x, y), 1 / side, columns, rows), offsets, owner[order].int()


def _is_single(
    cells: _Cells,
    offsets: Int32[Tensor, " o"],
    members: Int32[Tensor, " e"],
    corners: Int64[Tensor, " p"],
    columns: int,
    doubtful: Bool[Tensor, " p"],
) -> Int32[Tensor, " cells"]:
    """Tell, by 1 or 0, in which cells no two patches can lie over one another."""
    count = cells.columns * cells.rows
    cell = torch.repeat_interleave(offsets.diff().long(), output_size=len(members))
    doubts = torch.zeros(count, device=members.device).index_add_(0, cell, doubtful[members].float())
    single = doubts == 0
    for values in (corners[members] % columns, corners[members] // columns):
        ends = [
            torch.zeros_like(cell[:1]).expand(count).scatter_reduce(0, cell, values, way, include_self=False)
            for way in ("amin", "amax")
        ]
        single &= ends[1] - ends[0] <= _MAX_SINGLE_SPAN
    return single.int()
