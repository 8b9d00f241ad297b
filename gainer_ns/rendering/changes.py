"""Where two states of an edited picture may look otherwise."""

from __future__ import annotations

from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.frames import ImagePlane
from gainer_ns.motion.rest_map import RestMap
from gainer_ns.rendering.plane import AnyLayer, BakedPicture
from gainer_ns.rendering.presence import Presence
from gainer_ns.rendering.sheet import Sheet

Bounds: TypeAlias = tuple[Float[Tensor, "2"], Float[Tensor, "2"]]
"""Lowest and highest coordinates, in plane units."""

_NODES_AROUND = 8
"""So many nodes away from one that has moved, a spline through them has moved by 3e-5 of its way."""


def changed_bounds(before: BakedPicture, after: BakedPicture) -> list[Bounds] | None:
    """Return bounds of where two pictures may differ, none where they do not; None where that cannot be told."""
    if (before.plane, before.profile) != (after.plane, after.profile):
        return None
    if len(before.layers) != len(after.layers):
        kept = {id(layer) for layer in before.layers} & {id(layer) for layer in after.layers}
        common = [[layer for layer in one.layers if id(layer) in kept] for one in (before, after)]
        if any(one is not other for one, other in zip(*common, strict=True)):
            return None
        return [layer.bounds for one in (before, after) for layer in one.layers if id(layer) not in kept]
    found: list[Bounds] = []
    for one, other in zip(before.layers, after.layers, strict=True):
        if one is not other:
            found.extend(_of_layers(one, other))
    return found


def _of_layers(one: AnyLayer, other: AnyLayer) -> list[Bounds]:
    """Return bounds of where two layers may differ."""
    whole = [one.bounds, other.bounds]
    if not (isinstance(one, Sheet) and isinstance(other, Sheet)) or one.rest is not other.rest:
        return whole
    if (one.plane, one.canvas) != (other.plane, other.canvas):
        return whole
    if one.rest_map is None and other.rest_map is None:
        return _of_presences(one.presence, other.presence, one.plane, whole)
    if _field(one.presence) is not _field(other.presence):
        return whole
    if isinstance(one.rest_map, RestMap) and isinstance(other.rest_map, RestMap):
        return _of_maps(one.rest_map, other.rest_map, whole)
    return whole


def _field(presence: Presence | None) -> Tensor | None:
    return None if presence is None else presence.field


def _of_presences(one: Presence | None, other: Presence | None, plane: ImagePlane, whole: list[Bounds]) -> list[Bounds]:
    """Return bounds of where what lies as it did is present otherwise."""
    if _field(one) is _field(other):
        return []
    if one is None or other is None or one.corner != other.corner or one.field.shape != other.field.shape:
        return whole
    window = _span(one.field != other.field, 1)
    if window is None:
        return []
    top, bottom, left, right = window
    ends = torch.tensor([[left, bottom], [right, top]], dtype=torch.float64) + torch.tensor(one.corner)
    low, high = plane.plane_from_pixel(ends).to(one.field)
    return [(low, high)]


def _of_maps(one: RestMap, other: RestMap, whole: list[Bounds]) -> list[Bounds]:
    """Return bounds of where two maps differ: around the nodes that have moved."""
    same = (one.grid.origin, one.grid.step, one.limits) == (other.grid.origin, other.grid.step, other.limits)
    if not same or one.present is not other.present or one.depths is not other.depths:
        return whole
    if one.grid.nodes.shape != other.grid.nodes.shape:
        return whole
    window = _span((one.grid.nodes != other.grid.nodes).any(dim=2), _NODES_AROUND)
    if window is None:
        return []
    top, bottom, left, right = window
    bounds: list[Bounds] = []
    for grid, (low, high) in zip((one.grid, other.grid), whole, strict=True):
        nodes = grid.nodes[max(0, top) : bottom, max(0, left) : right]
        steps = [nodes.diff(dim=axis).abs().flatten(0, 1) for axis in (0, 1)]
        margin = torch.cat([torch.zeros_like(nodes[:1, 0]), *steps]).amax(dim=0)  # within which a patch bends
        flat = nodes.flatten(0, 1)
        bounds.append((torch.maximum(low, flat.amin(dim=0) - margin), torch.minimum(high, flat.amax(dim=0) + margin)))
    return bounds


def _span(changed: Bool[Tensor, "r c"], margin: int) -> tuple[int, int, int, int] | None:
    """Return first and last rows and columns, and a margin around them; None where nothing has changed."""
    rows, columns = (changed.any(dim=axis).nonzero()[:, 0].tolist() for axis in (1, 0))
    if not rows:
        return None
    return rows[0] - margin, rows[-1] + 1 + margin, columns[0] - margin, columns[-1] + 1 + margin
