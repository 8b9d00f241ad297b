"""Features in few bits: later channels take up what rounding the earlier ones lost.

The decoder reads more channels than colours, so the channels are cut into groups that can each reach every colour. The
first group is fitted alone and rounded, the next is fitted to what that left and rounded far more finely, and so on:
8 bits a channel then say more than 8 bits a colour.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.fitting.bands import PictureBands
from gainer_ns.fitting.solver import FinishConfig


class QuantisedFeatures(NamedTuple):
    """Features as 8-bit levels.

    Attributes:
        levels: [n, f], uint8.
        low: [f], the feature at level 0.
        step: [f], the difference of two levels.
    """

    levels: UInt8[Tensor, "n f"]
    low: Float[Tensor, " f"]
    step: Float[Tensor, " f"]

    def features(self) -> Float[Tensor, "n f"]:
        """The features that the levels stand for."""
        return self.levels.float() * self.step + self.low


def rounded(features: Float[Tensor, "n f"]) -> QuantisedFeatures:
    """Each channel rounded to 256 levels over its range."""
    low, high = features.min(dim=0).values, features.max(dim=0).values
    step = (high - low) / 255
    levels = ((features - low) / torch.where(step > 0, step, 1)).round().clamp(0, 255)
    return QuantisedFeatures(levels.to(torch.uint8), low, step)


def quantised(
    bands: PictureBands, features: Float[Tensor, "n f"], decoder: Decoder, *, steps_per_group: int = 2
) -> QuantisedFeatures:
    """The features of a fitted picture in 8 bits a channel, refitted so that little is lost.

    Args:
        bands: The picture's pixels and the Gaussians they read.
        features: The fitted features; their own rendering is what the rounded ones are fitted to.
        decoder: Stays as it is.
        steps_per_group: Gauss-Newton steps for each group of channels.
    """
    width, groups = features.shape[1], features.shape[1] // decoder.channels
    if groups <= 1:
        return rounded(features)
    target = bands.decode(features, decoder)
    config = FinishConfig()
    bounds = [width * group // groups for group in range(groups + 1)]
    linear = decoder.linear.weight.detach()
    current = torch.zeros_like(features)
    parts = []
    for begin, end in itertools.pairwise(bounds):
        # Where the linear path would be satisfied at once; the steps then answer to the MLP.
        missing = (features - current) @ linear.T
        current[:, begin:end] = missing @ torch.linalg.pinv(linear[:, begin:end]).T
        damping = config.damping
        for _ in range(steps_per_group):
            bands.finish(current, decoder, target, damping, config, channels=slice(begin, end))
            damping *= config.damping_decay
        parts.append(rounded(current[:, begin:end]))
        current[:, begin:end] = parts[-1].features()
    return QuantisedFeatures(*(torch.cat(pieces, dim=-1) for pieces in zip(*parts, strict=True)))
