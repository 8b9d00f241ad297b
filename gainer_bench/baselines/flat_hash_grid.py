"""The hash grid in the plane, fast on a CPU too; the baselines that have one share it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
import warp as wp
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from gainer_bench.baselines.hash_grid_kernels import gradient_kernel, read_kernel
from gainer_ns.fields.hash_grid import HashGrid, HashGridConfig
from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.kernels import Typed


class FlatHashGrid(HashGrid):
    """A :class:`HashGrid` in 2D: the same table and features, but on the CPU from kernels, and several times as fast.

    Elsewhere it is a hash grid like any other, read by tiny-cuda-nn where that is installed.

    Args:
        config: Size of the grid.
        seed: Seed of the initial features.
    """

    def __init__(self, config: HashGridConfig, seed: int = 0) -> None:
        super().__init__(config, 2, seed=seed)

    def forward(self, points: Float[Tensor, "n 2"]) -> Float[Tensor, "n f"]:
        """Features [n, output_dim] at points [n, 2] of the unit square; on the CPU differentiable by the table only."""
        if points.is_cuda:
            return super().forward(points)
        self._check(points)
        return _Read.apply(self.table, points.detach().float().contiguous(), *self._lattices).flatten(1)

    @cached_property
    def _lattices(self) -> tuple[Tensor, Tensor]:
        """Scales of the levels [levels], and their resolutions, first rows and numbers of rows [levels, 3]."""
        sizes = [[level.resolution, level.first_row, level.num_rows] for level in self.levels]
        return torch.tensor([level.scale for level in self.levels]), torch.tensor(sizes, dtype=torch.int32)


class _Read(torch.autograd.Function):
    """Interpolated features [n, levels, f]."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, points: Tensor, scales: Tensor, sizes: Tensor) -> Tensor:
        ctx.save_for_backward(points, scales, sizes)
        ctx.shape = table.shape
        result = torch.empty(len(points), len(scales), table.shape[1])
        wide = kernels.vector(table.shape[1])
        inputs = [*_lattice_points(points, scales, sizes), Typed(table, wide), Typed(result, wide)]
        kernels.launch(read_kernel(table.shape[1]), len(points), inputs, points.device)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        points, scales, sizes = ctx.saved_tensors
        result = torch.zeros(ctx.shape)
        wide = kernels.vector(ctx.shape[1])
        of_features = Typed(gradients[0].contiguous(), wide)
        inputs = [*_lattice_points(points, scales, sizes), of_features, Typed(result, wide)]
        kernels.launch(gradient_kernel(ctx.shape[1]), len(scales), inputs, points.device)
        return result, None, None, None


def _lattice_points(points: Tensor, scales: Tensor, sizes: Tensor) -> list[Typed]:
    """Points and lattices, as both kernels take them."""
    return [Typed(points, wp.vec2), Typed(scales, wp.float32), Typed(sizes, wp.vec3i)]
