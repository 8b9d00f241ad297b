"""Check numbers that were read from a file, and which may be anything. All checks raise ValueError."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.raster import MAX_RASTER_POINTS

_MIN_RADIUS = 1e-9
"""The shortest support radius that is read, in plane units: far less than a pixel of the largest picture."""
MAX_STORED_NUMBER = 1e6
"""The largest mean (in plane units), feature, opacity or weight that is read; of squares and slopes its square."""


def check_layer(layer: Layer) -> None:
    """Refuse a layer that cannot be drawn."""
    check_gaussians(layer.gaussians)
    if layer.gaussians.dimensions != 2:
        raise ValueError("its Gaussians do not lie on a plane")
    if layer.decoder.feature_dim != layer.gaussians.features.shape[1]:
        raise ValueError("the decoder does not fit the features")
    check_sizes(*layer.decoder.parameters())
    if not all(math.isfinite(length) and length > 0 for length in layer.half_extent or ()):
        raise ValueError("its frame makes no sense")


def check_gaussians(gaussians: GaussianSet) -> None:
    """Refuse Gaussians that cannot be drawn."""
    if gaussians.features.dim() != 2:
        raise ValueError("its features are no table")
    if not _MIN_RADIUS <= gaussians.radius <= MAX_STORED_NUMBER:
        raise ValueError("its radius makes no sense")
    roots = (gaussians.means, gaussians.features, gaussians.opacities)
    squares = (gaussians.covariances, gaussians.slopes, gaussians.inverse_jacobians)
    check_sizes(*roots)
    check_sizes(*squares, largest=MAX_STORED_NUMBER**2)
    check_sizes(gaussians.precisions, largest=math.inf)


def check_sizes(*parts: Tensor | None, largest: float = MAX_STORED_NUMBER) -> None:
    """Refuse numbers that are not finite, or so large that what is computed from them would not be."""
    for part in parts:
        if part is None or part.numel() == 0:
            continue
        low, high = part.detach().aminmax()
        size = max(-float(low), float(high))
        if not are_finite(low, high):
            raise ValueError("it holds numbers that are not finite")
        if size > largest:
            raise ValueError(f"it holds the number {size:.0e}, which no fit or edit makes")


def are_finite(*parts: Tensor) -> bool:
    """Return whether all numbers are finite, without a copy of any."""
    ends = (part.detach().aminmax() for part in parts if part.is_floating_point() and part.numel() > 0)
    return all(math.isfinite(low) and math.isfinite(high) for low, high in ends)


def whole_number(value: Any, largest: int, *, least: int = 1) -> int:
    """Return a number of a header as a whole number within bounds."""
    if not least <= int(value) <= largest:
        raise ValueError(f"{value} is not between {least} and {largest}")
    return int(value)


def checked_plane(width: Any, height: Any) -> ImagePlane:
    """Return the plane of a picture of so many pixels."""
    plane = ImagePlane(whole_number(width, MAX_RASTER_POINTS), whole_number(height, MAX_RASTER_POINTS))
    if plane.pixels > MAX_RASTER_POINTS:
        raise ValueError(f"{plane.width} x {plane.height} pixels are more than {MAX_RASTER_POINTS // 10**6} megapixels")
    return plane


def checked_bit_depth(bits: Any) -> int:
    """Return the bits of a picture's values, 8 or 16."""
    if bits not in (8, 16):
        raise ValueError("its bit depth makes no sense")
    return int(bits)
