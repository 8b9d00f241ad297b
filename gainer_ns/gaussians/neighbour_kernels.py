"""The Warp kernels of the neighbour index.

A plane is space with one layer of cells, so every point is a ``vec3`` here: callers in 2D pad with z = 0.
"""

import functools
from typing import Any

import warp as wp

from gainer_ns.gaussians.kernels import matrix, vector


@wp.struct
class CellGrid:
    """Points, by the cells of a grid over them; those outside of it belong to the nearest cell of its border."""

    points: wp.array(dtype=wp.vec3)  # [n], sorted by cell
    order: wp.array(dtype=wp.int32)  # [n], the caller's index of each
    cell_start: wp.array(dtype=wp.int32)  # [cells + 1], where the points of each cell begin
    empty_rings: wp.array(dtype=wp.int32)  # [cells], how many rings of cells around each hold no point
    origin: wp.vec3
    cell: float  # side of a cell
    shape: wp.vec3i  # cells along x, y and z
    farthest: float  # how far away a neighbour can be


@wp.func
def cell_of(point: wp.vec3, grid: CellGrid) -> wp.vec3i:
    """Return the cell that holds a point."""
    at = (point - grid.origin) / grid.cell
    return wp.vec3i(
        int(wp.clamp(wp.floor(at[0]), 0.0, float(grid.shape[0] - 1))),
        int(wp.clamp(wp.floor(at[1]), 0.0, float(grid.shape[1] - 1))),
        int(wp.clamp(wp.floor(at[2]), 0.0, float(grid.shape[2] - 1))),
    )


@wp.func
def wall_distance(at: float, cells: int) -> float:
    """Return how far, in cells, a point is from the nearer wall of its cell along one axis; one layer has no walls."""
    if cells == 1:
        return 1.0e9
    inside = at - wp.floor(at)
    if at < 0.0 or at >= float(cells):
        return 0.0
    return wp.min(inside, 1.0 - inside)


@wp.func
def runs_of(inner: bool) -> int:
    """Return how many runs of neighbouring cells a ring has in a row: an inner row has a cell of it at either end."""
    if inner:
        return 2
    return 1


@wp.func
def cells_of(centre: int, ring: int, run: int, runs: int, width: int) -> wp.vec2i:
    """Return a run's first cell and the one after its last: their points lie side by side in memory."""
    first = centre - ring
    last = centre + ring
    if runs == 2 and run == 0:
        last = first
    if run == 1:
        first = last
    first = wp.max(first, 0)
    last = wp.min(last, width - 1)
    if first > last:
        return wp.vec2i(0, 0)
    return wp.vec2i(first, last + 1)


@wp.func
def anchor_of(q: wp.vec3, grid: CellGrid) -> int:
    """Return a point near q: the nearest in the first ring of cells that holds any; any point beyond the farthest."""
    c = cell_of(q, grid)
    ring = grid.empty_rings[(c[2] * grid.shape[1] + c[1]) * grid.shape[0] + c[0]]
    best = float(wp.inf)
    found = int(0)
    if float(ring - 1) * grid.cell > grid.farthest:
        ring = -1
    for z in range(wp.max(c[2] - ring, 0), wp.min(c[2] + ring, grid.shape[2] - 1) + 1):
        for y in range(wp.max(c[1] - ring, 0), wp.min(c[1] + ring, grid.shape[1] - 1) + 1):
            runs = runs_of(wp.abs(z - c[2]) < ring and wp.abs(y - c[1]) < ring)
            for run in range(runs):
                cells = cells_of(c[0], ring, run, runs, grid.shape[0])
                row = (z * grid.shape[1] + y) * grid.shape[0]
                for j in range(grid.cell_start[row + cells[0]], grid.cell_start[row + cells[1]]):
                    d = grid.points[j] - q
                    d2 = wp.dot(d, d)
                    if d2 < best:
                        best = d2
                        found = j
    return found


