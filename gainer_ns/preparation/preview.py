"""A look at what was prepared of a photo: its mask and its depth side by side."""

from __future__ import annotations

import cv2
import numpy as np

_PANEL_SIDE = 800
"""Longest side of each half, in pixels."""
_GAP = 8
"""Between the halves, in pixels."""
_OUTLINE = (1.0, 0.8, 0.0)
_UNKNOWN = (0.25, 0.25, 0.25)


def preview(colours: np.ndarray, mask: np.ndarray | None, depth: np.ndarray | None) -> np.ndarray:
    """Draw the photo, dimmed outside of the mask, which is outlined; and beside it the depth, near bright and far dark.

    Args:
        colours: Floats [h, w, 3] in [0, 1].
        mask: Floats [h, w] in [0, 1], or None for the whole picture.
        depth: Floats [h, w], 0 where unknown: those pixels are grey. None: only the photo is shown.

    Returns:
        float32 [h', w', 3] in [0, 1]; each half is reduced to at most ``_PANEL_SIDE`` pixels.
    """
    panels = [_masked(_reduced(colours), None if mask is None else _reduced(mask))]
    if depth is not None:
        panels.append(_inverse_depth(_reduced(depth, cv2.INTER_NEAREST)))
    gap = np.ones((len(panels[0]), _GAP, 3), np.float32)
    return np.concatenate([panel for shown in panels for panel in (gap, shown)][1:], axis=1)


def _reduced(values: np.ndarray, interpolation: int = cv2.INTER_AREA) -> np.ndarray:
    height, width = values.shape[:2]
    scale = min(1.0, _PANEL_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(values.astype(np.float32), size, interpolation=interpolation)


def _masked(colours: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    if mask is None:
        return colours
    grey = colours.mean(axis=2, keepdims=True)
    shown = colours * mask[..., None] + 0.35 * grey * (1 - mask[..., None])
    inside = (mask > 0.5).astype(np.uint8)
    shown[cv2.dilate(inside, np.ones((3, 3), np.uint8)) > inside] = _OUTLINE
    return shown


def _inverse_depth(depth: np.ndarray) -> np.ndarray:
    """Return colours of inverse depth, stretched from its 2nd to its 98th percentile."""
    from matplotlib import colormaps

    known = depth > 0
    inverse = np.divide(1.0, depth, out=np.zeros(depth.shape), where=known, dtype=np.float64)
    low, high = np.percentile(inverse[known], (2, 98)) if known.any() else (0.0, 1.0)
    shown = colormaps["inferno"]((inverse - low) / max(high - low, 1e-12))[..., :3].astype(np.float32)
    shown[~known] = _UNKNOWN
    return shown
