"""Discs in space, and the colours and opacities that places on their surface read (paper, section 3.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor, nn

from gainer_ns.gaussians.aggregation import AggregationMatrix
from gainer_ns.gaussians.disc_links import DiscLinks
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.small_matrices import inverse, product

RGBA_CHANNELS = 4
"""Channels that the decoder makes of a feature: red, green, blue and opacity."""


@dataclass
class DiscEncodingConfig:
    """Options of how places on a surface read discs."""

    radius: float = 3.5
    """How near, in pixels of the photo, discs lie that an edit counts as neighbours."""
    sigma: float = 0.64
    """Standard deviation of a Gaussian along its disc, in pixels of the photo."""
    feature_dim: int = RGBA_CHANNELS
    """Length of a Gaussian's feature."""


class DiscEncoding(nn.Module):
    """Gaussians that are flat discs in space, linked as their pixels are where they lie on one surface.

    A place on the surface is read from the discs around it by their distances at rest, in pixels of the photo: so it is
    read alike however far it is, however it is turned, and whatever an edit does to it, and what lies before or behind
    it is never mixed in.

    Args:
        config: How places read discs.
        means: [n, 3].
        inverse_jacobians: [n, 3, 3], from steps in space to pixels and thicknesses.
        pixels: [n], row-major indices of the photo's pixels that they belong to.
        links: [n, 2], their neighbours to the right and below; -1 where the surface ends.
    """

    means: Float[Tensor, "n 3"]
    inverse_jacobians: Float[Tensor, "n 3 3"]
    pixels: Int32[Tensor, " n"]
    links: Int32[Tensor, "n 2"]

    def __init__(
        self,
        config: DiscEncodingConfig,
        means: Float[Tensor, "n 3"],
        inverse_jacobians: Float[Tensor, "n 3 3"],
        pixels: Int[Tensor, " n"],
        links: Int[Tensor, "n 2"],
    ) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("means", means.clone())
        self.register_buffer("inverse_jacobians", inverse_jacobians.clone())
        self.register_buffer("pixels", pixels.to(torch.int32))
        self.register_buffer("links", links.to(torch.int32))
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

    def disc_links(self) -> DiscLinks:
        """Return the links, complete."""
        return DiscLinks.of(*self.links.unbind(dim=1))

    def matrix(self) -> AggregationMatrix:
        """Return the aggregation matrix from the Gaussians to their own means."""
        return self.disc_links().matrix(self.config.sigma)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """Take the sizes of what is loaded."""
        means = state_dict.get(f"{prefix}means")
        if means is not None:
            count = len(means)
            self.means = self.means.new_empty(count, 3)
            self.inverse_jacobians = self.means.new_empty(count, 3, 3)
            self.pixels = self.pixels.new_empty(count)
            self.links = self.links.new_empty(count, 2)
            table = state_dict[f"{prefix}features_table"]
            self.features_table.data = self.features_table.new_empty(table.shape)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
