"""Steps of elastic bodies, of one length."""

from __future__ import annotations

import torch
import warp as wp
from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.gaussians.kernels import Repeated, Typed, matrix, vector
from gainer_ns.physics.mpm.solids.kernels import TOUCHING_SPACINGS, solid_node_kernel, strain_kernel, touch_kernel
from gainer_ns.physics.mpm.solids.rest_grid import BLOCK_POINTS
from gainer_ns.physics.mpm.solids.solid_bodies import SolidBodies

WATCHED_CELLS = 2.0
"""Particles so near to a surface, and as much farther as they may come nearer, look for what is in their way."""


class SolidSteps:
    """Steps of one length, with everything that kernels need packed once.

    Args:
        bodies: What moves; their state is changed.
        dt: Of a step, seconds.
        gravity: [s, d], in each step.
        amounts: [s, f], of each force.
        flows: Whether there is something else, which may meet any particle.

    Attributes:
        positions: [p, d], of the particles in the step that has been begun; of those only that may meet something.
        velocities: [p, d], as they will be if nothing is in the way; of those too.
        pushes: [p, d], momenta that they are given: more may be added before the step is finished.
        masses: [p], 0 of what is pinned.
    """

    def __init__(
        self,
        bodies: SolidBodies,
        dt: float,
        gravity: Float[Tensor, "s d"],
        amounts: Float[Tensor, "s f"],
        *,
        flows: bool,
    ) -> None:
        bodies.begin(dt)
        self._bodies, self._dt, self.masses = bodies, dt, bodies.moving_masses
        rest, grid, state = bodies.rest, bodies.grid, bodies.state
        (count, dimensions), device = (len(bodies.own), rest.points.shape[1]), rest.points.device
        self.positions, self.velocities, self.pushes = torch.zeros(3, count, dimensions, device=device)
        self._expected = state.velocities + dt * state.accelerations
        seconds = dt * len(gravity)
        meets = torch.ones_like(bodies.own, dtype=torch.bool) if flows else _may_meet(bodies, seconds, gravity)
        some = meets.nonzero()[:, 0].int()
        self._count = len(some)
        push_starts, pushed, shares = rest.entries_of(meets)
        starts, slots = rest.slots
        pulls = torch.zeros(int(starts[-1]), dimensions, device=device)
        place, square = vector(dimensions), matrix(dimensions, dimensions)
        lattice = [place(*grid.origin), grid.cell, wp.vec3i(*grid.shape)]
        k = 3**dimensions
        numbers = vector(k, wp.int32)
        constants, displacements = Typed(bodies.constants, wp.vec4), Typed(state.displacements, place)
        expected, pushes = Typed(self._expected, place), Typed(self.pushes, place)
        self._to_points = Repeated(
            strain_kernel(dimensions),
            [
                Typed(rest.carriers, numbers),
                Typed(rest.offsets, place),
                Typed(slots, numbers),
                Typed(bodies.volumes, wp.float32),
                constants,
                displacements,
                Typed(state.gradients, square),
                Typed(pulls, place),
                1 / rest.cell,
                1 / dt,
            ],
            device,
            block=BLOCK_POINTS,
        )
        self._to_particles = Repeated(
            touch_kernel(dimensions),
            [
                Typed(some, wp.int32),
                Typed(rest.points, place),
                Typed(rest.carriers.view(-1), wp.int32),
                Typed(rest.shares_of_nodes, wp.float32),
                Typed(bodies.moving_masses, wp.float32),
                constants,
                displacements,
                expected,
                Typed(self.positions, place),
                Typed(self.velocities, place),
                pushes,
                Typed(grid.depths.view(-1), wp.float32),
                len(grid.config.colliders),
                Typed(grid.surfaces, wp.int32),
                Typed(grid.frictions, wp.float32),
                *lattice,
                Typed(bodies.radii, wp.float32),
                TOUCHING_SPACINGS * bodies.spacing,
                dt,
            ],
            device,
        )
        self._to_nodes = Repeated(
            solid_node_kernel(dimensions),
            [
                Typed(starts, wp.int32),
                Typed(pulls, place),
                Typed(push_starts, wp.int32),
                Typed(pushed, wp.int32),
                Typed(shares, wp.float32),
                pushes,
                Typed(bodies.node_masses, wp.float32),
                Typed(bodies.fixed, wp.int32),
                Typed(rest.nodes, place),
                displacements,
                Typed(state.velocities, place),
                expected,
                Typed(gravity, place),
                Typed(amounts.view(-1), wp.float32),
                len(grid.forces),
                Typed(grid.fields.view(-1, dimensions), place),
                *lattice,
                dt,
            ],
            device,
        )
        bodies.pairs.begin()

    def begin(self, step: int) -> None:
        """Find out how points are strained, where particles are, and what is in their way."""
        bodies = self._bodies
        self._to_points(0, len(bodies.rest.points), step)
        self._to_particles(0, self._count, step)
        bodies.pairs.push(self.positions, self.velocities, self.pushes, self._dt)

    def finish(self, step: int) -> None:
        """Move the nodes on."""
        self._to_nodes(0, len(self._bodies.rest.nodes), step)

    def end(self) -> None:
        """Keep what the next steps need to know of the last."""
        state = self._bodies.state
        state.accelerations.copy_((self._expected - state.velocities) / self._dt)


def _may_meet(bodies: SolidBodies, seconds: float, gravity: Float[Tensor, "s d"]) -> Bool[Tensor, " p"]:
    """Tell which particles may meet a surface within so long, or others."""
    grid, places = bodies.grid, bodies.places.nan_to_num(0.0)
    # Of particles: nodes that carry next to nothing are many times quicker.
    speeds = bodies.rest.spread(bodies.state.velocities)[: len(places)].norm(dim=1).nan_to_num(0.0)
    fastest = float(speeds.max()) + seconds * float(gravity.norm(dim=1).max())
    near = grid.depths[0, grid.nearest(places)] > -WATCHED_CELLS * grid.cell - 2 * fastest * seconds
    return near | bodies.pairs.watched
