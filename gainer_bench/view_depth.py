"""Depth for views of scenes that come without: from sparse points, or from other views of the same thing.

Neither competes with a depth network or a stereo method. They are fixed inputs, the same for every method that is
compared, and need nothing but the scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import ndimage
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator

from gainer_bench.views import Intrinsics, composite
from gainer_ns.frames import PinholeCamera
from gainer_ns.preparation.plane_sweep import swept_inverse_depth
from gainer_ns.preparation.posed_photo import PosedPhoto

SMOOTHING_PX = 1.5
"""Standard deviation, in px, of the blur that takes the creases out of interpolated inverse depth."""
_OPENCV_AXES = np.diag([1.0, -1.0, -1.0, 1.0])


class PosedView(NamedTuple):
    """A view of a scene."""

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
    view: PosedView, others: Sequence[PosedView], near: float, far: float
) -> Float[np.ndarray, "h w"]:
    """Return depth of a cut-out by the sweep that joined scenes take; 0 where its alpha is 0.

    Args:
        view: Whose depth is sought.
        others: Other views.
        near: Nearest depth.
        far: Farthest depth.
    """
    shown = view.alpha > 0
    if not shown.any():
        return np.zeros(shown.shape, np.float32)
    inverse = swept_inverse_depth(_on_white(view), [_on_white(one) for one in others], (1 / far, 1 / near))
    return np.where(shown, 1 / inverse, 0).astype(np.float32)


def _on_white(view: PosedView) -> PosedPhoto:
    colours = composite(view.colours, view.alpha, 1.0).astype(np.float32)
    height, width = view.alpha.shape
    camera = PinholeCamera(width, height, (view.K.fx, view.K.fy), (view.K.cx, view.K.cy))
    return PosedPhoto(colours, camera, np.linalg.inv(view.T) @ _OPENCV_AXES)
