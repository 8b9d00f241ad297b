"""Opaque pictures whose fit has a closed form, from their samples to a file without ever holding their Gaussians."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from gainer_ns.fitting.pixel_fit import FitError, PixelBand, fit_band, pixel_bands
from gainer_ns.fitting.recipe import PictureRecipe
from gainer_ns.io.image_io import SourceImage
from gainer_ns.memory import check_free
from gainer_ns.storage.picture_files import save_fitted_pixels

_PACKING_COPIES = 4
"""Of a picture's samples, at most, while they are packed."""


class KeptPixels(NamedTuple):
    """A picture of whose fit a file keeps the pixels, and nothing else.

    Attributes:
        read: The picture.
        recipe: How it is fitted.
    """

    read: SourceImage
    recipe: PictureRecipe

    @classmethod
    def of(cls, read: SourceImage, recipe: PictureRecipe) -> KeptPixels | None:
        """Return a picture that is to be fitted so; None where its Gaussians have to be made.

        Raises:
            GainerError: If there is no memory for writing it.
        """
        if read.alpha is not None or not recipe.has_closed_form(read.width * read.height):
            return None
        what = f"writing {read.width} x {read.height} pixels"
        check_free(_PACKING_COPIES * read.rgb.nbytes, what, "reduce the picture, or close other programs")
        return cls(read, recipe)

    def bands(self) -> Iterator[PixelBand]:
        """Divide it; see :func:`gainer_ns.fitting.pixel_fit.fit_band`."""
        return pixel_bands(self.read.rgb, self.recipe.encoding.sigma)

    def fit(self, device: torch.device, progress: Callable[[float], None]) -> FitError:
        """Fit it here, in one band."""
        (band,) = pixel_bands(self.read.rgb, self.recipe.encoding.sigma, self.read.rgb.size)
        return fit_band(band, device, progress)

    def save(self, path: Path) -> None:
        """Write it.

        Raises:
            GainerError: If the file cannot be written.
        """
        save_fitted_pixels(path, self.read.rgb, self.read.profile, self.recipe)
