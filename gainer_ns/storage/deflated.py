"""Tensors of a file in few bytes: what repeats is stored once, the rest by zlib."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

_DTYPES = {
    "U8": torch.uint8,
    "F16": torch.float16,
    "F32": torch.float32,
    "F64": torch.float64,
    "I32": torch.int32,
    "I64": torch.int64,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_LEVEL = 6
"""Of zlib."""
_MAX_DIMENSIONS = 4


def deflated(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Encode tensors.

    Bytes of the same rank lie together, since those of a tensor's numbers that change least are alike.

    Args:
        tensors: By name, on the processor.

    Returns:
        For the header, by name: type, shape, and under which name the bytes are; and those bytes.
    """
    header: dict[str, Any] = {}
    found: dict[str, Tensor] = {}
    known: dict[bytes, str] = {}
    for name, tensor in tensors.items():
        numbers = np.ascontiguousarray(tensor.detach().numpy()).reshape(-1)
        planes = numbers.view(np.uint8).reshape(len(numbers), numbers.itemsize).T
        data = zlib.compress(planes.tobytes(), _LEVEL)
        under = known.setdefault(data, name)
        if under == name:
            found[name] = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        header[name] = [_NAMES[tensor.dtype], list(tensor.shape), under]
    return header, found


def inflated(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Decode the same.

    Raises:
        ValueError: If they do not fit together.
        zlib.error: If bytes are damaged.
    """
    return {
        name: _inflated(tensors[under], _DTYPES[kind], [int(length) for length in shape])
        for name, (kind, shape, under) in header.items()
    }


def _inflated(data: UInt8[Tensor, " b"], dtype: torch.dtype, shape: list[int]) -> Tensor:
    if data.dtype != torch.uint8 or len(shape) > _MAX_DIMENSIONS or min(shape, default=1) < 0:
        raise ValueError("its numbers do not fit together")
    count, size = math.prod(shape), dtype.itemsize
    stream = zlib.decompressobj()
    planes = stream.decompress(data.numpy().tobytes(), count * size + 1)
    if len(planes) != count * size or not stream.eof:
        raise ValueError("it does not hold as many numbers as it says")
    numbers = np.frombuffer(planes, np.uint8).reshape(size, count).T.copy()
    return torch.from_numpy(numbers).view(-1).view(dtype).view(shape)
