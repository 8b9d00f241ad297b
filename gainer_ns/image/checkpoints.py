"""Which of a run's checkpoints can be loaded, and the picture that is kept of one."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.utils.rich_utils import CONSOLE

from gainer_ns.errors import GainerError
from gainer_ns.image.terminal import say
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.run_pictures import checkpoint_files, save_run_picture


def newest_whole_checkpoint(folder: Path, step: int | None) -> int:
    """Return the step of the newest checkpoint in a folder that was written to its end.

    Args:
        folder: nerfstudio's folder of ``step-*.ckpt`` files.
        step: The step that the user asked for; None for the newest.

    Raises:
        GainerError: If there is none.
    """
    if not folder.is_dir():
        raise GainerError(
            f"{folder}: there is no such folder; name a run's nerfstudio_models folder, and move or copy a run with it"
        )
    steps = dict(checkpoint_files(folder))
    for number, path in steps.items():
        if step not in (None, number):
            continue
        if is_whole(path):
            return number
        CONSOLE.log(f"{path}: is cut short and passed over", style="yellow")
    if step is None:
        inner = folder / "nerfstudio_models"
        remedy = f"name {inner}" if inner.is_dir() else "fit the picture again"
        raise GainerError(f"{folder}: holds no whole checkpoint; {remedy}")
    others = ", ".join(str(number) for number in sorted(steps) if number != step)
    remedy = f"there are those of steps {others}" if others else "fit the picture again"
    raise GainerError(f"{folder}: holds no whole checkpoint of step {step}; {remedy}")


def unpacked_bytes(path: Path) -> int:
    """Return how much a whole checkpoint holds: it may be packed."""
    with zipfile.ZipFile(path) as archive:
        return sum(each.file_size for each in archive.infolist())


def is_whole(path: Path) -> bool:
    """Return whether a checkpoint was written to its end, and nothing in it has changed since."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile):
        return False


def keep_picture(fitted: Any, options: TrainerConfig, checkpoint: Path) -> None:
    """Keep what was fitted beside a run's config.yml, where it is drawn without nerfstudio.

    That goes for pictures of Gaussians on a plane, as the newest checkpoint has them. A failure costs only the time
    that is saved later.
    """
    config = options.get_base_dir() / "config.yml"
    is_chosen = options.load_dir is None and options.load_step is not None  # another than the newest, whatever comes
    if is_chosen or not isinstance(fitted, BakedPicture):
        return
    if not (config.is_file() and checkpoint.is_relative_to(config.parent)):
        return
    try:
        save_run_picture(fitted, config, checkpoint)
    except GainerError as error:
        say(f"{error}; commands read the checkpoint instead", style="yellow")
