"""The Warp kernels of Gauss-Newton steps: between features and colours."""

import functools

import warp as wp

from gainer_ns.gaussians.kernels import matrix, vector


@functools.cache
def pull_kernel(channels: int, width: int) -> wp.Kernel:
    """Make the kernel of ``out[i] = jacobian[i]^T colours[i]``: from the colours of a point to its feature."""
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
    """Make the kernel of ``out[i] = jacobian[i] (sum_p values[p] dense[columns[p]])``: row sums, then to colours."""
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
