"""The Warp kernels of liquid pictures: fields of particles at the nodes of a grid, and these read at points."""

import warp as wp

SUPPORT_SPACINGS = 3.6
"""How many spacings away from a particle its part of all fields ends."""
DROP_SUPPORT_SPACINGS = 1.5
"""...and its part of thin films and drops."""
LONE_SHARE, CROWD_SHARE = 0.11, 0.2
"""...and where there is so little that drops are seen one by one."""
DROP_RADIUS_SPACINGS = 0.6
"""Radius of a drop of one particle, which has about the area of what it stands for."""
SURFACE_SHARE = 0.32
"""What share of a neighbourhood is liquid at its surface; half would be exact where it is straight, but leave pores."""
FULL_SLOPE = 1.164
"""How steeply the share of liquid falls across a straight surface, by the support radius."""
MIN_SPREAD, FULL_SPREAD = 0.02, 0.06
"""Squared spacings by which neighbours spread when they begin to tell about a direction, and when they do."""
REGULARISATION = 1e-6
"""In squared spacings: what is added to how they spread, so that it can be inverted."""
WHOLE_DISAGREEMENT, MIXED_DISAGREEMENT = 0.12, 0.45
"""How many spacings neighbours are off, at rest, from one affine map: up to the first the picture is whole there, from
the second on it is mixed."""


