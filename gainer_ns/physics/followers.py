"""What of a picture follows which particles: bodies that hang together, and the points that go along with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gainer_ns.editing.pieces import Placed, Weights
from gainer_ns.gaussians.small_matrices import product
from gainer_ns.physics.carrying import BoundPoints, Carried, Carrier, limited_gradients
from gainer_ns.physics.engine import Frame, Particles
from gainer_ns.physics.materials import BREAKING, Material

LONGEST = 1.6
"""By how much grains and splashes are shown stretched or squeezed, at most."""
ADJACENT = 2.0
"""Bodies whose particles come as near as so many spacings belong together."""
STEEPEST = 4.0
"""By how much what is between particles is shown stretched or squeezed, at most: where parts of a body part, fold or
meet again, the clear surroundings that go along with both would be without bounds."""
KEPT = 4
"""How many sets of points are remembered with the particles that carry them."""


class Followers:
    """Points of a picture and the particles of the bodies that carry them, looked for once and kept.

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
        flags = torch.full_like(own, breaking, dtype=torch.bool)
        self._carrier = Carrier(particles.positions[own], particles.spacing, flags)
        self._own = own
        self._kept: list[tuple[Tensor, BoundPoints]] = []
        self._last: tuple[BoundPoints, Carried] | None = None
        self._frame: tuple[Tensor, Tensor | None] | None = None

    def show(self, frame: Frame) -> None:
        """Takes the particles to where they are in a frame."""
        positions = frame.positions[self._own]
        gradients = self._carrier.gradients(positions) if frame.gradients is None else frame.gradients[self._own]
        if self.breaking:
            gradients = limited_gradients(gradients, LONGEST)
        self._frame, self._last = (positions, gradients), None

    def carried(self, points: Float[Tensor, "m d"]) -> Carried:
        """Where points, in pixels, have gone, in widths."""
        assert self._frame is not None
        bound = next((bound for kept, bound in self._kept if torch.equal(kept, points)), None)
        if bound is None:
            bound = self._carrier.bound(points / self.width)
            self._kept = [*self._kept[1 - KEPT :], (points, bound)]
        if self._last is None or self._last[0] is not bound:
            carried = bound.at(*self._frame)
            self._last = bound, carried._replace(jacobians=limited_gradients(carried.jacobians, STEEPEST))
        return self._last[1]

    def take(self, fields: Float[Tensor, "b n"]) -> Bool[Tensor, " n"]:
        """Which points are theirs, by how far inside each body they are."""
        return fields[list(self.bodies)].amax(dim=0) >= 0.5


@dataclass(frozen=True)
class Carry:
    """What a frame of a simulation does to a piece of a picture, where edits have a ``Step``.

    Attributes:
        followers: Who carries its points.
        edit: Which amount it answers to.
        selection: None: pieces follow as a whole.
    """

    followers: Followers
    edit: int = 0
    selection: None = None

    def moved(self, placed: Placed, amount: float, weights: Weights | None) -> Placed:
        """Points after the movement, in pixels."""
        carried = self.followers.carried(placed.points)
        positions, jacobians = carried.positions.to(placed.points), carried.jacobians.to(placed.jacobians)
        return Placed(positions * self.followers.width, product(jacobians, placed.jacobians))


def followers_of(particles: Particles, materials: Sequence[Material], width: int) -> list[Followers]:
    """What carries a picture: one for all bodies that hang together, those of the first body first.

    Args:
        particles: At rest.
        materials: Of each body.
        width: Of the picture, in pixels.
    """
    made = []
    for bodies in adjacent(particles, materials):
        own = torch.isin(particles.bodies, torch.tensor(bodies).to(particles.bodies)).nonzero()[:, 0]
        made.append(Followers(bodies, particles, own, materials[bodies[0]].behaviour in BREAKING, width))
    return made


def centre_of_mass(frame: Frame, particles: Particles, materials: Sequence[Material]) -> Float[Tensor, " d"]:
    """Of what is not pinned, in widths."""
    densities = torch.tensor([0.0 if each.behaviour == "pinned" else each.density for each in materials])
    masses = particles.volumes.cpu() * densities[particles.bodies.cpu()]
    return (masses[:, None] * frame.positions.cpu()).sum(dim=0) / masses.sum()


def adjacent(particles: Particles, materials: Sequence[Material]) -> list[list[int]]:
    """Bodies that hang together: alike in whether they break, and side by side at rest. Ascending, the first first."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    pairs = KDTree(particles.positions.cpu().numpy()).query_pairs(ADJACENT * particles.spacing, output_type="ndarray")
    one, other = (particles.bodies.cpu().numpy()[ends] for ends in pairs.T)
    breaking = torch.tensor([material.behaviour in BREAKING for material in materials]).numpy()
    alike = (breaking[one] == breaking[other]) & (one != other)
    count = len(materials)
    links = coo_array((alike[alike], (one[alike], other[alike])), shape=(count, count))
    _, labels = connected_components(links, directed=False)
    return [[body for body in range(count) if labels[body] == label] for label in dict.fromkeys(labels.tolist())]
