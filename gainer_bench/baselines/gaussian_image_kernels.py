"""The Warp kernels of sums of Gaussians, ``sum_i c_i exp(-1/2 |L_i^-1 (x - mu_i)|^2)``, in pixel coordinates.

Nothing is added atomically: each colour and each gradient has one writer, which adds in the order of the Gaussians or
of the points. So the same input gives the same bits, on any number of threads.
"""

import functools
import math

import warp as wp

CUT = 2.0 * math.log(255.0)
"""Largest squared Mahalanobis distance at which a Gaussian counts: there its weight is 1/255, at 3.33 deviations."""
RUN_PX = 16
"""After how many pixels of a row the weights, each of which follows from the one before, are computed anew."""
MIN_AREA_PX = 1e-9
"""Gaussians whose deviations multiply to less, in square pixels, are not drawn."""
MAX_SIZE_PX = 1e6
"""Nor are those that are larger or farther away, in pixels, or that are not numbers."""


# A factor is ``(l1, l2, l3)`` for ``L = [[l1, 0], [l2, l3]]``, and so is its inverse.


@wp.func
def is_drawn(mean: wp.vec2, factor: wp.vec3) -> bool:
    """Say whether a Gaussian is drawn at all."""
    return (
        wp.abs(factor[0] * factor[2]) >= MIN_AREA_PX
        and wp.abs(factor[0]) <= MAX_SIZE_PX
        and wp.abs(factor[1]) <= MAX_SIZE_PX
        and wp.abs(factor[2]) <= MAX_SIZE_PX
        and wp.abs(mean[0]) <= MAX_SIZE_PX
        and wp.abs(mean[1]) <= MAX_SIZE_PX
    )


@wp.func
def inverse_factor(factor: wp.vec3) -> wp.vec3:
    """Return ``L^-1``."""
    return wp.vec3(1.0 / factor[0], -factor[1] / (factor[0] * factor[2]), 1.0 / factor[2])


@wp.func
def half_height(factor: wp.vec3) -> float:
    """Return how far up and down a Gaussian counts."""
    return wp.sqrt(CUT * (factor[1] * factor[1] + factor[2] * factor[2]))


@wp.func
def pixel_span(low: float, high: float, size: int) -> wp.vec2i:
    """Return first, and one past the last, of the pixels whose centres lie between two coordinates."""
    first = wp.clamp(wp.ceil(low - 0.5), 0.0, float(size))
    last = wp.clamp(wp.floor(high - 0.5) + 1.0, 0.0, float(size))
    return wp.vec2i(int(first), int(last))


@wp.func
def row_pixel_span(x: float, dy: float, factor: wp.vec3, width: int) -> wp.vec2i:
    """Return those pixels of a row at which a Gaussian counts: its ellipse is that wide there."""
    variance = factor[1] * factor[1] + factor[2] * factor[2]
    middle = x + factor[0] * factor[1] / variance * dy
    half = wp.abs(factor[0] * factor[2]) / variance * wp.sqrt(wp.max(CUT * variance - dy * dy, 0.0))
    return pixel_span(middle - half, middle + half, width)


@wp.func
def whiten(back: wp.vec3, dx: float, dy: float) -> wp.vec2:
    """Return ``u = L^-1 d``, where the Gaussian is round; its weight is ``exp(-1/2 |u|^2)``."""
    return wp.vec2(back[0] * dx, back[1] * dx + back[2] * dy)


@wp.func
def mean_gradient(back: wp.vec3, first: wp.vec2) -> wp.vec2:
    """Return ``L^-T sum u``, weighed by the gradient."""
    return wp.vec2(back[0] * first[0] + back[1] * first[1], back[2] * first[1])


@wp.func
def factor_gradient(back: wp.vec3, second: wp.vec3) -> wp.vec3:
    """Return the lower triangle of ``L^-T sum u u^T``; ``second`` has ``xx, xy, yy`` of the weighted sum."""
    return wp.vec3(back[0] * second[0] + back[1] * second[1], back[2] * second[1], back[2] * second[2])


@functools.cache
def draw_rows_kernel() -> wp.Kernel:
    """Make the kernel that adds all Gaussians to one strip of rows: on a CPU faster than going through the pixels."""

    @wp.kernel(module="unique", enable_backward=False)
    def draw_rows(
        first: int,
        top: int,
        bottom: int,  # one past the last row
        width: int,
        means: wp.array(dtype=wp.vec2),  # [n]
        factors: wp.array(dtype=wp.vec3),  # [n]
        colours: wp.array(dtype=wp.vec3),  # [n]
        picture: wp.array(dtype=wp.vec3),  # out [height * width], 0 before
    ):
        for i in range(means.shape[0]):
            mean = means[i]
            factor = factors[i]
            tall = half_height(factor)
            if mean[1] + tall >= float(top) and mean[1] - tall <= float(bottom) and is_drawn(mean, factor):
                back = inverse_factor(factor)
                colour = colours[i]
                curvature = back[0] * back[0] + back[1] * back[1]
                falling = wp.exp(-curvature)
                rows = pixel_span(mean[1] - tall, mean[1] + tall, bottom)
                for row in range(wp.max(rows[0], top), rows[1]):
                    dy = float(row) + 0.5 - mean[1]
                    columns = row_pixel_span(mean[0], dy, factor, width)
                    for column in range(columns[0], columns[1], RUN_PX):
                        u = whiten(back, float(column) + 0.5 - mean[0], dy)
                        weight = float(wp.exp(-0.5 * wp.dot(u, u)))
                        ratio = float(wp.exp(-u[0] * back[0] - u[1] * back[1] - 0.5 * curvature))
                        for at in range(row * width + column, row * width + wp.min(column + RUN_PX, columns[1])):
                            picture[at] = picture[at] + weight * colour
                            weight = weight * ratio
                            ratio = ratio * falling

    return draw_rows


