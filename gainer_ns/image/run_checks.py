"""What can be wrong with a run beside its picture: options, machine, names, output folder, and what it goes on from.

What is refused is so by a GainerError of one line.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from nerfstudio.configs.base_config import MachineConfig
from nerfstudio.engine.trainer import TrainerConfig

from gainer_ns.errors import GainerError
from gainer_ns.fields.hash_grid import MAX_FEATURES
from gainer_ns.fields.knn_encoding import MAX_NEIGHBOURS
from gainer_ns.image.checkpoints import is_whole, newest_whole_checkpoint
from gainer_ns.io.files import cannot_write

SPARE_BYTES = 64 << 20
"""Room for a run beside its checkpoint: configuration and log."""


def check_machine(machine: MachineConfig) -> None:
    """Refuse devices that are not there, and more than one."""
    for option, count in (("num-devices", machine.num_devices), ("num-machines", machine.num_machines)):
        if count != 1:
            raise GainerError(f"--machine.{option} {count}: a picture is fitted on one device; leave the option out")
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}.get(machine.device_type)
    if there is not None and not there():
        raise GainerError(
            f"--machine.device-type {machine.device_type}: torch {torch.__version__} finds no such device here; "
            "leave the option out, or look after its driver"
        )


def check_names(config: TrainerConfig, picture: Path) -> None:
    """Refuse runs outside the output folder, and names that the configuration and the log cannot hold."""
    folder, outputs = os.path.normpath(config.get_base_dir()), os.path.normpath(config.output_dir)
    if os.path.commonpath([folder, outputs]) != outputs:
        raise GainerError(f"{folder}: lies outside {outputs}; choose another --experiment-name or --timestamp")
    for path in (picture, Path(folder)):
        if any("\ud800" <= letter <= "\udfff" for letter in str(path)):  # as Python holds such names
            raise GainerError(f"{path}: is a name that is not UTF-8, which a run cannot keep; rename it")


def check_output(folder: Path, needed: int = SPARE_BYTES) -> None:
    """Refuse an output folder that cannot be written, or that has no room.

    Args:
        folder: Made if it does not exist.
        needed: Bytes that must be free.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"probe")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise cannot_write(folder, error, "choose another --output-dir") from error
    if free < needed:
        raise GainerError(
            f"{folder}: {free >> 20} MiB are free there, at least {needed >> 20} are needed; "
            "free some space or choose another --output-dir"
        )


def check_start(config: TrainerConfig) -> None:
    """Choose the checkpoint that the run goes on from, if it does."""
    if config.load_dir is not None:
        config.load_step = newest_whole_checkpoint(config.load_dir, config.load_step)
    elif config.load_checkpoint is not None and not is_whole(config.load_checkpoint):
        raise GainerError(f"{config.load_checkpoint}: not a whole checkpoint; choose another one")


_USUAL_BOUNDS = 0, 10**9
"""From where to where numbers go, both included."""
_BOUNDS: dict[str, tuple[float, float]] = {
    "betas": (0, 1 - 1e-9),
    "feature_dim": (1, MAX_FEATURES),
    "features": (1, MAX_FEATURES),
    "finest": (0, 1000),
    "frequencies": (1, 2**16),
    "gaussians_per_pixel": (0, 1000),
    "hidden_dim": (1, 2**16),
    "hidden_layers": (0, 1000),
    "hidden_omega": (1e-6, 1e6),
    "kernels_per_pixel": (0, 1000),
    "neighbours": (1, MAX_NEIGHBOURS),
    "num_gaussians": (1, 10**9),
    "num_neighbours": (1, MAX_NEIGHBOURS),
    "omega": (1e-6, 1e6),
    "pixels_per_step": (1, 10**9),
    "principal_point": (-1e6, 1e6),
    "seed": (0, 2**32 - 1),
    "sigma": (1e-3, 1e3),
    "train_num_rays_per_batch": (1, 10**9),
}
"""The same where it differs, by the last word of an option."""
_CHECKED_ELSEWHERE = {"box", "click", "exclude", "mask_label", "sources"}
"""What has a check of its own, that knows the picture; or is none of the user's options."""


def check_bounds(config: TrainerConfig) -> None:
    """Refuse options of a run that are no number, endless, or out of bounds.

    Of nerfstudio's own options only those of the optimizers and the machine are looked at: others have no meaning here.
    """
    for part, everything in (("pipeline", False), ("optimizers", True), ("machine", True)):
        for words, value in _numbers(getattr(config, part), (part,), everything):
            low, high = _BOUNDS.get(words[-1], _USUAL_BOUNDS)
            if not (low <= value <= high and math.isfinite(value)):
                option = ".".join(words).replace("_", "-")
                raise GainerError(f"--{option} {value:g}: choose a number from {low:g} to {high:g}")


def _numbers(found: Any, words: tuple[str, ...], everything: bool) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield all numbers in a configuration, with the words of their options; by default those of this package."""
    if is_dataclass(found) and not isinstance(found, type):
        for field in fields(found):
            value = getattr(found, field.name)
            asked = everything or is_dataclass(value) or _is_ours(found, field.name)
            if asked and field.name not in _CHECKED_ELSEWHERE:
                yield from _numbers(value, (*words, field.name), everything)
    elif isinstance(found, dict):
        for word, value in found.items():
            yield from _numbers(value, (*words, word), everything)
    elif isinstance(found, tuple):
        for value in found:
            yield from _numbers(value, words, everything)
    elif isinstance(found, int | float) and not isinstance(found, bool):
        yield words, found


def _is_ours(config: Any, name: str) -> bool:
    return any(
        kind.__module__.startswith("gainer_") and name in vars(kind).get("__annotations__", ())
        for kind in type(config).__mro__
    )
