"""Meshes and point sets that other programs wrote, one by one or as the frames of an animation.

Files are PLY or OBJ in plane units: ``x`` right, ``y`` up, the picture's longer side is 1. The picture is looked at
from above, so ``z`` is read but plays no part.
"""

from __future__ import annotations

import io
import itertools
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gainer_ns.editing.mesh_places import check_first_frame
from gainer_ns.errors import GainerError
from gainer_ns.memory import check_free

SUFFIXES = (".ply", ".obj")
FARTHEST = 1e6
"""Coordinates beyond this, in plane units, belong to no picture."""
COPIES, COPIES_OF_TEXT = 5, 20
"""Bytes of memory for a byte of a file while it is read, about; the latter of a PLY file in text."""
LONGEST_HEADER = 1 << 16
"""Bytes in which a PLY file says what is in it."""
GRADIENTS = {d: [[f"f_{row}{column}" for column in "xyz"[:d]] for row in "xyz"[:d]] for d in (2, 3)}
"""Names of the properties that hold deformation gradients, by rows: how x (or y, or z) moves with each."""
_NUMBER = re.compile(r"(\d+)$")
_CORNER_EXTRAS = re.compile(rb"(?<=\d)/[-/\d]*")


@dataclass(frozen=True)
class MeshFile:
    """A mesh, or a point set, in the order of its file.

    Attributes:
        path: The file.
        vertices: [v, 3], plane units, finite.
        faces: [f, 3], triangles; empty for a point set. Quads are divided in a way that depends on their order alone.
        ids: [v], which Gaussian each vertex belongs to; None where the file does not say.
        gradients: [v, 2, 2] or [v, 3, 3], deformation gradients in the axes of the file: properties f_xx, f_xy, f_yx
            and f_yy of a PLY file, or nine of them; None where there are none.
    """

    path: Path
    vertices: Float[Tensor, "v 3"]
    faces: Int64[Tensor, "f 3"]
    ids: Int64[Tensor, " v"] | None = None
    gradients: Float[Tensor, "v d d"] | None = None


