"""Instant-NGP for a picture (Mueller et al. 2022, section 5.1): a multi-resolution hash grid, then a small ReLU MLP.

The sizes are those of the authors' program for pictures, except how fine the grid becomes. There the finest lattice has
half as many vertices as the picture's longer side has pixels; here it has as many, within what their table 1 allows,
which fits a picture of ordinary size far better in the same time. The unit square of the grid is the whole picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from nerfstudio.field_components.mlp import MLP
from torch import Tensor, nn
from torch.nn import Parameter

from gainer_bench.baselines.flat_hash_grid import FlatHashGrid
from gainer_bench.baselines.picture_function import PictureFunction, PictureFunctionConfig
from gainer_ns.fields.hash_grid import HashGridConfig, grid_numbers
from gainer_ns.frames import ImagePlane


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
        """The grid for a picture."""
        return HashGridConfig(
            num_levels=self.num_levels,
            features_per_level=self.features_per_level,
            base_resolution=self.base_resolution,
            max_resolution=max(round(self.finest * max(plane.width, plane.height)), self.base_resolution),
            log2_table_size=self.log2_table_size,
        )

    def numbers(self, plane: ImagePlane) -> int:
        """The grid's and the MLP's."""
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
        """Colours, unclamped and differentiable by the parameters, of points in plane coordinates."""
        return self.mlp(self.grid((self.unit_square(points) + 1) / 2))

    def param_groups(self) -> dict[str, list[Parameter]]:
        """The grid learns faster than the MLP."""
        return {"grid": list(self.grid.parameters()), "function": list(self.mlp.parameters())}
