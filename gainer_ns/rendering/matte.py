"""Where a picture of few Gaussians ends: its own opacity, which stands on a lattice with a node at each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.lattice import Lattice
from gainer_ns.gaussians.opacity import opacity_field
from gainer_ns.gaussians.prefilter import NodeAverages

_SIGMA_PX = 0.64
"""Of the nodes, as of the Gaussians that ``gainer`` fits."""


@dataclass(frozen=True)
class Matte:
    """Opacity of a picture's pixels, read between them as ``gainer`` reads its own (paper, section 3.4).

    Gaussians that are learned for colours lie along what they show: averages over few of them tell an edge neither
    straight nor in its place.

    Attributes:
        alpha: In [0, 1], of the pixels, from the top down.
        plane: The picture's.
    """

    alpha: Float[Tensor, "h w"]
    plane: ImagePlane

    def __post_init__(self) -> None:
        if tuple(self.alpha.shape) != (self.plane.height, self.plane.width):
            raise ValueError(f"a matte of {tuple(self.alpha.shape)} for a picture of {self.plane}")

    def to(self, device: torch.device | str) -> Matte:
        """Return the same on a device."""
        return Matte(self.alpha.to(device), self.plane)

    @cached_property
    def _field(self) -> Float[Tensor, "h w"]:
        return opacity_field(self.alpha.float())

    @cached_property
    def _nodes(self) -> tuple[Lattice, Float[Tensor, "nodes 2"]]:
        """The lattice of the pixels, and the table from which it reads the opacity beyond 0 and 1."""
        plane, (x, y) = self.plane, self.plane.half_extent
        lattice = Lattice.of_pixels(
            (-x, -y), (plane.width, plane.height), plane.pixel_size, _SIGMA_PX, self.alpha.device
        )
        averages = NodeAverages(plane.height, plane.width, _SIGMA_PX, self.alpha.device)
        return lattice, lattice.table(averages.undone(self._field[None])[0].flip(0).reshape(-1, 1))

    def at(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, "m 1"]:
        """Return the opacity at points of the plane, which is that of each pixel at its centre."""
        lattice, table = self._nodes
        return lattice.read(points, table)[:, :1].clamp(0, 1)

    def coefficients(self, means: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        """Return opacities for Gaussians: a rough stand-in for those that are moved one by one, away from it."""
        return self._field.flatten()[self.plane.pixel_at(means)]