def read_mesh(path: Path) -> MeshFile:
    """Reads a PLY or OBJ file, keeping the order of vertices and faces, and merging nothing.

    Raises:
        GainerError: If the file is missing, unreadable, empty, or holds numbers that are not finite.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise GainerError(f"{path}: meshes are read from .ply and .obj files; export it as one of these")
    try:
        check_size(path)
        with warnings.catch_warnings():
            # Where numpy stops at a word it only warns, and what follows would be lost.
            warnings.filterwarnings("error", message="string or file could not be read")
            vertices, faces, columns = _parsed(path)
            ids = columns.get("gaussian_id")
    except GainerError:
        raise
    except OSError as error:
        raise GainerError(f"{path}: cannot be read ({error.strerror or error}); name a .ply or .obj file") from error
    except Exception as error:  # trimesh reports damage by whatever exception it runs into
        raise GainerError(f"{path}: not a readable {suffix[1:].upper()} file; export it again, as triangles") from error
    said = announced(path) if suffix == ".ply" else {}
    for name, found in (("vertex", vertices), ("face", faces)):  # readers of text are content with less
        if len(found) < said.get(name, 0):
            raise GainerError(
                f"{path}: is cut short, at element {name} {len(found):,} of {said[name]:,}; export it again"
            )
    if len(vertices) == 0:
        raise GainerError(f"{path}: holds no vertices; export a mesh (Blender writes none for points without faces)")
    if not (np.abs(vertices) < FARTHEST).all():  # nor where one is not a number
        raise GainerError(f"{path}: holds coordinates that are no numbers, or huge; mend the mesh and export it again")
    if len(faces) and not (faces.min() >= 0 and faces.max() < len(vertices)):
        raise GainerError(f"{path}: its faces name vertices that it does not hold; export it again")
    if ids is not None and not (np.abs(ids) < 2**31).all():
        raise GainerError(f"{path}: holds a gaussian_id that is no number; export it again")
    numbers = None if ids is None else torch.from_numpy(np.rint(ids).astype(np.int64))
    gradients = _gradients(path, columns)
    return MeshFile(path, torch.from_numpy(vertices), torch.from_numpy(faces), numbers, gradients)


def check_size(path: Path) -> None:
    """Refuses a mesh file that there is no memory to read.

    Raises:
        GainerError: If it is one.
        OSError: If it cannot be opened.
    """
    with path.open("rb") as file:
        is_text = path.suffix.lower() == ".ply" and b"format ascii" in file.read(100)
    copies = COPIES_OF_TEXT if is_text else COPIES
    check_free(copies * path.stat().st_size, f"{path}:", "make a coarser mesh, or close other programs")


def _parsed(path: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Float[np.ndarray, " v"]]]:
    """Vertices, triangles and what else a PLY file says of vertices.

    From trimesh's readers, since its front end drops what it finds superfluous.
    """
    from trimesh.exchange.obj import load_obj
    from trimesh.exchange.ply import load_ply

    columns: dict[str, np.ndarray] = {}
    if path.suffix.lower() == ".ply":
        with path.open("rb") as file:
            parts = load_ply(file, fix_texture=False, skip_materials=True)
        columns = _columns(parts["metadata"]["_ply_raw"]["vertex"]["data"])
    else:
        parts = load_obj(io.BytesIO(_bare_obj(path.read_bytes())), skip_materials=True, maintain_order=True)
        parts = next(iter(parts["geometry"].values())) if "geometry" in parts else parts
    faces = parts.get("faces")
    faces = np.empty((0, 3)) if faces is None else np.asarray(faces)
    return (
        np.asarray(parts["vertices"], dtype=np.float64).reshape(-1, 3),
        faces.astype(np.int64).reshape(-1, 3),
        columns,
    )


def _columns(vertices: dict[str, np.ndarray] | np.ndarray) -> dict[str, Float[np.ndarray, " v"]]:
    """The properties that mean something here; some programs write whole numbers as fractions."""
    names = vertices if isinstance(vertices, dict) else vertices.dtype.names or ()
    wanted = ("gaussian_id", *itertools.chain(*GRADIENTS[3]))
    return {name: np.asarray(vertices[name], dtype=np.float64).reshape(-1) for name in wanted if name in names}


def _gradients(path: Path, columns: dict[str, np.ndarray]) -> Float[Tensor, "v d d"] | None:
    """Deformation gradients, if the file has any."""
    given = [name for name in itertools.chain(*GRADIENTS[3]) if name in columns]
    if not given:
        return None
    names = next((rows for rows in GRADIENTS.values() if sorted(itertools.chain(*rows)) == given), None)
    if names is None:
        raise GainerError(
            f"{path}: of the gradients it holds {', '.join(given)} alone; write all four, all nine, or none"
        )
    gradients = np.stack([np.stack([columns[name] for name in row], axis=-1) for row in names], axis=-2)
    if not (np.abs(gradients) < FARTHEST).all():
        raise GainerError(f"{path}: holds gradients that are no numbers, or huge; mend them or leave them out")
    return torch.from_numpy(gradients)


def _bare_obj(text: bytes) -> bytes:
    """An OBJ file's vertices and faces alone.

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


def frame_files(folder: Path) -> list[Path]:
    """The numbered PLY or OBJ files of a folder, by number; other files there are left alone.

    Raises:
        GainerError: If there are none, a number is missing or there twice, or two kinds are mixed.
    """
    if not folder.is_dir():
        raise GainerError(f"{folder}: there is no such folder; give the one that holds the exported frames")
    files = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
    numbered = sorted((int(match[1]), path) for path in files if (match := _NUMBER.search(path.stem)))
    if not numbered:
        raise GainerError(f"{folder}: holds no frames; name them frame_00000.ply or .obj, and so on")
    if len({path.suffix.lower() for _, path in numbered}) > 1:
        raise GainerError(f"{folder}: holds frames in both .ply and .obj; leave one kind there")
    for (number, path), (following, other) in itertools.pairwise(numbered):
        if following == number:
            raise GainerError(f"{folder}: {path.name} and {other.name} are both frame {number}; leave one of them")
        if following > number + 1:
            raise GainerError(
                f"{folder}: frame {number + 1} is missing between {path.name} and {other.name}; export all frames"
            )
    return [path for _, path in numbered]


