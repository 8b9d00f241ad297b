"""What a picture shows at the centres of its pixels, and how that is read in between without its Gaussians."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.footprints import PixelExtent
from gainer_ns.gaussians.lattice import MAX_OFFSET, Lattice
from gainer_ns.gaussians.pyramid import pyramid
from gainer_ns.rendering.point_colours import PointColours
from gainer_ns.ways import Way

_BLOCK_PIXELS = 1 << 17
"""Drawn at once."""
MAX_TABLE_PIXELS = 1 << 25
"""Of a picture that is read of tables where it shrinks much: they take 25 bytes or more a pixel."""
_MAX_SAMPLED_PIXELS = 1 << 28
"""Of one that is sampled otherwise than smoothly: a few Gaussians may be far away."""
_ROUNDING_PX = 1e-3


class Sampling(NamedTuple):
    """How a picture is read between the centres of its pixels.

    Attributes:
        way: ``smooth`` (as it was fitted), ``clamped`` (to the range of the four pixels around) or ``nearest``.
        plane: The picture's plane, which says where its pixels are.
    """

    way: Way
    plane: ImagePlane

    def is_of(self, lattice: Lattice) -> bool:
        """Return whether the nodes of a lattice are the centres of the pixels."""
        pixel = self.plane.pixel_size
        places = self.plane.pixel_from_plane(torch.stack([lattice.x[:1], lattice.y[:1]], dim=1).double())
        aside = float((places - places.floor() - 0.5).abs().max())
        sides = max(len(lattice.x), len(lattice.y))
        return abs(lattice.spacing / pixel - 1) * sides + aside < 2 * MAX_OFFSET


@dataclass(frozen=True)
class PixelTable:
    """Colours and opacities at the centres of pixels, in full resolution and less.

    Attributes:
        lattice: The centres.
        values: [texels, 5], the pyramid of opacity, colours times opacity, and 1.
    """

    lattice: Lattice
    values: Float[Tensor, "texels 5"]

    @classmethod
    def drawn(
        cls,
        draw: Callable[[Float[Tensor, "m 2"]], PointColours],
        bounds: tuple[Float[Tensor, "2"], Float[Tensor, "2"]],
        pixel: float,
        sampling: Sampling | None,
    ) -> PixelTable:
        """Draw a table.

        Args:
            draw: Tells what points show.
            bounds: Lowest and highest coordinates at which there is anything.
            pixel: Side of a pixel, plane units.
            sampling: Says where pixels are; None for wherever they may be.

        Raises:
            GainerError: If that is spread too far.
        """
        low, high = (corner.double().tolist() for corner in bounds)
        origin = low if sampling is None else [-half for half in sampling.plane.half_extent]
        first = [math.floor((a - o) / pixel + _ROUNDING_PX) for a, o in zip(low, origin, strict=True)]
        behind = [math.ceil((b - o) / pixel - _ROUNDING_PX) for b, o in zip(high, origin, strict=True)]
        columns, rows = (max(1, b - a) for a, b in zip(first, behind, strict=True))
        if columns * rows > _MAX_SAMPLED_PIXELS:
            raise GainerError(
                f"the picture is spread over {columns} x {rows} pixels, too many to draw them one by one; leave out "
                "--sampling, or draw it larger"
            )
        left, bottom = (o + a * pixel for o, a in zip(origin, first, strict=True))
        lattice = Lattice.of_pixels((left, bottom), (columns, rows), pixel, bounds[0].device)
        values = lattice.x.new_ones(rows, columns, 5)
        step = max(1, _BLOCK_PIXELS // columns)
        for row in range(0, rows, step):
            y, x = torch.meshgrid(lattice.y[row : row + step], lattice.x, indexing="ij")
            rgb, alpha = draw(torch.stack([x, y], dim=2).view(-1, 2))
            block = torch.cat([alpha, rgb * alpha], dim=1)
            values[row : row + step, :, :4] = block.view(-1, columns, 4)
        return cls(lattice, pyramid(values))

    def read(
        self,
        points: Float[Tensor, "m 2"],
        extent: PixelExtent,
        way: Way,
        half_extent: tuple[float, float] | None,
        *,
        ends: bool = False,
    ) -> PointColours:
        """Return the nearest pixels' values, or where points stand for much of the picture, averages.

        Args:
            points: The points.
            extent: What each stands for.
            way: ``nearest``, or ``smooth`` of what shrinks so much that averages are read in any case.
            half_extent: Half the width and height of the frame; None for none.
            ends: Whether it ends within a pixel across the frame; see
                :meth:`gainer_ns.gaussians.lattice.Lattice.read`.
        """
        read = self.lattice.read(
            points,
            self.values[: len(self.lattice.nodes)],
            extent,
            half_extent=half_extent,
            has_opacities=True,
            way=way,
            own=lambda: self.values,
            ends=ends,
        )
        alpha = (read[:, :1] * read[:, -1:]).clamp(0, 1)
        return PointColours(read[:, 1:4] * (alpha > 0), alpha)

    def clamped(self, points: Float[Tensor, "m 2"], drawn: PointColours) -> PointColours:
        """Return what points show, limited to the range of the four pixels around; of colours, those that show."""
        x, y = self.lattice.x, self.lattice.y
        place = (points - torch.stack([x[0], y[0]])) / self.lattice.spacing + _ROUNDING_PX
        column, row = place.floor().long().unbind(1)
        first = torch.stack([torch.tensor(-torch.inf).to(points)] * 4)
        low, high = (-first).expand(len(points), 4), first.expand(len(points), 4)
        for across, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
            c, r = column + across, row + down
            there = (c >= 0) & (r >= 0) & (c < len(x)) & (r < len(y))
            value = self.values[r.clamp(0, len(y) - 1) * len(x) + c.clamp(0, len(x) - 1), :4]
            shown = there & (value[:, 0] > 0)
            mask = torch.stack([there, shown, shown, shown], dim=1)
            straight = torch.cat([value[:, :1], value[:, 1:] / value[:, :1].clamp(min=1e-20)], dim=1)
            low = torch.where(mask, torch.minimum(low, straight), low)
            high = torch.where(mask, torch.maximum(high, straight), high)
        alpha, rgb = (
            torch.where(low[:, part] <= high[:, part], values.clamp(low[:, part], high[:, part]), values)
            for part, values in ((slice(0, 1), drawn.alpha), (slice(1, 4), drawn.rgb))
        )
        return PointColours(rgb * (alpha > 0), alpha)
