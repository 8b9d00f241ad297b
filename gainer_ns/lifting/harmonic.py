"""Numbers that are known around a part of a picture, continued into it as smoothly as can be."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

_SLACK = 1e-9
"""How strongly a pixel in a part that touches nothing known is drawn to the average of the rest."""


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
    return torch.from_numpy(linalg.splu(system.tocsc()).solve(right + _SLACK * average)).view(-1, values.shape[2])
