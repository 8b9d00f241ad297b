"""Quantise features: later channels take up what rounding the earlier ones lost.

The decoder reads more channels than colours, so the channels are cut into groups that can each reach every colour. The
first group is fitted alone and rounded, the next is fitted to what that left and rounded far more finely, and so on: 8
bits a channel then say more than 8 bits a colour.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.fitting.bands import PictureBands
from gainer_ns.fitting.gauss_newton import GaussNewtonConfig


class QuantisedFeatures(NamedTuple):
    """Features as 8-bit levels.

    Attributes:
        levels: [n, f], uint8.
        low: [f], the number at level 0 of each channel.
        step: [f], the difference of two levels.
        bend: [f], where levels lie close around 0 and far apart in the tails: a number ``x`` is stored as
            ``asinh(x / bend)``. None where they lie evenly.
    """

    levels: UInt8[Tensor, "n f"]
    low: Float[Tensor, " f"]
    step: Float[Tensor, " f"]
    bend: Float[Tensor, " f"] | None = None

    def features(self) -> Float[Tensor, "n f"]:
        """Return the features that the levels stand for."""
        straight = self.levels.float() * self.step + self.low
        return straight if self.bend is None else self.bend * straight.sinh()


def rounded(features: Float[Tensor, "n f"], *, bent: bool = False) -> QuantisedFeatures:
    """Round each channel to 256 levels over its range.

    With ``bent``, levels lie closer around 0, where most of the numbers are, if a few lie far out.
    """
    bend = features.square().mean(dim=0).sqrt().clamp(min=1e-6) if bent else None
    if bend is not None:
        features = (features / bend).asinh()
    low, high = features.amin(dim=0), features.amax(dim=0)
    step = (high - low) / 255
    levels = ((features - low) / torch.where(step > 0, step, 1)).round().clamp(0, 255)
    return QuantisedFeatures(levels.to(torch.uint8), low, step, bend)


def quantised(
    bands: PictureBands,
    features: Float[Tensor, "r f"],
    decoder: Decoder,
    target: Float[Tensor, "m c"] | None = None,
    *,
    offset: Float[Tensor, "m f"] | None = None,
    steps_per_group: int = 2,
) -> QuantisedFeatures:
    """Quantise the features of a fitted picture to 8 bits a channel, refitted so that little is lost.

    They are fitted to ``target``, or to the rendering of the fitted ones. With an ``offset``, which the pixels read
    besides and which is rounded already, features take up what that lost, and have bent levels; ``target`` is needed
    then.
    """
    width, groups = features.shape[1], features.shape[1] // decoder.channels
    if groups <= 1 and offset is None:
        return rounded(features)
    if target is None:
        target = bands.decode(features, decoder)
    config, groups = GaussNewtonConfig(), max(1, groups)
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
            bands.gauss_newton_step(
                current, decoder, target, damping, config, channels=slice(begin, end), offset=offset
            )
            damping *= config.damping_decay
        parts.append(rounded(current[:, begin:end].contiguous(), bent=offset is not None))
        current[:, begin:end] = parts[-1].features()
    bend = None if offset is None else torch.cat([part.bend for part in parts if part.bend is not None], dim=-1)
    levels, low, step = (torch.cat([part[field] for part in parts], dim=-1) for field in range(3))
    return QuantisedFeatures(levels, low, step, bend)
