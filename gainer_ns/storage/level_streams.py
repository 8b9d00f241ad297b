"""Whole numbers of Gaussians as bytes of a file, without loss: along a curve, a column at a time, by LZMA.

Places are cells, in the order of a curve that keeps near what is near (Morton 1966), as the lengths in bits of the
steps between them and then those bits. Of every other column come the least bytes of all numbers, then the next ones.
"""

from __future__ import annotations

import itertools
import lzma
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int, Int64, UInt8
from torch import Tensor

from gainer_ns.gaussians.levels import CURVE_BITS, curve_order
from gainer_ns.gaussians.ordering import morton_cells, morton_codes

_MAX_BYTES = 4
"""Of a number."""
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 0, "lp": 0, "pb": 0, "dict_size": 1 << 16}]
"""Numbers do not follow from those before them, but some are more frequent."""


class LevelStreams(NamedTuple):
    """Levels of Gaussians as a file holds them.

    Attributes:
        sizes: Bytes of each part, one after another: lengths of the steps between places, their bits, columns.
        low: Column and row of the first cell.
        data: The bytes.
    """

    sizes: list[list[int]]
    low: list[int]
    data: UInt8[Tensor, " b"]


def packed_levels(levels: Int[Tensor, "n c"]) -> LevelStreams:
    """Encode levels, the first two columns of which are places; their rows come in another order."""
    levels, low = levels[curve_order(levels)], levels[:, :2].amin(dim=0)
    codes = morton_codes(levels[:, :2] - low, CURVE_BITS)
    steps = codes.diff(prepend=codes.new_zeros(1)).numpy() + 1  # so that each has a first bit, which is 1
    lengths = np.frexp(steps.astype(np.float64))[1] - 1
    parts = [[_compressed(lengths.astype(np.uint8))], [_bits_packed(steps, lengths)]]
    for column in levels[:, 2:].numpy().T:
        folded = np.where(column >= 0, 2 * column, -2 * column - 1)  # signed numbers as 0, 1, 2 ... of both signs
        ranks = range(max(1, -(-int(folded.max()).bit_length() // 8)))
        parts.append([_compressed((folded >> (8 * rank)).astype(np.uint8)) for rank in ranks])
    data = b"".join(b"".join(part) for part in parts)
    sizes = [[len(one) for one in part] for part in parts]
    return LevelStreams(sizes, low.tolist(), torch.frombuffer(bytearray(data), dtype=torch.uint8))


def unpacked_levels(streams: LevelStreams, count: int) -> Int64[Tensor, "n c"]:
    """Decode the same, of so many Gaussians.

    Raises:
        ValueError: If they do not fit together.
        lzma.LZMAError: If bytes are damaged.
    """
    sizes = [[int(size) for size in part] for part in streams.sizes]
    if streams.data.dtype != torch.uint8 or streams.data.dim() != 1 or len(streams.low) != 2 or len(sizes) < 2:
        raise ValueError("its levels do not fit together")
    if min(min(part) for part in sizes) < 0 or max(len(part) for part in sizes) > _MAX_BYTES:
        raise ValueError("its levels do not fit together")
    if sum(sum(part) for part in sizes) != streams.data.numel():
        raise ValueError("its levels do not fit together")
    bounds = np.cumsum([0, *(size for part in sizes for size in part)])
    data, begun = streams.data.numpy().tobytes(), itertools.pairwise(bounds)
    parts = [[data[slice(*next(begun))] for _ in part] for part in sizes]
    (lengths,), (bits,), *columns = parts
    steps = _bits_unpacked(bits, _decompressed(lengths, count)) - 1
    codes = np.cumsum(steps)
    if count and not 0 <= int(codes[-1]) < 1 << (2 * CURVE_BITS):
        raise ValueError("its places lead nowhere")
    low = torch.tensor([int(one) for one in streams.low])
    found = [morton_cells(torch.from_numpy(codes), CURVE_BITS) + low]
    for column in columns:
        folded = sum(_decompressed(one, count).astype(np.int64) << (8 * rank) for rank, one in enumerate(column))
        found.append(torch.from_numpy(np.where(folded & 1, -(folded >> 1) - 1, folded >> 1))[:, None])
    return torch.cat(found, dim=1)


def _compressed(numbers: UInt8[np.ndarray, " n"]) -> bytes:
    return lzma.compress(numbers.tobytes(), lzma.FORMAT_RAW, filters=_FILTERS)


def _decompressed(data: bytes, count: int) -> UInt8[np.ndarray, " n"]:
    numbers = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS).decompress(data, count + 1)
    if len(numbers) != count:
        raise ValueError("it does not hold as many numbers as it says")
    return np.frombuffer(numbers, np.uint8)


def _bits_packed(numbers: Int64[np.ndarray, " n"], lengths: Int64[np.ndarray, " n"]) -> bytes:
    """Return the bits of numbers behind the first one of each, the highest first."""
    rank = _ranks(lengths)
    return np.packbits((np.repeat(numbers, lengths) >> rank & 1).astype(np.uint8)).tobytes()


def _bits_unpacked(data: bytes, lengths: UInt8[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    lengths = lengths.astype(np.int64)
    if lengths.max(initial=0) > 2 * CURVE_BITS or -(-int(lengths.sum()) // 8) != len(data):
        raise ValueError("its places do not fit together")
    rank = _ranks(lengths)
    bits = np.unpackbits(np.frombuffer(data, np.uint8), count=len(rank)).astype(np.int64) << rank
    sums = np.concatenate([[0], np.cumsum(bits)])
    ends = np.cumsum(lengths)
    return (sums[ends] - sums[ends - lengths]) + (np.int64(1) << lengths)


def _ranks(lengths: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " b"]:
    """Return, for every bit of numbers of these lengths, how many of its number follow."""
    return np.repeat(np.cumsum(lengths), lengths) - 1 - np.arange(int(lengths.sum()))
