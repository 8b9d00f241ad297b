"""Compute in floats with ICC profiles that are a curve for each channel and a matrix, and make such profiles.

Most profiles of RGB pictures are of this kind, and of gray ones, which have a curve alone. LittleCMS computes with all
kinds, but Pillow gives it 8 bits a sample. The layout is that of ICC.1:2022, sections 7 to 10; colours are relative to
its white, D50.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

_CURVE_STEPS = 1 << 16
"""Steps at which curves are kept: those of 16-bit samples."""
_BLOCK_COLOURS = 1 << 16
"""How many colours are converted at once."""
D50_XYZ = np.array([0.9642, 1.0, 0.8249])
"""XYZ of D50."""
SRGB_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
"""x and y of sRGB's white, red, green and blue."""
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""sRGB's transfer curve: ``g``, ``a``, ``b``, ``c`` and ``d`` of ``packed_profile``."""
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""From XYZ to the responses of the eye that adapt to a white."""


@dataclass(frozen=True, eq=False)
class MatrixProfile:
    """The curves and the matrix of a profile.

    Attributes:
        curves: [1 or 3, _CURVE_STEPS], the linear light of samples from 0 to 1; one curve where they are equal.
        matrix: [3, 3], from linear light to XYZ; that of gray leads to gray.
    """

    curves: np.ndarray
    matrix: np.ndarray

    @classmethod
    def read(cls, icc: bytes) -> MatrixProfile | None:
        """Parse a profile; None if it is of another kind, or damaged."""
        try:
            return cls._read(icc)
        except (struct.error, ValueError, LookupError, ArithmeticError):
            return None

    @classmethod
    def _read(cls, icc: bytes) -> MatrixProfile | None:
        (count,) = struct.unpack_from(">I", icc, 128)
        entries = [struct.unpack_from(">4sII", icc, 132 + 12 * number) for number in range(min(count, 100))]
        tags = {name: icc[offset : offset + size] for name, offset, size in entries}
        if icc[20:24] != b"XYZ " or any(name[:3] in (b"A2B", b"B2A", b"D2B", b"B2D") for name in tags):
            return None
        if icc[16:20] == b"GRAY":
            return cls(_curve(tags[b"kTRC"])[None], np.diag(D50_XYZ))
        stored = {tags[name] for name in (b"rTRC", b"gTRC", b"bTRC")}
        curves = np.stack([_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")[: 1 if len(stored) == 1 else 3]])
        columns = [struct.unpack_from(">3i", tags[name], 8) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        matrix = np.array(columns).T / 65536
        return cls(curves, matrix) if abs(np.linalg.det(matrix)) > 1e-4 else None

    def converted_to(self, other: MatrixProfile, colours: np.ndarray) -> np.ndarray:
        """Convert colours [..., 3] in [0, 1] to another profile, as float32, clipped to its gamut."""
        matrix = (np.linalg.inv(other.matrix) @ self.matrix).T
        rows = np.clip(colours, 0, 1).reshape(-1, 3)
        found = np.empty(rows.shape, np.float32)
        samples = np.linspace(0, 1, _CURVE_STEPS)
        rising = np.maximum.accumulate(other.curves, axis=1)
        for start in range(0, len(rows), _BLOCK_COLOURS):
            light = _each(rows[start : start + _BLOCK_COLOURS], [(samples, curve) for curve in self.curves]) @ matrix
            found[start : start + _BLOCK_COLOURS] = _each(light, [(curve, samples) for curve in rising])
        return found.reshape(colours.shape)


def packed_profile(primaries: tuple[float, ...], curve: tuple[float, ...], named: str) -> bytes:
    """Make an ICC profile of RGB samples.

    Args:
        primaries: Chromaticities x and y of white, red, green and blue, in turn.
        curve: How samples ``v`` become linear light: ``(a v + b) ** g`` from ``d`` on, ``c v`` below: g, a, b, c, d.
        named: What it calls itself.

    Raises:
        ValueError: There are no such primaries.
    """
    x, y = np.reshape(primaries, (4, 2)).T
    if not ((x >= 0) & (x <= 1) & (y > 0) & (y <= 1)).all():
        raise ValueError("a primary is no chromaticity")
    xyz = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    try:
        own = xyz[:, 1:] * np.linalg.solve(xyz[:, 1:], xyz[:, 0])
        adapted = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ D50_XYZ) / (_BRADFORD @ xyz[:, 0])) @ _BRADFORD
        fixed = {name: _fixed(*column) for name, column in zip("rgb", (adapted @ own).T, strict=True)}
        tags = {b"wtpt": b"XYZ \0\0\0\0" + _fixed(*D50_XYZ), b"chad": b"sf32\0\0\0\0" + _fixed(*adapted.ravel())}
        curves = b"para\0\0\0\0\0\3\0\0" + _fixed(*curve)
    except (np.linalg.LinAlgError, struct.error) as error:
        raise ValueError("its primaries make no colours") from error
    for name, text in {b"desc": named, b"cprt": "No copyright, use freely"}.items():
        about = struct.pack(">4s4xII4sII", b"mluc", 1, 12, b"enUS", 2 * len(text), 28)
        tags[name] = about + text.encode("utf-16be")
    for name, column in fixed.items():
        tags[f"{name}XYZ".encode()], tags[f"{name}TRC".encode()] = b"XYZ \0\0\0\0" + column, curves
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4xI12s12x4s28x", start + len(body), 0x04300000, b"mntrRGB XYZ ", b"acsp") + _fixed(*D50_XYZ)
    return header.ljust(128, b"\0") + table + body


def _fixed(*values: float) -> bytes:
    """Pack numbers as s15Fixed16Number."""
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


@np.errstate(all="ignore")  # whatever a damaged one says is clipped
def _curve(tag: bytes) -> np.ndarray:
    """Return the linear light that a curve makes of samples from 0 to 1."""
    v = np.linspace(0, 1, _CURVE_STEPS)
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count <= 1:
            return v ** (struct.unpack_from(">H", tag, 12)[0] / 256 if count else 1.0)
        table = np.frombuffer(tag, ">u2", count, 12) / 65535  # first of all: a damaged count may be any
        return np.interp(v, np.linspace(0, 1, count), table)
    if tag[:4] != b"para":
        raise ValueError("no curve")
    (kind,) = struct.unpack_from(">H", tag, 8)
    g, *more = np.array(struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", tag, 12)) / 65536
    a, b, c, d, e, f = (*more, 0, 0, 0, 0)[:6] if kind > 0 else (1, 0, 0, 0, 0, 0)
    if kind in (1, 2):  # constant below where the power begins
        c, d, e, f = 0.0, -b / a, c, c
    return np.clip(np.where(v >= d, np.maximum(a * v + b, 0) ** g + e, c * v + f), 0, 1)


def _each(rows: np.ndarray, tables: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Look each channel of rows [m, 3] up in its table, or all of them in the only one."""
    if len(tables) == 1:
        return np.interp(rows, *tables[0])
    return np.stack([np.interp(rows[:, channel], *table) for channel, table in enumerate(tables)], axis=1)
