"""Bodies that have torn: what of a picture each of their particles shows, and when that is needed."""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Bool
from torch import Tensor

from gainer_ns.editing.pieces import Piece
from gainer_ns.frames import ImagePlane
from gainer_ns.motion.grain_map import PARTING_SPACINGS, GrainMap, RestOwners
from gainer_ns.physics.body_skins import BodySkin, PlacedParticles

FAR_SPACINGS = 1e3
"""From so far on a particle shows no more than there: never."""


class TornSkin:
    """A body that may tear: drawn particle by particle from when it has.

    Args:
        piece: Of the picture, at rest.
        skin: What it follows.
    """

    def __init__(self, piece: Piece, skin: BodySkin) -> None:
        self._piece, self._skin = piece, skin

    def map(self, plane: ImagePlane) -> GrainMap | None:
        """Return the rest map in the frame that the skin shows, on the plane of the picture; None if all is whole."""
        placed = self._skin.placed(plane)
        if not bool(self._parted(placed).any()):
            return None
        none = torch.zeros_like(placed.rest[:, 0])
        return GrainMap(
            placed.positions,
            placed.rest,
            placed.inverse_gradients,
            none,
            none,
            torch.full_like(none, FAR_SPACINGS * placed.spacing),
            none,
            placed.spacing,
            placed.spacing,
            plane.pixel_size,
            placed.forward,
            self._owners,
        )

    def _parted(self, placed: PlacedParticles) -> Bool[Tensor, " l"]:
        """Tell which particles that held together no longer agree on where anything between them is."""
        assert self._skin.links is not None
        one, other = self._skin.links.unbind(1)
        between = placed.positions[other] - placed.positions[one]
        rest = placed.rest[other] - placed.rest[one]
        middle = 0.5 * (placed.inverse_gradients[one] + placed.inverse_gradients[other])
        apart = torch.einsum("lij,lj->li", middle, between) - rest
        return apart.norm(dim=1) > PARTING_SPACINGS * placed.spacing

    @cached_property
    def _owners(self) -> RestOwners:
        """Which particle is nearest to each pixel of the piece."""
        from scipy.spatial import KDTree

        rest, plane = self._piece.rest, self._piece.plane
        particles = self._skin.rest.cpu().double() * plane.width
        numbers = torch.from_numpy(KDTree(particles.numpy()).query(rest.pixels.cpu().double().numpy())[1])
        corner = plane.plane_from_pixel(torch.tensor([rest.corner], dtype=torch.float64))[0].tolist()
        step = plane.pixel_size
        return RestOwners(
            numbers.view(rest.shape).int().to(self._skin.rest.device), (corner[0], corner[1]), (step, -step)
        )
