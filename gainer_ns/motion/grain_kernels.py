"""The Warp kernel that finds the grain in front at each point, and where on it the point lies."""

import warp as wp

from gainer_ns.motion.rest_map_kernels import NOWHERE_COORDINATE


@wp.struct
class Grains:
    """Particles in the order of the bins that they are in, and how they are drawn; see ``grain_map.GrainMap``."""

    starts: wp.array(dtype=wp.int32)  # [rows * columns + 1], where each bin begins
    windows: wp.array(dtype=wp.int32)  # [rows * columns], how many bins away what covers points of each is, -1 for none
    closed: wp.array(dtype=wp.float32)  # [rows * columns], how far gaps are closed in the middle of each
    closing_window: int  # how many bins away what closes gaps is
    columns: int
    rows: int
    low: wp.vec2  # corner of the first bin
    bin_side: float
    positions: wp.array(dtype=wp.vec2)
    origins: wp.array(dtype=wp.vec2)  # at rest, the places that the particles show
    inverses: wp.array(dtype=wp.mat22)
    looseness: wp.array(dtype=wp.float32)
    reaches: wp.array(dtype=wp.float32)  # how far each shows something, at rest
    bounds: wp.array(dtype=wp.float32)  # how far, squared, each may say something about a point of the canvas
    patches: wp.array(dtype=wp.float32)  # from which distance on it shows the same
    shades: wp.array(dtype=wp.float32)  # how much lighter or darker it is shown
    heights: wp.array(dtype=wp.float32)  # of grains' middles over the canvas, as squared distances
    sharpness: float  # 1 / the squared distance up to which what holds together says where points lay
    parting: float  # 1 / twice the squared disagreement at which particles no longer count as one
    owners: wp.array(dtype=wp.int32)  # [owner_rows * owner_columns], which is nearest at rest, -1 for none; or empty
    owner_low: wp.vec2  # at rest, corner of the first of these cells
    owner_step: wp.vec2  # their sides
    owner_columns: int
    owner_rows: int


@wp.func
def found_grain(grains: Grains, point: wp.vec2, pixel: float, column: int, row: int, window: int) -> tuple[int, float]:
    """Return the number of the grain in front at a point, -1 for none, and how much of the point's pixel it covers."""
    own = int(-1)
    first = float(-wp.inf)
    covered = float(0.0)
    begin, end = wp.max(column - window, 0), wp.min(column + window, grains.columns - 1)
    for r in range(wp.max(row - window, 0), wp.min(row + window + 1, grains.rows)):
        for j in range(grains.starts[r * grains.columns + begin], grains.starts[r * grains.columns + end + 1]):
            away = point - grains.positions[j]
            if wp.length_sq(away) < grains.bounds[j]:
                squared = wp.length_sq(grains.inverses[j] * away)
                reach = grains.reaches[j]
                rank = grains.heights[j] - squared
                if squared <= reach * reach:
                    if rank > first:
                        first = rank
                        own = j
                    if covered < 1.0:
                        covered = wp.max(covered, wp.min((reach - wp.sqrt(squared)) / pixel + 0.5, 1.0))
                elif covered < 0.5:
                    cover = (reach - wp.sqrt(squared)) / pixel + 0.5
                    if cover > covered:
                        covered = cover
                        own = j
    return own, covered


@wp.func
def closed_at(grains: Grains, middle: wp.vec2) -> float:
    """Return how far gaps are closed at a place, given in bins: interpolated between their centres."""
    x, y = middle[0] - 0.5, middle[1] - 0.5
    column, row = wp.clamp(int(wp.floor(x)), 0, grains.columns - 2), wp.clamp(int(wp.floor(y)), 0, grains.rows - 2)
    across, down = wp.clamp(x - float(column), 0.0, 1.0), wp.clamp(y - float(row), 0.0, 1.0)
    at = row * grains.columns + column
    upper = wp.lerp(grains.closed[at], grains.closed[at + 1], across)
    at += grains.columns
    return wp.clamp(wp.lerp(upper, wp.lerp(grains.closed[at], grains.closed[at + 1], across), down), 0.0, 1.0)


@wp.func
def nearest_grain(grains: Grains, point: wp.vec2, column: int, row: int) -> int:
    """Return the number of the particle nearest to a point, -1 for none near by."""
    window = grains.closing_window
    own = int(-1)
    nearest = float(wp.inf)
    begin, end = wp.max(column - window, 0), wp.min(column + window, grains.columns - 1)
    for r in range(wp.max(row - window, 0), wp.min(row + window + 1, grains.rows)):
        for j in range(grains.starts[r * grains.columns + begin], grains.starts[r * grains.columns + end + 1]):
            squared = wp.length_sq(point - grains.positions[j])
            if squared < nearest:
                nearest = squared
                own = j
    return own


