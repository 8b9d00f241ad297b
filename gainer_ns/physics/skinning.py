"""Skinning: points of a picture follow the particles that were simulated of it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
import warp as wp
from jaxtyping import Bool, Float, Int32, Int64
from torch import Tensor

from gainer_ns.editing.steps import Placed, Weights
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.gaussians.small_matrices import inverse, product
from gainer_ns.motion.particle_map import ParticleMap
from gainer_ns.physics.connections import HeldPairs, links_among
from gainer_ns.physics.deformation_gradients import limited_gradients, nearest_rotations
from gainer_ns.physics.engine import Frame, Particles
from gainer_ns.physics.materials import BREAKING, Material
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
MAX_GRAIN_STRETCH = 1.6
"""By how much grains and splashes are shown stretched or compressed, at most."""
MAX_STRETCH = 4.0
"""By how much what is between particles is shown stretched or compressed, at most: where parts of a body part, fold or
meet again, the clear surroundings that go along with both would be without bounds."""
ADJACENT_SPACINGS = 2.0
"""Bodies whose particles come as near as so many spacings belong together."""
MAX_CACHED_POINT_SETS = 16


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


class BodySkin:
    """Bodies that move together, and the points of a picture that follow their particles, found once and kept.

    Args:
        bodies: Their numbers: all of them break, or none does.
        particles: Of all bodies.
        own: [p], which of these are theirs.
        breaking: Whether what they are made of breaks.
        width: Of the picture, in pixels.
    """

    def __init__(
        self, bodies: Sequence[int], particles: Particles, own: Int64[Tensor, " p"], breaking: bool, width: int
    ) -> None:
        self.bodies, self.breaking, self.width = tuple(bodies), breaking, width
        links = None if particles.links is None else links_among(particles.links, own, len(particles))
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
        """Return where points, in pixels, have gone, in widths."""
        assert self._frame is not None
        skinned = next((skinned for cached, skinned in self._cached if torch.equal(cached, points)), None)
        if skinned is None:
            skinned = SkinnedPoints(self._skin, points / self.width)
            self._cached = [*self._cached[1 - MAX_CACHED_POINT_SETS :], (points, skinned)]
        if self._last is None or self._last[0] is not skinned:
            pose = skinned.at(*self._frame)
            self._last = skinned, pose._replace(jacobians=limited_gradients(pose.jacobians, MAX_STRETCH))
        return self._last[1]

    def particle_map(self, plane: ImagePlane, grain: float) -> ParticleMap:
        """Return the rest map of what breaks: loose particles show what is near them, others what is around.

        Args:
            plane: Of the picture.
            grain: How far a loose particle shows, in pixels.
        """
        assert self._frame is not None
        (positions, gradients), rest = self._frame, self._skin.rest
        flip = gradients.new_tensor([[1.0, -1.0], [-1.0, 1.0]])  # widths count downwards, the plane upwards
        torn = self.pose(rest * self.width).torn
        spacing = self._skin.spacing * self.width
        reaches = torch.lerp(
            torch.full_like(torn, SUPPORT_RADIUS_SPACINGS * spacing), torch.full_like(torn, grain), torn
        )

        def forward(points: Tensor) -> tuple[Tensor, Tensor]:
            pose = self.pose(plane.pixel_from_plane(points))
            return plane.plane_from_pixel(pose.positions * self.width), pose.jacobians * flip

        return ParticleMap(
            plane.plane_from_pixel(rest * self.width),
            plane.plane_from_pixel(positions * self.width),
            inverse(gradients * flip),
            reaches * plane.pixel_size,
            PARTING_SPACINGS * spacing * plane.pixel_size,
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


def estimated_jacobians(rest: Float[Tensor, "n d"], moved: Float[Tensor, "n d"]) -> Float[Tensor, "n d d"]:
    """Estimate how a small step at each point shows, once all have moved, from how its neighbours did."""
    span = (rest.amax(dim=0) - rest.amin(dim=0)).prod().clamp(min=1e-12)
    return ParticleSkin(rest, math.sqrt(float(span) / len(rest))).estimated_gradients(moved)


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
        skins.append(BodySkin(bodies, particles, own, materials[bodies[0]].behaviour in BREAKING, width))
    return skins


def adjacent_bodies(particles: Particles, materials: Sequence[Material]) -> list[list[int]]:
    """Group bodies that hang together: alike in whether they break, and side by side at rest; the first first."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    tree = KDTree(particles.positions.cpu().numpy())
    pairs = tree.query_pairs(ADJACENT_SPACINGS * particles.spacing, output_type="ndarray")
    one, other = (particles.bodies.cpu().numpy()[ends] for ends in pairs.T)
    breaking = torch.tensor([material.behaviour in BREAKING for material in materials]).numpy()
    alike = (breaking[one] == breaking[other]) & (one != other)
    count = len(materials)
    links = coo_array((alike[alike], (one[alike], other[alike])), shape=(count, count))
    _, labels = connected_components(links, directed=False)
    return [[body for body in range(count) if labels[body] == label] for label in dict.fromkeys(labels.tolist())]
