"""The Warp kernels that read discs by how they are linked: the block of discs around the nearest one."""

import functools

import warp as wp

from gainer_ns.gaussians.kernels import vector

BLOCK_RADIUS = 2
"""How many discs to each side of the nearest one are read."""
BLOCK_SIDE = 2 * BLOCK_RADIUS + 1
RADIUS = wp.constant(BLOCK_RADIUS)
SIDE = wp.constant(BLOCK_SIDE)
RIGHT, BELOW, LEFT, ABOVE = (wp.constant(number) for number in range(4))


@wp.func
def linked(disc: int, direction: int, links: wp.array(dtype=wp.vec4i)) -> int:
    """Return the next disc in a direction; -1 where there is none, or was none before."""
    if disc < 0:
        return -1
    return links[disc][direction]


@wp.func
def down_by(disc: int, rows: int, links: wp.array(dtype=wp.vec4i)) -> int:
    """Return the disc so many rows below, or above where that is negative."""
    for _ in range(wp.abs(rows)):
        disc = linked(disc, wp.where(rows > 0, BELOW, ABOVE), links)
    return disc


@functools.cache
def read_block_kernel(width: int) -> wp.Kernel:
    """Return the kernel that averages ``width`` columns over the block around each place."""
    row_type, weights_type = vector(width), vector(BLOCK_SIDE)

    @wp.kernel(module="unique", enable_backward=False)
    def read_block(
        first: int,
        discs: wp.array(dtype=wp.int32),  # [m], the nearest
        steps: wp.array(dtype=wp.vec2),  # [m], from it, in discs
        links: wp.array(dtype=wp.vec4i),  # [n]
        columns: wp.array(dtype=row_type),  # [n]
        sharpness: float,  # 1 / (2 sigma^2)
        result: wp.array(dtype=row_type),  # out [m]
    ):
        i = first + wp.tid()
        step = steps[i]
        across = weights_type()
        for k in range(SIDE):
            away = float(k - RADIUS) - step[0]
            across[k] = wp.exp(-sharpness * away * away)
        total = row_type()
        weight = float(0.0)
        for row in range(-RADIUS, RADIUS + 1):
            middle = down_by(discs[i], row, links)
            if middle >= 0:
                away = float(row) - step[1]
                down = wp.exp(-sharpness * away * away)
                total += down * across[RADIUS] * columns[middle]
                weight += down * across[RADIUS]
                right = int(middle)
                left = int(middle)
                for k in range(1, RADIUS + 1):
                    right = linked(right, RIGHT, links)
                    left = linked(left, LEFT, links)
                    if right >= 0:
                        total += down * across[RADIUS + k] * columns[right]
                        weight += down * across[RADIUS + k]
                    if left >= 0:
                        total += down * across[RADIUS - k] * columns[left]
                        weight += down * across[RADIUS - k]
        result[i] = total / weight

    return read_block


@wp.kernel(enable_backward=False)
def list_blocks(
    first: int,
    links: wp.array(dtype=wp.vec4i),  # [n]
    result: wp.array2d(dtype=wp.int32),  # out [n, block], row by row, -1 where there is no disc
) -> None:
    """List the discs of the block around each disc."""
    i = first + wp.tid()
    for row in range(-RADIUS, RADIUS + 1):
        start = (row + RADIUS) * SIDE + RADIUS
        middle = down_by(i, row, links)
        right = int(middle)
        left = int(middle)
        result[i, start] = middle
        for k in range(1, RADIUS + 1):
            right = linked(right, RIGHT, links)
            left = linked(left, LEFT, links)
            result[i, start + k] = right
            result[i, start - k] = left


list_blocks_kernel: wp.Kernel = list_blocks
