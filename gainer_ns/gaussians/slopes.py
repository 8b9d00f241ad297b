"""Features and slopes as one table: what points read is linear in both, so one sparse matrix reads both.

A slope is told along the axes of its own Gaussian, ``G L`` with ``Sigma = L L^T``, so that tables of large and of small
Gaussians hold numbers of the same size. The table's rows are the features of all Gaussians, then their slopes along the
first axis, then those along the second, which are 0 in channels that have none.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.gaussians.aggregation import AggregationMatrix
from gainer_ns.gaussians.gaussian_set import GaussianSet


def stacked(gaussians: GaussianSet) -> Float[Tensor, "rows f"]:
    """The table of a set's features, and of its slopes where it has some."""
    if gaussians.slopes is None:
        return gaussians.features
    along = slopes_along(gaussians)
    missing = gaussians.features.shape[1] - along.shape[1]
    return torch.cat([gaussians.features, *torch.nn.functional.pad(along, (0, 0, 0, missing)).unbind(-1)])


def unstacked(gaussians: GaussianSet, table: Float[Tensor, "rows f"]) -> GaussianSet:
    """The same Gaussians with the features and slopes of another table."""
    if gaussians.slopes is None:
        return replace(gaussians, features=table)
    features, *along = table.view(1 + gaussians.dimensions, len(gaussians), -1)
    sloped = torch.stack(along, dim=-1)[:, : gaussians.slopes.shape[1]]
    return with_slopes_along(replace(gaussians, features=features.contiguous()), sloped)


def slopes_along(gaussians: GaussianSet) -> Float[Tensor, "n s d"]:
    """The slopes of a set that has some, along the axes of its own Gaussians."""
    assert gaussians.slopes is not None
    return (gaussians.slopes.double() @ _axes(gaussians)).to(gaussians.features)


def with_slopes_along(gaussians: GaussianSet, along: Float[Tensor, "n s d"]) -> GaussianSet:
    """The same Gaussians with slopes that are told along their own axes."""
    slopes = along.double() @ torch.linalg.inv(_axes(gaussians))
    return replace(gaussians, slopes=slopes.to(gaussians.features))


def stacked_rows(gaussians: Int[Tensor, " m"], count: int, dimensions: int) -> Int[Tensor, " rows"]:
    """The table's rows of some of ``count`` Gaussians, features first."""
    return torch.cat([gaussians + count * block for block in range(1 + dimensions)])


def stacked_matrix(
    matrix: AggregationMatrix, points: Float[Tensor, "m d"], gaussians: GaussianSet
) -> AggregationMatrix:
    """The matrix that reads features and slopes, from the one that reads the features alone.

    Args:
        matrix: Weights of the Gaussians at the points.
        points: Where they are read.
        gaussians: The Gaussians.
    """
    if gaussians.slopes is None:
        return matrix
    counts = matrix.offsets.diff().long()
    rows = torch.repeat_interleave(torch.arange(matrix.rows, device=counts.device), counts)
    columns = matrix.columns.long()
    steps = points[rows] - gaussians.means[columns]
    back = torch.linalg.inv(_axes(gaussians)).expand(len(gaussians), -1, -1)[columns]
    along = torch.einsum("eij,ej->ei", back, steps.to(back)).to(matrix.values)
    blocks = [matrix.values, *(matrix.values[:, None] * along).unbind(-1)]
    shifted = [columns + len(gaussians) * block for block in range(len(blocks))]
    return AggregationMatrix(
        offsets=matrix.offsets * len(blocks),
        columns=torch.stack(shifted, dim=1).flatten().int(),  # the blocks' entries of a row beside each other
        values=torch.stack(blocks, dim=1).flatten().contiguous(),
        width=len(gaussians) * len(blocks),
    )


def _axes(gaussians: GaussianSet) -> Float[Tensor, "s d d"]:
    return torch.linalg.cholesky(gaussians.covariances.double())  # of long Gaussians, float32 finds none