@functools.cache
def pixel_gradients_kernel() -> wp.Kernel:
    """Make the kernel of each Gaussian's gradients, from the pixels of a whole picture at which it counts."""

    @wp.kernel(module="unique", enable_backward=False)
    def pixel_gradients(
        first: int,
        width: int,
        height: int,
        means: wp.array(dtype=wp.vec2),  # [n]
        factors: wp.array(dtype=wp.vec3),  # [n]
        colours: wp.array(dtype=wp.vec3),  # [n]
        of_picture: wp.array(dtype=wp.vec3),  # [height * width], gradient by the colours of the pixels
        of_means: wp.array(dtype=wp.vec2),  # out [n]
        of_factors: wp.array(dtype=wp.vec3),  # out [n]
        of_colours: wp.array(dtype=wp.vec3),  # out [n]
    ):
        i = first + wp.tid()
        mean = means[i]
        factor = factors[i]
        of_mean = wp.vec2()
        of_factor = wp.vec3()
        of_colour = wp.vec3()
        if is_drawn(mean, factor):
            back = inverse_factor(factor)
            colour = colours[i]
            curvature = back[0] * back[0] + back[1] * back[1]
            falling = wp.exp(-curvature)
            along = wp.vec2(back[0], back[1])  # how u changes from pixel to pixel
            along_twice = wp.vec3(along[0] * along[0], along[0] * along[1], along[1] * along[1])
            tall = half_height(factor)
            rows = pixel_span(mean[1] - tall, mean[1] + tall, height)
            once = wp.vec2()
            twice = wp.vec3()
            for row in range(rows[0], rows[1]):
                dy = float(row) + 0.5 - mean[1]
                columns = row_pixel_span(mean[0], dy, factor, width)
                for column in range(columns[0], columns[1], RUN_PX):
                    u = whiten(back, float(column) + 0.5 - mean[0], dy)
                    weight = float(wp.exp(-0.5 * wp.dot(u, u)))
                    ratio = float(wp.exp(-wp.dot(u, along) - 0.5 * curvature))
                    moments = wp.vec3()  # of 1, t and t^2, where t counts the pixels of the run
                    t = float(0.0)
                    for at in range(row * width + column, row * width + wp.min(column + RUN_PX, columns[1])):
                        pull = weight * of_picture[at]
                        of_colour += pull
                        share = wp.dot(colour, pull)
                        moments += wp.vec3(share, share * t, share * t * t)
                        t += 1.0
                        weight = weight * ratio
                        ratio = ratio * falling
                    cross = u[0] * along[1] + u[1] * along[0]
                    once += moments[0] * u + moments[1] * along
                    twice += moments[0] * wp.vec3(u[0] * u[0], u[0] * u[1], u[1] * u[1])
                    twice += moments[1] * wp.vec3(2.0 * u[0] * along[0], cross, 2.0 * u[1] * along[1])
                    twice += moments[2] * along_twice
            of_mean = mean_gradient(back, once)
            of_factor = factor_gradient(back, twice)
        of_means[i] = of_mean
        of_factors[i] = of_factor
        of_colours[i] = of_colour

    return pixel_gradients


@functools.cache
def draw_points_kernel() -> wp.Kernel:
    """Make the kernel that sums up the Gaussians in whose boxes a point lies."""

    @wp.kernel(module="unique", enable_backward=False)
    def draw_points(
        first: int,
        tree: wp.uint64,  # of the Gaussians' boxes
        points: wp.array(dtype=wp.vec2),  # [m]
        means: wp.array(dtype=wp.vec2),  # [n]
        factors: wp.array(dtype=wp.vec3),  # [n]
        colours: wp.array(dtype=wp.vec3),  # [n]
        result: wp.array(dtype=wp.vec3),  # out [m]
    ):
        i = first + wp.tid()
        place = wp.vec3(points[i][0], points[i][1], 0.0)
        total = wp.vec3()
        query = wp.bvh_query_aabb(tree, place, place)
        j = int(0)
        while wp.bvh_query_next(query, j):
            d = points[i] - means[j]
            u = whiten(inverse_factor(factors[j]), d[0], d[1])
            if wp.dot(u, u) <= CUT:
                total += wp.exp(-0.5 * wp.dot(u, u)) * colours[j]
        result[i] = total

    return draw_points
