"""Depth where none is known, continued from the farther side: what depth cameras do not see lies behind something."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import label
from torch import Tensor

from gainer_ns.lifting.harmonic import harmonic
from gainer_ns.lifting.surface import offsets, shifted

MAX_UNKNOWN_SHARE = 0.1
"""Share of a photo above which a part of unknown depth, a sky perhaps, is left unknown."""
_SAME_SIDE = 1.15
"""Inverse depths within this ratio of the farther side's are that side."""


def with_unknown_depth(depth: Float[Tensor, "h w"], part: Bool[Tensor, "h w"] | None = None) -> Float[Tensor, "h w"]:
    """Return depth with its gaps filled.

    Args:
        depth: Along the camera's axis; 0 where it is unknown.
        part: Where gaps are looked at, and filled from; None for everywhere.
    """
    inside = torch.ones_like(depth, dtype=torch.bool) if part is None else part
    known = (depth > 0) & inside
    gaps = _small_parts(inside & ~known)
    if not bool(gaps.any()) or not bool(known.any()):
        return depth
    inverse = torch.where(known, 1 / depth.double().clamp(min=1e-30), torch.inf)
    sides = [_carried(inverse, gaps, axis, backwards=backwards) for axis in (0, 1) for backwards in (False, True)]
    farther = torch.where(gaps, torch.stack(sides).amin(dim=0), 0.0)
    # A known pixel tells a gap beside it how deep it is if it is of the side that is behind.
    behind = torch.zeros_like(known)
    for row, column in offsets(1):
        behind |= known & (inverse <= _SAME_SIDE * shifted(farther, row, column))
    if not bool(behind.any()):
        return depth
    filled = depth.clone()
    filled[gaps] = (1 / harmonic(inverse[..., None].nan_to_num(posinf=0.0), gaps, behind)[:, 0]).to(depth)
    return filled


def _small_parts(unknown: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    labels, _ = cast(Any, label(unknown.numpy()))
    return unknown & torch.from_numpy((np.bincount(labels.ravel()) <= MAX_UNKNOWN_SHARE * labels.size)[labels])


def _carried(
    inverse: Float[Tensor, "h w"], gaps: Bool[Tensor, "h w"], axis: int, *, backwards: bool
) -> Float[Tensor, "h w"]:
    """Return what each gap ends with before it along an axis; infinite where that is the frame, or not known."""
    if backwards:
        return _carried(inverse.flip(axis), gaps.flip(axis), axis, backwards=False).flip(axis)
    index = torch.arange(inverse.shape[axis]).view((-1, 1) if axis == 0 else (1, -1))
    last = torch.where(gaps, -1, index).cummax(dim=axis).values
    return torch.where(last >= 0, inverse.gather(axis, last.clamp(min=0)), torch.inf)
