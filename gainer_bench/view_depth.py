"""Depth for views of scenes that come without: from sparse points, or from other views of the same thing.

Neither competes with a depth network or a stereo method. They are fixed inputs, the same for every method that is
compared, and need nothing but the scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float
from scipy import ndimage
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator

from gainer_bench.views import Intrinsics, composite, moved

SMOOTHING_PX = 1.5
"""Standard deviation, in px, of the blur that takes the creases out of interpolated inverse depth."""
COST_WINDOW_PX = 7
"""Width in px of the window over which a plane sweep averages its costs."""
MAX_COLOUR_COST = 0.15
"""Mean colour difference at which a plane sweep's cost stops to grow: what is hidden must not outvote what is seen."""
PLANE_STEP_PX = 0.5
"""How far, in px, two neighbouring planes of a sweep are apart at most, in the other view where that is least."""
MEDIAN_PX = 5
"""Width in px of the median filter over swept depth."""


class PosedView(NamedTuple):
    """Another view of the same scene."""

    colours: Float[np.ndarray, "h w 3"]  # [h, w, 3]
    alpha: Float[np.ndarray, "h w"]  # [h, w]
    K: Intrinsics  # its camera
    T: Float[np.ndarray, "4 4"]  # 4x4, takes points from the frame of the view whose depth is sought to this one's


def depth_of_sparse_points(
    pixels: Float[np.ndarray, "n 2"], depth: Float[np.ndarray, " n"], width: int, height: int
) -> Float[np.ndarray, "h w"]:
    """Return depth between known points: inverse depth, linear over their Delaunay triangles, lightly smoothed.

    Outside the points' convex hull the nearest point decides.
    """
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    inverse = LinearNDInterpolator(pixels, 1 / depth)(x, y)
    inverse = np.where(np.isnan(inverse), NearestNDInterpolator(pixels, 1 / depth)(x, y), inverse)
    return (1 / ndimage.gaussian_filter(inverse, SMOOTHING_PX, mode="nearest")).astype(np.float32)


def plane_sweep_depth(
    colours: Float[np.ndarray, "h w 3"],
    alpha: Float[np.ndarray, "h w"],
    K: Intrinsics,
    others: Sequence[PosedView],
    near: float,
    far: float,
) -> Float[np.ndarray, "h w"]:
    """Return depth of a cut-out: for each pixel the plane on which the other views show the most similar colours.

    Planes are evenly spaced in inverse depth. Costs are averaged over a window inside the silhouette, the view that
    fits best decides, so that one in which the pixel is hidden does no harm, and a parabola through three costs places
    the depth between planes. A median takes out what is left of noise.

    Args:
        colours: Of the view whose depth is sought, [h, w, 3].
        alpha: Its alpha; the depth is 0 where that is 0.
        K: Its camera.
        others: Other views.
        near: Nearest depth.
        far: Farthest depth.

    Source:
        Collins, "A space-sweep approach to true multi-image matching", CVPR 1996.
    """
    rows, columns = (np.flatnonzero((alpha > 0).any(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        return np.zeros(alpha.shape, np.float32)
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    rays = K.rays(alpha.shape[1], alpha.shape[0])[part]
    depth = np.zeros(alpha.shape, np.float32)
    colours, alpha = colours[part], alpha[part]
    shown = alpha > 0
    own = composite(colours, alpha, 1.0).astype(np.float32)
    pictures = [np.dstack([composite(one.colours, one.alpha, 1.0), one.alpha]).astype(np.float32) for one in others]
    ends = [[one.K.project(moved(rays * depth, one.T))[shown] for depth in (near, far)] for one in others]
    farthest_apart = min(float(np.linalg.norm(a - b, axis=-1).max()) for a, b in ends)
    inverse = np.linspace(1 / far, 1 / near, max(int(np.ceil(farthest_apart / PLANE_STEP_PX)), 2) + 1)
    support = np.maximum(_box(shown.astype(np.float32)), 1e-6)
    costs = np.empty((len(inverse), *alpha.shape), np.float32)
    for cost, one in zip(costs, inverse, strict=True):
        each = [_cost(own, shown, picture, view, rays / one) for picture, view in zip(pictures, others, strict=True)]
        cost[:] = np.min([_box(single) / support for single in each], axis=0)
    best = costs.argmin(axis=0)
    middle = np.clip(best, 1, len(inverse) - 2)
    before, at, after = (np.take_along_axis(costs, (middle + k)[None], 0)[0] for k in (-1, 0, 1))
    curvature = before - 2 * at + after
    inside = (curvature > 0) & (best == middle)
    shift = np.where(inside, 0.5 * (before - after) / np.where(inside, curvature, 1.0), 0.0)
    found = inverse[0] + (best + shift) * (inverse[1] - inverse[0])
    nearest = np.asarray(ndimage.distance_transform_edt(~shown, return_distances=False, return_indices=True))
    filled = found[tuple(nearest)].astype(np.float32)  # or the median would see what is not there
    depth[part] = np.where(shown, 1 / cv2.medianBlur(filled, MEDIAN_PX), 0)
    return depth


def _cost(
    own: Float[np.ndarray, "h w 3"],
    shown: np.ndarray,
    picture: Float[np.ndarray, "h2 w2 4"],
    view: PosedView,
    points: Float[np.ndarray, "h w 3"],
) -> Float[np.ndarray, "h w"]:
    """Return how different another view looks where it sees points, up to the worst; transparent there is the worst."""
    place = (view.K.project(moved(points, view.T)) - 0.5).astype(np.float32)
    seen = cv2.remap(picture, place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    cost = np.minimum(np.abs(seen[..., :3] - own).mean(axis=-1), MAX_COLOUR_COST)
    return np.where(shown, np.where(seen[..., 3] < 0.5, MAX_COLOUR_COST, cost), 0).astype(np.float32)


def _box(values: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    return cv2.boxFilter(values, -1, (COST_WINDOW_PX, COST_WINDOW_PX), borderType=cv2.BORDER_CONSTANT)
