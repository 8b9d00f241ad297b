"""PLY and OBJ files of meshes and of points, read and written with the order of everything kept.

Other programs make and move them, in plane units: ``x`` right, ``y`` up, the picture's longer side is 1. The picture is
looked at from above, so ``z`` is read but plays no part.
"""

from __future__ import annotations

import io
import itertools
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, Int64, Shaped
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.io.files import whole_file
from gainer_ns.memory import check_free

MESH_SUFFIXES = (".ply", ".obj")
MAX_COORDINATE = 1e6
"""Coordinates beyond this, in plane units, belong to no picture."""
ID_PROPERTY = "gaussian_id"
"""Property of a PLY file by which a vertex is known."""
GRADIENT_PROPERTIES = {d: [[f"f_{row}{column}" for column in "xyz"[:d]] for row in "xyz"[:d]] for d in (2, 3)}
"""Properties of deformation gradients in 2 and 3 dimensions, by rows: how x (or y, or z) moves with each."""

_COPIES_OF_BINARY, _COPIES_OF_TEXT = 5, 20  # bytes of memory for a byte of a file while it is read, about
_MAX_HEADER_BYTES = 1 << 16
_CORNER_EXTRAS = re.compile(rb"(?<=\d)/[-/\d]*")
_PLY_TYPES = {"f4": "float", "f8": "double", "i4": "int", "u1": "uchar"}


@dataclass(frozen=True)
class MeshFile:
    """A mesh, or a point set, in the order of its file.

    Attributes:
        path: The file.
        vertices: [v, 3], plane units, finite.
        faces: [f, 3], triangles; empty for a point set. Quads are divided in a way that depends on their order alone.
        ids: [v], the number that each vertex is known by; None where the file does not say.
        gradients: [v, 2, 2] or [v, 3, 3], deformation gradients in the axes of the file: properties f_xx, f_xy, f_yx
            and f_yy of a PLY file, or nine of them; None where there are none.
    """

    path: Path
    vertices: Float[Tensor, "v 3"]
    faces: Int64[Tensor, "f 3"]
    ids: Int64[Tensor, " v"] | None = None
    gradients: Float[Tensor, "v d d"] | None = None


def read_mesh(path: Path) -> MeshFile:
    """Read a PLY or OBJ file, keeping the order of vertices and faces, and merging nothing.

    Raises:
        GainerError: If the file is missing, unreadable, empty, or holds numbers that are not finite.
    """
    suffix = path.suffix.lower()
    if suffix not in MESH_SUFFIXES:
        raise GainerError(f"{path}: meshes are read from .ply and .obj files; export it as one of these")
    try:
        _check_memory(path)
        with warnings.catch_warnings():
            # Where numpy stops at a word it only warns, and what follows would be lost.
            warnings.filterwarnings("error", message="string or file could not be read")
            vertices, faces, columns = _parsed(path)
    except GainerError:
        raise
    except OSError as error:
        raise GainerError(f"{path}: cannot be read ({error.strerror or error}); name a .ply or .obj file") from error
    except Exception as error:  # trimesh reports damage by whatever exception it runs into
        raise GainerError(f"{path}: not a readable {suffix[1:].upper()} file; export it again, as triangles") from error
    said = announced_counts(path) if suffix == ".ply" else {}
    for name, found in (("vertex", vertices), ("face", faces)):  # readers of text are content with less
        if len(found) < said.get(name, 0):
            raise GainerError(
                f"{path}: is cut short, at element {name} {len(found):,} of {said[name]:,}; export it again"
            )
    if len(vertices) == 0:
        raise GainerError(f"{path}: holds no vertices; export a mesh (Blender writes none for points without faces)")
    if not (np.abs(vertices) < MAX_COORDINATE).all():  # nor where one is not a number
        raise GainerError(f"{path}: holds coordinates that are no numbers, or huge; mend the mesh and export it again")
    if len(faces) and not (faces.min() >= 0 and faces.max() < len(vertices)):
        raise GainerError(f"{path}: its faces name vertices that it does not hold; export it again")
    ids = columns.pop(ID_PROPERTY, None)
    if ids is not None and not (np.abs(ids) < 2**31).all():
        raise GainerError(f"{path}: holds a {ID_PROPERTY} that is no number; export it again")
    numbers = None if ids is None else torch.from_numpy(np.rint(ids).astype(np.int64))
    gradients = _gradients(path, columns)
    return MeshFile(path, torch.from_numpy(vertices), torch.from_numpy(faces), numbers, gradients)


def announced_counts(path: Path) -> dict[str, int]:
    """Return how many vertices and faces a file says that it holds, without making a mesh of it; empty if it does not.

    Raises:
        GainerError: If the file cannot be opened.
    """
    try:
        with path.open("rb") as file:
            if path.suffix.lower() == ".obj":
                return {"vertex": sum(line.lstrip().startswith((b"v ", b"v\t")) for line in file)}
            lines = [line.split() for line in io.BytesIO(file.read(_MAX_HEADER_BYTES))]
    except OSError as error:
        raise GainerError(f"{path}: cannot be read ({error.strerror or error}); export it again") from error
    header = itertools.takewhile(lambda words: words[:1] != [b"end_header"], lines)
    elements = [words for words in header if words[:1] == [b"element"] and len(words) == 3 and words[2].isdigit()]
    return {name.decode("latin1"): int(count[:40]) for _, name, count in elements}


def _check_memory(path: Path) -> None:
    """Refuse a file that there is no memory to read."""
    with path.open("rb") as file:
        is_text = path.suffix.lower() == ".ply" and b"format ascii" in file.read(100)
    copies = _COPIES_OF_TEXT if is_text else _COPIES_OF_BINARY
    check_free(copies * path.stat().st_size, f"{path}:", "make a coarser mesh, or close other programs")


