"""What can be wrong with a run beside its picture: machine, names, output folder and what it goes on from."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import torch
from nerfstudio.configs.base_config import MachineConfig
from nerfstudio.engine.trainer import TrainerConfig

from gainer_ns.errors import GainerError
from gainer_ns.image.checkpoints import is_whole, newest_whole_checkpoint
from gainer_ns.io.files import cannot_write

SPARE_BYTES = 64 << 20
"""Room for a run beside its checkpoint: configuration and log."""


def check_machine(machine: MachineConfig) -> None:
    """Refuses devices that are not there, and more than one.

    Raises:
        GainerError: If it is so.
    """
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
    """Refuses runs outside the output folder, and names that the configuration and the log cannot hold.

    Raises:
        GainerError: If it is so.
    """
    folder, outputs = os.path.normpath(config.get_base_dir()), os.path.normpath(config.output_dir)
    if os.path.commonpath([folder, outputs]) != outputs:
        raise GainerError(f"{folder}: lies outside {outputs}; choose another --experiment-name or --timestamp")
    for path in (picture, Path(folder)):
        if any("\ud800" <= letter <= "\udfff" for letter in str(path)):  # as Python holds such names
            raise GainerError(f"{path}: is a name that is not UTF-8, which a run cannot keep; rename it")


def check_output(folder: Path, needed: int = SPARE_BYTES) -> None:
    """Refuses an output folder that cannot be written, or that has no room.

    Args:
        folder: Made if it does not exist.
        needed: Bytes that must be free.

    Raises:
        GainerError: If either is so.
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
    """Chooses the checkpoint that the run goes on from, if it does.

    Raises:
        GainerError: If there is no whole one.
    """
    if config.load_dir is not None:
        config.load_step = newest_whole_checkpoint(config.load_dir, config.load_step)
    elif config.load_checkpoint is not None and not is_whole(config.load_checkpoint):
        raise GainerError(f"{config.load_checkpoint}: not a whole checkpoint; choose another one")
