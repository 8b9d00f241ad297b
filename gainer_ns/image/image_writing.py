"""Write pictures whole, each kind with what it can hold."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.files import whole_file
from gainer_ns.image.samples import to_samples

_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG"},
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".webp": {"format": "WEBP", "lossless": True, "exact": True},
    ".tif": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
    ".tiff": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
}


def write_picture(path: Path, colours: np.ndarray, opacity: np.ndarray | None = None, *, bit_depth: int = 8) -> None:
    """Writes a picture whole: under a temporary name beside it, then renamed. Missing folders are made.

    Args:
        path: Where to. The suffix chooses the kind: .png, .webp and .tif lose nothing beyond the rounding, .jpg does.
        colours: Floats [height, width, 3] in [0, 1], not multiplied by the opacity; values outside are clamped.
        opacity: Floats [height, width] in [0, 1], or None for a picture without transparency.
        bit_depth: Bits a sample, 8 or 16 (PNG only). Values are rounded to the nearest, halves to even.

    Raises:
        GainerError: The kind cannot hold what is asked, or the file cannot be written.
        ValueError: The arrays are no picture: other shapes, not floats, or NaN among them.
    """
    path = Path(path)
    check_target(path, opacity is not None, bit_depth)
    samples = to_samples(colours, opacity, bit_depth)
    try:
        with whole_file(path) as file:
            encode_samples(file, samples, path.suffix.lower())
    except GainerError:
        raise
    except ValueError as error:  # Where a kind cannot hold so many pixels a side.
        raise GainerError(f"{path}: cannot be written ({error}); choose a .png name") from error


def check_target(path: Path, has_opacity: bool, bit_depth: int) -> None:
    """Refuses what the kind of file cannot hold, and a target that is no file.

    Args:
        path: Where a picture is to be written.
        has_opacity: Whether it has an opacity.
        bit_depth: Bits a sample.

    Raises:
        GainerError: The suffix is unknown or holds no such picture, or the path is a folder or a device.
    """
    suffix = path.suffix.lower()
    if suffix not in _SAVE_OPTIONS:
        raise GainerError(f"{path}: cannot write that kind; end the name in {', '.join(_SAVE_OPTIONS)}")
    if bit_depth not in (8, 16):
        raise GainerError(f"{path}: cannot hold {bit_depth} bits a sample; ask for 8 or 16")
    if bit_depth == 16 and suffix != ".png":
        raise GainerError(f"{path}: 16 bits a sample are written to PNG only; end the name in .png")
    if has_opacity and suffix in (".jpg", ".jpeg"):
        raise GainerError(f"{path}: JPEG holds no opacity; end the name in .png")
    if os.path.exists(path) and not os.path.isfile(path):
        raise GainerError(f"{path}: is a folder or a device; name a file to write")


def encode_samples(file: BinaryIO, samples: np.ndarray, suffix: str) -> None:
    """Encodes samples into an open file.

    Args:
        file: Open for writing in binary.
        samples: uint8 [height, width, 3 or 4], or uint16 for PNG.
        suffix: The kind of file, in small letters with its dot.

    Raises:
        ValueError: The kind cannot hold so many pixels a side.
    """
    if samples.dtype == np.uint8:
        Image.fromarray(samples).save(file, **_SAVE_OPTIONS[suffix])
        return
    order = cv2.COLOR_RGB2BGR if samples.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    _, encoded = cv2.imencode(".png", cv2.cvtColor(samples, order))  # Pillow writes 8 bits a colour only.
    file.write(encoded.tobytes())
