"""Write safetensors files part by part: the library makes a second copy of all tensors, or opens a path itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

_DTYPES = {
    torch.uint8: "U8",
    torch.uint16: "U16",
    torch.float16: "F16",
    torch.float32: "F32",
    torch.float64: "F64",
    torch.int64: "I64",
}
"""Names of the format, in the order in which it lists them: the widest come first in a file."""
_ALIGNMENT_BYTES = 8


def file_parts(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a safetensors file, the same as the library's: a header, and then every tensor as it lies.

    Args:
        tensors: On the processor, contiguous.
        metadata: Words about them.

    Raises:
        ValueError: If a tensor is of a type that no picture has.
    """
    order = list(_DTYPES)
    names = sorted(tensors, key=lambda name: (-order.index(tensors[name].dtype), name.encode("utf8")))
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name in names:
        value = tensors[name]
        begin, end = end, end + value.nbytes
        header[name] = {"dtype": _DTYPES[value.dtype], "shape": list(value.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf8")
    text += b" " * (-len(text) % _ALIGNMENT_BYTES)
    yield len(text).to_bytes(8, "little") + text
    for name in names:
        yield tensors[name].detach().reshape(-1).view(torch.uint8).numpy().data
