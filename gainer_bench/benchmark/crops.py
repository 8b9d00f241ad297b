"""Chooses the part of a picture that is looked at closely: where all methods together err most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped, UInt8

from gainer_ns.error_maps import PAPER_GAMMA

SIDE = 96
"""Of the window, in pixels."""


class Crop(NamedTuple):
    """A part of a picture in pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.right - self.left, self.bottom - self.top

    def of(self, picture: Shaped[np.ndarray, "h w *c"]) -> Shaped[np.ndarray, "bottom-top right-left *c"]:
        """That part of a picture."""
        return picture[self.top : self.bottom, self.left : self.right]


def worst_window(shades: Sequence[UInt8[np.ndarray, "h w"]], shape: tuple[int, int], side: int = SIDE) -> Crop:
    """The square with the largest mean error over all methods; the whole of a side that is shorter.

    Args:
        shades: Error maps with the paper's gamma, black where equal.
        shape: Height and width in pixels.
        side: Of the window, in pixels.

    Returns:
        The topmost of the squares with the largest sum, and of those the leftmost; the top left one without any map.
        Sums are of integers, and exact.
    """
    height, width = min(side, shape[0]), min(side, shape[1])
    errors = (np.arange(256, dtype=np.uint64) ** np.uint64(round(1 / PAPER_GAMMA))).astype(np.uint64)
    total = np.zeros((shape[0] + 1, shape[1] + 1), np.uint64)
    for shade in shades:
        total[1:, 1:] += errors[shade]
    total = total.cumsum(axis=0, dtype=np.uint64).cumsum(axis=1, dtype=np.uint64)  # wraps, but sums of windows fit
    sums = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    top, left = (int(place) for place in np.unravel_index(sums.argmax(), sums.shape))
    return Crop(left, top, left + width, top + height)
