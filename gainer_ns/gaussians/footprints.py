"""What a point of an output stands for, where a picture shrinks: a parallelogram that is averaged."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.gaussians.small_matrices import determinant, product

MAX_SAMPLES = 16
"""Most samples along a side of a footprint."""
MIN_TABLE_NODES = 4
"""From this length of the shorter side on, tables of what is drawn at the nodes are read, of half the resolution and
less as long as it has so many texels of these: with fewer, thin lines alias."""
MIN_DRAFT_NODES = 1.5
"""The same in drafts, of which each point reads one place of the tables."""
LEAST_MINIFICATION, FULL_MINIFICATION = 1.01, 1.05
"""Up to the first a point stands for itself, from the second on a footprint is averaged wholly."""
_SOME = 1024
"""Points that tell what is typical."""


@dataclass(frozen=True)
class PixelExtent:
    """What an output pixel covers of a picture.

    Attributes:
        side: Of the pixel where it is shown.
        pixel: Side of a pixel of the picture where it was fitted: so much a sample may stand for.
        inverse_jacobians: [m, 2, 2], from steps where it is shown to steps where the points are; None where nothing has
            moved.
        is_draft: Whether one sample is to do, of tables where there are some, and where there are none of the picture.
    """

    side: float
    pixel: float
    inverse_jacobians: Float[Tensor, "m 2 2"] | None = None
    is_draft: bool = False

    @property
    def samples(self) -> tuple[int, float]:
        """How many samples there are along a side at most, and how many nodes it has at least where tables are read."""
        return (1, MIN_DRAFT_NODES) if self.is_draft else (MAX_SAMPLES, MIN_TABLE_NODES)

    def __getitem__(self, chosen: Any) -> PixelExtent:
        """Of some of the points."""
        inverses = self.inverse_jacobians
        return self if inverses is None else replace(self, inverse_jacobians=inverses[chosen])

    def may_read_tables(self, spacing: float) -> bool:
        """Return whether tables of what is drawn at nodes of a spacing may be read."""
        longest = self.side
        if self.inverse_jacobians is not None and len(self.inverse_jacobians) > 0:
            least, most = torch.stack(self.inverse_jacobians.aminmax()).tolist()
            longest *= math.sqrt(2) * max(-least, most)
        return longest >= self.samples[1] * spacing

    def longest_sides(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, " m"]:
        """Return the longer side, in pixels, of what each of the points covers; 0 where that is nothing."""
        side = self.side / self.pixel
        if self.inverse_jacobians is None:
            return points.new_full((len(points),), side)
        return self.inverse_jacobians.square().sum(dim=1).amax(dim=1).sqrt() * side

    @property
    def typical_side(self) -> float:
        """The mean side of what is covered, in pixels of the picture; of many points, that of some in the middle."""
        side = self.side / self.pixel
        if self.inverse_jacobians is None or side == 0 or len(self.inverse_jacobians) == 0:
            return side
        some = self.inverse_jacobians[:: max(1, len(self.inverse_jacobians) // _SOME)]
        there = some.abs().sum(dim=(1, 2)) > 0
        size = float(torch.where(there, determinant(some).abs().sqrt(), math.nan).nanmedian())
        return side if math.isnan(size) else side * size

    def through(self, inverses: Float[Tensor, "m 2 2"], pixel: float) -> PixelExtent:
        """Return what it covers where points lay before something else moved them."""
        own = self.inverse_jacobians
        inverses = inverses if own is None else product(inverses, own)
        return replace(self, pixel=pixel, inverse_jacobians=inverses)


@dataclass(frozen=True)
class Footprints:
    """What points stand for.

    Attributes:
        sides: [m, 2, 2], two sides of each parallelogram, as columns.
        counts: [m, 2], int32, how many samples along each side; 1 where it counts for nothing.
    """

    sides: Float[Tensor, "m 2 2"]
    counts: Int[Tensor, "m 2"]

    @classmethod
    def of(cls, extent: PixelExtent, points: Float[Tensor, "m 2"], further: Tensor | None = None) -> Footprints | None:
        """Return the footprints of points; None where none is longer than a pixel of what is read.

        A side is averaged over where it is longer than a pixel: a little longer, over a part of it, so that nothing
        jumps where a picture begins to shrink.

        Args:
            extent: What the points cover.
            points: The points.
            further: [m, 2, 2], from steps where the points are to steps where pixels are counted; None where that is
                the same.
        """
        sides = torch.eye(2).to(points)[None] if extent.inverse_jacobians is None else extent.inverse_jacobians
        counted = sides if further is None else product(further, sides)
        lengths = (counted[:, 0].square() + counted[:, 1].square()).sqrt() * (extent.side / extent.pixel)
        if len(points) == 0 or float(lengths.amax()) <= LEAST_MINIFICATION:
            return None
        counts = (lengths + 1 - LEAST_MINIFICATION).ceil().clamp(1, MAX_SAMPLES).int().expand(len(points), 2)
        shares = ((lengths - LEAST_MINIFICATION) / (FULL_MINIFICATION - LEAST_MINIFICATION)).clamp(0, 1)
        sides = (extent.side * shares[:, None] * sides).expand(len(points), 2, 2)
        return cls(sides, counts)

    def __getitem__(self, chosen: Tensor) -> Footprints:
        """Of some of the points."""
        return Footprints(self.sides[chosen], self.counts[chosen])

    @property
    def kinds(self) -> list[tuple[int, int, Int[Tensor, " n"]]]:
        """The numbers of samples along both sides that occur, and which points have so many."""
        wide = MAX_SAMPLES + 1
        codes = self.counts[:, 0] * wide + self.counts[:, 1]
        found = torch.bincount(codes).nonzero()[:, 0].tolist()
        return [(code // wide, code % wide, (codes == code).nonzero()[:, 0]) for code in found]

    def samples(self, points: Float[Tensor, "m 2"], columns: int, rows: int) -> Float[Tensor, "m s 2"]:
        """Return the samples around points, of so many along each side."""
        across = (torch.arange(columns, device=points.device) + 0.5) / columns - 0.5
        down = (torch.arange(rows, device=points.device) + 0.5) / rows - 0.5
        away = torch.stack(torch.broadcast_tensors(across[None, :], down[:, None]), dim=-1).view(-1, 2).to(points)
        return points[:, None] + torch.einsum("mij,sj->msi", self.sides, away)
