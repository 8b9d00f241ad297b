"""What flows, crumbles or is rigid, moved on step by step by the nodes of the shared grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import warp as wp
from jaxtyping import Float, Int64
from torch import Tensor

from gainer_ns.gaussians.kernels import Repeated, Typed, matrix, vector
from gainer_ns.physics.materials import Material
from gainer_ns.physics.mpm.cell_order import CellOrder
from gainer_ns.physics.mpm.grid import Grid
from gainer_ns.physics.mpm.kernels import MAX_STEP_CELLS, node_kernel, particle_kernel
from gainer_ns.physics.mpm.liquids import LiquidSteps
from gainer_ns.physics.mpm.rigid import RigidBody
from gainer_ns.physics.mpm.state import MpmState

if TYPE_CHECKING:
    from gainer_ns.physics.mpm.solids.solid_steps import SolidSteps

ROW_STEPS = 16
"""For so many steps the rows of the grid are chosen that hold anything."""


class FlowSteps:
    """Steps of one length, with everything that kernels need packed once.

    Args:
        grid: What acts on the particles, and what is in the way.
        state: Of all particles; it is copied.
        tables: Masses and volumes [n], bodies [n], and of each body its kind and constants.
        materials: Of all bodies.
        rigid: Which particles each rigid body has, and where they are at rest.
        solid: [p], which of all particles move on a grid of their own; None for none.
        dt: Of a step, seconds.
        gravity: [s, d], in each step.
        amounts: [s, f], of each force.
    """

    def __init__(
        self,
        grid: Grid,
        state: MpmState,
        tables: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
        materials: Sequence[Material],
        rigid: Sequence[tuple[Int64[Tensor, " m"], Float[Tensor, "m d"]]],
        solid: Int64[Tensor, " p"] | None,
        dt: float,
        gravity: Float[Tensor, "s d"],
        amounts: Float[Tensor, "s f"],
    ) -> None:
        self._grid, self._device, self._dt = grid, grid.device, dt
        self._dimensions = dimensions = grid.config.dimensions
        device = grid.device
        bounds = torch.tensor([grid.config.low, grid.config.high], dtype=torch.float64, device=device)
        self._bounds, (self._low, self._high) = bounds, bounds.float()
        first = CellOrder(grid, state.positions)
        first.sort()
        self._order = first.order[: len(state.positions)].long()
        self._back = torch.empty_like(self._order)
        self._back[self._order] = torch.arange(len(self._order), device=device)
        self._slots = None if solid is None else self._back[solid]
        self._state = state = state[self._order]
        masses, volumes, bodies = (each[self._order].contiguous() for each in tables[:3])
        if self._slots is not None:
            masses[self._slots] *= -1
        self._momenta = torch.zeros_like(state.affine)
        self._cells = CellOrder(grid, state.positions)
        place, square = vector(dimensions), matrix(dimensions, dimensions)
        nodes, exchanged = (torch.zeros(grid.nodes, dimensions, device=device) for _ in range(2))
        weights = torch.zeros(grid.nodes, device=device)
        self._liquids = LiquidSteps(grid, materials, dt, nodes, weights, gravity[0])
        lattice: list[Any] = [place(*grid.origin), grid.cell, wp.vec3i(*grid.shape)]
        positions, velocities = Typed(state.positions, place), Typed(state.velocities, place)
        self._to_particles = Repeated(
            particle_kernel(dimensions),
            [
                positions,
                velocities,
                *(Typed(each, square) for each in (state.affine, state.elastic, state.total)),
                Typed(state.inner, wp.float32),
                Typed(masses, wp.float32),
                Typed(volumes, wp.float32),
                Typed(bodies, wp.int32),
                Typed(tables[3], wp.int32),
                Typed(tables[4], wp.vec3),
                Typed(self._momenta, square),
                Typed(self._liquids.velocities, place),
                Typed(exchanged, place),
                Typed(weights, wp.float32),
                Typed(grid.solidity, wp.float32),
                *lattice,
                place(*grid.config.low),
                place(*grid.config.high),
                dt,
            ],
            device,
        )
        self._to_nodes = Repeated(
            node_kernel(dimensions),
            [
                positions,
                velocities,
                Typed(self._momenta, square),
                Typed(masses, wp.float32),
                Typed(self._cells.order, wp.int32),
                Typed(self._cells.cell_start, wp.int32),
                Typed(bodies, wp.int32),
                Typed(self._liquids.rates, wp.vec2),
                Typed(volumes, wp.float32),
                *lattice,
                dt,
                Typed(gravity, place),
                Typed(amounts.view(-1), wp.float32),
                len(grid.forces),
                Typed(grid.fields.view(-1, dimensions), place),
                Typed(grid.walls, wp.int32),
                len(grid.config.colliders),
                Typed(grid.normals.view(-1, dimensions), place),
                Typed(grid.surfaces, wp.int32),
                Typed(grid.frictions, wp.float32),
                Typed(nodes, place),
                Typed(exchanged, place),
                Typed(weights, wp.float32),
                Typed(self._liquids.flows, wp.vec2),
            ],
            device,
        )
        self._masses = masses
        self._rigid = [
            RigidBody(self._back[own], rest, masses[self._back[own]], state.total[self._back[own[0]]])
            for own, rest in rigid
        ]
        self._run = (0, grid.nodes)
        self._to_particles(0, len(self._order), 0)

    def step(self, step: int, solids: SolidSteps | None) -> None:
        """Move everything on, and tell what is elastic what it has met."""
        state, count = self._state, len(self._order)
        if solids is not None and self._slots is not None:
            places = solids.positions.nan_to_num(0.0)
            state.positions[self._slots] = torch.maximum(torch.minimum(places, self._high), self._low)
            state.velocities[self._slots] = solids.velocities
        self._cells.sort()
        if step % ROW_STEPS == 0:
            self._run = self._rows(ROW_STEPS * MAX_STEP_CELLS)
        self._to_nodes(*self._run, step)
        self._liquids.step(*self._run)
        self._to_particles(0, count, step + 1)
        for body in self._rigid:
            self._move(body)
        if solids is not None and self._slots is not None:
            solids.pushes += solids.masses[:, None] * state.velocities[self._slots]

    def state(self) -> MpmState:
        """Return the state of the particles, in the order in which they came."""
        return self._state[self._back]

    def _rows(self, fraction: float) -> tuple[int, int]:
        """Return the first node that particles give to, and the number of nodes, for as many cells of movement."""
        axis, grid, positions = self._dimensions - 1, self._grid, self._state.positions
        low, high = torch.stack(positions[:, axis].aminmax()).tolist()
        origin, cell, size = grid.origin[axis], grid.cell, grid.shape[axis]
        first = min(max(math.floor((low - origin) / cell - 1.5 - fraction), 0), size - 1)
        last = min(max(math.ceil((high - origin) / cell + 1.5 + fraction), 0), size - 1)
        layer = grid.nodes // size
        return first * layer, (last - first + 1) * layer

    def _move(self, body: RigidBody) -> None:
        """Move a rigid body on by a step."""
        state = self._state
        positions, velocities, turning = body.moved(state.positions, state.velocities, self._dt)
        low, high = self._bounds
        outside = (low - positions).clamp(min=0).amax(dim=0) - (positions - high).clamp(min=0).amax(dim=0)
        # What is too large to turn in the domain, or no number, has nodes all the same.
        inside = torch.maximum(torch.minimum((positions + outside).nan_to_num(), high), low)
        state.positions[body.chosen] = inside.to(state.positions)
        state.velocities[body.chosen] = velocities.to(state.velocities)
        state.affine[body.chosen] = turning.to(state.affine)
        state.total[body.chosen] = body.rotation.to(state.total)
        self._momenta[body.chosen] = self._masses[body.chosen][:, None, None] * turning.to(self._momenta)
