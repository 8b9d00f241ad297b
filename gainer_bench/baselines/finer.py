"""FINER: SIREN whose sines get quicker with the distance from zero, so that biases choose frequencies.

Source: Liu et al. 2024, "FINER: Flexible Spectral-bias Tuning in Implicit NEural Representation by Variable-periodic
Activation Functions".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gainer_bench.baselines.siren import Siren, SirenConfig


@dataclass
class FinerConfig(SirenConfig):
    """SIREN's size and frequencies, as published."""

    _target: type = field(default_factory=lambda: Finer)
    bias_range: float = math.sqrt(0.5)
    """The first layer's biases begin uniform between minus and plus this; more of it begins with finer detail. The
    authors fit images with 1 / sqrt(2)."""


class Finer(Siren):
    """``sin(omega (|z| + 1) z)`` with ``z = W h + b`` in each hidden layer, then a linear end.

    The weights begin as SIREN's, the first layer's biases over a wider range. As in the authors' code, the gradient
    takes ``|z| + 1`` for a constant, which makes it up to twice smaller than the derivative, never of another sign.
    """

    config: FinerConfig

    def build(self) -> None:
        """Makes the layers and draws their weights."""
        super().build()
        first_bias = cast(Tensor, self.hidden[0].bias)
        nn.init.uniform_(first_bias, -self.config.bias_range, self.config.bias_range)

    def activate(self, scaled: Float[Tensor, "m h"], layer: int) -> Float[Tensor, "m h"]:
        """The sine of variable period."""
        stretch = scaled.detach().abs().div_(self.scale(layer)).add_(1)
        return torch.sin(stretch * scaled)
