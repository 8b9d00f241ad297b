"""Write binary glTF 2.0 (.glb): arrays and pictures in one buffer, and the JSON tree that says what they are."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from gainer_ns.io.files import whole_file

_COMPONENTS = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
_KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
_JSON_CHUNK, _BINARY_CHUNK = 0x4E4F534A, 0x004E4942


class GlbFile:
    """A file in the making (Khronos, glTF 2.0 specification, section 4.4).

    Attributes:
        tree: The JSON: what is added here is listed; all else is the caller's.
    """

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "gainer_ns"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "bufferViews": [],
            "accessors": [],
        }
        self._parts: list[bytes] = []

    def add(self, values: np.ndarray, *, normalized: bool = False, bounds: bool = False) -> int:
        """Add numbers, one row each vertex, and return the accessor by which a primitive names them.

        Args:
            values: [n] or [n, c], of bytes, shorts, uint32 or float32.
            normalized: Whether whole numbers stand for 0 to 1.
            bounds: Whether to tell the least and the greatest of each column, as positions must.
        """
        accessor: dict[str, Any] = {
            "bufferView": self.add_bytes(np.ascontiguousarray(values).tobytes()),
            "componentType": _COMPONENTS[values.dtype.str[1:]],
            "count": len(values),
            "type": _KINDS[1 if values.ndim == 1 else values.shape[1]],
        }
        if normalized:
            accessor["normalized"] = True
        if bounds:
            accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        self.tree["accessors"].append(accessor)
        return len(self.tree["accessors"]) - 1

    def add_bytes(self, content: bytes) -> int:
        """Add bytes, such as a PNG, and return their buffer view."""
        view = {"buffer": 0, "byteOffset": sum(map(len, self._parts)), "byteLength": len(content)}
        self._parts.append(content + bytes(-len(content) % 4))
        self.tree["bufferViews"].append(view)
        return len(self.tree["bufferViews"]) - 1

    def write(self, path: Path) -> None:
        """Write the file.

        Raises:
            GainerError: If it cannot be written.
        """
        length = sum(map(len, self._parts))
        text = json.dumps(self.tree | {"buffers": [{"byteLength": length}]}, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        with whole_file(path) as file:
            file.write(struct.pack("<4s2I", b"glTF", 2, 28 + len(text) + length))
            file.write(struct.pack("<2I", len(text), _JSON_CHUNK) + text)
            file.write(struct.pack("<2I", length, _BINARY_CHUNK))
            file.writelines(self._parts)
