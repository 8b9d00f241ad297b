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
TILE_POINTS = 32
"""Points along a side of the largest tiles that are interpolated as a whole where they can be."""
TILE = wp.constant(TILE_POINTS)
MIDDLE_TILE = wp.constant(16)
SMALL_TILE = wp.constant(8)


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
    for slot in range(patches.offsets[cell], patches.offsets[cell + 1]):
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
def is_met(tile: Tile, start: wp.vec2, u: float, v: float, patches: PosedPatches, tolerance: float) -> bool:
    """Tell whether a point of a tile is where it is interpolated."""
    point = rest_point(start + u * tile.across + v * tile.down, patches)
    return point.patch >= 0 and wp.length(point_of(row_of(tile, v), u) - point.position) <= tolerance


@wp.func
def fill_smoothly(
    column: int,
    row: int,
    side: int,
    x: wp.array(dtype=float),
    y: wp.array(dtype=float),
    patches: PosedPatches,
    tolerance: float,
    positions: wp.array(dtype=wp.vec2),
    inverses: wp.array(dtype=wp.mat22),
) -> bool:
    """Fill a tile between its corners, if the sheet lies there in one layer and is met by what is interpolated."""
    last_column = wp.min(column + side, x.shape[0]) - 1
    last_row = wp.min(row + side, y.shape[0]) - 1
    if last_column <= column or last_row <= row:
        return False
    start = wp.vec2(x[column], y[row])
    end = wp.vec2(x[last_column], y[last_row])
    if not is_single(patches, wp.min(start, end), wp.max(start, end)):
        return False
    tile = Tile()
    tile.across = wp.vec2(end[0] - start[0], 0.0)
    tile.down = wp.vec2(0.0, end[1] - start[1])
    tile.a = rest_point(start, patches)
    tile.d = rest_point(end, patches)
    if tile.a.patch < 0 or tile.d.patch < 0:
        return False
    tile.b = rest_point(start + tile.across, patches)
    tile.c = rest_point(start + tile.down, patches)
    if tile.b.patch < 0 or tile.c.patch < 0:
        return False
    tile = with_twists(tile)
    if not (is_met(tile, start, 0.5, 0.5, patches, tolerance) and is_met(tile, start, 0.25, 0.75, patches, tolerance)):
        return False
    if side > SMALL_TILE:
        for k in range(3):
            u = wp.where(k == 2, 0.25, 0.75)
            v = wp.where(k == 0, 0.75, 0.25)
            if not is_met(tile, start, u, v, patches, tolerance):
                return False
    for r in range(row, last_row + 1):
        v = float(r - row) / float(last_row - row)
        line = row_of(tile, v)
        left_inverse = (1.0 - v) * tile.a.inverse + v * tile.c.inverse
        change = ((1.0 - v) * tile.b.inverse + v * tile.d.inverse) - left_inverse
        for k in range(column, last_column + 1):
            u = float(k - column) / float(last_column - column)
            i = r * x.shape[0] + k
            positions[i] = point_of(line, u)
            inverses[i] = left_inverse + u * change
    return True


@wp.kernel(enable_backward=False)
def locate_tiles(
    first: int,
    x: wp.array(dtype=float),  # [columns], of the points
    y: wp.array(dtype=float),  # [rows]
    patches: PosedPatches,
    tolerance: float,  # at rest, how far off an interpolated point may be
    positions: wp.array(dtype=wp.vec2),  # out [rows * columns]
    inverses: wp.array(dtype=wp.mat22),  # out
) -> None:
    """Find where points in rows and columns lay, by tiles as large as can be interpolated, or one by one."""
    number = first + wp.tid()
    tiles = (x.shape[0] + TILE - 1) / TILE
    column = (number % tiles) * TILE
    row = (number / tiles) * TILE
    last_column = wp.min(column + TILE, x.shape[0])
    last_row = wp.min(row + TILE, y.shape[0])
    if fill_smoothly(column, row, TILE, x, y, patches, tolerance, positions, inverses):
        return
    for top in range(row, last_row, MIDDLE_TILE):
        for left in range(column, last_column, MIDDLE_TILE):
            if not fill_smoothly(left, top, MIDDLE_TILE, x, y, patches, tolerance, positions, inverses):
                for r in range(top, wp.min(top + MIDDLE_TILE, last_row), SMALL_TILE):
                    for c in range(left, wp.min(left + MIDDLE_TILE, last_column), SMALL_TILE):
                        if not fill_smoothly(c, r, SMALL_TILE, x, y, patches, tolerance, positions, inverses):
                            for j in range(r, wp.min(r + SMALL_TILE, last_row)):
                                for k in range(c, wp.min(c + SMALL_TILE, last_column)):
                                    point = rest_point(wp.vec2(x[k], y[j]), patches)
                                    positions[j * x.shape[0] + k] = point.position
                                    inverses[j * x.shape[0] + k] = point.inverse


locate_kernel: wp.Kernel = locate
locate_tiles_kernel: wp.Kernel = locate_tiles
