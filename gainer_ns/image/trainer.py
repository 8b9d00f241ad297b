"""nerfstudio's trainer configuration, with names and checks that suit single pictures."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.utils.rich_utils import CONSOLE

from gainer_ns.errors import GainerError
from gainer_ns.image.model import GainerModelConfig


@dataclass
class PictureTrainerConfig(TrainerConfig):
    """nerfstudio's trainer, whose runs are named after the picture and can be loaded from any folder."""

    def set_experiment_name(self) -> None:
        """Names the run after the picture's file, where nerfstudio takes its folder, and makes its paths absolute."""
        data = self.pipeline.datamanager.data
        self.output_dir = self.output_dir.absolute()
        if data is None:
            return super().set_experiment_name()
        self.pipeline.datamanager.data = data.absolute()
        if self.experiment_name is None:
            self.experiment_name = data.stem

    def setup(self, **kwargs: Any) -> Any:
        """Makes the trainer, after a look at what can go wrong.

        Raises:
            GainerError: If the output folder cannot be written, or a checkpoint to load is not whole.
        """
        check_output(self.get_base_dir())
        if self.load_dir is not None:
            self.load_step = newest_whole_checkpoint(self.load_dir, self.load_step)
        elif self.load_checkpoint is not None and not _is_whole(self.load_checkpoint):
            raise GainerError(f"{self.load_checkpoint}: not a whole checkpoint; choose another one")
        self._plan()
        return super().setup(**kwargs)

    def _plan(self) -> None:
        """Fits the loop's length, and with it the time left that nerfstudio shows, to the steps of the recipe."""
        model = self.pipeline.model
        assert isinstance(model, GainerModelConfig)
        adam_steps = model.planned_adam_steps
        self.max_num_iterations = min(self.max_num_iterations, adam_steps + model.finish_steps)
        if adam_steps == 0:  # torch warns about schedules of optimizers that never step
            self.optimizers = {name: {**group, "scheduler": None} for name, group in self.optimizers.items()}


def check_output(folder: Path, needed: int = 64 << 20) -> None:
    """Refuses an output folder that cannot be written, or that has no room.

    Args:
        folder: Made if it does not exist.
        needed: Bytes that must be free.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".write-test"
        probe.touch()
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise GainerError(f"{folder}: cannot be written ({error.strerror}); choose another --output-dir") from error
    if free < needed:
        raise GainerError(
            f"{folder}: {free >> 20} MiB are free there, at least {needed >> 20} are needed; "
            "free some space or choose another --output-dir"
        )


def newest_whole_checkpoint(folder: Path, step: int | None) -> int:
    """The step of the newest checkpoint in a folder that was written to its end.

    Args:
        folder: nerfstudio's folder of ``step-*.ckpt`` files.
        step: The step that the user asked for; None for the newest.
    """
    if not folder.is_dir():
        raise GainerError(f"{folder}: no such folder; --load-dir is a run's nerfstudio_models folder")
    pattern = "step-*.ckpt" if step is None else f"step-{step:09d}.ckpt"
    for path in sorted(folder.glob(pattern), reverse=True):
        if _is_whole(path):
            return int(path.stem.removeprefix("step-"))
        CONSOLE.log(f"{path}: cut short, so the checkpoint before it is used", style="yellow")
    raise GainerError(f"{folder}: holds no whole checkpoint {pattern}; choose another --load-dir or --load-step")


def _is_whole(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False
