"""Aggregate features of Gaussians that are learned entirely: means, shapes, features and slopes."""

from __future__ import annotations

from typing import Any

import torch
import warp as wp
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.aggregation import AggregationMatrix
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.gaussians.moving_kernels import gradients_kernel, means_kernel, moving_gaussians


def weighted_means(
    points: Float[Tensor, "m 2"],
    structure: AggregationMatrix,
    means: Float[Tensor, "n 2"],
    precisions: Float[Tensor, "n 3"],
    features: Float[Tensor, "n f"],
    slopes: Float[Tensor, "n s 2"] | None = None,
) -> Float[Tensor, "m f"]:
    """Return ``sum_i w_i (e_i + G_i (x - mu_i)) / sum_i w_i`` with Gaussian weights.

    Differentiable in all but the points.

    Computed relative to the largest weight of each point, so that no region gives 0 / 0; 0 at points that read nothing.
    ``structure`` says which Gaussians each point reads: the columns of its row. Precisions are inverse covariances as
    ``xx, xy, yy``; slopes are ``G`` of the first ``s`` channels, None where all are 0.
    """
    if slopes is None:
        slopes = features.new_zeros(len(features), 1, 2)
    return _WeightedMeans.apply(points, structure, means, precisions, features, slopes)


class _WeightedMeans(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx, points: Tensor, structure: AggregationMatrix, *gaussians: Tensor
    ) -> Tensor:
        result = points.new_empty(len(points), gaussians[2].shape[1], dtype=torch.float32)
        logarithms = points.new_empty(len(points), dtype=torch.float32)
        inputs = [
            Typed(structure.offsets, wp.int32),
            Typed(structure.columns, wp.int32),
            Typed(points, wp.vec2),
            _as_struct(gaussians),
            Typed(result, kernels.vector(result.shape[1])),
            Typed(logarithms, wp.float32),
        ]
        kernels.launch(means_kernel(result.shape[1], gaussians[3].shape[1]), len(points), inputs, points.device)
        ctx.save_for_backward(points, result, logarithms, *gaussians)
        ctx.structure = structure
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, of_result: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        points, result, logarithms, *gaussians = ctx.saved_tensors
        of_result = of_result.contiguous()
        offsets, points_of, _ = ctx.structure.transposed_structure
        gradients = [torch.empty_like(one, memory_format=torch.contiguous_format) for one in gaussians]
        kernels.launch(
            gradients_kernel(result.shape[1], gaussians[3].shape[1]),
            len(gaussians[0]),
            [
                Typed(offsets, wp.int32),
                Typed(points_of, wp.int32),
                Typed(points, wp.vec2),
                Typed(logarithms, wp.float32),
                Typed(of_result, kernels.vector(result.shape[1])),
                Typed((of_result * result).sum(dim=1), wp.float32),
                _as_struct(gaussians),
                _as_struct(gradients),
            ],
            points.device,
        )
        return None, None, *gradients


def _as_struct(parts: tuple[Tensor, ...] | list[Tensor]) -> Any:
    """Pack means, precisions, features and slopes, or their gradients, as the kernels take them."""
    means, precisions, features, slopes = (part.detach().contiguous() for part in parts)
    width, sloped = features.shape[1], slopes.shape[1]
    return kernels.struct(
        moving_gaussians(width, sloped),
        means=Typed(means, wp.vec2),
        precisions=Typed(precisions, wp.vec3),
        features=Typed(features, kernels.vector(width)),
        slopes=Typed(slopes, kernels.matrix(sloped, 2)),
    )
