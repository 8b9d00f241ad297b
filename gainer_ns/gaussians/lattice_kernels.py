"""The Warp kernel that reads a lattice of Gaussians."""

import functools

import warp as wp

from gainer_ns.gaussians.kernels import vector

BLOCK_NODES = 6
"""Nodes along a side of the block that a point reads: those within 3 steps, beyond which nothing weighs anything."""

ROUNDING = wp.constant(1e-3)
"""In steps."""


@functools.cache
def block_kernel(width: int) -> wp.Kernel:
    """Make the kernel that averages the block of nodes around each point by Gaussian weight.

    Args:
        width: Numbers of a node; the last is 1 where there is a Gaussian, and all are 0 where there is none.
    """
    wide, side = vector(width), vector(BLOCK_NODES)

    @wp.func
    def weights(offset: float, exponent: float):
        found = side()
        for k in range(BLOCK_NODES):
            d = offset - float(k)
            found[k] = wp.exp(exponent * d * d)
        return found

    @wp.kernel(module="unique", enable_backward=False)
    def block(
        first: int,
        points: wp.array(dtype=wp.vec2),  # [m]
        x: wp.array(dtype=float),  # [columns], of the nodes, ascending
        y: wp.array(dtype=float),  # [rows], ascending
        steps: float,  # per unit of the points
        exponent: float,  # -1/2 over the variance in steps
        nodes: wp.array(dtype=wide),  # [rows * columns]
        result: wp.array(dtype=wide),  # out [m], 0 where there is no Gaussian
    ):
        i = first + wp.tid()
        p = points[i]
        columns = x.shape[0]
        # A little more, so that points at nodes read the same block however they are rounded.
        column = int(wp.floor((p[0] - x[0]) * steps + ROUNDING)) - 2
        row = int(wp.floor((p[1] - y[0]) * steps + ROUNDING)) - 2
        total = wide()
        if column >= 0 and row >= 0 and column + BLOCK_NODES <= columns and row + BLOCK_NODES <= y.shape[0]:
            # From the node beside the point: coordinates of the same size differ without rounding.
            across = weights((p[0] - x[column + 2]) * steps + 2.0, exponent)
            down = weights((p[1] - y[row + 2]) * steps + 2.0, exponent)
            for r in range(BLOCK_NODES):
                at = (row + r) * columns + column
                line = wide()
                for k in range(BLOCK_NODES):
                    line += across[k] * nodes[at + k]
                total += down[r] * line
            if total[width - 1] > 0.0:
                total = total / total[width - 1]
        result[i] = total

    return block
