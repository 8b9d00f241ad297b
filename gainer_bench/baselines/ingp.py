"""Instant-NGP for a picture (Mueller et al. 2022, section 5.1): a multi-resolution hash grid, then a small ReLU MLP.

The sizes are those of the authors' program for pictures, except how fine the grid becomes. There the finest lattice has
half as many vertices as the picture's longer side has pixels; here it has as many, within what their table 1 allows,
which fits a picture of ordinary size far better in the same time. The unit square of the grid is the whole picture.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
import warp as wp
from jaxtyping import Float
from nerfstudio.field_components.mlp import MLP
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import Parameter

from gainer_bench.baselines.hash_grid_kernels import gradient_kernel, read_kernel
from gainer_bench.baselines.picture_function import PictureFunction, PictureFunctionConfig, block_by_block
from gainer_ns.fields.hash_grid import HashGrid, HashGridConfig, grid_numbers
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.kernels import Typed


@dataclass
class IngpConfig(PictureFunctionConfig):
    """How large the grid and the MLP are."""

    _target: type = field(default_factory=lambda: Ingp)
    num_levels: int = 16
    """Number of lattices, from coarse to fine."""
    features_per_level: int = 2
    """Features that a lattice gives a point."""
    base_resolution: int = 16
    """Vertices of the coarsest lattice along each side of the picture."""
    finest: float = 1.0
    """Vertices of the finest lattice along each side of the picture, for each pixel of the longer side."""
    log2_table_size: int = 24
    """A level has at most 2 to this power table rows; a lattice with more vertices shares rows by hashing."""
    hidden_layers: int = 2
    """Hidden layers of the MLP."""
    hidden_dim: int = 64
    """Neurons in a hidden layer."""

    def grid(self, plane: ImagePlane) -> HashGridConfig:
        """Return the grid for a picture."""
        return HashGridConfig(
            num_levels=self.num_levels,
            features_per_level=self.features_per_level,
            base_resolution=self.base_resolution,
            max_resolution=max(round(self.finest * max(plane.width, plane.height)), self.base_resolution),
            log2_table_size=self.log2_table_size,
        )

    def numbers(self, plane: ImagePlane) -> int:
        """Return the grid's and the MLP's."""
        grid, width = self.grid(plane), max(1, self.hidden_dim)
        mlp = width * (grid.num_levels * grid.features_per_level + 3) + self.hidden_layers * width**2
        return grid_numbers(grid, 2) + mlp


class Ingp(PictureFunction):
    """A hash grid and an MLP, both trained from random values; see :class:`PictureFunction`."""

    config: IngpConfig

    def __init__(self, config: IngpConfig, plane: ImagePlane, seed: int = 0) -> None:
        super().__init__(config, plane, seed)
        self.grid = FlatHashGrid(config.grid(plane), seed)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the other devices too
            self.mlp = MLP(self.grid.output_dim, config.hidden_layers + 1, config.hidden_dim, 3, activation=nn.ReLU())

    def forward(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, "m 3"]:
        """Return colours, unclamped and differentiable by the parameters, of points in plane coordinates."""
        return block_by_block(self.mlp, self.grid((self.unit_square(points) + 1) / 2))

    def param_groups(self) -> dict[str, list[Parameter]]:
        """Return the grid, which learns faster, and the MLP."""
        return {"grid": list(self.grid.parameters()), "function": list(self.mlp.parameters())}


class FlatHashGrid(HashGrid):
    """A :class:`HashGrid` in 2D: the same table and features, but on the CPU from kernels, and several times as fast.

    CUDA tensors are read by tiny-cuda-nn where that is installed.
    """

    def __init__(self, config: HashGridConfig, seed: int = 0) -> None:
        super().__init__(config, 2, seed=seed)

    def forward(self, points: Float[Tensor, "n 2"]) -> Float[Tensor, "n f"]:
        """Return features at points of the unit square; on the CPU differentiable by the table only."""
        if points.is_cuda and self._tcnn is not None:
            return torch.func.functional_call(self._tcnn, {"params": self.table.flatten()}, (points.clamp(0, 1),))
        if points.is_cuda:
            return super().forward(points)
        self._check(points)
        return _Read.apply(self.table, points.detach().float().contiguous(), *self._lattices).flatten(1)

    @cached_property
    def _tcnn(self) -> nn.Module | None:
        """tiny-cuda-nn's encoding, without a table of its own; None where it is missing or orders its rows otherwise.

        A cached property, so that ``nn.Module`` neither lists its parameters nor stores them.
        """
        if self.config.features_per_level not in (1, 2, 4, 8):
            return None
        try:
            tcnn = importlib.import_module("tinycudann")
        except (ImportError, OSError):  # it raises the latter where it is installed, and there is no GPU
            return None
        sizes = {
            "otype": "HashGrid",
            "n_levels": self.config.num_levels,
            "n_features_per_level": self.config.features_per_level,
            "log2_hashmap_size": self.config.log2_table_size,
            "base_resolution": self.config.base_resolution,
            "per_level_scale": self.config.growth_factor,
        }
        encoding: Any = tcnn.Encoding(2, sizes, dtype=torch.float32)
        is_same_layout = encoding.params.numel() == self.table.numel()
        encoding.params = nn.Parameter(torch.empty(0))
        return encoding if is_same_layout else None

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
    """Return points and lattices, as both kernels take them."""
    return [Typed(points, wp.vec2), Typed(scales, wp.float32), Typed(sizes, wp.vec3i)]
