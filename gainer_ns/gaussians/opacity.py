"""Extrapolate opacity beyond 0 and 1, so that an edge stays crisp wherever it is read and however it is enlarged."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

OPACITY_MARGIN_PX = 3.0
"""How far around visible pixels there are Gaussians, in pixels: the first of them are read at the edge."""
_MAX_RAMP_PX = 3.0
"""From how many pixels beyond an edge on the extrapolated opacity changes no further."""
OPACITY_OVERSHOOT = 1 / 256
"""How far below 0 what is clear lies at least, and above 1 what is solid: nearly met, they still are exactly that."""
OUTSIDE_FALL = 0.25
"""How fast, beyond the ramp, it falls outside: where no Gaussian is, the outermost ones are read."""
_INSIDE_RISE = 0.25
"""How fast it rises inside of a faint edge at least; or it would dip below 1 where the ramp of a steep one is near."""


def opacity_field(opacity: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Extrapolate opacity, so that its clamp to [0, 1] is the opacity itself.

    Averages of plain opacities would dent what is solid and leave a veil around it. So where opacity is 0 or 1, the
    field goes on below 0, or above 1, with the distance from the nearest pixel that is not, as steeply as opacity
    changes at most nearby: by 1 a pixel at an edge between 0 and 1. Some pixels inside, it is as high beyond all edges.
    """
    alpha = opacity.cpu().double().numpy()
    (outside, distance), (inside, depth) = _beyond(alpha), _beyond(1 - alpha)
    inside = np.maximum(inside, (_INSIDE_RISE * np.maximum(depth - 1, 0) ** 2).clip(max=_MAX_RAMP_PX - 1))
    fall = OUTSIDE_FALL * (np.clip(distance, 1, _MAX_RAMP_PX) - 1) ** 2
    field = np.where(
        alpha <= 0, -OPACITY_OVERSHOOT - outside - fall, np.where(alpha >= 1, 1 + OPACITY_OVERSHOOT + inside, alpha)
    )
    return torch.from_numpy(field).to(opacity)


def _beyond(alpha: Float[np.ndarray, "h w"]) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Return how far the ramp that ends where alpha is 0 would have gone on, in alpha, and how far from its end."""
    clear = alpha <= 0
    if clear.all() or not clear.any():
        return np.full_like(alpha, _MAX_RAMP_PX), np.full_like(alpha, _MAX_RAMP_PX)
    from scipy import ndimage  # here and below: what is drawn without a fit does without it

    found: Any = ndimage.distance_transform_edt(clear, return_indices=True)
    distance, (row, column) = found
    size = 2 * math.ceil(_MAX_RAMP_PX) + 1
    steepness = ndimage.uniform_filter(ndimage.maximum_filter(alpha, size)[row, column], 3)
    return steepness * (np.clip(distance, 1, _MAX_RAMP_PX) - 1), distance


def near_visible_pixels(opacity: Float[Tensor, "h w"], margin: float = OPACITY_MARGIN_PX) -> Tensor:
    """Return a boolean mask [h, w] of the pixels within a margin (in pixels) of a visible one."""
    distance = _distance((opacity <= 0).cpu().numpy())
    return torch.from_numpy(distance <= margin).to(opacity.device)


def supporting_pixels(opacity: Float[Tensor, "h w"], spacing_px: float) -> Tensor:
    """Return a boolean mask [h, w] of the pixels that get Gaussians, so far apart, since visible pixels read them."""
    return near_visible_pixels(opacity, OPACITY_MARGIN_PX * max(1.0, spacing_px))


def nearest_visible_pixel(opacity: Float[Tensor, "h w"]) -> Int[Tensor, "h w"]:
    """Return the row-major index of the visible pixel that is nearest to each pixel."""
    nothing = (opacity <= 0).cpu().numpy()
    row, column = _nearest(nothing)
    return torch.from_numpy(row * nothing.shape[1] + column).to(opacity.device)


def _distance(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Return each pixel's distance from the nearest pixel outside of a mask; 0 outside."""
    from scipy import ndimage

    return np.asarray(ndimage.distance_transform_edt(mask))


def _nearest(mask: Bool[np.ndarray, "h w"]) -> Int[np.ndarray, "2 h w"]:
    """Return row and column of the pixel outside of a mask that is nearest to each pixel."""
    from scipy import ndimage

    found = ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True)
    return np.asarray(found, np.int64)
