"""A multi-resolution hash grid in 2D and 3D, and the same grid read at points that do not move.

Source: Mueller et al. 2022, "Instant Neural Graphics Primitives with a Multiresolution Hash Encoding". GaINeR (section
3.2) gives each Gaussian the feature ``H(mu) = e`` found at its mean. A level is a lattice; a point reads the corners of
its cell with (bi- or tri-)linear weights, and the levels' features stand side by side. In a coarse level each vertex
has a table row of its own; in a fine one vertices share rows by hashing.

The conventions are tiny-cuda-nn's, down to the order of the rows: a resolution counts vertices, positions are shifted
by half a cell, a dense level wraps around at its far edge. So one table serves both implementations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from operator import add, mul, xor
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from gainer_ns.errors import GainerError

_HASH_PRIMES = (1, 2654435761, 805459861)
"""One factor an axis for the spatial hash (Mueller et al. 2022, equation 4)."""
_MASK_32_BITS = 0xFFFFFFFF
MAX_FEATURES = 1024
"""The longest feature that is read: a kernel is compiled for every length."""


@dataclass
class HashGridConfig:
    """How large the grid is."""

    num_levels: int = 16
    """Number of lattices, from coarse to fine."""
    features_per_level: int = 2
    """Features in a table row; the encoding has num_levels times as many."""
    base_resolution: int = 16
    """Vertices along a side of the coarsest lattice."""
    max_resolution: int = 8192
    """Vertices along a side of the finest lattice; a grid of one level ignores it."""
    log2_table_size: int = 21
    """A level has at most 2 to this power table rows; a lattice with more vertices shares rows by hashing."""
    init_scale: float = 1e-4
    """Initial features are uniform between minus and plus this."""

    @property
    def growth_factor(self) -> float:
        """How much finer each level is than the one before (Mueller et al. 2022, equation 3)."""
        return (self.max_resolution / self.base_resolution) ** (1 / max(self.num_levels - 1, 1))


class GridLevel(NamedTuple):
    """One lattice and its part of the table."""

    scale: float
    """Cells along the unit interval; need not be whole."""
    resolution: int
    """Vertices along a side."""
    first_row: int
    """Where the level's rows start in the table."""
    num_rows: int
    """How many rows the level has."""


class Corners(NamedTuple):
    """The table rows that points read, and how much of each."""

    rows: Int[Tensor, "n levels corners"]
    """Rows of the whole table (int64); 4 corners a point and level in 2D, 8 in 3D."""
    weights: Float[Tensor, "n levels corners"]
    """Interpolation weights, which sum to 1 over the corners; differentiable by the points."""


def grid_levels(config: HashGridConfig, dimensions: int) -> tuple[GridLevel, ...]:
    """Lay out the lattices in the table, coarse to fine.

    Raises:
        GainerError: If there is no such grid.
    """
    if dimensions not in (2, 3):
        raise GainerError(f"a hash grid has 2 or 3 dimensions, not {dimensions}")
    if config.num_levels < 1 or config.features_per_level < 1:
        raise GainerError("num_levels and features_per_level of a hash grid must be at least 1")
    if config.num_levels * config.features_per_level > MAX_FEATURES:
        raise GainerError(f"num_levels times features_per_level of a hash grid must be at most {MAX_FEATURES}")
    if not 3 <= config.log2_table_size <= 30:
        raise GainerError(f"log2_table_size of a hash grid must lie between 3 and 30, not be {config.log2_table_size}")
    if not 2 <= config.base_resolution <= config.max_resolution:
        raise GainerError(
            f"base_resolution of a hash grid must lie between 2 and max_resolution ({config.max_resolution}), "
            f"not be {config.base_resolution}"
        )
    levels: list[GridLevel] = []
    first_row = 0
    for number in range(config.num_levels):
        # float32 makes whole what should be whole; else ceil could add a row of vertices on some machines.
        scale = float(np.float32(config.base_resolution * config.growth_factor**number - 1))
        resolution = math.ceil(scale) + 1
        num_rows = min(math.ceil(resolution**dimensions / 8) * 8, 2**config.log2_table_size)
        levels.append(GridLevel(scale, resolution, first_row, num_rows))
        first_row += num_rows
    return tuple(levels)


def grid_numbers(config: HashGridConfig, dimensions: int) -> int:
    """Count the numbers of a grid's table."""
    return sum(level.num_rows for level in grid_levels(config, dimensions)) * config.features_per_level


def grid_corners(levels: tuple[GridLevel, ...], points: Float[Tensor, "n d"]) -> Corners:
    """Find the rows that points [n, d] of the unit square or cube read; points outside count as on its border."""
    dimensions = points.shape[-1]
    steps = [[corner >> axis & 1 for axis in range(dimensions)] for corner in range(2**dimensions)]
    steps = torch.tensor(steps, device=points.device)  # [corners, d] of 0 and 1
    per_level: list[Corners] = []
    for level in levels:
        positions = points.clamp(0, 1) * level.scale + 0.5
        cells = positions.detach().floor()
        fractions = (positions - cells)[:, None]  # [n, 1, d]
        weights = torch.where(steps == 1, fractions, 1 - fractions).unbind(-1)  # d of [n, corners]
        vertices = (cells.long()[:, None] + steps).unbind(-1)
        is_dense = level.resolution**dimensions <= level.num_rows
        factors = [level.resolution**axis for axis in range(dimensions)] if is_dense else _HASH_PRIMES
        rows = reduce(add if is_dense else xor, map(mul, vertices, factors))
        per_level.append(Corners(rows % level.num_rows + level.first_row, reduce(mul, weights)))
    return Corners(*(torch.stack(parts, dim=1) for parts in zip(*per_level, strict=True)))


