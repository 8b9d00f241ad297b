"""The Warp kernels that read a hash grid in the plane at many points, and add up the gradients of what was read.

They are for the CPU, where torch spends most of its time on indices. Nothing is added atomically: each level of the
grid has one writer, which adds in the order of the points, so the same input gives the same bits.
"""

import functools

import warp as wp

from gainer_ns.gaussians.kernels import vector

PRIME = wp.constant(wp.uint32(2654435761))
"""The factor of y in the spatial hash (Mueller et al. 2022, equation 4)."""


@wp.func
def row_of(x: int, y: int, size: wp.vec3i) -> int:
    """Return the table row of a level's vertex: its own where there are enough, else a hash of where the vertex is."""
    resolution = size[0]
    num_rows = size[2]
    row = x + y * resolution
    if resolution * resolution > num_rows:  # then the number of rows is a power of two
        row = int((wp.uint32(x) ^ (wp.uint32(y) * PRIME)) & wp.uint32(num_rows - 1))
    elif row >= num_rows:  # the far edge of a dense level wraps around
        row -= num_rows
    return size[1] + row


@wp.func
def place_of(coordinate: float, scale: float) -> wp.vec2:
    """Return where a coordinate of the unit interval lies among the vertices: the cell, and how far in it."""
    at = wp.clamp(coordinate, 0.0, 1.0) * scale + 0.5
    cell = wp.floor(at)
    return wp.vec2(cell, at - cell)


@functools.cache
def read_kernel(width: int) -> wp.Kernel:
    """Make the kernel that reads features of points, level by level."""
    wide = vector(width)

    @wp.kernel(module="unique", enable_backward=False)
    def read(
        first: int,
        points: wp.array(dtype=wp.vec2),  # [n], in the unit square
        scales: wp.array(dtype=float),  # [levels]
        sizes: wp.array(dtype=wp.vec3i),  # [levels]: resolution, first row, number of rows
        table: wp.array(dtype=wide),  # [rows]
        result: wp.array2d(dtype=wide),  # out [n, levels]
    ):
        i = first + wp.tid()
        point = points[i]
        for level in range(scales.shape[0]):
            size = sizes[level]
            x = place_of(point[0], scales[level])
            y = place_of(point[1], scales[level])
            left = int(x[0])
            top = int(y[0])
            a = table[row_of(left, top, size)]
            b = table[row_of(left + 1, top, size)]
            c = table[row_of(left, top + 1, size)]
            d = table[row_of(left + 1, top + 1, size)]
            result[i, level] = (1.0 - y[1]) * ((1.0 - x[1]) * a + x[1] * b) + y[1] * ((1.0 - x[1]) * c + x[1] * d)

    return read


@functools.cache
def gradient_kernel(width: int) -> wp.Kernel:
    """Make the kernel of the rows' gradients; a thread is a level, for which it goes through all the points."""
    wide = vector(width)

    @wp.kernel(module="unique", enable_backward=False)
    def gradient(
        first: int,
        points: wp.array(dtype=wp.vec2),  # [n], in the unit square
        scales: wp.array(dtype=float),  # [levels]
        sizes: wp.array(dtype=wp.vec3i),  # [levels]: resolution, first row, number of rows
        of_features: wp.array2d(dtype=wide),  # [n, levels]
        result: wp.array(dtype=wide),  # out [rows], 0 before
    ):
        level = first + wp.tid()
        size = sizes[level]
        scale = scales[level]
        for i in range(points.shape[0]):
            point = points[i]
            x = place_of(point[0], scale)
            y = place_of(point[1], scale)
            left = int(x[0])
            top = int(y[0])
            g = of_features[i, level]
            a = row_of(left, top, size)
            result[a] = result[a] + (1.0 - x[1]) * (1.0 - y[1]) * g
            b = row_of(left + 1, top, size)
            result[b] = result[b] + x[1] * (1.0 - y[1]) * g
            c = row_of(left, top + 1, size)
            result[c] = result[c] + (1.0 - x[1]) * y[1] * g
            d = row_of(left + 1, top + 1, size)
            result[d] = result[d] + x[1] * y[1] * g

    return gradient
