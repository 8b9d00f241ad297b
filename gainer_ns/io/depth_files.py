"""Depth maps, and the files that hold one, in whatever way they tell depth.

Every file is compared with the picture's size before its samples are read, so that no header makes much memory.
"""

from __future__ import annotations

import logging
import math
import os
import re
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from jaxtyping import Float
from numpy.lib import format as npy
from PIL import Image, UnidentifiedImageError

from gainer_ns.errors import GainerError
from gainer_ns.io.depth_kinds import MAX_RELATIVE_DEPTH, DepthKind, DepthUnits
from gainer_ns.io.files import whole_file
from gainer_ns.io.inputs import check_regular_file
from gainer_ns.memory import check_free

logger = logging.getLogger(__name__)

_MILLIMETRE = 0.001
"""What one step of whole-number samples means unless a scale says otherwise: depth cameras store millimetres."""
_BYTES_PER_PIXEL = 40
"""Memory for a pixel while depth is read and turned into distances."""
_MAX_NUMBER_BYTES, _MAX_HEADER_BYTES = 16, 1 << 16
"""Of an array, and of what stands before its numbers."""
_FEW_VALUES = 100
"""Fewer known values than this tell nothing about what they are."""


@dataclass(frozen=True, eq=False)
class DepthMap:
    """How far what each pixel shows is from the camera.

    Attributes:
        depth: Float32 [height, width], along the optical axis (z-depth); 0 where it is unknown, nowhere negative.
        units: Metres, or relative, where only the order and rough proportions of the depths mean something.
        focal_length: Of the camera, in pixels of this picture; None where it is unknown.
        made_by: The model or the file that it comes from.
    """

    depth: np.ndarray
    units: DepthUnits
    focal_length: float | None
    made_by: str


def read_depth(
    path: Path,
    width: int,
    height: int,
    scale: float | None = None,
    kind: DepthKind | None = None,
    far: float = MAX_RELATIVE_DEPTH,
) -> DepthMap:
    """Read a depth map of a picture from a file, whose suffix tells its format.

    Floats (.npy, .npz, .pfm, .exr, .tif) are metres, or ``scale`` metres. Whole numbers (16-bit .png and .tif, .npy,
    .npz) are millimetres, or steps of ``scale`` metres; of 8 bits, where a millimetre cannot be meant, only with
    ``scale``. An .npz holds one array, or one that is called depth. Values that are not finite, zero or negative
    become 0: unknown. Inverse depth and disparity have no unit of their own: they become relative depth, or ``scale``
    metres where they are 1.

    Args:
        path: The file.
        width: Width of the picture in pixels.
        height: Its height.
        scale: Metres that a stored 1 means; None for the usual.
        kind: What is stored; None for depth, with a warning where it looks like something else.
        far: Where relative inverse depth ends; see :func:`inverse_to_depth`.

    Returns:
        The depth map, without a focal length.

    Raises:
        GainerError: There is no such file, it holds no depth map of that size, or the scale is not above 0.
    """
    path = Path(path)
    if scale is not None and not 0 < scale < math.inf:
        raise GainerError(f"{path}: cannot be scaled by {scale:g}; give the metres that a stored 1 means, above 0")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise GainerError(f"{path}: is no depth map of a known kind; give one of {', '.join(_READERS)}")
    with _one_line(path):
        samples = reader(path, width, height)
    if kind is None:
        seen = _doubt(samples, scale)
        if seen is not None:
            logger.warning(
                "%s: is read as depth, but %s; if it is none, say depth.kind inverse or disparity", path, seen
            )
    if samples.dtype.kind != "f" and kind in (None, "depth"):
        if samples.dtype.itemsize == 1 and scale is None:
            raise GainerError(
                f"{path}: has 8 bits a pixel, too few for millimetres; give 16 bits, floats, a scale (metres a "
                "step), or the kind inverse or disparity, if it is that"
            )
        scale = _MILLIMETRE if scale is None else scale
    depth, units = stored_to_depth(samples, kind or "depth", scale, far)
    if not depth.any():
        raise GainerError(f"{path}: has no depth above 0 anywhere; look at how it was made, or give another")
    return DepthMap(depth, units=units, focal_length=None, made_by=path.name)


def write_depth(path: Path, depth: np.ndarray) -> None:
    """Write a depth map whole, as float32 .npy that ``read_depth`` gives back bit by bit.

    Args:
        path: Where to, ending in .npy. Missing folders are made.
        depth: [height, width]; what is not finite, zero or negative is written as 0.

    Raises:
        GainerError: The name ends otherwise, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".npy":
        raise GainerError(f"{path}: depth is written as .npy only; end the name in .npy")
    if depth.ndim != 2:
        raise ValueError(f"depth must be [height, width], not {list(depth.shape)}")
    with whole_file(path) as file:
        np.save(file, known_depth(depth), allow_pickle=False)


def known_depth(depth: np.ndarray) -> np.ndarray:
    """Return depth [...] as float32, 0 where it is not finite or not above 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        depth = np.asarray(depth).astype(np.float32)
        return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


