"""The mask model: opacities of the Gaussians, fitted to the picture's own (paper, section 3.4)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.fitting.bands import PictureBands
from gainer_ns.fitting.solver import FinishConfig
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet

STEPS = 6
"""Most steps; two or three are enough for 8 bits."""
TOLERANCE = 1 / 2048
"""Largest error at which the fit ends: an eighth of a level of 8 bits."""


@torch.no_grad()
def fit_opacities(
    plane: ImagePlane,
    gaussians: GaussianSet,
    num_neighbours: int,
    pixels: Int[Tensor, " m"],
    field: Float[Tensor, " m"],
) -> Float[Tensor, " n"]:
    """Opacities of Gaussians whose averages are a given field.

    Args:
        plane: The picture's plane.
        gaussians: Their opacities are where the fit begins.
        num_neighbours: How many Gaussians a pixel reads.
        pixels: Row-major indices of the pixels that are fitted, ascending.
        field: What they should have: opacity continued beyond 0 and 1, of which only the clamped part shows.
    """
    assert gaussians.opacities is not None
    identity = Decoder(1, 1, hidden_layers=0).to(field.device)
    identity.linear.weight.data.fill_(1.0)
    identity.linear.bias.data.zero_()
    bands = PictureBands(plane, gaussians, num_neighbours, pixels)
    opacities, target, config = gaussians.opacities[:, None].clone(), field[:, None], FinishConfig()
    for step in range(STEPS):
        bands.finish(opacities, identity, target, config.damping * config.damping_decay**step, config)
        shown = bands.decode(opacities, identity).clamp(0, 1)
        if float((shown - target.clamp(0, 1)).abs().max()) < TOLERANCE:
            break
    return opacities[:, 0]
