"""What an engine is: something that moves particles, frame by frame.

Positions are in widths of the picture: x right, y down, (0, 0) the top-left corner of the picture, as pixels divided by
its width. Of a lifted photo they are in space: z points towards the camera, and is 0 at the depth of what was selected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gainer_ns.physics.colliders import Collider
from gainer_ns.physics.forces import Force, Gravity
from gainer_ns.physics.materials import Material
from gainer_ns.physics.pulls import Pull

State = Mapping[str, Tensor]
"""What an engine needs to go on from a frame, by names of its own choice."""


@dataclass(frozen=True)
class SimulationConfig:
    """Where and how long bodies move, and what acts on them: numbers alone, for one picture. Lengths are widths.

    Attributes:
        low: Lowest coordinates of the domain, one for each dimension; nothing leaves it.
        high: Highest coordinates.
        gravity: Acceleration of everything, by time.
        forces: What else accelerates.
        colliders: What is in the way, the domain's borders among them.
        frames: How many frames there are, with the one at time 0.
        fps: Frames a second.
        cells: Cells of a grid along the domain's longest side; None leaves that to the engine.
        pulls: Hands that hold something, and go somewhere with it.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    gravity: Gravity
    forces: tuple[Force, ...] = ()
    colliders: tuple[Collider, ...] = ()
    frames: int = 91
    fps: float = 30.0
    cells: int | None = None
    pulls: tuple[Pull, ...] = ()

    @property
    def dimensions(self) -> int:
        """2 on a plane, 3 in space."""
        return len(self.low)


@dataclass(frozen=True)
class Particles:
    """What is simulated.

    Attributes:
        positions: [n, d] at rest, picture widths.
        volumes: [n], squared or cubed widths.
        velocities: [n, d] at the start, widths a second.
        bodies: [n], number of the body of the scene that each belongs to.
        gaussian_ids: [n], the Gaussian that each stands for; -1 for none.
        spacing: How far apart neighbours are, widths.
        links: [l, 2], which hold on to each other where they are solid, each pair once; None for those that are near.
    """

    positions: Float[Tensor, "n d"]
    volumes: Float[Tensor, " n"]
    velocities: Float[Tensor, "n d"]
    bodies: Int64[Tensor, " n"]
    gaussian_ids: Int64[Tensor, " n"]
    spacing: float
    links: Int64[Tensor, "l 2"] | None = None

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def dimensions(self) -> int:
        """2 on a plane, 3 in space."""
        return self.positions.shape[1]


@dataclass(frozen=True)
class Frame:
    """Where the particles are at a time.

    Attributes:
        time: Seconds since the start.
        positions: [n, d], picture widths.
        gradients: [n, d, d], deformation gradients since the start: how a small step at rest shows now. None where the
            engine does not tell.
        state: What the engine needs to go on from here; empty where it cannot.
    """

    time: float
    positions: Float[Tensor, "n d"]
    gradients: Float[Tensor, "n d d"] | None
    state: State = field(default_factory=dict, repr=False)


class Engine(Protocol):
    """Moves particles."""

    def run(
        self, config: SimulationConfig, particles: Particles, materials: Sequence[Material], start: Frame | None = None
    ) -> Iterator[Frame]:
        """Simulate frame after frame, the first of them at time 0 with everything at rest.

        Args:
            config: Domain, gravity, forces, colliders, duration.
            particles: What moves.
            materials: Of each body.
            start: To go on from: its time and its state are taken, and the next frame comes first.

        Raises:
            GainerError: If the scene cannot be simulated, or the simulation blows up.
        """
        ...


def resting(particles: Particles) -> Frame:
    """Return the frame at time 0."""
    eye = torch.eye(particles.dimensions).to(particles.positions)
    return Frame(0.0, particles.positions, eye.repeat(len(particles), 1, 1))


def centre_of_mass(frame: Frame, particles: Particles, materials: Sequence[Material]) -> Float[Tensor, " d"]:
    """Return the centre of mass of what is not pinned, in widths."""
    densities = torch.tensor([0.0 if each.behaviour == "pinned" else each.density for each in materials])
    masses = particles.volumes.cpu() * densities[particles.bodies.cpu()]
    return (masses[:, None] * frame.positions.cpu()).sum(dim=0) / masses.sum()
