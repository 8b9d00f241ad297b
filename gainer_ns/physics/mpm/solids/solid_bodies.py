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
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gainer_ns.physics.engine import Particles, State
from gainer_ns.physics.materials import BEHAVIOURS, Material
from gainer_ns.physics.mpm.grid import Grid
from gainer_ns.physics.mpm.solids.contact import ContactPairs
from gainer_ns.physics.mpm.solids.kernels import CONTACT_RATE, MAX_SOLID_STRETCH
from gainer_ns.physics.mpm.solids.links import solid_links
from gainer_ns.physics.mpm.solids.rest_grid import RestGrid
from gainer_ns.physics.mpm.solids.tearing import Tearing

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
        tearing: The cracks in them; None for none yet.

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
        tearing: Tearing | None = None,
    ) -> None:
        self._made_of = particles, materials, masses, gradients
        self.grid, self._device = grid, grid.device
        solid = is_solid(particles, materials)
        self.own: Int64[Tensor, " p"] = solid.nonzero()[:, 0].to(self._device)
        own = self.own.cpu()
        self._number = np.full(len(particles), -1)
        self._number[own.numpy()] = np.arange(len(own))
        self.spacing = particles.spacing
        cell = max(grid.cell, MIN_CELL_SPACINGS * particles.spacing)
        links = self._number[solid_links(particles, solid)]
        self._tearing = tearing or _tearing(particles, materials, own, links, cell)
        if self._tearing is not None:
            links = links[self._tearing.held.numpy()]
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
        self.constants = torch.tensor(numbers, device=self._device).float()[bodies][parents].contiguous()
        shared = (self._masses[parents] * self.rest.shares)[:, None].double()
        moving = torch.where(pinned[parents][:, None], 0.0, shared)
        whole, free = self.rest.gathered(shared)[:, 0], self.rest.gathered(moving)[:, 0]
        self.fixed = (whole - free > FIXED_SHARE * whole).int().contiguous()
        self.node_masses = whole.clamp(min=MIN_NODE_MASS * float(whole.median())).float().contiguous()
        inverse_masses = torch.where(pinned, 0.0, 1 / self._masses)
        stiffness = torch.where(pinned, torch.inf, self.constants[: len(own), 3])
        self.pairs = ContactPairs(self.rest, links, inverse_masses, stiffness, particles.spacing)
        densities = torch.tensor([each.density for each in materials], device=self._device)
        self._densities = densities[bodies][parents]
        held = torch.cat([self.moving_masses, self.moving_masses.new_zeros(len(parents) - len(own))])
        self._stiffest = self.rest.stiffest(self.node_masses, self.volumes * self._densities, CONTACT_RATE**2 * held)
        # What begins nearer to a surface than it would rest is let be.
        colliders = grid.config.colliders
        places = particles.positions[own].cpu().double()
        depths = [collider.depth(places) for collider in colliders]
        nearest = torch.stack([places.new_full((len(own),), -math.inf), *depths]).amax(dim=0)
        self.radii = (-nearest).clamp(max=0.5 * particles.spacing).float().contiguous().to(self._device)
        velocities = self._started(particles, gradients, shared)
        dimensions = particles.dimensions
        eye = torch.eye(dimensions, device=self._device).repeat(len(parents), 1, 1)
        zeros = torch.zeros_like(velocities)
        self.state = SolidState(zeros, velocities, zeros.clone(), eye)
        self._step_seconds, self._lost = 0.0, torch.zeros_like(pinned)

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
        return torch.where(self.fixed[:, None] == 1, 0.0, velocities).float().contiguous()

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
        mu, first = self.constants[:, 0].double(), self.constants[:, 1].double()
        density = mu * (squares - 2 * sizes + F.shape[1]) + 0.5 * first * (volume - 1).square()
        return float((density * self.volumes.double()).sum())

    def fastest_frequency(self) -> float:
        """Return a bound of how quickly anything swings, as bodies are strained now: angular, 1 / second.

        How stiff a point is, is the largest second derivative of its energy by its deformation. Nodes feel the mean of
        those that they carry.
        """
        F, mu, first = self.state.gradients, self.constants[:, 0], self.constants[:, 1]
        squares = F.square().sum(dim=(1, 2))
        if F.shape[1] == 2:
            volume = F[:, 0, 0] * F[:, 1, 1] - F[:, 0, 1] * F[:, 1, 0]
            away = (squares.square() - 4 * volume.square()).clamp(min=0) + 4 * (2 * volume - 1).square()
            stiffness = 2 * mu + 0.5 * first * (squares + away.sqrt())
        else:
            stiffness = (2 * mu + 3 * first) * (squares / 3).clamp(min=1)
        stiffness = stiffness.nan_to_num(0.0).minimum(MAX_STIFFENING**2 * (2 * mu + F.shape[1] * first))
        given = self.rest.summed(torch.stack([self.volumes * stiffness, self.volumes * self._densities], dim=1))
        squared = (given[:, 0] / given[:, 1].clamp(min=1e-30))[self.fixed == 0]
        return math.sqrt(float(squared.max()) * self._stiffest) / self.rest.cell if len(squared) else 0.0

    def begin(self, dt: float) -> None:
        """Go on by steps of ``dt`` seconds, with a copy of the state."""
        self._step_seconds = dt
        self.state = SolidState(*(getattr(self.state, each.name).clone() for each in fields(SolidState)))

    @property
    def may_tear(self) -> bool:
        """Whether anything of them tears."""
        return self._tearing is not None

    def torn(self) -> SolidBodies:
        """Return them as they go on once they have torn where they are stretched by more than they bear."""
        if self._tearing is None or not self._tearing.look(self.state.gradients[: len(self.own)]):
            return self
        return self._parted()

    def _parted(self) -> SolidBodies:
        """Return the same bodies, in the same motion, on nodes that cracks part."""
        bodies = SolidBodies(*self._made_of, self.grid, self._tearing)
        new, old, count = bodies.rest, self.rest, len(self.own)
        bodies.leave_out(self._lost)
        # A node moves as the one that it was, or if it is a new one, as the particle that it is of goes on.
        parents = torch.zeros(len(new.nodes), dtype=torch.int64, device=self._device)
        parents[new.carriers.flatten().long()] = new.parents.repeat_interleave(new.carriers.shape[1])
        before = torch.full_like(parents, -1)
        before[new.carriers[:count].flatten().long()] = old.carriers[:count].flatten().long()
        away = new.nodes - old.points[parents]
        moved = {}
        for each in ("displacements", "velocities", "accelerations"):
            values = getattr(self.state, each)
            beyond = old.spread(values)[parents] + torch.einsum("mij,mj->mi", old.gradients(values)[parents], away)
            kept = torch.where((before >= 0)[:, None], values[before.clamp(min=0)], beyond)
            moved[each] = torch.where(bodies.fixed[:, None] == 1, 0.0, kept).contiguous()
        eye = torch.eye(away.shape[1], device=self._device)
        bodies.state = SolidState(**moved, gradients=(eye + new.gradients(moved["displacements"])).contiguous())
        bodies._step_seconds = self._step_seconds
        return bodies

    def as_dict(self) -> dict[str, Tensor]:
        """Return all tensors that tell how to go on, by name."""
        return self.state.as_dict() | ({} if self._tearing is None else self._tearing.as_dict())

    def cracked(self, state: State) -> SolidBodies:
        """Return the bodies with the cracks of a frame, if it tells of any."""
        if self._tearing is None or not {"solid_held", "solid_tips"} <= set(state):
            return self
        if state["solid_held"].shape != self._tearing.held.shape:
            return self
        self._tearing.resume(state)
        return SolidBodies(*self._made_of, self.grid, self._tearing)

    def leave_out(self, lost: Bool[Tensor, " p"]) -> None:
        """Let particles pull at nothing, and be pushed by nothing, from now on."""
        self._lost = self._lost | lost
        self.volumes = torch.where(lost[self.rest.parents], 0.0, self.volumes)
        self.moving_masses = torch.where(lost, 0.0, self.moving_masses)

    def mend(self) -> Bool[Tensor, " p"] | None:
        """Put nodes that are nowhere among those around, and leave out particles that are strained without bound.

        Returns:
            Which these are; None for none.
        """
        state, rest = self.state, self.rest
        nodes = state.displacements, state.velocities, state.accelerations
        lost_nodes = ~torch.stack([each.isfinite().all(dim=1) for each in nodes]).all(dim=0)
        wrong = ~(state.gradients.square().sum(dim=(1, 2)) < MAX_SOLID_STRETCH**2)
        if not bool(lost_nodes.any() | wrong.any()):
            return None
        found = (~lost_nodes)[:, None].float()
        for each in nodes:
            known = torch.where(lost_nodes[:, None], 0.0, each)
            means = rest.spread(known) / rest.spread(found).clamp(min=1e-6)
            each.copy_(torch.where(lost_nodes[:, None], rest.summed(means) / rest.shares_of_nodes.sum(), known))
        lost = torch.zeros(len(self.own), device=self._device).index_add(0, rest.parents, wrong.float()) > 0
        state.gradients.copy_(torch.eye(rest.points.shape[1], device=self._device) + rest.gradients(nodes[0]))
        self.leave_out(lost)
        return lost

    def at_points(self) -> tuple[Float[Tensor, "p d"], Float[Tensor, "p d"], Float[Tensor, "p d d"]]:
        """Return positions, velocities and deformation gradients of the particles."""
        count, rest = len(self.own), self.rest
        eye = torch.eye(rest.points.shape[1], device=self._device)
        gradients = eye + rest.gradients(self.state.displacements)[:count]
        moved = rest.spread(torch.cat([self.state.displacements, self.state.velocities], dim=1))[:count]
        displacements, velocities = moved.tensor_split(2, dim=1)
        return rest.points[:count] + displacements, velocities, gradients

    @property
    def places(self) -> Float[Tensor, "p d"]:
        """Where the particles are."""
        return (self.rest.points + self.rest.spread(self.state.displacements))[: len(self.own)]


def _tearing(
    particles: Particles, materials: Sequence[Material], own: Int64[Tensor, " p"], links: np.ndarray, cell: float
) -> Tearing | None:
    """Return what tears of elastic particles; None for nothing."""
    strengths = torch.tensor([math.inf if each.tear is None else each.tear for each in materials])
    strengths = strengths[particles.bodies.cpu()[own]]
    if not bool(strengths.isfinite().any()):
        return None
    return Tearing(particles.positions.cpu()[own], torch.from_numpy(links), strengths, cell)


def is_solid(particles: Particles, materials: Sequence[Material]) -> Bool[Tensor, " n"]:
    """Tell which particles are elastic, or pinned."""
    kinds = torch.tensor([material.behaviour in SOLIDS for material in materials])
    return kinds[particles.bodies.cpu()]