def _parsed(path: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Float[np.ndarray, " v"]]]:
    """Return vertices, triangles and the properties of vertices that mean something here.

    From trimesh's readers, since its front end drops what it finds superfluous.
    """
    from trimesh.exchange.obj import load_obj
    from trimesh.exchange.ply import load_ply

    columns: dict[str, np.ndarray] = {}
    if path.suffix.lower() == ".ply":
        with path.open("rb") as file:
            parts = load_ply(file, fix_texture=False, skip_materials=True)
        data = parts["metadata"]["_ply_raw"]["vertex"]["data"]
        names = data if isinstance(data, dict) else data.dtype.names or ()
        wanted = (name for name in (ID_PROPERTY, *itertools.chain(*GRADIENT_PROPERTIES[3])) if name in names)
        columns = {name: np.asarray(data[name], dtype=np.float64).reshape(-1) for name in wanted}
    else:
        parts = load_obj(io.BytesIO(_bare_obj(path.read_bytes())), skip_materials=True, maintain_order=True)
        parts = next(iter(parts["geometry"].values())) if "geometry" in parts else parts
    faces = parts.get("faces")
    faces = np.empty((0, 3)) if faces is None else np.asarray(faces)
    vertices = np.asarray(parts["vertices"], dtype=np.float64).reshape(-1, 3)
    return vertices, faces.astype(np.int64).reshape(-1, 3), columns


def _bare_obj(text: bytes) -> bytes:
    """Return an OBJ file's vertices and faces alone.

    Normals change with the frame, and readers divide vertices by them; materials and objects would divide the mesh.
    """
    lines = (line.split(b"#", 1)[0].strip() for line in text.replace(b"\\\n", b" ").splitlines())
    vertices, faces = [], []
    for line in lines:
        if line.startswith((b"v ", b"v\t")):
            vertices.append(b" ".join(line.split()[:4]))
        elif line.startswith((b"f ", b"f\t")):
            faces.append(_CORNER_EXTRAS.sub(b"", line))
    return b"\n".join([*vertices, *faces])


def _gradients(path: Path, columns: Mapping[str, np.ndarray]) -> Float[Tensor, "v d d"] | None:
    """Return deformation gradients, if the file has any."""
    if not columns:
        return None
    names = next((rows for rows in GRADIENT_PROPERTIES.values() if set(itertools.chain(*rows)) == set(columns)), None)
    if names is None:
        raise GainerError(
            f"{path}: of the gradients it holds {', '.join(columns)} alone; write all four, all nine, or none"
        )
    gradients = np.stack([np.stack([columns[name] for name in row], axis=-1) for row in names], axis=-2)
    if not (np.abs(gradients) < MAX_COORDINATE).all():
        raise GainerError(f"{path}: holds gradients that are no numbers, or huge; mend them or leave them out")
    return torch.from_numpy(gradients)


def write_ply(
    path: Path,
    properties: Mapping[str, Shaped[np.ndarray, " v"]],
    faces: Int[np.ndarray, "f 3"] | None = None,
    comments: Sequence[str] = (),
) -> None:
    """Write a binary, little-endian PLY file (http://paulbourke.net/dataformats/ply).

    trimesh writes no vertex properties of a point cloud.

    Args:
        path: File to write.
        properties: One value for each vertex, by name, in the order of the file: float32, float64, int32 or uint8.
        faces: Triangles, as indices of vertices.
        comments: Lines of ASCII text for the header.

    Raises:
        GainerError: If the file cannot be written.
    """
    columns = {name: np.asarray(values) for name, values in properties.items()}
    kinds = [(name, values.dtype.newbyteorder("<")) for name, values in columns.items()]
    vertices = np.rec.fromarrays(list(columns.values()), dtype=kinds)
    words = [f"{_PLY_TYPES[kind.str[1:]]} {name}" for name, kind in kinds]
    tables: list[tuple[str, np.ndarray, list[str]]] = [("vertex", vertices, words)]
    if faces is not None:
        triangles = np.empty(len(faces), dtype=[("count", "u1"), ("vertex_indices", "<i4", (3,))])
        triangles["count"], triangles["vertex_indices"] = 3, faces
        tables.append(("face", triangles, ["list uchar int vertex_indices"]))
    header = ["ply", "format binary_little_endian 1.0", "comment Written by gainer_ns"]
    header += [f"comment {comment}" for comment in comments]
    for name, table, words in tables:
        header += [f"element {name} {len(table)}", *(f"property {word}" for word in words)]
    with whole_file(path) as file:
        file.write("\n".join([*header, "end_header", ""]).encode("ascii"))
        for _, table, _ in tables:
            file.write(table.tobytes())


def write_obj(
    path: Path, vertices: Float[np.ndarray, "v 3"], uv: Float[np.ndarray, "v 2"], faces: Int[np.ndarray, "f 3"]
) -> None:
    """Write a mesh with one texture coordinate a vertex as an OBJ file.

    Raises:
        GainerError: If the file cannot be written.
    """
    lines = [f"# Written by gainer_ns: x right, y up, the picture's longer side is 1\no {path.stem}"]
    lines += ["v {:.9g} {:.9g} {:.9g}".format(*vertex) for vertex in vertices.tolist()]
    lines += ["vt {:.9g} {:.9g}".format(*place) for place in uv.tolist()]
    lines += ["f {0}/{0} {1}/{1} {2}/{2}".format(*face) for face in (faces + 1).tolist()]
    with whole_file(path) as file:
        file.write(("\n".join(lines) + "\n").encode("utf8"))
