"""A ReLU network over random Fourier features of the point.

Source: Tancik et al. 2020, "Fourier Features Let Networks Learn High Frequency Functions in Low Dimensional Domains".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_bench.baselines.coordinate_mlp import CoordinateMLP, CoordinateMLPConfig

SIGMA_SIDE = 512
"""The side, in pixels, of the pictures for which the paper chose its standard deviation."""


@dataclass
class FourierConfig(CoordinateMLPConfig):
    """The published network: 512 features, then 3 layers of 256, which here count as one and two more."""

    _target: type = field(default_factory=lambda: FourierFeatures)
    hidden_layers: int = 2
    """Layers from hidden_dim to hidden_dim, after the one from the features to hidden_dim."""
    frequencies: int = 256
    """Number of random frequencies; each gives a sine and a cosine."""
    sigma: float = 10.0
    """Standard deviation of the frequencies, in cycles per 512 pixels: the paper's 10 cycles along a side of its
    pictures. So a larger picture has more cycles along a side, and pixels of any picture are told apart alike."""

    @property
    def inputs(self) -> int:
        """A sine and a cosine of each frequency."""
        return 2 * self.frequencies


class FourierFeatures(CoordinateMLP):
    """ReLU layers, then a sigmoid, over ``cos(2 pi B x)`` and ``sin(2 pi B x)``.

    ``B`` is drawn once, from a normal distribution, and stays. Weights begin as PyTorch's do.
    """

    config: FourierConfig
    basis: Float[Tensor, "f 2"]
    """The frequencies, in radians per half side of the picture."""

    def build(self) -> None:
        """Draws the frequencies and makes the layers."""
        sides = torch.tensor([self.plane.width, self.plane.height])
        cycles = self.config.sigma * sides / SIGMA_SIDE * torch.randn(self.config.frequencies, 2)
        self.register_buffer("basis", math.pi * cycles)
        super().build()

    def encode(self, square: Float[Tensor, "m 2"]) -> Float[Tensor, "m d"]:
        """The Fourier features."""
        phases = square @ self.basis.T
        return torch.cat([phases.cos(), phases.sin()], dim=-1)

    def activate(self, scaled: Float[Tensor, "m h"], layer: int) -> Float[Tensor, "m h"]:
        """The rectifier."""
        return torch.relu(scaled)

    def decode(self, out: Float[Tensor, "m 3"]) -> Float[Tensor, "m 3"]:
        """The sigmoid."""
        return torch.sigmoid(out)
