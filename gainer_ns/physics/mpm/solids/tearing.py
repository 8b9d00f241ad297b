"""Cracks of elastic bodies: where they begin, how they go on, and which particles they part.

A crack begins across the direction in which a body is stretched most, where that is more than its strength, and goes on
from both its ends while what lies ahead is. Source: O'Brien and Hodgins, "Graphical Modeling and Animation of Brittle
Fracture", 1999. Cracks are lines in the body at rest; particles on both sides let go of each other.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gainer_ns.gaussians.small_matrices import singular_range
from gainer_ns.physics.engine import State

BEGUN_CELLS = 1.5
"""How far a crack goes to each side at first: what nodes carry on both of its sides is parted only then."""
GROWN_CELLS = 1.0
"""How far it goes on at once..."""
MAX_GROWTHS = 3
"""...and how often, before its strain is found anew."""
AHEAD_CELLS = 1.0
"""How far ahead of its ends it is told whether it goes on."""
APART_CELLS, APART_NEW_CELLS = 4.0, 12.0
"""How far from old cracks, and from others that begin at once, a crack begins, at least."""
MAX_BEGUN = 2
"""How many cracks may begin at once, and only where none goes on."""
MAX_CRUMB_PARTICLES = 12
"""Parts of fewer particles do not come off: nodes could not tell how they are strained."""
MAX_TURN = math.cos(math.radians(50))
"""Cosine of the angle by which a crack may turn at once, at most."""


class Tearing:
    """The cracks of a simulation.

    Args:
        points: [p, 2], of elastic particles, at rest.
        links: [l, 2], which hold on to each other.
        strengths: [p], the strain that each bears; without bound where it does not tear.
        cell: How far apart nodes are.

    Attributes:
        held: [l], which links still hold.
    """

    def __init__(
        self, points: Float[Tensor, "p 2"], links: Int64[Tensor, "l 2"], strengths: Float[Tensor, " p"], cell: float
    ) -> None:
        self._points, self._links, self._strengths, self._cell = points.double(), links, strengths.double(), cell
        self._middles = self._points[links].mean(dim=1)
        self._breakable = torch.minimum(*strengths[links].unbind(1)).isfinite()
        self.held: Bool[Tensor, " l"] = torch.ones(len(links), dtype=torch.bool)
        self._tips = torch.zeros(0, 4, dtype=torch.float64)  # places of ends, and where they go

    def as_dict(self) -> dict[str, Tensor]:
        """Return what tells how to go on, by name."""
        return {"solid_held": self.held.clone(), "solid_tips": self._tips}

    def resume(self, state: State) -> None:
        """Take that up again."""
        self.held, self._tips = state["solid_held"].cpu().bool().clone(), state["solid_tips"].cpu().double()

    def look(self, gradients: Float[Tensor, "p 2 2"]) -> bool:
        """Let cracks begin and go on, as particles are deformed, and tell whether any did."""
        gradients = gradients.double().cpu()
        excess = singular_range(gradients)[1] - 1 - self._strengths
        if not bool((excess > 0).any()):
            return False
        before = self.held.clone()
        squares = gradients.mT @ gradients
        tips = [end for tip in self._tips for end in self._grown(tip, squares, excess)]
        if not torch.equal(self.held, before):
            excess = torch.full_like(excess, -1.0)
        parted = self._middles[~self.held]
        if len(parted):
            over = (excess > 0).nonzero()[:, 0]
            near = torch.cdist(self._points[over], parted).amin(dim=1) < APART_CELLS * self._cell
            excess[over[near]] = -1.0
        for _ in range(MAX_BEGUN):
            worst = int(excess.argmax())
            if excess[worst] <= 0:
                break
            middle = self._points[worst]
            near = (self._points - middle).norm(dim=1)
            square = squares[near < AHEAD_CELLS * self._cell].mean(dim=0)
            if float(torch.linalg.eigvalsh(square)[-1]) < (1 + float(self._strengths[worst])) ** 2:
                excess[worst] = -1.0
                continue
            along = _across(square)
            ends = [torch.cat([middle + side * BEGUN_CELLS * self._cell * along, side * along]) for side in (1, -1)]
            self._cut(ends[1][:2], ends[0][:2])
            tips += ends
            excess[near < APART_NEW_CELLS * self._cell] = -1.0
        self._tips = torch.stack(tips) if tips else self._tips[:0]
        self._keep_crumbs(before)
        return not torch.equal(self.held, before)

    def _keep_crumbs(self, before: Bool[Tensor, " l"]) -> None:
        """Let parts of few particles hang on where they held most, by links that have been parted just now."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        links, count = self._links.numpy(), len(self._points)
        for _ in range(MAX_CRUMB_PARTICLES):
            held = links[self.held.numpy()]
            graph = coo_array((np.ones(len(held), bool), held.T), shape=(count, count))
            _, parts = connected_components(graph, directed=False)
            sizes = np.bincount(parts)
            cut = np.flatnonzero((before & ~self.held).numpy())
            ends = parts[links[cut]]
            small = sizes[ends].min(axis=1) < MAX_CRUMB_PARTICLES if len(cut) else np.zeros(0, bool)
            small &= ends[:, 0] != ends[:, 1]
            if not small.any():
                return
            cut, ends = cut[small], ends[small]
            ends = np.where((sizes[ends[:, 0]] <= sizes[ends[:, 1]])[:, None], ends, ends[:, ::-1])
            pairs, number, most = np.unique(ends, axis=0, return_inverse=True, return_counts=True)
            order = np.lexsort((-most, pairs[:, 0]))  # of each small part, that which it held on to most
            first = order[np.unique(pairs[order, 0], return_index=True)[1]]
            self.held[torch.from_numpy(cut[np.isin(number.ravel(), first)])] = True

    def _grown(
        self, tip: Float[Tensor, " 4"], squares: Float[Tensor, "p 2 2"], excess: Float[Tensor, " p"]
    ) -> list[Float[Tensor, " 4"]]:
        """Let a crack go on from an end, and return its new end; none where it has come to the body's border."""
        for _ in range(MAX_GROWTHS):
            place, way = tip[:2], tip[2:]
            gap = self._points - (place + 0.5 * AHEAD_CELLS * self._cell * way)
            ahead = (gap.norm(dim=1) < AHEAD_CELLS * self._cell).nonzero()[:, 0]
            if len(ahead) == 0:
                return []
            if not bool((excess[ahead] > 0).any()):
                return [tip]
            along = _across(squares[ahead].mean(dim=0))
            along = along if float(along @ way) >= 0 else -along
            if float(along @ way) < MAX_TURN:
                along = way
            end = place + GROWN_CELLS * self._cell * along
            self._cut(place, end)
            tip = torch.cat([end, along])
        return [tip]

    def _cut(self, start: Float[Tensor, "2"], end: Float[Tensor, "2"]) -> None:
        """Part what holds together across a line."""
        reach = float((end - start).norm()) + self._cell
        some = ((self._middles - start).norm(dim=1) < reach) & self.held & self._breakable
        chosen = some.nonzero()[:, 0]
        one, other = self._points[self._links[chosen]].unbind(1)
        crossed = _is_left(start, end, one) ^ _is_left(start, end, other)
        crossed &= _is_left(one, other, start) ^ _is_left(one, other, end)
        self.held[chosen[crossed]] = False


def _across(square: Float[Tensor, "2 2"]) -> Float[Tensor, "2"]:
    """Return the direction at rest across that in which something is stretched most."""
    return torch.linalg.eigh(square)[1][:, 0]


def _is_left(start: Tensor, end: Tensor, points: Tensor) -> Tensor:
    """Tell which points are on the left of a line, or on it."""
    way, away = end - start, points - start
    return way[..., 0] * away[..., 1] >= way[..., 1] * away[..., 0]
