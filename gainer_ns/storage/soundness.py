"""Whether numbers that were read from a file are ones that a picture can be drawn from."""

from __future__ import annotations

import math

from torch import Tensor

from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.rendering.layer import Layer

_MIN_RADIUS = 1e-9
"""The shortest distance, in plane units, at which Gaussians are read: far less than a pixel of the largest."""
MAX_STORED_NUMBER = 1e6
"""The largest mean (in plane units), feature, opacity or weight that is read; of squares and slopes its square."""


def check_layer(layer: Layer) -> None:
    """Refuses a layer that cannot be drawn.

    Raises:
        ValueError: If it is so.
    """
    check_gaussians(layer.gaussians)
    if layer.gaussians.dimensions != 2:
        raise ValueError("its Gaussians do not lie on a plane")
    if layer.decoder.feature_dim != layer.gaussians.features.shape[1]:
        raise ValueError("the decoder does not fit the features")
    check_sizes(*layer.decoder.parameters())
    if not all(math.isfinite(length) and length > 0 for length in layer.half_extent or ()):
        raise ValueError("its frame makes no sense")
    if not (math.isfinite(layer.fade) and layer.fade >= 0):
        raise ValueError("it fades away over a distance that makes no sense")
    if layer.reaches is not None and not bool(layer.reaches.isfinite().all()):
        raise ValueError("it holds numbers that are not finite")


def check_gaussians(gaussians: GaussianSet) -> None:
    """Refuses Gaussians that cannot be drawn.

    Raises:
        ValueError: If there are some.
    """
    if gaussians.features.dim() != 2:
        raise ValueError("its features are no table")
    if not _MIN_RADIUS <= gaussians.radius <= MAX_STORED_NUMBER:
        raise ValueError("its radius makes no sense")
    roots = (gaussians.means, gaussians.features, gaussians.opacities)
    squares = (gaussians.covariances, gaussians.slopes, gaussians.opacity_slopes, gaussians.inverse_jacobians)
    check_sizes(*roots)
    check_sizes(*squares, largest=MAX_STORED_NUMBER**2)
    check_sizes(gaussians.precisions, largest=math.inf)


def check_sizes(*parts: Tensor | None, largest: float = MAX_STORED_NUMBER) -> None:
    """Refuses numbers that are not finite, or so large that what is computed from them would not be.

    Raises:
        ValueError: If there are some.
    """
    for part in parts:
        if part is None or part.numel() == 0:
            continue
        size = float(part.detach().abs().max())
        if not math.isfinite(size):
            raise ValueError("it holds numbers that are not finite")
        if size > largest:
            raise ValueError(f"it holds the number {size:.0e}, which no fit or edit makes")