@functools.cache
def ring_kernel() -> wp.Kernel:
    """Make the kernel of how many rings of cells around each hold no point: one axis of the chessboard distance."""

    @wp.kernel(module="unique", enable_backward=False)
    def rings(
        first: int,
        before: wp.array(dtype=wp.int32),  # [cells], along the axes before: at first 0 for a cell that holds a point
        stride: int,  # from a cell to the next along the axis
        length: int,  # cells along the axis
        after: wp.array(dtype=wp.int32),  # out [cells]
    ):
        i = first + wp.tid()
        place = (i / stride) % length
        best = before[i]
        away = int(1)
        while away < best and (away <= place or away < length - place):
            if away <= place:
                best = wp.min(best, wp.max(away, before[i - away * stride]))
            if away < length - place:
                best = wp.min(best, wp.max(away, before[i + away * stride]))
            away += 1
        after[i] = best

    return rings


@functools.cache
def anchor_kernel() -> wp.Kernel:
    """Make the kernel of each query's ``anchor_of``."""

    @wp.kernel(module="unique", enable_backward=False)
    def anchor(
        first: int,
        queries: wp.array(dtype=wp.vec3),  # [m]
        grid: CellGrid,
        anchors: wp.array(dtype=wp.int32),  # out [m], positions among the sorted points
    ):
        i = first + wp.tid()
        anchors[i] = anchor_of(queries[i], grid)

    return anchor


NO_NEIGHBOUR = wp.constant(wp.int64((0x7F800000 << 32) | 0xFFFFFFFF))
"""The key of an empty slot: infinitely far, index -1."""


@wp.func
def key_of(squared: float, index: int) -> wp.int64:
    """Encode a neighbour as one number, in the order of distances, and of indices where these are equal.

    On a lattice some are always equally near, and the choice must not depend on the cells. The bits of floats that are
    not negative are in the order of the floats.
    """
    return (wp.int64(wp.cast(squared, wp.int32)) << wp.int64(32)) | wp.int64(index)


@wp.func
def squared_distance_of(key: wp.int64) -> float:
    """Return the squared distance of a key; infinite for an empty slot."""
    return wp.cast(wp.int32(key >> wp.int64(32)), wp.float32)


@wp.func
def index_of(key: wp.int64) -> int:
    """Return the index of a key; -1 for an empty slot."""
    return wp.int32(key & wp.int64(0xFFFFFFFF))


