"""Carries any points of a picture along with the particles that were simulated of it."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import torch
import warp as wp
from jaxtyping import Bool, Float, Int32, Int64
from torch import Tensor

from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.gaussians.small_matrices import determinant
from gainer_ns.physics.carrying_kernels import carry_kernel

NEIGHBOURS = 16
"""How many particles a point follows at most."""
REACH = 1.75
"""How many spacings away these are at most, where there are some so near."""
BEYOND = 1.5
"""Farther out a point follows what is up to so many times as far away as the nearest particle."""
PARTING = 0.35
"""By how many spacings particles of breaking materials disagree about a point when they begin to let go of it."""
ESTIMATED_FROM = 10
"""How many neighbours tell how a particle is deformed, where the engine does not."""
FLAT_SHARE = 0.05
"""Neighbours that spread less than this in a direction, relative to the widest, squared, do not tell about it."""
STRAINED = 0.5
"""Of breaking materials, what share longer or shorter the way to a neighbour has become when it stops telling much."""
LEAST_TOLD = 0.1
"""Where a smaller share of the neighbours tells, a particle begins to be as it was but for a rotation."""


class Carried(NamedTuple):
    """Where points have gone.

    Attributes:
        positions: [n, d].
        jacobians: [n, d, d], how a small step at rest shows now.
        torn: [n], from 0, where a point goes with all the particles around it, to 1, where only its nearest is left.
    """

    positions: Float[Tensor, "n d"]
    jacobians: Float[Tensor, "n d d"]
    torn: Float[Tensor, " n"]


class Carrier:
    """Particles at rest, and how points among them follow when they move.

    Each particle ``k`` says where a point ``X`` goes by its own affine map, ``x_k + F_k (X - X_k)``. The point goes to
    their mean, with weights ``(1 - |X - X_k|^2 / R^2)^3`` that fall smoothly to 0 at the reach ``R``: there are no
    seams, and what moves as one affine map moves so everywhere. The Jacobian is the derivative of that mean. Such
    blends of local maps are those of a partition of unity (Babuska and Melenk 1997).

    Particles of breaking materials, and those that they meet, part: where another's map and that of the nearest
    particle disagree, the other's weight falls off, so that the point goes with the nearest.

    One carrier is for particles that move together or break apart, such as those of one body.

    Args:
        rest: [p, 2 or 3], at least one.
        spacing: How far apart neighbours are, in the unit of the positions.
        breaking: [p], which are of materials that splash, crumble or tear; None for none.
    """

    def __init__(self, rest: Float[Tensor, "p d"], spacing: float, breaking: Bool[Tensor, " p"] | None = None) -> None:
        if len(rest) == 0 or not spacing > 0:
            raise ValueError(f"{len(rest)} particles {spacing} apart carry nothing")
        self.rest, self.spacing = rest.detach().float().contiguous(), spacing
        self.breaking = torch.zeros_like(self.rest[:, 0], dtype=torch.bool) if breaking is None else breaking

    def bound(self, points: Float[Tensor, "n d"]) -> BoundPoints:
        """Points whose particles are looked for once."""
        return BoundPoints(self, points)

    def at(
        self, points: Float[Tensor, "n d"], positions: Float[Tensor, "p d"], gradients: Float[Tensor, "p d d"] | None
    ) -> Carried:
        """Where points at rest go; see :meth:`BoundPoints.at`."""
        return self.bound(points).at(positions, gradients)

    def nearest(self, points: Float[Tensor, "n d"], k: int) -> tuple[Int32[Tensor, "n k"], Float[Tensor, "n k"]]:
        """The nearest particles at rest, in order, -1 where there are no more; and their squared distances."""
        found = self._index.query(points.float(), k)
        squared, order = found.squared_distances.sort(dim=1, stable=True)
        return found.indices.gather(1, order), squared

    def gradients(self, positions: Float[Tensor, "p d"]) -> Float[Tensor, "p d d"]:
        """Deformation gradients where an engine tells none: how the neighbours of each particle have moved.

        The affine map that fits them best by least squares; along directions in which they do not spread, such as
        across a surface in space, the rotation that does. Of breaking materials only neighbours count that are about as
        far away as they were.

        Args:
            positions: [p, 2 or 3], where the particles are.
        """
        indices, weights, precisions = self._fit
        before = (self.rest[indices] - self.rest[:, None]).double()
        after = (positions[indices] - positions[:, None]).double()
        told = weights * torch.exp(-0.5 * self._strains(indices, before, after).square())
        share = (told * before.square().sum(dim=-1)).sum(dim=1).clamp(min=LEAST_TOLD)
        rotations = _rotations(torch.einsum("pk,pki,pkj->pij", told, after, before))
        beyond = after - torch.einsum("pij,pkj->pki", rotations, before)
        fitted = torch.einsum("pk,pki,pkj->pij", told / share[:, None], beyond, before) @ precisions
        return (rotations + fitted).to(self.rest)

    def _strains(
        self, indices: Int64[Tensor, "p k"], before: Float[Tensor, "p k d"], after: Float[Tensor, "p k d"]
    ) -> Float[Tensor, "p k"]:
        """How much longer or shorter the ways to neighbours are, where a material breaks; relative to STRAINED."""
        breaking = self.breaking[:, None] | self.breaking[indices]
        return breaking * (after.norm(dim=-1) / before.norm(dim=-1).clamp(min=1e-30) - 1) / STRAINED

    @cached_property
    def _index(self) -> NeighbourIndex:
        return NeighbourIndex(self.rest, torch.inf)

    @cached_property
    def _fit(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of each particle: neighbours [p, k], their weights [p, k], and the inverse [p, d, d] of how they spread."""
        indices, squared = self.nearest(self.rest, min(ESTIMATED_FROM + 1, len(self.rest)))
        squared = squared.double()
        weights = torch.exp(-2 * squared / squared[:, -1:].clamp(min=1e-300))
        weights = weights / (weights * squared).sum(dim=1, keepdim=True).clamp(min=1e-300)
        before = (self.rest[indices] - self.rest[:, None]).double()
        spread = torch.einsum("pk,pki,pkj->pij", weights, before, before)
        return indices.long(), weights, torch.linalg.pinv(spread, rtol=FLAT_SHARE, hermitian=True)


