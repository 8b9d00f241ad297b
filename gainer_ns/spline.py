"""Interpolate a picture by the cubic spline through its pixels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import ndimage

_BOUNDARY = "mirror"  # for this mode, unlike "nearest", scipy's prefilter is exact


class CubicSpline:
    """Cubic-spline interpolation of a picture, per channel in float64.

    The spline goes through every pixel centre exactly; beyond the border pixels' centres the picture is mirrored.

    Args:
        colours: [h, w, c].

    Source:
        Unser, Aldroubi and Eden, "B-spline signal processing", 1993; computed by scipy.ndimage.
    """

    def __init__(self, colours: Float[np.ndarray, "h w c"]) -> None:
        channels = np.moveaxis(np.asarray(colours, dtype=np.float64), -1, 0)
        self._coefficients = [ndimage.spline_filter(channel, order=3, mode=_BOUNDARY) for channel in channels]

    def at(self, coordinates: Float[np.ndarray, "*points 2"]) -> Float[np.ndarray, "*points c"]:
        """Return its colours at pixel coordinates (x, y), not clamped: a spline overshoots at sharp edges."""
        row_column = np.moveaxis(coordinates[..., ::-1], -1, 0) - 0.5  # scipy counts from the first pixel's centre
        read = [
            ndimage.map_coordinates(channel, row_column, order=3, mode=_BOUNDARY, prefilter=False)
            for channel in self._coefficients
        ]
        return np.stack(read, axis=-1)
