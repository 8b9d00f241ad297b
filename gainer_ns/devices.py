"""Choose a device, and refuse one that is not there."""

from typing import Literal

import torch

from gainer_ns.errors import GainerError

_GPU_BLOCK = 16
"""How many times as much a GPU works on at once as a processor, whose cache a block is to fit."""


def block_size(on_cpu: int, device: torch.device) -> int:
    """Return how many points, rows or the like are worked on at once, given how many of them fit a processor's cache.

    A GPU has many threads to keep busy, waits at the end of each block, and needs blocks only to bound its memory.
    """
    return on_cpu if device.type == "cpu" else _GPU_BLOCK * on_cpu


def best_device() -> Literal["cuda", "cpu"]:
    """Return "cuda" where torch can use a graphics card, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def checked_device(device: torch.device | str) -> torch.device:
    """Return a device by its name.

    Raises:
        GainerError: If this machine has none such.
    """
    try:
        found = torch.device(device)
    except RuntimeError:
        raise GainerError(f"device {device}: is none that torch knows; give cpu, cuda, or leave it out") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise GainerError(f"device {device}: torch finds no CUDA here; give cpu, or leave it out")
    return found
