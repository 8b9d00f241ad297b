"""Order Gaussians so that any first part of them is spread over the whole picture."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

_MORTON_BITS = 16
"""Bits of a coordinate along the curve that runs through all means."""


def spread_order(means: Float[Tensor, "n 2"]) -> Int[Tensor, " n"]:
    """Return indices of Gaussians whose first ones lie evenly among all.

    Ranks along a curve that keeps near what is near (Morton 1966) are taken in the order of their reversed bits: first
    the ends, then the middle, the quarters, and so on (van der Corput 1935).
    """
    count = len(means)
    if count == 0:
        return torch.empty(0, dtype=torch.long, device=means.device)
    low, high = means.amin(dim=0), means.amax(dim=0)
    cell = ((means - low) / (high - low).clamp(min=1e-30) * (2**_MORTON_BITS - 1)).long()
    code = morton_codes(cell, _MORTON_BITS)
    reversed_rank = torch.zeros_like(code)
    rank = torch.arange(count, device=means.device)
    bits = max(1, (count - 1).bit_length())
    for bit in range(bits):
        reversed_rank |= ((rank >> bit) & 1) << (bits - 1 - bit)
    return code.argsort(stable=True)[reversed_rank.argsort()]


def morton_codes(cells: Int[Tensor, "n 2"], bits: int) -> Int[Tensor, " n"]:
    """Return where cells, of so many bits a coordinate, come along a curve that keeps near what is near."""
    code = torch.zeros(len(cells), dtype=torch.long, device=cells.device)
    for bit in range(bits):
        for axis in range(2):
            code |= ((cells[:, axis] >> bit) & 1) << (2 * bit + axis)
    return code


def morton_cells(codes: Int[Tensor, " n"], bits: int) -> Int[Tensor, "n 2"]:
    """Return the cells that :func:`morton_codes` are of."""
    cells = torch.zeros(len(codes), 2, dtype=torch.long, device=codes.device)
    for bit in range(bits):
        for axis in range(2):
            cells[:, axis] |= ((codes >> (2 * bit + axis)) & 1) << bit
    return cells
