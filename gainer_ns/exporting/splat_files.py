"""Files of 3D Gaussian splats, by their suffix: as trained, packed for the web, or as glTF.

All take the columns of :func:`gainer_ns.exporting.splat.splat_properties`. The order of splats means nothing.
"""

from __future__ import annotations

import gzip
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, Shaped

from gainer_ns.io.files import whole_file
from gainer_ns.io.glb import GlbFile
from gainer_ns.io.meshes import write_ply

Columns = Mapping[str, Float[np.ndarray, " n"]]
SPLAT_SUFFIXES = (".ply", ".compressed.ply", ".spz", ".glb")
SH_DEGREE_0 = 0.28209479177387814
"""The constant spherical harmonic, 1 / (2 sqrt(pi))."""

MAX_STEP_TO_SIGMA = 0.4
"""The step of positions in .spz files, as a share of the shorter deviation of the middle splat, at most."""
SPZ_DEPTH_STEPS, SPZ_TURN_STEPS = 4, 4
"""Depths and turns of .spz files are multiples of so many of its steps: a photo is looked at from about where it was
taken, and what a disc of a pixel turns by a degree is not seen. It makes files a tenth smaller."""
_SPZ_SORT_BITS = 6  # splats are sorted by depth, less these bits, then by height: neighbours in a file look alike
_SPZ_COLOUR_SCALE = 0.15
_CHUNK = 256  # splats that share their bounds in a compressed PLY file


def write_splats(path: Path, columns: Columns, comments: Sequence[str] = ()) -> None:
    """Write splats as the kind of file that the name says, with comments where it holds any.

    Raises:
        GainerError: If the file cannot be written.
    """
    name = path.name.lower()
    if name.endswith(".spz"):
        _write_spz(path, columns)
    elif name.endswith(".glb"):
        _write_gltf(path, columns)
    elif name.endswith(".compressed.ply"):
        _write_compressed_ply(path, columns, comments)
    else:
        write_ply(path, columns, comments=comments)


def spz_fractional_bits(columns: Columns) -> int:
    """Return the binary digits after the point of positions in a .spz file, as many as its 24 bits hold at most."""
    sigma = math.exp(float(np.median(columns["scale_1"])))
    farthest = max(float(np.abs(columns[axis]).max()) for axis in "xyz")
    return max(
        0, min(math.ceil(-math.log2(MAX_STEP_TO_SIGMA * sigma)), 23 - math.ceil(math.log2(farthest + 1e-9) + 1e-9))
    )


def _write_spz(path: Path, columns: Columns) -> None:
    """Write Niantic's format (https://github.com/nianticlabs/spz), of version 2, which all its readers know."""
    bits = spz_fractional_bits(columns)
    steps = np.array([1, 1, SPZ_DEPTH_STEPS])
    places = np.rint(_stacked(columns, "x", "y", "z") * 2.0**bits / steps).astype(np.int64) * steps
    order = np.lexsort((places[:, 0], places[:, 1], places[:, 2] >> _SPZ_SORT_BITS))
    places = places.clip(-(2**23), 2**23 - 1)[order].astype("<i4").view(np.uint8).reshape(-1, 3, 4)[..., :3]
    turns = np.rint(_least_turns(columns)[:, :3] * 127.5 / SPZ_TURN_STEPS) * SPZ_TURN_STEPS + 127.5
    levels = (
        255 * _opacities(columns),
        _stacked(columns, "f_dc_0", "f_dc_1", "f_dc_2") * (255 * _SPZ_COLOUR_SCALE) + 127.5,
        (_stacked(columns, "scale_0", "scale_1", "scale_2") + 10) * 16,
        turns,
    )
    header = struct.pack("<4s2I4B", b"NGSP", 2, len(order), 0, bits, 0, 0)
    content = header + places.tobytes() + b"".join(_levels(column)[order].tobytes() for column in levels)
    with whole_file(path) as file, gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) as packed:
        packed.write(content)


