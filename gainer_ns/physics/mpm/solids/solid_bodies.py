"""Elastic bodies, and what is pinned in them, moved on step by step on their own grid.

The unknowns are the displacements of the nodes. Since points are always carried by the same nodes, nothing is passed
to and fro, so what moves freely loses energy only by its damping; and what holds together cannot part by rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
import warp as wp
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gainer_ns.gaussians.kernels import Repeated, Typed, matrix, vector
from gainer_ns.physics.engine import Particles, State
from gainer_ns.physics.materials import BEHAVIOURS, Material
from gainer_ns.physics.mpm.grid import Grid
from gainer_ns.physics.mpm.solids.contact import ContactPairs
from gainer_ns.physics.mpm.solids.kernels import CONTACT_RATE, TOUCHING_SPACINGS, point_kernel, solid_node_kernel
from gainer_ns.physics.mpm.solids.links import solid_links
from gainer_ns.physics.mpm.solids.rest_grid import RestGrid

SOLIDS = ("elastic", "pinned")
"""Behaviours of what moves on a grid of its own."""
MIN_CELL_SPACINGS = 1.5
"""Side of a cell of the grid at rest, at least, in spacings of the particles: neighbours always share nodes."""
FIXED_SHARE = 1e-3
"""A node of whose mass more than this share is pinned stands still."""
MIN_NODE_MASS = 0.005
"""Nodes weigh at least this share of the usual, or those that carry next to nothing would be flung about."""
MAX_STIFFENING = 4.0
"""By how much the time step is shortened at most where bodies are stretched."""
DAMPING_CELLS = 0.03
"""For how long strain is slowed: the time in which a pressure wave crosses so many cells."""


@dataclass(frozen=True)
class SolidState:
    """The motion of the nodes.

    Attributes:
        displacements: [m, d], widths.
        velocities: [m, d], widths a second.
        accelerations: [m, d], widths a squared second, as they would be if nothing were in the way.
        gradients: [q, d, d], deformation gradients of the points.
    """

    displacements: Float[Tensor, "m d"]
    velocities: Float[Tensor, "m d"]
    accelerations: Float[Tensor, "m d"]
    gradients: Float[Tensor, "q d d"]

    def as_dict(self) -> dict[str, Tensor]:
        """Return its tensors by name."""
        return {f"solid_{each.name}": getattr(self, each.name) for each in fields(self)}

    @classmethod
    def of(cls, state: State, device: torch.device) -> SolidState:
        """Take it from all tensors of a frame."""
        return cls(**{each.name: state[f"solid_{each.name}"].to(device).contiguous() for each in fields(cls)})


class SolidBodies:
    """The particles of a simulation that are elastic or pinned.

    Args:
        particles: All of them, at rest.
        materials: Of each body.
        masses: [n], of all particles.
        gradients: [n, d, d], how velocities change around each at the start, 1 / second.
        grid: What acts on them, and what is in the way.

    Attributes:
        own: [p], which of all particles they are.
    """

    def __init__(
        self,
        particles: Particles,
        materials: Sequence[Material],
        masses: Float[Tensor, " n"],
        gradients: Float[Tensor, "n d d"],
        grid: Grid,
    ) -> None:
        self._grid, self._device = grid, grid.device
        solid = is_solid(particles, materials)
        self.own: Int64[Tensor, " p"] = solid.nonzero()[:, 0].to(self._device)
        own = self.own.cpu()
        self._number = np.full(len(particles), -1)
        self._number[own.numpy()] = np.arange(len(own))
        self._spacing = particles.spacing
        cell = max(grid.cell, MIN_CELL_SPACINGS * particles.spacing)
        links = self._number[solid_links(particles, solid)]
        self.rest = RestGrid.over(particles.positions[own], links, particles.spacing, cell).to(self._device)
        parents = self.rest.parents
        kinds = torch.tensor([BEHAVIOURS.index(each.behaviour) for each in materials], device=self._device)
        bodies = particles.bodies.to(self._device)[self.own]
        pinned = kinds[bodies] == BEHAVIOURS.index("pinned")
        self._masses = masses.to(self._device).float()[self.own].contiguous()
        self.moving_masses = torch.where(pinned, 0.0, self._masses).contiguous()
        volumes = particles.volumes.to(self._device).float()[self.own]
        self.volumes = torch.where(pinned[parents], 0.0, volumes[parents] * self.rest.shares).contiguous()
        crossings = [cell / each.wave_speed for each in materials]  # seconds
        numbers = [
            (*reversed(each.lame), DAMPING_CELLS * crossing, (CONTACT_RATE / crossing) ** 2)
            for each, crossing in zip(materials, crossings, strict=True)
        ]
        self._constants = torch.tensor(numbers, device=self._device).float()[bodies][parents].contiguous()
        shared = (self._masses[parents] * self.rest.shares)[:, None].double()
        moving = torch.where(pinned[parents][:, None], 0.0, shared)
        whole, free = self.rest.gathered(shared)[:, 0], self.rest.gathered(moving)[:, 0]
        self._fixed = (whole - free > FIXED_SHARE * whole).int().contiguous()
        self.node_masses = whole.clamp(min=MIN_NODE_MASS * float(whole.median())).float().contiguous()
        inverse_masses = torch.where(pinned, 0.0, 1 / self._masses)
        stiffness = torch.where(pinned, torch.inf, self._constants[: len(own), 3])
        self._pairs = ContactPairs(self.rest, links, inverse_masses, stiffness, particles.spacing)
        densities = torch.tensor([each.density for each in materials], device=self._device)
        self._densities = densities[bodies][parents]
        self._depths = grid.depths.view(-1)
        # What begins nearer to a surface than it would rest is let be.
        colliders = grid.config.colliders
        places = particles.positions[own].cpu().double()
        depths = [collider.depth(places) for collider in colliders]
        nearest = torch.stack([places.new_full((len(own),), -math.inf), *depths]).amax(dim=0)
        self._radii = (-nearest).clamp(max=0.5 * particles.spacing).float().contiguous().to(self._device)
        velocities = self._started(particles, gradients, shared)
        dimensions = particles.dimensions
        eye = torch.eye(dimensions, device=self._device).repeat(len(parents), 1, 1)
        zeros = torch.zeros_like(velocities)
        self.state = SolidState(zeros, velocities, zeros.clone(), eye)
        self._step_seconds = 0.0

    def _started(self, particles: Particles, gradients: Tensor, shared: Tensor) -> Float[Tensor, "m d"]:
        """Return the nodes' velocities at the start: those of the points around them, carried on by their changes."""
        parents, rest = self.rest.parents, self.rest
        changes = gradients.to(self._device).double()[self.own][parents]
        points = rest.points.double()
        at = particles.velocities.to(self._device).double()[self.own][parents]
        at = at + torch.einsum("qij,qj->qi", changes, points - points[parents])
        # v + C (X - x), whose sum over the points needs their moments.
        constant = shared * (at - torch.einsum("qij,qj->qi", changes, points))
        slopes = (shared[..., None] * changes).flatten(1)
        whole = rest.gathered(shared)
        slope = rest.gathered(slopes).view(-1, *changes.shape[1:])
        velocities = (rest.gathered(constant) + torch.einsum("mij,mj->mi", slope, rest.nodes.double())) / whole
        return torch.where(self._fixed[:, None] == 1, 0.0, velocities).float().contiguous()

    @property
    def kinetic(self) -> float:
        """Energy of motion at the time of the gradients, from which half a step of acceleration has passed since."""
        velocities = self.state.velocities.double() - 0.5 * self._step_seconds * self.state.accelerations.double()
        return 0.5 * float((self.node_masses.double() * velocities.square().sum(dim=1)).sum())

    @property
    def stored(self) -> float:
        """Elastic energy."""
        F = self.state.gradients.double()
        squares, volume = F.square().sum(dim=(1, 2)), torch.linalg.det(F)
        if F.shape[1] == 2:
            sizes = (squares + 2 * volume).clamp(min=0).sqrt()
        else:  # of an inverted point the least singular value is negative
            values = torch.linalg.svdvals(F)
            sizes = values.sum(dim=1) - 2 * values[:, -1] * (volume < 0)
        mu, first = self._constants[:, 0].double(), self._constants[:, 1].double()
        density = mu * (squares - 2 * sizes + F.shape[1]) + 0.5 * first * (volume - 1).square()
        return float((density * self.volumes.double()).sum())

    def wave_crossings(self) -> float:
        """Return how many cells the quickest wave crosses in a second, as bodies are strained now.

        How stiff a point is, is the largest second derivative of its energy by its deformation. Nodes feel the mean of
        those that they carry.
        """
        F, mu, first = self.state.gradients, self._constants[:, 0], self._constants[:, 1]
        squares = F.square().sum(dim=(1, 2))
        if F.shape[1] == 2:
            volume = F[:, 0, 0] * F[:, 1, 1] - F[:, 0, 1] * F[:, 1, 0]
            away = (squares.square() - 4 * volume.square()).clamp(min=0) + 4 * (2 * volume - 1).square()
            stiffness = 2 * mu + 0.5 * first * (squares + away.sqrt())
        else:
            stiffness = (2 * mu + 3 * first) * (squares / 3).clamp(min=1)
        stiffness = stiffness.nan_to_num(0.0).minimum(MAX_STIFFENING**2 * (2 * mu + F.shape[1] * first))
        weighed = torch.stack([self.volumes * stiffness, self.volumes * self._densities], dim=1)
        given = self.rest.gathered(weighed)
        squared = (given[:, 0] / given[:, 1].clamp(min=1e-30))[self._fixed == 0]
        return math.sqrt(float(squared.max())) / self.rest.cell if len(squared) else 0.0

    def steps(self, dt: float, gravity: Float[Tensor, "s d"], amounts: Float[Tensor, "s f"]) -> SolidSteps:
        """Prepare steps of ``dt`` seconds, which change a copy of the state."""
        self._step_seconds = dt
        self.state = SolidState(*(getattr(self.state, each.name).clone() for each in fields(SolidState)))
        return SolidSteps(self, dt, gravity, amounts)

    def at_points(self) -> tuple[Float[Tensor, "p d"], Float[Tensor, "p d"], Float[Tensor, "p d d"]]:
        """Return positions, velocities and deformation gradients of the particles."""
        count, rest = len(self.own), self.rest
        carried = RestGrid.spread(rest, self.state.displacements)[:count]
        eye = torch.eye(carried.shape[1], device=self._device)
        gradients = eye + rest.gradients(self.state.displacements)[:count]
        return rest.points[:count] + carried, rest.spread(self.state.velocities)[:count], gradients


