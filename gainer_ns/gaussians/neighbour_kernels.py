"""The Warp kernels of the neighbour index.

A plane is space with one layer of cells, so every point is a ``vec3`` here: callers in 2D pad with z = 0.
"""

import functools

import warp as wp

from gainer_ns.gaussians.kernels import matrix, vector


@wp.func
def cell_of(point: wp.vec3, origin: wp.vec3, cell: float, shape: wp.vec3i) -> wp.vec3i:
    """The cell that holds a point; a point outside the grid belongs to the nearest cell of the border."""
    at = (point - origin) / cell
    return wp.vec3i(
        int(wp.clamp(wp.floor(at[0]), 0.0, float(shape[0] - 1))),
        int(wp.clamp(wp.floor(at[1]), 0.0, float(shape[1] - 1))),
        int(wp.clamp(wp.floor(at[2]), 0.0, float(shape[2] - 1))),
    )


@wp.func
def wall_distance(at: float, cells: int) -> float:
    """How far, in cells, a point is from the nearer wall of its cell along one axis; one layer has no walls."""
    if cells == 1:
        return 1.0e9
    inside = at - wp.floor(at)
    if at < 0.0 or at >= float(cells):
        return 0.0
    return wp.min(inside, 1.0 - inside)


@functools.cache
def anchor_kernel() -> wp.Kernel:
    """For each query a point near it: the nearest of those in the first ring of cells that holds any."""

    @wp.kernel(module="unique", enable_backward=False)
    def anchor(
        first: int,
        queries: wp.array(dtype=wp.vec3),  # [m]
        points: wp.array(dtype=wp.vec3),  # [n], sorted by cell
        cell_start: wp.array(dtype=wp.int32),  # [cells + 1]
        empty_rings: wp.array(dtype=wp.int32),  # [cells]
        origin: wp.vec3,
        cell: float,
        shape: wp.vec3i,
        anchors: wp.array(dtype=wp.int32),  # out [m], positions among the sorted points
    ):
        i = first + wp.tid()
        q = queries[i]
        c = cell_of(q, origin, cell, shape)
        ring = empty_rings[(c[2] * shape[1] + c[1]) * shape[0] + c[0]]
        best = float(wp.inf)
        found = int(0)
        for z in range(wp.max(c[2] - ring, 0), wp.min(c[2] + ring, shape[2] - 1) + 1):
            for y in range(wp.max(c[1] - ring, 0), wp.min(c[1] + ring, shape[1] - 1) + 1):
                stride = int(1)  # only the shell of the cube: inner rows have two cells of it
                if wp.abs(z - c[2]) < ring and wp.abs(y - c[1]) < ring:
                    stride = wp.max(2 * ring, 1)
                x = c[0] - ring
                while x <= c[0] + ring:
                    if x >= 0 and x < shape[0]:
                        key = (z * shape[1] + y) * shape[0] + x
                        for j in range(cell_start[key], cell_start[key + 1]):
                            d = points[j] - q
                            d2 = wp.dot(d, d)
                            if d2 < best:
                                best = d2
                                found = j
                    x += stride
        anchors[i] = found

    return anchor


@functools.cache
def nearest_kernel(k: int, deformed: bool, flat: bool) -> wp.Kernel:
    """The K nearest points within a radius, by rings of cells around the query until no nearer point can be left.

    Where the points were ``deformed``, distances are those before the deformation, as an anchor near the query tells.
    Where they are ``flat``, they lie in the plane z = 0.
    """
    floats = vector(k)
    ints = vector(k, wp.int32)
    square = matrix(2, 2) if flat else matrix(3, 3)

    @wp.kernel(module="unique", enable_backward=False)
    def nearest(
        first: int,
        queries: wp.array(dtype=wp.vec3),  # [m]
        points: wp.array(dtype=wp.vec3),  # [n], sorted by cell
        order: wp.array(dtype=wp.int32),  # [n], the index of each sorted point
        cell_start: wp.array(dtype=wp.int32),  # [cells + 1]
        empty_rings: wp.array(dtype=wp.int32),  # [cells], how many rings around a cell hold nothing
        origin: wp.vec3,
        cell: float,
        shape: wp.vec3i,
        radius: float,  # before the deformation
        anchors: wp.array(dtype=wp.int32),  # [m], sorted points near the queries; empty where nothing is deformed
        inverse_jacobians: wp.array(dtype=square),  # [n], sorted; likewise
        stretches: wp.array(dtype=wp.float32),  # [n], sorted: the largest that each point saw; likewise
        indices: wp.array(dtype=ints),  # out [m], -1 where there is no neighbour
        squared: wp.array(dtype=floats),  # out [m], infinite where there is no neighbour
    ):
        i = first + wp.tid()
        q = queries[i]
        best = floats()
        found = ints()
        for slot in range(k):
            best[slot] = wp.inf
            found[slot] = -1
        back = square()
        stretch = float(1.0)
        if wp.static(deformed):
            back = inverse_jacobians[anchors[i]]
            stretch = stretches[anchors[i]]
        at = (q - origin) / cell
        c = cell_of(q, origin, cell, shape)
        wall = wp.min(
            wall_distance(at[0], shape[0]), wp.min(wall_distance(at[1], shape[1]), wall_distance(at[2], shape[2]))
        )
        limit = radius * radius  # squared distance beyond which nothing is of use
        last_ring = wp.max(shape[0], wp.max(shape[1], shape[2]))
        ring = empty_rings[(c[2] * shape[1] + c[1]) * shape[0] + c[0]]
        while ring < last_ring:
            for z in range(wp.max(c[2] - ring, 0), wp.min(c[2] + ring, shape[2] - 1) + 1):
                for y in range(wp.max(c[1] - ring, 0), wp.min(c[1] + ring, shape[1] - 1) + 1):
                    stride = int(1)  # only the shell of the cube: inner rows have two cells of it
                    if wp.abs(z - c[2]) < ring and wp.abs(y - c[1]) < ring:
                        stride = wp.max(2 * ring, 1)
                    x = c[0] - ring
                    while x <= c[0] + ring:
                        if x >= 0 and x < shape[0]:
                            key = (z * shape[1] + y) * shape[0] + x
                            for j in range(cell_start[key], cell_start[key + 1]):
                                d = points[j] - q
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
                                if d2 <= limit and d2 <= best[k - 1]:
                                    # Of equally near points the first in the caller's order counts as nearer: on a
                                    # lattice there are always some, and the choice must not depend on the cells.
                                    index = order[j]
                                    if d2 < best[k - 1] or index < found[k - 1]:
                                        slot = int(k - 1)
                                        while slot > 0 and (
                                            best[slot - 1] > d2 or (best[slot - 1] == d2 and found[slot - 1] > index)
                                        ):
                                            best[slot] = best[slot - 1]
                                            found[slot] = found[slot - 1]
                                            slot -= 1
                                        best[slot] = d2
                                        found[slot] = index
                        x += stride
            # Every point nearer than this, before the deformation, has been seen, despite rounding.
            reach = (float(ring) + wall - 1.0e-3) * cell / stretch
            if reach > 0.0 and reach * reach > wp.min(best[k - 1], limit):
                break
            ring += 1
        indices[i] = found
        squared[i] = best

    return nearest