def _write_compressed_ply(path: Path, columns: Columns, comments: Sequence[str]) -> None:
    """Write PlayCanvas' packed PLY, as SuperSplat writes it.

    Chunks of 256 splats tell bounds, within which 11 + 10 + 11 bits tell places and sizes
    (https://developer.playcanvas.com/user-manual/gaussian-splatting/formats/ply/).
    """
    order = _along_curve(_stacked(columns, "x", "y", "z"))
    order = np.pad(order, (0, -len(order) % _CHUNK), mode="edge")  # a chunk is whole; what is added is cut off again
    colours = _stacked(columns, "f_dc_0", "f_dc_1", "f_dc_2") * SH_DEGREE_0 + 0.5
    bounded = _stacked(columns, "x", "y", "z"), _stacked(columns, "scale_0", "scale_1", "scale_2"), colours
    bounds, shares = [], []
    for values in bounded:
        chunks = values[order].reshape(-1, _CHUNK, 3).astype(np.float32)
        low, high = chunks.min(axis=1), chunks.max(axis=1)
        bounds += [low, high]
        width = np.maximum(high - low, 1e-12)[:, None]
        shares.append(((chunks - low[:, None]) / width).reshape(-1, 3))
    quaternions = np.roll(_quaternions(columns), 1, axis=1)[order]
    largest = np.abs(quaternions).argmax(axis=1)[:, None]
    quaternions = quaternions * np.where(np.take_along_axis(quaternions, largest, 1) < 0, -1.0, 1.0)
    others = quaternions[np.arange(4) != largest].reshape(-1, 3) * math.sqrt(0.5) + 0.5
    opacities = _opacities(columns)[order]
    words = [
        _packed(shares[0], (11, 10, 11)),
        _packed(others, (10, 10, 10)) | largest[:, 0].astype(np.uint32) << 30,
        _packed(shares[1], (11, 10, 11)),
        _packed(np.column_stack([shares[2], opacities]), (8, 8, 8, 8)),
    ]
    count = len(columns["x"])
    axes = [[f"{side}_{one}" for one in names] for names in ("xyz", _SCALES, "rgb") for side in ("min", "max")]
    header = ["ply", "format binary_little_endian 1.0", *(f"comment {comment}" for comment in comments)]
    header += [f"element chunk {len(order) // _CHUNK}", *(f"property float {name}" for names in axes for name in names)]
    header += [f"element vertex {count}", *(f"property uint packed_{name}" for name in _PACKED), "end_header", ""]
    with whole_file(path) as file:
        file.write("\n".join(header).encode("ascii"))
        file.write(np.concatenate(bounds, axis=1).astype("<f4").tobytes())
        file.write(np.stack(words, axis=1)[:count].astype("<u4").tobytes())


_SCALES, _PACKED = ("scale_x", "scale_y", "scale_z"), ("position", "rotation", "scale", "color")


def _write_gltf(path: Path, columns: Columns) -> None:
    """Write a cloud of points with Khronos' extension KHR_gaussian_splatting; who does not know it sees the points."""
    file = GlbFile()
    harmonics = _stacked(columns, "f_dc_0", "f_dc_1", "f_dc_2").astype(np.float32)
    opacities = _opacities(columns)
    colours = _levels(255 * np.column_stack([(harmonics * SH_DEGREE_0 + 0.5).clip(0, 1) ** 2.2, opacities]))
    own = "KHR_gaussian_splatting"
    attributes = {
        "POSITION": file.add(_stacked(columns, "x", "y", "z").astype(np.float32), bounds=True),
        "COLOR_0": file.add(colours, normalized=True),
        f"{own}:SCALE": file.add(_stacked(columns, "scale_0", "scale_1", "scale_2").astype(np.float32)),
        f"{own}:ROTATION": file.add(_quaternions(columns).astype(np.float32)),
        f"{own}:OPACITY": file.add(opacities.astype(np.float32)),
        f"{own}:SH_DEGREE_0_COEF_0": file.add(harmonics),
    }
    said = {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}
    primitive = {"attributes": attributes, "mode": 0, "extensions": {own: said}}
    file.tree |= {"extensionsUsed": [own], "nodes": [{"mesh": 0}], "meshes": [{"primitives": [primitive]}]}
    file.write(path)


def _stacked(columns: Columns, *names: str) -> Float[np.ndarray, "n c"]:
    return np.stack([columns[name] for name in names], axis=1).astype(np.float64)


def _quaternions(columns: Columns) -> Float[np.ndarray, "n 4"]:
    """Return unit quaternions, the scalar last."""
    quaternions = _stacked(columns, "rot_1", "rot_2", "rot_3", "rot_0")
    return quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)


def _least_turns(columns: Columns) -> Float[np.ndarray, "n 4"]:
    """Return quaternions of the same splats whose scalar is the largest part: half turns about own axes change nothing.

    What is left out of a file, the scalar, is then told well by the rest.
    """
    x, y, z, w = _quaternions(columns).T
    same = np.stack([[x, y, z, w], [w, z, -y, -x], [-z, w, x, -y], [y, -x, w, -z]]).transpose(2, 0, 1)
    chosen = same[np.arange(len(x)), np.abs(same[..., 3]).argmax(axis=1)]
    return chosen * np.where(chosen[:, 3:] < 0, -1.0, 1.0)


def _opacities(columns: Columns) -> Float[np.ndarray, " n"]:
    return 1 / (1 + np.exp(-columns["opacity"].astype(np.float64)))


def _levels(values: Float[np.ndarray, "*shape"]) -> Shaped[np.ndarray, "*shape"]:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _packed(shares: Float[np.ndarray, "n c"], bits: Sequence[int]) -> Shaped[np.ndarray, " n"]:
    """Return shares, 0 to 1, in so many bits each of a word, the first the highest."""
    words = np.zeros(len(shares), dtype=np.uint32)
    for column, width in zip(shares.T, bits, strict=True):
        most = (1 << width) - 1
        words = words << width | np.rint(column.clip(0, 1) * most).astype(np.uint32)
    return words


def _along_curve(places: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
    """Return an order in which neighbours in a file are neighbours in space: that of Morton's curve."""
    extent = float(np.ptp(places, axis=0).max()) or 1.0
    cells = ((places - places.min(axis=0)) / extent * 1023).astype(np.int64)
    codes = np.zeros(len(places), dtype=np.int64)
    for bit in range(10):
        for axis in range(3):
            codes |= (cells[:, axis] >> bit & 1) << (3 * bit + axis)
    return np.argsort(codes, kind="stable")
