"""Skinning: points of a picture follow the particles that were simulated of it."""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import torch
import warp as wp
from jaxtyping import Float, Int32, Int64
from torch import Tensor

from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.physics.connections import HeldPairs
from gainer_ns.physics.deformation_gradients import nearest_rotations
from gainer_ns.physics.skinning_kernels import skinning_kernel

MAX_FOLLOWED_PARTICLES = 16
SUPPORT_RADIUS_SPACINGS = 1.75
"""How many spacings away the particles are at most that a point follows, where there are some so near."""
MAX_RELATIVE_DISTANCE = 1.5
"""Farther out a point follows what is up to so many times as far away as the nearest particle."""
PARTING_SPACINGS = 0.35
"""By how many spacings particles of breaking materials disagree about a point when they begin to let go of it."""
FIT_NEIGHBOURS = 10
"""How many neighbours tell how a particle is deformed, where the engine does not."""
MIN_SPREAD_RATIO = 0.05
"""Neighbours that spread less than this in a direction, relative to the widest, squared, do not tell about it."""
TELLING_STRAIN = 0.5
"""Of breaking materials, the strain of the way to a neighbour at which that stops telling much."""
MIN_TELLING_SHARE = 0.1
"""Where a smaller share of the neighbours tells, a particle begins to be as it was but for a rotation."""


class SkinPose(NamedTuple):
    """Where points have gone.

    Attributes:
        positions: [n, d].
        jacobians: [n, d, d], how a small step at rest shows now.
        torn: [n], from 0, where a point goes with all the particles around it, to 1, where only its nearest is left.
    """

    positions: Float[Tensor, "n d"]
    jacobians: Float[Tensor, "n d d"]
    torn: Float[Tensor, " n"]


