"""What points of a picture show."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import warp as wp
from jaxtyping import Float
from torch import Tensor

from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.footprints import Footprints
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.rendering.point_kernels import compose_kernel


class PointColours(NamedTuple):
    """Colours and opacities of points.

    Attributes:
        rgb: [m, 3], unclamped and not multiplied by alpha; 0 where nothing is.
        alpha: [m, 1], between 0 and 1.
    """

    rgb: Float[Tensor, "m 3"]
    alpha: Float[Tensor, "m 1"]

    @classmethod
    def nothing(cls, like: Float[Tensor, "m 2"]) -> PointColours:
        """Return what is seen where nothing is."""
        return cls(like.new_zeros(len(like), 3), like.new_zeros(len(like), 1))

    def over(self, back: PointColours) -> PointColours:
        """Return what is seen of these, over what lies behind."""
        result = PointColours(self.rgb.new_empty(len(self.rgb), 3), self.rgb.new_empty(len(self.rgb), 1))
        inputs = [Typed(part, wp.float32) for part in (*self, *back)]
        outputs = [Typed(result.rgb, wp.vec3), Typed(result.alpha.view(-1), wp.float32)]
        kernels.launch(compose_kernel, len(self.rgb), [*inputs, *outputs], self.rgb.device)
        return result

    def averaged(self, samples: int) -> PointColours:
        """Average runs of so many points; colours weigh by alpha, so that nothing bleeds in from holes."""
        if samples == 1:
            return self
        rgb, alpha = (values.view(-1, samples, values.shape[-1]) for values in self)
        mean_alpha = alpha.mean(dim=1)
        return PointColours((rgb * alpha).mean(dim=1) / mean_alpha.clamp(min=1e-20), mean_alpha)

    @classmethod
    def averaged_over(
        cls,
        points: Float[Tensor, "m 2"],
        footprints: Footprints | None,
        draw: Callable[[Float[Tensor, "n 2"]], PointColours],
    ) -> PointColours:
        """Draw points, as averages over their footprints where these have several samples."""
        if footprints is None:
            return draw(points)
        result = cls(points.new_empty(len(points), 3), points.new_empty(len(points), 1))
        for columns, rows, where in footprints.kinds:
            samples = points[where]
            if columns * rows > 1:
                samples = footprints[where].samples(samples, columns, rows).reshape(-1, 2)
            for whole, part in zip(result, draw(samples).averaged(columns * rows), strict=True):
                whole[where] = part
        return result
