"""Limits of the opacities of Gaussians: how a field of the plane, such as a picture's frame, ends what is shown."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.gaussians.aggregation import AggregationMatrix, gaussian_weights
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.gaussians.opacity import OPACITY_MARGIN_PX
from gainer_ns.gaussians.small_matrices import inverse

_SHARPENING_STEPS = 24
"""How often what averaging rounds off is added again."""
_GRADIENT_NEIGHBOURS = 8
"""How many Gaussians around one tell how a field changes there."""
_LEAST_SPREAD = 1e-3
"""Added to the spread of directions to these, each of length 1: across a line of Gaussians a field does not change."""


@dataclass(frozen=True)
class Limit:
    """What opacities may be at most, below 0 and above 1 too, so that an edge is crisp.

    Attributes:
        values: [n], at each Gaussian's mean.
        slopes: [n, d], how it changes away from the mean, per unit of the means; None where averages of the values are
            right already.
    """

    values: Float[Tensor, " n"]
    slopes: Float[Tensor, "n d"] | None = None

    def __getitem__(self, chosen: Int[Tensor, " m"]) -> Limit:
        """Of some of the Gaussians."""
        return Limit(self.values[chosen], None if self.slopes is None else self.slopes[chosen])

    def complement(self) -> Limit:
        """Return the limit on the other side of the edge."""
        return Limit(1 - self.values, None if self.slopes is None else -self.slopes)

    def steeper(self, factor: float) -> Limit:
        """Return the same up to 1, and from there on steeper."""
        values = self.values + (self.values - 1).clamp(min=0) * (factor - 1)
        if self.slopes is None:
            return Limit(values)
        return Limit(values, torch.where((self.values > 1)[:, None], factor * self.slopes, self.slopes))

    def raised(self, where: Int[Tensor, " m"], by: Float[Tensor, " m"]) -> Limit:
        """Return a limit that is higher at some of the Gaussians."""
        return replace(self, values=self.values.index_add(0, where, by.to(self.values)))


def limited(gaussians: GaussianSet, limit: Limit) -> GaussianSet:
    """Return the same Gaussians, of no more than a limit's opacity."""
    if gaussians.opacities is None:
        return replace(gaussians, opacities=limit.values, opacity_slopes=limit.slopes)
    slopes = None
    if limit.slopes is not None or gaussians.opacity_slopes is not None:
        own, other = (
            torch.zeros_like(gaussians.means) if one is None else one
            for one in (gaussians.opacity_slopes, limit.slopes)
        )
        slopes = torch.where((limit.values < gaussians.opacities)[:, None], other, own)
    return replace(gaussians, opacities=torch.minimum(gaussians.opacities, limit.values), opacity_slopes=slopes)


def averaging_to(field: Float[Tensor, " n"], gaussians: GaussianSet, num_neighbours: int) -> Limit:
    """Return a limit that is read as a given field, where it passes from 0 to 1.

    Gaussians that share a covariance average it well, but for its corners: what they take is added again, a few times
    (van Cittert, 1931). Others weigh as they were learned, and read it by its slope instead.

    Args:
        field: At the means, what should be read there.
        gaussians: Where they were fitted.
        num_neighbours: How many Gaussians a point reads.
    """
    index = NeighbourIndex(gaussians.means, gaussians.radius, gaussians.inverse_jacobians)
    if len(gaussians.covariances) > 1:
        return Limit(field, _gradients(field, gaussians.means, index))
    near = ((field > -OPACITY_MARGIN_PX) & (field < 1 + OPACITY_MARGIN_PX)).nonzero()[:, 0]
    points = gaussians.means[near]
    neighbours = index.query(points, num_neighbours)
    weights = gaussian_weights(points, neighbours, gaussians.means, gaussians.precisions)
    matrix = AggregationMatrix.from_neighbours(neighbours, weights, len(gaussians))
    values = field.clone()
    for _ in range(_SHARPENING_STEPS):
        values[near] += field[near] - (matrix @ values[:, None])[:, 0]
    return Limit(values)


def _gradients(field: Float[Tensor, " n"], means: Float[Tensor, "n d"], index: NeighbourIndex) -> Float[Tensor, "n d"]:
    """Return slopes of the planes that fit a field best around each mean, the nearer the more."""
    neighbours = index.query(means, _GRADIENT_NEIGHBOURS + 1)  # one is the Gaussian itself
    read = neighbours.indices.clamp(min=0).long()
    steps = means[read] - means[:, None]
    squared = steps.square().sum(dim=2)
    weights = neighbours.valid / squared.clamp(min=torch.finfo(torch.float32).tiny) * (squared > 0)
    normal = torch.einsum("nk,nki,nkj->nij", weights, steps, steps)
    change = torch.einsum("nk,nki,nk->ni", weights, steps, field[read] - field[:, None])
    return (inverse(normal + _LEAST_SPREAD * torch.eye(means.shape[1]).to(means)) @ change[..., None])[..., 0]
