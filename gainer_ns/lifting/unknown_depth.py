"""Depth where none is known, continued from the farther side: what depth cameras do not see lies behind something."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import label, minimum_filter
from torch import Tensor

from gainer_ns.lifting.harmonic import harmonic
from gainer_ns.lifting.surface import offsets, shifted

_SAME_SIDE = 1.15
"""Inverse depths within this ratio of the farther side's are that side."""
_SKY_SHARE, _SKY_QUANTILE = 0.1, 0.1
"""Gaps of more than this share of a photo, skies perhaps, are all as far as this quantile of what is around them."""
_FAR_SIDE_SHARE, _MIN_FAR_SIDE_PX = 0.02, 3
"""How far around a pixel others tell that something lies farther away, as a share of the longer side, and in pixels."""


def with_unknown_depth(depth: Float[Tensor, "h w"], part: Bool[Tensor, "h w"] | None = None) -> Float[Tensor, "h w"]:
    """Return depth with its gaps filled.

    Args:
        depth: Along the camera's axis; 0 where it is unknown.
        part: Where gaps are looked at, and filled from; None for everywhere.
    """
    inside = torch.ones_like(depth, dtype=torch.bool) if part is None else part
    known = (depth > 0) & inside
    gaps = inside & ~known
    if not bool(gaps.any()) or not bool(known.any()):
        return depth
    inverse = torch.where(known, 1 / depth.double().clamp(min=1e-30), torch.inf)
    sides = [_carried(inverse, gaps, axis, backwards=backwards) for axis in (0, 1) for backwards in (False, True)]
    farther = torch.where(gaps, torch.stack(sides).amin(dim=0), 0.0)
    labels, count = cast(Any, label(gaps.numpy()))
    for number in np.flatnonzero(np.bincount(labels.ravel(), minlength=count + 1) > _SKY_SHARE * labels.size):
        sky = gaps & torch.from_numpy(labels == number)
        found = farther[sky & farther.isfinite()]
        if len(found) > 0:
            farther[sky] = float(np.quantile(found.numpy(), _SKY_QUANTILE))
    # A known pixel tells a gap beside it how deep it is if it is of the side that is behind.
    behind = torch.zeros_like(known)
    for row, column in offsets(1):
        behind |= known & (inverse <= _SAME_SIDE * shifted(farther, row, column))
    if not bool(behind.any()):
        return depth
    filled = depth.clone()
    filled[gaps] = (1 / harmonic(inverse[..., None].nan_to_num(posinf=0.0), gaps, behind)[:, 0]).to(depth)
    return filled


def of_far_side(inverse: Float[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """Return which pixels are of what lies farthest around them: it goes on where what is nearer may end anywhere.

    Args:
        inverse: Inverse depth; infinite where none is known.
    """
    window = 2 * max(_MIN_FAR_SIDE_PX, round(_FAR_SIDE_SHARE * max(inverse.shape))) + 1
    farthest = torch.from_numpy(minimum_filter(inverse.numpy(), window, mode="nearest"))
    return inverse.isfinite() & (inverse <= _SAME_SIDE * farthest)


def _carried(
    inverse: Float[Tensor, "h w"], gaps: Bool[Tensor, "h w"], axis: int, *, backwards: bool
) -> Float[Tensor, "h w"]:
    """Return what each gap ends with before it along an axis; infinite where that is the frame, or not known."""
    if backwards:
        return _carried(inverse.flip(axis), gaps.flip(axis), axis, backwards=False).flip(axis)
    index = torch.arange(inverse.shape[axis]).view((-1, 1) if axis == 0 else (1, -1))
    last = torch.where(gaps, -1, index).cummax(dim=axis).values
    return torch.where(last >= 0, inverse.gather(axis, last.clamp(min=0)), torch.inf)
