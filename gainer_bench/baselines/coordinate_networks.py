"""Coordinate networks: a stack of linear layers with an activation after each, and a linear end.

SIREN, FINER, Gaussian bells, Fourier features and WIRE differ in the activation, and in how the weights begin.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from gainer_bench.baselines.picture_function import PictureFunction, PictureFunctionConfig, block_by_block
from gainer_ns.frames import ImagePlane

MIN_LOG_VALUE = -20.0
"""Logarithm of the smallest value of a bell. 2e-9 is nothing beside 1, but the numbers below 1e-38 that bells would be
full of make processors several times slower."""
FOURIER_SIDE_PX = 512
"""The side of the pictures for which the paper on Fourier features chose its standard deviation."""


@dataclass
class CoordinateMLPConfig(PictureFunctionConfig):
    """How large the network is."""

    _target: type = field(default_factory=lambda: CoordinateMLP)
    hidden_layers: int = 3
    """Layers from hidden_dim to hidden_dim, as published code counts them; one more, from the point, comes before."""
    hidden_dim: int = 256
    """Width of a hidden layer."""

    @property
    def inputs(self) -> int:
        """Count the numbers that the first layer reads."""
        return 2

    def numbers(self, plane: ImagePlane) -> int:
        """Count the weights of all layers."""
        width = max(1, self.hidden_dim)
        return width * (self.inputs + 3) + self.hidden_layers * width**2


class CoordinateMLP(PictureFunction):
    """``colour = 1/2 + net(x) / 2`` at points ``x`` of the unit square, where each hidden layer is ``g(s (W h + b))``.

    Published code fits networks with a linear end to colours between -1 and 1; the halves make that the same thing for
    colours between 0 and 1. A subclass says what ``g`` and ``s`` are, and how the weights begin, which is PyTorch's own
    way (He et al. 2015 with a = sqrt 5: uniform between plus and minus ``1 / sqrt(inputs)``) unless it says otherwise.
    """

    config: CoordinateMLPConfig

    def __init__(self, config: CoordinateMLPConfig, plane: ImagePlane, seed: int = 0) -> None:
        super().__init__(config, plane, seed)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the other devices too
            self.build()

    def build(self) -> None:
        """Make the layers, with initial weights from the global generator, which is forked and seeded here."""
        widths = [self.config.inputs] + [self.config.hidden_dim] * (self.config.hidden_layers + 1)
        self.hidden = nn.ModuleList(nn.Linear(inputs, outputs) for inputs, outputs in pairwise(widths))
        self.output = nn.Linear(widths[-1], 3)

    def encode(self, square: Float[Tensor, "m 2"]) -> Float[Tensor, "m d"]:
        """Return what the first layer reads of points of the unit square."""
        return square

    def scale(self, layer: int) -> float:
        """Return the factor ``s`` of a hidden layer, counted from 0."""
        return 1.0

    @abstractmethod
    def activate(self, scaled: Float[Tensor, "m h"], layer: int) -> Float[Tensor, "m h"]:
        """Return the activation ``g`` of what a hidden layer says, already times ``s``."""

    def forward(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, "m 3"]:
        """Return the colours, unclamped, of points in plane coordinates."""
        return block_by_block(self._through_layers, self.unit_square(points))

    def _through_layers(self, square: Float[Tensor, "m 2"]) -> Float[Tensor, "m 3"]:
        hidden = self.encode(square)
        for number, layer in enumerate(self.hidden):
            weight, bias = cast(Tensor, layer.weight), cast(Tensor, layer.bias)
            scale = self.scale(number)  # on the weights, which are fewer than the values that they make
            hidden = self.activate(linear(hidden, scale * weight, scale * bias), number)
        return self.decode(self.output(hidden))

    def decode(self, out: Float[Tensor, "m 3"]) -> Float[Tensor, "m 3"]:
        """Return the colours of what the last layer says."""
        return 0.5 + 0.5 * out


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

    Source:
        Sitzmann et al. 2020, "Implicit Neural Representations with Periodic Activation Functions".
    """

    config: SirenConfig

    def build(self) -> None:
        """Make the layers and draw their weights."""
        super().build()
        first, *others = [*self.hidden, self.output]
        nn.init.uniform_(first.weight, -1 / self.config.inputs, 1 / self.config.inputs)
        bound = math.sqrt(6 / self.config.hidden_dim) / self.config.hidden_omega
        for layer in others:
            nn.init.uniform_(layer.weight, -bound, bound)

    def scale(self, layer: int) -> float:
        """Return the published ``omega``."""
        return self.config.hidden_omega if layer else self.config.first_omega

    def activate(self, scaled: Float[Tensor, "m h"], layer: int) -> Float[Tensor, "m h"]:
        """Return the sine."""
        return torch.sin(scaled)


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

    Source:
        Liu et al. 2024, "FINER: Flexible Spectral-bias Tuning in Implicit NEural Representation by Variable-periodic
        Activation Functions".
    """

    config: FinerConfig

    def build(self) -> None:
        """Make the layers and draw their weights."""
        super().build()
        first_bias = cast(Tensor, self.hidden[0].bias)
        nn.init.uniform_(first_bias, -self.config.bias_range, self.config.bias_range)

    def activate(self, scaled: Float[Tensor, "m h"], layer: int) -> Float[Tensor, "m h"]:
        """Return the sine of variable period."""
        stretch = scaled.detach().abs().div_(self.scale(layer)).add_(1)
        return torch.sin(stretch * scaled)


@dataclass
class GaussConfig(CoordinateMLPConfig):
    """SIREN's size, as published."""

    _target: type = field(default_factory=lambda: Gauss)
    sharpness: float = 30.0
    """The s of exp(-(s z)^2); the paper's exp(-z^2 / (2 a^2)) has a = 1 / (s sqrt(2)), which is 0.024 for 30."""


