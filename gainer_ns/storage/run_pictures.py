"""Keep what a run of ns-train has fitted beside its config.yml, drawn without the run's own programs.

The file says which configuration and which checkpoint it was made of, by what is in them. It counts only as long as
these are the configuration and the checkpoint that would be loaded otherwise, the newest whole one: whoever fits on,
edits, moves or copies a run gets what the checkpoint holds, never an older picture.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path, PurePath
from typing import Any

from gainer_ns.errors import GainerError
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.picture_files import load_picture, picture_header, save_picture

_MAX_CONFIG_BYTES = 2**20
"""A longer config.yml is none."""
RUN_PICTURE = "picture.safetensors"
"""Name of the file."""


def checkpoint_files(folder: Path) -> list[tuple[int, Path]]:
    """Return step and path of the checkpoints in nerfstudio's folder, the newest first."""
    found = {int(path.stem.removeprefix("step-")): path for path in folder.glob("step-[0-9]*.ckpt")}
    return sorted(found.items(), reverse=True)


def save_run_picture(picture: BakedPicture, config: Path, checkpoint: Path) -> None:
    """Keep the picture that a checkpoint of a run holds.

    Args:
        picture: As it was fitted.
        config: The run's config.yml.
        checkpoint: Below the folder of that.

    Raises:
        GainerError: If it cannot be written.
    """
    folder = checkpoint.parent.relative_to(config.parent)
    save_picture(picture, config.with_name(RUN_PICTURE), run=_mark(config, folder))


def load_run_picture(config: Path) -> BakedPicture | None:
    """Return the picture that is kept beside a config.yml; None where there is none of the run as it is now."""
    path = config.with_name(RUN_PICTURE)
    if not path.is_file() or not config.is_file() or config.stat().st_size > _MAX_CONFIG_BYTES:
        return None
    try:
        mark = picture_header(path)["run"]
        folder = PurePath(mark["checkpoints"])
        if folder.is_absolute() or ".." in folder.parts or mark["step"] is None or mark != _mark(config, folder):
            return None
        return load_picture(path)
    except (GainerError, LookupError, TypeError, ValueError, OSError):
        return None  # the checkpoint is there, or says what is wrong


def _mark(config: Path, folder: PurePath) -> dict[str, Any]:
    """Return by what a picture knows its run: the configuration, and the newest checkpoint that ends as it should."""
    found = ((step, _contents(path)) for step, path in checkpoint_files(config.parent / folder))
    step, contents = next((one for one in found if one[1] is not None), (None, None))
    configuration = hashlib.sha256(config.read_bytes()).hexdigest()
    return {"config": configuration, "checkpoints": folder.as_posix(), "step": step, "contents": contents}


def _contents(checkpoint: Path) -> str | None:
    """Return a digest of the checksums of a checkpoint's parts, which stand at its end; None where that is missing."""
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            parts = [(part.filename, part.CRC, part.file_size) for part in archive.infolist()]
    except (OSError, ValueError, zipfile.BadZipFile):
        return None
    return hashlib.sha256(repr(parts).encode()).hexdigest()
