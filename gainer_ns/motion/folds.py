"""Rest maps of sheets that lie over themselves, taken apart into maps each of which lies in one layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
import warp as wp
from jaxtyping import Float, Int32, Int64
from torch import Tensor

from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.gaussians.small_matrices import determinant, inverse
from gainer_ns.motion.fold_kernels import cover_pairs_kernel
from gainer_ns.motion.posed_patches import MeasuredPatches
from gainer_ns.motion.rest_map import RestMap

_MAX_SPAN = 3
"""Patches no farther apart at rest are beside one another; where these cover one another the nearest counts."""
_TOUCH = 0.02
"""So little, in patches, two may lie over one another and count as beside one another."""
_GRAIN_CELLS = 64
"""Cells that a thread takes at least at once."""
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
    faces = determinant(patches.inverses) * rest_map.grid.step[0] * rest_map.grid.step[1] > 0
    order, among_equals = (None, None) if find_depths is None else find_depths()
    keys = [None if one is None else _of_patches(rest_map, one).to(faces.device) for one in (among_equals, order)]
    rank = _ranks([keys[0], faces.int(), keys[1]])
    below, above = covering_pairs(patches, cell[spread].unique().int(), rank).long().unbind(1)
    if len(below) == 0:
        return (rest_map,)
    return _split(rest_map, _heights(below, above, len(patches.corners)))


def covering_pairs(
    patches: MeasuredPatches, cells: Int32[Tensor, " c"], rank: Int64[Tensor, " p"]
) -> Int32[Tensor, "e 2"]:
    """Return which patches lie over one another and are not beside one another: the lower, and the one that covers it.

    Args:
        patches: The patches.
        cells: Where they are looked for; a pair may be found in several.
        rank: Of each patch, the higher the nearer.
    """
    kinds = [(patches.low, wp.vec2), (patches.high, wp.vec2), (patches.centres, wp.vec2), (patches.inverses, wp.mat22)]
    kinds += [(inverse(patches.inverses).contiguous(), wp.mat22), (rank.int(), wp.int32)]
    known = [
        *(Typed(one, wp.int32) for one in (cells, patches.crowd.offsets, patches.crowd.members, patches.corners)),
        patches.grid.nodes.shape[1],
        _MAX_SPAN,
        *(Typed(one, kind) for one, kind in kinds),
        _TOUCH,
    ]
    counts, device = torch.zeros_like(cells), cells.device
    nothing = torch.empty(0, 2, dtype=torch.int32, device=device)
    outputs = [0, Typed(counts, wp.int32), Typed(nothing, wp.vec2i)]
    kernels.launch(cover_pairs_kernel, len(cells), [*known, *outputs], device, grain=_GRAIN_CELLS)
    starts, total = counts.cumsum(0, dtype=torch.int32) - counts, int(counts.sum())
    pairs = torch.empty(total, 2, dtype=torch.int32, device=device)
    if total > 0:
        outputs = [1, Typed(starts, wp.int32), Typed(pairs, wp.vec2i)]
        kernels.launch(cover_pairs_kernel, len(cells), [*known, *outputs], device, grain=_GRAIN_CELLS)
    return pairs


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
