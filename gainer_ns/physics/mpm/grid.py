"""The grid of the material point method: where its nodes are, and what acts on each of them."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
from jaxtyping import Float, Int32, Int64
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.memory import check_free
from gainer_ns.physics.colliders import SurfaceKind
from gainer_ns.physics.engine import SimulationConfig

MARGIN_CELLS = 3
"""Cells of the grid beyond the domain on each side: a particle gives to nodes up to one and a half cells away."""
REACH_CELLS = 2
"""From so far at most a particle is accelerated: by nodes of its own grid, which lie so far away, and read these."""
MAX_NODES = 1 << 25
"""The most nodes that are counted in 32 bits, with what acts on them; so many are never waited for either."""
_SURFACE_NUMBERS: dict[SurfaceKind, int] = {"sticky": 0, "slip": 1, "separate": 2}


def bytes_per_node(config: SimulationConfig) -> int:
    """Return the memory for a node of the grid with what acts on it, a tenth or two more than was measured."""
    return config.dimensions * (45 + 20 * (len(config.colliders) + len(config.forces) + len(config.pulls)))


class Acting(Protocol):
    """What accelerates nodes for a time."""

    def field(self, points: Float[Tensor, "m d"]) -> Float[Tensor, "m d"]:
        """Return the acceleration at points in widths, at full strength: widths a squared second."""
        ...

    def amount(self, t: float) -> float:
        """Return how much of the field there is at a time in seconds."""
        ...


@dataclass(eq=False)
class Grid:
    """Nodes over a domain. One row of them lies on its bottom, so that what rests there rests at the right height.

    Attributes:
        origin: Of the first node, widths.
        cell: How far apart nodes are, widths.
        shape: How many there are along x, y and z; one along z on a plane.
        config: What acts on them.
        device: Where its tensors are.
        forces: What accelerates them for the time being, besides gravity; see :meth:`act`.
        fields: [f, m, d], what each of these accelerates nodes by, at full strength.
    """

    origin: tuple[float, ...]
    cell: float
    shape: tuple[int, int, int]
    config: SimulationConfig
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    forces: tuple[Acting, ...] = ()
    fields: Float[Tensor, "f m d"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.act(self.forces, anew=True)

    @classmethod
    def over(cls, config: SimulationConfig, cell: float, device: torch.device) -> Grid:
        """Lay a grid over the domain of a simulation, with cells of a size, in widths.

        Raises:
            GainerError: It would have too many nodes, or there is no memory for them.
        """
        counts = [math.ceil((high - low) / cell - 1e-6) for low, high in zip(config.low, config.high, strict=True)]
        shape = [count + 1 + 2 * MARGIN_CELLS for count in counts]
        what, remedy = (
            f"a grid of {' x '.join(map(str, counts))} cells",
            "fewer cells or particles, or a smaller domain",
        )
        if math.prod(shape) > MAX_NODES:
            raise GainerError(f"cells: {what} is more than {MAX_NODES // 10**6} million nodes; write {remedy}")
        check_free(math.prod(shape) * bytes_per_node(config), f"cells: {what}", f"write {remedy}")
        origin = tuple(high - cell * (count + MARGIN_CELLS) for high, count in zip(config.high, counts, strict=True))
        across, down, deep = (*shape, 1)[:3]
        return cls(origin, cell, (across, down, deep), config, device)

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return math.prod(self.shape)

    @cached_property
    def places(self) -> Float[Tensor, "m d"]:
        """Where the nodes are, x running fastest."""
        dimensions = len(self.origin)
        axes = [self.origin[axis] + self.cell * torch.arange(self.shape[axis]).double() for axis in range(dimensions)]
        mesh = torch.meshgrid(*reversed(axes), indexing="ij")
        return torch.stack([each.flatten() for each in reversed(mesh)], dim=1)

    @cached_property
    def normals(self) -> Float[Tensor, "c m d"]:
        """Of each collider at each node, and 0 where the collider is not."""
        normals = [self.places.new_zeros(0, *self.places.shape)]
        for collider in self.config.colliders:
            inside = collider.depth(self.places) > -1e-6 * self.cell
            normals.append((collider.normals(self.places) * inside[:, None])[None])
        return torch.cat(normals).float().contiguous().to(self.device)

    @cached_property
    def walls(self) -> Int32[Tensor, " m"]:
        """0 where there is no collider, 1 where what there is lets slide, 2 where it sticks."""
        there = self.normals.abs().sum(dim=2) > 0
        sticky = there & (self.surfaces == _SURFACE_NUMBERS["sticky"])[:, None]
        return torch.where(sticky.any(dim=0), 2, there.any(dim=0).int()).int()

    @cached_property
    def depths(self) -> Float[Tensor, "c1 m"]:
        """How deep each node is in whatever it is deepest in, and then in each collider; widths, negative outside."""
        depths = [collider.depth(self.places)[None] for collider in self.config.colliders]
        depths = torch.cat([self.places.new_full((1, self.nodes), -math.inf), *depths])
        depths[0] = depths.amax(dim=0).clamp(min=-1e6)
        return depths.float().contiguous().to(self.device)

    @cached_property
    def solidity(self) -> Float[Tensor, " m"]:
        """What share of each node's part, as the quadratic B-spline weighs it, is inside of colliders."""
        empty = self.places.new_ones(self.nodes)
        for collider in self.config.colliders:
            d = (collider.depth(self.places) / self.cell).clamp(-1.5, 1.5)
            tail = (1.5 - d.abs()) ** 3 / 6  # of the spline beyond a distance
            beyond = torch.where(d.abs() < 0.5, 0.5 - d.abs() * (0.75 - d * d / 3), tail)
            empty *= torch.where(d < 0, 1 - beyond, beyond)
        return (1 - empty).float().to(self.device)

    @cached_property
    def surfaces(self) -> Int32[Tensor, " c"]:
        """Number of each collider's surface."""
        numbers = [_SURFACE_NUMBERS[collider.surface] for collider in self.config.colliders]
        return torch.tensor(numbers, dtype=torch.int32, device=self.device)

    @cached_property
    def frictions(self) -> Float[Tensor, " c"]:
        """Coulomb's coefficient of each collider."""
        return torch.tensor([collider.friction for collider in self.config.colliders], device=self.device).float()

    def act(self, forces: Sequence[Acting], *, anew: bool = False) -> None:
        """Let other forces act from now on; of those that did already nothing is computed again."""
        if not anew and len(forces) == len(self.forces) and all(map(operator.is_, forces, self.forces)):
            return
        known = {} if anew else {id(each): its for each, its in zip(self.forces, self.fields, strict=True)}
        fields = [known.get(id(each)) for each in forces]
        made = [
            each.field(self.places).float().to(self.device) if its is None else its
            for each, its in zip(forces, fields, strict=True)
        ]
        self.forces = tuple(forces)
        empty = torch.zeros(0, self.nodes, len(self.origin), device=self.device)
        self.fields = torch.stack(made).contiguous() if made else empty

    def gravity(self, times: list[float]) -> Float[Tensor, "s d"]:
        """Return the acceleration of everything at times, widths a squared second."""
        missing = (0.0,) * (len(self.origin) - 2)
        return torch.tensor([(*self.config.gravity.at(t), *missing) for t in times], device=self.device).float()

    def amounts(self, times: list[float]) -> Float[Tensor, "s f"]:
        """Return how much there is of each force at times."""
        amounts = [[force.amount(t) for force in self.forces] for t in times]
        return torch.tensor(amounts, device=self.device).float().reshape(len(times), -1).contiguous()

    def strongest(self, amounts: Float[Tensor, "s f"], places: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """Return how much forces may accelerate what is at places, by the nodes around them: an upper bound."""
        forces = (amounts.abs().amax(dim=0)[:, None] * self.fields.norm(dim=2)).sum(dim=0)
        across, down, deep = self.shape
        reach = [0 if size == 1 else REACH_CELLS for size in (deep, down, across)]
        window = [2 * each + 1 for each in reach]
        around = torch.nn.functional.max_pool3d(forces.view(1, 1, deep, down, across), window, 1, reach).flatten()
        return around[self.nearest(places)]

    def nearest(self, places: Float[Tensor, "n d"]) -> Int64[Tensor, " n"]:
        """Return the numbers of the nodes nearest to places."""
        across, down, _ = self.shape
        at = ((places - places.new_tensor(self.origin)) / self.cell).round().long().unbind(-1)
        x, y, z = (*at, torch.zeros_like(at[0]))[:3]
        x, y, z = (each.clamp(0, size - 1) for each, size in zip((x, y, z), self.shape, strict=True))
        return (z * down + y) * across + x
