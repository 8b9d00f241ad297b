"""Search the K nearest Gaussians of a point, within a radius."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import torch
import warp as wp
from jaxtyping import Bool, Float, Int32, Int64
from torch import Tensor

from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.gaussians.neighbour_kernels import CellGrid, anchor_kernel, nearest_kernel, ring_kernel
from gainer_ns.gaussians.small_matrices import singular_range

_MEANS_PER_CELL = 1.5
"""Means in a cell of the index on average: about the fastest on CPU for K from 9 to 16."""
_SAMPLED_MEANS = 1 << 14
"""How many means tell where the bulk of them is."""
_MAX_SAMPLE_CELLS = 1 << 12
"""Most parts of their box that are looked at, to see which of them hold means."""
_MIN_FILLED_SHARE = 0.2
"""Boxes that are emptier than this count as so full, which bounds the number of cells."""


class Neighbours(NamedTuple):
    """The neighbours of ``m`` points: the nearest first, the others in no order, missing ones last.

    Attributes:
        indices: [m, k], -1 where there is no neighbour.
        squared_distances: [m, k], infinite where there is no neighbour; squared units of the means.
    """

    indices: Int32[Tensor, "m k"]
    squared_distances: Float[Tensor, "m k"]

    @property
    def valid(self) -> Bool[Tensor, "m k"]:
        """Whether there is a neighbour."""
        return self.indices >= 0


class NeighbourIndex(kernels.WithWarpCaches):
    """A cell grid over a set of means.

    Cells are sized by the bulk of the means; those far outside belong to the cells of the border, which keeps the grid
    small and every answer exact.

    Where the means were moved by a deformation, near is what was near before it: from a point, distances are measured
    by the inverse Jacobian of a mean close to it, its anchor. So a stretched set has as many neighbours as before.

    Args:
        means: [n, 2] or [n, 3], finite.
        radius: Farthest distance of a neighbour, in the units of the means, before the deformation.
        inverse_jacobians: [n, d, d] or [1, d, d], of the deformation; None where there was none.
    """

    def __init__(
        self, means: Float[Tensor, "n d"], radius: float, inverse_jacobians: Float[Tensor, "t d d"] | None = None
    ) -> None:
        self.radius = radius
        self.count, self.dimensions = means.shape
        self._square = self.dimensions, self.dimensions
        self.device = means.device
        points = padded(means)
        self._origin, self._cell, self._shape = _grid(means)
        limits = torch.tensor(self._shape, device=self.device) - 1
        at = ((points - points.new_tensor(self._origin)) / self._cell).floor()
        x, y, z = torch.minimum(at.clamp_(min=0), limits.to(at.dtype)).int().unbind(-1)
        keys, order = torch.sort((z * self._shape[1] + y) * self._shape[0] + x, stable=True)
        cells, ones = math.prod(self._shape), torch.ones_like(keys)
        self._cell_start = torch.zeros(cells + 1, dtype=torch.int32, device=self.device)
        # Not torch.bincount, for which the host would wait.
        counts = torch.zeros(cells, dtype=torch.int32, device=self.device).scatter_add_(0, keys.long(), ones)
        torch.cumsum(counts, dim=0, dtype=torch.int32, out=self._cell_start[1:])
        self._empty_rings = self._rings_of_nothing()
        self._points = points[order]
        self._order = order.int()
        self._inverse_jacobians = points.new_zeros(0, *self._square)
        self._stretches = points.new_zeros(0)
        self._farthest = radius
        self._deformed = inverse_jacobians is not None and self.count > 0
        if inverse_jacobians is not None and self._deformed:
            smallest, _ = singular_range(inverse_jacobians)
            stretches = 1 / smallest.clamp(min=1e-12)
            own = slice(None) if len(inverse_jacobians) == 1 else order
            self._inverse_jacobians = inverse_jacobians.detach().float()[own].contiguous()
            self._stretches = stretches[own].contiguous()
            self._farthest = radius * float(stretches.max())

    def query(self, points: Float[Tensor, "m d"], k: int) -> Neighbours:
        """Find the ``k`` nearest means of each point [m, d] within the radius.

        Where there are fewer, the rest is missing.
        """
        if points.shape[-1] != self.dimensions:
            raise ValueError(f"points in {points.shape[-1]}D, means in {self.dimensions}D")
        indices = torch.empty(len(points), k, dtype=torch.int32, device=self.device)
        squared = torch.empty(len(points), k, device=self.device)
        outputs = [Typed(indices, kernels.vector(k, wp.int32)), Typed(squared, kernels.vector(k))]
        inputs = [Typed(padded(points), wp.vec3), *self.inputs(), *outputs]
        kernels.launch(nearest_kernel(k, *self.kind), len(points), inputs, self.device)
        return Neighbours(indices, squared)

    @property
    def kind(self) -> tuple[bool, bool]:
        """Whether the means were deformed, and whether they lie in a plane: kernels are made for each kind."""
        return self._deformed, self.dimensions == 2

    def inputs(self) -> list[Any]:
        """Return the arguments of kernels that search, after their queries."""
        return [
            self._cells,
            self.radius,
            Typed(self._inverse_jacobians, kernels.matrix(*self._square)),
            Typed(self._stretches, wp.float32),
        ]

    def anchors(self, points: Float[Tensor, "m d"]) -> Int64[Tensor, " m"]:
        """Return a mean close to each point [m, d]: the nearest in the first cells around it that hold any.

        For a point too far from all of them to have neighbours it is any mean. There must be at least one.
        """
        found = torch.empty(len(points), dtype=torch.int32, device=self.device)
        inputs = [Typed(padded(points), wp.vec3), self._cells, Typed(found, wp.int32)]
        kernels.launch(anchor_kernel(), len(points), inputs, self.device)
        return self._order[found.long()].long()

    @cached_property
    def _cells(self) -> Any:
        """The cell grid, as kernels take it."""
        return kernels.struct(
            CellGrid,
            points=Typed(self._points, wp.vec3),
            order=Typed(self._order, wp.int32),
            cell_start=Typed(self._cell_start, wp.int32),
            empty_rings=Typed(self._empty_rings, wp.int32),
            origin=wp.vec3(*self._origin),
            cell=self._cell,
            shape=wp.vec3i(*self._shape),
            farthest=self._farthest,
        )

    def _rings_of_nothing(self) -> Int32[Tensor, " cells"]:
        """Count the rings of cells around each cell that hold no mean: a search may begin there."""
        holds = self._cell_start.diff() > 0
        if self.dimensions == 2 and self.device.type == "cpu":
            empty = (~holds).view(self._shape[1], self._shape[0]).byte().numpy()
            if not empty.all():
                return torch.from_numpy(cv2.distanceTransform(empty, cv2.DIST_C, 3)).int().flatten()
        rings = torch.where(holds, 0, max(self._shape)).int()
        for axis, length in enumerate(self._shape):
            if length > 1:
                before, rings = rings, torch.empty_like(rings)
                inputs = [Typed(before, wp.int32), math.prod(self._shape[:axis]), length, Typed(rings, wp.int32)]
                kernels.launch(ring_kernel(), len(rings), inputs, self.device)
        return rings


def padded(points: Float[Tensor, "m d"]) -> Float[Tensor, "m 3"]:
    """Return points as contiguous float32 in space; those of a plane lie at z = 0."""
    return torch.nn.functional.pad(points.detach().float(), (0, 3 - points.shape[-1])).contiguous()


def _grid(means: Float[Tensor, "n d"]) -> tuple[list[float], float, list[int]]:
    """Return origin, cell side and number of cells along x, y and z of a grid over the bulk of the means."""
    count = len(means)
    if count == 0:
        return [0.0] * 3, 1.0, [1] * 3
    if count > _SAMPLED_MEANS:  # at random: a stride could meet the same few columns in each row of a lattice
        chosen = torch.randint(count, (_SAMPLED_MEANS,), generator=torch.Generator().manual_seed(0))
        means = means[chosen.to(means.device)]
    sample = means.detach().cpu().double()  # few: all of it is told by the host, which waits for them once
    low, high = torch.quantile(sample, sample.new_tensor([0.002, 0.998]), dim=0)
    extent = high - low
    low, extent = low - 0.01 * extent, 1.02 * extent
    # The sides that fill cells as wished where the means lie along a line, on a surface, in a volume. The largest is
    # right: in more dimensions a thin axis would count for less than one cell, in fewer a thick one for only one.
    volumes = extent.sort(descending=True).values.cumprod(dim=0) * _filled_share(sample, low, extent)
    cell = max((volume * _MEANS_PER_CELL / count) ** (1 / (axes + 1)) for axes, volume in enumerate(volumes.tolist()))
    if cell <= 0:
        return [*low.tolist(), 0.0][:3], 1.0, [1] * 3
    shape = (extent / cell).ceil().long().clamp(min=1).tolist()
    return [*low.tolist(), 0.0][:3], cell, [*shape, 1][:3]


def _filled_share(sample: Float[Tensor, "n d"], low: Float[Tensor, " d"], extent: Float[Tensor, " d"]) -> float:
    """Return which share of a box the means are spread over: little of it where they were turned or bent."""
    dimensions = sample.shape[1]
    bins = int(min(len(sample) / 16, _MAX_SAMPLE_CELLS) ** (1 / dimensions))  # so many that none is empty by chance
    if bins < 2:
        return 1.0
    place = ((sample - low) / extent.clamp(min=1e-300) * bins).long()
    place = place[((place >= 0) & (place < bins)).all(dim=1)]
    key = (place * torch.tensor([bins**axis for axis in range(dimensions)], device=place.device)).sum(dim=1)
    filled = int(torch.bincount(key, minlength=1).count_nonzero())
    return max(filled / bins**dimensions, _MIN_FILLED_SHARE)
