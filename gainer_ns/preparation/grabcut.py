"""Masks without a network: GrabCut, started from a box or from clicks.

GrabCut (Rother et al., GrabCut: Interactive Foreground Extraction Using Iterated Graph Cuts, 2004) is OpenCV's. Clicks
alone say too little for it, so it starts from the pixels that are nearer to the clicks than to the picture's border,
along paths that cost what their colours change (Bai and Sapiro, A Geodesic Framework for Fast Interactive Image and
Video Segmentation, 2007). One click finds what stands out by colour; for small or patchy things a box does better.
The mask's edge follows the picture at full size by a guided filter (He and Sun, Fast Guided Filter, 2015).
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import sparse

from gainer_ns.errors import GainerError
from gainer_ns.options import PointList
from gainer_ns.preparation.prompts import Prompt

_CUT_PIXELS = 300_000
"""Pixels of the copy that is cut, which takes a second or a few."""

_GEODESIC_PIXELS = 30_000
"""Pixels of the copy on which paths are measured."""

_CLICK_RADIUS = 0.012
"""Radius of the disc that a click makes certain, over the picture's longer side."""

_STEP_COST = 3.0
"""Cost of a step of one pixel without any change of colour, where that of colours is their distance in CIELAB."""

_CERTAIN = 0.3
"""A pixel is taken for certain where the way to one kind of clicks is shorter than this share of that to the others."""

_EDGE_RADIUS = 3
"""How far from the cut the edge may lie, in pixels of the copy."""

_EDGE_SMOOTHNESS = 1e-4
"""Variance of colours in [0, 1] below which the guided filter takes them for one."""


class GrabCutSegmenter:
    """Cuts out what a box or clicks show, by colours and edges; see ``Segmenter``.

    Args:
        iterations: How often colours are learned and the picture is cut, where a box says little of them. What starts
            from clicks drifts away from them, and is cut twice at most.
        seed: Of the clustering that the colour models start from.
    """

    def __init__(self, iterations: int = 5, seed: int = 0) -> None:
        self._iterations, self._seed = iterations, seed

    def __call__(self, colours: Float[np.ndarray, "h w 3"], prompt: Prompt) -> Float[np.ndarray, "h w"]:
        """Make a mask; see ``Segmenter``."""
        height, width = colours.shape[:2]
        prompt.check(width, height)
        guide = np.nan_to_num(np.asarray(colours, np.float32)).clip(0, 1)
        small = reduced(guide, _CUT_PIXELS)
        labels = _initial_labels(small, prompt, width, height)
        iterations = min(self._iterations, 2) if prompt.clicks else self._iterations
        self._cut(np.rint(small * 255).astype(np.uint8), labels, iterations)
        clicked = _discs(labels.shape, prompt.clicks, width, height, 0)
        return follow_edges(_tidied(labels, clicked), small, guide)

    def _cut(self, samples: UInt8[np.ndarray, "h w 3"], labels: UInt8[np.ndarray, "h w"], iterations: int) -> None:
        """Run GrabCut; ``labels`` hold its start, and then its answer."""
        cv2.setRNGSeed(self._seed)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        try:
            cv2.grabCut(samples, labels, (0, 0, 1, 1), *models, iterations, cv2.GC_INIT_WITH_MASK)
        except cv2.error as error:  # It clusters either side's colours into five, and wants as many pixels.
            raise GainerError(
                "mask: leaves too few pixels on one side to learn colours from; give a larger or smaller --box"
            ) from error


def reduced(image: Float[np.ndarray, "h w 3"], pixels: int) -> Float[np.ndarray, "a b 3"]:
    """Return a picture of at most about so many pixels."""
    height, width = image.shape[:2]
    scale = math.sqrt(pixels / (width * height))
    if scale >= 1:
        return image
    return cv2.resize(
        image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
    )


