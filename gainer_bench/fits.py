"""One picture fitted through nerfstudio's own trainer, as ns-train does, and timed."""

from __future__ import annotations

import random
import time
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import nerfstudio.scripts.train  # noqa: F401 (what ns-train imports, so that both take the same time to start)
import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.engine.trainer import Trainer
from nerfstudio.plugins.types import MethodSpecification
from nerfstudio.utils import profiler, writer
from torch import Tensor

import gainer_bench.methods
import gainer_ns.methods
from gainer_ns.errors import GainerError
from gainer_ns.fitting.loop import FitLoop
from gainer_ns.image.picture_model import PictureModel, PictureModelConfig
from gainer_ns.image.trainer import PictureTrainerConfig
from gainer_ns.io.image_io import read_picture
from gainer_ns.io.image_writing import write_picture

REPORTED_DB = (40, 50, 60, 77)
"""PSNR in dB whose first time is reported; 77 is what the paper reaches."""


@dataclass(frozen=True)
class Fit:
    """A picture that was fitted."""

    model: PictureModel  # the fitted model
    config: Path  # the run's config.yml
    facts: dict[str, Any]  # what was measured while it was fitted, by the names of the report

    @cached_property
    def rendered(self) -> Float[Tensor, "h w 3"]:
        """Return its colours as they are drawn at its own size, on the CPU."""
        return self.model.fitted().raster()[0].cpu()


def picture_methods() -> dict[str, PictureTrainerConfig]:
    """Return the registered methods for pictures, by name: ``siren`` for ns-train's ``bench-siren``."""
    registered = {**vars(gainer_ns.methods), **vars(gainer_bench.methods)}
    found = [spec.config for spec in registered.values() if isinstance(spec, MethodSpecification)]
    return {
        str(recipe.method_name).removeprefix("bench-"): recipe
        for recipe in found
        if isinstance(recipe, PictureTrainerConfig) and isinstance(recipe.pipeline.model, PictureModelConfig)
    }


def method_config(method: str, data: Path, output: Path) -> PictureTrainerConfig:
    """Return a registered method's own configuration for one picture, without a viewer.

    Args:
        method: Name of a registered 2D method.
        data: The picture file.
        output: Runs are written to its folder ``outputs``.

    Raises:
        GainerError: If the method is not known.
    """
    recipes = picture_methods()
    if method not in recipes:
        raise GainerError(f"--method {method}: there is no such 2D method; choose one of {', '.join(sorted(recipes))}")
    config = deepcopy(recipes[method])
    config.data = config.pipeline.datamanager.data = data
    config.output_dir = output / "outputs"
    config.vis = "tensorboard"
    config.timestamp = datetime.now().strftime("%Y-%m-%d_%H%M%S_%f")
    return config


def cropped(image: Path, crop: tuple[int, int, int, int], folder: Path) -> Path:
    """Cut a picture, keeping its bit depth and alpha, and write the part to a PNG in a folder.

    Args:
        image: The picture file.
        crop: (x0, y0, x1, y1) in pixels, x1 and y1 exclusive.
        folder: Where to write; made if it does not exist.

    Raises:
        GainerError: If the crop is not a part of the picture.
    """
    picture = read_picture(image)
    x0, y0, x1, y1 = crop
    if not (0 <= x0 < x1 <= picture.width and 0 <= y0 < y1 <= picture.height):
        raise GainerError(
            f"{image}: --crop {x0} {y0} {x1} {y1} is no part of {picture.width} x {picture.height} pixels; "
            "give it as X0 Y0 X1 Y1 inside the picture"
        )
    part = slice(y0, y1), slice(x0, x1)
    path = folder / f"{image.stem}-{x0}-{y0}-{x1}-{y1}.png"
    opacity = None if picture.alpha is None else picture.opacity()[part]
    write_picture(path, picture.colours()[part], opacity, bit_depth=picture.bit_depth, profile=picture.profile)
    return path


def fitted(config: PictureTrainerConfig, *, began: float) -> Fit:
    """Fit a picture as ns-train does, and keep the run.

    Args:
        config: What to fit, and how.
        began: When work on this picture began, in seconds since the epoch.
    """
    writer.EVENT_WRITERS.clear()  # those of an earlier fit in this process would go on writing
    writer.EVENT_STORAGE.clear()
    profiler.PROFILER.clear()
    random.seed(config.machine.seed)
    np.random.seed(config.machine.seed)  # noqa: NPY002 (nerfstudio draws from the global generator)
    torch.manual_seed(config.machine.seed)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    config.save_config()
    trainer: Trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    saving = _time_spent_saving(trainer)
    start, started = time.time() - began, time.monotonic()
    trainer.train()
    seconds = time.monotonic() - started - sum(saving)
    model = cast(PictureModel, trainer.pipeline.model)
    account = model._fit
    assert isinstance(account, FitLoop)
    model.eval()
    first = {dB: next((entry for entry in account.history if entry[2] >= dB), None) for dB in REPORTED_DB}
    facts = {
        "iterations": trainer.pipeline.datamanager.train_count,
        "seconds": {"start": start, **account.seconds, "fit": sum(account.seconds.values()), "loop": seconds},
        "reached": {
            str(dB): None if entry is None else {"iterations": entry[0] + 1, "seconds": entry[1]}
            for dB, entry in first.items()
        },
        "history": account.history,
        "threads": torch.get_num_threads(),
        "peak_mib": peak_mib(),
        "gpu_peak_mib": torch.cuda.max_memory_allocated() / 2**20 if model.device.type == "cuda" else None,
    }
    return Fit(model, config.get_base_dir() / "config.yml", facts)


def peak_mib() -> float:
    """Return the most MiB that this process ever held; on Linux without what its parent held before it began."""
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10
    except (OSError, StopIteration):
        import resource  # where there is no /proc, as on macOS, the unit is a byte

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _time_spent_saving(trainer: Trainer) -> list[float]:
    """Return seconds of each checkpoint from now on: the list grows as they are written."""
    seconds: list[float] = []
    save = trainer.save_checkpoint

    def timed(step: int) -> None:
        started = time.monotonic()
        save(step)
        seconds.append(time.monotonic() - started)

    trainer.save_checkpoint = timed
    return seconds
