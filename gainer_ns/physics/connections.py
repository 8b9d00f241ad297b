"""Which particles hold on to each other through what a picture shows between them, and not across gaps."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int32, Int64
from torch import Tensor

MIN_HOLDING_OPACITY = 0.1
"""From this opacity on what is shown holds together."""
NEIGHBOUR_SIDES = 1.6
"""Gaussians as near as so many of their spacings are neighbours: those of a lattice also across corners."""
STRAY_SPACINGS, MAX_STRAY_PARTICLES = 2.0, 3
"""Parts of so few particles, specks at a soft edge, hang on to the nearest other one within so many spacings."""
MAX_LINKED_GAUSSIANS = 4_000_000
"""Of more Gaussians it is not found out: particles then hold on to those near them."""


def links_through(
    pixels: Float[Tensor, "n 2"],
    opacities: Float[Tensor, " n"],
    side: float,
    chosen: Int64[Tensor, " p"],
    spacing: float,
) -> Int64[Tensor, "l 2"] | None:
    """Return which of the chosen Gaussians hold on to each other, each pair once; None if there are too many.

    Each Gaussian belongs to the chosen one that is nearest to it within what is shown. Two chosen ones hold on to each
    other where what belongs to them touches.

    Args:
        pixels: [n, 2], of all Gaussians.
        opacities: [n].
        side: How far apart Gaussians are, pixels.
        chosen: [p], which of them are particles.
        spacing: How far apart these are, pixels.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import dijkstra
    from scipy.spatial import KDTree

    if len(pixels) > MAX_LINKED_GAUSSIANS:
        return None
    shown = (opacities >= MIN_HOLDING_OPACITY).cpu().numpy()
    chosen_ids = chosen.cpu().numpy()
    shown[chosen_ids] = True
    ids = np.flatnonzero(shown)
    number = np.full(len(pixels), -1)
    number[ids] = np.arange(len(ids))
    places = pixels.detach().cpu().double().numpy()
    pairs = KDTree(places[ids]).query_pairs(NEIGHBOUR_SIDES * side, output_type="ndarray")
    lengths = np.linalg.norm(places[ids[pairs[:, 0]]] - places[ids[pairs[:, 1]]], axis=1).clip(1e-9)
    graph = coo_array((lengths, (pairs[:, 0], pairs[:, 1])), shape=(len(ids), len(ids))).tocsr()
    particle = np.full(len(ids), -1)
    particle[number[chosen_ids]] = np.arange(len(chosen_ids))
    _, _, sources = dijkstra(graph, directed=False, indices=number[chosen_ids], min_only=True, return_predecessors=True)
    owners = np.where(sources >= 0, particle[sources.clip(0)], -1)
    met = np.sort(owners[pairs], axis=1)
    met = np.unique(met[(met[:, 0] >= 0) & (met[:, 0] != met[:, 1])], axis=0)
    near = _strays(places[chosen_ids], met, STRAY_SPACINGS * spacing)
    met = np.unique(np.concatenate([met, near]), axis=0)
    return torch.from_numpy(met.astype(np.int64).reshape(-1, 2)).to(chosen.device)


def _strays(places: Float[np.ndarray, "p 2"], links: Int64[np.ndarray, "l 2"], reach: float) -> np.ndarray:
    """Return the pairs, [m, 2], by which parts of few particles hang on to others within reach."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    count = len(places)
    graph = coo_array((np.ones(len(links)), links.T), shape=(count, count))
    parts = connected_components(graph, directed=False)[1]
    stray = np.flatnonzero(np.bincount(parts)[parts] <= MAX_STRAY_PARTICLES)
    if len(stray) == 0:
        return np.empty((0, 2), np.int64)
    most = min(MAX_STRAY_PARTICLES + 1, count)
    apart, near = (np.asarray(each).reshape(len(stray), most) for each in KDTree(places).query(places[stray], most))
    other = (parts[near] != parts[stray][:, None]) & (apart <= reach)
    some = np.flatnonzero(other.any(axis=1))
    return np.sort(np.stack([stray[some], near[some, other[some].argmax(axis=1)]], axis=1), axis=1)


def links_among(links: Int64[Tensor, "l 2"], own: Int64[Tensor, " p"], count: int) -> Int64[Tensor, "m 2"]:
    """Return the links between some of so many particles, by their numbers among these."""
    number = torch.full((count,), -1, device=own.device)
    number[own] = torch.arange(len(own), device=own.device)
    inner = number[links.to(own.device)]
    return inner[(inner >= 0).all(dim=1)]


class HeldPairs:
    """Particles that hold on to each other, by one between them at most.

    Args:
        links: [l, 2], which hold on to each other; None where all do that are near.
        count: How many particles there are.
    """

    def __init__(self, links: Int64[Tensor, "l 2"] | None, count: int) -> None:
        self._links, self._count = links, count

    def of(self, followed: Int32[Tensor, "n k"]) -> Bool[Tensor, "n k"]:
        """Tell which of the particles that points might follow hold on to the first of them."""
        if self._links is None:
            return torch.ones_like(followed, dtype=torch.bool)
        keys = self._keys
        pairs = followed[:, :1].long() * self._count + followed.long()
        return (keys[torch.searchsorted(keys, pairs).clamp(max=len(keys) - 1)] == pairs) & (followed >= 0)

    @cached_property
    def _keys(self) -> Int64[Tensor, " m"]:
        """Sorted numbers of all pairs, also of a particle with itself."""
        from scipy.sparse import coo_array, eye_array

        assert self._links is not None
        one, other = self._links.cpu().numpy().T
        shape = self._count, self._count
        near = coo_array((np.ones(len(one)), (one, other)), shape=shape) + eye_array(self._count)
        near = (near + near.T).tocsr()
        row, column = (near @ near).nonzero()
        keys = torch.from_numpy(row.astype(np.int64) * self._count + column)
        return keys.sort().values.to(self._links.device)
