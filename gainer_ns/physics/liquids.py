"""Liquids: what of a picture each particle of a liquid carries along."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.editing.pieces import Piece
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.footprints import PixelExtent
from gainer_ns.motion.liquid_field import LiquidField
from gainer_ns.physics.body_skins import BodySkin
from gainer_ns.physics.colliders import Collider
from gainer_ns.physics.engine import Particles
from gainer_ns.rendering.liquid import Liquid
from gainer_ns.rendering.presence import Presence

MAX_DEPTH_SPACINGS, MAX_SHARE_INSIDE = 2.0, 0.01
"""Where no more of the particles than this share are so deep in what is in the way, liquid ends there."""


class LiquidSkin:
    """A body that flows: how much of it each particle stands for, and the colours that mix.

    Args:
        piece: Of the picture, at rest.
        skin: What it follows.
        particles: Of all bodies.
        plane: Of the picture.
        colliders: What is in the way.
    """

    def __init__(
        self, piece: Piece, skin: BodySkin, particles: Particles, plane: ImagePlane, colliders: Sequence[Collider]
    ) -> None:
        self._piece, self._skin, self._plane, self._colliders = piece, skin, plane, colliders
        own = torch.isin(particles.bodies, particles.bodies.new_tensor(skin.bodies))
        self._shares = (particles.volumes[own] / skin.spacing**2).clamp(max=1).to(skin.rest)
        around = PixelExtent(skin.spacing * plane.width * plane.pixel_size, plane.pixel_size)
        points = plane.plane_from_pixel(skin.rest * plane.width)
        self._colours = piece.rest.layer.read(points, around).rgb.clamp(0, 1)

    def layer(self) -> Liquid:
        """Return the picture's layer in the frame that the skin shows."""
        piece, plane, placed = self._piece, self._plane, self._skin.placed(self._plane)
        presence = None if piece.presence is None else Presence(piece.presence, piece.rest.corner)
        depths = self._depths if self._stays_outside(placed.positions, placed.spacing) else None
        field = LiquidField(
            placed.rest, placed.positions, self._shares, self._colours, placed.spacing, placed.forward, depths
        )
        return Liquid(piece.rest.layer, plane, plane, field, presence)

    def _stays_outside(self, positions: Float[Tensor, "p 2"], spacing: float) -> bool:
        """Tell whether there is anything in the way that stops particles: those of other programs may go through."""
        if not self._colliders:
            return False
        inside = self._depths(positions).amax(dim=0) > MAX_DEPTH_SPACINGS * spacing
        return float(inside.float().mean()) < MAX_SHARE_INSIDE

    def _depths(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, "c m"]:
        """Return how deep points of the plane are in each collider."""
        places = self._plane.pixel_from_plane(points) / self._plane.width
        depths = torch.stack([collider.depth(places) for collider in self._colliders])
        return depths * self._plane.width * self._plane.pixel_size
