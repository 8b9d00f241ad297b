"""Which particles of solid bodies hold on to one another at rest."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from gainer_ns.physics.engine import Particles

LINK_SPACINGS = 1.8
"""Particles as near as so many spacings hold together where nothing tells more."""


def solid_links(particles: Particles, solid: Bool[Tensor, " n"]) -> Int64[np.ndarray, "l 2"]:
    """Return the pairs of solid particles that hold on to each other at rest, each once.

    They are those that the particles tell, or where these tell none, those that are near to one another.

    Args:
        particles: At rest.
        solid: [n], which of them are of solid bodies.
    """
    from scipy.spatial import KDTree

    if particles.links is not None:
        pairs = particles.links.cpu().numpy()
        chosen = solid.cpu().numpy()
        return pairs[chosen[pairs].all(axis=1)].astype(np.int64)
    own = torch.nonzero(solid.cpu())[:, 0].numpy()
    tree = KDTree(particles.positions.cpu().double().numpy()[own])
    pairs = tree.query_pairs(LINK_SPACINGS * particles.spacing, output_type="ndarray")
    return own[pairs].astype(np.int64).reshape(-1, 2)
