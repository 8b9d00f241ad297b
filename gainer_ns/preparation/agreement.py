"""How far the depths of several posed photos agree, and depth where they do not."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float

from gainer_ns.preparation.posed_photo import PosedPhoto

TOLERANCE = 0.03
"""Depths that differ by this share agree."""
MAX_COMPARED = 8
"""With how many others a photo is compared."""
_SCALES = [10 ** (step / 8) for step in range(-28, 29)]
"""By which it is tried to multiply depths, so close to each other that photos match nearly at one of them."""
_ENOUGH_PHOTOS = 6
"""About how many photos it is tried with."""
_FAR_BETTER, _MAX_MISS, _COARSE_PX = 0.75, 0.2, 160
"""A scale is better if colours miss less than by this share of before; misses that count alike, and pixels a side."""
_GUIDE_RADIUS_PX, _GUIDE_STEP = 9, 0.03
"""Window, and difference of shades, over which depth that nothing agrees with is smoothed."""


def agreement(
    photos: Sequence[PosedPhoto], inverse_depths: Sequence[Float[np.ndarray, "h w"]], tolerance: float = TOLERANCE
) -> list[tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]]:
    """Return for the pixels of each photo how many others agree with their depth, and how many could.

    Args:
        photos: With poses.
        inverse_depths: Of each; 0 where unknown.
        tolerance: Difference of depths up to which they agree.
    """
    counts = []
    for photo, inverse in zip(photos, inverse_depths, strict=True):
        agreeing, seen = np.zeros(inverse.shape, np.float32), np.zeros(inverse.shape, np.float32)
        for number in photo.nearest(photos, MAX_COMPARED):
            place, depth = _seen_by(photos[number], photo, inverse)
            there = inverse_depths[number].astype(np.float32)
            found = cv2.remap(there, place[..., 0], place[..., 1], cv2.INTER_NEAREST, borderValue=(0.0,))
            agreeing += (found > 0) & (np.abs(found * depth - 1) < tolerance)
            seen += found > 0
        counts.append((agreeing, seen))
    return counts


def better_scale(photos: Sequence[PosedPhoto], inverse_depths: Sequence[Float[np.ndarray, "h w"]]) -> float:
    """Return by what depths have to be multiplied for photos to show the same: 1 unless another scale is far better.

    That depths agree with each other does not tell: however far photos are moved away together, they agree.
    """
    small = [photo.reduced(_COARSE_PX) for photo in photos]
    sizes = [(photo.camera.width, photo.camera.height) for photo in small]
    coarse = [
        cv2.resize(inverse.astype(np.float32), size, interpolation=cv2.INTER_NEAREST)
        for inverse, size in zip(inverse_depths, sizes, strict=True)
    ]

    def misses(scale: float) -> float:
        found = []
        for photo, inverse in list(zip(small, coarse, strict=True))[:: max(1, len(small) // _ENOUGH_PHOTOS)]:
            for number in photo.nearest(small, 2):
                place, _ = _seen_by(small[number], photo, inverse / scale)
                colours = cv2.remap(
                    small[number].colours, place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderValue=(9.0,) * 3
                )
                found.append(np.abs(colours - photo.colours).mean(axis=2).clip(max=_MAX_MISS)[inverse > 0].mean())
        return float(np.mean(found)) if found else 0.0

    as_said = misses(1.0)
    miss, best = min((misses(scale), scale) for scale in _SCALES)
    return best if miss < _FAR_BETTER * as_said else 1.0


def _seen_by(
    other: PosedPhoto, photo: PosedPhoto, inverse: Float[np.ndarray, "h w"]
) -> tuple[Float[np.ndarray, "h w 2"], Float[np.ndarray, "h w"]]:
    """Return where another photo shows what a photo's pixels show, in OpenCV's coordinates, and how deep there."""
    way = other.from_other(photo)
    moved = (photo.rays / np.where(inverse > 0, inverse, np.inf)[..., None]) @ way[:3, :3].T + way[:3, 3]
    depth = moved[..., 2]
    ahead = (inverse > 0) & (depth > 0)
    place = (moved @ other.intrinsics.T)[..., :2] / np.where(ahead, depth, 1.0)[..., None]
    return np.where(ahead[..., None], place, -2.0).astype(np.float32), depth


def confidence(
    agreeing: Float[np.ndarray, "h w"], seen: Float[np.ndarray, "h w"], unseen: float = 0.5
) -> Float[np.ndarray, "h w"]:
    """Return which share of those that could do agree, and a number where no other photo shows anything."""
    return np.where(seen > 0, agreeing / np.maximum(seen, 1), np.float32(unseen)).astype(np.float32)


def guided(
    inverse: Float[np.ndarray, "h w"], trusted: Float[np.ndarray, "h w"], shades: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """Return inverse depth, where it is not trusted that of trusted pixels around, linear in the photo's shades.

    Source:
        He et al., Guided image filtering, 2010.
    """
    shades, inverse = shades.astype(np.float64), inverse.astype(np.float64)
    weight = np.where(trusted, 1.0, 0.05)
    total = _box(weight)
    mean, depth = _box(shades * weight) / total, _box(inverse * weight) / total
    slope = (_box(shades * inverse * weight) / total - mean * depth) / (
        _box(shades * shades * weight) / total - mean * mean + _GUIDE_STEP**2
    )
    smooth = _box(slope) * shades + _box(depth - slope * mean)
    low, high = inverse[inverse > 0].min(initial=np.inf), inverse.max()
    return np.where(trusted, inverse, smooth.clip(min(low, high), high)).astype(np.float32)


def _box(values: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    return cv2.boxFilter(values, -1, (2 * _GUIDE_RADIUS_PX + 1,) * 2)