class BoundPoints:
    """Points with the particles that they follow.

    Args:
        carrier: The particles.
        points: [n, 2 or 3], at rest, on the device of the particles.
    """

    def __init__(self, carrier: Carrier, points: Float[Tensor, "n d"]) -> None:
        self._carrier = carrier
        self._points = points.detach().float().contiguous()
        indices, squared = carrier.nearest(self._points, NEIGHBOURS + 1)
        reach = torch.maximum(BEYOND**2 * squared[:, 0], squared.new_tensor((REACH * carrier.spacing) ** 2))
        # Where more particles are so near, weights end at the first that is left out: no seam where it changes.
        reach = torch.minimum(reach, squared[:, -1]).clamp(min=1e-30)
        followed = torch.where(squared < reach[:, None], indices, -1)[:, :NEIGHBOURS]
        followed[:, 0] = indices[:, 0]
        self._sharpness, self._followed = 1 / reach, followed.contiguous()

    def __len__(self) -> int:
        return len(self._points)

    def at(self, positions: Float[Tensor, "p d"], gradients: Float[Tensor, "p d d"] | None) -> Carried:
        """Where the points are when the particles have moved.

        Args:
            positions: [p, d], of the particles.
            gradients: [p, d, d], their deformation gradients; None to estimate them from the positions.
        """
        carrier, d = self._carrier, positions.shape[1]
        if gradients is None:
            gradients = carrier.gradients(positions)
        place, square = kernels.vector(d), kernels.matrix(d, d)
        moved = torch.empty_like(self._points)
        jacobians = moved.new_empty(len(moved), d, d)
        torn = moved.new_empty(len(moved))
        kernels.launch(
            carry_kernel(NEIGHBOURS, d),
            len(moved),
            [
                Typed(self._points, place),
                Typed(self._followed, kernels.vector(NEIGHBOURS, wp.int32)),
                Typed(self._sharpness, wp.float32),
                Typed(carrier.rest, place),
                Typed(positions.detach().float().contiguous(), place),
                Typed(gradients.detach().float().contiguous(), square),
                Typed(carrier.breaking.int(), wp.int32),
                0.5 / (PARTING * carrier.spacing) ** 2,
                Typed(moved, place),
                Typed(jacobians, square),
                Typed(torn, wp.float32),
            ],
            moved.device,
        )
        return Carried(moved, jacobians, torn)