class SolidSteps:
    """Steps of one length, with everything that kernels need packed once.

    Attributes:
        positions: [p, d], of the particles in the step that has been begun.
        velocities: [p, d], as they will be if nothing is in the way.
        pushes: [p, d], momenta that they are given: more may be added before the step is finished.
        masses: [p], 0 of what is pinned.
    """

    def __init__(
        self, bodies: SolidBodies, dt: float, gravity: Float[Tensor, "s d"], amounts: Float[Tensor, "s f"]
    ) -> None:
        self._bodies, self._dt, self.masses = bodies, dt, bodies.moving_masses
        rest, grid, state, device = bodies.rest, bodies._grid, bodies.state, bodies._device
        dimensions, count = rest.points.shape[1], len(bodies.own)
        self.positions, self.velocities = (torch.zeros(count, dimensions, device=device) for _ in range(2))
        pushes = torch.zeros_like(rest.points)  # of points that are no particles always 0
        self.pushes = pushes[:count]
        self._expected = state.velocities + dt * state.accelerations
        stresses = torch.zeros_like(state.gradients)
        place, square = vector(dimensions), matrix(dimensions, dimensions)
        weight = vector(dimensions + 1)
        lattice = [place(*grid.origin), grid.cell, wp.vec3i(*grid.shape)]
        self._to_points = Repeated(
            point_kernel(dimensions),
            [
                count,
                Typed(rest.points, place),
                Typed(rest.carriers.view(-1), wp.int32),
                Typed(rest.weights.view(-1, dimensions + 1), weight),
                Typed(bodies.volumes, wp.float32),
                Typed(bodies.moving_masses, wp.float32),
                Typed(bodies._constants, wp.vec4),
                Typed(state.displacements, place),
                Typed(self._expected, place),
                Typed(state.gradients, square),
                Typed(stresses, square),
                Typed(self.positions, place),
                Typed(self.velocities, place),
                Typed(pushes, place),
                Typed(bodies._depths, wp.float32),
                len(grid.config.colliders),
                Typed(grid.surfaces, wp.int32),
                Typed(grid.frictions, wp.float32),
                *lattice,
                Typed(bodies._radii, wp.float32),
                TOUCHING_SPACINGS * bodies._spacing,
                dt,
            ],
            device,
        )
        self._to_nodes = Repeated(
            solid_node_kernel(dimensions),
            [
                Typed(rest.starts, wp.int32),
                Typed(rest.carried, wp.int32),
                Typed(rest.given, weight),
                Typed(stresses, square),
                Typed(pushes, place),
                Typed(bodies.node_masses, wp.float32),
                Typed(bodies._fixed, wp.int32),
                Typed(rest.nodes, place),
                Typed(state.displacements, place),
                Typed(state.velocities, place),
                Typed(self._expected, place),
                Typed(gravity, place),
                Typed(amounts.view(-1), wp.float32),
                len(grid.forces),
                Typed(grid.fields.view(-1, dimensions), place),
                *lattice,
                dt,
            ],
            device,
        )
        bodies._pairs.begin()

    def begin(self, step: int) -> None:
        """Find out where the particles are, how they are strained, and what is in their way."""
        bodies = self._bodies
        self._to_points(0, len(bodies.rest.points), step)
        bodies._pairs.push(self.positions, self.velocities, self.pushes, self._dt)

    def finish(self, step: int) -> None:
        """Move the nodes on."""
        self._to_nodes(0, len(self._bodies.rest.nodes), step)

    def end(self) -> None:
        """Keep what the next steps need to know of the last."""
        state = self._bodies.state
        state.accelerations.copy_((self._expected - state.velocities) / self._dt)


def is_solid(particles: Particles, materials: Sequence[Material]) -> Bool[Tensor, " n"]:
    """Tell which particles are elastic, or pinned."""
    kinds = torch.tensor([material.behaviour in SOLIDS for material in materials])
    return kinds[particles.bodies.cpu()]
