"""Grains: what of a picture each particle of sand or snow shows once it has come loose, and when it has."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from gainer_ns.editing.pieces import Piece
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.gaussians.small_matrices import product
from gainer_ns.motion.grain_map import GrainMap
from gainer_ns.physics.body_skins import BodySkin
from gainer_ns.physics.deformation_gradients import nearest_rotations

NEIGHBOURS = 6
"""Nearest particles at rest, whose distances tell whether a particle has come loose."""
HELD_STRAIN, LOOSE_STRAIN = 0.04, 0.14
"""Root mean square of the logarithms of how these distances have changed, up to which a particle holds together with
them, and from which on it is a grain."""
OPAQUE_SHARE = 0.9
"""From this share of the piece's highest opacity on, grains show what is there."""
MAX_SHADE = 0.1
"""By which share a grain is lighter or darker than the picture at most, so that grains are seen where that is even."""
MAX_SHIFT = 0.45
"""How many spacings from its particle a grain lies, since what flows in layers would be seen as stripes."""
EDGE_PX = 2.0
"""How far inside its edge a body has no colours of what was behind it."""
MAX_SHIFT_SPACINGS = 2.0
"""What is so far from anything opaque shows itself."""


class Patches(NamedTuple):
    """What grains show: none has a clear part of an edge in it.

    Attributes:
        origins: [p, 2], pixels, the opaque places nearest to the particles.
        radii: [p], pixels, how far around these all is opaque.
    """

    origins: Float[Tensor, "p 2"]
    radii: Float[Tensor, " p"]

    @classmethod
    def of(cls, piece: Piece, points: Float[Tensor, "p 2"], spacing: float) -> Patches:
        """Find the patches of particles of a piece.

        Args:
            piece: At rest.
            points: The particles, pixels.
            spacing: Of them, pixels.
        """
        opacity = piece.rest.opacity.view(piece.rest.shape)
        if piece.presence is not None:
            opacity = torch.minimum(opacity, piece.presence.clamp(0, 1).to(opacity))
        solid = (opacity >= OPAQUE_SHARE * opacity.amax()).cpu().numpy()
        inside = _distances(np.pad(solid, 1))[1:-1, 1:-1]
        corner = points.new_tensor(piece.rest.corner)
        local = (points - corner).cpu()
        column, row = (local[:, i].long().clamp(0, side - 1) for i, side in enumerate(reversed(solid.shape)))
        places, radii = local.clone(), torch.zeros(len(local))
        # What is so far inside that no colour of the edge's other side is left, or else at least opaque.
        for there in (solid, inside > EDGE_PX):
            nearest = ndimage.distance_transform_edt(~there, return_distances=False, return_indices=True)
            to_row, to_column = torch.from_numpy(nearest)[:, row, column].long()
            found = torch.stack([to_column, to_row], dim=1) + 0.5
            found = torch.where(torch.from_numpy(there)[row, column][:, None], local, found)
            near = (found - local).norm(dim=1) < MAX_SHIFT_SPACINGS * spacing + EDGE_PX
            places[near] = found[near]
            radii[near] = (torch.from_numpy(inside)[to_row, to_column][near].float() - EDGE_PX).clamp(min=0)
        return cls(places.to(points) + corner, radii.to(points))


class GrainSkin:
    """A body of grains: what its particles show, and when they have come loose.

    Args:
        piece: Of the picture, at rest.
        skin: What it follows.
        radius: Of grains, pixels.
        seed: Of their order of depth, and of how they roll.
    """

    def __init__(self, piece: Piece, skin: BodySkin, radius: float, seed: int) -> None:
        self._skin, self._radius = skin, radius
        rest, generator = skin.rest, torch.Generator().manual_seed(seed)
        self._patches = Patches.of(piece, rest * skin.width, skin.spacing * skin.width)
        self._heights, turns, ways, shades = torch.rand(4, len(rest), generator=generator).to(rest)
        self._turns = (2 * turns - 1) * math.pi
        self._shades = MAX_SHADE * (2 * shades - 1)
        self._shifts = MAX_SHIFT * torch.stack([(2 * math.pi * ways).cos(), (2 * math.pi * ways).sin()], dim=1)
        count = min(NEIGHBOURS, len(rest) - 1)
        found = NeighbourIndex(rest, torch.inf).query(rest, count + 1)
        order = found.squared_distances.argsort(dim=1, stable=True)[:, 1:]  # the first is the particle itself
        self._neighbours = found.indices.gather(1, order).long()
        self._rest_squares = self._squares(rest)

    def _squares(self, places: Float[Tensor, "p 2"]) -> Float[Tensor, "p k"]:
        """Return the squared distances of the neighbours."""
        others = places.index_select(0, self._neighbours.flatten()).view(len(places), -1, 2)
        return (others - places[:, None]).square().sum(dim=2)

    def looseness(self, places: Float[Tensor, "p 2"]) -> Float[Tensor, " p"]:
        """Return how loose particles are at some places, in widths: from 0, whole, to 1, grains."""
        ratios = self._squares(places).clamp(min=1e-20) / self._rest_squares
        strain = 0.5 * ratios.log().square().mean(dim=1).sqrt()
        share = ((strain - HELD_STRAIN) / (LOOSE_STRAIN - HELD_STRAIN)).clamp(0, 1)
        return share * share * (3 - 2 * share)

    def map(self, plane: ImagePlane) -> GrainMap:
        """Return the rest map in the frame that the skin shows, on the plane of the picture."""
        placed, pixel = self._skin.placed(plane), plane.pixel_size
        loose = self.looseness(plane.pixel_from_plane(placed.positions) / plane.width)
        rolled = product(rotations(loose * self._turns), nearest_rotations(placed.inverse_gradients))
        return GrainMap(
            placed.positions + placed.spacing * loose[:, None] * self._shifts,
            torch.lerp(placed.rest, plane.plane_from_pixel(self._patches.origins), loose[:, None]),
            torch.lerp(placed.inverse_gradients, rolled, loose[:, None, None]),
            loose,
            self._heights,
            self._patches.radii * pixel,
            self._shades,
            self._radius * pixel,
            placed.spacing,
            pixel,
            placed.forward,
        )


def _distances(solid: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Return how far pixels are from those that are not solid."""
    return np.asarray(ndimage.distance_transform_edt(solid))


def rotations(angles: Float[Tensor, " p"]) -> Float[Tensor, "p 2 2"]:
    """Return rotations by angles in radians."""
    sine, cosine = angles.sin(), angles.cos()
    return torch.stack([cosine, -sine, sine, cosine], dim=1).view(-1, 2, 2)
