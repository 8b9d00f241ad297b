"""The Warp kernels that find where rays, or points, meet the triangles between linked discs."""

import warp as wp

MAX_CROSSINGS = 4
"""How many surfaces a ray may cross before it is lost sight of."""
CROSSINGS = wp.constant(MAX_CROSSINGS)
EMPTY, CLEAR, SOLID = (wp.constant(number) for number in range(3))
SAME_DEPTH = wp.constant(1.0e-4)
"""Crossings of one layer that are nearer to each other than this share of their depth are one, of two triangles that
meet there."""
INSIDE = wp.constant(-1.0e-3)
"""From this barycentric coordinate on a point counts as inside of a triangle, so that no ray slips between two."""


@wp.struct
class DiscPlace:
    """A place on a surface, told from the disc nearest to it."""

    disc: int
    step: wp.vec2


@wp.struct
class Met:
    """What rays have met so far, the nearest first."""

    nearness: wp.array2d(dtype=float)  # [m, crossings], inverse distance; 0 where there is none
    discs: wp.array2d(dtype=wp.int32)
    steps: wp.array2d(dtype=wp.vec2)
    layers: wp.array2d(dtype=wp.int32)
    solid: wp.array2d(dtype=wp.int8)  # whether nothing is seen behind


@wp.func
def corner_step(kind: int, corner: int) -> wp.vec2:
    """Return where a corner lies in its square: see ``TRIANGLE_STEPS``."""
    if corner == 0:
        return wp.vec2(wp.where(kind == 3, 1.0, 0.0), 0.0)
    if corner == 1:
        return wp.where(kind == 0 or kind == 2, wp.vec2(1.0, 0.0), wp.vec2(0.0, 1.0))
    return wp.vec2(wp.where(kind == 2, 0.0, 1.0), 1.0)


@wp.func
def place_in(triangle: wp.vec4i, shares: wp.vec3) -> DiscPlace:
    """Return the place at barycentric coordinates."""
    nearest = int(0)
    if shares[1] > shares[nearest]:
        nearest = 1
    if shares[2] > shares[nearest]:
        nearest = 2
    kind = triangle[3]
    place = DiscPlace()
    place.disc = triangle[nearest]
    place.step = -corner_step(kind, nearest)
    for k in range(3):
        place.step += shares[k] * corner_step(kind, k)
    return place


@wp.func
def meet(ray: int, nearness: float, triangle: wp.vec4i, shares: wp.vec3, state: int, layer: int, met: Met) -> None:
    """Let a ray meet a triangle at barycentric coordinates, unless something solid is before it."""
    slot = int(0)
    while slot < CROSSINGS:
        other = met.nearness[ray, slot]
        if other < nearness * (1.0 - SAME_DEPTH):
            break
        if met.solid[ray, slot] != wp.int8(0):
            return
        if other <= nearness * (1.0 + SAME_DEPTH) and met.layers[ray, slot] == layer:
            return
        slot += 1
    if slot == CROSSINGS:
        return
    last = int(CROSSINGS - 1)
    while last > slot:
        met.nearness[ray, last] = wp.where(state == SOLID, 0.0, met.nearness[ray, last - 1])
        met.discs[ray, last] = met.discs[ray, last - 1]
        met.steps[ray, last] = met.steps[ray, last - 1]
        met.layers[ray, last] = met.layers[ray, last - 1]
        met.solid[ray, last] = wp.where(state == SOLID, wp.int8(0), met.solid[ray, last - 1])
        last -= 1
    place = place_in(triangle, shares)
    met.nearness[ray, slot] = nearness
    met.discs[ray, slot] = place.disc
    met.steps[ray, slot] = place.step
    met.layers[ray, slot] = layer
    met.solid[ray, slot] = wp.where(state == SOLID, wp.int8(1), wp.int8(0))


@wp.func
def shares_of(point: wp.vec2, a: wp.vec2, b: wp.vec2, c: wp.vec2) -> wp.vec3:
    """Return barycentric coordinates in the plane; negative ones where the triangle has no area."""
    ab = b - a
    ac = c - a
    area = ab[0] * ac[1] - ab[1] * ac[0]
    if area == 0.0:
        return wp.vec3(-1.0, -1.0, -1.0)
    ap = point - a
    second = (ap[0] * ac[1] - ap[1] * ac[0]) / area
    third = (ab[0] * ap[1] - ab[1] * ap[0]) / area
    return wp.vec3(1.0 - second - third, second, third)


