"""The Warp kernels of weighted means over Gaussians all of which may move, and of their gradients.

A Gaussian is a mean, a precision ``(xx, xy, yy)``, a feature and slopes of the feature's first channels; a point reads
``e + G (x - mu)`` of it. Nothing is added atomically: a Gaussian's gradients are summed over the points that read it,
in their order.
"""

import functools
from typing import Any

import warp as wp

from gainer_ns.gaussians.kernels import matrix, vector

_NEGLIGIBLE_LOG_WEIGHT = -17.0
"""Logarithm of a weight, relative to the largest or to the sum, below which it changes no float32 sum."""


@functools.cache
def moving_gaussians(width: int, sloped: int) -> Any:
    """Make the struct of all that is learned of Gaussians; or of its gradients."""
    wide, tall = vector(width), matrix(sloped, 2)

    @wp.struct
    class MovingGaussians:
        means: wp.array(dtype=wp.vec2)  # [n]
        precisions: wp.array(dtype=wp.vec3)  # [n], xx, xy, yy
        features: wp.array(dtype=wide)  # [n]
        slopes: wp.array(dtype=tall)  # [n]

    return MovingGaussians


@wp.func
def exponent(a: wp.vec3, d: wp.vec2) -> float:
    """Return the logarithm of a Gaussian's weight before it is normalised."""
    return -0.5 * (a[0] * d[0] * d[0] + a[2] * d[1] * d[1]) - a[1] * d[0] * d[1]


@functools.cache
def value_of(width: int, sloped: int) -> Any:
    """Make the function of what a point reads of a Gaussian at a step ``d`` from its mean."""
    wide, tall = vector(width), matrix(sloped, 2)

    @wp.func
    def value(feature: wide, slope: tall, d: wp.vec2):
        for channel in range(sloped):
            feature[channel] += slope[channel, 0] * d[0] + slope[channel, 1] * d[1]
        return feature

    return value


@functools.cache
def means_kernel(width: int, sloped: int) -> wp.Kernel:
    """Make the kernel of the weighted means, and of the logarithms of the sums of weights that they were divided by."""
    wide, value, moving = vector(width), value_of(width, sloped), moving_gaussians(width, sloped)

    @wp.kernel(module="unique", enable_backward=False)
    def weighted_means(
        first: int,
        offsets: wp.array(dtype=wp.int32),  # [points + 1], where the Gaussians of each point begin
        columns: wp.array(dtype=wp.int32),  # [entries], the Gaussians of each point
        points: wp.array(dtype=wp.vec2),  # [points]
        gaussians: moving,
        result: wp.array(dtype=wide),  # out [points], 0 where nothing is read
        logarithms: wp.array(dtype=wp.float32),  # out [points]
    ):
        i = first + wp.tid()
        x = points[i]
        greatest = float(-wp.inf)  # so far; what was summed before is rescaled when a greater one comes
        total = float(0.0)
        sums = wide()
        for p in range(offsets[i], offsets[i + 1]):
            j = columns[p]
            d = x - gaussians.means[j]
            logarithm = exponent(gaussians.precisions[j], d)
            if logarithm > greatest:
                less = wp.exp(greatest - logarithm)
                total *= less
                sums *= less
                greatest = logarithm
            if logarithm - greatest > _NEGLIGIBLE_LOG_WEIGHT:
                w = wp.exp(logarithm - greatest)
                total += w
                sums += w * value(gaussians.features[j], gaussians.slopes[j], d)
        if total > 0.0:
            sums = sums / total
        result[i] = sums
        logarithms[i] = greatest + wp.log(total)

    return weighted_means


@functools.cache
def gradients_kernel(width: int, sloped: int) -> wp.Kernel:
    """Make the kernel of each Gaussian's gradients, summed over the points that read it."""
    wide, tall, moving = vector(width), matrix(sloped, 2), moving_gaussians(width, sloped)
    value = value_of(width, sloped)

    @wp.kernel(module="unique", enable_backward=False)
    def weighted_means_gradients(
        first: int,
        offsets: wp.array(dtype=wp.int32),  # [n + 1], where the points of each Gaussian begin
        points_of: wp.array(dtype=wp.int32),  # [entries], the points of each Gaussian
        points: wp.array(dtype=wp.vec2),  # [points]
        logarithms: wp.array(dtype=wp.float32),  # [points]
        of_result: wp.array(dtype=wide),  # [points], gradient by the weighted means
        along: wp.array(dtype=wp.float32),  # [points], inner products of that with the weighted means
        gaussians: moving,
        gradients: moving,  # out
    ):
        j = first + wp.tid()
        mean = gaussians.means[j]
        a = gaussians.precisions[j]
        e = gaussians.features[j]
        slope = gaussians.slopes[j]
        of_feature = wide()
        of_slope = tall()
        once = wp.vec2()
        twice = wp.vec3()
        for p in range(offsets[j], offsets[j + 1]):
            i = points_of[p]
            d = points[i] - mean
            logarithm = exponent(a, d) - logarithms[i]
            if logarithm > _NEGLIGIBLE_LOG_WEIGHT:
                w = wp.exp(logarithm)
                g = of_result[i]
                of_exponent = w * (wp.dot(g, value(e, slope, d)) - along[i])
                pull = w * g
                of_feature += pull
                for channel in range(sloped):
                    of_slope[channel, 0] += pull[channel] * d[0]
                    of_slope[channel, 1] += pull[channel] * d[1]
                once += of_exponent * d
                twice += of_exponent * wp.vec3(-0.5 * d[0] * d[0], -d[0] * d[1], -0.5 * d[1] * d[1])
        back = wp.vec2()
        for channel in range(sloped):
            back += of_feature[channel] * slope[channel]
        gradients.means[j] = wp.vec2(a[0] * once[0] + a[1] * once[1], a[1] * once[0] + a[2] * once[1]) - back
        gradients.precisions[j] = twice
        gradients.features[j] = of_feature
        gradients.slopes[j] = of_slope

    return weighted_means_gradients