def inverse_to_depth(inverse: Float[np.ndarray, "h w"], far: float) -> Float[np.ndarray, "h w"]:
    """Turn relative inverse depth into relative depth.

    Inverse depth is stretched linearly, so that its 99th percentile lies at depth 1 and its 1st at ``far``. Nearer
    than 1 it goes on; beyond ``far`` it stops, since inverse depth of unknown offset may reach zero. A flat map lies
    at 1.

    Args:
        inverse: Inverse depth up to scale and offset, larger where nearer; what is not finite is unknown.
        far: Depth of the 1st percentile, above 1.

    Returns:
        Float32, 0 where unknown.
    """
    inverse = np.asarray(inverse, np.float64)
    known = np.isfinite(inverse)
    if not known.any():
        return np.zeros(inverse.shape, np.float32)
    least, most = np.percentile(inverse[known], [1, 99])
    share = (inverse - least) / (most - least) if most > least else np.where(known, 1.0, np.nan)
    return known_depth(1.0 / np.maximum(1.0 / far + share * (1.0 - 1.0 / far), 1.0 / far))


def stored_to_depth(
    stored: Float[np.ndarray, "h w"], kind: DepthKind, scale: float | None, far: float
) -> tuple[Float[np.ndarray, "h w"], DepthUnits]:
    """Turn stored values of a kind into depth.

    Args:
        stored: What the file holds.
        kind: What that is.
        scale: The depth in metres that a stored 1 means. None: metres of depth, and relative depth of the other kinds.
        far: Where relative inverse depth ends; see :func:`inverse_to_depth`.

    Returns:
        Float32, 0 where it is unknown, and its units. Relative depth of disparities is 1 at their 99th percentile.
    """
    values = np.asarray(stored, np.float64)
    if kind == "depth":
        return known_depth(stored if scale is None else values * scale), "metres"
    if kind == "inverse" and scale is None:
        return inverse_to_depth(values, far), "relative"
    known = np.isfinite(values) & (values > 0)
    if not known.any():
        return np.zeros(values.shape, np.float32), "relative"
    at_one = float(np.percentile(values[known], 99)) if scale is None else scale
    with np.errstate(over="ignore"):
        depth = np.divide(at_one, values, out=np.zeros_like(values), where=known)
    return known_depth(depth), "relative" if scale is None else "metres"


def _doubt(stored: Float[np.ndarray, "h w"], scale: float | None) -> str | None:
    """Return in words what makes values look like inverse depth or disparity, when they are read as depth."""
    values = np.asarray(stored, np.float64)
    known = np.isfinite(values) & (values > 0)
    if known.sum() < _FEW_VALUES:
        return None
    seen = values[known]
    most, is_whole = float(seen.max()), stored.dtype.kind != "f"
    if scale is None and is_whole and stored.dtype.itemsize == 2 and most >= 65000:
        share = float((seen == most).mean())
        return (
            f"{share:.1%} of the pixels have the largest value, {most / 1000:.1f} m, as in a map stretched to 16 bits"
        )
    if scale is None and not is_whole and most == 1.0:
        return "the largest value is 1, as in a map stretched to [0, 1]"
    rows = known.shape[0] // 4
    upper, lower = values[:rows][known[:rows]], values[-rows:][known[-rows:]] if rows else values[:0]
    if min(len(upper), len(lower)) < _FEW_VALUES:
        return None
    top, bottom = float(np.median(upper)), float(np.median(lower))
    if bottom > 1.5 * top:
        return f"the lowest quarter is {bottom / top:.1f} times as far away as the highest, and nearer in most photos"
    return None


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into one line."""
    try:
        check_regular_file(path, "one depth file", "the depth map")
        yield
    except GainerError:
        raise
    except PermissionError:
        raise GainerError(f"{path}: may not be read; give yourself permission (chmod u+r) or copy it") from None
    except UnidentifiedImageError:
        raise GainerError(f"{path}: is not what its suffix says, or of a rare kind; save the depth as .npy") from None
    except (Image.DecompressionBombError, MemoryError):
        raise GainerError(f"{path}: is too large for its kind or for memory; save it as .npy, or shrink it") from None
    except Exception as error:  # Damage makes decoders raise almost anything.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise GainerError(f"{path}: is cut short or damaged ({reason}); fetch or save it again") from error


def _check_shape(path: Path, shape: tuple[int, ...], width: int, height: int) -> None:
    """Refuse depth of another size than the picture's, what is no depth, and what there is no memory to read."""
    if len(shape) == 3 and shape[2] in (2, 3, 4):
        raise GainerError(f"{path}: has {shape[2]} channels, as a coloured picture has; give one depth a pixel")
    if len(shape) != 2:
        raise GainerError(f"{path}: holds an array of shape {list(shape)}; give one of [height, width]")
    if shape != (height, width):
        remedy = "give depth of the picture's own size, or resize one of the two"
        if shape == (width, height):  # As the camera stored it, with a note in the photo to turn it.
            remedy = "turn it upright, as the picture is shown"
        raise GainerError(f"{path}: is {shape[1]}x{shape[0]}, but the picture is {width}x{height}; {remedy}")
    check_free(width * height * _BYTES_PER_PIXEL, f"{path}: reading it", "shrink the picture, and the depth with it")


