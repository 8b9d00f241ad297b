"""The focal length of a photo: given, kept, estimated, from the camera's own notes (EXIF), or assumed."""

from __future__ import annotations

import functools
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import strict_pillow

logger = logging.getLogger(__name__)

DEFAULT_RATIO = 1.2
"""Focal length of a picture that nothing is known of, in lengths of its longer side: a field of view of 45 degrees."""

FULL_FRAME_DIAGONAL = math.hypot(36.0, 24.0)
"""Diagonal of 35 mm film in mm."""

PLAUSIBLE_RATIOS = (0.1, 100.0)
"""Shortest and longest focal length that EXIF is believed, in lengths of the longer side."""

_MILLIMETRES = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
"""Length of EXIF's units of the focal plane's resolution: inch, centimetre, millimetre, micrometre."""


@dataclass(frozen=True)
class FocalLength:
    """A focal length and where it comes from.

    Attributes:
        pixels: In pixels of the picture; pixels are square.
        found_by: A few words for people: who or what said so.
    """

    pixels: float
    found_by: str


def check_focal_length(pixels: float, source: str) -> None:
    """Refuses what is no focal length.

    Args:
        pixels: The focal length in pixels.
        source: What complaints name: an option, or a file.

    Raises:
        GainerError: It is zero, negative, infinite or not a number.
    """
    if not (math.isfinite(pixels) and pixels > 0):
        raise GainerError(
            f"{source} {pixels:g}: a focal length is a positive number of pixels; "
            "give about 1.2 times the picture's longer side, or leave it out"
        )


def find_focal_length(
    picture: Path,
    width: int,
    height: int,
    *,
    given: float | None = None,
    kept: FocalLength | None = None,
    estimated: FocalLength | None = None,
) -> FocalLength:
    """The best that is known of a picture's focal length: given, then kept, estimated, from EXIF, and last assumed.

    Args:
        picture: The picture's file, whose EXIF is read.
        width: Its width in pixels, upright.
        height: Its height in pixels.
        given: What the user says, in pixels.
        kept: What an earlier preparation found.
        estimated: What a depth estimator found.

    Returns:
        The focal length in pixels of this picture.

    Raises:
        GainerError: What the user says is no focal length.
    """
    if given is not None:
        check_focal_length(given, "focal length")
        return FocalLength(float(given), "given")
    for known in (kept, estimated):
        if known is not None:
            return known
    noted = focal_length_from_exif(picture, width, height)
    if noted is not None:
        return noted
    assumed = DEFAULT_RATIO * max(width, height)
    _warn_once(picture, assumed)
    return FocalLength(assumed, f"assumed: {DEFAULT_RATIO:g} times the longer side")


@functools.cache
def _warn_once(picture: Path, assumed: float) -> None:
    """Says that a focal length is assumed; once in a process, however often the picture is read."""
    logger.warning(
        "%s: its focal length is not known; %.0f pixels are assumed, %g times the longer side (--focal-length, or "
        "--pipeline.datamanager.focal-length, sets it)",
        picture,
        assumed,
        DEFAULT_RATIO,
    )


def focal_length_from_exif(picture: Path, width: int, height: int) -> FocalLength | None:
    """The focal length that the camera noted.

    ``FocalLengthIn35mmFilm`` is scaled by the diagonals: a picture's to that of film, 43.27 mm (CIPA DCG-001; for a
    picture of 3 to 2 this is its longer side to 36 mm). Without it, ``FocalLength`` is multiplied by
    ``FocalPlaneXResolution``, and scaled with the picture if that was resized since. A picture that was cropped since
    has a longer focal length than its EXIF says: nothing there tells.

    Args:
        picture: A picture file.
        width: Its width in pixels, upright.
        height: Its height in pixels.

    Returns:
        None if the file notes nothing, or only nonsense such as 0.
    """
    try:
        with strict_pillow(), Image.open(picture) as image:
            notes = image.getexif().get_ifd(ExifTags.IFD.Exif)
    except Exception:  # Damaged notes make Pillow raise almost anything, and are as good as none.
        return None
    film = _positive(notes.get(ExifTags.Base.FocalLengthIn35mmFilm))
    if film is not None:
        pixels = film / FULL_FRAME_DIAGONAL * math.hypot(width, height)
        if _plausible(pixels, width, height):
            return FocalLength(pixels, f"EXIF: {film:g} mm on 35 mm film")
    length = _positive(notes.get(ExifTags.Base.FocalLength))
    density = _positive(notes.get(ExifTags.Base.FocalPlaneXResolution))
    if length is None or density is None:
        return None
    unit = _MILLIMETRES.get(notes.get(ExifTags.Base.FocalPlaneResolutionUnit, 2))
    if unit is None:
        return None
    noted_sides = [_positive(notes.get(tag)) for tag in (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)]
    noted_longer = max((side for side in noted_sides if side is not None), default=float(max(width, height)))
    pixels = length * density / unit * max(width, height) / noted_longer
    if not _plausible(pixels, width, height):
        return None
    return FocalLength(pixels, f"EXIF: {length:g} mm, {density / unit:g} pixels per mm of the sensor")


def _positive(value: Any) -> float | None:
    """An EXIF value as a number; None where there is none, and for zero, negative numbers and fractions over 0."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _plausible(pixels: float, width: int, height: int) -> bool:
    least, most = PLAUSIBLE_RATIOS
    return least <= pixels / max(width, height) <= most
