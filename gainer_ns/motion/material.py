"""Smooth functions on the visible material of a picture, which are not joined through clear air.

Quadratic B-splines on a square lattice of cells. A basis function that the clear air cuts in two counts as two, one for
each part of the material within its support, as the nodes of the virtual node algorithm do (Molino, Bao and Fedkiw
2004): so an arm beside a body is not glued to it, however coarse the cells are. Everything is in pixels of the canvas,
float64, and in complex numbers ``x + iy`` where a point is meant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Bool, Complex, Float, Int
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from scipy.spatial import KDTree

from gainer_ns.motion.shown import NEIGHBOURS, Shown

MAX_FUNCTIONS = 2500
"""The most basis functions."""
_CELLS = 900
"""About how many cells there are."""
_MIN_CELL_PX = 3.0
_MAX_PIXELS = 1 << 18
"""More pixels are looked at in blocks."""
_GAUSS = (0.5 - 0.5 / math.sqrt(3), 0.5 + 0.5 / math.sqrt(3))
"""Where in a cell, along each side, integrals are sampled (Gauss-Legendre, 2 points)."""
_MIN_SHARE = 0.1
"""A cell counts as filled by so much at least, so that thin parts keep some stiffness."""
_MIN_PART = 1 / 500
"""Of the material: what is smaller, and hangs together with nothing, does not move by itself."""


class Spots(NamedTuple):
    """Where on some material functions are read.

    Attributes:
        cells: [m].
        inside: [m], points in these.
        beyond: [m], how far from there on they go straight.
    """

    cells: Int[np.ndarray, " m"]
    inside: Complex[np.ndarray, " m"]
    beyond: Complex[np.ndarray, " m"]


@dataclass(frozen=True)
class Rows:
    """What turns coefficients into values at points, and into slopes there.

    Attributes:
        value: [m, n].
        along_x: [m, n], 1 / pixel.
        along_y: [m, n].
    """

    value: sparse.csr_matrix
    along_x: sparse.csr_matrix
    along_y: sparse.csr_matrix

    def times(self, coefficients: Complex[np.ndarray, " n"]) -> Complex[np.ndarray, " m"]:
        """Return values of complex functions."""
        pairs = np.ascontiguousarray(coefficients).view(np.float64).reshape(-1, 2)
        return (self.value @ pairs).view(np.complex128)[:, 0]


class Material:
    """The functions on what is visible.

    Args:
        shown: Where something is visible, and what of it hangs together.
        place: Where the top-left corner of the picture lies.
        pixel: How large its pixels are.
        cell: Side of a cell, in pixels of the canvas; None for about as many cells as are worth it.
        max_functions: The most basis functions that there may be.

    Attributes:
        cell: Side of a cell, in pixels of the canvas.
        size: Number of basis functions.
        box: Left, top, right and bottom of what is visible.
        rest: [n], the coefficients with which every point stays where it is.
    """

    def __init__(
        self,
        shown: Shown,
        place: tuple[float, float] = (0.0, 0.0),
        pixel: float = 1.0,
        *,
        cell: float | None = None,
        max_functions: int = MAX_FUNCTIONS,
    ) -> None:
        block = math.ceil(math.sqrt(shown.mask.size / _MAX_PIXELS))
        mask, corner, self._joined = shown.in_blocks(block) if block > 1 else shown
        if not mask.any():
            mask = np.ones_like(mask)
        corner = np.array(place) + pixel * np.array(corner, np.float64)
        columns, rows = mask.any(axis=0).nonzero()[0], mask.any(axis=1).nonzero()[0]
        ends = np.array([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]])
        self.box = tuple((corner + pixel * block * ends).ravel().tolist())
        mask = _without_specks(mask)
        self._mask, self._corner, self._pixel = mask, corner, pixel * block
        self.cell = cell or max(_MIN_CELL_PX, self._pixel * math.sqrt(mask.sum() / _CELLS))
        self._divide()
        while self.size > max_functions and self.cell < self._pixel * max(mask.shape):
            self.cell *= 1.2
            self._divide()

    def _divide(self) -> None:
        """Make cells, a copy for each part of the material in it, and a basis function for each part of its support."""
        rows, columns = self._mask.nonzero()
        places = self._pixel * (np.stack([columns, rows], axis=1) + 0.5)
        cells = np.floor(places / self.cell).astype(np.int64)  # of each pixel: column and row
        number = np.full(self._mask.shape, -1, np.int64)
        number[rows, columns] = np.arange(len(rows))
        wide = cells[:, 0].max() + 1
        cell = cells[:, 1] * wide + cells[:, 0]
        pairs = np.concatenate([self._beside(number, *offset, i) for i, offset in enumerate(NEIGHBOURS)])
        together = cell[pairs[:, 0]] == cell[pairs[:, 1]]
        count, copy = _components(len(rows), pairs[together])
        first = np.zeros(count, np.int64)
        first[copy[::-1]] = np.arange(len(rows))[::-1]
        self.cells = cells[first]
        self.shares = np.maximum(np.bincount(copy) * (self._pixel / self.cell) ** 2, _MIN_SHARE).clip(max=1.0)
        low, high = np.sort(copy[pairs[~together]], axis=1).T
        borders = np.stack(np.divmod(np.unique(low * count + high), count), axis=1)
        self.borders = borders
        # Basis functions of two cells are the same where the cells touch and it is the same place of the lattice.
        one, other = borders.T
        away = self.cells[other] - self.cells[one]
        links = []
        for j in range(3):
            for i in range(3):
                across, down = i - away[:, 0], j - away[:, 1]
                shared = (across >= 0) & (across < 3) & (down >= 0) & (down < 3)
                links.append(np.stack([9 * one + 3 * j + i, 9 * other + 3 * down + across], axis=1)[shared])
        self.size, functions = _components(9 * count, np.concatenate(links))
        self.functions = functions.reshape(count, 9)
        offsets = np.stack(np.meshgrid(range(3), range(3)), axis=-1).reshape(9, 2)
        centres = self._corner + self.cell * (self.cells[:, None] + offsets - 0.5)
        self.rest = np.zeros(self.size, np.complex128)
        self.rest[self.functions] = centres[..., 0] + 1j * centres[..., 1]
        self._copies = np.full(self._mask.shape, -1, np.int64)
        self._copies[rows, columns] = copy

    def _beside(self, number: Int[np.ndarray, "h w"], down: int, right: int, direction: int) -> Int[np.ndarray, "e 2"]:
        """Return the pairs of visible pixels that lie so beside one another, and hang together."""
        height, width = number.shape
        own = slice(0, height - down), slice(max(0, -right), width - max(0, right))
        one, other = number[own], number[down:, max(0, right) : width - max(0, -right)]
        both = (one >= 0) & (other >= 0)
        if self._joined is not None:
            both &= self._joined[direction][own]
        return np.stack([one[both], other[both]], axis=1)

    @cached_property
    def bodies(self) -> Int[np.ndarray, " n"]:
        """Which connected part of the material each basis function belongs to."""
        chain = np.stack([self.functions[:, :-1].ravel(), self.functions[:, 1:].ravel()], axis=1)
        return _components(self.size, chain)[1]

    @cached_property
    def centres(self) -> Float[np.ndarray, "c 2"]:
        """The middles of the cells."""
        return self._corner + self.cell * (self.cells + 0.5)

    @cached_property
    def _nearest(self) -> Int[np.ndarray, "2 h w"]:
        """Row and column of the visible pixel that is nearest to each pixel."""
        return np.asarray(ndimage.distance_transform_edt(~self._mask, return_distances=False, return_indices=True))

    @cached_property
    def _inward(self) -> Float[np.ndarray, "h w"]:
        padded = np.pad(self._mask, 1)
        return self._pixel * np.asarray(ndimage.distance_transform_edt(padded))[1:-1, 1:-1]

    def inward(self, points: Complex[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """Return how far points are from the edge of the material, in pixels of the canvas; 0 beyond it."""
        row, column = self._pixels_at(points)[1:]
        return self._inward[row, column]

    def _pixels_at(self, points: Complex[np.ndarray, " m"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return points in pixels of the mask [m, 2], and the nearest row and column of it."""
        place = (np.stack([points.real, points.imag], axis=1) - self._corner) / self._pixel
        height, width = self._mask.shape
        column = np.floor(place[:, 0]).clip(0, width - 1).astype(np.int64)
        return place, np.floor(place[:, 1]).clip(0, height - 1).astype(np.int64), column

    def nearest(self, points: Complex[np.ndarray, " m"]) -> tuple[Complex[np.ndarray, " m"], Int[np.ndarray, " m"]]:
        """Return the nearest points of the material, and the cells that they are in."""
        place, row, column = self._pixels_at(np.asarray(points, np.complex128))
        row, column = self._nearest[:, row, column]
        low = np.stack([column, row], axis=1)
        inside = self._corner + self._pixel * place.clip(low, low + 1)
        return inside[:, 0] + 1j * inside[:, 1], self._copies[row, column]

    def spots(self, points: Complex[np.ndarray, " m"], anchors: Complex[np.ndarray, " m"] | None = None) -> Spots:
        """Return where on the material functions are read for points.

        Args:
            points: The points.
            anchors: Points of the material that tell to which part of it each belongs; None for the nearest of it.
        """
        points = np.asarray(points, np.complex128)
        inside, cells = self.nearest(points if anchors is None else anchors)
        return Spots(cells, inside, points - inside)

    def read(
        self, spots: Spots, coefficients: Float[np.ndarray, "n d"]
    ) -> tuple[Float[np.ndarray, "m d"], Float[np.ndarray, "m d 2"]]:
        """Return functions on the material at spots, and their slopes there along x and y."""
        (across, steep), (down, fall) = (_quadratic(place) for place in self._in_cells(*spots[:2]).T)
        around = coefficients[self.functions[spots.cells]].reshape(len(spots.cells), 3, 3, coefficients.shape[1])
        over, along = (np.einsum("mi,mjid->mjd", weights, around) for weights in (across, steep / self.cell))
        slopes = [np.einsum("mj,mjd->md", *pair) for pair in ((down, along), (fall / self.cell, over))]
        return np.einsum("mj,mjd->md", down, over), np.stack(slopes, axis=2)

    def _in_cells(self, cells: np.ndarray, points: Complex[np.ndarray, " m"]) -> Float[np.ndarray, "m 2"]:
        """Return where points are in cells, from 0 to 1."""
        return (np.stack([points.real, points.imag], axis=1) - self._corner) / self.cell - self.cells[cells]

    def rows(self, points: Complex[np.ndarray, " m"], anchors: Complex[np.ndarray, " m"] | None = None) -> Rows:
        """Return what reads functions at points, straight on from the material's nearest; see ``spots``."""
        cells, inside, beyond = self.spots(points, anchors)
        own = self.rows_in(cells, inside)
        if not beyond.any():
            return own
        x, y = sparse.diags(beyond.real), sparse.diags(beyond.imag)
        value = own.value + x @ own.along_x + y @ own.along_y
        return Rows(sparse.csr_matrix(value), own.along_x, own.along_y)

    def rows_in(self, cells: Int[np.ndarray, " m"], points: Complex[np.ndarray, " m"]) -> Rows:
        """Return what reads functions at points in cells."""
        across, down = (_quadratic(place) for place in self._in_cells(cells, points).T)
        return Rows(
            self._matrix(cells, across[0], down[0]),
            self._matrix(cells, across[1] / self.cell, down[0]),
            self._matrix(cells, across[0], down[1] / self.cell),
        )

    def _matrix(self, cells: np.ndarray, across: np.ndarray, down: np.ndarray) -> sparse.csr_matrix:
        """Return products of weights along both axes, each [m, 3], by basis functions."""
        values = (down[:, :, None] * across[:, None, :]).reshape(-1)
        starts = np.arange(0, len(values) + 1, 9)
        matrix = sparse.csr_matrix((values, self.functions[cells].ravel(), starts), (len(cells), self.size))
        matrix.sum_duplicates()
        return matrix

    @cached_property
    def samples(self) -> Rows:
        """What reads functions where integrals are sampled: four points a cell, one cell after another."""
        return self.rows_in(*self._sampled)

    @cached_property
    def sample_points(self) -> Complex[np.ndarray, " q"]:
        """Where that is."""
        return self._sampled[1]

    @property
    def sample_spots(self) -> Spots:
        """The same as what functions are read at."""
        cells, points = self._sampled
        return Spots(cells, points, np.zeros_like(points))

    @cached_property
    def sample_pixels(self) -> Complex[np.ndarray, " q"] | None:
        """The pixel nearest to each of these, of the same part; None where all at a place is one part."""
        if self._joined is None:
            return None
        rows, columns = self._mask.nonzero()
        places = self._corner + self._pixel * (np.stack([columns, rows], axis=1) + 0.5)
        cells, points = self._sampled
        apart = 4 * self.cell
        tree = KDTree(np.column_stack([places, apart * self._copies[rows, columns]]))
        _, nearest = tree.query(np.column_stack([points.real, points.imag, apart * cells]))
        return places[nearest, 0] + 1j * places[nearest, 1]

    @cached_property
    def sample_areas(self) -> Float[np.ndarray, " q"]:
        """The share of a cell that each of these points stands for."""
        return np.repeat(self.shares / 4, 4)

    @cached_property
    def _sampled(self) -> tuple[np.ndarray, np.ndarray]:
        places = np.array([(x, y) for y in _GAUSS for x in _GAUSS])
        points = (self._corner + self.cell * (self.cells[:, None] + places)).reshape(-1, 2)
        return np.repeat(np.arange(len(self.cells)), 4), points[:, 0] + 1j * points[:, 1]

    @cached_property
    def bends(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix, sparse.csr_matrix]:
        """What reads second derivatives there, times a cell's side: xx, xy times root 2, yy."""
        cells, points = self._sampled
        (value_x, slope_x), (value_y, slope_y) = (_quadratic(place) for place in self._in_cells(cells, points).T)
        second = np.broadcast_to([1.0, -2.0, 1.0], value_x.shape)
        return (
            self._matrix(cells, second / self.cell, value_y),
            self._matrix(cells, slope_x * (math.sqrt(2) / self.cell), slope_y),
            self._matrix(cells, value_x, second / self.cell),
        )

    def geodesic(self, sources: Int[np.ndarray, " s"]) -> Float[np.ndarray, " c"]:
        """Return how far each cell is from the nearest of some, through the material; infinite where nothing leads."""
        one, other = self.borders.T
        lengths = np.linalg.norm(self.centres[one] - self.centres[other], axis=1).clip(min=0.5 * self.cell)
        graph = sparse.coo_matrix((lengths, (one, other)), (len(self.cells), len(self.cells))).tocsr()
        return csgraph.dijkstra(graph, directed=False, indices=np.unique(sources), min_only=True)


def _quadratic(place: Float[np.ndarray, " m"]) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, "m 3"]]:
    """Return the quadratic B-spline's weights of the three functions in a cell, and their derivatives."""
    u, v = place, 1 - place
    return np.stack([0.5 * v * v, 0.5 + u * v, 0.5 * u * u], axis=1), np.stack([-v, 1 - 2 * u, u], axis=1)


def _without_specks(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Leave out parts that are too small to move by themselves: they follow what is nearest to them."""
    parts, count = cast("tuple[np.ndarray, int]", ndimage.label(mask, np.ones((3, 3))))
    areas = np.bincount(parts.ravel(), minlength=count + 1)
    areas[0] = 0
    return mask & (areas >= min(_MIN_PART * areas.sum(), areas.max()))[parts]


def _components(count: int, pairs: Int[np.ndarray, "e 2"]) -> tuple[int, Int[np.ndarray, " n"]]:
    """Return how many connected parts there are, and which one each of ``count`` things is in."""
    graph = sparse.coo_matrix((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), (count, count))
    parts, labels = csgraph.connected_components(graph, directed=False)
    return parts, labels.astype(np.int64)
