"""Animations as folders of numbered mesh files, each frame checked against the unmoved mesh."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.io.meshes import ID_PROPERTY, MESH_SUFFIXES, MeshFile, announced_counts, read_mesh

MAX_SIZE_RATIO = 8.0
"""How many times larger or smaller than the reference a first frame may be without a word."""
MAX_MIRROR_MISFIT = 0.1
"""By how much of its size a frame may differ from the reference, moved as a whole, to be known as its mirror image."""

_NUMBER = re.compile(r"(\d+)$")
_logger = logging.getLogger(__name__)


def frame_files(folder: Path) -> list[Path]:
    """List the numbered PLY or OBJ files of a folder, by number; other files there are left alone.

    Raises:
        GainerError: If there are none, a number is missing or there twice, or two kinds are mixed.
    """
    if not folder.is_dir():
        raise GainerError(f"{folder}: there is no such folder; give the one that holds the exported frames")
    files = [path for path in folder.iterdir() if path.suffix.lower() in MESH_SUFFIXES and path.is_file()]
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


def check_frames(files: Iterable[Path], reference: MeshFile) -> None:
    """Compare what frames announce with the reference, so that a long animation is refused before any of it is drawn.

    Raises:
        GainerError: If a frame has another number of vertices than the reference.
    """
    for path in files:
        count = announced_counts(path).get("vertex", len(reference.vertices))
        if count != len(reference.vertices):
            refuse_count(path, count, reference)


def read_frames(files: Iterable[Path], reference: MeshFile) -> Iterator[MeshFile]:
    """Read frames one after another, each checked against the reference.

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
    """Refuse a frame that has not as many vertices as its reference.

    Raises:
        GainerError: Always.
    """
    raise GainerError(
        f"{path}: {count:,} vertices, and {reference.path.name} has {len(reference.vertices):,}; frames must be the "
        "reference itself, moved, with none added, removed or merged"
    )


def in_order(frame: MeshFile, reference: MeshFile) -> MeshFile:
    """Return the points of a frame in the order of the reference.

    Raises:
        GainerError: If their numbers are missing, or not those of the reference.
    """
    if frame.ids is None or reference.ids is None:
        nameless = frame.path if frame.ids is None else reference.path
        raise GainerError(
            f"{nameless}: points need a property {ID_PROPERTY}; keep that of gainer export --format points"
        )
    if torch.equal(frame.ids, reference.ids):
        return frame
    values, order = frame.ids.sort()
    expected, places = reference.ids.sort()
    if not torch.equal(values, expected) or bool((values[1:] == values[:-1]).any()):
        refuse_ids(frame.path, reference)
    moves = torch.empty_like(order)
    moves[places] = order
    gradients = None if frame.gradients is None else frame.gradients[moves]
    return replace(frame, vertices=frame.vertices[moves], ids=reference.ids, gradients=gradients)


def refuse_ids(path: Path, reference: MeshFile) -> NoReturn:
    """Refuse a frame whose points are not those of its reference.

    Raises:
        GainerError: Always.
    """
    raise GainerError(
        f"{path}: its {ID_PROPERTY} are not those of {reference.path.name}; keep each point's number, once"
    )


def check_first_frame(frame: MeshFile, reference: MeshFile) -> None:
    """Refuse a first frame that stands upright where the reference lies flat, and warn of other odd places.

    Raises:
        GainerError: If it stands upright.
    """
    lying, standing = (float(axis.max() - axis.min()) for axis in (frame.vertices[:, 1], frame.vertices[:, 2]))
    before, after = reference.vertices[:, :2].double(), frame.vertices[:, :2].double()
    width, height = extents(before)
    if lying < 1e-3 * height and standing > 0.1 * height:
        raise GainerError(
            f"{frame.path}: the mesh stands upright, and is looked at from above; export with the axes of the import "
            "(forward Y, up Z)"
        )
    name, size = reference.path.name, max(width, height)
    ratio = max(extents(after)) / size if size > 0 else 1.0
    gap = torch.maximum(after.amin(dim=0) - before.amax(dim=0), before.amin(dim=0) - after.amax(dim=0))
    if not 1 / MAX_SIZE_RATIO <= ratio <= MAX_SIZE_RATIO:
        problem = f"is {ratio:.3g} times as large as {name}; if that is not meant, export both in the same units"
    elif float(gap.max()) > size:
        problem = f"lies far away from {name}; if that is not meant, export both where the cage was"
    elif _is_mirrored(before, after):
        problem = f"is {name} mirrored; if that is not meant, export both with the same axes, x right and y up"
    else:
        return
    _logger.warning("%s: %s", frame.path, problem)


def extents(points: Float[Tensor, "n d"]) -> tuple[float, float]:
    """Return width and height of the box around points."""
    width, height = (points[:, :2].amax(dim=0) - points[:, :2].amin(dim=0)).tolist()
    return width, height


def _is_mirrored(before: Float[Tensor, "v 2"], after: Float[Tensor, "v 2"]) -> bool:
    """Return whether points have moved as a whole, to the other side."""
    before, after = before - before.mean(dim=0), after - after.mean(dim=0)
    moved = torch.linalg.lstsq(before, after).solution
    apart = (before @ moved - after).square().sum() / after.square().sum().clamp(min=1e-300)
    return bool(torch.linalg.det(moved) < 0) and float(apart) < MAX_MIRROR_MISFIT**2
