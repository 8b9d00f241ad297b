"""The mask model: opacities of the Gaussians, fitted to the picture's own (paper, section 3.3)."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.fitting.bands import PictureBands
from gainer_ns.fitting.gauss_newton import GaussNewtonConfig
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.opacity import OPACITY_OVERSHOOT

_MAX_STEPS = 6
"""Two or three are enough for 8 bits, four or five for 16."""
_TOLERANCE_LEVELS = 0.125
"""Largest error at which the fit ends, in levels."""


@torch.no_grad()
def fit_opacities(
    plane: ImagePlane,
    gaussians: GaussianSet,
    num_neighbours: int,
    pixels: Int[Tensor, " m"],
    field: Float[Tensor, " m"],
    bit_depth: int = 16,
) -> Float[Tensor, " n"]:
    """Fit opacities of Gaussians whose averages are a field.

    Opacity extrapolated beyond 0 and 1, clamped where it shows.

    The fit begins with the opacities that the Gaussians have, and ends once all levels of so many bits are met.
    ``pixels`` are the row-major indices of those that are fitted, ascending.
    """
    assert gaussians.opacities is not None
    identity = Decoder(1, 1, hidden_layers=0).to(field.device)
    identity.linear.weight.data.fill_(1.0)
    identity.linear.bias.data.zero_()
    bands = PictureBands(plane, replace(gaussians, slopes=None), num_neighbours, pixels)  # opacities have none
    opacities, target, config = gaussians.opacities[:, None].clone(), field[:, None], GaussNewtonConfig()
    tolerance, ends = _TOLERANCE_LEVELS / (2**bit_depth - 1), (-OPACITY_OVERSHOOT, 1 + OPACITY_OVERSHOOT)
    for step in range(_MAX_STEPS):
        bands.gauss_newton_step(opacities, identity, target, config.damping * config.damping_decay**step, config)
        error = bands.decode(opacities, identity).clamp(*ends) - target.clamp(*ends)
        if float(error.abs().max()) < tolerance:
            break
    return opacities[:, 0]
