"""Where two states of an edited picture may look otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Shaped
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
    layers = tuple(_joined(one.layers) for one in (before, after))
    if len(layers[0]) != len(layers[1]):
        kept = {id(layer) for layer in before.layers} & {id(layer) for layer in after.layers}
        common = [[layer for layer in one.layers if id(layer) in kept] for one in (before, after)]
        if any(one is not other for one, other in zip(*common, strict=True)):
            return None
        return [layer.bounds for one in (before, after) for layer in one.layers if id(layer) not in kept]
    found: list[Bounds] = []
    for one, other in zip(*layers, strict=True):
        if one is not other:
            found.extend(_of_layers(one, other))
    return found


def _joined(layers: Sequence[AnyLayer]) -> list[AnyLayer]:
    """Return layers, but the sheets that one was taken apart into as one again, whose depths tell them apart."""
    found: list[AnyLayer] = []
    parts: list[RestMap] = []
    for layer in layers:
        own = layer.rest_map if isinstance(layer, Sheet) and isinstance(layer.rest_map, RestMap) else None
        if own is None or not parts or own.grid is not parts[0].grid:
            found.append(layer)
            parts = [] if own is None else [own]
            continue
        parts.append(own)
        there = [_heights(part) > 0 for part in parts]
        heights = torch.stack([number * one for number, one in enumerate(there, 1)]).amax(dim=0)
        found[-1] = replace(layer, rest_map=replace(own, present=heights > 0, depths=heights - 1))
    return found


def _heights(rest_map: RestMap) -> Shaped[Tensor, "r c"]:
    """Return how high patches lie, 0 for those that there are not."""
    rows, columns = (side - 3 for side in rest_map.grid.nodes.shape[:2])
    device = rest_map.grid.nodes.device
    there = torch.ones(rows, columns) if rest_map.present is None else rest_map.present
    return there.to(device) if rest_map.depths is None else there.to(device) * (1 + rest_map.depths.to(device))


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
    """Return bounds of where two maps differ: around nodes that have moved, and patches that lie at another depth."""
    same = (one.grid.origin, one.grid.step, one.limits) == (other.grid.origin, other.grid.step, other.limits)
    if not same or one.grid.nodes.shape != other.grid.nodes.shape:
        return whole
    changed = (one.grid.nodes != other.grid.nodes).any(dim=2)
    if one.present is not other.present or one.depths is not other.depths:
        changed[1:-2, 1:-2] |= _heights(one) != _heights(other)
    window = _span(changed, _NODES_AROUND)
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
