"""Smooth maps of a plane, by where the nodes of a square grid go."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.devices import block_size

_BLOCK_POINTS = 1 << 17
"""Points at once: each takes 16 coefficients."""
MARGIN_NODES = 2
"""Nodes on every side of what a grid is to cover, beyond which it ends."""


@dataclass(frozen=True)
class ControlGrid:
    """A map of the plane as a bicubic B-spline: node ``(row, column)`` lies at rest at ``origin + step (column, row)``.

    Attributes:
        nodes: [r, c, 2], where the nodes have gone.
        coefficients: [r, c, 2], of the B-spline through them.
        origin: Where the first node lay, in the units of the plane at rest.
        step: From a node to the next of its row, and of its column; either may be negative.
    """

    nodes: Float[Tensor, "r c 2"]
    coefficients: Float[Tensor, "r c 2"]
    origin: tuple[float, float]
    step: tuple[float, float]

    @classmethod
    def through(
        cls, nodes: Float[Tensor, "r c 2"], origin: tuple[float, float], step: tuple[float, float]
    ) -> ControlGrid:
        """Return the grid whose spline goes through nodes; it goes on straight beyond them, so lines stay lines.

        Args:
            nodes: At least 2 x 2 of them.
            origin: Where the first lay.
            step: From a node to the next.
        """
        kept = nodes.float().contiguous()  # first, so that the coefficients follow from what is kept
        coefficients = _interpolating(_interpolating(kept.double()).transpose(0, 1)).transpose(0, 1)
        return cls(kept, coefficients.float().contiguous(), origin, step)

    @property
    def lattice(self) -> Float[Tensor, "r c 2"]:
        """Where the nodes lay, float64."""
        return lattice(self.nodes.shape[0], self.nodes.shape[1], self.origin, self.step, self.nodes.device)

    @cached_property
    def middles(self) -> Float[Tensor, "p q 2"]:
        """Where the middles of the patches of a :class:`gainer_ns.motion.rest_map.RestMap` have gone, float64."""
        found = self.coefficients.double()
        for axis in (0, 1):  # a cubic B-spline's weights half a step from a node
            a, b, c, d = (found.narrow(axis, k, found.shape[axis] - 3) for k in range(4))
            found = (a + d + 23 * (b + c)) / 48
        return found

    @property
    def rest_middles(self) -> Float[Tensor, "p q 2"]:
        """Where the middles of patches lay, float64."""
        lattice = self.lattice[1:-2, 1:-2]
        return lattice + 0.5 * lattice.new_tensor(self.step)

    def at(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, "m 2"]:
        """Return where points of the plane at rest have gone; beyond the grid as the border's splines go on."""
        block, across, down = self._around(points)
        return torch.einsum("mr,mc,mrcd->md", cubic_weights(down), cubic_weights(across), block).to(points.dtype)

    def with_jacobians(self, points: Float[Tensor, "m 2"]) -> tuple[Float[Tensor, "m 2"], Float[Tensor, "m 2 2"]]:
        """Return where points have gone, and how a small step at rest shows there."""
        at_once = block_size(_BLOCK_POINTS, points.device)
        if len(points) > at_once:
            parts = [self.with_jacobians(some) for some in points.split(at_once)]
            moved, jacobians = (torch.cat(each) for each in zip(*parts, strict=True))
            return moved, jacobians
        block, across, down = self._around(points)
        moved = torch.einsum("mr,mc,mrcd->md", cubic_weights(down), cubic_weights(across), block)
        along_x = torch.einsum("mr,mc,mrcd->md", cubic_weights(down), _slopes(across), block) / self.step[0]
        along_y = torch.einsum("mr,mc,mrcd->md", _slopes(down), cubic_weights(across), block) / self.step[1]
        return moved.to(points.dtype), torch.stack([along_x, along_y], dim=2).to(points.dtype)

    def _around(self, points: Float[Tensor, "m 2"]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the coefficients around points [m, 4, 4, 2], and how far beyond the second of them they are."""
        rows, columns, _ = self.nodes.shape
        place = (points.double() - points.new_tensor(self.origin).double()) / points.new_tensor(self.step).double()
        column = place[:, 0].floor().clamp(1, columns - 3)
        row = place[:, 1].floor().clamp(1, rows - 3)
        around = torch.arange(-1, 3, device=points.device)
        near = (row.long()[:, None] + around)[:, :, None] * columns + (column.long()[:, None] + around)[:, None]
        return self.coefficients.double().view(-1, 2)[near], place[:, 0] - column, place[:, 1] - row

    def to(self, device: torch.device | str) -> ControlGrid:
        """Return the same map on a device."""
        return ControlGrid(self.nodes.to(device), self.coefficients.to(device), self.origin, self.step)


def lattice(
    rows: int, columns: int, origin: tuple[float, float], step: tuple[float, float], device: torch.device | str
) -> Float[Tensor, "r c 2"]:
    """Return the nodes of a square grid at rest, float64."""
    x = origin[0] + step[0] * torch.arange(columns, device=device, dtype=torch.float64)
    y = origin[1] + step[1] * torch.arange(rows, device=device, dtype=torch.float64)
    return torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), dim=-1)


def _interpolating(nodes: Float[Tensor, "n k 2"]) -> Float[Tensor, "n k 2"]:
    """Return natural B-spline coefficients along the first dimension: (1 4 1) / 6 of them are the nodes.

    The spline's second derivative is 0 at the ends, so coefficients there are nodes. In between, elimination (Thomas'
    algorithm) goes forth and back.
    """
    found = nodes.flatten(1).cpu().numpy().copy()
    factors = np.zeros(len(found))
    for i in range(1, len(found) - 1):
        factors[i] = 1 / (4 - factors[i - 1])
        found[i] = (6 * found[i] - found[i - 1]) * factors[i]
    for i in range(len(found) - 2, 0, -1):
        found[i] -= factors[i] * found[i + 1]
    return torch.from_numpy(found).view(nodes.shape).to(nodes.device)


def cubic_weights(offset: Float[Tensor, " m"]) -> Float[Tensor, "m 4"]:
    """Return the cubic B-spline's weights of the four nodes around points, so far beyond the second of them."""
    t, s = offset, 1 - offset
    inner = [4 - 6 * x.square() + 3 * x.pow(3) for x in (t, s)]
    return torch.stack([s.pow(3), *inner, t.pow(3)], dim=1) / 6


def _slopes(offset: Float[Tensor, " m"]) -> Float[Tensor, "m 4"]:
    """Return the derivatives of the weights by the offset."""
    t, s = offset, 1 - offset
    inner = [-4 * t + 3 * t.square(), 4 * s - 3 * s.square()]
    return torch.stack([-s.square(), *inner, t.square()], dim=1) / 2
