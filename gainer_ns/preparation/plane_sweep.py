"""Depth of a posed photo from others of the same scene: a plane sweep, smoothed by semi-global matching."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
import warp as wp
from jaxtyping import Float

from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.preparation.agreement import agreement
from gainer_ns.preparation.posed_photo import PosedPhoto
from gainer_ns.preparation.semi_global_kernels import smooth_along_lines_kernel

WINDOW_PX = 7
"""Side of the window in which photos are compared."""
PLANE_STEP_PX = 0.8
"""How far neighbouring planes are apart in the other photos, at most."""
MIN_PLANES, MAX_PLANES = 48, 160
"""How many planes are swept."""
NEXT_PLANE_COST, OTHER_PLANE_COST = 0.06, 0.6
"""What it costs where depth changes by a plane, and where it jumps."""
EDGE_SHADE_STEP = 0.05
"""Difference in shade at which a jump costs half."""
MAX_ZNCC_COST, MAX_COLOUR_COST = 0.6, 0.2
"""Costs beyond which photos are just different."""
OUTSIDE_COST = 0.75
"""Cost where another photo does not show a place."""
MEDIAN_PX = 5
"""Side of the window whose median takes out single wrong pixels."""
MAX_SWEPT_PX = 1024
"""Longer side of photos as they are swept; larger ones are reduced."""
COARSE_PX = 160
"""Longer side of photos in which it is looked how near and far the scene goes."""
_COARSE_TOLERANCE = 0.1
"""Difference in depth up to which photos agree, there."""
_RANGE_MARGINS = 0.75, 1.15
"""By what the least and the largest inverse depth are multiplied that are found there."""
_FEW_SHARE = 0.02
"""Where less of a photo agrees with others, they do not overlap."""
_LINES = [step for step in itertools.product((-1, 0, 1), repeat=2) if step != (0, 0)]


class NoOverlap(ValueError):
    """What is raised where a photo shows nothing that others show; ``number`` is that of the photo."""

    def __init__(self, number: int) -> None:
        super().__init__(f"photo {number}")
        self.number = number


def swept_inverse_depths(
    photos: Sequence[PosedPhoto], progress: Callable[[float], None] = lambda share: None
) -> list[Float[np.ndarray, "h w"]]:
    """Return inverse depths of photos of one scene, each from those that were taken near to it.

    Args:
        photos: With poses.
        progress: Called with the share that is done.

    Raises:
        NoOverlap: A photo shows nothing that others show.
    """
    small = [photo.reduced(MAX_SWEPT_PX) for photo in photos]
    compared = 2 if len(photos) < 6 else 4
    found = []
    for number, (photo, bounds) in enumerate(zip(small, inverse_ranges(photos), strict=True)):
        others = [small[other] for other in photo.nearest(small, compared)]
        inverse = swept_inverse_depth(photo, others, bounds)
        size = photos[number].camera.width, photos[number].camera.height
        found.append(cv2.resize(inverse, size, interpolation=cv2.INTER_NEAREST))
        progress((number + 1) / len(photos))
    return found


def inverse_ranges(photos: Sequence[PosedPhoto]) -> list[tuple[float, float]]:
    """Return between which inverse depths each photo's scene lies, by a sweep of all depths over small photos.

    Raises:
        NoOverlap: A photo shows nothing that others show.
    """
    small = [photo.reduced(COARSE_PX) for photo in photos]
    inverses = []
    for number, photo in enumerate(small):
        others = [small[other] for other in photo.nearest(small, 2)]
        if not others:
            raise NoOverlap(number)
        nearest = min(photo.apart(other) for other in others)
        inverses.append(
            swept_inverse_depth(photo, others, (0.0, photo.camera.width / photo.camera.focal_length[0] / nearest))
        )
    bounds = []
    for number, (inverse, (agreeing, _)) in enumerate(
        zip(inverses, agreement(small, inverses, _COARSE_TOLERANCE), strict=True)
    ):
        true = inverse[(agreeing > 0) & (inverse > 0)]
        if len(true) < _FEW_SHARE * inverse.size:
            raise NoOverlap(number)
        low, high = np.quantile(true, [0.005, 0.995])
        bounds.append((float(low * _RANGE_MARGINS[0]), float(high * _RANGE_MARGINS[1])))
    return bounds


def swept_inverse_depth(
    photo: PosedPhoto, others: Sequence[PosedPhoto], inverse_range: tuple[float, float]
) -> Float[np.ndarray, "h w"]:
    """Return the inverse depth at which other photos show what a photo shows.

    Args:
        photo: Whose depth is wanted.
        others: What it is compared with; where some do not show a place, the better half of them decides.
        inverse_range: Of inverse depths along the axis, the farthest first.

    Source:
        Collins, A space-sweep approach to true multi-image matching, 1996; Hirschmueller, Stereo processing by
        semi-global matching and mutual information, 2008.
    """
    inverse = np.linspace(*inverse_range, planes_for(photo, others, inverse_range))
    total = smoothed_costs(matching_costs(photo, others, inverse), photo.shades)
    best = total.argmin(axis=2).clip(1, len(inverse) - 2)
    below, least, above = (np.take_along_axis(total, (best + k)[..., None], 2)[..., 0] for k in (-1, 0, 1))
    bend = below - 2 * least + above
    shift = np.where(bend > 1e-6, 0.5 * (below - above) / np.maximum(bend, 1e-6), 0.0).clip(-0.5, 0.5)
    found = inverse[0] + (best + shift) * (inverse[1] - inverse[0])
    return cv2.medianBlur(found.astype(np.float32), MEDIAN_PX)


def planes_for(photo: PosedPhoto, others: Sequence[PosedPhoto], inverse_range: tuple[float, float]) -> int:
    """Return how many planes it takes for neighbouring ones to be close to each other in all other photos."""
    apart = max(photo.apart(other) for other in others)
    pixels = (inverse_range[1] - inverse_range[0]) * apart * max(photo.camera.focal_length)
    return int(np.clip(np.ceil(pixels / PLANE_STEP_PX), MIN_PLANES, MAX_PLANES))


def matching_costs(
    photo: PosedPhoto, others: Sequence[PosedPhoto], inverse: Float[np.ndarray, " planes"]
) -> Float[np.ndarray, "h w planes"]:
    """Return how unlike the photos are on each plane: zero-mean normalised cross-correlation, and colour."""
    height, width = photo.colours.shape[:2]
    shades = photo.shades
    mean = _box(shades)
    spread = np.maximum(_box(shades * shades) - mean * mean, 1e-5)
    back, ways = np.linalg.inv(photo.intrinsics), [other.from_other(photo) for other in others]
    costs = np.empty((height, width, len(inverse)), np.float32)
    kept = (len(others) + 1) // 2
    for number, each in enumerate(inverse):
        found = []
        for other, way in zip(others, ways, strict=True):
            plane = other.intrinsics @ (way[:3, :3] + np.outer(way[:3, 3], [0, 0, each])) @ back
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            seen = cv2.warpPerspective(
                other.colours,
                plane,
                (width, height),
                flags=flags,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=(-1,) * 3,
            )
            there = cv2.cvtColor(np.maximum(seen, 0), cv2.COLOR_RGB2GRAY)
            its_mean = _box(there)
            its_spread = np.maximum(_box(there * there) - its_mean * its_mean, 1e-5)
            alike = (_box(shades * there) - mean * its_mean) / np.sqrt(spread * its_spread)
            colour = cv2.boxFilter(np.abs(seen - photo.colours).mean(axis=2), -1, (3, 3))
            cost = np.minimum(0.5 * (1 - alike), MAX_ZNCC_COST) + 1.5 * np.minimum(colour, MAX_COLOUR_COST)
            found.append(np.where(seen[..., 0] >= 0, cost, OUTSIDE_COST))
        costs[..., number] = np.sort(np.stack(found), axis=0)[:kept].mean(axis=0)
    return costs


def smoothed_costs(
    costs: Float[np.ndarray, "h w planes"], shades: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w planes"]:
    """Return costs smoothed along eight lines through each pixel, across which depth may jump where shades do."""
    height, width, planes = costs.shape
    kernels.start_warp()
    total = torch.zeros(costs.shape)
    scratch = torch.empty(2, height + width, planes)
    arrays = [Typed(torch.from_numpy(np.ascontiguousarray(each)), wp.float32) for each in (costs, shades)]
    for row, column in _LINES:
        lines = width * (row != 0) + height * (column != 0) - (row != 0 and column != 0)
        numbers = [NEXT_PLANE_COST, OTHER_PLANE_COST, EDGE_SHADE_STEP]
        outputs = [Typed(scratch, wp.float32), Typed(total, wp.float32)]
        kernels.launch(
            smooth_along_lines_kernel(), lines, [row, column, *arrays, *numbers, *outputs], total.device, grain=64
        )
    return total.numpy()


def _box(values: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    return cv2.boxFilter(values, -1, (WINDOW_PX, WINDOW_PX))
