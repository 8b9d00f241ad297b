"""Numbers by which a file says what its picture is, and which may be anything."""

from __future__ import annotations

from typing import Any

from gainer_ns.frames import ImagePlane
from gainer_ns.rendering.raster import MAX_SAMPLES


def whole_number(value: Any, largest: int, *, least: int = 1) -> int:
    """A number of a header as a whole number within bounds.

    Raises:
        ValueError: If it is none.
    """
    if not least <= int(value) <= largest:
        raise ValueError(f"{value} is not between {least} and {largest}")
    return int(value)


def checked_plane(width: Any, height: Any) -> ImagePlane:
    """The plane of a picture of so many pixels.

    Raises:
        ValueError: If no picture has so many.
    """
    plane = ImagePlane(whole_number(width, MAX_SAMPLES), whole_number(height, MAX_SAMPLES))
    if plane.pixels > MAX_SAMPLES:
        raise ValueError(f"{plane.width} x {plane.height} pixels are more than {MAX_SAMPLES // 10**6} megapixels")
    return plane


def checked_bit_depth(bits: Any) -> int:
    """The bits of a picture's values.

    Raises:
        ValueError: If there are no pictures of so many.
    """
    if bits not in (8, 16):
        raise ValueError("its bit depth makes no sense")
    return int(bits)
