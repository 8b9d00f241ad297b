"""Sequences that ``gainer simulate`` or other programs have left, as pictures that move."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gainer_ns.editing.bound_picture import BoundPicture
from gainer_ns.errors import GainerError
from gainer_ns.io.mesh_frames import check_frames, frame_files, in_order
from gainer_ns.io.meshes import MESH_SUFFIXES, MeshFile, read_mesh
from gainer_ns.rendering.plane import BakedPicture

FRAMES = "frames"
"""The folder of moved meshes or points, beside the unmoved one."""


def is_sequence(folder: Path) -> bool:
    """Return whether a folder holds an unmoved mesh or points, and frames of it."""
    return (folder / FRAMES).is_dir() and any(path.suffix.lower() in MESH_SUFFIXES for path in folder.iterdir())


def play_sequence(folder: Path, picture: BakedPicture) -> Callable[[float], BakedPicture]:
    """Open a sequence as a picture that moves with it.

    Args:
        folder: What :func:`is_sequence` found.
        picture: As it was fitted.

    Returns:
        The picture at times from 0, the first frame, to 1, the last.

    Raises:
        GainerError: The files do not fit one another or the picture. The picture at a time raises it too.
    """
    unmoved = [path for path in folder.iterdir() if path.suffix.lower() in MESH_SUFFIXES]
    if len(unmoved) != 1:
        names = ", ".join(sorted(path.name for path in unmoved))
        raise GainerError(f"{folder.name}: one mesh or point set is to stand beside {FRAMES}, not {names or 'none'}")
    reference = read_mesh(unmoved[0])
    files = frame_files(folder / FRAMES)
    check_frames(files, reference)
    bound = BoundPicture(picture, reference)

    def at(time: float) -> BakedPicture:
        return bound.at(_read(files[round(time * (len(files) - 1))], reference).vertices)

    return at


def _read(path: Path, reference: MeshFile) -> MeshFile:
    frame = read_mesh(path)
    return in_order(frame, reference) if len(frame.faces) == 0 else frame