class ParticleSkin:
    """Particles at rest, and how points among them follow when they move.

    Each particle ``k`` says where a point ``X`` goes by its own affine map, ``x_k + F_k (X - X_k)``. The point goes to
    their mean, with weights ``(1 - |X - X_k|^2 / R^2)^3`` that fall smoothly to 0 at the support radius ``R``: there
    are no seams, and what moves as one affine map moves so everywhere. The Jacobian is the derivative of that mean.
    Such blends of local maps are those of a partition of unity (Babuska and Melenk 1997).

    Particles of breaking materials part: where another's map and that of the nearest particle disagree, the other's
    weight falls off, so that the point goes with the nearest.

    Args:
        rest: [p, 2 or 3], at least one.
        spacing: How far apart neighbours are, in the unit of the positions.
        breaking: Whether they are of a material that splashes, crumbles or tears.
        links: [l, 2], which hold on to each other, where that is known: points follow no others than those that the
            nearest one holds on to, by one between them at most.
    """

    def __init__(
        self,
        rest: Float[Tensor, "p d"],
        spacing: float,
        *,
        breaking: bool = False,
        links: Int64[Tensor, "l 2"] | None = None,
    ) -> None:
        if len(rest) == 0 or not spacing > 0:
            raise ValueError(f"{len(rest)} particles {spacing} apart carry nothing")
        self.rest, self.spacing, self.breaking = rest.detach().float().contiguous(), spacing, breaking
        self.held = HeldPairs(None if breaking else links, len(rest))

    def nearest(self, points: Float[Tensor, "n d"], k: int) -> tuple[Int32[Tensor, "n k"], Float[Tensor, "n k"]]:
        """Find the nearest particles at rest, in order, -1 where there are no more; and their squared distances."""
        found = self._index.query(points.float(), k)
        squared, order = found.squared_distances.sort(dim=1, stable=True)
        return found.indices.gather(1, order), squared

    def estimated_gradients(self, positions: Float[Tensor, "p d"]) -> Float[Tensor, "p d d"]:
        """Estimate deformation gradients, where an engine tells none, from how neighbours have moved.

        Each is the affine map that fits them best by least squares; along directions in which they do not spread, such
        as across a surface in space, the rotation that does. Of breaking materials only neighbours count that are about
        as far away as they were.

        Args:
            positions: [p, 2 or 3], where the particles are.
        """
        indices, weights, precisions = self._fit
        before = (self.rest[indices] - self.rest[:, None]).double()
        after = (positions[indices] - positions[:, None]).double()
        told = weights
        if self.breaking:
            strains = after.norm(dim=-1) / before.norm(dim=-1).clamp(min=1e-30) - 1
            told = weights * torch.exp(-0.5 * (strains / TELLING_STRAIN).square())
        share = (told * before.square().sum(dim=-1)).sum(dim=1).clamp(min=MIN_TELLING_SHARE)
        rotations = nearest_rotations(torch.einsum("pk,pki,pkj->pij", told, after, before))
        beyond = after - torch.einsum("pij,pkj->pki", rotations, before)
        fitted = torch.einsum("pk,pki,pkj->pij", told / share[:, None], beyond, before) @ precisions
        return (rotations + fitted).to(self.rest)

    @cached_property
    def _index(self) -> NeighbourIndex:
        return NeighbourIndex(self.rest, torch.inf)

    @cached_property
    def _fit(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of each particle: neighbours [p, k], their weights [p, k], and the inverse [p, d, d] of how they spread."""
        indices, squared = self.nearest(self.rest, min(FIT_NEIGHBOURS + 1, len(self.rest)))
        squared = squared.double()
        weights = torch.exp(-2 * squared / squared[:, -1:].clamp(min=1e-300))
        weights = weights / (weights * squared).sum(dim=1, keepdim=True).clamp(min=1e-300)
        before = (self.rest[indices] - self.rest[:, None]).double()
        spread = torch.einsum("pk,pki,pkj->pij", weights, before, before)
        return indices.long(), weights, torch.linalg.pinv(spread, rtol=MIN_SPREAD_RATIO, hermitian=True)


class SkinnedPoints:
    """Points with the particles that they follow.

    Args:
        skin: The particles.
        points: [n, 2 or 3], at rest, on the device of the particles.
    """

    def __init__(self, skin: ParticleSkin, points: Float[Tensor, "n d"]) -> None:
        self._skin = skin
        self._points = points.detach().float().contiguous()
        indices, squared = skin.nearest(self._points, MAX_FOLLOWED_PARTICLES + 1)
        support = squared.new_tensor((SUPPORT_RADIUS_SPACINGS * skin.spacing) ** 2)
        support = torch.maximum(MAX_RELATIVE_DISTANCE**2 * squared[:, 0], support)
        # Where more particles are so near, weights end at the first that is left out: no seam where it changes.
        support = torch.minimum(support, squared[:, -1]).clamp(min=1e-30)
        followed = torch.where((squared < support[:, None]) & skin.held.of(indices), indices, -1)
        followed = followed[:, :MAX_FOLLOWED_PARTICLES]
        followed[:, 0] = indices[:, 0]
        if not skin.breaking:  # kernels read on until the first that is none
            order = (followed < 0).int().argsort(dim=1, stable=True)
            followed = followed.gather(1, order)
        self._sharpness, self._followed = 1 / support, followed.contiguous()

    def __len__(self) -> int:
        return len(self._points)

    def at(self, positions: Float[Tensor, "p d"], gradients: Float[Tensor, "p d d"] | None) -> SkinPose:
        """Return where the points are when the particles have moved.

        Args:
            positions: [p, d], of the particles.
            gradients: [p, d, d], their deformation gradients; None to estimate them from the positions.
        """
        skin, d = self._skin, positions.shape[1]
        if gradients is None:
            gradients = skin.estimated_gradients(positions)
        place, square = kernels.vector(d), kernels.matrix(d, d)
        moved = torch.empty_like(self._points)
        jacobians = moved.new_empty(len(moved), d, d)
        torn = moved.new_empty(len(moved))
        kernels.launch(
            skinning_kernel(MAX_FOLLOWED_PARTICLES, d),
            len(moved),
            [
                Typed(self._points, place),
                Typed(self._followed, kernels.vector(MAX_FOLLOWED_PARTICLES, wp.int32)),
                Typed(self._sharpness, wp.float32),
                Typed(skin.rest, place),
                Typed(positions.detach().float().contiguous(), place),
                Typed(gradients.detach().float().contiguous(), square),
                int(skin.breaking),
                0.5 / (PARTING_SPACINGS * skin.spacing) ** 2,
                Typed(moved, place),
                Typed(jacobians, square),
                Typed(torn, wp.float32),
            ],
            moved.device,
        )
        return SkinPose(moved, jacobians, torn)


def estimated_jacobians(rest: Float[Tensor, "n d"], moved: Float[Tensor, "n d"]) -> Float[Tensor, "n d d"]:
    """Estimate how a small step at each point shows, once all have moved, from how its neighbours did."""
    span = (rest.amax(dim=0) - rest.amin(dim=0)).prod().clamp(min=1e-12)
    return ParticleSkin(rest, math.sqrt(float(span) / len(rest))).estimated_gradients(moved)