def _read_npy(path: Path, width: int, height: int) -> np.ndarray:
    with path.open("rb") as file:
        return _read_array(path, file, width, height)


def _read_npz(path: Path, width: int, height: int) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        named = [name for name in names if name == "depth.npy"] or names
        if len(named) != 1:
            raise GainerError(f"{path}: holds {len(names)} arrays, none called depth; keep one, or save it as .npy")
        if archive.getinfo(named[0]).file_size > _MAX_NUMBER_BYTES * width * height + _MAX_HEADER_BYTES:
            raise GainerError(
                f"{path}: holds more than one number for each pixel of the picture; save one depth a pixel"
            )
        with archive.open(named[0]) as file:
            return _read_array(path, file, width, height)


def _read_array(path: Path, file: IO[bytes], width: int, height: int) -> np.ndarray:
    """Read an array in numpy's format, never pickled; refused by its header alone if it has another shape."""
    version = npy.read_magic(file)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if dtype.kind not in "fiu":
        raise GainerError(f"{path}: holds {dtype.name} values; save depth as floats or whole numbers")
    trimmed = shape
    while len(trimmed) > 2 and 1 in (trimmed[0], trimmed[-1]):  # As networks leave them: [1, height, width].
        trimmed = trimmed[1:] if trimmed[0] == 1 else trimmed[:-1]
    _check_shape(path, trimmed, width, height)
    file.seek(0)
    return npy.read_array(file, allow_pickle=False).reshape(trimmed)


def _read_image(path: Path, width: int, height: int) -> np.ndarray:
    # Other kinds under these names are no depth maps, and their decoders need not meet them.
    with path.open("rb") as file, Image.open(file, formats=["PNG", "TIFF"]) as image:
        if image.mode not in ("1", "L", "F") and not image.mode.startswith("I"):
            raise GainerError(f"{path}: is a coloured picture ({image.mode}); give one gray channel with the depth")
        _check_shape(path, (image.height, image.width), width, height)
        return np.array(image.convert("L") if image.mode == "1" else image)


def _read_pfm(path: Path, width: int, height: int) -> np.ndarray:
    """Read PFM, whose header's scale says by its sign how bytes are ordered; rows run from the bottom up.

    OpenCV would divide by that scale, which those who write depth do not mean, and Pillow refuses long ones.
    """
    with path.open("rb") as file:
        head = re.match(rb"P([fF])\s+(\d{1,9})\s+(\d{1,9})\s+([-+.\deE]{1,32})\s", file.read(128))
        if head is None:
            raise ValueError("it does not start as a PFM file does")
        channels = (3,) if head[1] == b"F" else ()
        _check_shape(path, (int(head[3]), int(head[2]), *channels), width, height)
        file.seek(head.end())
        data = file.read(4 * width * height)
    if len(data) < 4 * width * height:
        raise ValueError(f"{len(data)} of {4 * width * height} bytes")
    return np.frombuffer(data, "<f4" if float(head[4]) < 0 else ">f4").reshape(height, width)[::-1]


def _read_exr(path: Path, width: int, height: int) -> np.ndarray:
    with path.open("rb") as file:
        head = file.read(2**16)
    window = re.search(rb"dataWindow\0box2i\0\x10\0\0\0(.{16})", head, re.DOTALL)
    if not head.startswith(b"v/1\x01") or window is None:
        raise ValueError("it does not start as an EXR file does")
    left, top, right, bottom = struct.unpack("<4i", window[1])
    _check_shape(path, (bottom - top + 1, right - left + 1), width, height)
    os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")  # Off by default in OpenCV, which asks when it reads.
    try:
        samples = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if "OPENEXR" not in str(error):
            raise
        samples = None
    if samples is None:
        raise GainerError(
            f"{path}: OpenCV cannot read it (damaged, no channel Y or Z, or EXR is off); save the depth as .npy or .pfm"
        )
    _check_shape(path, samples.shape, width, height)
    return samples


_READERS = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".png": _read_image,
    ".tif": _read_image,
    ".tiff": _read_image,
    ".pfm": _read_pfm,
    ".exr": _read_exr,
}
