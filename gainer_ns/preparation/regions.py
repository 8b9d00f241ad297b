"""Regions of a picture from small to large, of which a click offers those that stand out.

The picture is flooded from where its colours change least (watersheds), and neighbours are merged, the most similar
first, into a tree (Salembier and Garrido, Binary Partition Tree as an Efficient Representation for Image Processing,
2000). A region stands out where what surrounds it is much less like it than its own parts are like one another.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import partial
from typing import cast

import cv2
import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage

from gainer_ns.preparation.grabcut import follow_edges, reduced
from gainer_ns.preparation.offers import Offers
from gainer_ns.preparation.prompts import Prompt

_PIXELS = 100_000
"""Pixels of the copy that is taken apart."""
_MIN_SHARE, _MAX_SHARE = 2e-4, 0.7
"""How much of the picture a region that is offered covers."""
_MAX_OFFERS = 5
_SIZE_STEP = 1.7
"""How many times larger the next region that is offered is, at least."""
_SIZE_POWER = 0.3
"""How much more it costs to merge what is large."""
_SMALLEST_COST = 1.0
"""In units of CIELAB: differences below it are none."""


@dataclass(frozen=True)
class RegionTree:
    """Regions within regions.

    Attributes:
        small: The copy that was taken apart.
        places: [h, w], for each of its pixels the place of its smallest region in a row in which all regions are runs.
        runs: [n, 2], where each region begins and ends in that row.
        parents: [n], the region that each was merged into; -1 for the whole picture.
        leaves: [m], the smallest regions in that row.
        areas: [n], in pixels of the copy.
        costs: [n], what it cost to make each; 0 for the smallest.
    """

    small: Float[np.ndarray, "h w 3"]
    places: Int[np.ndarray, "h w"]
    runs: Int[np.ndarray, "n 2"]
    parents: Int[np.ndarray, " n"]
    leaves: Int[np.ndarray, " m"]
    areas: Float[np.ndarray, " n"]
    costs: Float[np.ndarray, " n"]

    @classmethod
    def of(cls, colours: Float[np.ndarray, "h w 3"]) -> RegionTree:
        """Take a picture apart."""
        small = reduced(colours, _PIXELS)
        lab = cv2.bilateralFilter(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), 5, 12.0, 2.0)
        slopes = [cv2.Sobel(lab, cv2.CV_32F, *axis, ksize=3, scale=0.25) for axis in ((1, 0), (0, 1))]
        change = np.sqrt(sum(np.square(slope).sum(axis=2) for slope in slopes))
        flat = cv2.GaussianBlur(change, (0, 0), 1.5)
        lowest, _ = cast("tuple[np.ndarray, int]", ndimage.label(flat == ndimage.minimum_filter(flat, 7)))
        heights = np.minimum(change * 100, 65_535).astype(np.uint16)
        labels = ndimage.watershed_ift(heights, lowest.astype(np.int32)) - 1
        labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
        parents, costs, areas = _merged(labels, lab, change)
        return cls(small, *_in_a_row(labels, parents), areas, costs)

    def offers(self, x: float, y: float) -> tuple[list[int], int]:
        """Return the regions around a place that stand out, the smallest first, and which of them does so most.

        ``x`` and ``y`` are shares of the picture's sides.
        """
        height, width = self.places.shape
        row, column = min(int(y * height), height - 1), min(int(x * width), width - 1)
        chain = [int(self.leaves[self.places[row, column]])]
        while self.parents[chain[-1]] >= 0:
            chain.append(int(self.parents[chain[-1]]))
        share = self.areas[chain] / self.places.size
        outer = np.array([self.costs[self.parents[region]] if self.parents[region] >= 0 else 0.0 for region in chain])
        standing = outer / np.maximum(self.costs[chain], _SMALLEST_COST)
        found: list[int] = []
        for place in np.argsort(-standing):
            differs = all(
                max(share[place] / share[other], share[other] / share[place]) >= _SIZE_STEP for other in found
            )
            if _MIN_SHARE <= share[place] <= _MAX_SHARE and differs:
                found.append(int(place))
            if len(found) == _MAX_OFFERS:
                break
        if not found:
            return chain[:1], 0
        return [chain[place] for place in sorted(found)], sorted(found).index(found[0])

    def mask(self, region: int, colours: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
        """Return a region, in the picture that was taken apart, whose edge follows its colours."""
        first, end = self.runs[region]
        inside = (self.places >= first) & (self.places < end)
        filled = np.asarray(ndimage.binary_fill_holes(inside))
        return follow_edges(filled, self.small, colours)


class RegionProposer:
    """Offers regions around a click; what a picture was taken apart into is kept for the next click."""

    def __init__(self) -> None:
        self._seen: np.ndarray | None = None
        self._guide = np.zeros((1, 1, 3), np.float32)
        self._tree: RegionTree | None = None

    def __call__(self, colours: Float[np.ndarray, "h w 3"], click: tuple[float, float]) -> Offers:
        """Return what may be meant; see ``Proposer``."""
        height, width = colours.shape[:2]
        Prompt((click,)).check(width, height)
        if self._tree is None or self._seen is not colours:
            self._guide = np.nan_to_num(np.asarray(colours, np.float32)).clip(0, 1)
            self._seen, self._tree = colours, RegionTree.of(self._guide)
        tree, guide = self._tree, self._guide
        regions, first = tree.offers(click[0] / width, click[1] / height)
        return Offers([partial(tree.mask, region, guide) for region in regions], first)


def _merged(
    labels: Int[np.ndarray, "h w"], lab: Float[np.ndarray, "h w 3"], change: Float[np.ndarray, "h w"]
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Merge all regions into one, the most similar neighbours first.

    Returns:
        Parents, costs and areas; see :class:`RegionTree`.
    """
    count = int(labels.max()) + 1
    total = 2 * count - 1
    areas, means = np.zeros(total), np.zeros((total, 3))
    areas[:count] = np.bincount(labels.ravel(), minlength=count)
    for channel in range(3):
        means[:count, channel] = np.bincount(labels.ravel(), lab[..., channel].ravel(), count) / areas[:count]
    borders: list[dict[int, tuple[float, float]]] = [{} for _ in range(total)]  # length, and change along it
    for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        a, b = labels[one].ravel(), labels[other].ravel()
        steep = np.maximum(change[one], change[other]).ravel()[a != b]
        pairs = np.sort(np.stack([a, b], axis=1)[a != b], axis=1)
        keys, places = np.unique(pairs[:, 0] * count + pairs[:, 1], return_inverse=True)
        for key, length, sum_ in zip(keys, np.bincount(places), np.bincount(places, steep), strict=True):
            a, b = divmod(int(key), count)
            before = borders[a].get(b, (0.0, 0.0))
            borders[a][b] = borders[b][a] = before[0] + float(length), before[1] + float(sum_)

    def cost(a: int, b: int) -> float:
        length, steepness = borders[a][b]
        apart = float(np.sqrt(np.square(means[a] - means[b]).sum()))
        return (2 * steepness / length + apart) * min(areas[a], areas[b]) ** _SIZE_POWER

    heap = [(cost(a, b), a, b) for a in range(count) for b in borders[a] if a < b]
    heapq.heapify(heap)
    parents, costs = np.full(total, -1), np.zeros(total)
    new = count
    while heap and new < total:
        price, a, b = heapq.heappop(heap)
        if parents[a] >= 0 or parents[b] >= 0:
            continue
        parents[a] = parents[b] = new
        costs[new] = max(price, costs[a], costs[b])
        areas[new] = areas[a] + areas[b]
        means[new] = (areas[a] * means[a] + areas[b] * means[b]) / areas[new]
        for part in (a, b):
            for other, (length, steepness) in borders[part].items():
                if other in (a, b):
                    continue
                before = borders[new].get(other, (0.0, 0.0))
                borders[new][other] = borders[other][new] = before[0] + length, before[1] + steepness
                del borders[other][part]
        for other in borders[new]:
            heapq.heappush(heap, (cost(new, other), other, new))
        new += 1
    return parents, costs, areas


def _in_a_row(
    labels: Int[np.ndarray, "h w"], parents: Int[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, "h w"], Int[np.ndarray, "n 2"], Int[np.ndarray, " n"], Int[np.ndarray, " m"]]:
    """Put the smallest regions into a row in which those of each larger one stand side by side."""
    total, count = len(parents), int(labels.max()) + 1
    sizes = np.zeros(total, np.int64)
    sizes[:count] = 1
    for region in range(total - 1):  # parts have lower numbers
        sizes[parents[region]] += sizes[region]
    runs, filled = np.zeros((total, 2), np.int64), np.zeros(total, np.int64)
    runs[-1] = 0, count
    for region in range(total - 2, -1, -1):
        parent = parents[region]
        start = runs[parent, 0] + filled[parent]
        filled[parent] += sizes[region]
        runs[region] = start, start + sizes[region]
    leaves = np.empty(count, np.int64)
    leaves[runs[:count, 0]] = np.arange(count)
    return runs[:count, 0][labels], runs, parents, leaves
