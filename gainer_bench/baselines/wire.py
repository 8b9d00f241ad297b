"""WIRE: a coordinate network of complex numbers whose activations are Gabor wavelets.

Source: Saragadam et al. 2023, "WIRE: Wavelet Implicit Neural Representations".

Complex numbers are kept as real parts beside imaginary parts, ``[m, 2 h]``: that is the same arithmetic, and PyTorch's
own complex exponential takes several times longer than its real sine, cosine and exponential.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gainer_bench.baselines.coordinate_mlp import LOG_FLOOR, CoordinateMLP, CoordinateMLPConfig


@dataclass
class WireConfig(CoordinateMLPConfig):
    """A network with as many real numbers as SIREN's: hidden layers are narrower by sqrt(2), since weights are complex.

    The authors' code suggests a frequency of 20 and a window of 30 to represent images, and begins with a window of 10,
    which Liu et al. 2024 (FINER) compare by. A low frequency with a low window learns sooner and shows less detail;
    wavelets reach ``exp((omega / window)^2 / 4)``, so that frequencies far above the window do not learn at all.
    """

    _target: type = field(default_factory=lambda: Wire)
    omega: float = 20.0
    """Frequency of the wavelets, in radians."""
    window: float = 10.0
    """Sharpness of the wavelets' Gaussian window."""

    @property
    def complex_dim(self) -> int:
        """How many complex numbers a hidden layer has: 181 where hidden_dim is 256."""
        return int(self.hidden_dim / math.sqrt(2))


class Wire(CoordinateMLP):
    """``exp(i omega z - |s z|^2)`` with a complex ``z = W h + b`` in each hidden layer, then the real part of one more.

    The first layer's weights are real, since points are. Weights begin as PyTorch's do, real and imaginary parts alike.
    """

    config: WireConfig

    def build(self) -> None:
        """Makes the layers and draws their weights."""
        width = self.config.complex_dim
        widths = [width] * (self.config.hidden_layers + 1)
        complex_layers = [ComplexLinear(inputs, outputs) for inputs, outputs in pairwise(widths)]
        self.hidden = nn.ModuleList([nn.Linear(self.config.inputs, width), *complex_layers])
        self.output = nn.Linear(2 * width, 3)  # the real part of a complex layer is a real layer of twice the width
        for parameter in self.output.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(width), 1 / math.sqrt(width))

    def scale(self, layer: int) -> float:
        """The published ``omega_0``."""
        return self.config.omega

    def activate(self, scaled: Float[Tensor, "m h"], layer: int) -> Float[Tensor, "m two_h"]:
        """The wavelet of real numbers in the first layer, of complex ones in the others."""
        narrowing = (self.config.window / self.config.omega) ** 2
        if layer == 0:
            return _polar(-narrowing * scaled.square(), scaled)
        real, imaginary = scaled.chunk(2, dim=-1)
        return _polar(-narrowing * (real.square() + imaginary.square()) - imaginary, real)


class ComplexLinear(nn.Module):
    """A linear layer of complex numbers, as the real matrix that does the same to real parts beside imaginary parts.

    Args:
        inputs: How many complex numbers it reads.
        outputs: How many complex numbers it makes.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.real, self.imaginary = (
            nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound)) for _ in range(2)
        )
        self.bias = nn.Parameter(torch.empty(2 * outputs).uniform_(-bound, bound))

    @property
    def weight(self) -> Float[Tensor, "two_o two_i"]:
        """The real matrix."""
        real_part = torch.cat([self.real, -self.imaginary], dim=1)
        return torch.cat([real_part, torch.cat([self.imaginary, self.real], dim=1)])


def _polar(log_magnitude: Float[Tensor, "m h"], angle: Float[Tensor, "m h"]) -> Float[Tensor, "m two_h"]:
    magnitude = log_magnitude.clamp(min=LOG_FLOOR).exp()
    return torch.cat([magnitude * angle.cos(), magnitude * angle.sin()], dim=-1)