@wp.func
def smooth_step(low: float, high: float, value: float) -> float:
    """Rise from 0 to 1 between two values, without a kink."""
    t = wp.clamp((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


@wp.kernel(enable_backward=False)
def fields(
    first: int,
    positions: wp.array(dtype=wp.vec2),  # [p], by cell
    rest: wp.array(dtype=wp.vec2),  # [p]
    shares: wp.array(dtype=wp.float32),  # [p], of a squared spacing that each stands for
    colours: wp.array(dtype=wp.vec3),  # [p]
    cell_start: wp.array(dtype=wp.int32),  # [cells + 1]; cells are as wide as the support radius
    cells_across: int,
    cells_down: int,
    low: wp.vec2,  # of the first cell
    spacing: float,
    origin: wp.vec2,  # of the first node
    step: float,
    nodes_across: int,
    levels: wp.array(dtype=wp.float32),  # out [n], depth below the surface, about; negative outside
    masses: wp.array(dtype=wp.float32),  # out [n], how much there is around
    wholes: wp.array(dtype=wp.float32),  # out [n], from 0 (mixed) to 1
    places: wp.array(dtype=wp.vec2),  # out [n], where it lay
    slopes: wp.array(dtype=wp.mat22),  # out [n], from steps on the canvas to steps at rest
    blends: wp.array(dtype=wp.vec3),  # out [n], mean colour
) -> None:
    """Compute the fields at the nodes, by the particles around them."""
    i = first + wp.tid()
    radius = wp.static(SUPPORT_SPACINGS) * spacing
    x = origin + step * wp.vec2(float(i % nodes_across), float(i / nodes_across))
    column = int(wp.floor((x[0] - low[0]) / radius))
    row = int(wp.floor((x[1] - low[1]) / radius))
    left = wp.clamp(column - 1, 0, cells_across)
    right = wp.clamp(column + 2, 0, cells_across)
    sharp = 1.0 / (radius * radius)
    drop_sharp = wp.static(1.0 / DROP_SUPPORT_SPACINGS**2) / (spacing * spacing)
    mass = float(0.0)
    first_moment = wp.vec2()
    second = wp.mat22()
    place = wp.vec2()
    cross = wp.mat22()
    square = float(0.0)
    colour = wp.vec3()
    drop = float(0.0)
    drop_moment = wp.vec2()
    drop_share = float(0.0)
    reference = wp.vec2()
    for r in range(wp.max(row - 1, 0), wp.min(row + 2, cells_down)):
        for j in range(cell_start[r * cells_across + left], cell_start[r * cells_across + right]):
            d = positions[j] - x
            away = wp.dot(d, d)
            rise = 1.0 - away * sharp
            if rise > 0.0:
                if mass == 0.0:
                    reference = rest[j]  # what is far from 0 would lose digits
                w = shares[j] * rise * rise * rise
                lay = rest[j] - reference
                mass += w
                first_moment += w * d
                second += w * wp.outer(d, d)
                place += w * lay
                cross += w * wp.outer(lay, d)
                square += w * wp.dot(lay, lay)
                colour += w * colours[j]
                rise = 1.0 - away * drop_sharp
                if rise > 0.0:
                    w = shares[j] * rise * rise * rise
                    drop += w
                    drop_moment += w * d
                    drop_share += w * shares[j]
    levels[i] = -radius
    masses[i] = mass
    wholes[i] = 0.0
    if mass <= 0.0:
        return
    filled = mass * wp.static(4.0 / (3.14159265 * SUPPORT_SPACINGS**2))
    level = (filled - wp.static(SURFACE_SHARE)) * radius / wp.static(FULL_SLOPE)
    if drop > 0.0:
        lone = 1.0 - smooth_step(wp.static(LONE_SHARE), wp.static(CROWD_SHARE), filled)
        reach = wp.static(DROP_RADIUS_SPACINGS) * spacing * lone * smooth_step(0.2, 0.8, drop_share / drop)
        level = wp.max(level, reach - wp.length(drop_moment / drop))
    levels[i] = level
    blends[i] = colour / mass
    # The affine map that fits best where the neighbours lay, and how far off it is.
    d = first_moment / mass
    place /= mass
    spread = second / mass - wp.outer(d, d)
    joint = cross / mass - wp.outer(place, d)
    mean = 0.5 * wp.trace(spread)
    narrow = mean - wp.sqrt(wp.max(mean * mean - wp.determinant(spread), 0.0))
    added = wp.static(REGULARISATION) * spacing * spacing
    slope = joint * wp.inverse(spread + added * wp.identity(n=2, dtype=float))
    off = square / mass - wp.dot(place, place) - wp.ddot(slope, joint)
    disagreement = wp.sqrt(wp.max(off, 0.0)) / spacing
    places[i] = reference + place - slope * d
    slopes[i] = slope
    whole = 1.0 - smooth_step(wp.static(WHOLE_DISAGREEMENT), wp.static(MIXED_DISAGREEMENT), disagreement)
    whole *= smooth_step(wp.static(MIN_SPREAD), wp.static(FULL_SPREAD), narrow / (spacing * spacing))
    wholes[i] = wp.where(wp.determinant(slope) > 0.0, whole, 0.0)


@wp.kernel(enable_backward=False)
def read(
    first: int,
    points: wp.array(dtype=wp.vec2),  # [m]
    levels: wp.array(dtype=wp.float32),  # [n], of nodes, as above
    masses: wp.array(dtype=wp.float32),
    wholes: wp.array(dtype=wp.float32),
    places: wp.array(dtype=wp.vec2),
    slopes: wp.array(dtype=wp.mat22),
    blends: wp.array(dtype=wp.vec3),
    origin: wp.vec2,
    step: float,
    nodes_across: int,
    nodes_down: int,
    pixel: float,  # side of an output pixel
    beyond: float,  # how far beyond the surface what is whole may show
    inside: float,  # how far inside of it nothing is clear
    nowhere: float,
    rest: wp.array(dtype=wp.vec2),  # out [m]
    inverses: wp.array(dtype=wp.mat22),  # out [m]
    alphas: wp.array(dtype=wp.float32),  # out [m], of the liquid
    most: wp.array(dtype=wp.float32),  # out [m], the most of what is whole
    inner: wp.array(dtype=wp.float32),  # out [m], of the liquid, a little inside
    whole: wp.array(dtype=wp.float32),  # out [m]
    colours: wp.array(dtype=wp.vec3),  # out [m]
) -> None:
    """Read the fields at points."""
    i = first + wp.tid()
    x = points[i]
    rest[i] = wp.vec2(nowhere, nowhere)
    inverses[i] = wp.mat22()
    alphas[i] = 0.0
    most[i] = 0.0
    inner[i] = 0.0
    whole[i] = 0.0
    colours[i] = wp.vec3()
    u = (x[0] - origin[0]) / step
    v = (x[1] - origin[1]) / step
    column = int(wp.floor(u + 0.5))
    row = int(wp.floor(v + 0.5))
    if not (column >= 1 and row >= 1 and column < nodes_across - 1 and row < nodes_down - 1):
        return
    if masses[row * nodes_across + column] <= 0.0:
        return
    # The surface, by quadratic B-splines, and how steep it is.
    a = u - float(column)
    b = v - float(row)
    across = wp.vec3(0.5 * (0.5 - a) * (0.5 - a), 0.75 - a * a, 0.5 * (0.5 + a) * (0.5 + a))
    down = wp.vec3(0.5 * (0.5 - b) * (0.5 - b), 0.75 - b * b, 0.5 * (0.5 + b) * (0.5 + b))
    rise_across = wp.vec3(a - 0.5, -2.0 * a, a + 0.5)
    rise_down = wp.vec3(b - 0.5, -2.0 * b, b + 0.5)
    level = float(0.0)
    gradient = wp.vec2()
    for q in range(3):
        line = (row + q - 1) * nodes_across + column - 1
        for p in range(3):
            value = levels[line + p]
            level += across[p] * down[q] * value
            gradient += value * wp.vec2(rise_across[p] * down[q], across[p] * rise_down[q])
    steep = wp.clamp(wp.length(gradient) / step, 0.5, 2.0)
    alphas[i] = wp.clamp(0.5 + level / (steep * pixel), 0.0, 1.0)
    most[i] = wp.clamp(0.5 + (level / steep + beyond) / pixel, 0.0, 1.0)
    inner[i] = wp.clamp(0.5 + (level / steep - inside) / pixel, 0.0, 1.0)
    if most[i] <= 0.0:
        return
    # All else, between the four nodes around: each says where the point lay.
    column = int(wp.floor(u))
    row = int(wp.floor(v))
    total = float(0.0)
    kept = float(0.0)
    lay = wp.vec2()
    slope = wp.mat22()
    colour = wp.vec3()
    for q in range(2):
        for p in range(2):
            node = (row + q) * nodes_across + column + p
            w = (1.0 - wp.abs(u - float(column + p))) * (1.0 - wp.abs(v - float(row + q)))
            if masses[node] > 0.0 and w > 0.0:
                total += w
                kept += w * wholes[node]
                away = x - origin - step * wp.vec2(float(column + p), float(row + q))
                lay += w * (places[node] + slopes[node] * away)
                slope += w * slopes[node]
                colour += w * blends[node]
    if total <= 0.0:
        return
    rest[i] = lay / total
    inverses[i] = slope / total
    whole[i] = kept / total
    colours[i] = colour / total


fields_kernel: wp.Kernel = fields
read_kernel: wp.Kernel = read
