"""Draw where two pictures differ (paper, figures 6 and 11)."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from gainer_ns.errors import GainerError
from gainer_ns.metrics import ImageArray, MaskArray, as_mask, float64_pair

PAPER_GAMMA = 0.2
"""Exponent of the paper's contrast curve: an error of 1e-5 is still a tenth of white."""


def error_map(
    rendered: ImageArray,
    target: ImageArray,
    *,
    mask: MaskArray | None = None,
    maximum: float = 1.0,
    gamma: float = PAPER_GAMMA,
) -> Float[np.ndarray, "h w 3"]:
    """Return ``min(error / maximum, 1) ** gamma`` of each pixel's mean absolute error as grey [h, w, 3], float64.

    The default maximum, the distance of black from white, makes maps of several methods comparable; to stretch them,
    pass one smaller maximum to all. Nothing is clamped beforehand. Errors that are not a number are drawn white.

    Args:
        rendered: Colours [h, w, c], 0 to 1.
        target: Colours of the same shape.
        mask: True [h, w] at the pixels to show; the others are black.
        maximum: The error that is drawn white, in units of the colours.
        gamma: Exponent of the contrast curve.

    Raises:
        GainerError: The shapes differ, the mask does not fit, or maximum or gamma is not positive.
    """
    if not (maximum > 0 and gamma > 0):
        raise GainerError(f"An error map needs a positive maximum and gamma, not {maximum} and {gamma}")
    a, b = float64_pair(rendered, target)
    error = (a - b).abs().mean(dim=-1).cpu()
    shade = torch.nan_to_num(error / maximum, nan=1.0).clamp(0, 1) ** gamma
    if mask is not None:
        shade = torch.where(as_mask(mask, tuple(shade.shape)).cpu(), shade, 0.0)
    return np.repeat(shade.numpy()[..., None], 3, axis=-1)


def coloured_error_map(
    rendered: ImageArray, target: ImageArray, *, colormap: str = "inferno", **options: Any
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw :func:`error_map`, whose options it takes, with one of matplotlib's colormaps, as 8-bit colours.

    Raises:
        GainerError: As in :func:`error_map`; or matplotlib is missing or does not know the colormap.
    """
    try:
        from matplotlib import colormaps
    except ImportError as error:
        raise GainerError("A coloured error map needs matplotlib: pip install matplotlib") from error
    if colormap not in colormaps:
        raise GainerError(f"matplotlib has no colormap {colormap!r}: inferno, viridis and gray are three that it has")
    return colormaps[colormap](error_map(rendered, target, **options)[..., 0], bytes=True)[..., :3]
