"""The fit in closed form of an opaque picture, by bands of rows, where nothing but its pixels is kept of it.

Such a fit is a function of the pixels, which are what a file holds (see :mod:`gainer_ns.storage.pixels`): no more rows
of Gaussians than a strip of them are ever in memory, and bands may be fitted anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.gaussians.prefilter import ROWS_AT_ONCE, NodeAverages

BAND_PIXELS = 1 << 22
"""Of a band, about; 50 rows more tell its fit."""


class PixelBand(NamedTuple):
    """Rows of a picture, and what is around them as far as it counts.

    Attributes:
        sigma: Standard deviation of the Gaussians, in pixels.
        height: Rows of the picture.
        rows: The rows that are fitted.
        top: First row of the samples.
        samples: uint8 or uint16.
    """

    sigma: float
    height: int
    rows: range
    top: int
    samples: np.ndarray


@dataclass(frozen=True)
class FitError:
    """How far a fit is off.

    Attributes:
        squares: Sum over all values of the squared errors; values are from 0 to 1.
        values: How many there are.
    """

    squares: float
    values: int

    def __add__(self, other: FitError) -> FitError:
        """Return the error of two parts."""
        return FitError(self.squares + other.squares, self.values + other.values)

    @property
    def psnr(self) -> float:
        """In dB."""
        return -10 * math.log10(max(self.squares / self.values, 1e-20))


def pixel_bands(samples: np.ndarray, sigma: float, band_pixels: int | None = None) -> Iterator[PixelBand]:
    """Divide a picture into bands, from the top down.

    Args:
        samples: [h, w, 3], uint8 or uint16.
        sigma: Standard deviation of the Gaussians, in pixels.
        band_pixels: Of a band, about; None for ``BAND_PIXELS``.
    """
    height, width = samples.shape[:2]
    averages = NodeAverages(height, width, sigma)
    step = max(1, (band_pixels or BAND_PIXELS) // (width * ROWS_AT_ONCE)) * ROWS_AT_ONCE
    for first in range(0, height, step):
        rows = range(first, min(first + step, height))
        around = averages.rows_told_by(rows.start, rows.stop)
        yield PixelBand(sigma, height, rows, around.start, samples[around])


@torch.no_grad()
def fit_band(
    band: PixelBand,
    device: torch.device | str = "cpu",
    progress: Callable[[float], None] = lambda share: None,
) -> FitError:
    """Fit a band, and return how near it comes; the same whatever the bands are, but for the order of sums.

    Args:
        band: Of a picture.
        device: Where to fit.
        progress: Called with the share, 0 to 1, that is done; what it raises ends the fit.
    """
    width, white = band.samples.shape[1], np.float32(np.iinfo(band.samples.dtype).max)
    averages = NodeAverages(band.height, width, band.sigma, device)
    squares = torch.zeros(len(band.rows), dtype=torch.float64, device=device)

    def colours(rows: slice) -> Float[Tensor, "3 r w"]:
        some = band.samples[rows.start - band.top : rows.stop - band.top]
        return torch.from_numpy(some / white).to(device).permute(2, 0, 1).contiguous()

    def fit(first: int, last: int) -> None:
        squares[first - band.rows.start] = averages.interpolated_rows(colours, first, last)[1].square_().sum()

    averages.each_strip(fit, progress, band.rows)
    return FitError(float(squares.sum()), len(band.rows) * width * 3)