def announced(path: Path) -> dict[str, int]:
    """How many vertices and faces a file says that it holds, without making a mesh of it; empty if it does not say.

    Raises:
        GainerError: If the file cannot be opened.
    """
    try:
        with path.open("rb") as file:
            if path.suffix.lower() == ".obj":
                return {"vertex": sum(line.lstrip().startswith((b"v ", b"v\t")) for line in file)}
            lines = [line.split() for line in io.BytesIO(file.read(LONGEST_HEADER))]
    except OSError as error:
        raise GainerError(f"{path}: cannot be read ({error.strerror or error}); export it again") from error
    header = itertools.takewhile(lambda words: words[:1] != [b"end_header"], lines)
    elements = [words for words in header if words[:1] == [b"element"] and len(words) == 3 and words[2].isdigit()]
    return {name.decode("latin1"): int(count[:40]) for _, name, count in elements}


def check_frames(files: Iterable[Path], reference: MeshFile) -> None:
    """Compares what frames announce with the reference, so that a long animation is refused before any of it is drawn.

    Raises:
        GainerError: If a frame has another number of vertices than the reference.
    """
    for path in files:
        count = announced(path).get("vertex", len(reference.vertices))
        if count != len(reference.vertices):
            refuse_count(path, count, reference)


def read_frames(files: Iterable[Path], reference: MeshFile) -> Iterator[MeshFile]:
    """Reads frames one after another, each checked against the reference.

    Vertices of point sets with numbers come in the order of the reference.

    Raises:
        GainerError: If a frame cannot be read, or its vertices, faces or numbers are not those of the reference.
    """
    for number, path in enumerate(files):
        frame = read_mesh(path)
        if len(frame.vertices) != len(reference.vertices):
            refuse_count(path, len(frame.vertices), reference)
        if not torch.equal(frame.faces, reference.faces):
            raise GainerError(
                f"{path}: its faces are not those of {reference.path.name}; export the unmoved mesh with the "
                "settings of the frames, and give that as the reference"
            )
        if len(frame.faces) == 0:
            frame = in_order(frame, reference)
        if number == 0:
            check_first_frame(frame, reference)
        yield frame


def refuse_count(path: Path, count: int, reference: MeshFile) -> NoReturn:
    """Refuses a frame that has not as many vertices as its reference.

    Raises:
        GainerError: Always.
    """
    raise GainerError(
        f"{path}: {count:,} vertices, and {reference.path.name} has {len(reference.vertices):,}; frames must be the "
        "reference itself, moved, with none added, removed or merged"
    )


def in_order(frame: MeshFile, reference: MeshFile) -> MeshFile:
    """The points of a frame in the order of the reference.

    Raises:
        GainerError: If their numbers are missing, or not those of the reference.
    """
    if frame.ids is None or reference.ids is None:
        nameless = frame.path if frame.ids is None else reference.path
        raise GainerError(f"{nameless}: points need a property gaussian_id; keep that of gainer export --format points")
    if torch.equal(frame.ids, reference.ids):
        return frame
    values, order = frame.ids.sort()
    expected, places = reference.ids.sort()
    if not torch.equal(values, expected) or bool((values[1:] == values[:-1]).any()):
        raise GainerError(
            f"{frame.path}: its gaussian_id are not those of {reference.path.name}; keep each point's number, once"
        )
    moves = torch.empty_like(order)
    moves[places] = order
    gradients = None if frame.gradients is None else frame.gradients[moves]
    return MeshFile(frame.path, frame.vertices[moves], frame.faces, reference.ids, gradients)
