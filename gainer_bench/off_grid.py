"""How well a fitted picture can be read off the pixel grid.

At one Gaussian a pixel, PSNR on the pixels says little: what an edit shows is the picture *between* them. So the fitted
picture is read at moved coordinates and compared with cubic-spline interpolation of the source at the same ones.

Coordinates are in source pixels, x right, y down, (0, 0) the top-left corner of the top-left pixel: centres are at .5.
A probe says for each output pixel where in the source it is read: the *inverse* of what happens to the picture.
"""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float

from gainer_ns.errors import GainerError
from gainer_ns.metrics import psnr
from gainer_ns.spline import CubicSpline

Probe = Callable[[int, int], np.ndarray]
"""Width and height in px -> the source coordinates [h, w, 2] of each output pixel."""

BORDER = 6
"""Width, in source px, of the frame that is left out of comparisons: near its border a spline is only a guess."""


def pixel_centres(w: int, h: int) -> Float[np.ndarray, "h w 2"]:
    """The centres (x, y) in px of a picture's pixels, [h, w, 2]."""
    x, y = np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5)
    return np.stack([x, y], axis=-1)


def half_pixel_shift(w: int, h: int) -> Float[np.ndarray, "h w 2"]:
    """Moves the picture half a pixel right and down: every read lands on a corner of four pixels, the hardest place."""
    return pixel_centres(w, h) - 0.5


def rotation(w: int, h: int, degrees: float = 15.0) -> Float[np.ndarray, "h w 2"]:
    """Turns the picture counter-clockwise, as seen, about its centre by an angle in degrees."""
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    centre = np.array([w / 2, h / 2])
    back = np.array([[cosine, -sine], [sine, cosine]])  # y is down: this undoes a counter-clockwise turn
    return (pixel_centres(w, h) - centre) @ back.T + centre


def zoom(w: int, h: int, factor: float = 1.5) -> Float[np.ndarray, "h w 2"]:
    """Enlarges the picture about its centre by a factor.

    Raises:
        GainerError: The factor is not positive.
    """
    if factor <= 0:
        raise GainerError(f"A zoom factor is positive, not {factor}")
    centre = np.array([w / 2, h / 2])
    return (pixel_centres(w, h) - centre) / factor + centre


def warp(w: int, h: int, amplitude: float = 3.0, period: float = 48.0) -> Float[np.ndarray, "h w 2"]:
    """Bends the picture by smooth waves: x moves with the sine of y, y with the cosine of x.

    Args:
        w: Width in px.
        h: Height in px.
        amplitude: Largest displacement along each axis in px. Below period / (2 pi) nothing folds over.
        period: Length of a wave in px.

    Returns:
        Source coordinates in px, [h, w, 2].
    """
    centres = pixel_centres(w, h)
    phase = 2 * np.pi * centres / period
    return centres + amplitude * np.stack([np.sin(phase[..., 1]), np.cos(phase[..., 0])], axis=-1)


PROBES: Mapping[str, Probe] = {
    "half_pixel_shift": half_pixel_shift,
    "rotation": rotation,
    "zoom": zoom,
    "warp": warp,
}
"""The edits that every fit is asked for, by the names that tables use."""


def off_grid_psnr(
    sample: Callable[[np.ndarray], np.ndarray],
    colours: Float[np.ndarray, "h w c"],
    *,
    border: int = BORDER,
    probes: Mapping[str, Probe] = PROBES,
) -> dict[str, float]:
    """PSNR between a fitted picture and the spline of its source, read at each probe's coordinates.

    Reading at moved coordinates is what an affine edit of the Gaussians does (means and covariances moved alike, design
    section 1.7), without its cost. Both sides are clamped to [0, 1] before they are compared, as on a screen.

    Args:
        sample: The fitted picture as a function: coordinates in source px [m, 2], float64 -> colours [m, c].
        colours: The source's colours [h, w, c].
        border: Output pixels that are read nearer than this to the source's edge, in px, or outside it, are left out:
            there a spline is only a guess.
        probes: Name -> function of (width, height) that gives the source coordinates [h, w, 2].

    Returns:
        Name of the probe -> dB; inf when equal.

    Raises:
        GainerError: A probe reads nothing inside the border, or ``sample`` returns another shape than [m, c].
    """
    height, width, channels = colours.shape
    spline = CubicSpline(colours)
    decibels = {}
    for name, probe in probes.items():
        points = _inside(probe(width, height), width, height, border)
        if len(points) == 0:
            raise GainerError(
                f"{name} reads no pixel of {width} x {height} at least {border} px from the edge: lower the border"
            )
        fitted = np.asarray(sample(points), dtype=np.float64)
        if fitted.shape != (len(points), channels):
            raise GainerError(f"{name}: sampling gave {list(fitted.shape)}, not {[len(points), channels]}")
        reference = spline.at(points)
        decibels[name] = psnr(np.clip(fitted, 0, 1), np.clip(reference, 0, 1))
    return decibels


def _inside(coordinates: np.ndarray, width: int, height: int, border: float) -> Float[np.ndarray, "m 2"]:
    """The coordinates, [m, 2], that lie at least ``border`` px inside the picture."""
    points = coordinates.reshape(-1, 2)
    keep = (points >= border) & (points <= np.array([width, height]) - border)
    return points[keep.all(axis=-1)]
