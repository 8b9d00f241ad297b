"""Numbers that are known around a part of a picture, continued into it as smoothly as can be."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

_SLACK = 1e-9
"""How strongly a pixel in a part that touches nothing known is drawn to the average of the rest."""


_MAX_SOLVED = 250_000
"""Parts of more pixels are not solved exactly: a coarser grid tells how they are, and a few sweeps what it cannot."""
_SWEEPS, _DAMPING = 12, 0.8


def harmonic(
    values: Float[Tensor, "h w c"], unknown: Bool[Tensor, "h w"], known: Bool[Tensor, "h w"]
) -> Float[Tensor, "u c"]:
    """Return the values of the unknown pixels, each the mean of those neighbours that are unknown or known.

    Args:
        values: Of the known pixels; what the others hold does not matter.
        unknown: Pixels that are asked for.
        known: Pixels that they may see; they see no others.

    Returns:
        In the order of the pixels, row by row.
    """
    from scipy import sparse
    from scipy.sparse import linalg

    # A frame of pixels that are neither unknown nor known saves every look at a pixel's neighbours the bounds.
    inside, around = np.pad(unknown.numpy(), 1), np.pad((known & ~unknown).numpy(), 1)
    padded = np.pad(values.double().numpy(), ((1, 1), (1, 1), (0, 0))).reshape(-1, values.shape[2])
    number = np.full(inside.shape, -1)
    number[inside] = np.arange(inside.sum())
    here = np.flatnonzero(inside)
    rows, columns = [], []
    right, degree = np.zeros((len(here), values.shape[2])), np.zeros(len(here))
    for step in (1, -1, inside.shape[1], -inside.shape[1]):
        there = here + step
        free, fixed = inside.ravel()[there], around.ravel()[there]
        rows.append(np.flatnonzero(free))
        columns.append(number.ravel()[there[free]])
        degree += free | fixed
        right += np.where(fixed[:, None], padded[there], 0.0)
    row_index, column_index = np.concatenate(rows), np.concatenate(columns)
    neighbours = sparse.csr_matrix((-np.ones(len(row_index)), (row_index, column_index)), (len(here),) * 2)
    system = neighbours + sparse.diags(degree + _SLACK)
    average = padded[around.ravel()].mean(axis=0)
    right += _SLACK * average
    if len(here) <= _MAX_SOLVED:
        found = linalg.splu(system.tocsc()).solve(right)
    else:
        found = _coarse(values, unknown, known)[unknown].numpy()
        for _ in range(_SWEEPS):  # of Jacobi's method, damped: what a coarser grid cannot tell is smooth after a few
            found += _DAMPING * (right - system @ found) / (degree + _SLACK)[:, None]
    return torch.from_numpy(found).view(-1, values.shape[2])


def _coarse(
    values: Float[Tensor, "h w c"], unknown: Bool[Tensor, "h w"], known: Bool[Tensor, "h w"]
) -> Float[Tensor, "h w c"]:
    """Return values of about the same smoothness, found on a grid of half as many pixels each way."""
    height, width = unknown.shape
    odd = (0, width % 2, 0, height % 2)
    seen, asked = (functional.pad(each.double(), odd)[None, None] for each in (known & ~unknown, unknown))
    shares = functional.avg_pool2d(seen, 2)[0, 0]
    sums = functional.avg_pool2d(functional.pad(values.double().permute(2, 0, 1), odd)[None] * seen, 2)[0]
    coarse = (sums / shares.clamp(min=1e-12)).permute(1, 2, 0)
    wanted = (functional.max_pool2d(asked, 2)[0, 0] > 0) & (shares == 0)
    if bool(wanted.any()):
        coarse[wanted] = harmonic(coarse, wanted, shares > 0)
    there = ((shares > 0) | wanted).double()
    both = torch.cat([coarse * there[..., None], there[..., None]], dim=-1).permute(2, 0, 1)[None]
    fine = functional.interpolate(both, scale_factor=2, mode="bilinear")[0].permute(1, 2, 0)[:height, :width]
    return fine[..., :-1] / fine[..., -1:].clamp(min=1e-12)
