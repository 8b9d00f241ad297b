"""Skins of bodies: which bodies of a picture move together, and where their particles take its points in a frame."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gainer_ns.editing.steps import Placed, Weights
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.small_matrices import inverse, product
from gainer_ns.physics.connections import links_among
from gainer_ns.physics.deformation_gradients import limited_gradients
from gainer_ns.physics.engine import Frame, Particles
from gainer_ns.physics.materials import Material, Parting
from gainer_ns.physics.skinning import ParticleSkin, SkinnedPoints, SkinPose

MAX_GRAIN_STRETCH = 1.6
"""By how much grains and splashes are shown stretched or compressed, at most."""
MAX_STRETCH = 4.0
"""By how much what is between particles is shown stretched or compressed, at most: where parts of a body part, fold or
meet again, the clear surroundings that go along with both would be without bounds."""
ADJACENT_SPACINGS = 2.0
"""Bodies whose particles come as near as so many spacings belong together."""
MAX_CACHED_POINT_SETS = 16


class PlacedParticles(NamedTuple):
    """Particles on the plane of a picture: at rest and where they are, and what points among them do.

    Attributes:
        rest: [p, 2].
        positions: [p, 2].
        inverse_gradients: [p, 2, 2], of their deformation gradients.
        spacing: Of neighbours at rest.
        forward: Where points at rest have gone, and how a small step shows there.
    """

    rest: Float[Tensor, "p 2"]
    positions: Float[Tensor, "p 2"]
    inverse_gradients: Float[Tensor, "p 2 2"]
    spacing: float
    forward: Callable[[Float[Tensor, "m 2"]], tuple[Float[Tensor, "m 2"], Float[Tensor, "m 2 2"]]]


class BodySkin:
    """Bodies that move together, and the points of a picture that follow their particles, found once and kept.

    Args:
        bodies: Their numbers: all of them part in the same way, or none does.
        particles: Of all bodies.
        own: [p], which of these are theirs.
        parting: How they part.
        width: Of the picture, in pixels.

    Attributes:
        links: [l, 2], which of their particles hold on to each other at rest; None where that is not known.
    """

    def __init__(
        self, bodies: Sequence[int], particles: Particles, own: Int64[Tensor, " p"], parting: Parting, width: int
    ) -> None:
        self.bodies, self.parting, self.width = tuple(bodies), parting, width
        self.breaking = breaking = parting != "never"
        links = None if particles.links is None else links_among(particles.links, own, len(particles))
        self.links = links
        self._skin = ParticleSkin(particles.positions[own], particles.spacing, breaking=breaking, links=links)
        self._own = own
        self._cached: list[tuple[Tensor, SkinnedPoints]] = []
        self._last: tuple[SkinnedPoints, SkinPose] | None = None
        self._frame: tuple[Tensor, Tensor] | None = None

    def show(self, frame: Frame) -> None:
        """Take the particles to where they are in a frame."""
        positions, gradients = frame.positions.to(self._own.device)[self._own], frame.gradients
        if gradients is None:
            gradients = self._skin.estimated_gradients(positions)
        else:
            gradients = gradients.to(self._own.device)[self._own]
        gradients = limited_gradients(gradients, MAX_GRAIN_STRETCH if self.breaking else MAX_STRETCH)
        self._frame, self._last = (positions, gradients), None

    def pose(self, points: Float[Tensor, "m d"]) -> SkinPose:
        """Return where points, in pixels, have gone, in widths, on the device of the particles."""
        assert self._frame is not None
        there = [cached.device == points.device and torch.equal(cached, points) for cached, _ in self._cached]
        skinned = self._cached[there.index(True)][1] if any(there) else None
        if skinned is None:
            skinned = SkinnedPoints(self._skin, points.to(self.rest.device) / self.width)
            self._cached = [*self._cached[1 - MAX_CACHED_POINT_SETS :], (points, skinned)]
        if self._last is None or self._last[0] is not skinned:
            pose = skinned.at(*self._frame)
            self._last = skinned, pose._replace(jacobians=limited_gradients(pose.jacobians, MAX_STRETCH))
        return self._last[1]

    @property
    def rest(self) -> Float[Tensor, "p d"]:
        """The particles at rest, in widths."""
        return self._skin.rest

    @property
    def spacing(self) -> float:
        """How far apart neighbours are at rest, in widths."""
        return self._skin.spacing

    def placed(self, plane: ImagePlane) -> PlacedParticles:
        """Return the particles on the plane of the picture."""
        assert self._frame is not None
        (positions, gradients), rest = self._frame, self._skin.rest
        flip = gradients.new_tensor([[1.0, -1.0], [-1.0, 1.0]])  # widths count downwards, the plane upwards

        def forward(points: Tensor) -> tuple[Tensor, Tensor]:
            pose = self.pose(plane.pixel_from_plane(points))
            return plane.plane_from_pixel(pose.positions * self.width), pose.jacobians * flip

        return PlacedParticles(
            plane.plane_from_pixel(rest * self.width),
            plane.plane_from_pixel(positions * self.width),
            inverse(gradients * flip),
            self._skin.spacing * self.width * plane.pixel_size,
            forward,
        )

    def owns(self, fields: Float[Tensor, "b n"]) -> Bool[Tensor, " n"]:
        """Tell which points are theirs, by how far inside each body they are."""
        return fields[list(self.bodies)].amax(dim=0) >= 0.5


@dataclass(frozen=True)
class SkinStep:
    """What a frame of a simulation does to a piece of a picture, where edits have a ``Step``.

    Attributes:
        skin: What its points follow.
        edit: Which amount it answers to.
        selection: None: pieces follow as a whole.
    """

    skin: BodySkin
    edit: int = 0
    selection: None = None

    def moved(self, placed: Placed, amount: float, weights: Weights | None) -> Placed:
        """Return points after the movement, in pixels."""
        pose = self.skin.pose(placed.points)
        positions, jacobians = pose.positions.to(placed.points), pose.jacobians.to(placed.jacobians)
        return Placed(positions * self.skin.width, product(jacobians, placed.jacobians))

    def carried(
        self, points: Float[Tensor, "m 2"], amount: float, weights: Tensor | None, key: Hashable = None
    ) -> Float[Tensor, "m 2"]:
        """Return points after the movement, in pixels."""
        return self.skin.pose(points).positions.to(points) * self.skin.width


def body_skins(particles: Particles, materials: Sequence[Material], width: int) -> list[BodySkin]:
    """Make the skins of a picture: one for all bodies that hang together, those of the first body first.

    Args:
        particles: At rest.
        materials: Of each body.
        width: Of the picture, in pixels.
    """
    skins = []
    for bodies in adjacent_bodies(particles, materials):
        own = torch.isin(particles.bodies, torch.tensor(bodies).to(particles.bodies)).nonzero()[:, 0]
        skins.append(BodySkin(bodies, particles, own, materials[bodies[0]].parting, width))
    return skins


def adjacent_bodies(particles: Particles, materials: Sequence[Material]) -> list[list[int]]:
    """Group bodies that hang together: alike in how they part, and side by side at rest; the first first."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    tree = KDTree(particles.positions.cpu().numpy())
    pairs = tree.query_pairs(ADJACENT_SPACINGS * particles.spacing, output_type="ndarray")
    one, other = (particles.bodies.cpu().numpy()[ends] for ends in pairs.T)
    ways = np.array([material.parting for material in materials])
    alike = (ways[one] == ways[other]) & (one != other)
    count = len(materials)
    links = coo_array((alike[alike], (one[alike], other[alike])), shape=(count, count))
    _, labels = connected_components(links, directed=False)
    return [[body for body in range(count) if labels[body] == label] for label in dict.fromkeys(labels.tolist())]
