"""The Warp kernels of weights and aggregation."""

import functools
from typing import Any

import warp as wp

from gainer_ns.gaussians.kernels import matrix, vector
from gainer_ns.gaussians.neighbour_kernels import CellGrid, index_of, search_of


@functools.cache
def weights_of(k: int, dimensions: int) -> Any:
    """Make the function of a point's Gaussian weights, normalised to sum 1; a missing neighbour weighs 0."""
    floats, ints = vector(k), vector(k, wp.int32)
    place, square = vector(dimensions), matrix(dimensions, dimensions)

    @wp.func
    def weights(
        q: place,
        means: wp.array(dtype=place),  # [n]
        precisions: wp.array(dtype=square),  # [n], or [1] when all share one
        shared: int,  # 1 when all share one precision
        ids: ints,
    ):
        exponent = floats()
        least = float(wp.inf)
        for slot in range(k):
            j = ids[slot]
            if j >= 0:
                d = q - means[j]
                row = j
                if shared == 1:
                    row = 0
                exponent[slot] = wp.dot(d, precisions[row] * d)
                least = wp.min(least, exponent[slot])
        w = floats()
        total = float(0.0)
        for slot in range(k):
            if ids[slot] >= 0:  # relative to the largest, so that no region gives 0 / 0
                w[slot] = wp.exp(-0.5 * (exponent[slot] - least))
                total += w[slot]
        if total > 0.0:
            w = w / total
        return w

    return weights


@functools.cache
def weights_kernel(k: int, dimensions: int) -> wp.Kernel:
    """Make the kernel of the weights of each point's neighbours."""
    weights, floats, ints = weights_of(k, dimensions), vector(k), vector(k, wp.int32)
    place, square = vector(dimensions), matrix(dimensions, dimensions)

    @wp.kernel(module="unique", enable_backward=False)
    def all_weights(
        first: int,
        queries: wp.array(dtype=place),  # [m]
        means: wp.array(dtype=place),  # [n]
        precisions: wp.array(dtype=square),  # [n], or [1] when all share one
        shared: int,  # 1 when all share one precision
        indices: wp.array(dtype=ints),  # [m]
        result: wp.array(dtype=floats),  # out [m]
    ):
        i = first + wp.tid()
        result[i] = weights(queries[i], means, precisions, shared, indices[i])

    return all_weights


@functools.cache
def search_and_aggregate_kernel(k: int, deformed: bool, flat: bool, width: int, sloped: int) -> wp.Kernel:
    """Make the kernel that searches neighbours and averages their features, for queries that are read once."""
    search, weights = search_of(k, deformed, flat), weights_of(k, 2 if flat else 3)
    wide, tall, ints = vector(width), matrix(max(1, sloped), 2 if flat else 3), vector(k, wp.int32)
    place, square = (vector(2), matrix(2, 2)) if flat else (vector(3), matrix(3, 3))

    @wp.kernel(module="unique", enable_backward=False)
    def read(
        first: int,
        queries: wp.array(dtype=wp.vec3),  # [m]
        grid: CellGrid,
        radius: float,
        inverse_jacobians: wp.array(dtype=square),
        stretches: wp.array(dtype=wp.float32),
        means: wp.array(dtype=place),  # [n]
        precisions: wp.array(dtype=square),  # [n], or [1] when all share one
        shared: int,  # 1 when all share one precision
        features: wp.array(dtype=wide),  # [n]
        slopes: wp.array(dtype=tall),  # [n], how the first channels change away from the means; [0] where none does
        result: wp.array(dtype=wide),  # out [m], 0 where there is no neighbour
        nearest: wp.array(dtype=wp.int32),  # out [m], -1 where there is no neighbour
    ):
        i = first + wp.tid()
        q = queries[i]
        keys = search(q, grid, radius, inverse_jacobians, stretches)
        found = ints()
        for slot in range(k):
            found[slot] = index_of(keys[slot])
        at = place()
        for axis in range(wp.static(2 if flat else 3)):
            at[axis] = q[axis]
        w = weights(at, means, precisions, shared, found)
        total = wide()
        for slot in range(k):
            if found[slot] >= 0:
                total += w[slot] * features[found[slot]]
                if wp.static(sloped > 0):
                    more = w[slot] * (slopes[found[slot]] * (at - means[found[slot]]))
                    for channel in range(sloped):
                        total[channel] += more[channel]
        result[i] = total
        nearest[i] = found[0]

    return read


@functools.cache
def row_sums_kernel(width: int) -> wp.Kernel:
    """Make the kernel of a sparse matrix times a dense one.

    ``out[i] = sum_p values[p] * dense[columns[p]]`` over row i.
    """
    wide = vector(width)

    @wp.kernel(module="unique", enable_backward=False)
    def row_sums(
        first: int,
        offsets: wp.array(dtype=wp.int32),  # [rows + 1]
        columns: wp.array(dtype=wp.int32),  # [entries]
        values: wp.array(dtype=wp.float32),  # [entries]
        dense: wp.array(dtype=wide),  # [columns]
        out: wp.array(dtype=wide),  # out [rows]
    ):
        i = first + wp.tid()
        total = wide()
        for p in range(offsets[i], offsets[i + 1]):
            total += values[p] * dense[columns[p]]
        out[i] = total

    return row_sums


@functools.cache
def row_products_kernel(width: int) -> wp.Kernel:
    """Make the kernel of the row sums' gradient by the values: ``out[p] = dot(left[i], right[columns[p]])``."""
    wide = vector(width)

    @wp.kernel(module="unique", enable_backward=False)
    def row_products(
        first: int,
        offsets: wp.array(dtype=wp.int32),  # [rows + 1]
        columns: wp.array(dtype=wp.int32),  # [entries]
        left: wp.array(dtype=wide),  # [rows]
        right: wp.array(dtype=wide),  # [columns]
        out: wp.array(dtype=wp.float32),  # out [entries]
    ):
        i = first + wp.tid()
        for p in range(offsets[i], offsets[i + 1]):
            out[p] = wp.dot(left[i], right[columns[p]])

    return row_products


@functools.cache
def precision_gradient_kernel() -> wp.Kernel:
    """Make the kernel of the gradient by each Gaussian's precision, summed over the points that read it."""

    @wp.kernel(module="unique", enable_backward=False)
    def precision_gradient(
        first: int,
        offsets: wp.array(dtype=wp.int32),  # [gaussians + 1], of the transposed aggregation matrix
        points_of: wp.array(dtype=wp.int32),  # [entries], the point of each of its entries
        exponent_gradient: wp.array(dtype=wp.float32),  # [entries], d loss / d (-1/2 (x-mu)^T P (x-mu))
        points: wp.array(dtype=wp.vec3),  # [points]
        means: wp.array(dtype=wp.vec3),  # [gaussians]
        out: wp.array(dtype=wp.mat33),  # out [gaussians]
    ):
        j = first + wp.tid()
        total = wp.mat33()
        for p in range(offsets[j], offsets[j + 1]):
            d = points[points_of[p]] - means[j]
            total += (-0.5 * exponent_gradient[p]) * wp.outer(d, d)
        out[j] = total

    return precision_gradient
