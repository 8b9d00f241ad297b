"""Choose a device, and refuse one that is not there."""

from typing import Literal

import torch

from gainer_ns.errors import GainerError


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
