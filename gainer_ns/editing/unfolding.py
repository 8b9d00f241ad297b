"""The one door from a posed piece to its layers: taken apart, in order of depth, where it lies over itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from gainer_ns.editing.falloff import Falloff
from gainer_ns.editing.pieces import Amounts, Piece
from gainer_ns.editing.steps import Step
from gainer_ns.motion.folds import PatchDepths, layers_of
from gainer_ns.motion.rest_map import RestMap
from gainer_ns.rendering.plane import AnyLayer
from gainer_ns.rendering.sheet import Sheet


def unfolded(
    piece: Piece, amounts: Amounts, depths: Sequence[float] | None = None, max_nodes: int | None = None
) -> tuple[AnyLayer, ...]:
    """Pose a piece, and return it as layers, from back to front, none of which covers itself.

    Args:
        piece: The piece, which keeps what has not changed.
        amounts: Of the edits.
        depths: Of what each edit moves, the larger the nearer; what it does not move has 0. None where only what faces
            as it did, and what comes later on the sheet, lies in front.
        max_nodes: See :meth:`gainer_ns.editing.pieces.Piece.posed`.
    """
    whole = piece.posed(amounts, max_nodes)
    if not isinstance(whole, Sheet) or not isinstance(whole.rest_map, RestMap):
        return (whole,)
    relevant = None if depths is None else [depths[step.edit] for step in piece.steps]
    if piece.apart is None or piece.apart[0] is not whole or piece.apart[1] != relevant:
        rest_map = whole.rest_map
        maps = layers_of(rest_map, None if depths is None else lambda: _depths(piece, rest_map, amounts, depths))
        layers = tuple(replace(whole, rest_map=one) for one in maps) if len(maps) > 1 else (whole,)
        piece.apart = whole, relevant, layers
    return piece.apart[2]


def _depths(piece: Piece, rest_map: RestMap, amounts: Amounts, depths: Sequence[float]) -> PatchDepths:
    """Return how near each patch is: as edits say of regions, and among equals the farther it has moved the nearer."""
    steps = [step for step in piece.steps if amounts[step.edit] != 0]
    grid = rest_map.grid
    middles = grid.rest_middles
    moved = (grid.middles - middles).norm(dim=2).float()
    is_front = not steps or depths[steps[-1].edit] >= 0
    regions = [step for step in steps if isinstance(step.selection, Falloff)]
    material = [step for step in steps if isinstance(step, Step) and step.knows_material]
    if not regions and not material:
        return PatchDepths(None, moved if is_front else -moved)
    pixels = piece.plane.pixel_from_plane(middles.flatten(0, 1))
    key = "patches", round(grid.step[0] / piece.plane.pixel_size)
    order = torch.zeros(len(pixels), device=pixels.device)
    for step in regions:
        weights = piece.follows(step, pixels, key)
        if weights is not None:
            order += depths[step.edit] * weights.to(order)
    for step in material:
        places = pixels * piece.scale + pixels.new_tensor(piece.place)
        own = step.depths(places, amounts[step.edit], (piece, key))
        if own is not None:
            order += own.to(order)
    return PatchDepths(order.view(middles.shape[:2]), moved if is_front else -moved)
