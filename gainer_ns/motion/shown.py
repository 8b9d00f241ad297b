"""What a picture shows, pixel by pixel, and what of that hangs together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Rows down and columns to the right from a pixel to those that it may hang together with; the others look back."""


class Shown(NamedTuple):
    """Where a picture shows something, and what of that hangs together.

    Attributes:
        mask: [h, w], where something is visible.
        corner: Column and row of the first pixel.
        joined: [4, h, w], whether each pixel hangs together with the one to its right, below, below on the right, and
            below on the left; None where all that touch do.
    """

    mask: Bool[np.ndarray, "h w"]
    corner: tuple[int, int] = (0, 0)
    joined: Bool[np.ndarray, "4 h w"] | None = None

    def window(self, left: int, top: int, right: int, bottom: int) -> Shown:
        """Return a part of it, between columns and rows of the picture, one pixel at least."""
        x, y = self.corner
        height, width = self.mask.shape
        first, last = np.clip([left - x, right - x], 0, width), np.clip([top - y, bottom - y], 0, height)
        columns, rows = (
            slice(min(a, size - 1), max(b, min(a, size - 1) + 1)) for (a, b), size in ((first, width), (last, height))
        )
        joined = None if self.joined is None else self.joined[:, rows, columns]
        return Shown(self.mask[rows, columns], (x + columns.start, y + rows.start), joined)

    @property
    def pixels(self) -> Float[Tensor, "m 2"]:
        """The centres of the pixels that show something, row by row."""
        rows, columns = self.mask.nonzero()
        return torch.from_numpy(np.stack([columns + self.corner[0], rows + self.corner[1]], axis=1) + 0.5)

    def in_blocks(self, side: int) -> Shown:
        """Return it by squares of pixels; those that something cuts in two show nothing."""
        below, behind = (-length % side for length in self.mask.shape)

        def blocks(values: np.ndarray) -> np.ndarray:
            padded = np.pad(values, ((0, below), (0, behind)))
            return padded.reshape(padded.shape[0] // side, side, -1, side).transpose(0, 2, 1, 3)

        mask, joined = blocks(self.mask).any(axis=(2, 3)), None
        if self.joined is not None:
            right, down, along, aside = map(blocks, self.joined)
            beside, under = (blocks(self._both(*away) & ~self.joined[i]) for i, away in enumerate(NEIGHBOURS[:2]))
            mask &= ~(beside[..., :-1].any(axis=(2, 3)) | under[:, :, :-1].any(axis=(2, 3)))
            joined = np.stack(
                [right[..., -1].any(axis=2), down[:, :, -1].any(axis=2), along[:, :, -1, -1], aside[:, :, -1, 0]]
            )
        return Shown(mask, self.corner, joined)

    def _both(self, down: int, right: int) -> Bool[np.ndarray, "h w"]:
        """Return whether each pixel and the one so far from it show something."""
        height, width = self.mask.shape
        result = np.zeros_like(self.mask)
        result[: height - down, max(0, -right) : width - max(0, right)] = self.mask[
            down:, max(0, right) : width - max(0, -right)
        ]
        return result & self.mask


def as_complex(points: Float[Tensor, "m 2"]) -> Complex[np.ndarray, " m"]:
    """Return points in the plane of complex numbers."""
    return np.ascontiguousarray(points.double().cpu().numpy()).view(np.complex128)[:, 0]


def as_pixels(points: Complex[np.ndarray, " m"]) -> Float[Tensor, "m 2"]:
    """Return points of the plane of complex numbers."""
    return torch.from_numpy(np.stack([points.real, points.imag], axis=1))
