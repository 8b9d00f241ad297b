"""A set of Gaussians: what they are, and how a transformation moves them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class GaussianSet:
    """Gaussians with features, in 2D or 3D (paper, section 3.2).

    Attributes:
        means: [n, d], in plane units (d = 2) or world units (d = 3).
        covariances: [n, d, d], or [1, d, d] when all share one; squared units of the means.
        features: [n, f].
        radius: Farthest distance at which a Gaussian is read, in the units of the means.
    """

    means: Float[Tensor, "n d"]
    covariances: Float[Tensor, "s d d"]
    features: Float[Tensor, "n f"]
    radius: float

    def __post_init__(self) -> None:
        count, dimensions = self.means.shape
        if dimensions not in (2, 3):
            raise ValueError(f"Gaussians live in 2 or 3 dimensions, not {dimensions}")
        if self.covariances.shape not in {(count, dimensions, dimensions), (1, dimensions, dimensions)}:
            raise ValueError(
                f"covariances of shape {tuple(self.covariances.shape)} do not fit {count} means in {dimensions}D"
            )
        if self.features.shape[0] != count:
            raise ValueError(f"{self.features.shape[0]} features for {count} means")

    def __len__(self) -> int:
        return self.means.shape[0]

    @property
    def dimensions(self) -> int:
        """Dimensions of the space that the Gaussians live in: 2 or 3."""
        return self.means.shape[1]

    @property
    def precisions(self) -> Float[Tensor, "s d d"]:
        """Inverse covariances."""
        return torch.linalg.inv(self.covariances)

    def transformed(self, means: Float[Tensor, "n d"], jacobians: Float[Tensor, "s d d"]) -> GaussianSet:
        """The same Gaussians after a deformation: ``mu -> phi(mu)`` and ``Sigma -> J Sigma J^T``.

        The radius grows with the largest stretch, so that a stretched picture does not tear.

        Args:
            means: New means ``phi(mu)``.
            jacobians: ``d phi / d mu`` at every mean, or one [1, d, d] for an affine map.
        """
        covariances = jacobians @ self.covariances @ jacobians.transpose(-1, -2)
        stretch = float(torch.linalg.matrix_norm(jacobians, ord=2).max()) if len(jacobians) else 1.0
        return replace(self, means=means, covariances=covariances, radius=self.radius * max(1.0, stretch))

    def to(self, device: torch.device | str) -> GaussianSet:
        """The same Gaussians on a device."""
        return replace(
            self,
            means=self.means.to(device),
            covariances=self.covariances.to(device),
            features=self.features.to(device),
        )


def isotropic(sigma: float, dimensions: int, device: torch.device | str | None = None) -> Float[Tensor, "1 d d"]:
    """One round covariance that all Gaussians share."""
    return (sigma * sigma * torch.eye(dimensions, device=device))[None]