@wp.func
def kept_by_owner(grains: Grains, own: int, place: wp.vec2, point: wp.vec2, pixel: float) -> float:
    """Return how much of a point's pixel is covered where a particle has it, if another is nearer at rest.

    Nothing is where that other has what lay there elsewhere: a crack runs half-way between both.
    """
    if grains.owners.shape[0] == 0:
        return 1.0
    cell = wp.cw_div(place - grains.owner_low, grains.owner_step)
    column, row = int(wp.floor(cell[0])), int(wp.floor(cell[1]))
    if column < 0 or row < 0 or column >= grains.owner_columns or row >= grains.owner_rows:
        return 1.0
    other = grains.owners[row * grains.owner_columns + column]
    if other < 0 or other == own:
        return 1.0
    apart = grains.origins[other] + grains.inverses[other] * (point - grains.positions[other]) - place
    if 2.0 * grains.parting * wp.length_sq(apart) < 1.0:
        return 1.0
    between = grains.origins[other] - grains.origins[own]
    beyond = wp.dot(place - 0.5 * (grains.origins[own] + grains.origins[other]), wp.normalize(between))
    return wp.clamp(0.5 - beyond / pixel, 0.0, 1.0)


@wp.kernel(enable_backward=False)
def locate_grains(
    first: int,
    points: wp.array(dtype=wp.vec2),
    grains: Grains,
    pixel: float,
    positions: wp.array(dtype=wp.vec2),
    inverse_jacobians: wp.array(dtype=wp.mat22),
    coverage: wp.array(dtype=wp.float32),
    shade: wp.array(dtype=wp.float32),
) -> None:
    """Find where points lay, on the grain in front; where that has not come loose, by all that agree with it."""
    i = first + wp.tid()
    point = points[i]
    middle = (point - grains.low) / grains.bin_side
    column, row = int(wp.floor(middle[0])), int(wp.floor(middle[1]))
    own = int(-1)
    covered = float(0.0)
    window = int(-1)
    if column >= 0 and row >= 0 and column < grains.columns and row < grains.rows:
        window = grains.windows[row * grains.columns + column]
    if window >= 0:
        own, covered = found_grain(grains, point, pixel, column, row, window)
        if covered < 1.0:
            closed = closed_at(grains, middle)
            if closed > covered:
                if covered < 0.5:
                    own = nearest_grain(grains, point, column, row)
                covered = closed
    coverage[i] = covered
    if own < 0 or covered == 0.0:
        shade[i] = 0.0
        positions[i] = wp.vec2(NOWHERE_COORDINATE, NOWHERE_COORDINATE)
        inverse_jacobians[i] = wp.mat22()
        return
    step = grains.inverses[own] * (point - grains.positions[own])
    loose = grains.looseness[own]
    kept = wp.min(grains.patches[own] / wp.max(wp.length(step), 1.0e-30), 1.0)
    place = grains.origins[own] + kept * step
    slope = wp.mat22(grains.inverses[own])
    if loose < 1.0:
        total = float(0.0)
        blended = wp.vec2()
        turn = wp.mat22()
        begin, end = wp.max(column - window, 0), wp.min(column + window, grains.columns - 1)
        for r in range(wp.max(row - window, 0), wp.min(row + window + 1, grains.rows)):
            for j in range(grains.starts[r * grains.columns + begin], grains.starts[r * grains.columns + end + 1]):
                way = grains.inverses[j] * (point - grains.positions[j])
                rise = 1.0 - wp.length_sq(way) * grains.sharpness
                if j == own:
                    rise = wp.max(rise, 1.0e-3)
                if rise > 0.0:
                    apart = grains.origins[j] + way - place
                    weight = rise * rise * rise * wp.exp(-grains.parting * wp.length_sq(apart))
                    total += weight
                    blended += weight * apart
                    turn += weight * grains.inverses[j]
        whole = (1.0 - loose) / total
        place += whole * blended
        slope = loose * slope + whole * turn
    covered *= kept_by_owner(grains, own, place, point, pixel)
    coverage[i] = covered
    if covered == 0.0:
        shade[i] = 0.0
        positions[i] = wp.vec2(NOWHERE_COORDINATE, NOWHERE_COORDINATE)
        inverse_jacobians[i] = wp.mat22()
        return
    shade[i] = grains.shades[own]
    positions[i] = place
    inverse_jacobians[i] = slope


locate_grains_kernel: wp.Kernel = locate_grains
