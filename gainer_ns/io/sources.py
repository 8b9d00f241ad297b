"""Read a picture from a file, an array, or an image of Pillow's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.io.image_io import SourceImage, downscaled, read_picture
from gainer_ns.io.samples import rounded_samples

Source: TypeAlias = str | os.PathLike[str] | np.ndarray | Image.Image
"""A file; an array [h, w], [h, w, 3] or [h, w, 4] of uint8, uint16, or floats in [0, 1]; or an image of Pillow's."""


def picture_of(source: Source, *, downscale: int = 1) -> SourceImage:
    """Read a picture from what a program has.

    Floats become 16 bits a sample. Colours are not multiplied by the opacity, which is the fourth channel.
    ``downscale`` divides width and height, as :func:`gainer_ns.io.image_io.read_picture` does.

    Raises:
        GainerError: If it is none, or nothing is to be seen in it.
    """
    if isinstance(source, Image.Image):
        picture = _of_pillow(source)
    elif isinstance(source, np.ndarray):
        picture = _of_array(source, "the array", None)
    elif isinstance(source, str | os.PathLike):
        picture = read_picture(Path(source))
    else:
        raise GainerError(f"{type(source).__name__}: give a file, an array of numpy, or an image of Pillow")
    if downscale != 1:
        picture = downscaled(picture, downscale)
    if picture.alpha is not None and not picture.alpha.any():
        raise GainerError(f"{picture.path}: every pixel is transparent; choose a picture that shows something")
    return picture


def _of_pillow(image: Image.Image) -> SourceImage:
    icc = image.info.get("icc_profile")
    if image.mode == "I":  # whole numbers of 32 bits, in which Pillow keeps 16-bit gray
        wide = np.asarray(image)
        if not (wide.min() >= 0 and wide.max() <= 65535):
            raise GainerError("the image: its whole numbers must be from 0 to 65535; divide them")
        return _of_array(wide.astype(np.uint16), "the image", None)
    if image.mode not in ("RGB", "RGBA", "L", "I;16", "F"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    profile = ColourProfile.checked(icc, "the image") if icc and image.mode in ("RGB", "RGBA") else None
    return _of_array(np.asarray(image), "the image", profile)


def _of_array(samples: np.ndarray, name: str, profile: ColourProfile | None) -> SourceImage:
    if samples.ndim == 2:
        samples = samples[..., None]
    if samples.ndim != 3 or samples.shape[2] not in (1, 3, 4) or 0 in samples.shape:
        shape = " x ".join(map(str, samples.shape))
        raise GainerError(f"{name} of {shape}: pictures are [height, width], with 3 or 4 channels behind for colour")
    if np.issubdtype(samples.dtype, np.floating):
        if not (np.isfinite(samples).all() and samples.min() >= 0 and samples.max() <= 1):
            raise GainerError(f"{name}: floats must be from 0 to 1; divide by what means white")
        samples = rounded_samples(samples * np.float64(65535), 65535)
    if samples.dtype not in (np.uint8, np.uint16):
        raise GainerError(f"{name} of {samples.dtype}: give uint8, uint16, or floats from 0 to 1")
    rgb = np.ascontiguousarray(np.repeat(samples, 3, axis=2) if samples.shape[2] == 1 else samples[..., :3])
    alpha = np.ascontiguousarray(samples[..., 3]) if samples.shape[2] == 4 else None
    return SourceImage(rgb, alpha, Path(name), profile)
