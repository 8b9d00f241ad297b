"""Choose a device where nobody says which."""

from typing import Literal

import torch


def best_device() -> Literal["cuda", "cpu"]:
    """Return "cuda" where torch can use a graphics card, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"
