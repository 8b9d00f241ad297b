"""What a picture shows at the centres of its pixels, and how that is read in between without its Gaussians."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.devices import block_size
from gainer_ns.errors import GainerError
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.footprints import PixelExtent
from gainer_ns.gaussians.lattice import BORDER_NODES, MAX_OFFSET, Lattice
from gainer_ns.gaussians.opacity import nearest_visible_pixel, opacity_field
from gainer_ns.gaussians.prefilter import NodeAverages
from gainer_ns.gaussians.pyramid import pyramid
from gainer_ns.memory import check_free, free_memory
from gainer_ns.rendering.point_colours import PointColours
from gainer_ns.ways import Way

_BLOCK_PIXELS = 1 << 17
"""Drawn at once."""
MAX_TABLE_PIXELS = 1 << 25
"""Of a picture that is read of tables where it shrinks much, or moves."""
_MAX_SAMPLED_PIXELS = 1 << 28
"""Of one that is sampled otherwise than smoothly: a few Gaussians may be far away."""
_BYTES_PER_PIXEL = 160
"""That it takes to make a table, at most: 148 were measured of a cut-out, 84 of what is opaque; half is kept."""
_SIGMA_PX = 0.64
"""Of the Gaussians that a table is read by, as of those that ``gainer`` fits."""
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


def has_room(pixels: float) -> bool:
    """Return whether there is memory for a table of so many pixels."""
    return pixels < MAX_TABLE_PIXELS and _BYTES_PER_PIXEL * pixels < free_memory()


@dataclass(frozen=True)
class PixelTable:
    """Colours and opacities at the centres of pixels, in full resolution and less, read as Gaussians there would be.

    Attributes:
        lattice: The centres, and an empty border around them.
        values: [texels, 4 or 5], the pyramid of opacity (where anything is not opaque), colours times opacity, and 1.
    """

    lattice: Lattice
    values: Float[Tensor, "texels d"]

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
            GainerError: If that is spread too far, or there is no memory for it.
        """
        low, high = (corner.double().tolist() for corner in bounds)
        origin = low if sampling is None else [-half for half in sampling.plane.half_extent]
        first = [math.floor((a - o) / pixel + _ROUNDING_PX) for a, o in zip(low, origin, strict=True)]
        behind = [math.ceil((b - o) / pixel - _ROUNDING_PX) for b, o in zip(high, origin, strict=True)]
        columns, rows = (max(1, b - a) for a, b in zip(first, behind, strict=True))
        what, remedy = (
            f"the picture is spread over {columns} x {rows} pixels",
            "leave out --sampling, or draw it larger",
        )
        if columns * rows > _MAX_SAMPLED_PIXELS:
            raise GainerError(f"{what}, too many to draw them one by one; {remedy}")
        check_free(_BYTES_PER_PIXEL * columns * rows, f"{what}, a table of which", remedy)
        left, bottom = (o + a * pixel for o, a in zip(origin, first, strict=True))
        lattice = Lattice.of_pixels((left, bottom), (columns, rows), pixel, _SIGMA_PX, bounds[0].device)
        values = lattice.x.new_zeros(len(lattice.y), len(lattice.x), 5)
        step = max(1, block_size(_BLOCK_PIXELS, values.device) // columns)
        inner = values[BORDER_NODES:-BORDER_NODES, BORDER_NODES:-BORDER_NODES]
        x, y = (axis[BORDER_NODES:-BORDER_NODES] for axis in (lattice.x, lattice.y))
        for row in range(0, rows, step):
            across, down = torch.meshgrid(x, y[row : row + step], indexing="xy")
            rgb, alpha = draw(torch.stack([across, down], dim=2).view(-1, 2))
            block = torch.cat([alpha, rgb * alpha, torch.ones_like(alpha)], dim=1)
            inner[row : row + step] = block.view(-1, columns, 5)
        is_opaque = bool((inner[..., 0] == 1).all())
        return cls(lattice, pyramid(values[..., 1:] if is_opaque else values))

    @property
    def has_opacities(self) -> bool:
        """Whether anything of it is not opaque."""
        return self.values.shape[1] == 5

    @cached_property
    def _nodes(self) -> Float[Tensor, "nodes d"]:
        """The table from which the lattice reads the values at the centres: prefiltered, opacity as it is fitted."""
        lattice = self.lattice
        values = self.values[: len(lattice.x) * len(lattice.y)].view(len(lattice.y), len(lattice.x), -1)
        inner = slice(BORDER_NODES, -BORDER_NODES)
        found = values[inner, inner, :-1].flip(0)  # from the top down
        height, width = found.shape[:2]
        if self.has_opacities:
            alpha, colours = found[..., 0], found[..., 1:] / found[..., :1].clamp(min=1e-20)
            if bool((alpha > 0).any()):
                colours = colours.reshape(-1, 3)[nearest_visible_pixel(alpha)]
            found = torch.cat([opacity_field(alpha)[..., None], colours], dim=2)
        averages = NodeAverages(height, width, lattice.sigma, found.device)
        found = averages.undone(found.permute(2, 0, 1).contiguous()).permute(1, 2, 0).flip(0)
        return lattice.table(found.reshape(height * width, -1))

    def read(
        self,
        points: Float[Tensor, "m 2"],
        extent: PixelExtent,
        way: Way,
        half_extent: tuple[float, float] | None,
        *,
        ends: bool = False,
    ) -> PointColours:
        """Return what points show, or where they stand for much of the picture, averages.

        Args:
            points: The points.
            extent: What each stands for.
            way: How it is read between the centres.
            half_extent: Half the width and height of the frame; None for none.
            ends: Whether it ends within a pixel across the frame; see
                :meth:`gainer_ns.gaussians.lattice.Lattice.read`.
        """
        read = self.lattice.read(
            points,
            self.values[: len(self.lattice.x) * len(self.lattice.y)] if way == "nearest" else self._nodes,
            extent,
            half_extent=half_extent,
            has_opacities=self.has_opacities,
            way=way,
            own=lambda: self.values,
            ends=ends,
        )
        if not self.has_opacities:
            return PointColours(read[:, :3], read[:, 3:])
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
            c, r = (column + across).clamp(0, len(x) - 1), (row + down).clamp(0, len(y) - 1)
            value = self.values[r * len(x) + c]  # of the border where a point is beyond
            there, value = value[:, -1] > 0, value[:, -5:-1] if self.has_opacities else value[:, [3, 0, 1, 2]]
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
