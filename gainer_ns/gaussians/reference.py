"""Neighbours and aggregation in plain torch: the reference that the kernels are compared with."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int32
from torch import Tensor

from gainer_ns.gaussians.neighbours import Neighbours


def nearest(
    points: Float[Tensor, "m d"],
    means: Float[Tensor, "n d"],
    k: int,
    radius: float,
    inverse_jacobians: Float[Tensor, "m d d"] | None = None,
) -> Neighbours:
    """Find the ``k`` nearest means of each point within the radius, by looking at all of them.

    Where they were deformed, distances are those before it, by an inverse Jacobian for each point.
    """
    offsets = points[:, None] - means[None]
    squared = offsets.square().sum(dim=-1)
    if inverse_jacobians is not None:
        squared = torch.einsum("mij,mnj->mni", inverse_jacobians, offsets).square().sum(dim=-1)
    squared = torch.nn.functional.pad(squared, (0, max(0, k - len(means))), value=torch.inf)
    squared, indices = squared.sort(dim=1, stable=True)
    squared, indices = squared[:, :k], indices[:, :k]
    missing = squared > radius * radius
    return Neighbours(indices.masked_fill(missing, -1).int(), squared.masked_fill(missing, torch.inf))


def aggregate(
    points: Float[Tensor, "m d"],
    neighbours: Neighbours,
    means: Float[Tensor, "n d"],
    precisions: Float[Tensor, "s d d"],
    features: Float[Tensor, "n f"],
) -> Float[Tensor, "m f"]:
    """Return the Gaussian-weighted mean of the neighbours' features.

    Term by term as the paper writes it (section 3.2).
    """
    indices = neighbours.indices.clamp(min=0).long()
    offsets = points[:, None] - means[indices]
    precisions = precisions.expand(len(means), -1, -1)[indices]
    weights = torch.exp(-0.5 * torch.einsum("mki,mkij,mkj->mk", offsets, precisions, offsets)) * neighbours.valid
    total = weights.sum(dim=1, keepdim=True)
    return (weights[..., None] * features[indices]).sum(dim=1) / torch.where(total > 0, total, 1)


def differentiable_weights(
    offsets: Float[Tensor, "m k d"], neighbours: Neighbours, precisions: Float[Tensor, "s d d"]
) -> Float[Tensor, "m k"]:
    """Return normalised Gaussian weights of the neighbours, with gradients of any order.

    Offsets are ``x - mu`` of every neighbour, anything finite where it is missing.
    """
    of_neighbour = precisions if len(precisions) == 1 else precisions[neighbours.indices.clamp(min=0).long()]
    exponent = -0.5 * torch.einsum("mki,mkij,mkj->mk", offsets, of_neighbour.expand(*offsets.shape, -1), offsets)
    logits = torch.where(neighbours.valid, exponent, -torch.inf)
    any_valid = neighbours.valid.any(dim=1, keepdim=True)
    return torch.softmax(torch.where(any_valid, logits, 0.0), dim=1) * neighbours.valid


def sloped_means(
    points: Float[Tensor, "m 2"],
    neighbours: Neighbours,
    means: Float[Tensor, "n 2"],
    precisions: Float[Tensor, "n 3"],
    features: Float[Tensor, "n f"],
    slopes: Float[Tensor, "n s 2"],
) -> Float[Tensor, "m f"]:
    """Return the Gaussian-weighted mean of ``e_i + G_i (x - mu_i)``, ``G`` being 0 in the channels from ``s`` on.

    Precisions are ``xx, xy, yy``.
    """
    indices = neighbours.indices.clamp(min=0).long()
    offsets = points[:, None] - means[indices]
    square = precisions[:, [0, 1, 1, 2]].view(-1, 2, 2)
    weights = differentiable_weights(offsets, neighbours, square)
    slopes = torch.nn.functional.pad(slopes, (0, 0, 0, features.shape[1] - slopes.shape[1]))
    read = features[indices] + torch.einsum("mkfi,mki->mkf", slopes[indices], offsets)
    return (weights[..., None] * read).sum(dim=1)


def read_block(
    discs: Int32[Tensor, " m"],
    steps: Float[Tensor, "m 2"],
    neighbours: Int32[Tensor, "n 4"],
    columns: Float[Tensor, "n f"],
    sigma: float,
) -> Float[Tensor, "m f"]:
    """Average columns over the discs within two rows and then two columns of each place's own.

    ``neighbours`` are those to the right, below, to the left and above.
    """
    total, weight = columns.new_zeros(len(discs), columns.shape[1]), columns.new_zeros(len(discs), 1)
    for row in range(-2, 3):
        for column in range(-2, 3):
            disc = discs.long()
            for direction, count in ((1, row), (3, -row), (0, column), (2, -column)):
                for _ in range(count):
                    disc = torch.where(disc >= 0, neighbours[disc.clamp(min=0), direction], -1)
            away = steps - steps.new_tensor([column, row])
            share = torch.exp(-0.5 * away.square().sum(dim=1, keepdim=True) / sigma**2) * (disc >= 0)[:, None]
            total, weight = total + share * columns[disc.clamp(min=0)], weight + share
    return total / weight
