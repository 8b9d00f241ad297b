"""Write pictures whole, each kind with what it can hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.files import whole_file
from gainer_ns.image.outputs import output_for
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
    target = output_for(path, "picture", bit_depth=bit_depth)
    target.check_opacity(opacity is not None)
    samples = to_samples(colours, opacity, bit_depth)
    try:
        with whole_file(path) as file:
            encode_samples(file, samples, target.suffix)
    except GainerError:
        raise
    except ValueError as error:  # Where a kind cannot hold so many pixels a side.
        raise GainerError(f"{path}: cannot be written ({error}); choose a .png name") from error


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
