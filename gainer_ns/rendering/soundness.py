"""Whether numbers that were read from a file are ones that a picture can be drawn from."""

from __future__ import annotations

import math

from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.rendering.layer import Layer


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
    if not (math.isfinite(gaussians.radius) and gaussians.radius > 0):
        raise ValueError("its radius makes no sense")
    parts = (
        gaussians.means,
        gaussians.covariances,
        gaussians.precisions,
        gaussians.features,
        gaussians.slopes,
        gaussians.opacities,
        gaussians.opacity_slopes,
        gaussians.inverse_jacobians,
    )
    if not all(bool(part.isfinite().all()) for part in parts if part is not None):
        raise ValueError("it holds numbers that are not finite")
