"""Turn what a depth map stores, whatever that is, into depth."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float

Units = Literal["metres", "relative"]

Kind = Literal["depth", "inverse", "disparity"]
"""What stored values are: depth; inverse depth of unknown scale and offset, as networks tell it; or disparity, inverse
depth of unknown scale alone, as two cameras tell it, where 0 is unknown."""

FEW = 100
"""Fewer known values than this tell nothing about what they are."""


def known_depth(depth: np.ndarray) -> np.ndarray:
    """Depth [...] as float32, 0 where it is not finite or not above 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        depth = np.asarray(depth).astype(np.float32)
        return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


def inverse_to_depth(inverse: Float[np.ndarray, "h w"], far: float) -> Float[np.ndarray, "h w"]:
    """Relative inverse depth as relative depth.

    Inverse depth is stretched linearly, so that its 99th percentile lies at depth 1 and its 1st at ``far``. Nearer
    than 1 it goes on; beyond ``far`` it stops, since inverse depth of unknown offset may reach zero. A flat map lies
    at 1.

    Args:
        inverse: Inverse depth up to scale and offset, larger where nearer; what is not finite is unknown.
        far: Depth of the 1st percentile, above 1.

    Returns:
        Float32, 0 where unknown.
    """
    inverse = np.asarray(inverse, np.float64)
    known = np.isfinite(inverse)
    if not known.any():
        return np.zeros(inverse.shape, np.float32)
    least, most = np.percentile(inverse[known], [1, 99])
    share = (inverse - least) / (most - least) if most > least else np.where(known, 1.0, np.nan)
    return known_depth(1.0 / np.maximum(1.0 / far + share * (1.0 - 1.0 / far), 1.0 / far))


def depth_of(
    stored: Float[np.ndarray, "h w"], kind: Kind, scale: float | None, far: float
) -> tuple[Float[np.ndarray, "h w"], Units]:
    """Depth from stored values.

    Args:
        stored: What the file holds.
        kind: What that is.
        scale: The depth in metres that a stored 1 means: depth grows with depth, and shrinks with inverse depth and
            disparity. None: metres of depth, and relative depth of the other two.
        far: Where relative inverse depth ends; see :func:`inverse_to_depth`.

    Returns:
        Float32, 0 where it is unknown, and its units. Relative depth of disparities is 1 at their 99th percentile.
    """
    values = np.asarray(stored, np.float64)
    if kind == "depth":
        return known_depth(stored if scale is None else values * scale), "metres"
    if kind == "inverse" and scale is None:
        return inverse_to_depth(values, far), "relative"
    known = np.isfinite(values) & (values > 0)
    if not known.any():
        return np.zeros(values.shape, np.float32), "relative"
    at_one = float(np.percentile(values[known], 99)) if scale is None else scale
    with np.errstate(over="ignore"):
        depth = np.divide(at_one, values, out=np.zeros_like(values), where=known)
    return known_depth(depth), "relative" if scale is None else "metres"


def doubt(stored: Float[np.ndarray, "h w"], scale: float | None) -> str | None:
    """What makes values look like inverse depth or disparity, when they are read as depth.

    Args:
        stored: What the file holds.
        scale: Metres that a stored 1 means, where the user said.

    Returns:
        What was seen, in words; None where nothing was.
    """
    values = np.asarray(stored, np.float64)
    known = np.isfinite(values) & (values > 0)
    if known.sum() < FEW:
        return None
    seen = values[known]
    most, is_whole = float(seen.max()), stored.dtype.kind != "f"
    if scale is None and is_whole and stored.dtype.itemsize == 2 and most >= 65000:
        share = float((seen == most).mean())
        return (
            f"{share:.1%} of the pixels have the largest value, {most / 1000:.1f} m, as in a map stretched to 16 bits"
        )
    if scale is None and not is_whole and most == 1.0:
        return "the largest value is 1, as in a map stretched to [0, 1]"
    rows = known.shape[0] // 4
    upper, lower = values[:rows][known[:rows]], values[-rows:][known[-rows:]] if rows else values[:0]
    if min(len(upper), len(lower)) < FEW:
        return None
    top, bottom = float(np.median(upper)), float(np.median(lower))
    if bottom > 1.5 * top:
        return f"the lowest quarter is {bottom / top:.1f} times as far away as the highest, and nearer in most photos"
    return None
