"""What the coordinate networks share: a stack of linear layers with an activation after each, and a linear end."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from gainer_bench.baselines.picture_function import PictureFunction, PictureFunctionConfig
from gainer_ns.frames import ImagePlane

LOG_FLOOR = -20.0
"""Logarithm of the smallest value of a bell. 2e-9 is nothing beside 1, but the numbers below 1e-38 that bells would be
full of make processors several times slower."""


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
        """How many numbers the first layer reads."""
        return 2

    def numbers(self, plane: ImagePlane) -> int:
        """The weights of all layers."""
        width = max(1, self.hidden_dim)
        return width * (self.inputs + 3) + self.hidden_layers * width**2


class CoordinateMLP(PictureFunction):
    """``colour = 1/2 + net(x) / 2`` at points ``x`` of the unit square, where each hidden layer is ``g(s (W h + b))``.

    Published code fits networks with a linear end to colours between -1 and 1; the halves make that the same thing for
    colours between 0 and 1. A subclass says what ``g`` and ``s`` are, and how the weights begin, which is PyTorch's own
    way (He et al. 2015 with a = sqrt 5: uniform between plus and minus ``1 / sqrt(inputs)``) unless it says otherwise.

    Args:
        config: Size of the network, and of what a subclass adds.
        plane: The picture's plane.
        seed: Seed of the initial weights.
    """

    config: CoordinateMLPConfig

    def __init__(self, config: CoordinateMLPConfig, plane: ImagePlane, seed: int = 0) -> None:
        super().__init__(config, plane, seed)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the other devices too
            self.build()

    def build(self) -> None:
        """Makes the layers, with initial weights from the global generator, which is forked and seeded here."""
        widths = [self.config.inputs] + [self.config.hidden_dim] * (self.config.hidden_layers + 1)
        self.hidden = nn.ModuleList(nn.Linear(inputs, outputs) for inputs, outputs in pairwise(widths))
        self.output = nn.Linear(widths[-1], 3)

    def encode(self, square: Float[Tensor, "m 2"]) -> Float[Tensor, "m d"]:
        """What the first layer reads of points of the unit square."""
        return square

    def scale(self, layer: int) -> float:
        """The factor ``s`` of a hidden layer, counted from 0."""
        return 1.0

    @abstractmethod
    def activate(self, scaled: Float[Tensor, "m h"], layer: int) -> Float[Tensor, "m h"]:
        """The activation ``g`` of what a hidden layer says, already times ``s``."""

    def forward(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, "m 3"]:
        """Colours, unclamped, of points in plane coordinates."""
        hidden = self.encode(self.unit_square(points))
        for number, layer in enumerate(self.hidden):
            weight, bias = cast(Tensor, layer.weight), cast(Tensor, layer.bias)
            scale = self.scale(number)  # on the weights, which are fewer than the values that they make
            hidden = self.activate(linear(hidden, scale * weight, scale * bias), number)
        return self.decode(self.output(hidden))

    def decode(self, out: Float[Tensor, "m 3"]) -> Float[Tensor, "m 3"]:
        """Colours of what the last layer says."""
        return 0.5 + 0.5 * out
