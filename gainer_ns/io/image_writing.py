"""Write pictures whole, each kind with what it can hold."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

from gainer_ns.errors import GainerError
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.io.files import whole_file
from gainer_ns.io.outputs import output_for
from gainer_ns.io.samples import integer_samples

_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG", "compress_level": 1},
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".webp": {"format": "WEBP", "lossless": True, "exact": True},
    ".tif": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
    ".tiff": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
}
_PNG_HEADER = 33
"""Bytes of a PNG's signature and first chunk."""
_MAX_OPENCV_SIDE_PX = 10**6
"""The longest side of a PNG that OpenCV writes."""


def write_picture(
    path: Path,
    colours: np.ndarray,
    opacity: np.ndarray | None = None,
    *,
    bit_depth: int = 8,
    profile: ColourProfile | None = None,
) -> None:
    """Write a picture whole, under a temporary name beside it, then renamed. Missing folders are made.

    Args:
        path: Where to. The suffix chooses the kind: .png, .webp and .tif lose nothing beyond the rounding, .jpg does.
        colours: Floats [height, width, 3] in [0, 1], not multiplied by the opacity; values outside are clamped.
        opacity: Floats [height, width], or None for a picture without transparency.
        bit_depth: Bits a sample, 8 or 16 (PNG only). Values are rounded to the nearest, halves to even.
        profile: What the colours mean, which the file will say; None for sRGB.

    Raises:
        GainerError: The kind cannot hold what is asked, or the file cannot be written.
        ValueError: The arrays are no picture: other shapes, not floats, or NaN among them.
    """
    path = Path(path)
    target = output_for(path, "picture", bit_depth=bit_depth)
    target.check_opacity(opacity is not None)
    samples = integer_samples(colours, opacity, bit_depth)
    try:
        with whole_file(path) as file:
            encode_samples(file, samples, target.suffix, profile)
    except GainerError:
        raise
    except ValueError as error:  # Where a kind cannot hold so many pixels a side.
        raise GainerError(f"{path}: cannot be written ({error}); choose a .png name") from error


def encode_samples(file: BinaryIO, samples: np.ndarray, suffix: str, profile: ColourProfile | None = None) -> None:
    """Encode uint8 samples [h, w, 3 or 4], or uint16 ones for PNG, into an open file of a kind.

    Raises:
        GainerError: The kind cannot hold so many pixels a side of 16 bits.
        ValueError: Nor of 8.
    """
    is_long = max(samples.shape) > _MAX_OPENCV_SIDE_PX
    if samples.dtype == np.uint8 and (suffix != ".png" or is_long):
        named: dict[str, Any] = {} if profile is None else {"icc_profile": profile.icc}
        Image.fromarray(samples).save(file, **_SAVE_OPTIONS[suffix], **named)
        return
    if is_long:
        raise GainerError(f"16 bits a sample: PNG takes at most {_MAX_OPENCV_SIDE_PX:,} pixels a side; ask for 8 bits")
    # In a seventh of the time of Pillow, which writes 8 bits a colour only, and a tenth larger for photographs.
    order = cv2.COLOR_RGB2BGR if samples.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    _, png = cv2.imencode(".png", cv2.cvtColor(samples, order))
    if profile is not None:  # OpenCV writes none; its place is anywhere between the header and the samples.
        file.write(png[:_PNG_HEADER].data)
        PngImagePlugin.putchunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile.icc))
        png = png[_PNG_HEADER:]
    file.write(png.data)
