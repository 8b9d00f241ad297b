"""The Warp kernel that reads a lattice of Gaussians."""

import functools

import warp as wp

from gainer_ns.gaussians.footprints import FULL_MINIFICATION, MAX_SAMPLES, SIDE_ROUNDING
from gainer_ns.gaussians.kernels import vector

BLOCK_NODES = 6
"""Nodes along a side of the block that a point reads: those within 3 steps, beyond which nothing weighs anything."""

ROUNDING = wp.constant(1e-3)
"""In steps."""
SIDE = wp.constant(SIDE_ROUNDING)
SAMPLES = wp.constant(MAX_SAMPLES)
SHARE = wp.constant(1 / (FULL_MINIFICATION - 1))


@functools.cache
def block_kernel(width: int, has_opacities: bool) -> wp.Kernel:
    """Make the kernel that averages the block of nodes around each point by Gaussian weight.

    Args:
        width: Numbers of a node; the last is 1 where there is a Gaussian, and all are 0 where there is none. Read it is
            how much there is: less than 1 along the frame.
        has_opacities: Whether the first is an opacity, by which points of a footprint weigh.
    """
    wide, side = vector(width), vector(BLOCK_NODES)

    @wp.func
    def weights(offset: float, fall: float, falls: wp.vec3):
        # exp(e (offset - k)^2) over what the third node weighs, by one exponential and what e alone says.
        rise = wp.exp(-2.0 * fall * offset)
        back = 1.0 / rise
        return side(
            falls[1] * back * back,
            falls[0] * back,
            1.0,
            falls[0] * rise,
            falls[1] * rise * rise,
            falls[2] * rise * rise * rise,
        )

    @wp.func
    def mean(
        p: wp.vec2,
        x: wp.array(dtype=float),
        y: wp.array(dtype=float),
        steps: float,
        fall: float,
        falls: wp.vec3,
        nodes: wp.array(dtype=wide),
        half: wp.vec2,
        slopes: wp.vec2,
    ):
        columns = x.shape[0]
        # A little more, so that points at nodes read the same block however they are rounded.
        column = int(wp.floor((p[0] - x[0]) * steps + ROUNDING)) - 2
        row = int(wp.floor((p[1] - y[0]) * steps + ROUNDING)) - 2
        total = wide()
        if column >= 0 and row >= 0 and column + BLOCK_NODES <= columns and row + BLOCK_NODES <= y.shape[0]:
            # From the node beside the point: coordinates of the same size differ without rounding.
            across = weights((p[0] - x[column + 2]) * steps, fall, falls)
            down = weights((p[1] - y[row + 2]) * steps, fall, falls)
            for r in range(BLOCK_NODES):
                at = (row + r) * columns + column
                for k in range(BLOCK_NODES):
                    total += (down[r] * across[k]) * nodes[at + k]
            if total[width - 1] > 0.0:
                total = total / total[width - 1]
                if half[0] > 0.0:
                    inside = wp.min(slopes[0] * (half[0] - wp.abs(p[0])), slopes[1] * (half[1] - wp.abs(p[1])))
                    total[width - 1] = wp.clamp(0.5 + inside, 0.0, 1.0)
        return total

    @wp.kernel(module="unique", enable_backward=False)
    def block(
        first: int,
        points: wp.array(dtype=wp.vec2),  # [m]
        inverses: wp.array(dtype=wp.mat22),  # [m], from steps where points are shown to steps here; or [1] of all
        size: float,  # of a pixel where they are shown
        pixels: float,  # per unit here
        x: wp.array(dtype=float),  # [columns], of the nodes, ascending
        y: wp.array(dtype=float),  # [rows], ascending
        steps: float,  # per unit of the points
        fall: float,  # e, -1/2 over the variance in steps
        falls: wp.vec3,  # exp(e), exp(4 e) and exp(9 e)
        nodes: wp.array(dtype=wide),  # [rows * columns]
        half: wp.vec2,  # half the width and height of the frame; 0 for none
        slope: float,  # change of what is there across the frame, by a pixel of what is shown, or by one here at most
        result: wp.array(dtype=wide),  # out [m], 0 where there is no Gaussian
    ):
        i = first + wp.tid()
        p = points[i]
        back = size * inverses[wp.min(i, inverses.shape[0] - 1)]
        side_x = wp.vec2(back[0, 0], back[1, 0])
        side_y = wp.vec2(back[0, 1], back[1, 1])
        slopes = wp.vec2(slope * pixels, slope * pixels)
        if size > 0.0:
            wide_x = wp.clamp(wp.sqrt(back[0, 0] * back[0, 0] + back[0, 1] * back[0, 1]) * pixels, 1e-3, 1.0)
            wide_y = wp.clamp(wp.sqrt(back[1, 0] * back[1, 0] + back[1, 1] * back[1, 1]) * pixels, 1e-3, 1.0)
            slopes = wp.vec2(slopes[0] / wide_x, slopes[1] / wide_y)
        length_x = wp.length(side_x) * pixels
        length_y = wp.length(side_y) * pixels
        if wp.max(length_x, length_y) > 1.0 + SIDE:
            columns = wp.clamp(int(wp.ceil(length_x - SIDE)), 1, SAMPLES)
            rows = wp.clamp(int(wp.ceil(length_y - SIDE)), 1, SAMPLES)
            side_x *= wp.clamp((length_x - 1.0) * SHARE, 0.0, 1.0)
            side_y *= wp.clamp((length_y - 1.0) * SHARE, 0.0, 1.0)
            total = wide()
            seen = float(0.0)
            present = float(0.0)
            for r in range(rows):
                for c in range(columns):
                    across = (float(c) + 0.5) / float(columns) - 0.5
                    down = (float(r) + 0.5) / float(rows) - 0.5
                    one = mean(p + across * side_x + down * side_y, x, y, steps, fall, falls, nodes, half, slopes)
                    weight = one[width - 1]
                    present += weight
                    if wp.static(has_opacities):
                        weight *= wp.clamp(one[0], 0.0, 1.0)
                    seen += weight
                    total += weight * one
            if seen > 0.0:
                total = total / seen
            if wp.static(has_opacities):
                total[0] = seen / wp.max(present, 1e-6)
            total[width - 1] = present / float(columns * rows)
            result[i] = total
            return
        result[i] = mean(p, x, y, steps, fall, falls, nodes, half, slopes)

    return block
