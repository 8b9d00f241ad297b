"""The grid on which elastic bodies move: laid over them at rest, once, with a node of its own for each part it touches.

What is apart at rest shares no nodes, however narrow the gap: of a node whose support holds particles that do not hold
together within it, there are several copies. So a leg beside a body moves on its own, and what holds together cannot
come apart, since nothing is ever looked up again.

Source: de Vaucorbeil, Nguyen, Hutchinson, "A Total-Lagrangian Material Point Method for solid mechanics problems
involving large deformations", 2020. The copies are the "virtual nodes" of Molino, Bao, Fedkiw, 2004.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int32, Int64
from torch import Tensor
from torch.nn.functional import embedding_bag

FULL_LINKS = {2: 6, 3: 14}
"""A particle with fewer neighbours that hold on to it is on a border, and counts as several points."""
BLOCK_POINTS = 512
"""So many points, one after another, share where they give to nodes."""


@dataclass(frozen=True)
class RestGrid:
    """Points of solid bodies, and the nodes that each of them is carried by. Points come first that are particles.

    Attributes:
        points: [q, d], at rest, widths; the first p are particles, the others what is around those at borders.
        parents: [q], which particle of the bodies each belongs to, from 0 to p - 1.
        shares: [q], what share of its particle's volume each stands for.
        nodes: [m, d], where nodes are at rest.
        carriers: [q, k], which nodes carry each point.
        bases: [q, d], the first of these, counted in cells along each axis.
        offsets: [q, d], where each point is, in cells from there.
        weights: [q, k, 1 + d], how much, and the gradient of that, 1 / widths.
        cell: How far apart nodes are.
    """

    points: Float32[Tensor, "q d"]
    parents: Int64[Tensor, " q"]
    shares: Float32[Tensor, " q"]
    nodes: Float32[Tensor, "m d"]
    carriers: Int32[Tensor, "q k"]
    bases: Int32[Tensor, "q d"]
    offsets: Float32[Tensor, "q d"]
    weights: Float32[Tensor, "q k c"]
    cell: float

    def to(self, device: torch.device) -> RestGrid:
        """Copy it to a device."""
        tensors = {each.name: getattr(self, each.name).to(device) for each in fields(self) if each.name != "cell"}
        return RestGrid(**tensors, cell=self.cell)

    def gathered(self, values: Float[Tensor, "q c"]) -> Float[Tensor, "m c"]:
        """Return the weighted sums, at the nodes, of values of the points."""
        k = self.carriers.shape[1]
        given = (self.weights[..., :1].double() * values[:, None].double()).reshape(len(self.points) * k, -1)
        sums = torch.zeros(len(self.nodes), given.shape[1], dtype=torch.float64, device=given.device)
        return sums.index_add(0, self.carriers.reshape(-1).long(), given)

    def spread(self, values: Float32[Tensor, "m d"]) -> Float32[Tensor, "q d"]:
        """Return values of the nodes at the points."""
        return embedding_bag(self.carriers, values, per_sample_weights=self._columns[0], mode="sum")

    def gradients(self, values: Float32[Tensor, "m d"]) -> Float32[Tensor, "q d d"]:
        """Return how values of the nodes change at the points."""
        along = [
            embedding_bag(self.carriers, values, per_sample_weights=slopes, mode="sum") for slopes in self._columns[1:]
        ]
        return torch.stack(along, dim=2)

    def summed(self, values: Float32[Tensor, "q c"]) -> Float32[Tensor, "m c"]:
        """Return the weighted sums, at the nodes, of values of the points: quicker than ``gathered``, less exact."""
        starts, points, weights = self._carried
        return embedding_bag(points, values, starts, per_sample_weights=weights, mode="sum", include_last_offset=True)

    @cached_property
    def _columns(self) -> list[Float32[Tensor, "q k"]]:
        """Weights, and their gradients along each axis."""
        return [column.contiguous() for column in self.weights.unbind(dim=2)]

    @cached_property
    def _carried(self) -> tuple[Int64[Tensor, " s"], Int64[Tensor, " e"], Float32[Tensor, " e"]]:
        """Where what each node carries begins; and the points that nodes carry, node by node, with their weights."""
        owners, order = self.carriers.flatten().long().sort(stable=True)
        starts = torch.searchsorted(owners, torch.arange(len(self.nodes) + 1, device=owners.device))
        return starts, order // self.carriers.shape[1], self.shares_of_nodes[order]

    @cached_property
    def shares_of_nodes(self) -> Float32[Tensor, " e"]:
        """Weights, point by point."""
        return self._columns[0].view(-1)

    @cached_property
    def slots(self) -> tuple[Int32[Tensor, " s"], Int32[Tensor, "q k"]]:
        """Where what each node is given begins, and the slot of that to which each point adds for each of its nodes.

        Points of a block share slots, which lie in the cache: on a CPU one thread goes through a block, point by
        point, so the sums do not depend on how many threads there are. Elsewhere each point has its own.
        """
        points, device = torch.arange(len(self.points), device=self.points.device), self.points.device
        block = BLOCK_POINTS if device.type == "cpu" else 1
        blocks = len(points) // block + 1
        keys, slots = torch.unique(self.carriers.long() * blocks + (points // block)[:, None], return_inverse=True)
        nodes = torch.arange(len(self.nodes) + 1, device=device)
        return torch.searchsorted(keys, nodes * blocks, out_int32=True), slots.int()

    def entries_of(self, some: Bool[Tensor, " p"]) -> tuple[Int32[Tensor, " s"], Int32[Tensor, " f"], Tensor]:
        """Return where what each node carries of some particles begins, which these are, and their weights."""
        starts, points, weights = self._carried
        chosen = torch.cat([some, some.new_zeros(len(self.points) - len(some))])[points].nonzero()[:, 0]
        return torch.searchsorted(chosen, starts, out_int32=True), points[chosen].int(), weights[chosen]

    def stiffest(
        self, node_masses: Float[Tensor, " m"], masses: Float[Tensor, " q"], held: Float[Tensor, " q"]
    ) -> float:
        """Return the largest squared frequency of the nodes, each point of a stiffness of its mass times cell squared.

        It is the largest eigenvalue of ``M^-1 (cell^2 G^T m G + N^T h N)``.

        Args:
            node_masses: [m], M.
            masses: [q], m.
            held: [q], h: springs that hold points where they are, as squared frequency times mass.
        """
        from scipy.sparse import csr_array, diags_array
        from scipy.sparse.linalg import eigsh

        (count, k), columns = (
            self.carriers.shape,
            self.weights.cpu().double().numpy().reshape(-1, self.weights.shape[2]),
        )
        parts, starts = self.carriers.cpu().numpy().ravel(), np.arange(0, count * k + 1, k)
        root = diags_array(node_masses.cpu().double().numpy() ** -0.5)
        slopes = self.cell**2 * masses
        whole = csr_array((len(self.nodes), len(self.nodes)))
        for column, given in enumerate([held, *(slopes for _ in range(columns.shape[1] - 1))]):
            reads = csr_array((columns[:, column], parts, starts), (count, len(self.nodes))) @ root
            whole = whole + reads.T @ diags_array(given.cpu().double().numpy()) @ reads
        start = np.random.default_rng(0).random(len(self.nodes))
        found = eigsh(whole, k=1, tol=1e-2, v0=start, return_eigenvectors=False)  # pyright: ignore[reportArgumentType]
        return float(found[0])

    @classmethod
    def over(
        cls, positions: Float[Tensor, "p d"], links: Int64[np.ndarray, "l 2"], spacing: float, cell: float
    ) -> RestGrid:
        """Lay a grid over particles at rest.

        Args:
            positions: [p, d], of the particles, widths.
            links: [l, 2], which of them hold on to each other.
            spacing: How far apart neighbours are.
            cell: How far apart nodes are to be.
        """
        rest = positions.detach().cpu().double().numpy()
        points, parents, shares = _points(rest, links, spacing)
        base, weights = _splines(points, cell)
        keys, labels, cells = _copies(base, parents, links, len(rest))
        offsets = _offsets(rest.shape[1])
        nodes_of = base[:, None] + offsets[None] - cells.low
        own = labels[np.searchsorted(keys, cells.key(nodes_of) * len(rest) + parents[:, None])]
        count = int(labels.max()) + 1
        nodes = np.zeros((count, rest.shape[1]))
        nodes[own] = (nodes_of + cells.low) * cell
        return cls(
            torch.from_numpy(points).float(),
            torch.from_numpy(parents),
            torch.from_numpy(shares).float(),
            torch.from_numpy(nodes).float(),
            torch.from_numpy(own).int().contiguous(),
            torch.from_numpy(base).int(),
            torch.from_numpy(points / cell - base).float(),
            torch.from_numpy(weights).float().contiguous(),
            cell,
        )


@dataclass(frozen=True)
class _Cells:
    """Numbers for the places of nodes, from the lowest on."""

    low: np.ndarray
    size: np.ndarray

    def key(self, nodes: np.ndarray) -> np.ndarray:
        key = nodes[..., 0]
        for axis in range(1, nodes.shape[-1]):
            key = key * self.size[axis] + nodes[..., axis]
        return key


def _offsets(dimensions: int) -> np.ndarray:
    return np.array(list(itertools.product(range(3), repeat=dimensions)), dtype=np.int64)


def _points(rest: np.ndarray, links: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the points that carry stress, their particles and their shares of these.

    A particle inside is one point. One on a border counts as two along each axis, as far apart as a cube of its size
    spreads: a row of single points would bend like a chain.
    """
    count, dimensions = rest.shape
    degree = np.bincount(links.ravel(), minlength=count)
    border = np.flatnonzero(degree < FULL_LINKS[dimensions])
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=dimensions)))
    around = rest[border][:, None] + spacing / np.sqrt(12) * signs
    shares = np.ones(count)
    shares[border] = 0.0
    return (
        np.concatenate([rest, around.reshape(-1, dimensions)]),
        np.concatenate([np.arange(count), np.repeat(border, len(signs))]),
        np.concatenate([shares, np.full(len(border) * len(signs), 1 / len(signs))]),
    )


