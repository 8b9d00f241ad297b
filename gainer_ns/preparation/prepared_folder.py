"""The folder beside a photo where its preparation is kept: its name, its notes, and whether it can be written."""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typing_extensions import NotRequired, TypedDict

from gainer_ns.errors import GainerError
from gainer_ns.io.depth_kinds import DepthUnits
from gainer_ns.io.files import cannot_write, temporary_name
from gainer_ns.io.json_files import read_object
from gainer_ns.preparation.config import DepthConfig, Key
from gainer_ns.preparation.focal_length import check_focal_length

logger = logging.getLogger(__name__)

VERSION = 1
"""Of camera.json."""
CAMERA, DEPTH, MASK, PREVIEW = "camera.json", "depth.npy", "mask.png", "preview.jpg"
CUT_OUT = "cutout.png"
"""What a matted mask cuts out, in its own colours."""
_AGAIN = "run gainer prepare again"


class FolderNotes(TypedDict):
    """What camera.json says."""

    version: int
    picture: str
    picture_path: str
    picture_sha256: NotRequired[str | None]
    width: int
    height: int
    focal_length_px: float
    focal_length_by: str
    units: DepthUnits
    depth_by: str
    mask_by: str | None
    requests: NotRequired[dict[str, Any]]
    """The keys of what was computed: of the depth under ``depth``, of the mask under ``prompt``."""
    sha256: NotRequired[dict[str, str]]
    """Of the files as they were written, by their names; older folders do not note them."""


def folder_for(picture: Path) -> Path:
    """Return the folder beside a picture where its preparation is kept."""
    return picture.with_name(f"{picture.stem}_lift")


def resolve_source(path: Path) -> tuple[Path, Path | None]:
    """Find the picture that is meant by a picture's path or by that of a prepared folder.

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
    for place in (beside / notes["picture"], path / notes["picture"], Path(notes["picture_path"])):
        if place.is_file():
            return place, path
    raise GainerError(f"{path}: its picture {notes['picture']} is gone; put it beside the folder, or into it")


def read_camera(folder: Path) -> FolderNotes:
    """Read camera.json.

    Raises:
        GainerError: It is damaged, of another version, or lacks something.
    """
    from pydantic import TypeAdapter, ValidationError

    path = folder / CAMERA
    said = read_object(path, "what gainer prepare writes", _AGAIN)
    if said.get("version") != VERSION:
        raise GainerError(f"{path}: is not of version {VERSION}; {_AGAIN}")
    try:
        notes = TypeAdapter(FolderNotes).validate_python(said, strict=True)
    except ValidationError as error:
        wrong = error.errors()[0]
        name = ".".join(str(part) for part in wrong["loc"])
        raise GainerError(f"{path}: its {name} is wrong ({wrong['msg']}); {_AGAIN}") from error
    if notes["width"] < 1 or notes["height"] < 1:
        raise GainerError(f"{path}: has a size of {notes['width']} x {notes['height']}; {_AGAIN}")
    check_focal_length(notes["focal_length_px"], f"{path}: focal_length_px")
    return notes


def depth_key_in(notes: FolderNotes) -> Key | None:
    """Return what the depth was computed from; older folders note the model alone."""
    requests = notes.get("requests", {})
    model = requests.get("depth_model")
    return requests.get("depth", None if model is None else DepthConfig(model=model).key)


@contextmanager
def writable(folder: Path, picture: Path) -> Iterator[None]:
    """Make and try a folder before long work begins, and take it away again if the work fails.

    Raises:
        GainerError: Nothing can be written there.
    """
    if any((folder / name).exists() and (folder / name).samefile(picture) for name in (MASK, PREVIEW, CUT_OUT)):
        raise GainerError(f"{folder}: its {picture.name} would be overwritten; choose another folder with --output")
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    trial = Path(temporary_name(folder))
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


def set_aside_edited(folder: Path, name: str, written: dict[str, str] | None) -> None:
    """Rename a file that a person has changed since it was written, so that nothing overwrites it.

    Args:
        folder: The prepared folder.
        name: Of the file.
        written: SHA-256 of the folder's files as they were written; None where an older version has noted none.

    Raises:
        GainerError: The folder cannot be written.
    """
    path = folder / name
    if written is None or not path.is_file() or sha256_of(path) == written.get(name):
        return
    names = (path.with_stem(f"{path.stem}_edited{number}") for number in itertools.count(1))
    kept = next(other for other in names if not other.exists())
    with _replaceable(path):
        path.rename(kept)
    logger.warning("%s: was changed by hand, and is now %s", path, kept.name)


def remove(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        GainerError: The folder cannot be written.
    """
    with _replaceable(path):
        path.unlink(missing_ok=True)


@contextmanager
def _replaceable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise GainerError(f"{path}: cannot be replaced ({reason}); choose another folder") from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, by which one knows whether it has changed."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_prepared_file(folder: Path, name: str) -> None:
    """Refuse a folder that lacks a file."""
    if not (folder / name).is_file():
        raise GainerError(f"{folder}: lacks {name}; {_AGAIN}")
