"""How wide the falloff around a region must be so that the sheet neither folds nor tears."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from gainer_ns.editing.falloff import Falloff, RegionDistance
from gainer_ns.editing.moving_piece import Amounts, MovingPiece
from gainer_ns.editing.selection import Selection
from gainer_ns.editing.steps import Placed, Step, Weights, border_holds
from gainer_ns.frames import Bounds

_WIDTHS_PER_PIXEL = 3.0
"""How wide the falloff is for each pixel by which the region's border moves; it is up to 1.9 times as steep."""
_MIN_WIDTH_PX = 4.0
_WAY_PARTS = 4
"""Into so many parts the way of the border is divided: a whole turn goes far, though it ends where it began."""
_WIDENED = (1.0, 1.5, 2.2)
"""How many times wider it is tried where it folds or tears."""
_REACH_WIDTHS = 1.15
"""How far distances are told, in widths, so that something around the falloff stays."""
_MIN_REACH_PX = 8.0
_LONGEST_WAY = 2.0
"""How much longer a way along the material is looked for than the way straight there."""
_MAX_BORDER_POINTS = 2000


class SizedFalloff(NamedTuple):
    """A falloff, and whether it holds.

    Attributes:
        falloff: Around the region.
        holds: Whether nothing folds, or is stretched or shrunk much more than the edit itself does.
    """

    falloff: Falloff
    holds: bool


class FalloffSizer:
    """Chooses the width of the falloff around a region of a piece; distances are kept, for a hand that drags.

    Args:
        piece: That is moved.
        region: The part that moves wholly.
        bounds: Of the region, in pixels of the piece's picture.
    """

    def __init__(self, piece: MovingPiece, region: Selection, bounds: Bounds) -> None:
        self._piece, self._region, self._bounds = piece, region, bounds
        self._distances: dict[int, RegionDistance] = {}
        pixels = piece.source.shown.pixels
        depth = region.depth(pixels)
        self._farthest = max(1.0, -float(depth.min()))
        border = pixels[depth.abs() <= 1.0]
        self._border = border[:: math.ceil(len(border) / _MAX_BORDER_POINTS) or 1]

    def sized(self, step: Step, amounts: Amounts, extremes: Sequence[float]) -> SizedFalloff:
        """Return the falloff for what an edit does.

        Args:
            step: The edit, of the region as a whole.
            amounts: Of the edits before it, and none of it.
            extremes: The amounts at which it does most.
        """
        softness = self._region.softness
        start = self._piece.placed(amounts, self._border)
        width = softness or max(_MIN_WIDTH_PX, _WIDTHS_PER_PIXEL * self._moved_by(step, start, extremes))
        falloff = None
        for factor in (1.0,) if softness else _WIDENED:
            distance = self._distance_within(factor * width)
            falloff = Falloff(distance, max(1.0, min(factor * width, distance.widest)))
            one = step.following(step.operations, falloff)
            if all(self._holds(one, falloff, start, amounts, amount) for amount in extremes):
                return SizedFalloff(falloff, True)
        assert falloff is not None
        return SizedFalloff(falloff, False)

    def _moved_by(self, step: Step, start: Placed, extremes: Sequence[float]) -> float:
        """Return how far the region's visible border goes at most, in pixels of the piece, and not straight there."""
        if len(self._border) == 0 or not extremes:
            return 0.0
        fastest = 0.0
        for extreme in extremes:
            on_way = (step.moved(start, extreme * part / _WAY_PARTS, None).points for part in range(1, _WAY_PARTS + 1))
            way = torch.stack([start.points, *on_way])
            fastest = max(fastest, float(way.diff(dim=0).norm(dim=2).max()))
        return fastest * _WAY_PARTS / (self._piece.scale * step.unit)

    def _distance_within(self, width: float) -> RegionDistance:
        """Return distances as far as a width, or farther: to a power of root 2, so that many widths share them."""
        reach = max(_MIN_REACH_PX, min(_REACH_WIDTHS * width, _LONGEST_WAY * self._farthest))
        half_octaves = math.ceil(2 * math.log2(reach))
        if half_octaves not in self._distances:
            shown = self._piece.source.shown
            self._distances[half_octaves] = RegionDistance.around(
                self._region, shown, 2.0 ** (0.5 * half_octaves), self._bounds
            )
        return self._distances[half_octaves]

    def _holds(self, step: Step, falloff: Falloff, border: Placed, amounts: Amounts, amount: float) -> bool:
        """Return whether nothing visible folds or tears in the falloff."""
        around, pixels = falloff.distance.samples, falloff.distance.sample_points
        if around is None or pixels is None or falloff.band is None:
            weights = Weights(torch.full_like(self._border[:, 0], 0.5), falloff.slopes_at_border(self._border))
            return border_holds(border, step.moved(border, amount, None), step.moved(border, amount, weights))
        there = [amount if number == step.edit else one for number, one in enumerate(amounts)]
        start, free = (
            self._piece.placed(amounts, pixels, falloff.distance.anchors),
            torch.from_numpy(falloff.band.is_free),
        )
        ends = step.moved(start, amount, None), self._piece.followed(step, there, start, around)
        return border_holds(*(one[free] for one in (start, *ends)))
