"""A fitted picture as a file of so many bits a number, and what is read back from it: of any method."""

from __future__ import annotations

import tempfile
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import get_args

import torch
from safetensors.torch import save
from torch import Tensor

from gainer_bench.baselines.model import FunctionPicture
from gainer_ns.errors import GainerError
from gainer_ns.rendering.drawable import Drawable
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.picture_files import Bits, load_picture, picture_bytes


def stored_bits(picture: Drawable) -> tuple[Bits, ...]:
    """With how many bits a number it can be stored: baselines as their papers have them, or as half floats."""
    return get_args(Bits) if isinstance(picture, BakedPicture) else (32, 16)


def parameters(picture: Drawable) -> int:
    """How many numbers describe it: those that a file of 32 bits holds."""
    if isinstance(picture, FunctionPicture):
        return sum(_real(value).numel() for value in picture.function.state_dict().values())
    return stored_picture(picture, 32)[0] // 4


def stored_picture(picture: Drawable, bits: Bits) -> tuple[int, Drawable]:
    """Size in bytes of the file, and the picture that is read from it.

    Raises:
        GainerError: If it is of another kind, or so many bits cannot hold it.
    """
    if isinstance(picture, BakedPicture):
        data = picture_bytes(picture, bits)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "picture.safetensors"
            path.write_bytes(data)
            return len(data), load_picture(path).to(picture.device)
    if isinstance(picture, FunctionPicture):
        function = deepcopy(picture.function)
        numbers = {name: _real(value) for name, value in function.state_dict().items()}
        kept = {name: _halved(value) if bits == 16 else value for name, value in numbers.items()}
        for name, value in function.state_dict().items():
            _real(value).copy_(kept[name])
        return len(save({name: value.contiguous().cpu() for name, value in kept.items()})), replace(
            picture, function=function
        )
    raise GainerError(f"{type(picture).__name__}: there is no file format for it")


def _real(value: Tensor) -> Tensor:
    """The same numbers; complex ones as pairs."""
    return torch.view_as_real(value) if value.is_complex() else value


def _halved(value: Tensor) -> Tensor:
    """The same as half floats, if those can hold it."""
    fits = value.is_floating_point() and value.numel() > 0 and float(value.abs().max()) < torch.finfo(torch.half).max
    return value.half() if fits else value
