"""Recognise files that users name by their first bytes, and refuse the wrong ones before anything slow."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

from gainer_ns.errors import GainerError

_VIDEO = "extract a frame: ffmpeg -i {name} -frames:v 1 frame.png"
_CONVERT = "convert it to PNG, JPEG or TIFF"
_DEVELOP = "develop it to a 16-bit PNG in a raw converter, such as darktable"
_RAWS = {".cr2", ".cr3", ".nef", ".nrw", ".arw", ".sr2", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw", ".3fr", ".iiq"}
"""Suffixes of raw photos. Most are TIFF files within, whose first picture is a thumbnail."""
_START_BYTES = 1024
_ADDRESS = re.compile(r"(?i)(https?|ftp|s3|gs|data|file):/?/?")

_STARTS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)", _VIDEO),
    (b"FLV", "a video (FLV)", _VIDEO),
    (b"\x00\x00\x01\xba", "a video (MPEG)", _VIDEO),
    (b"%PDF", "a PDF", "save the page as PNG, or: pdftoppm -png -r 300 {name} page"),
    (b"FUJIFILMCCD-RAW", "a raw photo", _DEVELOP),
    (b"IIRO", "a raw photo", _DEVELOP),
    (b"IIU\x00", "a raw photo", _DEVELOP),
    (b"\x76\x2f\x31\x01", "an EXR picture, whose floats have no agreed white", "convert it to a 16-bit PNG"),
    (b"#?RADIANCE", "an HDR picture, whose floats have no agreed white", "convert it to a 16-bit PNG"),
    (b"\xff\x0a", "a JPEG XL picture", _CONVERT),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture", _CONVERT),
    (b"PK\x03\x04", "a zip archive", "unpack it, and name a picture in it"),
    (b"\x1f\x8b", "a gzip archive", "unpack it, and name a picture in it"),
    (b"\x93NUMPY", "an array of numpy", "save it as PNG"),
    (b"II*\x00", "a TIFF of a kind that is not read", "convert it to a 16-bit PNG"),
    (b"MM\x00*", "a TIFF of a kind that is not read", "convert it to a 16-bit PNG"),
    (b"II+\x00", "a TIFF of a kind that is not read", "convert it to a 16-bit PNG"),
    (b"MM\x00+", "a TIFF of a kind that is not read", "convert it to a 16-bit PNG"),
)
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
HEIC = "a HEIC photo"


def check_input_exists(path: Path, remedy: str = "check the spelling and the folder") -> None:
    """Refuse what is no file at all: a web address, or a name without a file."""
    if _ADDRESS.match(str(path)) and not os.path.exists(path):
        raise GainerError(f"{path}: is a web address; download it first, and name the file")
    if not os.path.exists(path):
        raise GainerError(f"{path}: does not exist; {remedy}")


def check_regular_file(path: Path, wanted: str, content: str) -> None:
    """Refuse what is no regular file: ``wanted`` is one file in a folder, ``content`` what a pipe should have saved."""
    check_input_exists(path)
    if os.path.isdir(path):
        raise GainerError(f"{path}: is a folder; name {wanted} in it")
    if not os.path.isfile(path):
        raise GainerError(f"{path}: is a device or a pipe; save {content} to a file first")


def check_run(path: Path) -> None:
    """Refuse what cannot be a run's config.yml or an exported picture.

    Missing, a folder, or plainly another kind of file.
    """
    remedy = "give a run's config.yml or an exported .safetensors file"
    if not os.path.exists(path) and not _ADDRESS.match(str(path)):
        raise GainerError(f"{path}: there is no such file; {remedy}")
    check_input_exists(path)
    if os.path.isdir(path):
        inner = path / "config.yml"
        raise GainerError(f"{path}: is a folder; " + (f"name {inner}" if inner.is_file() else remedy))
    start = _start(path)
    found = _kind(path, start)
    if found is None and start.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF")):
        found = "a picture", ""
    if found is not None and path.suffix.lower() != ".safetensors":
        fit = f", or fit it first: gainer fit {path.name} --output FILE.safetensors" if "picture" in found[0] else ""
        raise GainerError(f"{path}: is {found[0]}, and not a configuration of ns-train; give a run's config.yml{fit}")


def check_picture(path: Path) -> None:
    """Refuse what is plainly no picture that can be read."""
    check_input_exists(path)
    if not os.path.isfile(path):
        return  # The reader says what it is.
    start = _start(path)
    found = _kind(path, start)
    if found is not None and not found[0].startswith("a TIFF") and not _is_read(found[0]):
        raise GainerError(f"{path}: is {found[0]}; {found[1]}")


def check_picture_file(path: Path) -> None:
    """Refuse what is no readable file of at least one byte, or plainly no picture."""
    check_picture(path)
    check_regular_file(path, "picture files", "the picture")
    if os.path.getsize(path) == 0:
        raise GainerError(f"{path}: is empty; fetch or save it again")


def complaint(path: Path) -> str:
    """Say what is wrong with a file that no decoder has read, and the remedy."""
    start = _start(path)
    found = _kind(path, start)
    if found is not None:
        return f"{path}: is {found[0]}; {found[1]}"
    text = bool(start) and b"\0" not in start and start.isascii()
    return f"{path}: is not a picture of a known kind{' (it is a text file)' if text else ''}; {_CONVERT}"


def is_heic(path: Path) -> bool:
    """Return whether a file is a HEIC photo, by its first bytes."""
    found = _kind(path, _start(path))
    return found is not None and found[0] == HEIC


def _is_read(kind: str) -> bool:
    return kind == HEIC and importlib.util.find_spec("pillow_heif") is not None


def _start(path: Path) -> bytes:
    """Read the first bytes; none of what may not be read, which whoever reads it says."""
    try:
        with open(path, "rb") as file:
            return file.read(_START_BYTES)
    except OSError:
        return b""


def _kind(path: Path, start: bytes) -> tuple[str, str] | None:
    """Return what a file is, and the remedy; None for pictures and for what is not known."""
    name = path.name
    is_tiff = start[:4] in (b"II*\x00", b"MM\x00*")
    if (path.suffix.lower() in _RAWS and (is_tiff or start[4:8] == b"ftyp")) or (start[8:10] == b"CR" and is_tiff):
        return "a raw photo", _DEVELOP
    if start[4:8] == b"ftyp":
        return _iso_kind(start, name)
    if start[4:8] in (b"moov", b"mdat", b"wide"):
        return "a video (QuickTime)", _VIDEO.format(name=name)
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return "a video (AVI)", _VIDEO.format(name=name)
    for begin, kind, remedy in _STARTS:
        if start.startswith(begin):
            return kind, remedy.format(name=name)
    words = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if words.startswith((b"<!doctype html", b"<html")):
        return "a web page", "open it in a browser, and save the picture in it"
    if b"<svg" in words and words.startswith((b"<svg", b"<?xml", b"<!")):
        return "an SVG drawing", "export it as PNG at the size that you want"
    return None


def _iso_kind(start: bytes, name: str) -> tuple[str, str] | None:
    """Tell photos and videos apart that share one kind of container; None for AVIF, which Pillow reads."""
    size = int.from_bytes(start[:4], "big")
    brands = {start[8:12], *(start[at : at + 4] for at in range(16, min(size, len(start)), 4))}
    if brands & {b"avif", b"avis"}:
        return None
    if start[8:12] == b"crx ":
        return "a raw photo", _DEVELOP
    if start[8:12] in _HEIC_BRANDS or (brands & _HEIC_BRANDS and b"isom" not in brands):
        return HEIC, "run pip install 'gainer-ns[heif]' to have it read, or convert it to PNG or JPEG"
    return ("a video (QuickTime)" if start[8:12] == b"qt  " else "a video (MP4)"), _VIDEO.format(name=name)