class Gauss(CoordinateMLP):
    """``exp(-(s z)^2)`` with ``z = W h + b`` in each hidden layer, then a linear end; PyTorch's initial weights.

    Source:
        Ramasinghe and Lucey 2022, "Beyond Periodicity: Towards a Unifying Framework for Activations in
        Coordinate-MLPs"; parameters as of its reproductions for images in WIRE and FINER.
    """

    config: GaussConfig

    def scale(self, layer: int) -> float:
        """Return the published ``s``."""
        return self.config.sharpness

    def activate(self, scaled: Float[Tensor, "m h"], layer: int) -> Float[Tensor, "m h"]:
        """Return the bell."""
        return scaled.square().neg().clamp(min=MIN_LOG_VALUE).exp()


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

    octaves: bool = False
    """Whether the frequencies are not random, but along x and along y, 1, 2, 4 and so on radians per half side (half of
    frequencies each), beside the point itself: positional encoding."""

    @property
    def inputs(self) -> int:
        """Return a sine and a cosine of each frequency, and of octaves the point."""
        return 2 * self.frequencies + (2 if self.octaves else 0)


class FourierFeatures(CoordinateMLP):
    """ReLU layers, then a sigmoid, over ``cos(2 pi B x)`` and ``sin(2 pi B x)``.

    ``B`` is drawn once, from a normal distribution, and stays. Weights begin as PyTorch's do.

    Source:
        Tancik et al. 2020, "Fourier Features Let Networks Learn High Frequency Functions in Low Dimensional Domains".
    """

    config: FourierConfig
    basis: Float[Tensor, "f 2"]
    """The frequencies, in radians per half side of the picture."""

    def build(self) -> None:
        """Draw the frequencies and make the layers."""
        if self.config.octaves:
            steps = 2.0 ** torch.arange(self.config.frequencies // 2)
            self.register_buffer("basis", torch.cat([torch.outer(steps, axis) for axis in torch.eye(2)]))
            super().build()
            return
        sides = torch.tensor([self.plane.width, self.plane.height])
        cycles = self.config.sigma * sides / FOURIER_SIDE_PX * torch.randn(self.config.frequencies, 2)
        self.register_buffer("basis", math.pi * cycles)
        super().build()

    def encode(self, square: Float[Tensor, "m 2"]) -> Float[Tensor, "m d"]:
        """Return the Fourier features."""
        phases = square @ self.basis.T
        points = [square] if self.config.octaves else []
        return torch.cat([*points, phases.cos(), phases.sin()], dim=-1)

    def activate(self, scaled: Float[Tensor, "m h"], layer: int) -> Float[Tensor, "m h"]:
        """Return the rectifier."""
        return torch.relu(scaled)

    def decode(self, out: Float[Tensor, "m 3"]) -> Float[Tensor, "m 3"]:
        """Return the sigmoid."""
        return torch.sigmoid(out)


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
        """Count the complex numbers of a hidden layer: 181 where hidden_dim is 256."""
        return int(self.hidden_dim / math.sqrt(2))


class Wire(CoordinateMLP):
    """``exp(i omega z - |s z|^2)`` with a complex ``z = W h + b`` in each hidden layer, then the real part of one more.

    The first layer's weights are real, since points are. Weights begin as PyTorch's do, real and imaginary parts alike.
    Complex numbers are kept as real parts beside imaginary parts, ``[m, 2 h]``: that is the same arithmetic, and
    PyTorch's own complex exponential takes several times longer than its real sine, cosine and exponential.

    Source:
        Saragadam et al. 2023, "WIRE: Wavelet Implicit Neural Representations".
    """

    config: WireConfig

    def build(self) -> None:
        """Make the layers and draw their weights."""
        width = self.config.complex_dim
        widths = [width] * (self.config.hidden_layers + 1)
        complex_layers = [ComplexLinear(inputs, outputs) for inputs, outputs in pairwise(widths)]
        self.hidden = nn.ModuleList([nn.Linear(self.config.inputs, width), *complex_layers])
        self.output = nn.Linear(2 * width, 3)  # the real part of a complex layer is a real layer of twice the width
        for parameter in self.output.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(width), 1 / math.sqrt(width))

    def scale(self, layer: int) -> float:
        """Return the published ``omega_0``."""
        return self.config.omega

    def activate(self, scaled: Float[Tensor, "m h"], layer: int) -> Float[Tensor, "m two_h"]:
        """Return the wavelet of real numbers in the first layer, of complex ones in the others."""
        narrowing = (self.config.window / self.config.omega) ** 2
        if layer == 0:
            return _polar(-narrowing * scaled.square(), scaled)
        real, imaginary = scaled.chunk(2, dim=-1)
        return _polar(-narrowing * (real.square() + imaginary.square()) - imaginary, real)


class ComplexLinear(nn.Module):
    """A linear layer of complex numbers, as the real matrix that does the same to real parts beside imaginary parts."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.real, self.imaginary = (
            nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound)) for _ in range(2)
        )
        self.bias = nn.Parameter(torch.empty(2 * outputs).uniform_(-bound, bound))

    @property
    def weight(self) -> Float[Tensor, "two_o two_i"]:
        """Return the real matrix."""
        real_part = torch.cat([self.real, -self.imaginary], dim=1)
        return torch.cat([real_part, torch.cat([self.imaginary, self.real], dim=1)])


def _polar(log_magnitude: Float[Tensor, "m h"], angle: Float[Tensor, "m h"]) -> Float[Tensor, "m two_h"]:
    magnitude = log_magnitude.clamp(min=MIN_LOG_VALUE).exp()
    return torch.cat([magnitude * angle.cos(), magnitude * angle.sin()], dim=-1)
