"""A coordinate network whose activations are Gaussian bells.

Source: Ramasinghe and Lucey 2022, "Beyond Periodicity: Towards a Unifying Framework for Activations in
Coordinate-MLPs". The parameters follow its reproductions for images in Saragadam et al. 2023 (WIRE) and Liu et al. 2024
(FINER), which are what pictures are compared by.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from gainer_bench.baselines.coordinate_mlp import LOG_FLOOR, CoordinateMLP, CoordinateMLPConfig


@dataclass
class GaussConfig(CoordinateMLPConfig):
    """SIREN's size, as published."""

    _target: type = field(default_factory=lambda: Gauss)
    sharpness: float = 30.0
    """The s of exp(-(s z)^2); the paper's exp(-z^2 / (2 a^2)) has a = 1 / (s sqrt(2)), which is 0.024 for 30."""


class Gauss(CoordinateMLP):
    """``exp(-(s z)^2)`` with ``z = W h + b`` in each hidden layer, then a linear end; PyTorch's initial weights."""

    config: GaussConfig

    def scale(self, layer: int) -> float:
        """The published ``s``."""
        return self.config.sharpness

    def activate(self, scaled: Float[Tensor, "m h"], layer: int) -> Float[Tensor, "m h"]:
        """The bell."""
        return scaled.square().neg().clamp(min=LOG_FLOOR).exp()
