"""The Warp kernels that say what points of a picture show."""

import warp as wp


@wp.kernel(enable_backward=False)
def presence(
    first: int,
    points: wp.array(dtype=wp.vec2),  # [m]
    scale: wp.vec2,  # texels of the field by a unit of the points
    start: wp.vec2,  # texel, from the middle of the first one, of the point 0
    field: wp.array2d(dtype=float),  # [h, w]
    result: wp.array(dtype=float),  # out [m]
) -> None:
    """Read a field linearly, within 0 and 1; beyond it as at its border."""
    i = first + wp.tid()
    rows = field.shape[0]
    columns = field.shape[1]
    u = wp.clamp(points[i][0] * scale[0] + start[0], 0.0, float(columns - 1))
    v = wp.clamp(points[i][1] * scale[1] + start[1], 0.0, float(rows - 1))
    left = int(u)
    top = int(v)
    right = wp.min(left + 1, columns - 1)
    below = wp.min(top + 1, rows - 1)
    s = u - float(left)
    t = v - float(top)
    upper = (1.0 - s) * field[top, left] + s * field[top, right]
    lower = (1.0 - s) * field[below, left] + s * field[below, right]
    result[i] = wp.clamp((1.0 - t) * upper + t * lower, 0.0, 1.0)


@wp.kernel(enable_backward=False)
def compose(
    first: int,
    front: wp.array2d(dtype=float),  # [m, 3]
    front_alpha: wp.array2d(dtype=float),  # [m, 1]
    back: wp.array2d(dtype=float),  # [m, 3]
    back_alpha: wp.array2d(dtype=float),  # [m, 1]
    rgb: wp.array(dtype=wp.vec3),  # out [m]
    alpha: wp.array(dtype=float),  # out [m]
) -> None:
    """Lay colours over others, none multiplied by alpha (Porter and Duff's "over")."""
    i = first + wp.tid()
    own = front_alpha[i, 0]
    shows = (1.0 - own) * back_alpha[i, 0]
    total = own + shows
    colour = wp.vec3(0.0, 0.0, 0.0)
    if total > 0.0:
        colour = own * wp.vec3(front[i, 0], front[i, 1], front[i, 2])
        if shows > 0.0:
            colour += shows * wp.vec3(back[i, 0], back[i, 1], back[i, 2])
        colour /= total
    rgb[i] = colour
    alpha[i] = total


presence_kernel: wp.Kernel = presence
compose_kernel: wp.Kernel = compose
