"""Gaussians of the plane as levels: whole multiples of a step, which files hold in few bytes.

A row of numbers is a mean in pixels, the shape ``(log a, b / c, log c)`` of the lower Cholesky factor ``[[a, 0], [b,
c]]`` of the covariance in square pixels, features, and slopes along the Gaussian's own axes
(:mod:`gainer_ns.gaussians.slopes`), both times ``sqrt(a c)``. By a step a shape changes as much, relative to its own
size, whatever it is, and the pixels that read a Gaussian change as much in all, however many they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.ordering import morton_codes
from gainer_ns.gaussians.slopes import slopes_along, with_slopes_along

OCTAVE = 4
"""A step is ``2 ** (exponent / OCTAVE)``."""
CURVE_BITS = 24
"""Of a coordinate of a mean."""
_COARSEST, _FINEST = 3 * OCTAVE, -16 * OCTAVE
_TOLERANCE = 0.02
"""Of what is a level, in steps: what means of 20 megapixels lose as float32."""
_RELATIVE_TOLERANCE = 1e-3
"""In the largest of a column."""
_LEAST_GAUSSIANS = 16
"""Fewer are levels of some step by chance."""
_MAX_LEVEL = 2**20
_SHRINK_LOG = 0.05
"""What Gaussians too long shrink by at least, again and again; the logarithm of a side."""


def steps_of(exponents: Sequence[int]) -> Float[Tensor, " c"]:
    """Return steps by their exponents."""
    return 2 ** (torch.tensor(exponents, dtype=torch.float64) / OCTAVE)


def exponent_of(step: float) -> int:
    """Return the exponent of the step that is nearest."""
    return max(_FINEST, min(_COARSEST, round(OCTAVE * torch.tensor(step, dtype=torch.float64).log2().item())))


def numbers_of(gaussians: GaussianSet, plane: ImagePlane) -> Float[Tensor, "n c"]:
    """Return what Gaussians with slopes are, a row each."""
    places = plane.pixel_from_plane(gaussians.means.double())
    lower = torch.linalg.cholesky(gaussians.covariances.double() / plane.pixel_size**2)
    first, below, second = lower[:, 0, 0], lower[:, 1, 0], lower[:, 1, 1]
    shapes = torch.stack([first.log(), below / second, second.log()], dim=1)
    values = torch.cat([gaussians.features, slopes_along(gaussians).flatten(1)], dim=1).double()
    return torch.cat([places, shapes, values * _sizes(shapes)], dim=1)


def gaussians_of(numbers: Float[Tensor, "n c"], radius: float, plane: ImagePlane, channels: int) -> GaussianSet:
    """Return the Gaussians of such rows, so many channels of which are features."""
    places, shapes, values = numbers.split([2, 3, numbers.shape[1] - 5], dim=1)
    features, along = (values / _sizes(shapes)).split([channels, values.shape[1] - channels], dim=1)
    first, below, second = shapes.unbind(1)
    zero = torch.zeros_like(first)
    rows = torch.stack([first.exp(), zero, below * second.exp(), second.exp()], dim=1).view(-1, 2, 2)
    covariances = (rows @ rows.mT) * plane.pixel_size**2
    bare = GaussianSet(plane.plane_from_pixel(places).float(), covariances.float(), features.float(), radius)
    return with_slopes_along(bare, along.view(len(along), -1, 2).float())


def _sizes(shapes: Float[Tensor, "n 3"]) -> Float[Tensor, "n 1"]:
    """Return the roots of the sides' product, in pixels."""
    return (0.5 * (shapes[:, 0] + shapes[:, 2])).exp()[:, None]


def rounded(numbers: Float[Tensor, "n c"], steps: Float[Tensor, " c"], longest: float) -> Int[Tensor, "n c"]:
    """Return the nearest levels, of Gaussians no longer than ``longest`` standard deviations in pixels."""
    levels = (numbers / steps).round().long()
    shrink = (_SHRINK_LOG / steps[[2, 4]]).ceil().long()
    while True:
        first, below, second = (levels[:, 2:5] * steps[2:5]).unbind(1)
        squares = (2 * first).exp() + (1 + below**2) * (2 * second).exp()  # the trace, not less than what is longest
        long = squares > longest**2
        if not bool(long.any()):
            return levels
        levels[:, 2] -= shrink[0] * long
        levels[:, 4] -= shrink[1] * long


def levels_found(gaussians: GaussianSet, plane: ImagePlane) -> tuple[list[int], Int[Tensor, "n c"]] | None:
    """Return exponents of steps and, on the processor, the levels that Gaussians already are; None if they are not."""
    if len(gaussians) < _LEAST_GAUSSIANS or gaussians.slopes is None or gaussians.dimensions != 2:
        return None
    if len(gaussians.covariances) != len(gaussians) or gaussians.inverse_jacobians is not None:
        return None
    numbers = numbers_of(gaussians, plane).cpu()
    exponents = [_exponent_found(column) for column in numbers.unbind(1)]
    known = [exponent for exponent in exponents if exponent is not None]
    return (known, (numbers / steps_of(known)).round().long()) if len(known) == len(exponents) else None


def curve_order(levels: Int[Tensor, "n c"]) -> Int[Tensor, " n"]:
    """Return the order of Gaussians along a curve that keeps near what is near, in which files hold them.

    Where several are as far from a point, which of them it reads is a matter of their order.
    """
    return morton_codes(levels[:, :2] - levels[:, :2].amin(dim=0), CURVE_BITS).argsort(stable=True)


def _exponent_found(column: Float[Tensor, " n"]) -> int | None:
    """Return the exponent of the largest step that all numbers are multiples of."""
    largest = float(column.abs().max())
    for exponent in range(_COARSEST, _FINEST - 1, -1):
        step = 2 ** (exponent / OCTAVE)
        if largest > _MAX_LEVEL * step:
            return None
        within = min(_TOLERANCE * step, _RELATIVE_TOLERANCE * largest)  # else small numbers were 0 times a large step
        if all(bool((some - (some / step).round() * step).abs().max() <= within) for some in (column[:64], column)):
            return exponent
    return None
