"""The rest map of what breaks: every particle carries its surroundings, and what is loose ends near it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.motion.rest_map import PointRows, RestPoints

_NEIGHBOURS = 6
"""Particles around a point that may say where it lay."""


@dataclass(frozen=True)
class ParticleMap:
    """Where points of a canvas lay, by the particles around them.

    Each particle says by its own affine map, ``X_k + F_k^-1 (x - x_k)``, where a point lay. The nearest, by distance at
    rest, counts, and smoothly so do all others that agree with it: no seams run through what holds together, and
    nothing is averaged across what has parted. A blend of local maps by a partition of unity (Babuska and Melenk 1997).

    Attributes:
        rest: [p, 2], the particles at rest.
        positions: [p, 2], on the canvas.
        inverse_gradients: [p, 2, 2], of their deformation gradients.
        reaches: [p], how far from it at rest each shows something.
        parting: By what distance at rest particles disagree when they no longer count as one.
        forward: Where points at rest have gone, and how a small step shows there.
    """

    rest: Float[Tensor, "p 2"]
    positions: Float[Tensor, "p 2"]
    inverse_gradients: Float[Tensor, "p 2 2"]
    reaches: Float[Tensor, " p"]
    parting: float
    forward: Callable[[Float[Tensor, "m 2"]], tuple[Float[Tensor, "m 2"], Float[Tensor, "m 2 2"]]]

    @cached_property
    def _index(self) -> NeighbourIndex:
        return NeighbourIndex(self.positions, float(self.reaches.max()), self.inverse_gradients)

    @property
    def bounds(self) -> tuple[Float[Tensor, "2"], Float[Tensor, "2"]]:
        """Lowest and highest coordinates at which there can be anything."""
        gradients = torch.linalg.inv(self.inverse_gradients)
        reach = self.reaches[:, None] * torch.linalg.vector_norm(gradients, dim=2)
        return (self.positions - reach).amin(dim=0), (self.positions + reach).amax(dim=0)

    @torch.no_grad()
    def at(self, points: Float[Tensor, "m 2"]) -> RestPoints:
        """Return where points of the canvas lay."""
        result = RestPoints.nowhere(len(points), points.device)
        found = self._index.query(points, min(_NEIGHBOURS, len(self.rest)))
        indices, squared = found.indices, found.squared_distances
        nearest = squared.masked_fill(indices < 0, torch.inf).min(dim=1)
        own = indices.gather(1, nearest.indices[:, None])[:, 0].long()
        near = ((own >= 0) & (nearest.values.sqrt() <= self.reaches[own.clamp(min=0)])).nonzero()[:, 0]
        if len(near) == 0:
            return result
        points, own, indices, squared = points[near], own[near], indices[near], squared[near]
        read = indices.clamp(min=0).long()
        # Where each would have had the point, and how much that counts: it fades out before the next one would begin.
        away = points[:, None] - self.positions[read]
        places = self.rest[read] + torch.einsum("mkij,mkj->mki", self.inverse_gradients[read], away)
        first = self.rest[own] + torch.einsum("mij,mj->mi", self.inverse_gradients[own], points - self.positions[own])
        apart = (places - first[:, None]).square().sum(dim=2)
        farthest = squared.masked_fill(indices < 0, 0.0).amax(dim=1, keepdim=True).clamp(min=1e-30)
        rise = (1 - squared / farthest).clamp(min=1e-6)
        weights = (rise**3 * torch.exp(-0.5 * apart / self.parting**2)).masked_fill(indices < 0, 0.0)
        weights = weights / weights.sum(dim=1, keepdim=True)
        result.positions[near] = torch.einsum("mk,mki->mi", weights, places)
        result.inverse_jacobians[near] = torch.einsum("mk,mkij->mij", weights, self.inverse_gradients[read])
        return result

    def over(self, rows: PointRows, tolerance: float) -> RestPoints:
        """Return where points in rows and columns lay."""
        return self.at(rows.points)

    def to(self, device: torch.device | str) -> ParticleMap:
        """Return the same map on a device."""
        tensors = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **tensors)
