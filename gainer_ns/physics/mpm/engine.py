"""The default engine: the moving least squares material point method, on a grid, on any device.

Source: Hu et al., "A Moving Least Squares Material Point Method with Displacement Discontinuity and Two-Way Rigid Body
Coupling", 2018. The materials and their sources are in ``material_kernels``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import warp as wp
from jaxtyping import Float, Int32
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.gaussians.kernels import Repeated, Typed, matrix, vector
from gainer_ns.physics.deformation_gradients import limited_gradients
from gainer_ns.physics.engine import Frame, Particles, SimulationConfig, resting
from gainer_ns.physics.materials import BEHAVIOURS, BREAKING, Material
from gainer_ns.physics.mpm.energy import EnergyWatch, energies
from gainer_ns.physics.mpm.grid import Grid
from gainer_ns.physics.mpm.kernels import node_kernel, particle_kernel, sorting_kernel
from gainer_ns.physics.mpm.material_kernels import MAX_SNOW_HARDENING
from gainer_ns.physics.mpm.rigid import RigidBody
from gainer_ns.physics.mpm.state import MpmState

CELL_SPACINGS = 2.0
"""Side of a cell, in spacings of the particles, where the scene does not say how many cells there are."""
WAVE_COURANT_NUMBER = 0.3
"""Share of a cell that a pressure wave crosses in a step: below the limit at which the explicit scheme holds."""
PARTICLE_COURANT_NUMBER = 0.3
"""Share of a cell that a particle crosses in a step, at most."""
MAX_STEP_SECONDS = 5e-4
"""What is rigid has no waves, but is to fall and to turn exactly."""
MAX_STEPS_PER_FRAME = 20_000
"""A scene that needs more is refused."""
MAX_BREAKING_STRETCH = 4.0
"""By how much what breaks is told to be stretched or compressed, at most."""
PINNED_MASS_FACTOR = 1e3
"""How many times heavier than it is what is pinned counts, so that all around it stands still."""


class MpmEngine:
    """The material point method, on the device of the particles."""

    def run(
        self, config: SimulationConfig, particles: Particles, materials: Sequence[Material], start: Frame | None = None
    ) -> Iterator[Frame]:
        """Simulate; see :class:`gainer_ns.physics.engine.Engine`."""
        simulation = MpmSimulation(config, particles, materials)
        first = 0
        if start is not None and start.state:
            simulation.state = MpmState(**start.state).to(particles.positions.device)
            first = round(start.time * config.fps) + 1
        for number in range(first, config.frames):
            if number == 0:
                frame = resting(particles)
            else:
                simulation.advance((number - 1) / config.fps, 1 / config.fps)
                state = simulation.state
                frame = Frame(number / config.fps, state.positions, state.total)
            yield Frame(frame.time, frame.positions, frame.gradients, simulation.state.as_dict())


class MpmSimulation:
    """Particles on a grid, moved on by spans of time; see :class:`gainer_ns.physics.engine.Engine`.

    Attributes:
        state: Where the particles are, in the order given.
    """

    def __init__(self, config: SimulationConfig, particles: Particles, materials: Sequence[Material]) -> None:
        self.config, self.materials, self._particles = config, materials, particles
        self._device = device = particles.positions.device
        bodies, kinds = particles.bodies.cpu(), torch.tensor([BEHAVIOURS.index(each.behaviour) for each in materials])
        self._bodies = particles.bodies.to(device)
        self._volumes = particles.volumes.float().to(device)
        densities = torch.tensor([material.density for material in materials])
        is_pinned = (kinds == BEHAVIOURS.index("pinned"))[bodies]
        masses = densities[bodies] * particles.volumes.cpu()
        self._masses = torch.where(is_pinned, PINNED_MASS_FACTOR * masses, masses).float().to(device)
        self._free = torch.where(is_pinned, 0.0, masses).to(device)
        self._kinds = kinds.int().to(device)
        constants = [_constants(material, config.dimensions) for material in materials]
        breaking = [number for number, material in enumerate(materials) if material.behaviour in BREAKING]
        self._breaking = torch.tensor(breaking, dtype=torch.int32, device=device)
        self._constants = torch.tensor(constants, device=device).float()
        starts_at_one = torch.isin(kinds, torch.tensor([BEHAVIOURS.index("liquid"), BEHAVIOURS.index("snow")]))
        self.state = MpmState.of(particles, starts_at_one[bodies].float(), device)
        longest = max(high - low for low, high in zip(config.low, config.high, strict=True))
        cell = longest / config.cells if config.cells is not None else CELL_SPACINGS * particles.spacing
        self.grid = Grid.over(config, cell, device)
        self._watch = EnergyWatch()

    def steps_for(self, seconds: float, time: float = 0.0) -> int:
        """Return how many steps a span of time takes, by the speed of waves and of the particles.

        Raises:
            GainerError: More than can be waited for.
        """
        speeds = [
            material.wave_speed
            for number, material in enumerate(self.materials)
            if material.behaviour not in ("rigid", "pinned") and bool((self._bodies == number).any())
        ]
        if any(material.behaviour == "snow" for material in self.materials):
            speeds = [speed * math.sqrt(MAX_SNOW_HARDENING) for speed in speeds]
        fastest = float(self.state.velocities.norm(dim=1).max())
        fastest += seconds * float(self.grid.gravity([time]).norm())
        cell = self.grid.cell
        by_waves = seconds * max(speeds, default=0.0) / (WAVE_COURANT_NUMBER * cell)
        by_speed = seconds * fastest / (PARTICLE_COURANT_NUMBER * cell)
        steps = max(by_waves, by_speed, seconds / MAX_STEP_SECONDS)
        if not steps < MAX_STEPS_PER_FRAME:
            raise GainerError(
                f"a frame would take {steps:.3g} steps; write a lower E, a higher density, or fewer cells or particles"
            )
        return math.ceil(steps)

    def advance(self, time: float, seconds: float) -> None:
        """Move on from a time by so many seconds.

        Raises:
            GainerError: The simulation blows up.
        """
        if not self._watch.has_begun:
            self._look(time, 0.0)
        steps = self.steps_for(seconds, time)
        dt = seconds / steps
        grid, device, dimensions = self.grid, self._device, self.config.dimensions
        order = self._cells(self.state.positions).argsort(stable=True)
        state = self.state[order]
        before = state.positions.clone()
        masses, volumes = self._masses[order].contiguous(), self._volumes[order].contiguous()
        bodies = self._bodies[order].int().contiguous()
        times = [time + step * dt for step in range(steps)]
        gravity, amounts = grid.gravity(times), grid.amounts(times)
        place, square = vector(dimensions), matrix(dimensions, dimensions)
        momenta = torch.zeros_like(state.affine)
        nodes = torch.zeros(grid.nodes, dimensions, device=device)
        weights = torch.zeros(grid.nodes, device=device)
        cell_start = torch.zeros(grid.nodes + 2, dtype=torch.int32, device=device)
        keys, sorted_ = (torch.zeros(len(order), dtype=torch.int32, device=device) for _ in range(2))
        origin, shape = place(*grid.origin), wp.vec3i(*grid.shape)
        lattice: list[Any] = [origin, grid.cell, shape]
        positions, velocities = Typed(state.positions, place), Typed(state.velocities, place)
        to_particles = Repeated(
            particle_kernel(dimensions),
            [
                positions,
                velocities,
                *(Typed(each, square) for each in (state.affine, state.elastic, state.total)),
                Typed(state.inner, wp.float32),
                Typed(masses, wp.float32),
                Typed(volumes, wp.float32),
                Typed(bodies, wp.int32),
                Typed(self._kinds, wp.int32),
                Typed(self._constants, wp.vec3),
                Typed(momenta, square),
                Typed(nodes, place),
                Typed(weights, wp.float32),
                *lattice,
                place(*self.config.low),
                place(*self.config.high),
                dt,
            ],
            device,
        )
        to_nodes = Repeated(
            node_kernel(dimensions),
            [
                positions,
                velocities,
                Typed(momenta, square),
                Typed(masses, wp.float32),
                Typed(sorted_, wp.int32),
                Typed(cell_start, wp.int32),
                *lattice,
                dt,
                Typed(gravity, place),
                Typed(amounts.view(-1), wp.float32),
                len(self.config.forces),
                Typed(grid.fields.view(-1, dimensions), place),
                Typed(grid.touched, wp.int32),
                len(self.config.colliders),
                Typed(grid.normals.view(-1, dimensions), place),
                Typed(grid.surfaces, wp.int32),
                Typed(grid.frictions, wp.float32),
                Typed(nodes, place),
                Typed(weights, wp.float32),
            ],
            device,
        )
        sort = None
        if device.type == "cpu":
            sort = Repeated(
                sorting_kernel(dimensions),
                [positions, *lattice, Typed(keys, wp.int32), Typed(sorted_, wp.int32), Typed(cell_start, wp.int32)],
                device,
            )
        rigid = self._rigid_bodies(order)
        count, run = len(order), self._rows(state.positions, fraction=1.0)
        to_particles(0, count, 0)
        for step in range(steps):
            if sort is not None:
                sort(0, 1)
            else:
                self._sort(state.positions, sorted_, cell_start)
            if step % 16 == 0:
                run = self._rows(state.positions, fraction=16 * PARTICLE_COURANT_NUMBER)
            to_nodes(*run, step)
            to_particles(0, count, step + 1)
            for body in rigid:
                self._move(body, state, masses, momenta, dt)
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order), device=device)
        self.state = state[back]
        moved = (self.state.positions - before[back]).double()
        push = gravity.double().mean(dim=0) * self._free[:, None].double()
        work = float((push * moved).sum()) + self._work_of_forces(before[back], moved, amounts)
        self._look(time + seconds, work)
        broken = torch.isin(self._bodies.int(), self._breaking)
        # What flows is sheared without end, and nobody sees how much.
        self.state.total[broken] = limited_gradients(self.state.total[broken], MAX_BREAKING_STRETCH)

    def _look(self, time: float, work: float) -> None:
        moving, stored = energies(self.state, self._free, self._volumes, self._bodies, self.materials)
        self._watch.check(time, moving + stored, work)

    def _work_of_forces(
        self, before: Float[Tensor, "n d"], moved: Float[Tensor, "n d"], amounts: Float[Tensor, "s f"]
    ) -> float:
        """Return an upper bound of what forces have put in."""
        work = 0.0
        for force, strength in zip(self.config.forces, amounts.abs().amax(dim=0).tolist(), strict=True):
            if strength > 0:
                field = force.field(before.cpu()).to(moved)
                path = moved.norm(dim=1) + 0.5 * strength * field.norm(dim=1) / self.config.fps**2
                work += strength * float((self._free * field.norm(dim=1) * path).sum())
        return work

    def _cells(self, positions: Float[Tensor, "n d"]) -> Int32[Tensor, " n"]:
        """Return the number of the first node that each particle gives to."""
        at = (positions - positions.new_tensor(self.grid.origin)) / self.grid.cell
        base = (at - 0.5).floor().long()
        key = base[:, -1]
        for axis in reversed(range(base.shape[1] - 1)):
            key = key * self.grid.shape[axis] + base[:, axis]
        return key.int()

    def _sort(self, positions: Tensor, order: Tensor, cell_start: Tensor) -> None:
        """Sort as the sorting kernel does, on devices with many threads."""
        keys, by_cell = torch.sort(self._cells(positions), stable=True)
        order.copy_(by_cell)
        edges = torch.arange(len(cell_start), device=keys.device, dtype=keys.dtype)
        cell_start.copy_(torch.searchsorted(keys, edges, out_int32=True))

    def _rows(self, positions: Float[Tensor, "n d"], fraction: float) -> tuple[int, int]:
        """Return the first node that particles give to, and the number of nodes, for as many cells of movement."""
        axis = self.config.dimensions - 1
        low, high = float(positions[:, axis].min()), float(positions[:, axis].max())
        origin, cell, size = self.grid.origin[axis], self.grid.cell, self.grid.shape[axis]
        first = min(max(math.floor((low - origin) / cell - 1.5 - fraction), 0), size - 1)
        last = min(max(math.ceil((high - origin) / cell + 1.5 + fraction), 0), size - 1)
        layer = self.grid.nodes // size
        return first * layer, (last - first + 1) * layer

    def _rigid_bodies(self, order: Tensor) -> list[RigidBody]:
        """Return rigid bodies of the particles in an order."""
        made = []
        for number, material in enumerate(self.materials):
            chosen = (self._bodies[order] == number).nonzero()[:, 0]
            if material.behaviour == "rigid" and len(chosen):
                own = order[chosen]
                rest = self._particles.positions.to(self._device)[own]
                made.append(RigidBody(chosen, rest, self._masses[own], self.state.total[own[0]]))
        return made

    def _move(self, body: RigidBody, state: MpmState, masses: Tensor, momenta: Tensor, dt: float) -> None:
        """Move a rigid body on by a step."""
        positions, velocities, turning = body.moved(state.positions, state.velocities, dt)
        low, high = (positions.new_tensor(bound) for bound in (self.config.low, self.config.high))
        outside = (low - positions).clamp(min=0).amax(dim=0) - (positions - high).clamp(min=0).amax(dim=0)
        # What is too large to turn in the domain, or no number, has nodes all the same.
        inside = torch.maximum(torch.minimum((positions + outside).nan_to_num(), high), low)
        state.positions[body.chosen] = inside.to(state.positions)
        state.velocities[body.chosen] = velocities.to(state.velocities)
        state.affine[body.chosen] = turning.to(state.affine)
        state.total[body.chosen] = body.rotation.to(state.total)
        momenta[body.chosen] = masses[body.chosen][:, None, None] * turning.to(momenta)


def _constants(material: Material, dimensions: int) -> tuple[float, float, float]:
    """Return mu, lambda, and the slope of sand's yield surface.

    Sand that flows without changing its volume, as ours does, bears on the plane it slides along the sine of the angle
    of its strength (Davis, "Theories of plasticity and the failure of soil masses", 1968). That is to be the tangent
    of the angle at which it rests.
    """
    first, second = material.lame
    slope = math.sqrt(2) / dimensions * math.tan(math.radians(material.friction_angle))
    return second, first, slope
