"""Rest maps: where the points of a canvas lie on a sheet at rest, once the sheet has been posed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import torch
import warp as wp
from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.motion.control_grid import ControlGrid
from gainer_ns.motion.posed_patches import Limits, MeasuredPatches
from gainer_ns.motion.rest_map_kernels import NOWHERE_COORDINATE, locate_kernel
from gainer_ns.motion.rest_tile_kernels import BLOCK_TILES, TILE_POINTS, locate_corners_kernel, locate_tiles_kernel

_HOST = torch.device("cpu")
_GRAIN, _BLOCK_GRAIN = 256, 8
"""Corners, and blocks of tiles, that a thread takes at least at once."""

Corner: TypeAlias = tuple[float, float]
"""Coordinates, on the canvas or at rest."""


class PointRows(NamedTuple):
    """Points in rows and columns on the canvas.

    Attributes:
        x: [c], of the columns, evenly spaced.
        y: [r], of the rows.
    """

    x: Float[Tensor, " c"]
    y: Float[Tensor, " r"]

    @property
    def corners(self) -> tuple[Corner, Corner]:
        """Lowest and highest coordinates."""
        (left, right), (bottom, top) = (sorted((float(axis[0]), float(axis[-1]))) for axis in self)
        return (left, bottom), (right, top)

    @property
    def points(self) -> Float[Tensor, "m 2"]:
        """All of them, row by row."""
        return torch.stack(torch.broadcast_tensors(self.x[None, :], self.y[:, None]), dim=-1).view(-1, 2)

    @property
    def ends(self) -> list[float]:
        """The first and the last x, and the first and the last y."""
        return torch.stack([self.x[0], self.x[-1], self.y[0], self.y[-1]]).tolist()


class RestPoints(NamedTuple):
    """Where points of the canvas lay.

    Attributes:
        positions: [m, 2], on the sheet at rest; ``NOWHERE_COORDINATE`` where there is no sheet.
        inverse_jacobians: [m, 2, 2], from steps on the canvas to steps at rest; 0 where there is no sheet.
        coverage: [m, 1], how much of a point's pixel is covered, from 0 to 1; None for all of it where the sheet is.
        shade: [m, 1], by which share what is shown is lighter, towards white, or if negative darker; None for as it is.
    """

    positions: Float[Tensor, "m 2"]
    inverse_jacobians: Float[Tensor, "m 2 2"]
    coverage: Float[Tensor, "m 1"] | None = None
    shade: Float[Tensor, "m 1"] | None = None

    @classmethod
    def nowhere(cls, count: int, device: torch.device) -> RestPoints:
        """Return those of points where there is no sheet."""
        return cls(torch.full((count, 2), NOWHERE_COORDINATE, device=device), torch.zeros(count, 2, 2, device=device))

    @property
    def found(self) -> Bool[Tensor, " m"]:
        """Whether the sheet is there."""
        return self.positions[:, 0] != NOWHERE_COORDINATE


@dataclass(frozen=True)
class RestMap(kernels.WithWarpCaches):
    """The inverse of a map of the plane, which need not be one to one: where a sheet covers itself, the nearest counts.

    Nearest is what faces as it did, before what is turned over; among these what has the greatest depth; then what
    comes last on the sheet.

    It is made on the host, of few nodes; what kernels read of it is copied to where the points are, which so wait for
    nothing.

    Attributes:
        grid: Where the sheet has gone.
        present: [r - 3, c - 3], which patches there are: the one at ``(row, column)`` begins at the node
            ``(row + 1, column + 1)``. None for all.
        depths: [r - 3, c - 3], the larger the nearer; None where all lie equally deep.
        limits: Lowest and highest coordinates, at rest, of what there is of the sheet; None for all of the patches.
        device: Of the points of the canvas that are asked about.
    """

    grid: ControlGrid
    present: Bool[Tensor, "r c"] | None = None
    depths: Float[Tensor, "r c"] | None = None
    limits: Limits | None = None
    device: torch.device = _HOST

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
        across, down = (math.ceil(len(axis) / TILE_POINTS) for axis in rows)
        counts = (across + 1) * (down + 1), count
        corners, result = (RestPoints(x.new_empty(n, 2), x.new_empty(n, 2, 2)) for n in counts)
        places = [
            Typed(values, kind)
            for points in (corners, result)
            for values, kind in ((points.positions, wp.vec2), (points.inverse_jacobians, wp.mat22))
        ]
        inputs = [Typed(x, wp.float32), Typed(y, wp.float32), self._patches]
        kernels.launch(locate_corners_kernel, len(corners.positions), [*inputs, *places[:2]], x.device, grain=_GRAIN)
        blocks = math.ceil(across / BLOCK_TILES) * math.ceil(down / BLOCK_TILES)
        kernels.launch(locate_tiles_kernel, blocks, [*inputs, tolerance, *places], x.device, grain=_BLOCK_GRAIN)
        return result

    def without_torn(self, most: float) -> RestMap:
        """Return the map without the patches of which a side is more than so many times as long as at rest."""
        nodes, (across, down) = self.grid.nodes[1:-1, 1:-1], self.grid.step
        rows = nodes.diff(dim=1).norm(dim=2) / abs(across)
        columns = nodes.diff(dim=0).norm(dim=2) / abs(down)
        longest = torch.maximum(torch.maximum(rows[:-1], rows[1:]), torch.maximum(columns[:, :-1], columns[:, 1:]))
        whole = longest <= most
        if bool(whole.all()):
            return self
        return replace(self, present=whole if self.present is None else self.present & whole)

    def forward(self, points: Float[Tensor, "m 2"]) -> tuple[Float[Tensor, "m 2"], Float[Tensor, "m 2 2"]]:
        """Return where points at rest have gone, and how a small step shows there."""
        return self.grid.to(points.device).with_jacobians(points)

    @property
    def bounds(self) -> tuple[Float[Tensor, "2"], Float[Tensor, "2"]]:
        """Lowest and highest coordinates, on the canvas, at which there can be anything."""
        if self.measured is None:
            nodes = self.grid.nodes
            return nodes.new_full((2,), torch.inf), nodes.new_full((2,), -torch.inf)
        return self.measured.low.amin(dim=0), self.measured.high.amax(dim=0)

    def rest_box(self, low: Corner, high: Corner) -> tuple[Corner, Corner, float] | None:
        """Return where all lay that is between two corners of the canvas, and how far a unit there reached about.

        Returns:
            Two corners at rest, and the length; None where nothing is between the corners.
        """
        if self.measured is None:
            return None
        lowest, highest = (self.measured.low.new_tensor(corner) for corner in (low, high))
        touched = ((self.measured.low <= highest) & (self.measured.high >= lowest)).all(dim=1)
        if not bool(touched.any()):
            return None
        corners, step = self.measured.corners[touched].long(), torch.tensor(self.grid.step, dtype=torch.float64)
        columns = self.grid.nodes.shape[1]
        nodes = torch.stack([corners % columns, corners // columns], dim=1).cpu().double()
        ends = torch.stack([nodes.amin(dim=0), nodes.amax(dim=0) + 1]) * step + torch.tensor(self.grid.origin)
        longest = float((self.measured.inverses[touched].norm(dim=2).cpu() * step.abs()).amax())
        (left, bottom), (right, top) = ends.amin(dim=0).tolist(), ends.amax(dim=0).tolist()
        return (left, bottom), (right, top), longest

    def to(self, device: torch.device | str) -> RestMap:
        """Return the same map for points on a device."""
        return replace(self, device=torch.device(device))

    @cached_property
    def measured(self) -> MeasuredPatches | None:
        """The patches that there are; None where there is none."""
        rows, columns, _ = self.grid.nodes.shape
        nodes = torch.arange(rows * columns, dtype=torch.int32, device=self.grid.nodes.device)
        corners = nodes.view(rows, columns)[1:-2, 1:-2]
        corners = corners.flatten() if self.present is None else corners[self.present]
        return MeasuredPatches.of(self.grid, corners) if len(corners) else None

    @cached_property
    def _patches(self) -> Any:
        """What the kernels read; None where no patch is present."""
        measured, depths = self.measured, self.depths
        if measured is None:
            return None
        if depths is None:
            depths = torch.zeros_like(measured.bulges)
        else:
            depths = depths.flatten() if self.present is None else depths[self.present]
        return measured.listed(depths, self.limits, self.device)
