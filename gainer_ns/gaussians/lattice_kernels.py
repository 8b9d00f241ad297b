"""The Warp kernel that reads a lattice of Gaussians."""

import functools

import warp as wp

from gainer_ns.gaussians.block_sum import (
    BLOCK_NODES,
    LISTED_WEIGHTS,
    PAIR_WIDTH,
    WEIGHT_MARGIN,
    block_sum_source,
    pair_sum_source,
)
from gainer_ns.gaussians.footprints import FULL_MINIFICATION, LEAST_MINIFICATION, MAX_SAMPLES
from gainer_ns.gaussians.kernels import vector
from gainer_ns.ways import Way

ROUNDING = wp.constant(1e-3)
"""In steps."""
LEAST = wp.constant(LEAST_MINIFICATION)
SAMPLES = wp.constant(MAX_SAMPLES)
SHARE = wp.constant(1 / (FULL_MINIFICATION - LEAST_MINIFICATION))
INSET = wp.constant(0.01)
"""In steps: so far within the frame the last nodes are read, as exactly on it."""
FAR = wp.constant(1e30)
FEW = wp.constant(LEAST_MINIFICATION + 1)
"""In pixels, and in steps: so short a side has two samples, and tables of less resolution are not read."""
NEAR = wp.constant(WEIGHT_MARGIN)
"""In steps: two points so far from a place read the block around that; what they miss of their own weighs 5e-4."""


