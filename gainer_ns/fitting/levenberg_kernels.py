"""The Warp kernels of Levenberg steps on all that is learned of Gaussians, and of what points read of them.

A Gaussian is a mean, a precision ``(xx, xy, yy)``, three colours and slopes of the first of them; a point reads
``c = sum_i w_i v_i`` with ``v_i = e_i + G_i (x - mu_i)`` and weights of sum 1. A change of a Gaussian is a vector, of
the mean, the precision, the colours and the slopes in this order. It changes ``c`` by ``w_i (dv_i + (v_i - c) dl_i)``,
where ``l_i`` is the logarithm of the weight before it is normalised. Nothing is added atomically.
"""

import functools
from typing import Any

import warp as wp

from gainer_ns.gaussians.kernels import matrix, vector

_FIRST_COLOUR = 5
"""Of a change: where colours begin, behind mean and precision."""
_FIRST_SLOPE = 8


def change_length(sloped: int) -> int:
    """Return how many numbers a change of a Gaussian has, so many channels of which have slopes."""
    return _FIRST_SLOPE + 2 * sloped


@functools.cache
def learned_gaussians(sloped: int) -> Any:
    """Make the struct of all that is learned of Gaussians."""
    tall = matrix(sloped, 2)

    @wp.struct
    class LearnedGaussians:
        means: wp.array(dtype=wp.vec2)  # [n]
        precisions: wp.array(dtype=wp.vec3)  # [n], xx, xy, yy
        colours: wp.array(dtype=wp.vec3)  # [n]
        slopes: wp.array(dtype=tall)  # [n]

    return LearnedGaussians


@functools.cache
def _value_of(sloped: int) -> Any:
    """Make the function of what a point reads of a Gaussian at a step ``d`` from its mean."""
    tall = matrix(sloped, 2)

    @wp.func
    def value(colour: wp.vec3, slope: tall, d: wp.vec2):
        for channel in range(sloped):
            colour[channel] += slope[channel, 0] * d[0] + slope[channel, 1] * d[1]
        return colour

    return value


@functools.cache
def _types_of(sloped: int) -> tuple[Any, Any, Any, Any]:
    """Return the types of what is learned, its value function, and the types of changes and of slopes."""
    return learned_gaussians(sloped), _value_of(sloped), vector(change_length(sloped)), matrix(sloped, 2)


@functools.cache
def read_kernel(sloped: int) -> wp.Kernel:
    """Make the kernel of the weights of what points read, and of the colours that they come to."""
    learned, value = learned_gaussians(sloped), _value_of(sloped)

    @wp.kernel(module="unique", enable_backward=False)
    def read(
        first: int,
        offsets: wp.array(dtype=wp.int32),  # [points + 1], where the Gaussians of each point begin
        columns: wp.array(dtype=wp.int32),  # [entries], the Gaussians of each point
        points: wp.array(dtype=wp.vec2),  # [points]
        gaussians: learned,
        weights: wp.array(dtype=wp.float32),  # out [entries]
        colours: wp.array(dtype=wp.vec3),  # out [points], 0 where nothing is read
    ):
        i = first + wp.tid()
        x = points[i]
        greatest = float(-wp.inf)
        for p in range(offsets[i], offsets[i + 1]):
            j = columns[p]
            a = gaussians.precisions[j]
            d = x - gaussians.means[j]
            logarithm = -0.5 * (a[0] * d[0] * d[0] + a[2] * d[1] * d[1]) - a[1] * d[0] * d[1]
            weights[p] = logarithm
            greatest = wp.max(greatest, logarithm)
        total = float(0.0)
        sums = wp.vec3()
        for p in range(offsets[i], offsets[i + 1]):  # relative to the largest, so that no region gives 0 / 0
            j = columns[p]
            w = wp.exp(weights[p] - greatest)
            weights[p] = w
            total += w
            sums += w * value(gaussians.colours[j], gaussians.slopes[j], x - gaussians.means[j])
        if total > 0.0:
            sums /= total
        for p in range(offsets[i], offsets[i + 1]):
            weights[p] /= total
        colours[i] = sums

    return read


@functools.cache
def push_kernel(sloped: int) -> wp.Kernel:
    """Make the kernel of how changes of the Gaussians change what points read, to first order."""
    learned, value, long, tall = _types_of(sloped)

    @wp.kernel(module="unique", enable_backward=False)
    def push(
        first: int,
        offsets: wp.array(dtype=wp.int32),  # [points + 1]
        columns: wp.array(dtype=wp.int32),  # [entries]
        weights: wp.array(dtype=wp.float32),  # [entries]
        points: wp.array(dtype=wp.vec2),  # [points]
        colours: wp.array(dtype=wp.vec3),  # [points]
        gaussians: learned,
        changes: wp.array(dtype=long),  # [n]
        result: wp.array(dtype=wp.vec3),  # out [points]
    ):
        i = first + wp.tid()
        x = points[i]
        sums = wp.vec3()
        for p in range(offsets[i], offsets[i + 1]):
            j = columns[p]
            d = x - gaussians.means[j]
            a = gaussians.precisions[j]
            slope = gaussians.slopes[j]
            change = changes[j]
            along = (a[0] * d[0] + a[1] * d[1]) * change[0] + (a[1] * d[0] + a[2] * d[1]) * change[1]
            across = 0.5 * (change[2] * d[0] * d[0] + change[4] * d[1] * d[1]) + change[3] * d[0] * d[1]
            of_value = wp.vec3(change[5], change[6], change[7])
            of_slope = tall()
            for channel in range(sloped):
                of_slope[channel, 0] = change[wp.static(_FIRST_SLOPE) + 2 * channel]
                of_slope[channel, 1] = change[wp.static(_FIRST_SLOPE) + 2 * channel + 1]
            moved = value(of_value, of_slope, d) - value(wp.vec3(), slope, wp.vec2(change[0], change[1]))
            apart = value(gaussians.colours[j], slope, d) - colours[i]
            sums += weights[p] * (moved + (along - across) * apart)
        result[i] = sums

    return push


