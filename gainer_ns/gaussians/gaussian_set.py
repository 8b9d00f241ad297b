"""A set of Gaussians, and its transformations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gainer_ns.gaussians.small_matrices import determinant, inverse, product

_FLAT_DETERMINANT = 1e-3
"""Jacobians of a smaller determinant, relative to their size, count as flat."""
_FLAT_JACOBIAN_THICKNESS = 0.01
"""What a flat Jacobian is given along each axis, so that it and the covariances can be inverted."""


@dataclass(frozen=True)
class GaussianSet:
    """Gaussians with features, in 2D or 3D (paper, section 3.2).

    Attributes:
        means: [n, d], in plane units (d = 2) or world units (d = 3).
        covariances: [n, d, d], or [1, d, d] when all share one; squared units of the means.
        features: [n, f].
        radius: Farthest distance at which a Gaussian is read, in the units of the means, before any deformation.
        opacities: [n], averaged like features and clamped to [0, 1] where they are shown, so that values beyond make an
            edge crisp; None where the set is opaque everywhere.
        inverse_jacobians: [n, d, d] or [1, d, d], from steps at a deformed mean to steps where the set was fitted, by
            which neighbours are found; None where nothing was deformed.
        slopes: [n, s, d], ``G``: of the first ``s`` channels of a Gaussian a point reads ``e + G (x - mu)``, of the
            others ``e`` everywhere; None where it does so of all.
    """

    means: Float[Tensor, "n d"]
    covariances: Float[Tensor, "s d d"]
    features: Float[Tensor, "n f"]
    radius: float
    opacities: Float[Tensor, " n"] | None = None
    inverse_jacobians: Float[Tensor, "t d d"] | None = None
    slopes: Float[Tensor, "n s d"] | None = None

    def __post_init__(self) -> None:
        count, dimensions = self.means.shape
        if dimensions not in (2, 3):
            raise ValueError(f"Gaussians live in 2 or 3 dimensions, not {dimensions}")
        allowed = {(count, dimensions, dimensions), (1, dimensions, dimensions)}
        for name, matrices in (("covariances", self.covariances), ("inverse Jacobians", self.inverse_jacobians)):
            if matrices is not None and tuple(matrices.shape) not in allowed:
                raise ValueError(f"{name} of shape {tuple(matrices.shape)} do not fit {count} means in {dimensions}D")
        if self.features.shape[0] != count:
            raise ValueError(f"{self.features.shape[0]} features for {count} means")
        channels = self.slopes.shape[1] if self.slopes is not None and self.slopes.dim() == 3 else 0
        channels = min(max(channels, 1), self.features.shape[1])
        expected = {"slopes": (count, channels, dimensions), "opacities": (count,)}
        for (name, shape), part in zip(expected.items(), (self.slopes, self.opacities), strict=True):
            if part is not None and tuple(part.shape) != shape:
                raise ValueError(f"{name} of shape {tuple(part.shape)} for {count} means")

    def __len__(self) -> int:
        return self.means.shape[0]

    def __getitem__(self, chosen: Bool[Tensor, " n"] | Int[Tensor, " m"]) -> GaussianSet:
        """Select Gaussians by a mask or by indices."""
        shared = [one for one in (self.covariances, self.inverse_jacobians) if one is not None and len(one) == 1]
        return self._each(lambda one: one if any(one is each for each in shared) else one[chosen])

    @property
    def dimensions(self) -> int:
        """Dimensions of the space that the Gaussians live in: 2 or 3."""
        return self.means.shape[1]

    @property
    def precisions(self) -> Float[Tensor, "s d d"]:
        """Inverse covariances."""
        return inverse(self.covariances)

    def transformed(self, means: Float[Tensor, "n d"], jacobians: Float[Tensor, "t d d"]) -> GaussianSet:
        """Deform the Gaussians: ``mu -> phi(mu)``, ``Sigma -> J Sigma J^T`` and ``G -> G J^-1`` (paper, section 3.4).

        Neighbours are found by their distance before the deformation, so a stretched set does not tear and a shrunk one
        is read at full sharpness.

        Args:
            means: New means ``phi(mu)``.
            jacobians: ``d phi / d mu`` at every mean, or one [1, d, d] for an affine map.
        """
        jacobians = _unflattened(jacobians)
        back = inverse(jacobians)
        return replace(
            self,
            means=means,
            covariances=product(product(jacobians, self.covariances), jacobians.mT),
            slopes=None if self.slopes is None else self.slopes @ back,
            inverse_jacobians=back if self.inverse_jacobians is None else product(self.inverse_jacobians, back),
        )

    def copied(self) -> GaussianSet:
        """Copy all tensors."""
        return self._each(Tensor.clone)

    def to(self, device: torch.device | str) -> GaussianSet:
        """Move all tensors to a device."""
        return self._each(lambda one: one.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> GaussianSet:
        return replace(self, **{name: change(one) for name, one in vars(self).items() if isinstance(one, Tensor)})


def isotropic(sigma: float, dimensions: int, device: torch.device | str | None = None) -> Float[Tensor, "1 d d"]:
    """Return one round covariance that all Gaussians share."""
    return (sigma * sigma * torch.eye(dimensions, device=device))[None]


def _unflattened(jacobians: Float[Tensor, "t d d"]) -> Float[Tensor, "t d d"]:
    """Thicken flat Jacobians a little, so that they can be inverted; all others stay as they are."""
    dimensions = jacobians.shape[-1]
    size = jacobians.square().sum(dim=(1, 2)) / dimensions
    least = _FLAT_DETERMINANT * size.clamp(min=_FLAT_JACOBIAN_THICKNESS**2) ** (dimensions / 2)
    flat = determinant(jacobians).abs() <= least
    if not bool(flat.any()):
        return jacobians
    return jacobians + _FLAT_JACOBIAN_THICKNESS * flat[:, None, None] * torch.eye(dimensions).to(jacobians)