@functools.cache
def search_of(k: int, deformed: bool, flat: bool) -> Any:
    """Make the function that searches the K nearest points within a radius, by rings of cells until none can be nearer.

    Their keys are kept in no order: only the farthest is known, which the next nearer one replaces. The nearest comes
    first. Where the points were ``deformed``, distances are those before the deformation, as an anchor near the query
    tells. Where they are ``flat``, they lie in the plane z = 0.
    """
    keyed = vector(k, wp.int64)
    square = matrix(2, 2) if flat else matrix(3, 3)

    @wp.func
    def farthest_of(keys: keyed) -> int:
        """Return the slot of the farthest."""
        slot = int(0)
        largest = keys[0]
        for other in range(1, k):  # without branches, which nobody could predict
            slot = wp.where(keys[other] > largest, other, slot)
            largest = wp.max(keys[other], largest)
        return slot

    @wp.func
    def search(
        q: wp.vec3,
        grid: CellGrid,
        radius: float,  # before the deformation
        inverse_jacobians: wp.array(dtype=square),  # [n], sorted; [1] if all share one; [0] if none is deformed
        stretches: wp.array(dtype=wp.float32),  # likewise, the largest that each point saw
    ) -> keyed:
        keys = keyed()
        for slot in range(k):
            keys[slot] = NO_NEIGHBOUR
        have = int(0)
        worst = int(0)
        back = square()
        stretch = float(1.0)
        if wp.static(deformed):
            near = int(0)
            if inverse_jacobians.shape[0] > 1:
                near = anchor_of(q, grid)
            back = inverse_jacobians[near]
            stretch = stretches[near]
        at = (q - grid.origin) / grid.cell
        c = cell_of(q, grid)
        wall = wall_distance(at[0], grid.shape[0])
        wall = wp.min(wall, wall_distance(at[1], grid.shape[1]))
        wall = wp.min(wall, wall_distance(at[2], grid.shape[2]))
        within = radius * radius  # squared distance beyond which nothing is of use any more
        last_ring = wp.max(grid.shape[0], wp.max(grid.shape[1], grid.shape[2])) - 1
        ring = grid.empty_rings[(c[2] * grid.shape[1] + c[1]) * grid.shape[0] + c[0]]
        if float(ring - 1) * grid.cell / stretch > radius:
            last_ring = -1
        ring = wp.min(wp.max(ring, 1), last_ring)  # the query's own cell is never enough
        seen = int(-1)  # the rings up to this one hold nothing, or were looked at
        while seen < last_ring:
            for z in range(wp.max(c[2] - ring, 0), wp.min(c[2] + ring, grid.shape[2] - 1) + 1):
                for y in range(wp.max(c[1] - ring, 0), wp.min(c[1] + ring, grid.shape[1] - 1) + 1):
                    runs = runs_of(wp.max(wp.abs(z - c[2]), wp.abs(y - c[1])) <= seen)
                    for run in range(runs):
                        cells = cells_of(c[0], ring, run, runs, grid.shape[0])
                        row = (z * grid.shape[1] + y) * grid.shape[0]
                        for j in range(grid.cell_start[row + cells[0]], grid.cell_start[row + cells[1]]):
                            d = grid.points[j] - q
                            d2 = float(0.0)
                            if wp.static(flat and deformed):
                                u = back[0, 0] * d[0] + back[0, 1] * d[1]
                                v = back[1, 0] * d[0] + back[1, 1] * d[1]
                                d2 = u * u + v * v
                            elif wp.static(flat):
                                d2 = d[0] * d[0] + d[1] * d[1]
                            else:
                                if wp.static(deformed):
                                    d = back * d
                                d2 = wp.dot(d, d)
                            if d2 <= within:
                                key = key_of(d2, grid.order[j])
                                if have < k:
                                    keys[have] = key
                                    have += 1
                                    if have == k:
                                        worst = farthest_of(keys)
                                        within = squared_distance_of(keys[worst])
                                elif key < keys[worst]:
                                    keys[worst] = key
                                    worst = farthest_of(keys)
                                    within = squared_distance_of(keys[worst])
            # Every point nearer than this, before the deformation, has been seen, despite rounding.
            searched = (float(ring) + wall - 1.0e-3) * grid.cell / stretch
            if searched > 0.0 and searched * searched > within:
                break
            seen = ring
            ring += 1
        nearest = int(0)
        for slot in range(1, k):
            nearest = wp.where(keys[slot] < keys[nearest], slot, nearest)
        first_key = keys[nearest]
        keys[nearest] = keys[0]
        keys[0] = first_key
        return keys

    return search


@functools.cache
def nearest_kernel(k: int, deformed: bool, flat: bool) -> wp.Kernel:
    """Make the kernel of each query's neighbours, as ``search_of`` finds them."""
    search, floats, ints = search_of(k, deformed, flat), vector(k), vector(k, wp.int32)
    square = matrix(2, 2) if flat else matrix(3, 3)

    @wp.kernel(module="unique", enable_backward=False)
    def nearest(
        first: int,
        queries: wp.array(dtype=wp.vec3),  # [m]
        grid: CellGrid,
        radius: float,
        inverse_jacobians: wp.array(dtype=square),
        stretches: wp.array(dtype=wp.float32),
        indices: wp.array(dtype=ints),  # out [m], -1 where there is no neighbour
        squared: wp.array(dtype=floats),  # out [m], infinite where there is no neighbour
    ):
        i = first + wp.tid()
        keys = search(queries[i], grid, radius, inverse_jacobians, stretches)
        found, distances = ints(), floats()
        for slot in range(k):
            found[slot] = index_of(keys[slot])
            distances[slot] = squared_distance_of(keys[slot])
        indices[i] = found
        squared[i] = distances

    return nearest
