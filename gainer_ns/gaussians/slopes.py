"""Features and slopes as one table: what points read is linear in both, so one sparse matrix reads both.

Slopes are stored along the axes of their own Gaussian, ``G L`` with ``Sigma = L L^T``, so that large and small
Gaussians have numbers of the same size. The table's rows are the features of all Gaussians, then their slopes along the
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
    """Return the table of a set's features, and of its slopes where it has some."""
    if gaussians.slopes is None:
        return gaussians.features
    along = slopes_along(gaussians)
    missing = gaussians.features.shape[1] - along.shape[1]
    return torch.cat([gaussians.features, *torch.nn.functional.pad(along, (0, 0, 0, missing)).unbind(-1)])


def slopes_along(gaussians: GaussianSet) -> Float[Tensor, "n s d"]:
    """Return the slopes ``G L`` of a set that has some, along the axes of its own Gaussians."""
    assert gaussians.slopes is not None
    return (gaussians.slopes.double() @ _axes(gaussians)).to(gaussians.features)


def with_slopes_along(gaussians: GaussianSet, along: Float[Tensor, "n s d"]) -> GaussianSet:
    """Return the same Gaussians with slopes given along their own axes."""
    slopes = along.double() @ torch.linalg.inv(_axes(gaussians))
    return replace(gaussians, slopes=slopes.to(gaussians.features))


def stacked_rows(gaussians: Int[Tensor, " m"], count: int, dimensions: int) -> Int[Tensor, " rows"]:
    """Return the table's rows of some of ``count`` Gaussians, features first."""
    return torch.cat([gaussians + count * block for block in range(1 + dimensions)])


def stacked_matrix(
    matrix: AggregationMatrix, points: Float[Tensor, "m d"], gaussians: GaussianSet
) -> AggregationMatrix:
    """Extend an aggregation matrix, made of the Gaussians' weights at points, so that it reads slopes too."""
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
