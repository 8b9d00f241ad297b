"""Writes PLY files with any properties of a vertex, and OBJ files with texture coordinates.

nerfstudio's ``ExportGaussianSplat.write_ply`` writes value by value, which takes long for a picture, and knows neither
integers nor faces; trimesh writes no vertex properties of a point cloud.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, Shaped

from gainer_ns.io.files import whole_file

PLY_TYPES = {"f4": "float", "f8": "double", "i4": "int", "u1": "uchar"}
"""The names that PLY gives to numpy's types."""


def write_ply(
    path: Path,
    properties: Mapping[str, Shaped[np.ndarray, " v"]],
    faces: Int[np.ndarray, "f 3"] | None = None,
    comments: Sequence[str] = (),
) -> None:
    """Writes a binary, little-endian PLY file (http://paulbourke.net/dataformats/ply).

    Args:
        path: File to write.
        properties: One value for each vertex, by name, in the order of the file; of a type in ``PLY_TYPES``.
        faces: Triangles, as indices of vertices.
        comments: Lines of ASCII text for the header.

    Raises:
        GainerError: If the file cannot be written.
    """
    vertices = _table(properties)
    tables = [("vertex", vertices, [f"{PLY_TYPES[vertices.dtype[name].str[1:]]} {name}" for name in properties])]
    if faces is not None:
        triangles = np.empty(len(faces), dtype=[("count", "u1"), ("vertex_indices", "<i4", (3,))])
        triangles["count"], triangles["vertex_indices"] = 3, faces
        tables.append(("face", triangles, ["list uchar int vertex_indices"]))
    header = ["ply", "format binary_little_endian 1.0", "comment Written by gainer_ns"]
    header += [f"comment {comment}" for comment in comments]
    for name, table, kinds in tables:
        header += [f"element {name} {len(table)}", *(f"property {kind}" for kind in kinds)]
    with whole_file(path) as file:
        file.write("\n".join([*header, "end_header", ""]).encode("ascii"))
        for _, table, _ in tables:
            file.write(table.tobytes())


def write_obj(
    path: Path, vertices: Float[np.ndarray, "v 3"], uv: Float[np.ndarray, "v 2"], faces: Int[np.ndarray, "f 3"]
) -> None:
    """Writes a mesh with one texture coordinate a vertex as an OBJ file.

    Raises:
        GainerError: If the file cannot be written.
    """
    lines = [f"# Written by gainer_ns: x right, y up, the picture's longer side is 1\no {path.stem}"]
    lines += ["v {:.9g} {:.9g} {:.9g}".format(*vertex) for vertex in vertices.tolist()]
    lines += ["vt {:.9g} {:.9g}".format(*place) for place in uv.tolist()]
    lines += ["f {0}/{0} {1}/{1} {2}/{2}".format(*face) for face in (faces + 1).tolist()]
    with whole_file(path) as file:
        file.write(("\n".join(lines) + "\n").encode("utf8"))


def _table(properties: Mapping[str, Shaped[np.ndarray, " v"]]) -> np.ndarray:
    """A structured array with one row for each vertex."""
    columns = {name: np.asarray(values) for name, values in properties.items()}
    count = len(next(iter(columns.values())))
    table = np.empty(count, dtype=[(name, values.dtype.newbyteorder("<")) for name, values in columns.items()])
    for name, values in columns.items():
        table[name] = values
    return table