def _splines(points: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the first node that carries each point, and weights and their gradients of all nodes that do."""
    at = points / cell
    base = np.floor(at - 0.5).astype(np.int64)
    d = at - base
    ones = np.stack([0.5 * (1.5 - d) ** 2, 0.75 - (d - 1) ** 2, 0.5 * (d - 0.5) ** 2], axis=-1)  # [q, d, 3]
    slopes = np.stack([d - 1.5, -2 * (d - 1), d - 0.5], axis=-1) / cell
    offsets, dimensions = _offsets(points.shape[1]), points.shape[1]
    columns = [np.prod([ones[:, axis, offsets[:, axis]] for axis in range(dimensions)], axis=0)]
    for along in range(dimensions):
        factors = [(slopes if axis == along else ones)[:, axis, offsets[:, axis]] for axis in range(dimensions)]
        columns.append(np.prod(factors, axis=0))
    return base, np.stack(columns, axis=-1)


def _copies(
    base: np.ndarray, parents: np.ndarray, links: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, _Cells]:
    """Tell which copy of each node each particle has: one for all that hold together within the node's support.

    Returns:
        Sorted keys of pairs of a node and a particle, the number of the copy of each, and how nodes are numbered.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    low = base.min(axis=0)
    cells = _Cells(low, base.max(axis=0) - low + 3)
    nodes = cells.key(base[:, None] + _offsets(base.shape[1])[None] - low)
    keys = np.unique(nodes * count + parents[:, None])
    node, particle = keys // count, keys % count
    # Each membership of a particle meets those of its neighbours at the same node.
    both = np.concatenate([links, links[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    first = np.searchsorted(both[:, 0], np.arange(count + 1))
    degree = (first[1:] - first[:-1])[particle]
    one = np.repeat(np.arange(len(keys)), degree)
    slot = np.arange(len(one)) - np.repeat(np.cumsum(degree) - degree, degree)
    wanted = node[one] * count + both[first[particle[one]] + slot, 1]
    other = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    met = keys[other] == wanted
    graph = coo_array((np.ones(int(met.sum()), bool), (one[met], other[met])), shape=(len(keys), len(keys)))
    return keys, connected_components(graph, directed=False)[1].astype(np.int64), cells
