"""The Warp kernels behind the neighbour index and the aggregation: one source for CPU and CUDA.

A plane is space with one layer of cells, so every point is a ``vec3`` here (2D callers pad with z = 0) and each kernel
exists once. What depends on a number known only at run time (``K`` neighbours, ``F`` features) is made by a cached
factory, because Warp keeps fixed-length vectors in registers.
"""

import functools
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
import warp as wp

wp.config.log_level = wp.LOG_ERROR  # Warp greets on every start otherwise


@functools.cache
def _thread_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="gainer-kernel")


@functools.cache
def _start_warp() -> None:
    """Starts Warp; where there is no GPU its native part warns of the missing driver, and no setting stops that."""
    if torch.cuda.is_available():
        wp.init()
        return
    standard_error, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        wp.init()
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)
        os.close(nowhere)


def launch(kernel: wp.Kernel, count: int, inputs: Sequence[Any], device: torch.device) -> None:
    """Runs a kernel over ``count`` threads; on the CPU the range is divided among torch's threads.

    Warp itself uses one CPU thread, but releases the interpreter lock, so several ranges run side by side. No two
    ranges write the same element, so the result does not depend on their number.

    Args:
        kernel: A kernel whose first argument is ``first``, the index of its first thread.
        count: Number of threads.
        inputs: The other arguments; tensors must be contiguous.
        device: Where the tensors are.
    """
    if count == 0:
        return
    _start_warp()
    arguments = [_as_warp(value) for value in inputs]
    if device.type == "cuda":
        stream = wp.stream_from_torch(torch.cuda.current_stream(device))
        wp.launch(kernel, count, [0, *arguments], stream=stream)
        return
    parts = max(1, min(torch.get_num_threads(), count // 4096))
    if parts == 1:
        wp.launch(kernel, count, [0, *arguments], device="cpu")
        return
    bounds = [count * part // parts for part in range(parts + 1)]
    kernel.module.load("cpu", block_dim=1)  # once, before the threads ask for it
    jobs = [
        _thread_pool().submit(wp.launch, kernel, end - start, [start, *arguments], device="cpu")
        for start, end in itertools.pairwise(bounds)
    ]
    for job in jobs:
        job.result()


def _as_warp(value: Any) -> Any:
    if not isinstance(value, Typed):
        return value
    return wp.from_torch(value.tensor.detach(), dtype=value.dtype, requires_grad=False)


class Typed:
    """A tensor and the Warp type of one element of it: ``Typed(points, wp.vec3)`` for ``points [m, 3]``."""

    def __init__(self, tensor: torch.Tensor, dtype: Any) -> None:
        self.tensor = tensor
        self.dtype = dtype


@functools.cache
def vector(length: int, dtype: Any = wp.float32) -> Any:
    """The Warp type of ``length`` numbers."""
    return wp.types.vector(length=length, dtype=dtype)


@functools.cache
def matrix(rows: int, columns: int) -> Any:
    """The Warp type of a float32 matrix."""
    return wp.types.matrix(shape=(rows, columns), dtype=wp.float32)


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
        inverse_jacobians: wp.array(dtype=wp.mat33),  # [n], sorted; likewise
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
        back = wp.mat33()
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


@functools.cache
def weights_of(k: int, dimensions: int) -> Any:
    """Gaussian weights of the neighbours of a point, normalised to sum 1; a missing neighbour weighs 0."""
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
    """The weights of the neighbours of each point."""
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
def mean_kernel(k: int, dimensions: int, width: int) -> wp.Kernel:
    """The weighted mean of the neighbours' features at each point; 0 where there is no neighbour."""
    weights, ints, wide = weights_of(k, dimensions), vector(k, wp.int32), vector(width)
    place, square = vector(dimensions), matrix(dimensions, dimensions)

    @wp.kernel(module="unique", enable_backward=False)
    def mean(
        first: int,
        queries: wp.array(dtype=place),  # [m]
        means: wp.array(dtype=place),  # [n]
        precisions: wp.array(dtype=square),  # [n], or [1] when all share one
        shared: int,  # 1 when all share one precision
        indices: wp.array(dtype=ints),  # [m]
        features: wp.array(dtype=wide),  # [n]
        result: wp.array(dtype=wide),  # out [m]
    ):
        i = first + wp.tid()
        ids = indices[i]
        w = weights(queries[i], means, precisions, shared, ids)
        total = wide()
        for slot in range(k):
            if ids[slot] >= 0:
                total += w[slot] * features[ids[slot]]
        result[i] = total

    return mean


@functools.cache
def row_sums_kernel(width: int) -> wp.Kernel:
    """Sparse rows times a dense matrix: ``out[i] = sum_p values[p] * dense[columns[p]]`` over the entries of row i."""
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
    """Gradient of the row sums with respect to the values: ``out[p] = dot(left[i], right[columns[p]])``."""
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
def pull_kernel(channels: int, width: int) -> wp.Kernel:
    """``out[i] = jacobian[i]^T colours[i]``: from the colours of a point to its feature."""
    colour, wide, jacobian_type = vector(channels), vector(width), matrix(channels, width)

    @wp.kernel(module="unique", enable_backward=False)
    def pull(
        first: int,
        jacobian: wp.array(dtype=jacobian_type),  # [rows]
        colours: wp.array(dtype=colour),  # [rows]
        out: wp.array(dtype=wide),  # out [rows]
    ):
        i = first + wp.tid()
        out[i] = colours[i] * jacobian[i]

    return pull


@functools.cache
def push_kernel(channels: int, width: int) -> wp.Kernel:
    """``out[i] = jacobian[i] (sum_p values[p] dense[columns[p]])``: row sums, then from the features to colours."""
    colour, wide, jacobian_type = vector(channels), vector(width), matrix(channels, width)

    @wp.kernel(module="unique", enable_backward=False)
    def push(
        first: int,
        offsets: wp.array(dtype=wp.int32),  # [rows + 1]
        columns: wp.array(dtype=wp.int32),  # [entries]
        values: wp.array(dtype=wp.float32),  # [entries]
        dense: wp.array(dtype=wide),  # [columns]
        jacobian: wp.array(dtype=jacobian_type),  # [rows]
        out: wp.array(dtype=colour),  # out [rows]
    ):
        i = first + wp.tid()
        total = wide()
        for p in range(offsets[i], offsets[i + 1]):
            total += values[p] * dense[columns[p]]
        out[i] = jacobian[i] * total

    return push


@functools.cache
def precision_gradient_kernel() -> wp.Kernel:
    """Gradient with respect to each Gaussian's precision, summed over the points that read it."""

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
