"""Depth of a network, of its own scale, in the units of a scene."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

_ROUNDS = 20
"""How often what misses is weighed anew."""
_LEAST_MISS = 1e-3
"""Misses below this share of the typical inverse depth count alike."""


def aligned_inverse(
    inverse: Float[np.ndarray, "h w"],
    target: Float[np.ndarray, "h w"],
    trusted: Bool[np.ndarray, "h w"],
    *,
    has_offset: bool,
) -> Float[np.ndarray, "h w"]:
    """Return inverse depth scaled, and shifted where its offset is unknown, so that it misses a target least.

    The sum of absolute misses is least, which a minority of wrong targets does not move: by least squares, again and
    again, weighed by the misses before.

    Args:
        inverse: 0 where unknown.
        target: What it is to be where that is trusted.
        trusted: Where.
        has_offset: Whether its zero means nothing, as that of relative inverse depth.

    Returns:
        0 where unknown, or beyond infinity.

    Raises:
        ValueError: Nothing is trusted, or the two have nothing to do with each other.
    """
    chosen = trusted & (inverse > 0) & (target > 0)
    if chosen.sum() < 16:
        raise ValueError("too few pixels are trusted")
    own, wanted = inverse[chosen].astype(np.float64), target[chosen].astype(np.float64)
    columns = np.stack([own, np.ones_like(own)] if has_offset else [own], axis=1)
    scale, weight = np.zeros(columns.shape[1]), 1 / wanted  # relative misses count
    for _ in range(_ROUNDS):
        root = np.sqrt(weight)[:, None]
        scale = np.linalg.lstsq(columns * root, wanted * root[:, 0], rcond=None)[0]
        miss = np.abs(columns @ scale - wanted) / wanted
        weight = 1 / (np.maximum(miss, _LEAST_MISS) * wanted)
    if scale[0] <= 0:
        raise ValueError("what is nearer in one is farther in the other")
    moved = scale[0] * inverse + (scale[1] if has_offset else 0.0)
    return np.where((inverse > 0) & (moved > 0), moved, 0).astype(np.float32)
