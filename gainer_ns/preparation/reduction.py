"""Depth and masks reduced along with their pictures, by whole factors, without mixing what lies at different depths."""

from __future__ import annotations

import cv2
import numpy as np

Size = tuple[int, int]
"""Width and height in pixels."""


def reduction_factor(stored: Size, wanted: Size) -> int | None:
    """Return the whole number from 2 up by which a size is to be divided, rounded down, to get another.

    Args:
        stored: The larger size.
        wanted: The smaller size.

    Returns:
        None if there is no such number.
    """
    for factor in (stored[0] // wanted[0], stored[1] // wanted[1]):
        if factor >= 2 and (max(1, stored[0] // factor), max(1, stored[1] // factor)) == wanted:
            return factor
    return None


def reduced_depth(depth: np.ndarray, factor: int, size: Size) -> np.ndarray:
    """Reduce depth with its picture: of the pixels that make up one, the median of those whose depth is known.

    Of two in the middle it is the nearer one, not their mean, which would float between an object and what lies
    behind it.

    Args:
        depth: Floats [h, w], 0 where unknown.
        factor: How many rows and columns make up one.
        size: Of the reduced picture.

    Returns:
        float32, 0 where most of the pixels are unknown.
    """

    def taken(length: int, wanted: int) -> np.ndarray:
        """Return which rows or columns each one is made of, [wanted, factor]: those around its middle."""
        count = min(factor, length)
        first = np.rint((np.arange(wanted) + 0.5) * length / wanted - count / 2).astype(int)
        return first.clip(0, length - count)[:, None] + np.arange(count)

    width, height = size
    rows, columns = taken(depth.shape[0], height), taken(depth.shape[1], width)
    samples = depth[rows[:, None, :, None], columns[None, :, None, :]].reshape(height, width, -1)
    ordered = np.sort(np.where(samples > 0, samples, np.inf), axis=2)
    known = np.isfinite(ordered).sum(axis=2)
    middle = np.maximum(known - 1, 0) // 2
    median = np.take_along_axis(ordered, middle[..., None], axis=2)[..., 0]
    return np.where(2 * known >= samples.shape[2], median, 0.0).astype(np.float32)


def reduced_mask(mask: np.ndarray, size: Size) -> np.ndarray:
    """Reduce a mask with its picture: the mean over the area of each pixel.

    Args:
        mask: Floats [h, w].
        size: Of the reduced picture.
    """
    return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
