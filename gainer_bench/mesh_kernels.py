"""The Warp kernel of a textured mesh in the plane, drawn triangle by triangle in painter's order."""

import functools

import warp as wp


@wp.func
def edge(corners: wp.array(dtype=wp.vec2d), start: int, end: int, point: wp.vec2d) -> wp.float64:
    """Return twice the area of an edge and a point: the same number, but for its sign, from either of its triangles."""
    low = corners[wp.min(start, end)]
    along = corners[wp.max(start, end)] - low
    area = along[0] * (point[1] - low[1]) - along[1] * (point[0] - low[0])
    return wp.where(start < end, area, -area)


@wp.func
def is_within(area: wp.float64, start: int, end: int, turned: wp.float64) -> bool:
    """Say whether a point is on a triangle's side of an edge; a point on it belongs to one of its two triangles."""
    signed = area * turned
    return signed > wp.float64(0.0) or (signed == wp.float64(0.0) and (start < end) == (turned > wp.float64(0.0)))


@wp.func
def cubic_weights(share: float) -> wp.vec4:
    """Return the weights of four texels in a row, by Catmull and Rom, at a share of the way between the middle two."""
    square = share * share
    cube = square * share
    return wp.vec4(
        -0.5 * cube + square - 0.5 * share,
        1.5 * cube - 2.5 * square + 1.0,
        -1.5 * cube + 2.0 * square + 0.5 * share,
        0.5 * cube - 0.5 * square,
    )


@wp.func
def texel(texture: wp.array2d(dtype=wp.vec4), place: wp.vec2d) -> wp.vec4:
    """Return bicubic interpolation of a texture at a place in its pixels, whose centres are at .5."""
    x = wp.float32(place[0]) - 0.5
    y = wp.float32(place[1]) - 0.5
    left = int(wp.floor(x))
    top = int(wp.floor(y))
    across = cubic_weights(x - float(left))
    down = cubic_weights(y - float(top))
    found = wp.vec4(0.0, 0.0, 0.0, 0.0)
    for j in range(4):
        row = wp.clamp(top - 1 + j, 0, texture.shape[0] - 1)
        for i in range(4):
            column = wp.clamp(left - 1 + i, 0, texture.shape[1] - 1)
            found = found + texture[row, column] * (across[i] * down[j])
    return found


@functools.cache
def draw_mesh_kernel() -> wp.Kernel:
    """Make the kernel that lays all triangles over a canvas, one after the other; it has one thread."""

    @wp.kernel(module="unique", enable_backward=False)
    def draw_mesh(
        first: int,  # 0: there is one thread
        triangles: wp.array(dtype=wp.vec3i),  # [t], corners, from back to front
        corners: wp.array(dtype=wp.vec2d),  # [n], where they are, in pixels of the canvas
        places: wp.array(dtype=wp.vec2d),  # [n], where they are in the texture, in its pixels
        texture: wp.array2d(dtype=wp.vec4),  # [h, w], colours times alpha, and alpha
        samples: int,  # of the canvas along each side of a pixel
        canvas: wp.array2d(dtype=wp.vec4),  # in and out, likewise
    ):
        for number in range(first, triangles.shape[0]):
            one = triangles[number]
            a = corners[one[0]]
            b = corners[one[1]]
            c = corners[one[2]]
            area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
            if area != wp.float64(0.0):
                turned = wp.sign(area)
                # Shaded once a pixel, as multisampling does, but at each sample where the texture is made smaller.
                is_smaller = wp.abs(area) < wp.float64(0.99) * wp.float64(samples * samples)
                half = wp.float64(0.5)
                left = wp.max(int(wp.ceil(wp.min(a[0], wp.min(b[0], c[0])) - half)), 0)
                right = wp.min(int(wp.floor(wp.max(a[0], wp.max(b[0], c[0])) - half)), canvas.shape[1] - 1)
                top = wp.max(int(wp.ceil(wp.min(a[1], wp.min(b[1], c[1])) - half)), 0)
                bottom = wp.min(int(wp.floor(wp.max(a[1], wp.max(b[1], c[1])) - half)), canvas.shape[0] - 1)
                for row in range(top, bottom + 1):
                    for column in range(left, right + 1):
                        point = wp.vec2d(wp.float64(column) + half, wp.float64(row) + half)
                        of_a = edge(corners, one[1], one[2], point)
                        of_b = edge(corners, one[2], one[0], point)
                        of_c = edge(corners, one[0], one[1], point)
                        if (
                            is_within(of_a, one[1], one[2], turned)
                            and is_within(of_b, one[2], one[0], turned)
                            and is_within(of_c, one[0], one[1], turned)
                        ):
                            if not is_smaller:
                                x = wp.float64(column / samples * samples) + half * wp.float64(samples)
                                y = wp.float64(row / samples * samples) + half * wp.float64(samples)
                                point = wp.vec2d(x, y)
                                of_a = edge(corners, one[1], one[2], point)
                                of_b = edge(corners, one[2], one[0], point)
                                of_c = edge(corners, one[0], one[1], point)
                            total = of_a + of_b + of_c
                            place = (of_a * places[one[0]] + of_b * places[one[1]] + of_c * places[one[2]]) / total
                            over = texel(texture, place)
                            canvas[row, column] = over + canvas[row, column] * (1.0 - over[3])

    return draw_mesh