def limited_gradients(gradients: Float[Tensor, "p d d"], largest: float) -> Float[Tensor, "p d d"]:
    """Deformation gradients that stretch and squeeze by no more than a factor, and turn nothing inside out.

    Those within bounds stay as they are, to the bit.

    Args:
        gradients: [p, 2, 2] or [p, 3, 3], finite.
        largest: Largest singular value, at least 1; its inverse is the smallest.
    """
    if gradients.shape[-1] == 2:
        return _limited_in_plane(gradients, largest)
    # Cheap bounds of the singular values, since few gradients need the costly decomposition.
    squares, size = gradients.square().sum(dim=(1, 2)), determinant(gradients)
    doubtful = ((squares > largest**2) | (2 * size <= squares / largest)).nonzero()[:, 0]
    left, values, right = torch.linalg.svd(gradients[doubtful])
    signs = torch.ones_like(values)
    signs[:, 2] = torch.where(determinant(left) * determinant(right) < 0, -1.0, 1.0)
    clamped = (signs * values).clamp(1 / largest, largest)
    changed = (clamped != values).any(dim=1)
    mended = (left * (signs * clamped)[:, None]) @ right
    result = gradients.clone()
    result[doubtful[changed]] = mended[changed]
    return result


def _limited_in_plane(gradients: Float[Tensor, "p 2 2"], largest: float) -> Float[Tensor, "p 2 2"]:
    """A matrix of a plane is a multiple of a rotation and one of a reflection: its singular values are sum and gap."""
    (a, b), (c, d) = (row.unbind(-1) for row in gradients.unbind(-2))
    turn, flip = torch.stack([a + d, c - b], dim=-1) / 2, torch.stack([a - d, c + b], dim=-1) / 2
    of_turn, of_flip = turn.norm(dim=-1), flip.norm(dim=-1)
    high, low = of_turn + of_flip, of_turn - of_flip
    new_high, new_low = high.clamp(1 / largest, largest), low.clamp(1 / largest, largest)
    turn = torch.where(of_turn[:, None] > 0, turn, turn.new_tensor([1.0, 0.0]))
    e, h = (turn * (0.5 * (new_high + new_low) / of_turn.where(of_turn > 0, 1.0))[:, None]).unbind(-1)
    f, g = (flip * (0.5 * (new_high - new_low) / of_flip.where(of_flip > 0, 1.0))[:, None]).unbind(-1)
    mended = torch.stack([e + f, g - h, g + h, e - f], dim=-1).view_as(gradients)
    return torch.where(((high == new_high) & (low == new_low))[:, None, None], gradients, mended)


def _rotations(matrices: Float[Tensor, "p d d"]) -> Float[Tensor, "p d d"]:
    """The rotation closest to each matrix (Kabsch 1976); none where it is 0."""
    if matrices.shape[-1] == 2:
        (a, b), (c, d) = (row.unbind(-1) for row in matrices.unbind(-2))
        turn = torch.stack([a + d, c - b], dim=-1)
        size = turn.norm(dim=-1, keepdim=True)
        cos, sin = torch.where(size > 1e-12, turn / size.clamp(min=1e-300), turn.new_tensor([1.0, 0.0])).unbind(-1)
        return torch.stack([cos, -sin, sin, cos], dim=-1).view_as(matrices)
    matrices = matrices + 1e-9 * torch.eye(3).to(matrices)
    left, _, right = torch.linalg.svd(matrices)
    left = left.clone()
    left[:, :, 2] *= torch.sign(determinant(left) * determinant(right))[:, None]
    return left @ right
