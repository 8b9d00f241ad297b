"""The default engine: material point methods, on grids, on any device.

What is elastic moves on a grid of its own that is laid over it at rest (see ``solids``); what flows, crumbles or is
rigid by the nodes of one grid over the domain. Sources: de Vaucorbeil et al., "A Total-Lagrangian Material Point Method
for solid mechanics problems involving large deformations", 2020; Hu et al., "A Moving Least Squares Material Point
Method with Displacement Discontinuity and Two-Way Rigid Body Coupling", 2018. The materials and their sources are in
``material_kernels``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.physics.engine import Frame, Particles, SimulationConfig, State, resting
from gainer_ns.physics.materials import BEHAVIOURS, Material
from gainer_ns.physics.mpm.energy import EnergyWatch, energies, noise
from gainer_ns.physics.mpm.flow import FlowSteps
from gainer_ns.physics.mpm.grid import Grid
from gainer_ns.physics.mpm.liquids import surface_energy
from gainer_ns.physics.mpm.material_kernels import LOST, MAX_SNOW_HARDENING
from gainer_ns.physics.mpm.solids.solid_bodies import SOLIDS, SolidBodies, SolidState, is_solid
from gainer_ns.physics.mpm.solids.solid_steps import SolidSteps
from gainer_ns.physics.mpm.state import MpmState, velocity_gradients
from gainer_ns.physics.pulls import Grips

_logger = logging.getLogger(__name__)

CELL_SPACINGS = 2.0
"""Side of a cell, in spacings of the particles, where the scene does not say how many cells there are."""
WAVE_COURANT_NUMBER = 0.3
"""Share of a cell that a pressure wave crosses in a step: below the limit at which the explicit scheme holds."""
SOLID_STEP_SHARE = 0.9
"""Share of the longest stable step of elastic bodies, which is 2 / the angular frequency of what swings fastest."""
PARTICLE_COURANT_NUMBER = 0.3
"""Share of a cell that a particle crosses in a step, at most."""
MAX_STEP_SECONDS, MAX_SOLID_STEP_SECONDS = 5e-4, 1.5e-3
"""What is rigid has no waves, but is to fall and to turn exactly; what is soft and coarse is to fall so too."""
MAX_SPAN_SECONDS = 1 / 60
"""After so long at most it is looked again how long steps may be, however few frames a second there are."""
MAX_STEPS_PER_FRAME = 20_000
"""A scene that needs more is refused."""
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
            simulation.resume(start.state)
            first = round(start.time * config.fps) + 1
        for number in range(first, config.frames):
            if number == 0:
                frame = resting(particles)
            else:
                simulation.advance((number - 1) / config.fps, 1 / config.fps)
                state = simulation.state
                frame = Frame(number / config.fps, state.positions, state.total)
            yield Frame(frame.time, frame.positions, frame.gradients, simulation.as_dict())


class MpmSimulation:
    """Particles in motion, moved on by spans of time; see :class:`gainer_ns.physics.engine.Engine`.

    Attributes:
        state: Where the particles are, in the order given.
        solids: Those that are elastic or pinned; None for none.
    """

    def __init__(self, config: SimulationConfig, particles: Particles, materials: Sequence[Material]) -> None:
        self.config, self.materials, self._particles = config, materials, particles
        self._device = device = particles.positions.device
        bodies, kinds = particles.bodies.cpu(), torch.tensor([BEHAVIOURS.index(each.behaviour) for each in materials])
        self._bodies = particles.bodies.int().to(device)
        self._volumes = particles.volumes.float().to(device)
        densities = torch.tensor([material.density for material in materials])
        is_pinned = (kinds == BEHAVIOURS.index("pinned"))[bodies]
        masses = densities[bodies] * particles.volumes.cpu()
        self._masses = torch.where(is_pinned, PINNED_MASS_FACTOR * masses, masses).float().to(device)
        self._tensions = torch.tensor([each.surface_tension for each in materials])[bodies].to(device)
        self._free = torch.where(is_pinned, 0.0, masses).to(device)
        self._kinds = torch.cat([kinds, torch.tensor([LOST])]).int().to(device)
        constants = [*(_constants(material, config.dimensions) for material in materials), (0.0, 0.0, 0.0)]
        self._constants = torch.tensor(constants, device=device).float()
        starts_at_one = torch.isin(kinds, torch.tensor([BEHAVIOURS.index("liquid"), BEHAVIOURS.index("snow")]))
        gradients = velocity_gradients(particles)
        self.state = MpmState.of(particles, gradients, starts_at_one[bodies].float(), device)
        longest = max(high - low for low, high in zip(config.low, config.high, strict=True))
        cell = longest / config.cells if config.cells is not None else CELL_SPACINGS * particles.spacing
        self.grid = Grid.over(config, cell, device)
        firm = torch.tensor([each.behaviour in ("rigid", *SOLIDS) for each in materials])
        self._grips = Grips(firm[bodies].to(device))
        solid = is_solid(particles, materials)
        self.solids: SolidBodies | None = None
        if bool(solid.any()):
            self.solids = SolidBodies(particles, materials, self._masses, gradients, self.grid)
        self._flows = not bool(solid.all())
        self._watch = EnergyWatch()

    def change(self, config: SimulationConfig) -> None:
        """Go on under other gravity, forces and pulls; pulls may only become more, and last longer or less long."""
        self.config = self.grid.config = config

    def as_dict(self) -> dict[str, Tensor]:
        """Return all tensors that tell how to go on, by name."""
        solid = {} if self.solids is None else self.solids.as_dict()
        return {**self.state.as_dict(), **solid, **self._grips.as_dict(self.config.pulls), "bodies": self._bodies}

    def resume(self, state: State) -> None:
        """Go on from the tensors of a frame.

        Raises:
            GainerError: They are those of another version of this program.
        """
        if self.solids is not None:
            self.solids = self.solids.cracked(state)
        expected = {name: value.shape for name, value in self.as_dict().items()}
        if {name: value.shape for name, value in state.items()} != expected:
            raise GainerError(
                "what is kept of the simulation is of another version of this program, and cannot be gone on with; "
                "simulate it anew with --restart"
            )
        self._bodies = state["bodies"].to(self._device).int()
        lost = self._lost
        self._masses, self._free = (torch.where(lost, 0.0, each) for each in (self._masses, self._free))
        self.state = MpmState.from_dict(state, self._device)
        if self.config.pulls:
            self._grips.resume(state["held"], state["held_from"])
        if self.solids is not None:
            self.solids.state = SolidState.of(state, self._device)
            self.solids.leave_out(lost[self.solids.own])

    def steps_for(self, seconds: float, time: float = 0.0) -> int:
        """Return how many steps a span of time takes, by the speed of waves and of the particles.

        Raises:
            GainerError: More than can be waited for.
        """
        cell, crossings = self.grid.cell, [0.0]  # how many cells waves cross in a second
        for number, material in enumerate(self.materials):
            if material.behaviour not in ("rigid", *SOLIDS) and bool((self._bodies == number).any()):
                hardened = math.sqrt(MAX_SNOW_HARDENING) if material.behaviour == "snow" else 1.0
                crossings.append(hardened * material.wave_speed / cell)
        fastest = float(self.state.velocities.norm(dim=1).max())
        fastest += seconds * float(self.grid.gravity([time]).norm())
        by_waves = seconds * max(crossings) / WAVE_COURANT_NUMBER
        if self.solids is not None:
            by_waves = max(by_waves, 0.5 * seconds * self.solids.fastest_frequency() / SOLID_STEP_SHARE)
            by_waves = max(by_waves, seconds / MAX_SOLID_STEP_SECONDS)
        by_speed = seconds * fastest / (PARTICLE_COURANT_NUMBER * cell)
        by_time = seconds / MAX_STEP_SECONDS if self._has_rigid else 0.0
        steps = max(by_waves, by_speed, by_time, 1.0)
        if not steps < MAX_STEPS_PER_FRAME * seconds * self.config.fps + 1:
            raise GainerError(
                f"a frame would take {steps / (seconds * self.config.fps):.3g} steps; write a lower E, a higher "
                "density, or fewer cells or particles"
            )
        return math.ceil(steps)

    @property
    def _has_rigid(self) -> bool:
        return any(material.behaviour == "rigid" for material in self.materials)

    def advance(self, time: float, seconds: float) -> None:
        """Move on from a time by so many seconds.

        Raises:
            GainerError: The simulation blows up.
        """
        if not self._watch.has_begun:
            self._look(time, 0.0)
        spans = math.ceil(seconds / MAX_SPAN_SECONDS - 1e-6)
        for span in range(spans):
            self._advance(time + span * seconds / spans, seconds / spans)

    def _advance(self, time: float, seconds: float) -> None:
        span = time, time + seconds
        tugs = self._grips.tugs(self.config.pulls, span, self.state.positions, self.state.velocities)
        self.grid.act([*(force for force in self.config.forces if force.acts(span)), *tugs])
        steps = self.steps_for(seconds, time)
        dt = seconds / steps
        before = self.state.positions.clone()
        times = [time + step * dt for step in range(steps)]
        gravity, amounts = self.grid.gravity(times), self.grid.amounts(times)
        solids = None
        if self.solids is not None:
            solids = SolidSteps(self.solids, dt, gravity, amounts, flows=self._flows)
        flow = self._flow(dt, gravity, amounts)
        for step in range(steps):
            if solids is not None:
                solids.begin(step)
            if flow is not None:
                flow.step(step, solids)
            if solids is not None:
                solids.finish(step)
        if flow is not None:
            self.state = flow.state()
        if self.solids is not None and solids is not None:
            solids.end()
        self._take_out_lost(before, time + seconds)
        moved = (self.state.positions - before).double()
        push = gravity.double().mean(dim=0) * self._free[:, None].double()
        work = float((push * moved).sum()) + self._work_of_forces(before, moved, amounts, seconds)
        self._look(time + seconds, work)

    def _flow(self, dt: float, gravity: Tensor, amounts: Tensor) -> FlowSteps | None:
        """Prepare the steps of what moves by the nodes of the domain's grid; None for nothing."""
        if not self._flows:
            return None
        rigid = []
        for number, material in enumerate(self.materials):
            own = (self._bodies == number).nonzero()[:, 0]
            if material.behaviour == "rigid" and len(own):
                rigid.append((own, self._particles.positions.to(self._device)[own]))
        solid = None if self.solids is None else self.solids.own
        tables = self._masses, self._volumes, self._bodies, self._kinds, self._constants
        return FlowSteps(self.grid, self.state, tables, self.materials, rigid, solid, dt, gravity, amounts)

    def _take(self, solids: SolidBodies) -> None:
        """Take over where the particles of elastic bodies are."""
        positions, velocities, gradients = solids.at_points()
        low, high = (positions.new_tensor(bound) for bound in (self.config.low, self.config.high))
        inside = torch.maximum(torch.minimum(positions, high), low)
        values = {"positions": inside, "velocities": velocities, "total": gradients, "elastic": gradients}
        taken = {name: getattr(self.state, name).index_copy(0, solids.own, own) for name, own in values.items()}
        self.state = replace(self.state, **taken)

    def _take_out_lost(self, before: Float[Tensor, "n d"], time: float) -> None:
        """Take out particles that are no numbers any more, and say so: what flows where it was last.

        Raises:
            GainerError: Most of what is elastic has gone wrong.
        """
        wrong = torch.zeros_like(self._bodies, dtype=torch.bool)
        if self.solids is not None:
            broken = self.solids.mend()
            if broken is not None:
                wrong[self.solids.own] = broken
                if 2 * int((wrong | self._lost)[self.solids.own].sum()) > len(self.solids.own):
                    raise GainerError(
                        f"most of what is elastic is no number any more at {time:.2f} s; write a lower E, a nu further "
                        "from 0.5, or more particles"
                    )
            self._take(self.solids)
            self.solids = self.solids.torn()
        state = self.state
        numbers = torch.stack([each.flatten(1).sum(dim=1) for each in vars(state).values() if each.ndim > 1])
        nowhere = ~(numbers.sum(dim=0) + state.inner).isfinite()
        wrong |= nowhere
        wrong &= ~self._lost
        if not bool((wrong | nowhere).any()):
            return
        eye = torch.eye(before.shape[1], device=self._device)
        state.positions[nowhere] = before[nowhere]
        state.velocities[nowhere], state.affine[nowhere], state.inner[nowhere] = 0.0, 0.0, 1.0
        state.elastic[nowhere], state.total[nowhere] = eye, eye
        self._bodies = torch.where(wrong, len(self.materials), self._bodies)
        self._masses, self._free = (torch.where(wrong, 0.0, each) for each in (self._masses, self._free))
        if bool(wrong.any()):
            count = f"{int(wrong.sum())} of {len(before):,}"
            _logger.warning(f"{count} particles went wrong at {time:.2f} s, and weigh nothing from then on")

    @property
    def _lost(self) -> Bool[Tensor, " n"]:
        """Which particles have gone wrong."""
        return self._bodies == len(self.materials)

    def _look(self, time: float, work: float) -> None:
        moving, stored = energies(self.state, self._free, self._volumes, self._bodies, self.materials, self.solids)
        if bool(self._tensions.any()):
            stored += surface_energy(self.grid, self.state.positions, self._tensions * self._volumes)
        some = noise(self._masses, self._volumes, self._bodies, self.materials)
        self._watch.check(time, moving + stored, work, some)

    def _work_of_forces(
        self, before: Float[Tensor, "n d"], moved: Float[Tensor, "n d"], amounts: Float[Tensor, "s f"], seconds: float
    ) -> float:
        """Return an upper bound of what forces have put in."""
        if not self.grid.forces:
            return 0.0
        strength = self.grid.strongest(amounts, before).double()
        path = moved.norm(dim=1) + 0.5 * strength * seconds**2
        return float((self._free.double() * strength * path).sum())


def _constants(material: Material, dimensions: int) -> tuple[float, float, float]:
    """Return mu, of liquids the pull at which they part; lambda; and the slope of sand's yield surface.

    Sand that flows without changing its volume, as ours does, bears on the plane it slides along the sine of the angle
    of its strength (Davis, "Theories of plasticity and the failure of soil masses", 1968). That is to be the tangent
    of the angle at which it rests.
    """
    first, second = material.lame
    slope = math.sqrt(2) / dimensions * math.tan(math.radians(material.friction_angle))
    return material.cohesion if material.behaviour == "liquid" else second, first, slope
