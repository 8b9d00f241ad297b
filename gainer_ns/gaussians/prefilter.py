"""The features of a lattice in closed form: those from which its nodes read a given picture."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.gaussians.block_sum import BLOCK_NODES
from gainer_ns.gaussians.lattice import MAX_SIGMA, MIN_SIGMA

ROWS_AT_ONCE = 64
"""Rows that are averaged or undone at once: as much as stays in a processor's cache."""
_COLUMNS_AT_ONCE = 64
_MAX_THREADS = 8
"""At most so many strips are in memory at once."""
_HALO_NODES = 24
"""Nodes beyond which the inverse of the averages is 0 in single precision: it falls by 0.4 a node or faster."""
_BEFORE, _BEHIND = BLOCK_NODES // 2 - 1, BLOCK_NODES // 2
"""Nodes that a point at a node reads along an axis, beside its own: before it and behind it."""

Rows = Callable[[slice], Float[Tensor, "c r w"]]
"""Tells any rows of a picture."""


class NodeAverages:
    """What the nodes of a lattice read of it where a Gaussian stands at each (eq. 2), and the way back.

    The normalised average of a rectangle of Gaussians is one along the rows after one along the columns, each a banded
    matrix, and its inverse, which falls off exponentially, is banded too in single precision: the prefilter of Unser et
    al. 1993, "B-spline signal processing", for a Gaussian kernel and for borders where neighbours are missing. Both are
    applied as products of small matrices, some rows at a time.

    Args:
        height: Rows of the lattice, from the top down.
        width: Columns.
        sigma: Standard deviation of the Gaussians in lattice steps, from ``MIN_SIGMA`` to ``MAX_SIGMA``.
        device: Where it is computed.

    Raises:
        ValueError: If sigma is out of these bounds.
    """

    def __init__(self, height: int, width: int, sigma: float, device: torch.device | str = "cpu") -> None:
        if not MIN_SIGMA <= sigma <= MAX_SIGMA:
            raise ValueError(f"sigma {sigma:g} must be from {MIN_SIGMA:g} to {MAX_SIGMA:g} lattice steps")
        self.height, self.width, self._device = height, width, torch.device(device)
        self._rows = _Axis(height, sigma, _BEHIND, _BEFORE, torch.device(device))  # y points up
        self._columns = _Axis(width, sigma, _BEFORE, _BEHIND, torch.device(device))

    def each_strip(
        self,
        work: Callable[[int, int], object],
        done: Callable[[float], None] = lambda share: None,
        rows: range | None = None,
    ) -> None:
        """Do work for every strip of rows, on a processor in several threads, each of which computes alone.

        Matrices as small as these do not pay for threads that share each product and wait for one another.

        Args:
            work: Takes the first row of a strip, and the one behind the last.
            done: Called after each with the share, 0 to 1, that is done; what it raises ends the work.
            rows: The rows; None for all.
        """
        threads, rows = torch.get_num_threads(), range(self.height) if rows is None else rows
        firsts = rows[::ROWS_AT_ONCE]
        workers = 1 if self._device.type != "cpu" else min(threads, _MAX_THREADS, len(firsts))
        try:
            with ThreadPoolExecutor(workers, "gainer-fit", functools.partial(torch.set_num_threads, 1)) as pool:
                jobs = [pool.submit(work, first, min(first + ROWS_AT_ONCE, rows.stop)) for first in firsts]
                try:
                    for number, job in enumerate(as_completed(jobs), start=1):
                        job.result()
                        done(number / len(jobs))
                finally:
                    for job in jobs:
                        job.cancel()
        finally:
            torch.set_num_threads(threads)  # which those threads have lowered for all that begin later

    def rows_told_by(self, first: int, last: int) -> slice:
        """Return the rows whose averages tell what :meth:`interpolated_rows` finds of some rows."""
        read = self._rows.read_by(first, last)
        return self._rows.around(read.start, read.stop)

    def interpolated_rows(
        self, averages: Rows, first: int, last: int
    ) -> tuple[Float[Tensor, "c r w"], Float[Tensor, "c r w"]]:
        """Return the values of some rows of Gaussians whose averages are given, and how far off their averages are.

        Arguments are as of :meth:`of_rows`.
        """
        read = self._rows.read_by(first, last)
        values = self.undone_rows(averages, read.start, read.stop)
        errors = self.of_rows(lambda rows: values, first, last)
        errors -= averages(slice(first, last))
        return values[:, first - read.start : last - read.start], errors

    @torch.no_grad()
    def of_rows(self, values: Rows, first: int, last: int) -> Float[Tensor, "c r w"]:
        """Return the averages at some rows of nodes.

        Args:
            values: The Gaussians' values, by rows.
            first: The first row.
            last: The row behind the last.
        """
        window = self._rows.read_by(first, last)
        down = _down(self._rows.averages(first, last, window), values(window))
        return _across(self._columns.read_by, self._columns.averages, down)

    @torch.no_grad()
    def undone_rows(self, averages: Rows, first: int, last: int) -> Float[Tensor, "c r w"]:
        """Return the values, at some rows of Gaussians, whose averages are given; arguments as of :meth:`of_rows`."""
        window = self._rows.around(first, last)
        down = _down(self._rows.inverse(first, last, window), averages(window))
        return _across(self._columns.around, self._columns.inverse, down)

    def of(self, values: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
        """Return the averages at all nodes."""
        return self._all(self.of_rows, values)

    def undone(self, averages: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
        """Return the values whose averages at all nodes are given."""
        return self._all(self.undone_rows, averages)

    def _all(self, part: Callable[[Rows, int, int], Tensor], values: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
        found = torch.empty_like(values)

        def work(first: int, last: int) -> None:
            found[:, first:last] = part(lambda rows: values[:, rows], first, last)

        self.each_strip(work)
        return found


class _Axis:
    """One axis of a lattice: rows of the banded matrix that averages along it, and of its inverse.

    Args:
        count: Nodes of the axis.
        sigma: In steps.
        before: Nodes that a node reads before it.
        behind: Nodes that it reads behind it.
        device: Where the matrices are wanted.
    """

    def __init__(self, count: int, sigma: float, before: int, behind: int, device: torch.device) -> None:
        self._count, self._sigma, self._before, self._behind, self._device = count, sigma, before, behind, device
        # Rows far from both ends are alike, so that few matrices are ever made.
        self._matrix = functools.cache(self._new_matrix)

    def read_by(self, first: int, last: int) -> slice:
        """Return the nodes that some nodes read."""
        return self._within(first - self._before, last + self._behind)

    def around(self, first: int, last: int) -> slice:
        """Return the nodes whose averages tell the values of some nodes."""
        return self._within(first - _HALO_NODES, last + _HALO_NODES)

    def averages(self, first: int, last: int, window: slice) -> Float[Tensor, "n m"]:
        """Return the weights of the nodes of a window in the averages at some nodes."""
        return self._matrix(*self._place(first, last, window), False)

    def inverse(self, first: int, last: int, window: slice) -> Float[Tensor, "n m"]:
        """Return the weights of the averages of a window in the values of some nodes."""
        return self._matrix(*self._place(first, last, window), True)

    def _within(self, first: int, last: int) -> slice:
        return slice(max(0, first), min(last, self._count))

    def _place(self, first: int, last: int, window: slice) -> tuple[int, int, int, int, int]:
        """Return the window's length, where in it the nodes are, and how many nodes there are beyond, if few."""
        far = 2 * _HALO_NODES
        before, behind = min(window.start, far), min(self._count - window.stop, far)
        return window.stop - window.start, first - window.start, last - window.start, before, behind

    def _new_matrix(self, *place: int | bool) -> Tensor:
        return torch.from_numpy(_matrix(self._sigma, self._before, self._behind, *place)).to(self._device)


@functools.lru_cache(maxsize=256)
def _matrix(
    sigma: float, above: int, below: int, length: int, first: int, last: int, before: int, behind: int, inverse: bool
) -> Float[np.ndarray, "n m"]:
    """Return rows of the matrix that averages nodes, or of its inverse, in a window with some nodes around it.

    Args:
        sigma: In steps.
        above: Nodes that a node reads before it.
        below: Nodes that it reads behind it.
        length: Nodes of the window.
        first: The first row, in the window.
        last: The row behind the last.
        before: Nodes before the window.
        behind: Nodes behind it.
        inverse: Whether the inverse is wanted.
    """
    count = before + length + behind
    rows, columns = slice(before + first, before + last), slice(before, before + length)
    steps = np.arange(count) - np.arange(count)[:, None]
    weights = np.where((-above <= steps) & (steps <= below), np.exp(-0.5 * (steps / sigma) ** 2), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    # Rows of the inverse are columns of the transpose's: so few nodes are solved for as if their matrix were dense.
    weights = np.linalg.solve(weights.T, np.eye(count)[:, rows]).T if inverse else weights[rows]
    return np.ascontiguousarray(weights[:, columns], np.float32)


def _down(matrix: Float[Tensor, "r m"], values: Float[Tensor, "c m w"]) -> Float[Tensor, "c r w"]:
    """Multiply the columns of each channel by a matrix."""
    found = values.new_empty(len(values), len(matrix), values.shape[2])
    for channel, into in zip(values, found, strict=True):
        torch.mm(matrix, channel, out=into)
    return found


def _across(
    windows: Callable[[int, int], slice], matrices: Callable[[int, int, slice], Tensor], values: Float[Tensor, "c r w"]
) -> Float[Tensor, "c r w"]:
    """Multiply the rows of each channel by a banded matrix, told by some of its rows and their window."""
    found, width = torch.empty_like(values), values.shape[2]
    flat, into = values.view(-1, width), found.view(-1, width)
    for first in range(0, width, _COLUMNS_AT_ONCE):
        last = min(first + _COLUMNS_AT_ONCE, width)
        window = windows(first, last)
        torch.mm(flat[:, window], matrices(first, last, window).T, out=into[:, first:last])
    return found