@functools.cache
def pull_kernel(sloped: int) -> wp.Kernel:
    """Make the kernel of the transpose: from residuals at the points to a gradient for each Gaussian."""
    learned, value, long, tall = _types_of(sloped)

    @wp.kernel(module="unique", enable_backward=False)
    def pull(
        first: int,
        offsets: wp.array(dtype=wp.int32),  # [n + 1], where the points of each Gaussian begin
        points_of: wp.array(dtype=wp.int32),  # [entries], the points of each Gaussian
        weights: wp.array(dtype=wp.float32),  # [entries], in the order of these
        points: wp.array(dtype=wp.vec2),  # [points]
        colours: wp.array(dtype=wp.vec3),  # [points]
        gaussians: learned,
        residuals: wp.array(dtype=wp.vec3),  # [points]
        result: wp.array(dtype=long),  # out [n]
    ):
        j = first + wp.tid()
        mean = gaussians.means[j]
        a = gaussians.precisions[j]
        colour = gaussians.colours[j]
        slope = gaussians.slopes[j]
        once = wp.vec2()
        twice = wp.vec3()
        total = wp.vec3()
        steps = tall()
        for p in range(offsets[j], offsets[j + 1]):
            i = points_of[p]
            d = points[i] - mean
            share = weights[p] * residuals[i]
            of_exponent = wp.dot(value(colour, slope, d) - colours[i], share)
            once += of_exponent * d
            twice += of_exponent * wp.vec3(-0.5 * d[0] * d[0], -d[0] * d[1], -0.5 * d[1] * d[1])
            total += share
            for channel in range(sloped):
                steps[channel, 0] += share[channel] * d[0]
                steps[channel, 1] += share[channel] * d[1]
        found = long()
        found[0] = a[0] * once[0] + a[1] * once[1]
        found[1] = a[1] * once[0] + a[2] * once[1]
        for axis in range(3):
            found[2 + axis] = twice[axis]
            found[5 + axis] = total[axis]
        for channel in range(sloped):
            for axis in range(2):
                found[axis] -= total[channel] * slope[channel, axis]
                found[wp.static(_FIRST_SLOPE) + 2 * channel + axis] = steps[channel, axis]
        result[j] = found

    return pull


@functools.cache
def curvature_kernel(sloped: int) -> wp.Kernel:
    """Make the kernel of each Gaussian's own block of ``J^T J``, ``J`` being what pushes."""
    learned, value, length = learned_gaussians(sloped), _value_of(sloped), change_length(sloped)
    long, block = vector(length), matrix(length, length)

    @wp.kernel(module="unique", enable_backward=False)
    def curvature(
        first: int,
        offsets: wp.array(dtype=wp.int32),  # [n + 1]
        points_of: wp.array(dtype=wp.int32),  # [entries]
        weights: wp.array(dtype=wp.float32),  # [entries], in the order of these
        points: wp.array(dtype=wp.vec2),  # [points]
        colours: wp.array(dtype=wp.vec3),  # [points]
        gaussians: learned,
        result: wp.array(dtype=block),  # out [n]
    ):
        j = first + wp.tid()
        mean = gaussians.means[j]
        a = gaussians.precisions[j]
        colour = gaussians.colours[j]
        slope = gaussians.slopes[j]
        sums = block()
        for p in range(offsets[j], offsets[j + 1]):
            i = points_of[p]
            d = points[i] - mean
            apart = value(colour, slope, d) - colours[i]
            for channel in range(3):
                row = long()
                row[0] = apart[channel] * (a[0] * d[0] + a[1] * d[1])
                row[1] = apart[channel] * (a[1] * d[0] + a[2] * d[1])
                row[2] = -0.5 * apart[channel] * d[0] * d[0]
                row[3] = -apart[channel] * d[0] * d[1]
                row[4] = -0.5 * apart[channel] * d[1] * d[1]
                row[wp.static(_FIRST_COLOUR) + channel] = 1.0
                if channel < sloped:
                    for axis in range(2):
                        row[axis] -= slope[channel, axis]
                        row[wp.static(_FIRST_SLOPE) + 2 * channel + axis] = d[axis]
                sums += weights[p] * weights[p] * wp.outer(row, row)
        result[j] = sums

    return curvature