def _initial_labels(
    small: Float[np.ndarray, "a b 3"], prompt: Prompt, width: int, height: int
) -> UInt8[np.ndarray, "a b"]:
    """Return what is certain and what is likely before the first cut, as OpenCV's GC_ labels.

    Args:
        small: A copy of the picture.
        prompt: Where the object is.
        width: Of the picture that the prompt is for.
        height: Of that picture.
    """
    shape = small.shape[:2]
    box = np.ones(shape, bool) if prompt.box is None else _box(shape, prompt.box, width, height)
    if prompt.clicks:
        labels = _labels_by_paths(small, prompt, box, width, height)
    else:
        labels = np.full(shape, cv2.GC_PR_FGD, np.uint8)
        if np.count_nonzero(~box) < 0.02 * box.size:  # Then the colours of what is behind are learned at the border.
            margin = max(1, round(0.02 * max(shape)))
            down, across = (min(margin, length // 4) for length in shape)
            middle = labels[down : shape[0] - down, across : shape[1] - across].copy()
            labels[:] = cv2.GC_PR_BGD
            labels[down : shape[0] - down, across : shape[1] - across] = middle
    labels[~box] = cv2.GC_BGD
    radius = _CLICK_RADIUS * max(shape)
    excluded = _discs(shape, prompt.negative_clicks, width, height, radius)
    clicked = _discs(shape, prompt.clicks, width, height, radius)
    labels[excluded] = cv2.GC_BGD
    labels[clicked & ~excluded] = cv2.GC_FGD
    # Where the discs of two clicks meet, each keeps its own pixel.
    labels[_discs(shape, prompt.negative_clicks, width, height, 0)] = cv2.GC_BGD
    labels[_discs(shape, prompt.clicks, width, height, 0)] = cv2.GC_FGD
    return labels


def _box(
    shape: tuple[int, ...], box: tuple[float, float, float, float], width: int, height: int
) -> Bool[np.ndarray, "a b"]:
    """Return the pixels of a copy that a box, given in the picture's pixels, touches."""
    across, down = shape[1] / width, shape[0] / height
    inside = np.zeros(shape[:2], bool)
    rows = slice(math.floor(box[1] * down), math.ceil(box[3] * down))
    inside[rows, math.floor(box[0] * across) : math.ceil(box[2] * across)] = True
    return inside


def _discs(
    shape: tuple[int, ...], points: PointList, width: int, height: int, radius: float
) -> Bool[np.ndarray, "a b"]:
    """Return the pixels of a copy within a radius of points in the picture's pixels; at least one a point."""
    discs = np.zeros(shape[:2], np.uint8)
    for x, y in points:
        column = min(int(x * shape[1] / width), shape[1] - 1)
        row = min(int(y * shape[0] / height), shape[0] - 1)
        cv2.circle(discs, (column, row), round(radius), (1,), -1)
    return discs.astype(bool)


def _labels_by_paths(
    small: Float[np.ndarray, "a b 3"], prompt: Prompt, box: Bool[np.ndarray, "a b"], width: int, height: int
) -> UInt8[np.ndarray, "a b"]:
    """Return what clicks say of the pixels that a path joins to them; see ``_initial_labels``."""
    tiny = reduced(small, _GEODESIC_PIXELS)
    shape = tiny.shape[:2]
    graph = _grid_graph(cv2.bilateralFilter(cv2.cvtColor(tiny, cv2.COLOR_RGB2LAB), 5, 10.0, 2.0))

    def distance(seeds: np.ndarray) -> np.ndarray:
        if not seeds.any():
            return np.full(shape, np.inf)
        start = np.flatnonzero(seeds)
        return sparse.csgraph.dijkstra(graph, directed=False, indices=start, min_only=True).reshape(shape)

    radius = max(1.0, _CLICK_RADIUS * max(shape))
    clicked = _discs(shape, prompt.clicks, width, height, radius)
    behind = cv2.resize(box.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST) == 0
    behind[[0, -1]] = True
    behind[:, [0, -1]] = True
    to_clicks = distance(clicked)
    to_excluded = distance(_discs(shape, prompt.negative_clicks, width, height, radius))
    to_others = np.minimum(to_excluded, distance(behind & ~clicked))
    labels = np.where(to_clicks < to_others, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    labels[to_clicks < _CERTAIN * to_others] = cv2.GC_FGD
    labels[to_excluded < _CERTAIN * to_clicks] = cv2.GC_BGD
    return cv2.resize(labels.astype(np.uint8), small.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def _grid_graph(lab: Float[np.ndarray, "h w 3"]) -> sparse.csr_matrix:
    """Return the pixel grid with its diagonals: what a step between neighbours costs, [h * w, h * w]."""
    height, width = lab.shape[:2]
    index = np.arange(height * width).reshape(height, width)
    starts, ends, costs = [], [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        start = slice(0, height - down), slice(max(0, -right), width - max(0, right))
        end = slice(down, height), slice(max(0, right), width + min(0, right))
        step = np.linalg.norm(lab[start] - lab[end], axis=2) + _STEP_COST * math.hypot(down, right)
        starts.append(index[start].ravel())
        ends.append(index[end].ravel())
        costs.append(step.ravel())
    shape = (height * width, height * width)
    return sparse.csr_matrix((np.concatenate(costs), (np.concatenate(starts), np.concatenate(ends))), shape=shape)


def _tidied(labels: UInt8[np.ndarray, "h w"], clicked: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return the cut's parts that were clicked, or else its large ones, without small holes.

    Args:
        labels: GrabCut's answer.
        clicked: The pixels of the clicks; none of them means that there were only boxes.
    """
    inside = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    count, parts = cv2.connectedComponents(inside.astype(np.uint8), connectivity=4)
    areas = np.bincount(parts.ravel(), minlength=count)
    areas[0] = 0
    keep = (areas >= 0.05 * areas.max()) & (not clicked.any())
    keep[parts[clicked]] = True
    keep[0] = False
    inside = keep[parts]
    count, holes = cv2.connectedComponents((~inside).astype(np.uint8), connectivity=4)
    small = np.bincount(holes.ravel(), minlength=count) < 0.01 * np.count_nonzero(inside)
    small[holes[labels == cv2.GC_BGD]] = False  # What somebody excluded stays out.
    small[np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]])] = False
    small[0] = False
    return inside | small[holes]


def follow_edges(
    inside: Bool[np.ndarray, "a b"], small: Float[np.ndarray, "a b 3"], guide: Float[np.ndarray, "h w 3"]
) -> Float[np.ndarray, "h w"]:
    """Return a cut of a copy as a mask of the whole picture, whose edge runs where the picture's does.

    Around each pixel of the copy the cut is fitted by a linear function of the colours; that function, of the colours
    at full size, is the mask near the cut. Farther away it is 0 or 1.

    Args:
        inside: The cut.
        small: The copy that was cut.
        guide: The picture.

    Returns:
        Float32 in [0, 1].
    """
    size = guide.shape[1::-1]
    window = (2 * _EDGE_RADIUS + 1, 2 * _EDGE_RADIUS + 1)

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, window, borderType=cv2.BORDER_REFLECT).reshape(values.shape)

    cut = inside.astype(np.float32)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, window)
    sure = cv2.resize(cv2.erode(cut, disc), size, interpolation=cv2.INTER_NEAREST) > 0
    possible = cv2.resize(cv2.dilate(cut, disc), size, interpolation=cv2.INTER_NEAREST) > 0
    colour_mean, cut_mean = mean(small), mean(cut)
    products = small[..., :, None] * small[..., None, :]
    covariance = mean(products.reshape(*cut.shape, 9)).reshape(products.shape)
    covariance -= colour_mean[..., :, None] * colour_mean[..., None, :]
    covariance += _EDGE_SMOOTHNESS * np.eye(3, dtype=np.float32)
    shared = mean(small * cut[..., None]) - colour_mean * cut_mean[..., None]
    slope = np.linalg.solve(covariance, shared[..., None])[..., 0]
    offset = cut_mean - (slope * colour_mean).sum(2)
    slope, offset = (cv2.resize(mean(values.astype(np.float32)), size) for values in (slope, offset))
    share = (slope * guide).sum(2) + offset
    soft = np.clip(2.0 * (share - 0.5) + 0.5, 0.0, 1.0)  # Steeper: colours that the two sides share are no haze.
    return np.where(sure, 1.0, np.where(possible, soft, 0.0)).astype(np.float32)
