"""Soft edges of masks: how much of each pixel along the edge is the object, and which colour the object has there.

Alpha is the closed form of Levin et al. (A Closed-Form Solution to Natural Image Matting, 2008), colours are by
Germer et al. (Fast Multi-Level Foreground Estimation, 2020), both as pymatting has them. Where colours alone tell the
two sides apart, they say so too: closed-form matting trusts edges, and a mask's edge may be a few pixels off.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float

from gainer_ns.preparation.config import PreparationError

logger = logging.getLogger(__name__)

_BAND_SHARE, _MIN_BAND_PX = 1 / 200, 4
"""How far to either side of a mask's edge the picture decides: a share of its longer side, and that at least."""
_KNOWN = 0.02
"""Values this close to 0 or 1 are black or white."""
_SURE = 0.2
"""What is so close to them once it was solved counts as them, and what is left is solved again."""
_BROAD_SHARE = 0.1
"""A mask whose grays lie beyond the band in more than this share was painted softly, and is no hard mask's edge."""
_TILE_PX, _HALO_PX = 320, 32
"""Side of what is solved at once, and how much of what surrounds it is solved along with it. A tile takes 150 MB."""
_COLOUR_MARGIN_PX = 8
"""How far beyond the soft edge the colours of either side are continued, for what is read between pixels."""
_REMAINS_PX = 3
"""How far beyond the soft edge the picture may still show some of the object: where alpha was found too small."""
_COLOUR_STEPS = {"n_small_iterations": 30, "n_big_iterations": 10}
"""Of the multi-level solver, on its small and its large levels; pymatting's own, 10 and 2, stop a fifth short."""
_SMOOTHNESS = 1e-6
"""Variance of colours in [0, 1] that counts as none."""
_SAMPLES, _SAMPLE_REACH_PX, _SAMPLE_PIXEL = 6, 10, 0.01
"""How many pixels of either side a pixel is compared with; from how far beyond the band; how much of a difference
between colours in [0, 1] a distance of one pixel counts for."""
_PRIOR_WEIGHT, _PAINTED_WEIGHT, _LEAST_WEIGHT = 0.01, 0.1, 1e-5
"""How much colours say beside edges; how much grays that were painted; and how much is said of each pixel at least."""


class CutOutColours(NamedTuple):
    """What a picture shows on either side of where an object ends.

    Attributes:
        front: Colours of the object, float32 [h, w, 3] in [0, 1]; far from its soft edge the picture's.
        back: Colours of what is behind it: the picture's from a few pixels beyond the soft edge on, and these
            continued from there inwards, so that a hole has no line of the object around it.
    """

    front: Float[np.ndarray, "h w 3"]
    back: Float[np.ndarray, "h w 3"]


def has_pymatting() -> bool:
    """Return whether pymatting is installed."""
    return importlib.util.find_spec("pymatting") is not None


def check_pymatting() -> None:
    """Refuse to find soft edges where pymatting is missing, before anything else is done.

    Raises:
        PreparationError: It is.
    """
    if not has_pymatting():
        raise PreparationError('matte: pymatting is not installed; run `pip install "gainer-ns[matte]"`')


@cache
def _pymatting() -> ModuleType:
    """Import pymatting, which takes seconds, and once after it was installed a minute or two: numba compiles it."""
    check_pymatting()
    logger.info("Loading pymatting (a minute or two the first time, when it is compiled)")
    import pymatting  # pyright: ignore[reportMissingImports]

    return pymatting


def band_width(width: int, height: int) -> int:
    """Return how far to either side of a mask's edge the soft edge may reach, in pixels, in a picture of a size."""
    return max(_MIN_BAND_PX, round(max(width, height) * _BAND_SHARE))


