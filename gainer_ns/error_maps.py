"""Where two pictures differ, as a picture: the paper's figures 6 and 11."""

import numpy as np
import torch
from jaxtyping import Float, UInt8

from gainer_ns.errors import GainerError
from gainer_ns.metrics import ImageArray, MaskArray, as_mask, float64_pair

PAPER_GAMMA = 0.2
"""Exponent of the contrast curve, from the captions of figures 6 and 11: an error of 1e-5 is still a tenth of white."""


def error_map(
    rendered: ImageArray,
    target: ImageArray,
    *,
    mask: MaskArray | None = None,
    maximum: float = 1.0,
    gamma: float = PAPER_GAMMA,
) -> Float[np.ndarray, "h w 3"]:
    """Absolute error of each pixel, mean over its channels, as a shade of grey.

    The shade is ``min(error / maximum, 1) ** gamma``. The default maximum, the distance of black from white, makes maps
    of several methods comparable; to stretch them, pass one smaller maximum to all. Nothing is clamped beforehand.

    Args:
        rendered: Colours [h, w, c], 0 to 1.
        target: Colours of the same shape.
        mask: True [h, w] at the pixels to show; the others are black.
        maximum: The error that is drawn white, in units of the colours.
        gamma: Exponent of the contrast curve, the paper's when not given.

    Returns:
        Grey [h, w, 3] from 0 (equal) to 1, float64. A colour that is not a number is drawn white.

    Raises:
        GainerError: The shapes differ, the mask does not fit, or maximum or gamma is not positive.

    Source:
        GaINeR, figures 6 and 11.
    """
    return np.repeat(_shade(rendered, target, mask, maximum, gamma)[..., None], 3, axis=-1)


def coloured_error_map(
    rendered: ImageArray,
    target: ImageArray,
    *,
    mask: MaskArray | None = None,
    maximum: float = 1.0,
    gamma: float = PAPER_GAMMA,
    colormap: str = "inferno",
) -> UInt8[np.ndarray, "h w 3"]:
    """The same as :func:`error_map`, drawn with one of matplotlib's colormaps.

    Args:
        rendered: Colours [h, w, c], 0 to 1.
        target: Colours of the same shape.
        mask: True [h, w] at the pixels to show; the others get the colormap's lowest colour.
        maximum: The error that is drawn with the colormap's highest colour, in units of the colours.
        gamma: Exponent of the contrast curve.
        colormap: A name that matplotlib knows.

    Returns:
        8-bit colours [h, w, 3].

    Raises:
        GainerError: As in :func:`error_map`; or matplotlib is missing or does not know the colormap.
    """
    try:
        from matplotlib import colormaps
    except ImportError as error:
        raise GainerError("A coloured error map needs matplotlib: pip install matplotlib") from error
    if colormap not in colormaps:
        raise GainerError(f"matplotlib has no colormap {colormap!r}: inferno, viridis and gray are three that it has")
    shade = _shade(rendered, target, mask, maximum, gamma)
    return colormaps[colormap](shade, bytes=True)[..., :3]


def _shade(
    rendered: ImageArray, target: ImageArray, mask: MaskArray | None, maximum: float, gamma: float
) -> Float[np.ndarray, "h w"]:
    """Normalised, contrast-enhanced error [h, w], 0 to 1."""
    if not (maximum > 0 and gamma > 0):
        raise GainerError(f"An error map needs a positive maximum and gamma, not {maximum} and {gamma}")
    a, b = float64_pair(rendered, target)
    error = (a - b).abs().mean(dim=-1).cpu()
    shade = torch.nan_to_num(error / maximum, nan=1.0).clamp(0, 1) ** gamma
    if mask is not None:
        shade = torch.where(as_mask(mask, tuple(shade.shape)).cpu(), shade, 0.0)
    return shade.numpy()
