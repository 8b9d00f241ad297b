"""A set of Gaussians: what they are, and how a transformation moves them."""

from __future__ import annotations

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
        inverse_jacobians: [n, d, d] or [1, d, d]: how a step from a deformed mean leads back to where the set was
            fitted, by which its neighbours are found; None where nothing was deformed.
        slopes: [n, s, d], ``G``: of the first ``s`` channels of a Gaussian a point reads ``e + G (x - mu)``, of the
            others ``e`` everywhere; None where it does so of all.
        opacity_slopes: [n, d], the same of opacities; None where they are read as they are.
    """

    means: Float[Tensor, "n d"]
    covariances: Float[Tensor, "s d d"]
    features: Float[Tensor, "n f"]
    radius: float
    opacities: Float[Tensor, " n"] | None = None
    inverse_jacobians: Float[Tensor, "t d d"] | None = None
    slopes: Float[Tensor, "n s d"] | None = None
    opacity_slopes: Float[Tensor, "n d"] | None = None

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
        if self.slopes is not None:
            channels = self.slopes.shape[1] if self.slopes.dim() == 3 else 0
            if tuple(self.slopes.shape) != (count, channels, dimensions) or not 1 <= channels <= self.features.shape[1]:
                raise ValueError(
                    f"slopes of shape {tuple(self.slopes.shape)} for features {tuple(self.features.shape)}"
                )
        if self.opacities is not None and tuple(self.opacities.shape) != (count,):
            raise ValueError(f"opacities of shape {tuple(self.opacities.shape)} for {count} means")
        if self.opacity_slopes is not None and tuple(self.opacity_slopes.shape) != (count, dimensions):
            raise ValueError(f"opacity slopes of shape {tuple(self.opacity_slopes.shape)} for {count} means")

    def __len__(self) -> int:
        return self.means.shape[0]

    def __getitem__(self, chosen: Bool[Tensor, " n"] | Int[Tensor, " m"]) -> GaussianSet:
        """Some of the Gaussians, by a mask or by indices."""
        matrices, inverses = self.covariances, self.inverse_jacobians
        return replace(
            self,
            means=self.means[chosen],
            covariances=matrices if len(matrices) == 1 else matrices[chosen],
            features=self.features[chosen],
            opacities=None if self.opacities is None else self.opacities[chosen],
            slopes=None if self.slopes is None else self.slopes[chosen],
            opacity_slopes=None if self.opacity_slopes is None else self.opacity_slopes[chosen],
            inverse_jacobians=inverses if inverses is None or len(inverses) == 1 else inverses[chosen],
        )

    @property
    def dimensions(self) -> int:
        """Dimensions of the space that the Gaussians live in: 2 or 3."""
        return self.means.shape[1]

    @property
    def precisions(self) -> Float[Tensor, "s d d"]:
        """Inverse covariances."""
        return inverse(self.covariances)

    def transformed(self, means: Float[Tensor, "n d"], jacobians: Float[Tensor, "t d d"]) -> GaussianSet:
        """The same Gaussians after a deformation: ``mu -> phi(mu)``, ``Sigma -> J Sigma J^T`` and ``G -> G J^-1``.

        What a point reads follows: neighbours are found by their distance before the deformation, so a stretched set
        does not tear and a squeezed one is read at full sharpness.

        Args:
            means: New means ``phi(mu)``.
            jacobians: ``d phi / d mu`` at every mean, or one [1, d, d] for an affine map.
        """
        jacobians = unflattened(jacobians)
        covariances = product(product(jacobians, self.covariances), jacobians.mT)
        back = inverse(jacobians)
        slopes = None if self.slopes is None else self.slopes @ back
        opacity_slopes = None if self.opacity_slopes is None else (self.opacity_slopes[:, None] @ back)[:, 0]
        if self.inverse_jacobians is not None:
            back = product(self.inverse_jacobians, back)
        return replace(
            self,
            means=means,
            covariances=covariances,
            slopes=slopes,
            opacity_slopes=opacity_slopes,
            inverse_jacobians=back,
        )

    def copied(self) -> GaussianSet:
        """The same Gaussians in tensors of their own."""
        values = {name: value.clone() for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **values)

    def to(self, device: torch.device | str) -> GaussianSet:
        """The same Gaussians on a device."""
        return replace(
            self,
            means=self.means.to(device),
            covariances=self.covariances.to(device),
            features=self.features.to(device),
            opacities=None if self.opacities is None else self.opacities.to(device),
            slopes=None if self.slopes is None else self.slopes.to(device),
            opacity_slopes=None if self.opacity_slopes is None else self.opacity_slopes.to(device),
            inverse_jacobians=None if self.inverse_jacobians is None else self.inverse_jacobians.to(device),
        )


def isotropic(sigma: float, dimensions: int, device: torch.device | str | None = None) -> Float[Tensor, "1 d d"]:
    """One round covariance that all Gaussians share."""
    return (sigma * sigma * torch.eye(dimensions, device=device))[None]


def unflattened(jacobians: Float[Tensor, "t d d"]) -> Float[Tensor, "t d d"]:
    """Jacobians that can be inverted: flat ones are thickened a little, all others stay as they are."""
    dimensions = jacobians.shape[-1]
    size = jacobians.square().sum(dim=(1, 2)) / dimensions
    flat = determinant(jacobians).abs() <= _FLAT_DETERMINANT * size.clamp(min=_FLAT_JACOBIAN_THICKNESS**2) ** (
        dimensions / 2
    )
    if not bool(flat.any()):
        return jacobians
    return jacobians + _FLAT_JACOBIAN_THICKNESS * flat[:, None, None] * torch.eye(dimensions).to(jacobians)