@wp.kernel(enable_backward=False)
def measure_rows(
    first: int,
    triangles: wp.array(dtype=wp.vec4i),  # [t]
    states: wp.array(dtype=wp.int8),  # [t], EMPTY, CLEAR or SOLID
    screen: wp.array(dtype=wp.vec3),  # [n], x and y in pixels and inverse depth, not positive behind the camera
    size: wp.vec2,  # width and height
    rows: wp.array(dtype=wp.vec2i),  # out [t], first and last row whose pixel centres may be covered
) -> None:
    """Tell which rows of pixels triangles may cover; none, which ends before it begins, where they are not seen."""
    t = first + wp.tid()
    corners = triangles[t]
    a = screen[corners[0]]
    b = screen[corners[1]]
    c = screen[corners[2]]
    low = wp.min(wp.min(a, b), c)
    high = wp.max(wp.max(a, b), c)
    seen = int(states[t]) != EMPTY and low[2] > 0.0
    seen = seen and high[0] >= 0.0 and low[0] <= size[0] and high[1] >= 0.0 and low[1] <= size[1]
    rows[t] = wp.vec2i(1, 0)
    if seen:
        rows[t] = wp.vec2i(int(wp.ceil(wp.max(low[1], 0.0) - 0.501)), int(wp.floor(wp.min(high[1], size[1]) - 0.499)))


@wp.kernel(enable_backward=False)
def rasterise(
    first: int,
    bands: int,
    width: int,
    height: int,
    layer: int,
    triangles: wp.array(dtype=wp.vec4i),  # [t]
    states: wp.array(dtype=wp.int8),  # [t]
    rows: wp.array(dtype=wp.vec2i),  # [t]
    screen: wp.array(dtype=wp.vec3),  # [n]
    met: Met,  # in and out, by the rays of pixels; inverse depths
) -> None:
    """Let the rays of one band of rows of pixels meet triangles."""
    band = first + wp.tid()
    top = height * band / bands
    bottom = height * (band + 1) / bands - 1
    for t in range(triangles.shape[0]):
        span = rows[t]
        if span[1] < top or span[0] > bottom or span[0] > span[1]:
            continue
        triangle = triangles[t]
        a = screen[triangle[0]]
        b = screen[triangle[1]]
        c = screen[triangle[2]]
        a2 = wp.vec2(a[0], a[1])
        b2 = wp.vec2(b[0], b[1])
        c2 = wp.vec2(c[0], c[1])
        left = wp.max(int(wp.ceil(wp.min(wp.min(a[0], b[0]), c[0]) - 0.501)), 0)
        right = wp.min(int(wp.floor(wp.max(wp.max(a[0], b[0]), c[0]) - 0.499)), width - 1)
        for row in range(wp.max(span[0], top), wp.min(span[1], bottom) + 1):
            for column in range(left, right + 1):
                shares = shares_of(wp.vec2(float(column) + 0.5, float(row) + 0.5), a2, b2, c2)
                if wp.min(shares) >= INSIDE:
                    near = wp.vec3(shares[0] * a[2], shares[1] * b[2], shares[2] * c[2])
                    nearness = near[0] + near[1] + near[2]
                    meet(row * width + column, nearness, triangle, near / nearness, int(states[t]), layer, met)


@wp.kernel(enable_backward=False)
def follow(
    first: int,
    tree: wp.uint64,  # of boxes around the triangles
    layer: int,
    triangles: wp.array(dtype=wp.vec4i),  # [t]
    states: wp.array(dtype=wp.int8),  # [t]
    means: wp.array(dtype=wp.vec3),  # [n]
    origins: wp.array(dtype=wp.vec3),  # [m]
    directions: wp.array(dtype=wp.vec3),  # [m], of length 1
    nears: wp.array(dtype=float),  # [m]
    fars: wp.array(dtype=float),  # [m]
    met: Met,  # in and out, by these rays
) -> None:
    """Let single rays meet triangles."""
    i = first + wp.tid()
    direction = directions[i]
    query = wp.bvh_query_ray(tree, origins[i], direction)
    t = int(0)
    while wp.bvh_query_next(query, t):
        if int(states[t]) == EMPTY:
            continue
        triangle = triangles[t]
        start = origins[i] - means[triangle[0]]
        ab = means[triangle[1]] - means[triangle[0]]
        ac = means[triangle[2]] - means[triangle[0]]
        across = wp.cross(direction, ac)
        volume = wp.dot(ab, across)
        if volume == 0.0:
            continue
        turned = wp.cross(start, ab)
        second = wp.dot(start, across) / volume
        third = wp.dot(direction, turned) / volume
        distance = wp.dot(ac, turned) / volume
        shares = wp.vec3(1.0 - second - third, second, third)
        if wp.min(shares) >= INSIDE and distance > nears[i] and distance < fars[i]:
            meet(i, 1.0 / distance, triangle, shares, int(states[t]), layer, met)