@functools.cache
def block_kernel(width: int, has_opacities: bool, way: Way = "smooth") -> wp.Kernel:
    """Make the kernel that averages the block of nodes around each point by Gaussian weight.

    Footprints whose shorter side has so many nodes, or more, read the pyramid of the nodes' own values instead,
    linearly between the texels of the last level at which it still has so many.

    Args:
        width: Numbers of a node; the last is 1 where there is a Gaussian, and all are 0 where there is none. Read it is
            how much there is: less than 1 along the frame.
        has_opacities: Whether the first is an opacity, by which points of a footprint weigh.
        way: ``smooth``; ``clamped`` to the range of the own values of the four nodes around; or ``nearest``, the own
            value of the node in whose square a point lies.
    """
    wide, listed = vector(width), vector(LISTED_WEIGHTS)

    @wp.func_native(block_sum_source(width))
    def block_sum(
        nodes: wp.array(dtype=wide), first: int, columns: int, table: wp.array(dtype=listed), offset: wp.vec2
    ) -> wide: ...

    has_pairs = width == PAIR_WIDTH and way == "smooth" and not has_opacities
    two = vector(2 * PAIR_WIDTH)

    @wp.func_native(pair_sum_source())
    def pair_sum(
        nodes: wp.array(dtype=wide),
        first: int,
        columns: int,
        table: wp.array(dtype=listed),
        offset: wp.vec2,
        away: wp.vec2,
    ) -> two: ...

    @wp.func
    def clamped(
        read: wide, column: int, row: int, columns: int, rows: int, own: wp.array(dtype=wide)
    ):  # the range of opacities over all four nodes, that of colours over those that show
        low = wide(FAR)
        high = -low
        least = float(1.0)
        most = float(0.0)
        for k in range(4):
            c = column + k % 2
            r = row + k // 2
            if c >= 0 and r >= 0 and c < columns and r < rows:
                one = own[r * columns + c]
                weight = one[width - 1]
                if weight > 0.0:
                    if wp.static(has_opacities):
                        weight = one[0]
                        least = wp.min(least, weight)
                        most = wp.max(most, weight)
                    if weight > 0.0:
                        one = one / weight
                        low = wp.min(low, one)
                        high = wp.max(high, one)
        limited = read
        if high[width - 1] > 0.0:
            limited = wp.min(wp.max(read, low), high)
        if wp.static(has_opacities):
            limited[0] = read[0]
            if most >= least:
                limited[0] = wp.clamp(read[0], least, most)
        limited[width - 1] = read[width - 1]
        return limited

    @wp.func
    def presence(p: wp.vec2, frame: wp.vec4):
        if frame[2] > 0.0:
            inside = wp.min(frame[2] * (frame[0] - wp.abs(p[0])), frame[3] * (frame[1] - wp.abs(p[1])))
            return wp.clamp(0.5 + inside, 0.0, 1.0)
        return 1.0

    @wp.func
    def mean(
        p: wp.vec2,
        x: wp.array(dtype=float),
        y: wp.array(dtype=float),
        steps: float,
        table: wp.array(dtype=listed),
        nodes: wp.array(dtype=wide),
        own: wp.array(dtype=wide),
        frame: wp.vec4,
    ):
        columns = x.shape[0]
        # A little more, so that points at nodes read the same block however they are rounded.
        column = int(wp.floor((p[0] - x[0]) * steps + ROUNDING)) - 2
        row = int(wp.floor((p[1] - y[0]) * steps + ROUNDING)) - 2
        total = wide()
        if column >= 0 and row >= 0 and column + BLOCK_NODES <= columns and row + BLOCK_NODES <= y.shape[0]:
            # From the node beside the point: coordinates of the same size differ without rounding.
            offset = wp.vec2((p[0] - x[column + 2]) * steps, (p[1] - y[row + 2]) * steps)
            total = block_sum(nodes, row * columns + column, columns, table, offset)
            if total[width - 1] > 0.0:
                total = total / total[width - 1]
                if wp.static(way == "clamped"):
                    total = clamped(total, column + 2, row + 2, columns, y.shape[0], own)
                total[width - 1] = presence(p, frame)
        return total

    @wp.func
    def pair(
        p: wp.vec2,
        away: wp.vec2,  # from p to the one point, and to the other in the opposite direction
        x: wp.array(dtype=float),
        y: wp.array(dtype=float),
        steps: float,
        table: wp.array(dtype=listed),
        nodes: wp.array(dtype=wide),
    ):  # the sum of both means, and how many of them there are
        columns = x.shape[0]
        column = int(wp.floor((p[0] - x[0]) * steps + ROUNDING)) - 2
        row = int(wp.floor((p[1] - y[0]) * steps + ROUNDING)) - 2
        result = wide()
        if column >= 0 and row >= 0 and column + BLOCK_NODES <= columns and row + BLOCK_NODES <= y.shape[0]:
            offset = wp.vec2((p[0] - x[column + 2]) * steps, (p[1] - y[row + 2]) * steps)
            found = pair_sum(nodes, row * columns + column, columns, table, offset, away * steps)
            for k in range(2):
                weight = found[width * k + width - 1]
                if weight > 0.0:
                    for channel in range(width):
                        result[channel] += found[width * k + channel] / weight
        return result

    @wp.func
    def texel(own: wp.array(dtype=wide), first: int, columns: int, rows: int, column: int, row: int):
        if column < 0 or row < 0 or column >= columns or row >= rows:
            return wide()
        return own[first + row * columns + column]

    @wp.func
    def own_value(
        p: wp.vec2,
        x: wp.array(dtype=float),
        y: wp.array(dtype=float),
        steps: float,
        own: wp.array(dtype=wide),
        level: int,
        frame: wp.vec4,
    ):  # multiplied by opacity and presence
        first = int(0)
        columns = int(x.shape[0])
        rows = int(y.shape[0])
        scale = float(1.0)
        for _ in range(level):
            first += columns * rows
            columns = (columns + 1) // 2
            rows = (rows + 1) // 2
            scale *= 0.5
        inside = p
        if frame[0] > 0.0:
            inside = wp.vec2(
                wp.clamp(p[0], INSET / steps - frame[0], frame[0] - INSET / steps),
                wp.clamp(p[1], INSET / steps - frame[1], frame[1] - INSET / steps),
            )
        # In texels, the first of which begins at 0; what is not finite, or far away, is beyond all of them.
        u = ((inside[0] - x[0]) * steps + 0.5) * scale
        v = ((inside[1] - y[0]) * steps + 0.5) * scale
        total = wide()
        if u > -1.0 and v > -1.0 and u < float(columns) + 1.0 and v < float(rows) + 1.0:
            if wp.static(way == "nearest") and level == 0:
                total = texel(own, first, columns, rows, int(wp.floor(u)), int(wp.floor(v)))
            else:
                column = int(wp.floor(u - 0.5))
                row = int(wp.floor(v - 0.5))
                # At a texel's centre, however that is rounded, its neighbours count for nothing.
                s = wp.clamp((u - 0.5 - float(column) - ROUNDING) / (1.0 - 2.0 * ROUNDING), 0.0, 1.0)
                t = wp.clamp((v - 0.5 - float(row) - ROUNDING) / (1.0 - 2.0 * ROUNDING), 0.0, 1.0)
                total += ((1.0 - s) * (1.0 - t)) * texel(own, first, columns, rows, column, row)
                total += (s * (1.0 - t)) * texel(own, first, columns, rows, column + 1, row)
                total += ((1.0 - s) * t) * texel(own, first, columns, rows, column, row + 1)
                total += (s * t) * texel(own, first, columns, rows, column + 1, row + 1)
        if total[width - 1] > 1e-6:
            return total * (presence(p, frame) / total[width - 1])
        return wide()

    @wp.func
    def is_wide(across: float, down: float, least: float):
        return wp.min(across, down) >= least or wp.max(across, down) > float(SAMPLES)

    @wp.kernel(module="unique", enable_backward=False)
    def block(
        first: int,
        points: wp.array(dtype=wp.vec2),  # [m]
        inverses: wp.array(dtype=wp.mat22),  # [m], from steps where points are shown to steps here; or [1] of all
        size: float,  # of a pixel where they are shown
        pixels: float,  # per unit here
        at_most: int,  # samples along a side
        least: float,  # nodes along a side where the pyramid is read
        x: wp.array(dtype=float),  # [columns], of the nodes, ascending
        y: wp.array(dtype=float),  # [rows], ascending
        steps: float,  # per unit of the points
        table: wp.array(
            dtype=listed
        ),  # weights of nodes along an axis, by offsets from 0.5 before the third to 1.5 behind it
        nodes: wp.array(dtype=wide),  # [rows * columns]
        own: wp.array(dtype=wide),  # [texels], the pyramid of the nodes' own values, or nothing where none is read
        levels: int,  # of the pyramid
        half: wp.vec2,  # half the width and height of the frame; 0 for none
        slope: float,  # change of what is there across the frame, by a pixel of what is shown, or by one here at most
        result: wp.array(dtype=wide),  # out [m], 0 where there is no Gaussian
    ):
        i = first + wp.tid()
        p = points[i]
        back = size * inverses[wp.min(i, inverses.shape[0] - 1)]
        side_x = wp.vec2(back[0, 0], back[1, 0])
        side_y = wp.vec2(back[0, 1], back[1, 1])
        square_x = wp.dot(side_x, side_x) * pixels * pixels
        square_y = wp.dot(side_y, side_y) * pixels * pixels
        shrinks = wp.max(square_x, square_y) > LEAST * LEAST
        frame = wp.vec4(half[0], half[1], 0.0, 0.0)
        inside = wp.min(half[0] - wp.abs(p[0]), half[1] - wp.abs(p[1])) * pixels
        if slope > 0.0 and (inside < 0.0 or inside * inside < 1.0 + square_x + square_y):
            frame = wp.vec4(half[0], half[1], slope * pixels, slope * pixels)
            if size > 0.0:
                wide_x = wp.clamp(wp.sqrt(back[0, 0] * back[0, 0] + back[0, 1] * back[0, 1]) * pixels, 1e-3, 1.0)
                wide_y = wp.clamp(wp.sqrt(back[1, 0] * back[1, 0] + back[1, 1] * back[1, 1]) * pixels, 1e-3, 1.0)
                frame = wp.vec4(half[0], half[1], frame[2] / wide_x, frame[3] / wide_y)
        if wp.static(has_pairs):
            most = wp.max(square_x, square_y)
            is_small = most < FEW * FEW and most * steps * steps < FEW * FEW * pixels * pixels
            if at_most > 1 and shrinks and is_small and frame[2] == 0.0:
                # Two points along each side that is longer than a pixel, as below.
                along = side_x * (wp.min((wp.sqrt(square_x) - LEAST) * SHARE, 1.0) * 0.25)
                beside = side_y * (wp.min((wp.sqrt(square_y) - LEAST) * SHARE, 1.0) * 0.25)
                if square_x <= LEAST * LEAST:
                    along = beside
                two_sides = wp.min(square_x, square_y) > LEAST * LEAST
                if wp.max(wp.abs(along[0]), wp.abs(along[1])) * steps <= NEAR:
                    few = wide()
                    share = float(0.5)
                    if two_sides:
                        share = float(0.25)
                        few += pair(p - beside, along, x, y, steps, table, nodes)
                        few += pair(p + beside, along, x, y, steps, table, nodes)
                    else:
                        few += pair(p, along, x, y, steps, table, nodes)
                    present = share * few[width - 1]
                    if present > 0.0:
                        few = few * (1.0 / few[width - 1])
                    few[width - 1] = present
                    result[i] = few
                    return
        if shrinks or wp.static(way == "nearest"):
            length_x = wp.sqrt(square_x)
            length_y = wp.sqrt(square_y)
            columns = int(1)
            rows = int(1)
            level = int(0)
            tabled = wp.static(way == "nearest")
            if shrinks:
                across_nodes = length_x * steps / pixels
                down_nodes = length_y * steps / pixels
                if levels > 0 and is_wide(across_nodes, down_nodes, least):
                    tabled = True
                    while level + 1 < levels and is_wide(0.5 * across_nodes, 0.5 * down_nodes, least):
                        across_nodes *= 0.5
                        down_nodes *= 0.5
                        level += 1
                else:
                    across_nodes = length_x
                    down_nodes = length_y
                columns = wp.clamp(int(wp.ceil(across_nodes + 1.0 - LEAST)), 1, at_most)
                rows = wp.clamp(int(wp.ceil(down_nodes + 1.0 - LEAST)), 1, at_most)
            side_x *= wp.clamp((length_x - LEAST) * SHARE, 0.0, 1.0)
            side_y *= wp.clamp((length_y - LEAST) * SHARE, 0.0, 1.0)
            total = wide()
            seen = float(0.0)
            present = float(0.0)
            for r in range(rows):
                for c in range(columns):
                    across = (float(c) + 0.5) / float(columns) - 0.5
                    down = (float(r) + 0.5) / float(rows) - 0.5
                    sample = p + across * side_x + down * side_y
                    if tabled:
                        one = own_value(sample, x, y, steps, own, level, frame)
                        present += one[width - 1]
                        if wp.static(has_opacities):
                            seen += one[0]
                        else:
                            seen += one[width - 1]
                        total += one
                    else:
                        one = mean(sample, x, y, steps, table, nodes, own, frame)
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
        result[i] = mean(p, x, y, steps, table, nodes, own, frame)

    return block
