"""SIREN: a coordinate network whose activations are sines.

Source: Sitzmann et al. 2020, "Implicit Neural Representations with Periodic Activation Functions".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gainer_bench.baselines.coordinate_mlp import CoordinateMLP, CoordinateMLPConfig


@dataclass
class SirenConfig(CoordinateMLPConfig):
    """The published network has 3 hidden layers of 256: 198,915 parameters."""

    _target: type = field(default_factory=lambda: Siren)
    first_omega: float = 30.0
    """Factor inside the first layer's sines, in radians; more of it begins with finer detail."""
    hidden_omega: float = 30.0
    """The same for the other layers. It cancels out of what the network first says, and speeds up their weights."""


class Siren(CoordinateMLP):
    """``sin(omega (W h + b))`` in each hidden layer, then a linear end.

    The weights begin uniform (section 3.2): in the first layer between plus and minus ``1 / inputs``, in the others,
    the end included, ``sqrt(6 / inputs) / omega``, which keeps the sines' arguments normal through all layers. Biases
    begin as PyTorch's do, as in the authors' code.
    """

    config: SirenConfig

    def build(self) -> None:
        """Makes the layers and draws their weights."""
        super().build()
        first, *others = [*self.hidden, self.output]
        nn.init.uniform_(first.weight, -1 / self.config.inputs, 1 / self.config.inputs)
        bound = math.sqrt(6 / self.config.hidden_dim) / self.config.hidden_omega
        for layer in others:
            nn.init.uniform_(layer.weight, -bound, bound)

    def scale(self, layer: int) -> float:
        """The published ``omega``."""
        return self.config.hidden_omega if layer else self.config.first_omega

    def activate(self, scaled: Float[Tensor, "m h"], layer: int) -> Float[Tensor, "m h"]:
        """The sine."""
        return torch.sin(scaled)