@wp.struct
class PhotoCamera:
    """The pinhole camera that took a photo, at the origin, and the cells of its pixels."""

    focal_length: wp.vec2
    centre: wp.vec2
    corner: wp.vec2  # pixel coordinates of the first cell
    columns: int
    rows: int


@wp.kernel(enable_backward=False)
def locate(
    first: int,
    camera: PhotoCamera,
    points: wp.array(dtype=wp.vec3),  # [m], in the axes of the camera
    directions: wp.array(dtype=wp.vec3),  # [m], along which they are passed
    half_width: float,  # how far before and behind a surface there is some of it, along the camera's axis
    offsets: wp.array(dtype=wp.int32),  # [cells + 1]
    members: wp.array(dtype=wp.int32),  # triangles, cell by cell
    triangles: wp.array(dtype=wp.vec4i),  # [t]
    screen: wp.array(dtype=wp.vec3),  # [n], pixels of the photo and inverse depths
    gaps: wp.array2d(dtype=float),  # out [m, crossings], from the surface along the axis; infinite where there is none
    slopes: wp.array2d(dtype=float),  # out, how fast the gap changes along the direction
    discs: wp.array2d(dtype=wp.int32),  # out
    steps: wp.array2d(dtype=wp.vec2),  # out
) -> None:
    """Find the surfaces that points are near, each along the ray on which the photo shows the point."""
    i = first + wp.tid()
    point = points[i]
    depth = -point[2]
    if depth <= 0.0:
        return
    direction = directions[i]
    pixel = camera.centre + wp.cw_mul(camera.focal_length, wp.vec2(point[0], -point[1]) / depth)
    # How the pixel and the depth change along the direction.
    turn = wp.vec2(direction[0] * depth + point[0] * direction[2], -direction[1] * depth - point[1] * direction[2])
    drift = wp.cw_mul(camera.focal_length, turn / (depth * depth))
    column = int(wp.floor(pixel[0] - camera.corner[0]))
    row = int(wp.floor(pixel[1] - camera.corner[1]))
    if column < 0 or row < 0 or column >= camera.columns or row >= camera.rows:
        return
    cell = row * camera.columns + column
    count = int(0)
    for k in range(offsets[cell], offsets[cell + 1]):
        triangle = triangles[members[k]]
        a = screen[triangle[0]]
        b = screen[triangle[1]]
        c = screen[triangle[2]]
        a2 = wp.vec2(a[0], a[1])
        shares = shares_of(pixel, a2, wp.vec2(b[0], b[1]), wp.vec2(c[0], c[1]))
        if wp.min(shares) < INSIDE or count == CROSSINGS:
            continue
        inverse_depth = shares[0] * a[2] + shares[1] * b[2] + shares[2] * c[2]
        gap = depth - 1.0 / inverse_depth
        if wp.abs(gap) >= half_width:
            continue
        twice = bool(False)
        for j in range(count):
            if wp.abs(gaps[i, j] - gap) <= SAME_DEPTH * depth:
                twice = True
        if twice:
            continue
        moved = shares_of(pixel + drift, a2, wp.vec2(b[0], b[1]), wp.vec2(c[0], c[1])) - shares
        change = moved[0] * a[2] + moved[1] * b[2] + moved[2] * c[2]
        in_space = wp.vec3(shares[0] * a[2], shares[1] * b[2], shares[2] * c[2]) / inverse_depth
        place = place_in(triangle, in_space)
        gaps[i, count] = gap
        slopes[i, count] = wp.abs(-direction[2] + change / (inverse_depth * inverse_depth))
        discs[i, count] = place.disc
        steps[i, count] = place.step
        count += 1


measure_rows_kernel: wp.Kernel = measure_rows
rasterise_kernel: wp.Kernel = rasterise
follow_kernel: wp.Kernel = follow
locate_kernel: wp.Kernel = locate
