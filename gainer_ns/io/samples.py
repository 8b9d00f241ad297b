"""Quantise floats to 8 or 16 bits."""

from __future__ import annotations

import numpy as np

Colour = tuple[float, float, float]
"""Red, green and blue in [0, 1]."""


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
    values = colours if opacity is None else np.dstack((colours, opacity))
    if values.dtype.kind != "f" or np.isnan(values.min()):
        raise ValueError("colours and opacity must be floats in [0, 1], without NaN")
    max_value = 2**bit_depth - 1
    return rounded_samples(values * np.float32(max_value), max_value)


def rounded_samples(values: np.ndarray, max_value: int) -> np.ndarray:
    """Round floats, clamped to [0, max_value], to uint8 or uint16; halves to even."""
    clamped = np.clip(values, 0, max_value)
    return np.rint(clamped, out=clamped).astype(np.uint8 if max_value == 255 else np.uint16)


def flattened(colours: np.ndarray, opacity: np.ndarray | None, background: Colour) -> np.ndarray:
    """Lay colours [h, w, 3] over a uniform background."""
    if opacity is None:
        return colours
    share = np.clip(opacity, 0.0, 1.0)[..., None]
    return (np.clip(colours, 0.0, 1.0) * share + np.asarray(background) * (1.0 - share)).astype(np.float32)
