"""Read a picture from a file, an array, or an image of Pillow's."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.io.image_io import SourceImage, downscaled, read_picture
from gainer_ns.io.samples import rounded_samples

Source: TypeAlias = str | os.PathLike[str] | np.ndarray | Image.Image
"""A file; an array [h, w], [h, w, 3] or [h, w, 4] of uint8, uint16, or floats in [0, 1]; or an image of Pillow's."""

ScriptSource: TypeAlias = str | os.PathLike[str] | Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""An edit script: a YAML file, what would be in it, one edit, or a list of edits."""


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


def as_path(name: str | os.PathLike[str]) -> Path:
    """Return the path of a file.

    Raises:
        GainerError: If it is no name.
    """
    if not isinstance(name, str | os.PathLike):
        raise GainerError(f"{type(name).__name__}: give the name of a file")
    return Path(name)


def words_of(source: str | os.PathLike[str] | Mapping[str, Any]) -> Path | Mapping[str, Any]:
    """Return a YAML file's path, or what would be in it.

    Raises:
        GainerError: If it is neither.
    """
    if isinstance(source, Mapping):
        return source
    if not isinstance(source, str | os.PathLike):
        raise GainerError(f"{type(source).__name__}: give a YAML file, or what would be in it")
    return Path(source)


def script_words(source: ScriptSource, fields: Collection[str]) -> Path | Mapping[str, Any]:
    """Return an edit script's path, or what would be in it: edits alone are a script too.

    Args:
        source: The script.
        fields: Words by which a whole script is known from a single edit.

    Raises:
        GainerError: If it is none of these.
    """
    if isinstance(source, Mapping):
        return source if set(source) & set(fields) else {"edits": [source]}
    if isinstance(source, Sequence) and not isinstance(source, str):
        return {"edits": list(source)}
    return words_of(source)
