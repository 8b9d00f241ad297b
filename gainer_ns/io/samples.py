"""Quantise floats to 8 or 16 bits."""

from __future__ import annotations

import cv2
import numpy as np

Colour = tuple[float, float, float]
"""Red, green and blue in [0, 1]."""

_ROWS_AT_ONCE = 32
"""Of a picture: as much as stays in a processor's cache."""


def integer_samples(colours: np.ndarray, opacity: np.ndarray | None, bit_depth: int) -> np.ndarray:
    """Quantise colours [h, w, 3] and opacity [h, w] in [0, 1] to uint8 or uint16 [h, w, 3 or 4], halves to even.

    Values outside are clamped.

    Raises:
        ValueError: The arrays are no picture: other shapes, not floats, or NaN among them.
    """
    if colours.ndim != 3 or colours.shape[2] != 3 or colours.size == 0:
        raise ValueError(f"colours must be [height, width, 3], not {list(colours.shape)}")
    if opacity is not None and opacity.shape != colours.shape[:2]:
        raise ValueError(f"opacity must be {list(colours.shape[:2])}, not {list(opacity.shape)}")
    parts = [colours] if opacity is None else [colours, opacity]
    if any(part.dtype.kind != "f" or np.isnan(part.min()) for part in parts):
        raise ValueError("colours and opacity must be floats in [0, 1], without NaN")
    rounded = [_rounded(part, bit_depth) for part in parts]
    return rounded[0] if opacity is None else cv2.merge(rounded)


def unit_values(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return what :func:`integer_samples` makes the same samples of again: colours, and opacity where there is some."""
    values = np.divide(samples, np.iinfo(samples.dtype).max, dtype=np.float32)
    return values[..., :3], values[..., 3] if samples.shape[2] == 4 else None


def _rounded(values: np.ndarray, bit_depth: int) -> np.ndarray:
    """Quantise floats to so many bits."""
    max_value = 2**bit_depth - 1
    if bit_depth != 8:
        return rounded_samples(values * np.float32(max_value), max_value)
    # OpenCV rounds halves to even, too, in a tenth of the time, but takes magnitudes of what is below 0.
    within = values.min() >= 0 and values.max() <= 1
    return cv2.convertScaleAbs(values if within else np.clip(values, 0, 1), alpha=max_value)


def rounded_samples(values: np.ndarray, max_value: int) -> np.ndarray:
    """Round floats, clamped to [0, max_value], to uint8 or uint16; halves to even."""
    clamped = np.clip(values, 0, max_value)
    return np.rint(clamped, out=clamped).astype(np.uint8 if max_value == 255 else np.uint16)


def flattened(colours: np.ndarray, opacity: np.ndarray | None, background: Colour) -> np.ndarray:
    """Lay colours [h, w, 3] over a uniform background."""
    if opacity is None:
        return colours
    behind = np.broadcast_to(np.asarray(background, np.float32), (_ROWS_AT_ONCE, *colours.shape[1:])).copy()
    found = np.empty(colours.shape, np.float32)
    for first in range(0, len(found), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        some = np.clip(colours[rows], 0.0, 1.0, out=found[rows])
        some -= behind[: len(some)]
        some *= cv2.merge([np.clip(opacity[rows], 0.0, 1.0)] * 3)
        some += behind[: len(some)]
    return found
