"""Samples of a picture as few bytes inside another file, without loss."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image

from gainer_ns.io.image_io import strict_pillow

_MAX_WEBP_PIXELS = 1 << 24
"""Of a larger picture WebP takes more memory than the picture itself."""
_MAX_WEBP_SIDE_PX = 16383
_EFFORT, _LARGE_EFFORT = {"method": 2, "quality": 50}, {"method": 0, "quality": 20}
"""A tenth of a second for a Kodak photograph, where the most that can be had saves 3 % more in three times that; and
a second for 12 megapixels, where the same would take five and save an eighth."""
_LARGE_PIXELS = 1 << 21
_PNG_EFFORT = 1
"""Of zlib's levels, for what WebP does not take."""
_KINDS = "WEBP", "PNG"


def packed_samples(samples: np.ndarray) -> bytes:
    """Encode samples as a lossless WebP, or as a PNG where they are 16 bits, gray, or very many.

    Args:
        samples: uint8 or uint16, [h, w], [h, w, 3] or [h, w, 4]; what is clear keeps its colours.
    """
    height, width = samples.shape[:2]
    is_small = height * width <= _MAX_WEBP_PIXELS and max(height, width) <= _MAX_WEBP_SIDE_PX
    if samples.dtype == np.uint8 and samples.ndim == 3 and is_small:
        file = io.BytesIO()
        effort = _EFFORT if height * width <= _LARGE_PIXELS else _LARGE_EFFORT
        Image.fromarray(samples).save(file, "WEBP", lossless=True, exact=True, **effort)
        return file.getvalue()
    encoded, png = cv2.imencode(".png", _reordered(samples), [cv2.IMWRITE_PNG_COMPRESSION, _PNG_EFFORT])
    if not encoded:
        raise ValueError(f"no PNG holds {width} x {height} pixels")
    return png.tobytes()


def unpacked_samples(data: bytes, width: int, height: int) -> np.ndarray:
    """Decode what :func:`packed_samples` encoded; nothing is allocated for a picture of another size.

    Returns:
        uint8 or uint16, [h, w], [h, w, 3] or [h, w, 4].

    Raises:
        ValueError: If these are no such bytes, or those of a picture of another size.
        OSError: The same.
    """
    with strict_pillow(), Image.open(io.BytesIO(data), formats=_KINDS) as image:
        if image.size != (width, height):
            raise ValueError(f"{image.size[0]} x {image.size[1]} pixels are stored where {width} x {height} belong")
        if image.format == "WEBP":
            return np.asarray(image)
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None or samples.shape[:2] != (height, width) or samples.dtype not in (np.uint8, np.uint16):
        raise ValueError("its stored pixels are damaged")
    return _reordered(samples)


def _reordered(samples: np.ndarray) -> np.ndarray:
    """Exchange red and blue: OpenCV has them the other way round."""
    if samples.ndim == 2:
        return samples
    return cv2.cvtColor(samples, cv2.COLOR_RGB2BGR if samples.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
