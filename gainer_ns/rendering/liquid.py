"""A layer that flows: inside the surface of its particles the picture where it is whole, else a blend of colours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.gaussians.footprints import PixelExtent
from gainer_ns.motion.liquid_field import LiquidField
from gainer_ns.motion.rest_map import PointRows, RestPoints
from gainer_ns.rendering.point_colours import PointColours
from gainer_ns.rendering.sheet import Sheet


@dataclass(frozen=True)
class Liquid(Sheet):
    """A picture's layer, or a part of it, that flows; its rest map is a field of particles."""

    @torch.no_grad()
    def at(self, points: Float[Tensor, "m 2"], extent: PixelExtent | None = None) -> PointColours:
        """Draw any points of the canvas; see :meth:`gainer_ns.rendering.layer.Layer.at`."""
        assert isinstance(self.rest_map, LiquidField)
        pixel = self.plane.pixel_size if extent is None or extent.side == 0 else extent.side
        liquid = self.rest_map.located(points, pixel)
        rgb, alpha = liquid.colours, liquid.alpha
        whole = (liquid.whole * liquid.most > 0).nonzero()[:, 0]
        if len(whole):
            positions, inverses = (part[whole] for part in liquid.found[:2])
            drawn = self._at_rest(positions, RestPoints(positions, inverses), extent)
            there = liquid.whole[whole] * torch.minimum(drawn.alpha[:, 0], liquid.most[whole])
            # As both say, and without cracks where parts meet.
            both = torch.maximum(there + (1 - liquid.whole[whole]) * alpha[whole], liquid.inner[whole])
            alpha[whole] = both
            rgb[whole] = torch.lerp(rgb[whole], drawn.rgb, (there / both.clamp(min=1e-20))[:, None])
        return PointColours(rgb * (alpha > 0)[:, None], alpha[:, None])

    def over(self, rows: PointRows, extent: PixelExtent | None = None) -> PointColours:
        """Draw points in rows and columns; see :meth:`at`."""
        return self.at(rows.points, extent)
