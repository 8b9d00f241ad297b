"""Rest maps of sheets that lie over themselves, taken apart into maps each of which lies in one layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gainer_ns.gaussians.small_matrices import determinant, inverse, product
from gainer_ns.motion.posed_patches import MeasuredPatches
from gainer_ns.motion.rest_map import RestMap

_MAX_SPAN = 3
"""Patches no farther apart at rest are beside one another; where these cover one another the nearest counts."""
_TOUCH = 0.02
"""So little, in patches, two may lie over one another and count as beside one another."""
_MOST_LAYERS = 8
"""So many layers over one another are told apart; what folds more often than that is left to the nearest."""


class PatchDepths(NamedTuple):
    """How near the patches of a sheet are, the larger the nearer: [r, c], one for each patch or none.

    Attributes:
        order: What a script says; None where all are equally near.
        among_equals: What decides among those, after whether they face as they did.
    """

    order: Float[Tensor, "r c"] | None
    among_equals: Float[Tensor, "r c"]


def layers_of(rest_map: RestMap, find_depths: Callable[[], PatchDepths] | None = None) -> tuple[RestMap, ...]:
    """Return maps of parts of a sheet, from back to front, so that no two patches of one lie over one another.

    So what is clear at the edge of what lies in front shows what it covers. Nearest is what has the greatest depth;
    then what faces as it did; then what has the greatest depth among equals, or comes last on the sheet. A sheet that
    does not cover itself is one map.

    Args:
        rest_map: Of the whole sheet.
        find_depths: Tells those of its patches; asked only where it may cover itself.
    """
    patches = rest_map.measured
    if patches is None or bool((patches.crowd.single == 1).all()):
        return (rest_map,)
    crowd, columns = patches.crowd, rest_map.grid.nodes.shape[1]
    cell = torch.repeat_interleave(crowd.offsets.diff().long(), output_size=len(crowd.members))
    crowded = crowd.single[cell] == 0
    cell, patch = cell[crowded], crowd.members[crowded].long()
    row, column = patches.corners[patch] // columns, patches.corners[patch] % columns
    spread = torch.zeros_like(cell, dtype=torch.bool)
    for side in (row, column):  # most cells are crowded by neighbours alone
        least, most = (torch.zeros(len(crowd.single), dtype=side.dtype, device=side.device) for _ in range(2))
        least = least.scatter_reduce(0, cell, side, "amin", include_self=False)
        most = most.scatter_reduce(0, cell, side, "amax", include_self=False)
        spread |= (most - least)[cell] > _MAX_SPAN
    if not bool(spread.any()):
        return (rest_map,)
    cell, patch, row, column = cell[spread], patch[spread], row[spread], column[spread]
    low, high = patches.low[patch], patches.high[patch]
    faces = determinant(patches.inverses) * rest_map.grid.step[0] * rest_map.grid.step[1] > 0
    order, among_equals = (None, None) if find_depths is None else find_depths()
    keys = [None if one is None else _of_patches(rest_map, one).to(faces.device) for one in (among_equals, order)]
    rank = _ranks([keys[0], faces.int(), keys[1]])
    below, above = [], []
    for away in range(
        1, int(torch.bincount(cell).max())
    ):  # every two patches of a cell: neighbours in the list of its patches, and farther ones
        same = cell[away:] == cell[:-away]
        apart = ((row[away:] - row[:-away]).abs() > _MAX_SPAN) | ((column[away:] - column[:-away]).abs() > _MAX_SPAN)
        meet = ((low[away:] < high[:-away]) & (low[:-away] < high[away:])).all(dim=1)
        found = (same & apart & meet).nonzero()[:, 0]
        one, other = patch[found], patch[found + away]
        lie_over = _lie_over(patches, one, other) & _lie_over(patches, other, one)
        one, other = one[lie_over], other[lie_over]
        is_below = rank[one] < rank[other]
        below.append(torch.where(is_below, one, other))
        above.append(torch.where(is_below, other, one))
    if not below or sum(map(len, below)) == 0:
        return (rest_map,)
    return _split(rest_map, _heights(torch.cat(below), torch.cat(above), len(patches.corners)))


def _lie_over(patches: MeasuredPatches, one: Int64[Tensor, " e"], other: Int64[Tensor, " e"]) -> Bool[Tensor, " e"]:
    """Return whether no line along a side of the first of two straight patches parts them (separating axes)."""
    into = patches.inverses[one]
    away = torch.einsum("eij,ej->ei", into, patches.centres[other] - patches.centres[one])
    halves = 0.5 + 0.5 * product(into, inverse(patches.inverses[other])).abs().sum(dim=2)
    return (away.abs() < halves - _TOUCH).all(dim=1)


def _of_patches(rest_map: RestMap, values: Float[Tensor, "r c"]) -> Float[Tensor, " p"]:
    """Return what is said of the patches that there are."""
    return values.flatten() if rest_map.present is None else values[rest_map.present.to(values.device)]


def _ranks(keys: Sequence[Tensor | None]) -> Int64[Tensor, " p"]:
    """Return the places of patches from the farthest to the nearest, by keys of which the last counts most."""
    given = [key for key in keys if key is not None]
    order = torch.arange(len(given[0]), device=given[0].device)
    for key in given:
        order = order[key[order].argsort(stable=True)]
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(order), device=order.device)
    return ranks


def _heights(below: Int64[Tensor, " e"], above: Int64[Tensor, " e"], count: int) -> Int64[Tensor, " p"]:
    """Return layers for patches, so that each lies higher than all that it covers."""
    heights = torch.zeros(count, dtype=torch.int64, device=below.device)
    for _ in range(_MOST_LAYERS):
        raised = heights.scatter_reduce(0, above, heights[below] + 1, "amax").clamp(max=_MOST_LAYERS - 1)
        if bool((raised == heights).all()):
            break
        heights = raised
    return heights


def _split(rest_map: RestMap, heights: Int64[Tensor, " p"]) -> tuple[RestMap, ...]:
    rows, columns, _ = rest_map.grid.nodes.shape
    whole = torch.full((rows - 3, columns - 3), -1, dtype=torch.int64, device=heights.device)
    present = torch.ones_like(whole, dtype=torch.bool) if rest_map.present is None else rest_map.present
    whole[present] = heights
    return tuple(replace(rest_map, present=whole == height) for height in heights.unique().tolist())
