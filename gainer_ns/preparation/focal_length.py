"""The focal length of a photo: given, known with its depth, from the camera's own notes (EXIF), or assumed."""

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

_ASSUMED_RATIO = 1.2
"""Focal length of a picture that nothing is known of, in lengths of its longer side: a field of view of 45 degrees."""

_FULL_FRAME_DIAGONAL_MM = math.hypot(36.0, 24.0)

_PLAUSIBLE_RATIOS = (0.1, 100.0)
"""Shortest and longest focal length that EXIF is believed, in lengths of the longer side."""

_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
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
    """Refuse what is no focal length.

    Args:
        pixels: The focal length in pixels.
        source: What messages name: an option, or a file.

    Raises:
        GainerError: It is zero, negative, infinite or not a number.
    """
    if not (math.isfinite(pixels) and pixels > 0):
        raise GainerError(
            f"{source} {pixels:g}: a focal length is a positive number of pixels; "
            "give about 1.2 times the picture's longer side, or leave it out"
        )


def find_focal_length(
    picture: Path, width: int, height: int, given: float | None = None, known: FocalLength | None = None
) -> FocalLength:
    """Return the best that is known of a picture's focal length: given, known with its depth, from EXIF, or assumed.

    Args:
        picture: The picture's file, whose EXIF is read.
        width: Its width in pixels, upright.
        height: Its height in pixels.
        given: What the user says, in pixels.
        known: What an earlier preparation or a depth estimator found.

    Raises:
        GainerError: What the user says is no focal length.
    """
    if given is not None:
        check_focal_length(given, "focal length")
        return FocalLength(float(given), "given")
    found = known or focal_length_from_exif(picture, width, height)
    if found is not None:
        return found
    assumed = _ASSUMED_RATIO * max(width, height)
    _warn_once(picture, assumed)
    return FocalLength(assumed, f"assumed: {_ASSUMED_RATIO:g} times the longer side")


@functools.cache
def _warn_once(picture: Path, assumed: float) -> None:
    """Say that a focal length is assumed; once in a process, however often the picture is read."""
    logger.warning(
        "%s: its focal length is not known; %.0f pixels are assumed, %g times the longer side (focal-length sets it)",
        picture,
        assumed,
        _ASSUMED_RATIO,
    )


def focal_length_from_exif(picture: Path, width: int, height: int) -> FocalLength | None:
    """Return the focal length that the camera noted.

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
    tag, longer = ExifTags.Base, max(width, height)
    film = _positive(notes.get(tag.FocalLengthIn35mmFilm))
    length, density = _positive(notes.get(tag.FocalLength)), _positive(notes.get(tag.FocalPlaneXResolution))
    per_mm = density / _UNIT_MM.get(notes.get(tag.FocalPlaneResolutionUnit, 2), math.inf)
    noted = max(_positive(notes.get(tag.ExifImageWidth)), _positive(notes.get(tag.ExifImageHeight))) or longer
    for pixels, source in (
        (film / _FULL_FRAME_DIAGONAL_MM * math.hypot(width, height), f"{film:g} mm on 35 mm film"),
        (length * per_mm * longer / noted, f"{length:g} mm, {per_mm:g} pixels per mm of the sensor"),
    ):
        if _PLAUSIBLE_RATIOS[0] <= pixels / longer <= _PLAUSIBLE_RATIOS[1]:
            return FocalLength(pixels, f"EXIF: {source}")
    return None


def _positive(value: Any) -> float:
    """Return an EXIF value as a number; 0 where there is none, and for negative numbers and fractions over 0."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return number if math.isfinite(number) and number > 0 else 0.0
