"""Viscosity and surface tension of liquids: what they do in a step to the velocities of the nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import warp as wp
from jaxtyping import Float
from torch import Tensor

from gainer_ns.gaussians.kernels import Repeated, Typed, matrix, vector
from gainer_ns.physics.materials import Material
from gainer_ns.physics.mpm.grid import Grid
from gainer_ns.physics.mpm.liquid_kernels import cell_kernel, stage_kernel

STAGE_SAFETY = 0.8
"""Share of the longest stable step that is taken."""


def rates_of(materials: Sequence[Material]) -> Float[Tensor, "b 2"]:
    """Return viscosity and surface tension of each body, and of what is lost; of none where none has any."""
    rates = torch.tensor([*((each.viscosity, each.surface_tension) for each in materials), (0.0, 0.0)])
    return rates if bool(rates.any()) else rates[:0]


def stage_factors(materials: Sequence[Material], dt: float, cell: float) -> Float[Tensor, "s 3"]:
    """Return the stages of a step: by how much the two before count in each, and how much time goes by.

    It is one where that is stable. Else two times so many: what two halves leave of a velocity is a square, and never
    its opposite, which pressure would amplify.
    """
    viscosity = max((each.viscosity for each in materials), default=0.0)
    lightest = min((each.density for each in materials if each.behaviour not in ("rigid", "pinned")), default=1.0)
    fastest = 8 * viscosity / lightest * dt / (STAGE_SAFETY * cell * cell)
    if fastest <= 1:
        return torch.tensor([[1.0, 0.0, dt]])
    stages = math.ceil(0.5 * (math.sqrt(1 + 2 * fastest) - 1) - 1e-9)
    whole = dt / (stages * stages + stages)
    half = [((2 * j - 1) / j, (1 - j) / j, (2 * j - 1) / j * whole) for j in range(1, stages + 1)]
    return torch.tensor(half * 2)


class LiquidSteps:
    """Steps of one length of what viscosity and surface tension do.

    Args:
        grid: What is in the way.
        materials: Of all bodies.
        dt: Of a step, seconds.
        velocities: [m, d], of the nodes, to start with in each step.
        masses: [m], of the nodes.
        gravity: [d], the acceleration of everything.

    Attributes:
        rates: As of :func:`rates_of`.
        flows: [m, 2], of the nodes: volume times viscosity, and share of volume times surface tension.
        velocities: [m, d], of the nodes, after a step.
    """

    def __init__(
        self,
        grid: Grid,
        materials: Sequence[Material],
        dt: float,
        velocities: Float[Tensor, "m d"],
        masses: Float[Tensor, " m"],
        gravity: Float[Tensor, " d"],
    ) -> None:
        dimensions, device = grid.config.dimensions, grid.device
        self.rates = rates_of(materials).to(device)
        self.flows = torch.zeros(grid.nodes if len(self.rates) else 0, 2, device=device)
        self.velocities, self._stages = velocities, 0
        if len(self.rates) == 0:
            return
        factors = stage_factors(materials, dt, grid.cell).to(device)
        self._stages = len(factors)
        place, square = vector(dimensions), matrix(dimensions, dimensions)
        turns = [velocities, torch.zeros_like(velocities), torch.zeros_like(velocities)]
        self.velocities = turns[self._stages % 3]
        stresses = torch.zeros(grid.nodes, dimensions, dimensions, device=device)
        shape = wp.vec3i(*grid.shape)
        walls = Typed(grid.walls, wp.int32)
        solidity = Typed(grid.solidity, wp.float32)
        colliders = [len(grid.config.colliders), Typed(grid.normals.view(-1, dimensions), place)]
        stress = Typed(stresses, square)
        self._cells, self._nodes = [], []
        for turn in range(min(self._stages, 3)):
            now = Typed(turns[turn], place)
            flows = Typed(self.flows, wp.vec2)
            inputs = [now, flows, walls, grid.cell, shape, *colliders, solidity, stress]
            self._cells.append(Repeated(cell_kernel(dimensions), inputs, device))
            inputs = [
                now,
                Typed(turns[turn - 1], place),
                stress,
                Typed(masses, wp.float32),
                walls,
                Typed(factors, wp.vec3),
                grid.cell,
                shape,
                *colliders,
                Typed(grid.surfaces, wp.int32),
                place(*gravity.tolist()),
                Typed(turns[(turn + 1) % 3], place),
            ]
            self._nodes.append(Repeated(stage_kernel(dimensions), inputs, device))

    def step(self, first: int, count: int) -> None:
        """Take the stages of a step, for nodes in a row."""
        for stage in range(self._stages):
            self._cells[stage % 3](first, count)
            self._nodes[stage % 3](first, count, stage)


def surface_energy(
    grid: Grid,
    positions: Float[Tensor, "n d"],
    tensions: Float[Tensor, " n"],
) -> float:
    """Return the energy of a liquid's surface, as the grid has it.

    Args:
        grid: Whose nodes tell where there is liquid.
        positions: [n, d], of the particles.
        tensions: [n], of each, surface tension times volume.
    """
    at = (positions.double() - positions.new_tensor(grid.origin).double()) / grid.cell
    base = (at - 0.5).floor()
    axes = []
    for axis in range(at.shape[1]):
        d = at[:, axis, None] - base[:, axis, None] - torch.arange(3, device=at.device)
        axes.append(torch.where(d.abs() < 0.5, 0.75 - d * d, 0.5 * (1.5 - d.abs()).square()))
    field = torch.zeros(grid.nodes, dtype=torch.float64, device=at.device)
    strides = (1, grid.shape[0], grid.shape[0] * grid.shape[1])[: at.shape[1]]
    offsets = torch.cartesian_prod(*[torch.arange(3)] * at.shape[1]).tolist()
    for offset in offsets:
        node = sum((base[:, axis].long() + o) * strides[axis] for axis, o in enumerate(offset))
        weight = torch.stack([axes[axis][:, o] for axis, o in enumerate(offset)]).prod(dim=0)
        field.index_add_(0, torch.as_tensor(node), weight * tensions.double())
    field = field.view(*reversed(grid.shape)).squeeze(0) / grid.cell ** at.shape[1]
    slopes = torch.gradient(field)
    return float(torch.stack(slopes).norm(dim=0).sum()) * grid.cell ** (at.shape[1] - 1)
