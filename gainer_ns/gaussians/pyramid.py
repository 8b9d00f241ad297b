"""Tables of the nodes' own values at full, half and quarter resolution and so on, for what shrinks much."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

SHARPENING = 0.1
"""Weight, less than 0, of both neighbours in a level: what averaging over texels and reading between them blurs."""


def level_count(columns: int, rows: int) -> int:
    """Return how many levels a pyramid over a grid has: the last has a single texel along the shorter side."""
    return min(columns, rows).bit_length()


@torch.no_grad()
def pyramid(values: Float[Tensor, "r c d"]) -> Float[Tensor, "texels d"]:
    """Return the levels of a pyramid one behind the other, row by row; each has half the resolution of the one before.

    Args:
        values: At the finest level: multiplied by opacity, if there is one, and by presence, which is last.
    """
    rows, columns, width = values.shape
    sizes = [(-(-rows >> level), -(-columns >> level)) for level in range(level_count(columns, rows))]
    found = values.new_empty(sum(r * c for r, c in sizes), width)
    begin, level = 0, values
    for r, c in sizes:
        if begin == 0:
            sharp = level
        else:
            level = _halved(_halved(level, 0), 1)
            sharp = _sharpened(level)
        found[begin : begin + r * c] = sharp.reshape(-1, width)
        begin += r * c
    return found


def _halved(level: Float[Tensor, "r c d"], axis: int) -> Float[Tensor, "r c d"]:
    """Return means of neighbours along an axis; beyond the last there is nothing."""
    if level.shape[axis] % 2:
        level = torch.cat([level, torch.zeros_like(level.narrow(axis, 0, 1))], dim=axis)
    pairs = level.unflatten(axis, (-1, 2))
    return pairs.select(axis + 1, 0).add(pairs.select(axis + 1, 1)).mul_(0.5)


def _sharpened(level: Float[Tensor, "r c d"]) -> Float[Tensor, "r c d"]:
    """Return a level with steeper slopes, but for what is beside texels of which more, or less, is present."""
    sharp = level.clone()
    for axis in (0, 1):
        count = level.shape[axis] - 1
        step = level.diff(dim=axis)
        step *= SHARPENING * (step[..., -1:] == 0)
        sharp.narrow(axis, 1, count).add_(step)
        sharp.narrow(axis, 0, count).sub_(step)
    return sharp
