"""How wide the falloff around a region must be so that the sheet neither folds nor tears."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.editing.falloff import Falloff, RegionDistance
from gainer_ns.editing.pieces import Amounts, Piece
from gainer_ns.editing.selection import Selection
from gainer_ns.editing.steps import Placed, Step, border_holds
from gainer_ns.frames import Bounds

_WIDTHS_PER_PIXEL = 3.0
"""How wide the falloff is for each pixel by which the region's border moves; it is up to 1.9 times as steep."""
_MIN_WIDTH_PX = 4.0
_WAY_PARTS = 4
"""Into so many parts the way of the border is divided: a whole turn goes far, though it ends where it began."""
_WIDENED = (1.0, 1.5, 2.2)
"""How many times wider it is tried where it folds or tears."""


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
    """

    def __init__(self, piece: Piece, region: Selection) -> None:
        self._piece, self._region = piece, region
        self._distances: dict[int, RegionDistance] = {}
        self._visible = piece.is_visible.view(piece.rest.shape)
        shown = piece.rest.pixels[piece.is_visible]
        self._border = shown[region.depth(shown).abs() <= 1.0]

    def sized(self, step: Step, amounts: Amounts, extremes: Sequence[float]) -> SizedFalloff:
        """Return the falloff for what an edit does.

        Args:
            step: The edit, of the region as a whole.
            amounts: Of the edits before it, and none of it.
            extremes: The amounts at which it does most.
        """
        softness = self._region.softness
        width = softness or max(_MIN_WIDTH_PX, _WIDTHS_PER_PIXEL * self._moved_by(step, amounts, extremes))
        widened = (1.0,) if softness else _WIDENED
        distance = self._distance_within(widened[-1] * width)
        limit = distance.farthest or width  # no falloff is wider than what there is to fall off over
        falloffs = [Falloff(distance, max(1.0, min(factor * width, limit))) for factor in widened]
        for falloff in falloffs:
            if all(_holds(self._piece, step, falloff, amounts, amount) for amount in extremes):
                return SizedFalloff(falloff, True)
        return SizedFalloff(falloffs[-1], False)

    def _moved_by(self, step: Step, amounts: Amounts, extremes: Sequence[float]) -> float:
        """Return how far the region's visible border goes at most, in pixels of the piece, and not straight there."""
        if len(self._border) == 0 or not extremes:
            return 0.0
        start = self._piece.carried(amounts, self._border)
        fastest = 0.0
        for extreme in extremes:
            amounts_on_way = [extreme * part / _WAY_PARTS for part in range(1, _WAY_PARTS + 1)]
            way = [start, *(step.carried(start, amount, None) for amount in amounts_on_way)]
            fastest = max(fastest, float(torch.stack(way).diff(dim=0).norm(dim=2).max()))
        return fastest * _WAY_PARTS / self._piece.scale

    def _distance_within(self, width: float) -> RegionDistance:
        """Return distances as far as a width, or farther: to a power of two, so that many widths share them."""
        octave = max(3, math.ceil(math.log2(width)))
        if octave not in self._distances:
            rest, plane = self._piece.rest, self._piece.plane
            box = _grown(self._region.bounds(plane.width, plane.height), 2.0**octave)
            self._distances[octave] = RegionDistance.around(self._region, self._visible, rest.corner, box)
        return self._distances[octave]


def _grown(box: Bounds, by: float) -> Bounds:
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def _holds(piece: Piece, step: Step, falloff: Falloff, amounts: Amounts, amount: float) -> bool:
    """Return whether nothing visible folds or tears in the falloff, by squares of its lattice."""
    distance = falloff.distance
    if min(distance.values.shape) < 2:
        return True
    weights = falloff.node_weights.flatten()
    start = piece.carried(amounts, distance.nodes)
    whole, followed = (step.carried(start, amount, each) for each in (None, weights))
    shape = distance.values.shape
    low, high = _corners(weights.view(shape)).aminmax(dim=0)
    some = (low < 1) & (high > 0)  # also where the falloff passes between nodes
    chosen = (some & _corners(distance.visible).all(dim=0)).flatten()
    squares = [_square(points.view(*shape, 2), distance.step)[chosen] for points in (start, whole, followed)]
    return border_holds(*(Placed(square[:, :, 0], square) for square in squares))


def _corners(values: Tensor) -> Tensor:
    """Return what is said of the four corners of each square, [4, r, c]."""
    return torch.stack([values[:-1, :-1], values[:-1, 1:], values[1:, :-1], values[1:, 1:]])


def _square(points: Float[Tensor, "r c 2"], step: float) -> Float[Tensor, "m 2 2"]:
    """Return the mean slopes of each square between four points."""
    a, b, c, d = _corners(points)
    return torch.stack([b + d - a - c, c + d - a - b], dim=-1).view(-1, 2, 2) / (2 * step)
