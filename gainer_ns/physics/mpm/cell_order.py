"""Particles in the order of the cells of a grid, found anew in each step."""

from __future__ import annotations

from typing import Any

import torch
import warp as wp
from jaxtyping import Float, Int32
from torch import Tensor

from gainer_ns.gaussians.kernels import Repeated, Typed, on_stream, vector
from gainer_ns.physics.mpm.grid import Grid
from gainer_ns.physics.mpm.kernels import key_kernel, sorting_kernel, start_kernel


class CellOrder:
    """Sorts particles by cell: counting in one thread on a processor, by the digits of cells on a GPU.

    Both are stable, so that sums over the particles of a cell do not depend on the device. The host waits for neither.

    Args:
        grid: Whose cells they are.
        positions: [n, d], of the particles; their memory is read in each step.
        by_digits: Whether they are sorted as on a GPU; None for what suits the device.

    Attributes:
        order: [n or more], the particles, cell by cell.
        cell_start: [cells + 2], where those of each cell begin.
    """

    def __init__(self, grid: Grid, positions: Float[Tensor, "n d"], *, by_digits: bool | None = None) -> None:
        count, dimensions = positions.shape
        self._count, self._device = count, positions.device
        self._by_digits = self._device.type != "cpu" if by_digits is None else by_digits
        room = 2 * count if self._by_digits else count
        keys, self.order = (torch.zeros(room, dtype=torch.int32, device=self._device) for _ in range(2))
        self.cell_start: Int32[Tensor, " s"] = torch.zeros(grid.nodes + 2, dtype=torch.int32, device=self._device)
        place = vector(dimensions)
        read: list[Any] = [Typed(positions, place), place(*grid.origin), grid.cell, wp.vec3i(*grid.shape)]
        numbers, order = Typed(keys, wp.int32), Typed(self.order, wp.int32)
        starts = Typed(self.cell_start, wp.int32)
        if not self._by_digits:
            self._sort = Repeated(sorting_kernel(dimensions), [*read, numbers, order, starts], self._device)
            return
        self._write_keys = Repeated(key_kernel(dimensions), [*read, numbers, order], self._device)
        self._find_starts = Repeated(start_kernel(), [numbers, count, starts], self._device)
        self._pairs = wp.from_torch(keys), wp.from_torch(self.order)
        self._bits = grid.nodes.bit_length()

    def sort(self) -> None:
        """Find the order for where the particles are now."""
        if not self._by_digits:
            self._sort(0, 1)
            return
        self._write_keys(0, self._count)
        with on_stream(self._device):
            wp.utils.radix_sort_pairs(*self._pairs, self._count, 0, self._bits)
        self._find_starts(0, len(self.cell_start))
