"""Aggregate features by Gaussian weights: ``e(x) = sum_i w_i e_i / sum_i w_i`` (paper, section 3.2).

While means stand still, so do the neighbours, and the aggregation at fixed points is one sparse, row-normalised matrix
``W [m, n]``. Fitting multiplies by it and by its transpose; rendering builds a block of it and uses it once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import warp as wp
from jaxtyping import Float, Int32
from torch import Tensor
from torch.autograd.function import once_differentiable

from gainer_ns.errors import GainerError
from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.aggregation_kernels import (
    precision_gradient_kernel,
    row_products_kernel,
    row_sums_kernel,
    search_and_aggregate_kernel,
    weights_kernel,
)
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.gaussians.neighbours import NeighbourIndex, Neighbours, padded


def gaussian_weights(
    points: Float[Tensor, "m d"],
    neighbours: Neighbours,
    means: Float[Tensor, "n d"],
    precisions: Float[Tensor, "s d d"],
) -> Float[Tensor, "m k"]:
    """Return the normalised weights ``exp(-1/2 (x-mu)^T Sigma^-1 (x-mu))`` of each point's neighbours (paper.

    Section 3.2).

    They sum to 1 over a row, or to 0 where a point has no neighbour, and are computed relative to the largest of each
    point, so that no region gives 0 / 0. Precisions are inverse covariances, one each or one for all. Not
    differentiable: see :func:`learned_weights`.
    """
    k, dimensions = neighbours.indices.shape[1], means.shape[1]
    result = torch.empty_like(neighbours.squared_distances)
    inputs = [
        Typed(points.detach().float().contiguous(), kernels.vector(dimensions)),
        *_gaussians(means, precisions),
        Typed(neighbours.indices.contiguous(), kernels.vector(k, wp.int32)),
        Typed(result, kernels.vector(k)),
    ]
    kernels.launch(weights_kernel(k, dimensions), len(points), inputs, points.device)
    return result


def search_and_aggregate(
    index: NeighbourIndex,
    points: Float[Tensor, "m d"],
    k: int,
    means: Float[Tensor, "n d"],
    precisions: Float[Tensor, "s d d"],
    features: Float[Tensor, "n f"],
    slopes: Float[Tensor, "n s d"] | None = None,
) -> tuple[Float[Tensor, "m f"], Int32[Tensor, " m"]]:
    """Search ``k`` neighbours and average their features in one go, for points that are read once. Not differentiable.

    Slopes say how the first channels change with the step from a mean to a point; None where none does.

    Returns:
        Averages, 0 where a point has no neighbour; and the nearest neighbour, -1 where there is none.
    """
    width, sloped = features.shape[1], 0 if slopes is None else slopes.shape[1]
    slopes = points.new_empty(0, 1, means.shape[1]) if slopes is None else slopes
    result = torch.empty(len(points), width, device=points.device)
    nearest = torch.empty(len(points), dtype=torch.int32, device=points.device)
    kernels.launch(
        search_and_aggregate_kernel(k, *index.kind, width, sloped),
        len(points),
        [
            Typed(padded(points), wp.vec3),
            *index.inputs(),
            *_gaussians(means, precisions),
            Typed(features.detach().float().contiguous(), kernels.vector(width)),
            Typed(slopes.detach().float().contiguous(), kernels.matrix(*slopes.shape[1:])),
            Typed(result, kernels.vector(width)),
            Typed(nearest, wp.int32),
        ],
        points.device,
    )
    return result, nearest


def _gaussians(means: Tensor, precisions: Tensor) -> list[Typed | int]:
    """Pack Gaussians as every kernel that weighs neighbours takes them."""
    return [
        Typed(means.detach().float().contiguous(), kernels.vector(means.shape[1])),
        Typed(precisions.detach().float().contiguous(), kernels.matrix(means.shape[1], means.shape[1])),
        int(len(precisions) == 1),
    ]


@dataclass(frozen=True)
class AggregationMatrix:
    """A sparse matrix in compressed rows whose rows are points and whose columns are Gaussians.

    Attributes:
        offsets: [rows + 1], where each row's entries begin.
        columns: [entries].
        values: [entries].
        width: Number of columns.
    """

    offsets: Int32[Tensor, " rows_and_one"]
    columns: Int32[Tensor, " entries"]
    values: Float[Tensor, " entries"]
    width: int

    @classmethod
    def from_neighbours(
        cls, neighbours: Neighbours, weights: Float[Tensor, "m k"], gaussians: int
    ) -> AggregationMatrix:
        """Make the matrix whose rows hold the weights of the points' neighbours; missing neighbours leave no entry.

        Raises:
            GainerError: If there are more entries than 32-bit offsets can count.
        """
        rows, k = weights.shape
        if rows * k >= 2**31:
            raise GainerError(
                f"{rows} pixels with {k} neighbours each are more than one aggregation matrix can hold; "
                "reduce the picture"
            )
        valid = neighbours.valid
        if bool(valid.all()):
            offsets = torch.arange(0, rows * k + 1, k, dtype=torch.int32, device=weights.device)
            return cls(offsets, neighbours.indices.flatten(), weights.flatten(), gaussians)
        offsets = torch.zeros(rows + 1, dtype=torch.int32, device=weights.device)
        torch.cumsum(valid.sum(dim=1), dim=0, out=offsets[1:])
        return cls(offsets, neighbours.indices[valid], weights[valid], gaussians)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.offsets) - 1

    def __matmul__(self, dense: Float[Tensor, "n f"]) -> Float[Tensor, "m f"]:
        """Multiply by a dense matrix, not differentiable: see :meth:`aggregate`."""
        self._check(dense, self.width)
        dense = dense.detach().contiguous()
        out = torch.empty(self.rows, dense.shape[1], device=dense.device)
        wide = kernels.vector(dense.shape[1])
        inputs = [*self._typed(), Typed(self.values, wp.float32), Typed(dense, wide), Typed(out, wide)]
        kernels.launch(row_sums_kernel(dense.shape[1]), self.rows, inputs, dense.device)
        return out

    def products(self, left: Float[Tensor, "m f"], right: Float[Tensor, "n f"]) -> Float[Tensor, " entries"]:
        """Return the inner products of the rows of two matrices at this matrix's entries."""
        self._check(left, self.rows)
        self._check(right, self.width)
        wide = kernels.vector(left.shape[1])
        out = torch.empty_like(self.values)
        dense = [Typed(left.contiguous(), wide), Typed(right.contiguous(), wide)]
        inputs = [*self._typed(), *dense, Typed(out, wp.float32)]
        kernels.launch(row_products_kernel(left.shape[1]), self.rows, inputs, left.device)
        return out

    def aggregate(
        self, features: Float[Tensor, "n f"], values: Float[Tensor, " entries"] | None = None
    ) -> Float[Tensor, "m f"]:
        """Multiply by the features, differentiable in them and in the values (None for the matrix's own.

        Constant ones).
        """
        return _Aggregate.apply(features, self.values if values is None else values, self)

    @cached_property
    def transposed(self) -> AggregationMatrix:
        """The transpose, made once."""
        offsets, rows, order = self.transposed_structure
        return AggregationMatrix(offsets, rows, self.values[order], self.rows)

    def with_values(self, values: Float[Tensor, " entries"]) -> AggregationMatrix:
        """Return the same structure with other values; their order in the transpose is found once for all values."""
        if values.shape != self.values.shape:
            raise ValueError(f"{len(values)} values for {len(self.values)} entries")
        other = replace(self, values=values.detach().contiguous())
        other.__dict__["transposed_structure"] = self.transposed_structure
        return other

    @cached_property
    def transposed_structure(self) -> tuple[Tensor, Tensor, Tensor]:
        """The transpose's offsets and columns, and the entry of this matrix that each of its entries is (int32)."""
        return transposed_structure(self.offsets, self.columns, self.width)

    @staticmethod
    def _check(dense: Tensor, rows: int) -> None:
        if len(dense) != rows:
            raise ValueError(f"{len(dense)} rows where the aggregation matrix has {rows}")

    def _typed(self) -> list[Typed]:
        return [Typed(self.offsets, wp.int32), Typed(self.columns, wp.int32)]


