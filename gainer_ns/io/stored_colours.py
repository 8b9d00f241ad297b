"""Tell the colour space of a picture file: by its ICC profile, or by the other words that its kind has for that.

A PNG has several, and the first that is known counts: cICP, iCCP, sRGB, then gAMA and cHRM (Portable Network Graphics,
third edition, section 4.3).
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, ImageCms, ImageFile

from gainer_ns.errors import GainerError
from gainer_ns.io.colour_profiles import ColourProfile, cmyk_to_srgb, gray_as_srgb, profile_problem
from gainer_ns.io.matrix_profiles import SRGB_CURVE, SRGB_PRIMARIES, packed_profile

_logger = logging.getLogger(__name__)

_D65 = SRGB_PRIMARIES[:2]
_PRIMARIES: dict[int, tuple[float, ...]] = {
    1: SRGB_PRIMARIES,
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (*_D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
}
"""Chromaticities of white, red, green and blue by the numbers of Rec. ITU-T H.273, table 2."""
_BT709_CURVE = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_CURVES = {
    **dict.fromkeys((1, 6, 14, 15), _BT709_CURVE),
    4: (2.2, 1, 0, 0, 0),
    5: (2.8, 1, 0, 0, 0),
    8: (1, 1, 0, 0, 0),
    13: SRGB_CURVE,
}
"""From samples to linear light by the numbers of its table 3; see ``packed_profile``."""
_HDR = {16: "PQ", 18: "HLG"}
_UNSPECIFIED = 2
_AVIF_HEAD = 1 << 16
"""Bytes at the beginning of an AVIF among which the numbers are looked for."""
_ADOBE = packed_profile((*_D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), (563 / 256, 1, 0, 0, 0), "Adobe RGB (1998)")


class StoredColours(NamedTuple):
    """The colour space of samples; sRGB where nothing is said.

    Attributes:
        profile: What stays with the samples.
        cmyk: What converts them to sRGB, if they are CMYK.
        gray: What converts them to sRGB, if they are gray.
    """

    profile: ColourProfile | None = None
    cmyk: ImageCms.ImageCmsTransform | None = None
    gray: Callable[[np.ndarray], np.ndarray] | None = None


def stored_colours(image: ImageFile.ImageFile, mode: str, path: Path) -> StoredColours:
    """Tell the colour space of an opened picture, whose samples are stored in a mode that Pillow may widen.

    Raises:
        GainerError: They are for brighter light than a screen's white, or no full range from black to white.
    """
    if mode == "LAB":  # which Pillow makes sRGB of, by itself
        return StoredColours()
    icc = image.info.get("icc_profile")
    said = _by_codes(_cicp(path) if image.format == "PNG" else _nclx(image, path) if not icc else None, path)
    if said is not None:
        return said
    if icc:
        return _by_icc(icc, mode, path)
    if mode == "CMYK" or "srgb" in image.info:
        return StoredColours()
    if image.format == "PNG":
        return _by_gamma(image.info, path)
    return StoredColours(ColourProfile(_ADOBE) if _is_adobe(image) else None)


def _by_icc(icc: bytes, stored: str, path: Path) -> StoredColours:
    """Use an ICC profile: of RGB it stays, also with gray samples, which are repeated."""
    mode = "CMYK" if stored == "CMYK" else "L" if stored[0] in "1LI" else "RGB"
    if mode != "CMYK" and profile_problem(icc, "RGB") is None:
        return StoredColours(ColourProfile(icc))
    problem = profile_problem(icc, mode)
    if problem is not None:
        _logger.warning("%s: its colour profile %s; its colours are taken for sRGB", path, problem)
        return StoredColours()
    if mode == "CMYK":
        return StoredColours(cmyk=cmyk_to_srgb(icc))
    return StoredColours(gray=lambda samples: gray_as_srgb(icc, samples))


def _by_codes(codes: Sequence[int] | None, path: Path) -> StoredColours | None:
    """Use the numbers of H.273: primaries, transfer, matrix and full range; None if they are not known."""
    if codes is None:
        return None
    primaries, transfer, matrix, full = codes
    if transfer in _HDR or (matrix, full) != (0, 1):
        kind = _HDR.get(transfer, "a film's range or matrix")
        raise GainerError(
            f"{path}: its colours are of {kind}, which is not supported; convert it to sRGB or Display P3 (SDR) in an "
            "image editor first"
        )
    if (primaries, transfer) == (1, 13):
        return StoredColours()
    if primaries in _PRIMARIES and transfer in _CURVES:
        return StoredColours(_made(_PRIMARIES[primaries], _CURVES[transfer], f"H.273 {primaries}/{transfer}", path))
    if _UNSPECIFIED not in (primaries, transfer):
        _logger.warning("%s: its colours are of kind %d/%d, which is not known", path, primaries, transfer)
    return None


def _cicp(path: Path) -> bytes | None:
    """Read the four numbers of a PNG's cICP chunk, which Pillow does not."""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name == b"cICP":
                codes = file.read(length)
                return codes if len(codes) == 4 else None
            if name == b"IDAT":
                return None
            file.seek(length + 4, 1)
    return None


def _nclx(image: ImageFile.ImageFile, path: Path) -> Sequence[int] | None:
    """Read the numbers that a HEIC or AVIF has instead of a profile; the decoder has made RGB of full range of it."""
    if image.format == "AVIF":  # of which Pillow says nothing; the box lies before the samples (ISO/IEC 23008-12)
        with path.open("rb") as file:
            _, found, codes = file.read(_AVIF_HEAD).partition(b"colrnclx")
        return (*struct.unpack_from(">2H", codes), 0, 1) if found and len(codes) >= 4 else None
    said = image.info.get("nclx_profile")
    return None if said is None else (said["color_primaries"], said["transfer_characteristics"], 0, 1)


def _by_gamma(info: Mapping[Any, Any], path: Path) -> StoredColours:
    """Use a PNG's gAMA and cHRM, either of which may be missing; numbers that are about sRGB's stand for sRGB."""
    gamma = info.get("gamma") or 0
    primaries = info.get("chromaticity", SRGB_PRIMARIES)
    is_usual = 0.44 < gamma < 0.47 or not 0.05 < gamma < 5
    if is_usual and np.allclose(primaries, SRGB_PRIMARIES, rtol=0, atol=2e-3):
        return StoredColours()
    curve = (1 / gamma, 1, 0, 0, 0) if 0.05 < gamma < 5 else SRGB_CURVE
    return StoredColours(_made(primaries, curve, "gAMA and cHRM", path))


def _made(primaries: tuple[float, ...], curve: tuple[float, ...], named: str, path: Path) -> ColourProfile | None:
    """Make a profile of primaries and a curve; None with a warning where there is no such thing."""
    try:
        return ColourProfile.checked(packed_profile(primaries, curve, named), str(path))
    except ValueError as error:
        _logger.warning("%s: its primaries are none (%s); its colours are taken for sRGB", path, error)
        return None


def _is_adobe(image: ImageFile.ImageFile) -> bool:
    """Return whether a camera says by EXIF alone that its colours are Adobe RGB (DCF 2.0, section 3.1)."""
    try:
        exif = image.getexif()
        space = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
        return space == 2 or exif.get_ifd(ExifTags.IFD.Interop).get(1) == "R03"
    except Exception:  # Damage makes the reader of EXIF raise almost anything, and most pictures say nothing there.
        return False
