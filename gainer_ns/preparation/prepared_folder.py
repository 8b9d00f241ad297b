"""The folder beside a photo where its preparation is kept: its name, its notes, and whether it can be written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from gainer_ns.errors import GainerError
from gainer_ns.io.depth_files import Units
from gainer_ns.io.files import cannot_write
from gainer_ns.io.json_files import read_object
from gainer_ns.io.left_over import temporary_name
from gainer_ns.preparation.focal_length import check_focal_length

VERSION = 1
"""Of camera.json."""
CAMERA, DEPTH, MASK, PREVIEW = "camera.json", "depth.npy", "mask.png", "preview.jpg"


def folder_for(picture: Path) -> Path:
    """The folder beside a picture where its preparation is kept."""
    return picture.with_name(f"{picture.stem}_lift")


def resolve_source(path: Path) -> tuple[Path, Path | None]:
    """The picture that is meant by a picture's path or by that of a prepared folder.

    Args:
        path: What the user named.

    Returns:
        The picture, and the prepared folder if that was named. The picture is the file that its camera.json names,
        looked for beside the folder, in it, and last where it lay when it was prepared.

    Raises:
        GainerError: It is another folder, or the picture is gone.
    """
    path = Path(path)
    if not path.is_dir():
        return path, None
    if not (path / CAMERA).is_file():
        raise GainerError(f"{path}: is a folder without {CAMERA}; name a picture, or a folder of gainer prepare")
    notes = read_camera(path)
    beside = Path(os.path.abspath(path)).parent
    places = [beside / notes["picture"], path / notes["picture"], Path(notes["picture_path"])]
    for place in places:
        if place.is_file():
            return place, path
    raise GainerError(f"{path}: its picture {notes['picture']} is gone; put it beside the folder, or into it")


def read_camera(folder: Path) -> dict[str, Any]:
    """Reads and checks camera.json.

    Returns:
        Its fields, as ``save`` writes them.

    Raises:
        GainerError: It is damaged, of another version, or lacks something.
    """
    path = folder / CAMERA
    again = "run gainer prepare again"
    notes = read_object(path, "what gainer prepare writes", again)
    if notes.get("version") != VERSION:
        raise GainerError(f"{path}: is not of version {VERSION}; {again}")
    wanted: dict[str, type | tuple[type, ...]] = {
        "picture": str,
        "picture_path": str,
        "width": int,
        "height": int,
        "focal_length_px": (int, float),
        "focal_length_by": str,
        "units": str,
        "depth_by": str,
        "mask_by": (str, type(None)),
    }
    for name, kind in wanted.items():
        if name not in notes:
            raise GainerError(f"{path}: lacks {name}; {again}")
        if not isinstance(notes[name], kind) or isinstance(notes[name], bool):
            raise GainerError(f"{path}: its {name} is no {'text' if kind is str else 'number'}; {again}")
    if notes["width"] < 1 or notes["height"] < 1:
        raise GainerError(f"{path}: has a size of {notes['width']} x {notes['height']}; {again}")
    if notes["units"] not in get_args(Units):
        raise GainerError(f"{path}: its units are {notes['units']}, neither metres nor relative; {again}")
    check_focal_length(float(notes["focal_length_px"]), f"{path}: focal_length_px")
    return notes


@contextmanager
def writable(folder: Path, picture: Path) -> Iterator[None]:
    """A folder that is made and tried before long work begins, and taken away again if the work fails.

    Raises:
        GainerError: Nothing can be written there.
    """
    if any((folder / name).exists() and (folder / name).samefile(picture) for name in (MASK, PREVIEW)):
        raise GainerError(f"{folder}: its {picture.name} would be overwritten; choose another folder with --output")
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    trial = Path(temporary_name(folder / "trial"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial.touch(exist_ok=False)
        trial.unlink()
    except OSError as error:
        remedy = f"run gainer prepare {picture} --output DIR and train with --data DIR"
        raise cannot_write(folder, error, remedy) from error
    try:
        yield
    except BaseException:
        for parent in made:
            try:
                parent.rmdir()
            except OSError:
                break  # something was written there already
        raise


def remove(path: Path) -> None:
    """Removes a file, if it is there.

    Raises:
        GainerError: The folder cannot be written.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise GainerError(f"{path}: cannot be replaced ({reason}); choose another folder") from error


def digest(path: Path) -> str:
    """SHA-256 of a file, by which one knows whether it has changed."""
    with path.open("rb") as file:
        sha256 = hashlib.sha256()
        while block := file.read(1 << 20):
            sha256.update(block)
    return sha256.hexdigest()


def check_there(folder: Path, name: str) -> None:
    """Refuses a folder that lacks a file."""
    if not (folder / name).is_file():
        raise GainerError(f"{folder}: lacks {name}; run gainer prepare again")
