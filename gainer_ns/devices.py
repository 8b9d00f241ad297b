"""Which of the machine's devices is used where nobody says."""

from typing import Literal

import torch


def best_device() -> Literal["cuda", "cpu"]:
    """The graphics card where there is one that torch can use, or else the processor."""
    return "cuda" if torch.cuda.is_available() else "cpu"