def estimate_alpha(
    colours: Float[np.ndarray, "h w 3"], mask: Float[np.ndarray, "h w"], width: int | None = None
) -> Float[np.ndarray, "h w"]:
    """Find how much of each pixel along a mask's edge is the object.

    Farther than ``width`` from where the mask passes 0.5 it is kept as it is. What is thinner than that keeps its
    middle. A mask whose grays reach beyond is taken for painted softly, and its grays count within, too. Memory and
    time grow with the edge's length, not with the picture.

    Args:
        colours: In [0, 1], as stored.
        mask: In [0, 1].
        width: In pixels; None for :func:`band_width`.

    Returns:
        Alpha, float32 in [0, 1].

    Raises:
        PreparationError: pymatting is not installed.
        ValueError: The mask is of another size.
    """
    if mask.shape != colours.shape[:2]:
        raise ValueError(f"a mask of {mask.shape} does not fit a picture of {colours.shape}")
    _pymatting()
    start = np.where(mask <= _KNOWN, 0.0, np.where(mask >= 1 - _KNOWN, 1.0, mask)).astype(np.float32)
    width = band_width(*mask.shape[::-1]) if width is None else width
    band = _band(start >= 0.5, width)
    gray = (start > 0) & (start < 1)
    is_painted = bool(gray.any()) and np.count_nonzero(gray & ~band) > _BROAD_SHARE * np.count_nonzero(gray)
    alpha = _solved_by_tiles(colours, start, band, is_painted)
    if not is_painted:  # where the picture has decided, it is taken at its word: a mask that is off lies off the middle
        sure = np.where(alpha <= _SURE, 0.0, np.where(alpha >= 1 - _SURE, 1.0, alpha)).astype(np.float32)
        alpha = _solved_by_tiles(colours, sure, band & _grown((sure > 0) & (sure < 1), 1), is_painted)
    alpha[alpha <= _KNOWN], alpha[alpha >= 1 - _KNOWN] = 0.0, 1.0
    return alpha


def estimate_colours(colours: Float[np.ndarray, "h w 3"], alpha: Float[np.ndarray, "h w"]) -> CutOutColours:
    """Take the colours along a soft edge apart: those of the object, and those of what is behind it.

    Args:
        colours: In [0, 1], as stored.
        alpha: How much of each pixel is the object.

    Raises:
        PreparationError: pymatting is not installed.
    """
    front, back = np.array(colours, np.float32), np.array(colours, np.float32)
    soft = (alpha > 0) & (alpha < 1)
    near = _grown(soft, _COLOUR_MARGIN_PX)
    taken = _grown(alpha > 0, _REMAINS_PX)
    for around, inner, core in _tiles(near):
        picture, share = colours[around].astype(np.float64), alpha[around].astype(np.float64)
        one = _composed(picture, share, *_estimate(picture, share))
        _, other = _estimate(picture, taken[around].astype(np.float64))
        front[core] = np.where(near[core][..., None] & (alpha[core] < 1)[..., None], one[inner], front[core])
        back[core] = np.where((near & taken)[core][..., None], other[inner].clip(0, 1), back[core])
    return CutOutColours(front, back)


def _estimate(picture: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the colours of both sides of a tile, as smooth as they can be."""
    return _pymatting().estimate_foreground_ml(picture, alpha, return_background=True, **_COLOUR_STEPS)


def _composed(picture: np.ndarray, alpha: np.ndarray, front: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Return the nearest colours of the object with which both sides make up the picture; clamped to [0, 1]."""
    share = alpha[..., None]
    missing = (picture - share * front - (1 - share) * back) / (share**2 + (1 - share) ** 2)
    return (front + share * missing).clip(0, 1)


def _grown(where: Bool[np.ndarray, "h w"], by_px: int) -> Bool[np.ndarray, "h w"]:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by_px + 1,) * 2)
    return cv2.dilate(where.astype(np.uint8), disc) > 0


def _band(inside: Bool[np.ndarray, "h w"], width: int) -> Bool[np.ndarray, "h w"]:
    """Return the pixels within a width of a mask's edge, but those in the middle of what is thinner than that."""
    window = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    band = np.zeros(inside.shape, bool)
    for side in (inside, ~inside):
        if not side.any() or side.all():
            continue
        depth = cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        band |= side & (depth <= width) & (depth < cv2.dilate(depth, window) - 1e-4)
    return band