def learned_weights(
    points: Float[Tensor, "m d"],
    neighbours: Neighbours,
    means: Float[Tensor, "n d"],
    precisions: Float[Tensor, "n d d"],
    structure: AggregationMatrix,
) -> Float[Tensor, " entries"]:
    """Return :func:`gaussian_weights` of the neighbours that exist, differentiable in the precisions.

    One for each Gaussian.

    Of ``structure``, the points' aggregation matrix, only where its entries are matters.
    """
    return _LearnedWeights.apply(precisions, points, neighbours, means, structure)


class _LearnedWeights(torch.autograd.Function):
    """The gradient is summed over a Gaussian's own readers, by the transpose: no atomics, no [m, k, d, d] gather."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx, precisions: Tensor, points: Tensor, neighbours: Neighbours, means: Tensor, structure: AggregationMatrix
    ) -> Tensor:
        weights = gaussian_weights(points, neighbours, means, precisions)
        ctx.save_for_backward(weights, points, means)
        ctx.structure = structure
        # Selecting by a mask costs as much as all the rest, and there is nothing to select where nothing is missing.
        ctx.valid = None if len(structure.columns) == weights.numel() else neighbours.valid
        return weights.flatten() if ctx.valid is None else weights[ctx.valid]

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:  # type: ignore[override]
        weights, points, means = ctx.saved_tensors
        if ctx.valid is None:
            of_weights = gradient.view_as(weights)
        else:
            of_weights = torch.zeros_like(weights).masked_scatter(ctx.valid, gradient)
        of_exponents = weights * (of_weights - (weights * of_weights).sum(dim=1, keepdim=True))
        of_exponents = of_exponents.flatten() if ctx.valid is None else of_exponents[ctx.valid]
        offsets, points_of, order = ctx.structure.transposed_structure
        out = torch.empty(len(means), 3, 3, device=means.device)
        kernels.launch(
            precision_gradient_kernel(),
            len(means),
            [
                Typed(offsets, wp.int32),
                Typed(points_of, wp.int32),
                Typed(of_exponents[order], wp.float32),
                Typed(padded(points), wp.vec3),
                Typed(padded(means), wp.vec3),
                Typed(out, wp.mat33),
            ],
            means.device,
        )
        dimensions = means.shape[1]
        return out[:, :dimensions, :dimensions], None, None, None, None


class _Aggregate(torch.autograd.Function):
    """``W e`` with gradients for ``e`` (by the transpose, without atomics) and for the entries of ``W``."""

    @staticmethod
    def forward(ctx, features: Tensor, values: Tensor, structure: AggregationMatrix) -> Tensor:  # type: ignore[override]
        matrix = structure if values is structure.values else structure.with_values(values)
        ctx.matrix = matrix
        ctx.save_for_backward(features)
        return matrix @ features

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # type: ignore[override]
        (features,) = ctx.saved_tensors
        gradient = gradient.contiguous()
        of_features = ctx.matrix.transposed @ gradient if ctx.needs_input_grad[0] else None
        of_values = ctx.matrix.products(gradient, features) if ctx.needs_input_grad[1] else None
        return of_features, of_values, None


def transposed_structure(
    offsets: Int32[Tensor, " rows_and_one"], columns: Int32[Tensor, " entries"], width: int, *, counting: bool = True
) -> tuple[Int32[Tensor, " width_and_one"], Int32[Tensor, " entries"], Int32[Tensor, " entries"]]:
    """Return offsets and columns of a sparse matrix's transpose, and the entry that each of its entries was.

    On the CPU scipy finds them by ``counting``, in a fifth of the time of torch's sort.
    """
    if counting and columns.device.type == "cpu":
        import scipy.sparse  # which drawing does without

        entries = np.arange(len(columns), dtype=np.int32)
        parts = (entries, columns.numpy(), offsets.numpy())
        by_column = scipy.sparse.csr_matrix(parts, shape=(len(offsets) - 1, width)).tocsc()
        found = (by_column.indptr, by_column.indices, by_column.data)
        new_offsets, new_columns, order = (torch.from_numpy(part.astype(np.int32, copy=False)) for part in found)
        return new_offsets, new_columns, order
    ascending, order = torch.sort(columns, stable=True)
    edges = torch.arange(width + 1, dtype=columns.dtype, device=columns.device)
    new_offsets = torch.searchsorted(ascending, edges, out_int32=True)
    new_columns = torch.searchsorted(offsets, order.int(), right=True, out_int32=True) - 1
    return new_offsets, new_columns, order.int()
