"""The Warp kernels that find where points in rows and columns lay at rest: between a few, where that is as good."""

import warp as wp

from gainer_ns.motion.posed_patch_kernels import PosedPatches
from gainer_ns.motion.rest_map_kernels import NOWHERE, RestPoint, cell_at, rest_point

TILE_POINTS = 8
"""Points from a corner of a tile to the next: where the sheet is smooth, what lies between is interpolated."""
TILE = wp.constant(TILE_POINTS)
BLOCK_TILES = 4
"""Tiles along a side of a block, which is interpolated as a whole where it can be."""
BLOCK = wp.constant(BLOCK_TILES)
HALF_BLOCK = wp.constant(BLOCK_TILES // 2)


@wp.func
def is_single(patches: PosedPatches, low: wp.vec2, high: wp.vec2) -> bool:
    """Tell whether the sheet lies in one layer wherever a box does."""
    start = cell_at(low, patches)
    end = cell_at(high, patches)
    first_column = start % patches.columns
    end_column = end % patches.columns
    first_row = start / patches.columns
    end_row = end / patches.columns
    single = (end_column - first_column + 1) * (end_row - first_row + 1) <= 64
    if single:
        for row in range(first_row, end_row + 1):
            for column in range(first_column, end_column + 1):
                if patches.single[row * patches.columns + column] == 0:
                    single = False
    return single


@wp.struct
class Tile:
    """A bicubic patch through the corners of a tile, with their slopes along its sides and Adini's twists."""

    a: RestPoint
    b: RestPoint  # to the right of a
    c: RestPoint  # below a
    d: RestPoint
    across: wp.vec2  # from a to b, on the canvas
    down: wp.vec2
    twist_a: wp.vec2
    twist_b: wp.vec2
    twist_c: wp.vec2
    twist_d: wp.vec2


@wp.struct
class TileRow:
    """Both ends of a row of a tile, and the slopes along it there."""

    left: wp.vec2
    right: wp.vec2
    left_slope: wp.vec2
    right_slope: wp.vec2


@wp.func
def with_twists(tile: Tile) -> Tile:
    """Estimate the twists from how the slopes change along the sides."""
    corner = tile.a.position - tile.b.position - tile.c.position + tile.d.position
    top = (tile.b.inverse - tile.a.inverse) * tile.down
    bottom = (tile.d.inverse - tile.c.inverse) * tile.down
    left = (tile.c.inverse - tile.a.inverse) * tile.across
    right = (tile.d.inverse - tile.b.inverse) * tile.across
    tile.twist_a = top + left - corner
    tile.twist_b = top + right - corner
    tile.twist_c = bottom + left - corner
    tile.twist_d = bottom + right - corner
    return tile


@wp.func
def row_of(tile: Tile, v: float) -> TileRow:
    """Interpolate both sides of a tile."""
    row = TileRow()
    v1 = v * v * (3.0 - 2.0 * v)
    v0 = 1.0 - v1
    s0 = v * (1.0 - v) * (1.0 - v)
    s1 = v * v * (v - 1.0)
    row.left = v0 * tile.a.position + v1 * tile.c.position + (s0 * tile.a.inverse + s1 * tile.c.inverse) * tile.down
    row.right = v0 * tile.b.position + v1 * tile.d.position + (s0 * tile.b.inverse + s1 * tile.d.inverse) * tile.down
    row.left_slope = (v0 * tile.a.inverse + v1 * tile.c.inverse) * tile.across + s0 * tile.twist_a + s1 * tile.twist_c
    row.right_slope = (v0 * tile.b.inverse + v1 * tile.d.inverse) * tile.across + s0 * tile.twist_b + s1 * tile.twist_d
    return row


@wp.func
def point_of(row: TileRow, u: float) -> wp.vec2:
    """Interpolate along a row."""
    u1 = u * u * (3.0 - 2.0 * u)
    away = u * (1.0 - u)
    return (1.0 - u1) * row.left + u1 * row.right + away * ((1.0 - u) * row.left_slope - u * row.right_slope)


@wp.func
def corner_of(number: int, positions: wp.array(dtype=wp.vec2), inverses: wp.array(dtype=wp.mat22)) -> RestPoint:
    """Read a corner of tiles."""
    corner = RestPoint()
    corner.position = positions[number]
    corner.inverse = inverses[number]
    corner.patch = wp.where(corner.position[0] == NOWHERE, -1, 0)
    return corner


@wp.func
def is_met(tile: Tile, start: wp.vec2, u: float, v: float, patches: PosedPatches, tolerance: float) -> bool:
    """Tell whether a point of a tile is where it is interpolated."""
    point = rest_point(start + u * tile.across + v * tile.down, patches)
    return point.patch >= 0 and wp.length(point_of(row_of(tile, v), u) - point.position) <= tolerance


@wp.func
def fill_smoothly(
    column: int,
    row: int,
    side: int,  # of the block of tiles
    x: wp.array(dtype=float),
    y: wp.array(dtype=float),
    corner_positions: wp.array(dtype=wp.vec2),
    corner_inverses: wp.array(dtype=wp.mat22),
    patches: PosedPatches,
    tolerance: float,
    positions: wp.array(dtype=wp.vec2),
    inverses: wp.array(dtype=wp.mat22),
) -> bool:
    """Fill a block of tiles between its corners, if it lies in one layer of the sheet and is met in between."""
    columns = x.shape[0]
    tiles = (columns + TILE - 1) / TILE
    tile_rows = (y.shape[0] + TILE - 1) / TILE
    last_column = wp.min(column + side, tiles)
    last_row = wp.min(row + side, tile_rows)
    right = wp.min(last_column * TILE, columns - 1)
    below = wp.min(last_row * TILE, y.shape[0] - 1)
    start = wp.vec2(x[column * TILE], y[row * TILE])
    end = wp.vec2(x[right], y[below])
    tile = Tile()
    tile.a = corner_of(row * (tiles + 1) + column, corner_positions, corner_inverses)
    tile.b = corner_of(row * (tiles + 1) + last_column, corner_positions, corner_inverses)
    tile.c = corner_of(last_row * (tiles + 1) + column, corner_positions, corner_inverses)
    tile.d = corner_of(last_row * (tiles + 1) + last_column, corner_positions, corner_inverses)
    if tile.a.patch < 0 or tile.b.patch < 0 or tile.c.patch < 0 or tile.d.patch < 0:
        return False
    if right == column * TILE or below == row * TILE or not is_single(patches, wp.min(start, end), wp.max(start, end)):
        return False
    tile.across = wp.vec2(end[0] - start[0], 0.0)
    tile.down = wp.vec2(0.0, end[1] - start[1])
    tile = with_twists(tile)
    for r in range(row, last_row + 1):
        for k in range(column, last_column + 1):
            u = (x[wp.min(k * TILE, columns - 1)] - start[0]) / tile.across[0]
            v = (y[wp.min(r * TILE, y.shape[0] - 1)] - start[1]) / tile.down[1]
            there = corner_positions[r * (tiles + 1) + k]
            if wp.length(point_of(row_of(tile, v), u) - there) > tolerance:
                return False
    # Between the corners too, which something periodic might all meet.
    share = 0.5 / float(side)
    if not is_met(tile, start, share, 1.0 - share, patches, tolerance):
        return False
    if not is_met(tile, start, 1.0 - 0.5 * share, 0.5 * share, patches, tolerance):
        return False
    for r in range(row * TILE, wp.min(last_row * TILE, y.shape[0])):
        v = (y[r] - start[1]) / tile.down[1]
        line = row_of(tile, v)
        left_inverse = (1.0 - v) * tile.a.inverse + v * tile.c.inverse
        change = ((1.0 - v) * tile.b.inverse + v * tile.d.inverse) - left_inverse
        for k in range(column * TILE, wp.min(last_column * TILE, columns)):
            u = (x[k] - start[0]) / tile.across[0]
            i = r * columns + k
            positions[i] = point_of(line, u)
            inverses[i] = left_inverse + u * change
    return True


@wp.kernel(enable_backward=False)
def locate_corners(
    first: int,
    x: wp.array(dtype=float),  # [columns], of the points
    y: wp.array(dtype=float),  # [rows]
    patches: PosedPatches,
    positions: wp.array(dtype=wp.vec2),  # out [corners], row by row, one more each way than there are tiles
    inverses: wp.array(dtype=wp.mat22),  # out
) -> None:
    """Find where the corners of tiles lay; the last ones are the last points."""
    i = first + wp.tid()
    across = (x.shape[0] + TILE - 1) / TILE + 1
    column = wp.min((i % across) * TILE, x.shape[0] - 1)
    row = wp.min((i / across) * TILE, y.shape[0] - 1)
    point = rest_point(wp.vec2(x[column], y[row]), patches)
    positions[i] = point.position
    inverses[i] = point.inverse


@wp.kernel(enable_backward=False)
def locate_tiles(
    first: int,
    x: wp.array(dtype=float),  # [columns], of the points
    y: wp.array(dtype=float),  # [rows]
    patches: PosedPatches,
    tolerance: float,  # at rest, how far off an interpolated point may be
    corner_positions: wp.array(dtype=wp.vec2),  # as locate_corners tells
    corner_inverses: wp.array(dtype=wp.mat22),
    positions: wp.array(dtype=wp.vec2),  # out [rows * columns]
    inverses: wp.array(dtype=wp.mat22),  # out
) -> None:
    """Find where points in rows and columns lay, by blocks of tiles that can be interpolated, or one by one."""
    number = first + wp.tid()
    tiles = (x.shape[0] + TILE - 1) / TILE
    tile_rows = (y.shape[0] + TILE - 1) / TILE
    blocks = (tiles + BLOCK - 1) / BLOCK
    left = (number % blocks) * BLOCK
    top = (number / blocks) * BLOCK
    if fill_smoothly(
        left, top, BLOCK, x, y, corner_positions, corner_inverses, patches, tolerance, positions, inverses
    ):
        return
    for quarter in range(4):
        l2 = left + (quarter % 2) * HALF_BLOCK
        t2 = top + (quarter / 2) * HALF_BLOCK
        if (
            l2 < tiles
            and t2 < tile_rows
            and not fill_smoothly(
                l2, t2, HALF_BLOCK, x, y, corner_positions, corner_inverses, patches, tolerance, positions, inverses
            )
        ):
            for tile_row in range(t2, wp.min(t2 + HALF_BLOCK, tile_rows)):
                for tile_column in range(l2, wp.min(l2 + HALF_BLOCK, tiles)):
                    if not fill_smoothly(
                        tile_column,
                        tile_row,
                        1,
                        x,
                        y,
                        corner_positions,
                        corner_inverses,
                        patches,
                        tolerance,
                        positions,
                        inverses,
                    ):
                        for r in range(tile_row * TILE, wp.min((tile_row + 1) * TILE, y.shape[0])):
                            for k in range(tile_column * TILE, wp.min((tile_column + 1) * TILE, x.shape[0])):
                                point = rest_point(wp.vec2(x[k], y[r]), patches)
                                positions[r * x.shape[0] + k] = point.position
                                inverses[r * x.shape[0] + k] = point.inverse


locate_corners_kernel: wp.Kernel = locate_corners
locate_tiles_kernel: wp.Kernel = locate_tiles
