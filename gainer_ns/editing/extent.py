"""How far what a film shows reaches, in whole pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.editing.pieces import Amounts, Piece
from gainer_ns.frames import Bounds

_INNER_STEP = 4
"""Of the pixels within what is visible every so many along rows and columns are looked at: creases lie there."""
_ROUNDING_PX = 0.01
"""What reaches less far into a pixel does not count."""


def extent_of(pieces: Iterable[Piece], all_amounts: Iterable[Amounts]) -> Bounds | None:
    """Return left, top, right and bottom of all that pieces ever show, in whole pixels; None where that is nothing.

    Args:
        pieces: The pieces.
        all_amounts: How much of each edit there is, for each frame.
    """
    outlines = [(piece, points) for piece in pieces if len(points := outline_of(piece))]
    if not outlines:
        return None
    lows, highs = [], []
    for amounts in all_amounts:
        for piece, points in outlines:
            there = piece.carried(amounts, points, "outline")
            lows.append(there.amin(dim=0))
            highs.append(there.amax(dim=0))
    return in_whole_pixels(torch.stack(lows).amin(dim=0), torch.stack(highs).amax(dim=0))


def in_whole_pixels(low: Float[Tensor, "2"], high: Float[Tensor, "2"]) -> Bounds:
    """Return left, top, right and bottom of the pixels that a box, in pixels, reaches into."""
    left, top = (low + _ROUNDING_PX).floor().tolist()
    right, bottom = (high - _ROUNDING_PX).ceil().tolist()
    return left, top, max(right, left + 1), max(bottom, top + 1)


def even(box: Bounds) -> Bounds:
    """Return a box with an even number of columns and rows, as films need."""
    left, top, right, bottom = box
    return left, top, left + 2 * math.ceil((right - left) / 2), top + 2 * math.ceil((bottom - top) / 2)


def outline_of(piece: Piece) -> Float[Tensor, "m 2"]:
    """Return the corners of the pixels at the border of what a piece shows, and of some within it."""
    shown: Bool[Tensor, "h w"] = piece.is_visible.view(piece.rest.shape)
    inner = shown.clone()
    inner[1:] &= shown[:-1]
    inner[:-1] &= shown[1:]
    inner[:, 1:] &= shown[:, :-1]
    inner[:, :-1] &= shown[:, 1:]
    inner[0], inner[-1], inner[:, 0], inner[:, -1] = False, False, False, False
    some = torch.zeros_like(shown)
    some[::_INNER_STEP, ::_INNER_STEP] = True
    pixels = piece.rest.pixels[(shown & (some | ~inner)).flatten()].double()
    corners = pixels.new_tensor([[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]])
    return (pixels[:, None] + corners).flatten(0, 1)
