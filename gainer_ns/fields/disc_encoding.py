"""Read features at points in space: the K nearest discs, averaged by Gaussian weight (paper, section 3.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor, nn

from gainer_ns.errors import GainerError
from gainer_ns.fields.knn_encoding import MAX_NEIGHBOURS
from gainer_ns.gaussians.aggregation import AggregationMatrix, gaussian_weights
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.gaussians.small_matrices import inverse, product


@dataclass
class DiscEncodingConfig:
    """Options of how points in space read discs."""

    num_neighbours: int = 16
    """K: how many Gaussians a point reads."""
    radius: float = 3.5
    """Farthest distance at which a Gaussian is read, in pixels of the photo (along its disc)."""
    sigma: float = 0.64
    """Standard deviation of a Gaussian along its disc, in pixels of the photo."""
    feature_dim: int = 8
    """Length of a Gaussian's feature."""


class DiscEncoding(nn.Module):
    """Gaussians that are flat discs in space.

    A step in space leads back to pixels of the photo (along the disc) and to thicknesses of the disc (across it).
    Neighbours are found and weighed by those lengths, as in the plane of the photo: so a surface is read alike however
    far it is and however it is turned, and what lies before or behind it is far away.

    Args:
        config: How points read discs.
        means: [n, 3].
        inverse_jacobians: [n, 3, 3], from steps in space to pixels and thicknesses.
        pixels: [n], row-major indices of the photo's pixels that they belong to.
    """

    means: Float[Tensor, "n 3"]
    inverse_jacobians: Float[Tensor, "n 3 3"]
    pixels: Int32[Tensor, " n"]

    def __init__(
        self,
        config: DiscEncodingConfig,
        means: Float[Tensor, "n 3"],
        inverse_jacobians: Float[Tensor, "n 3 3"],
        pixels: Int[Tensor, " n"],
    ) -> None:
        super().__init__()
        if not 1 <= config.num_neighbours <= MAX_NEIGHBOURS:
            raise GainerError(f"num-neighbours {config.num_neighbours}: choose from 1 to {MAX_NEIGHBOURS}")
        self.config = config
        self.register_buffer("means", means.clone())
        self.register_buffer("inverse_jacobians", inverse_jacobians.clone())
        self.register_buffer("pixels", pixels.to(torch.int32))
        self.features_table = nn.Parameter(torch.zeros(len(means), config.feature_dim))

    def __len__(self) -> int:
        return len(self.means)

    @torch.no_grad()
    def gaussian_set(self) -> GaussianSet:
        """Return the Gaussians as they are now: plain tensors."""
        jacobians = inverse(self.inverse_jacobians)
        covariances = self.config.sigma**2 * product(jacobians, jacobians.mT)
        features = self.features_table.detach()
        return GaussianSet(
            self.means, covariances, features, self.config.radius, inverse_jacobians=self.inverse_jacobians
        )

    @torch.no_grad()
    def read(self, points: Float[Tensor, "m 3"]) -> AggregationMatrix:
        """Return the aggregation matrix from the Gaussians to points."""
        gaussians = self.gaussian_set()
        index = NeighbourIndex(gaussians.means, gaussians.radius, gaussians.inverse_jacobians)
        neighbours = index.query(points, self.config.num_neighbours)
        weights = gaussian_weights(points, neighbours, gaussians.means, gaussians.precisions)
        return AggregationMatrix.from_neighbours(neighbours, weights, len(self))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """Take the sizes of what is loaded."""
        means = state_dict.get(f"{prefix}means")
        if means is not None:
            count = len(means)
            self.means = self.means.new_empty(count, 3)
            self.inverse_jacobians = self.means.new_empty(count, 3, 3)
            self.pixels = self.pixels.new_empty(count)
            table = state_dict[f"{prefix}features_table"]
            self.features_table.data = self.features_table.new_empty(table.shape)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
