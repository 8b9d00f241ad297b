"""The features of a lattice in closed form: those from which points read a given picture."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy.fft import dctn, idctn
from torch import Tensor

TAPS = 6
"""Lattice steps beyond which a Gaussian of less than a step weighs nothing in single precision."""


def prefilter(samples: Float[Tensor, "h w c"], sigma: float) -> Float[Tensor, "h w c"]:
    """Return the coefficients whose normalised Gaussian averages at the lattice points are the samples (eq. 2).

    One Gaussian of standard deviation ``sigma`` a lattice point is a separable low-pass filter, and mirrored borders
    make it diagonal in the cosine transform (Martucci 1994, "Symmetric convolution and the discrete sine and cosine
    transforms"), where it is undone by a division: the "direct filter" of Unser et al. 1993, "B-spline signal
    processing", for a Gaussian kernel.

    Args:
        samples: Values at the lattice points.
        sigma: Standard deviation in lattice steps, at most 1: wider ones cannot be undone in single precision.

    Raises:
        ValueError: If sigma is not in (0, 1].
    """
    if not 0 < sigma <= 1:
        raise ValueError(f"sigma {sigma:g} must be above 0 and at most 1 lattice step")
    height, width = samples.shape[:2]
    spectrum = np.asarray(dctn(samples.cpu().numpy(), axes=(0, 1)))
    spectrum /= np.outer(_response(height, sigma), _response(width, sigma))[..., None].astype(spectrum.dtype)
    return torch.from_numpy(idctn(spectrum, axes=(0, 1), overwrite_x=True)).to(samples)


def _response(count: int, sigma: float) -> Float[np.ndarray, " n"]:
    """Return how much of each cosine is left by the average along one axis."""
    taps = np.arange(-TAPS, TAPS + 1)
    weights = np.exp(-0.5 * (taps / sigma) ** 2)
    return np.cos(np.pi * np.outer(np.arange(count) / count, taps)) @ (weights / weights.sum())