def initial_features(rows: Int[Tensor, " r"], config: HashGridConfig, seed: int) -> Float[Tensor, "r f"]:
    """Return the features that table rows start with: a function of row and seed alone, so any few can be had."""
    columns = torch.arange(config.features_per_level, device=rows.device)
    bits = rows[:, None] * config.features_per_level + columns
    bits.bitwise_xor_(_mix_(torch.tensor(seed & _MASK_32_BITS)))
    return (_mix_(bits) >> 8).float().mul_(2.0**-23).sub_(1).mul_(config.init_scale)


def _mix_(bits: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """Scramble 32-bit numbers held in int64, one to one and in place (Chris Wellons' "lowbias32")."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        bits.bitwise_and_(_MASK_32_BITS).bitwise_xor_(bits >> shift).mul_(factor)
    return bits


class HashGrid(nn.Module):
    """A trainable hash grid in 2 or 3 dimensions that can be read at any point.

    Raises:
        GainerError: If the sizes do not make a grid.
    """

    def __init__(self, config: HashGridConfig, dimensions: Literal[2, 3], *, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.dimensions = dimensions
        self.levels = grid_levels(config, dimensions)
        self.output_dim = config.num_levels * config.features_per_level
        spans = [torch.arange(level.first_row, level.first_row + level.num_rows) for level in self.levels]
        self.table = nn.Parameter(torch.cat([initial_features(span, config, seed) for span in spans]))

    def forward(self, points: Float[Tensor, "n d"]) -> Float[Tensor, "n f"]:
        """Interpolate features [n, output_dim] at points of the unit square or cube, differentiable by both.

        Raises:
            GainerError: If the points have another number of dimensions.
        """
        rows, weights = self.corners(points)
        return (self.table[rows] * weights[..., None]).sum(dim=2).flatten(1)

    def corners(self, points: Float[Tensor, "n d"]) -> Corners:
        """Return the table rows that points read, and their weights; constant while the points are."""
        self._check(points)
        return grid_corners(self.levels, points)

    def _check(self, points: Tensor) -> None:
        if points.shape[-1] != self.dimensions:
            raise GainerError(f"this hash grid is {self.dimensions}D, the points have {points.shape[-1]} coordinates")


class HashGridAtPoints(nn.Module):
    """A hash grid read at fixed points: exactly :class:`HashGrid`, but many times faster and smaller.

    Such points always read the same rows with the same weights, so only those rows are kept, and each knows its
    readers, which makes the backward pass a weighted sum too. The state dict holds the kept rows' features alone: the
    same config and points bring back the rest.

    Args:
        config: Size of the grid.
        points: Positions [n, 2] or [n, 3] in the unit square or cube; the table takes their dtype and device.
        seed: Seed of the initial features; a full grid of this seed has the same.

    Raises:
        GainerError: If the sizes do not make a grid, or the points are neither 2D nor 3D.
    """

    rows: Int[Tensor, " r"]
    """Rows of the full table that are kept, ascending."""

    def __init__(self, config: HashGridConfig, points: Float[Tensor, "n d"], *, seed: int = 0) -> None:
        super().__init__()
        self.output_dim = config.num_levels * config.features_per_level
        levels = grid_levels(config, points.shape[-1])
        rows, weights = (part.flatten(0, 1) for part in grid_corners(levels, points.detach()))  # [n * levels, corners]
        sorted_rows, order = rows.flatten().sort(stable=True)
        kept, num_readers = torch.unique_consecutive(sorted_rows, return_counts=True)
        read = torch.empty_like(order, dtype=torch.int32)
        read[order] = torch.arange(len(kept), dtype=torch.int32, device=read.device).repeat_interleave(num_readers)
        constants = {
            "rows": kept,
            "read": read.view_as(rows),
            "weights": weights,
            "readers": (order // rows.shape[1]).int(),
            "reader_weights": weights.flatten()[order],
            "first_reader": (num_readers.cumsum(0) - num_readers).int(),
        }
        for name, constant in constants.items():
            self.register_buffer(name, constant, persistent=False)
        self.table = nn.Parameter(initial_features(kept, config, seed).to(points.dtype))

    def forward(self) -> Float[Tensor, "n f"]:
        """Return features [n, output_dim] at the points, differentiable by the table."""
        constants = (self.read, self.weights, self.readers, self.reader_weights, self.first_reader)
        return _FixedRead.apply(self.table, *constants).view(-1, self.output_dim)


class _FixedRead(torch.autograd.Function):
    """Weighted sums of table rows, and of the gradients of their readers: ``embedding_bag``'s own backward is slow."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, read: Tensor, weights: Tensor, *readers: Tensor) -> Tensor:
        ctx.save_for_backward(*readers)
        return embedding_bag(read, table, per_sample_weights=weights, mode="sum")

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        readers, weights, first_reader = ctx.saved_tensors
        grad = embedding_bag(readers, grads[0].contiguous(), first_reader, per_sample_weights=weights, mode="sum")
        return grad, None, None, None, None, None
