"""Where a part of a picture is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import warp as wp
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.rendering.point_kernels import presence_kernel


@dataclass(frozen=True, eq=False)
class Presence:
    """Where a part of a picture is, at the centres of pixels: 0.5 on its edge, growing inwards over the edge's width.

    Attributes:
        field: [h, w].
        corner: Column and row of the first pixel.
    """

    field: Float[Tensor, "h w"]
    corner: tuple[int, int]

    @cached_property
    def _averaged(self) -> dict[int, Tensor]:
        """The field, and means of it, by how many rows and columns each is over."""
        return {}

    def at(self, points: Float[Tensor, "m 2"], plane: ImagePlane, side: float = 1.0) -> Float[Tensor, "m 1"]:
        """Return how much of it is at points, from 0 to 1; beyond the field as at its border.

        Args:
            points: The points.
            plane: That they are on.
            side: Of the squares around them over which that is averaged, about, in pixels; up to 2 the points
                themselves count.
        """
        factor = max(1, int(side))
        if factor not in self._averaged:
            self._averaged[factor] = self._pooled(factor)
        scale = 1 / (factor * plane.pixel_size)
        start = (0.5 * plane.width - self.corner[0]) / factor, (0.5 * plane.height - self.corner[1]) / factor
        result = points.new_empty(len(points), 1)
        inputs = [
            Typed(points.float().contiguous(), wp.vec2),
            wp.vec2(scale, -scale),
            wp.vec2(start[0] - 0.5, start[1] - 0.5),
            Typed(self._averaged[factor], wp.float32),
            Typed(result.view(-1), wp.float32),
        ]
        kernels.launch(presence_kernel, len(points), inputs, points.device)
        return result

    def _pooled(self, factor: int) -> Float[Tensor, "h w"]:
        """Return the field, or means of so many rows and columns of what it says is there."""
        whole = self.field.float().contiguous()
        if factor == 1:
            return whole
        behind, below = (-length % factor for length in (self.field.shape[1], self.field.shape[0]))
        padded = functional.pad(whole[None, None], (0, behind, 0, below), mode="replicate").clamp(0, 1)
        return functional.avg_pool2d(padded, factor)[0, 0].contiguous()

    def to(self, device: torch.device | str) -> Presence:
        """Return the same on a device."""
        return Presence(self.field.to(device), self.corner)