def _tiles(
    where: Bool[np.ndarray, "h w"],
) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice], tuple[slice, slice]]]:
    """Yield tiles that together hold all pixels in question: with what surrounds them, and in that, without it."""
    if not where.any():
        return
    rows, columns = (np.flatnonzero(where.any(axis=axis)) for axis in (1, 0))
    for top in range(int(rows[0]), int(rows[-1]) + 1, _TILE_PX):
        for left in range(int(columns[0]), int(columns[-1]) + 1, _TILE_PX):
            bottom, right = min(top + _TILE_PX, int(rows[-1]) + 1), min(left + _TILE_PX, int(columns[-1]) + 1)
            if not where[top:bottom, left:right].any():
                continue
            y, x = max(0, top - _HALO_PX), max(0, left - _HALO_PX)
            yield (
                (slice(y, bottom + _HALO_PX), slice(x, right + _HALO_PX)),
                (slice(top - y, bottom - y), slice(left - x, right - x)),
                (slice(top, bottom), slice(left, right)),
            )


def _solved_by_tiles(colours: np.ndarray, start: np.ndarray, band: np.ndarray, is_painted: bool) -> np.ndarray:
    """Return alpha as it was but in a band, where it is solved."""
    alpha = start.copy()
    for around, inner, core in _tiles(band):
        solved = _solved(np.ascontiguousarray(colours[around]), start[around], band[around], is_painted)
        alpha[core] = np.where(band[core], solved[inner], alpha[core])
    return alpha


def _solved(colours: np.ndarray, start: np.ndarray, band: np.ndarray, is_painted: bool) -> np.ndarray:
    """Return the alpha of a tile: the minimum of the matting Laplacian's energy, and of what is known beside it."""
    from scipy import sparse
    from scipy.sparse import linalg

    if min(start.shape) < 3 or not band.any():  # The Laplacian is made of windows of three pixels.
        return start
    laplacian = _pymatting().cf_laplacian(colours.astype(np.float64), epsilon=_SMOOTHNESS, is_known=~band)
    unknown, known = np.flatnonzero(band), np.flatnonzero(~band)
    rows, values = laplacian[unknown], start.ravel().astype(np.float64)
    expected, weight = values[unknown], np.full(len(unknown), _PAINTED_WEIGHT if is_painted else _LEAST_WEIGHT)
    if not is_painted:
        told, certainty = _told_by_colours(colours, start, band)
        weight = np.maximum(_PRIOR_WEIGHT * certainty, _LEAST_WEIGHT)
        expected = np.where(certainty > 0, told, expected)
    system = (rows[:, unknown] + sparse.diags(weight)).tocsc()
    solution = np.asarray(linalg.spsolve(system, weight * expected - rows[:, known] @ values[known]))
    result = start.copy()
    result[band] = solution.clip(0, 1)
    return result


def _told_by_colours(colours: np.ndarray, start: np.ndarray, band: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare each pixel of the band with its nearest likes of either side.

    Returns:
        On which side it is, and how certain that is, from 0 to 1; both [m].
    """
    from scipy.spatial import KDTree

    near = _grown(band, _SAMPLE_REACH_PX) & ~band
    row, column = np.indices(band.shape, np.float32)
    features = np.dstack([colours, _SAMPLE_PIXEL * row, _SAMPLE_PIXEL * column])
    asked, distances = features[band], []
    for side in (near & (start == 1), near & (start == 0)):
        samples = features[side]
        if len(samples) < _SAMPLES:
            return np.zeros(len(asked)), np.zeros(len(asked))
        distances.append(np.square(KDTree(samples).query(asked, k=_SAMPLES)[0]).mean(axis=1))
    share = distances[1] / (distances[0] + distances[1] + 1e-6)
    return (2 * share - 0.5).clip(0, 1), np.abs(2 * share - 1)
