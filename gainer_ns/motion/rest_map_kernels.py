"""The Warp kernels that find where points of a posed sheet lay at rest."""

import warp as wp

from gainer_ns.motion.posed_patch_kernels import PosedPatches

NEWTON_STEPS = wp.constant(6)
"""Most steps towards a point in a patch: two do where it is nearly straight."""
CONVERGED = wp.constant(2e-3)
"""A step so short, in patches, is the last: what is left is its square."""
OVERLAP = wp.constant(1e-3)
"""How far patches go on beyond their borders, in patches, so that no point falls between two."""
NOWHERE_COORDINATE = 1e6
"""Coordinate of points that lie on no sheet: beyond anything that is read."""
NOWHERE = wp.constant(NOWHERE_COORDINATE)
TILE_POINTS = 8
"""Points from a corner of a tile to the next: where the sheet is smooth, what lies between is interpolated."""
TILE = wp.constant(TILE_POINTS)
BLOCK_TILES = 4
"""Tiles along a side of a block, which is interpolated as a whole where it can be."""
BLOCK = wp.constant(BLOCK_TILES)
HALF_BLOCK = wp.constant(BLOCK_TILES // 2)


@wp.struct
class RestPoint:
    """Where a point lay; nowhere, and of patch -1, where there is no sheet."""

    position: wp.vec2
    inverse: wp.mat22  # steps at rest by steps on the canvas
    patch: int


@wp.func
def spline_weights(t: float) -> wp.vec4:
    """Return the cubic B-spline's weights of the four nodes around a point so far beyond the second of them."""
    s = 1.0 - t
    return wp.vec4(s * s * s, 4.0 - 6.0 * t * t + 3.0 * t * t * t, 4.0 - 6.0 * s * s + 3.0 * s * s * s, t * t * t) / 6.0


@wp.func
def spline_slopes(t: float) -> wp.vec4:
    """Return the derivatives of the weights."""
    s = 1.0 - t
    return wp.vec4(-0.5 * s * s, -2.0 * t + 1.5 * t * t, 2.0 * s - 1.5 * s * s, 0.5 * t * t)


@wp.func
def cell_at(p: wp.vec2, patches: PosedPatches) -> int:
    """Return the cell that a point is in, or else the nearest one."""
    column = wp.clamp(int(wp.floor((p[0] - patches.origin[0]) * patches.cells_per_unit)), 0, patches.columns - 1)
    row = wp.clamp(int(wp.floor((p[1] - patches.origin[1]) * patches.cells_per_unit)), 0, patches.rows - 1)
    return row * patches.columns + column


@wp.func
def rest_point(p: wp.vec2, patches: PosedPatches) -> RestPoint:
    """Find where a point lay: in the nearest of the patches that it is in now."""
    found = RestPoint()
    found.position = wp.vec2(NOWHERE, NOWHERE)
    found.patch = int(-1)
    best_faces = int(0)
    best_depth = float(0.0)
    cell = cell_at(p, patches)
    single = patches.single[cell]
    for slot in range(patches.offsets[cell], patches.offsets[cell + 1]):
        if found.patch >= 0 and single == 1:
            break
        patch = patches.members[slot]
        guess = patches.inverses[patch] * (p - patches.centres[patch])
        limit = 0.5 + patches.bulges[patch]
        if wp.abs(guess[0]) <= limit and wp.abs(guess[1]) <= limit:
            # Newton's method from where the patch would have the point if it were straight.
            u = guess[0] + 0.5
            v = guess[1] + 0.5
            corner = patches.corners[patch]
            anchor = patches.coefficients[corner]  # relative to it fewer digits are lost
            determinant = float(0.0)
            step = float(1.0)
            back = wp.mat22(0.0, 0.0, 0.0, 0.0)
            for _ in range(NEWTON_STEPS):
                if step > CONVERGED:
                    across_weights = spline_weights(u)
                    across_slopes = spline_slopes(u)
                    down_weights = spline_weights(v)
                    down_slopes = spline_slopes(v)
                    at = wp.vec2(0.0, 0.0)
                    along = wp.vec2(0.0, 0.0)
                    down = wp.vec2(0.0, 0.0)
                    for r in range(4):
                        line = wp.vec2(0.0, 0.0)
                        slope = wp.vec2(0.0, 0.0)
                        for c in range(4):
                            node = patches.coefficients[corner + (r - 1) * patches.width + c - 1] - anchor
                            line += across_weights[c] * node
                            slope += across_slopes[c] * node
                        at += down_weights[r] * line
                        along += down_weights[r] * slope
                        down += down_slopes[r] * line
                    determinant = along[0] * down[1] - along[1] * down[0]
                    if determinant == 0.0:
                        step = float(0.0)
                        u = float(-9.0)
                    else:
                        back = wp.mat22(down[1], -down[0], -along[1], along[0]) / determinant
                        move = back * ((p - anchor) - at)
                        u = wp.clamp(u + move[0], -1.0, 2.0)
                        v = wp.clamp(v + move[1], -1.0, 2.0)
                        step = wp.abs(move[0]) + wp.abs(move[1])
            inside = u >= -OVERLAP and v >= -OVERLAP and u <= 1.0 + OVERLAP and v <= 1.0 + OVERLAP
            if inside and step <= 8.0 * CONVERGED:
                # What faces as it did covers what is turned over; then what is nearer; then what comes later.
                faces = int(1)
                if determinant * patches.rest_step[0] * patches.rest_step[1] < 0.0:
                    faces = int(0)
                depth = patches.depths[patch]
                wins = found.patch < 0 or faces > best_faces
                if faces == best_faces and (depth > best_depth or (depth == best_depth and patch > found.patch)):
                    wins = True
                away = wp.vec2(
                    (float(corner % patches.width) + u) * patches.rest_step[0],
                    (float(corner / patches.width) + v) * patches.rest_step[1],
                )
                place = patches.rest_origin + away
                if place[0] < patches.low[0] or place[1] < patches.low[1]:
                    wins = False
                if place[0] > patches.high[0] or place[1] > patches.high[1]:
                    wins = False
                if wins:
                    found.patch = patch
                    best_faces = faces
                    best_depth = depth
                    sx = patches.rest_step[0]
                    sy = patches.rest_step[1]
                    found.position = place
                    found.inverse = wp.mat22(back[0, 0] * sx, back[0, 1] * sx, back[1, 0] * sy, back[1, 1] * sy)
    return found


@wp.kernel(enable_backward=False)
def locate(
    first: int,
    points: wp.array(dtype=wp.vec2),  # [m]
    patches: PosedPatches,
    positions: wp.array(dtype=wp.vec2),  # out [m]
    inverses: wp.array(dtype=wp.mat22),  # out [m]
) -> None:
    """Find where each point lay."""
    i = first + wp.tid()
    point = rest_point(points[i], patches)
    positions[i] = point.position
    inverses[i] = point.inverse


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


locate_kernel: wp.Kernel = locate
locate_corners_kernel: wp.Kernel = locate_corners
locate_tiles_kernel: wp.Kernel = locate_tiles
