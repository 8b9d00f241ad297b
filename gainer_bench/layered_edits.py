"""Edits without an inverse: parts that come to lie over one another, as layers whose own maps are known both ways.

What such an edit should look like follows from its layers: each is read where its inverse leads, in a picture several
times as large, they are laid over one another, and the result is averaged. Coordinates are px of the reduced picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from gainer_bench.edit_controls import Premultiplied
from gainer_bench.known_edits import Points2d, pixel_centres
from gainer_ns.rendering.raster import Crop

BAND_ROWS = 32
"""Output rows of the truth that are computed at once."""


@dataclass(frozen=True)
class EditLayer:
    """A part of a picture, and where it goes."""

    holds: Callable[[Points2d], Bool[np.ndarray, "*points"]]  # which points of the picture it is made of
    forward: Callable[[Points2d], Points2d]
    back: Callable[[Points2d], Points2d]  # the inverse of that


@dataclass(frozen=True)
class LayeredEdit:
    """An edit as layers, from back to front, and as GaINeR is told."""

    layers: tuple[EditLayer, ...]
    script: list[dict[str, Any]] | None = None  # edits of a script
    # What a simulation is told instead: its scene. Then all that is known of the map is where particles have gone.
    scene: dict[str, Any] | None = None

    def moved(self, points: Float[np.ndarray, "m 2"]) -> Float[np.ndarray, "m 2"]:
        """Return where points of the picture go, by the layers that they belong to."""
        there = np.array(points, np.float64)
        for layer in self.layers:
            held = layer.holds(points)
            there[held] = layer.forward(points[held])
        return there


def truth_of(
    full: Premultiplied, edit: LayeredEdit, crop: Crop, reduce: int
) -> tuple[Premultiplied, Int[np.ndarray, "h w"]]:
    """Draw an edit by its layers and average it.

    Args:
        full: The whole picture.
        edit: In px of the reduced one.
        crop: What part is drawn, in the same.
        reduce: How many times smaller the reduced one is.

    Returns:
        The truth, and which layer is in front in the middle of each of its pixels: from 1 on; 0 for none.
    """
    left, top, right, bottom = map(int, crop)
    bands, fronts = [], []
    for row in range(top, bottom, BAND_ROWS):
        rows = min(BAND_ROWS, bottom - row)
        fine = pixel_centres((right - left) * reduce, rows * reduce) / reduce + np.array([left, row])
        canvas = np.zeros((*fine.shape[:2], 4), np.float32)
        front = np.zeros(fine.shape[:2], int)
        for number, layer in enumerate(edit.layers, start=1):
            places = layer.back(fine)
            read = (places * reduce - 0.5).astype(np.float32)
            over = cv2.remap(full, read[..., 0], read[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT)
            over = np.clip(over, 0, 1) * layer.holds(places)[..., None]
            canvas = over + canvas * (1 - over[..., 3:])
            front[over[..., 3] > 0.5] = number
        bands.append(cv2.resize(canvas, (right - left, rows), interpolation=cv2.INTER_AREA))
        fronts.append(front[reduce // 2 :: reduce, reduce // 2 :: reduce])
    return np.concatenate(bands), np.concatenate(fronts)


def layered_edits(box: Crop) -> dict[str, LayeredEdit]:
    """Return what is done to a cut-out that shows in a box, in px."""
    left, top, right, bottom = box
    middle, size = np.array([(left + right) / 2, (top + bottom) / 2]), max(right - left, bottom - top)
    fold = left + 0.57 * (right - left)
    waist = float(round(top + 0.5 * (bottom - top)))
    return {
        "fold": _fold(box, fold),
        "crossing": _crossing(box, np.array([middle[0], waist])),
        "cut": _cut(middle, np.array([0.3, 1.0]), 0.08 * size),
        "soft alpha": _swirl(middle, size, None),
        "particles, swirl": _swirl(middle, size, "soft"),
        "particles, torn": _torn(middle, np.array([0.2, 1.0]), 0.12 * size),
    }


def arm_edit(width: int, height: int) -> tuple[LayeredEdit, Callable[[Points2d], Bool[np.ndarray, "*points"]]]:
    """Return an arm that bends by half a turn before the body it hangs by; and where either shows, in px."""
    unit, start = width / 20, np.array([9.3, 5.6]) * (width / 20)
    arm_top, arm_bottom, length = start[1] - unit * 0.6, start[1] + unit * 0.6, 2.6 * unit
    axis = [start.tolist(), (start + [length, 0]).tolist()]

    def shows(points: Points2d) -> Bool[np.ndarray, "*points"]:
        x, y = points[..., 0], points[..., 1]
        body = (x > 3 * unit) & (x < 8 * unit) & (y > unit) & (y < height - unit)
        return body | ((x >= 8 * unit) & (x < 19 * unit) & (y > arm_top) & (y < arm_bottom))

    select = {"box": [float(8.6 * unit), float(arm_top - 2 * unit), float(width), float(arm_bottom + 2 * unit)]}
    script = [{"select": select, "bend": {"degrees": 180.0, "axis": axis}, "order": "front"}]
    return LayeredEdit(_bent(start, length, np.pi), script), shows


def _everything(points: Points2d) -> Bool[np.ndarray, "*points"]:
    return np.ones(points.shape[:-1], bool)


def _still(points: Points2d) -> Points2d:
    return points


def _fold(box: Crop, fold: float) -> LayeredEdit:
    """What is right of an upright line lies, turned over, before what is left of it."""
    _, top, right, bottom = box

    def turned(points: Points2d) -> Points2d:
        return points * [-1, 1] + [2 * fold, 0]

    select = {"box": [fold, top - 2.0, right + 2.0, bottom + 2.0]}
    mirror = {"direction": "horizontal", "center": [fold, (top + bottom) / 2]}
    layers = (
        EditLayer(lambda points: points[..., 0] < fold, _still, _still),
        EditLayer(lambda points: points[..., 0] >= fold, turned, turned),
    )
    return LayeredEdit(layers, [{"select": select, "mode": "piece", "mirror": mirror, "order": "front"}])


def _turn(degrees: float, centre: Float[np.ndarray, "2"]) -> tuple[Callable[[Points2d], Points2d], ...]:
    """Return a turn counter-clockwise as seen, and its inverse."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    back = np.array([[cosine, -sine], [sine, cosine]])
    return lambda points: (points - centre) @ back + centre, lambda points: (points - centre) @ back.T + centre


def _crossing(box: Crop, pivot: Float[np.ndarray, "2"], degrees: float = 125.0) -> LayeredEdit:
    """What is above a level line turns about a point of it, before what is below."""
    left, top, right, _ = box
    forward, back = _turn(degrees, pivot)
    turn = {"rotate": {"degrees": degrees, "center": pivot.tolist()}}
    select = {"box": [left - 2.0, top - 2.0, right + 2.0, float(pivot[1])]}
    layers = (
        EditLayer(lambda points: points[..., 1] >= pivot[1], _still, _still),
        EditLayer(lambda points: points[..., 1] < pivot[1], forward, back),
    )
    return LayeredEdit(layers, [{"select": select, "mode": "piece", **turn, "order": "front"}])


def _cut(point: Float[np.ndarray, "2"], along: Float[np.ndarray, "2"], gap: float) -> LayeredEdit:
    """Two halves move apart across a slanted line."""
    along = along / np.linalg.norm(along)
    left = np.array([along[1], -along[0]])

    def half(sign: float) -> EditLayer:
        step = sign * gap / 2 * left
        return EditLayer(
            lambda points: (points - point) @ left * sign > 0,
            lambda points: points + step,
            lambda points: points - step,
        )

    line = [(point - 10 * along).tolist(), (point + 10 * along).tolist()]
    return LayeredEdit((half(-1), half(1)), [{"cut": {"line": line, "gap": float(gap)}}])


def _swirl(centre: Float[np.ndarray, "2"], size: float, material: str | None) -> LayeredEdit:
    """Turn the middle by 50 degrees, and what is farther out less; a map that has an inverse."""
    radius, degrees = 0.75 * size, 50.0

    def turned(points: Points2d, sign: float) -> Points2d:
        offset = points - centre
        fading = np.clip(1 - np.square(offset / radius).sum(axis=-1), 0, None) ** 2
        angle = sign * math.radians(degrees) * fading
        x, y = offset[..., 0], offset[..., 1]
        cosine, sine = np.cos(angle), np.sin(angle)
        return centre + np.stack([cosine * x + sine * y, cosine * y - sine * x], axis=-1)

    layers = (EditLayer(_everything, lambda points: turned(points, 1), lambda points: turned(points, -1)),)
    if material is not None:
        return LayeredEdit(layers, scene={"bodies": [{"material": material}]})
    twirl = {"degrees": degrees, "center": centre.tolist(), "radius": float(radius)}
    return LayeredEdit(layers, [{"twirl": twirl}])


def _torn(point: Float[np.ndarray, "2"], along: Float[np.ndarray, "2"], gap: float) -> LayeredEdit:
    """Two halves part along a slanted line, each turned by some degrees: rigid bodies that no map joins."""
    along = along / np.linalg.norm(along)
    left = np.array([along[1], -along[0]])

    def half(sign: float) -> EditLayer:
        forward, back = _turn(sign * 9.0, point)
        step = sign * gap * left
        return EditLayer(
            lambda points: (points - point) @ left * sign > 0,
            lambda points: forward(points) + step,
            lambda points: back(points - step),
        )

    return LayeredEdit((half(-1), half(1)), scene={"bodies": [{"material": {"preset": "soft", "tear": 0.3}}]})


def _bent(start: Float[np.ndarray, "2"], length: float, total: float) -> tuple[EditLayer, ...]:
    """Return the three parts of a bend to the left of a line to the right: before its arc, on it, and beyond."""
    along, left, radius = np.array([1.0, 0.0]), np.array([0.0, -1.0]), length / total
    centre, sine, cosine = start + radius * left, math.sin(total), math.cos(total)

    def ahead(points: Points2d) -> Float[np.ndarray, "*points"]:
        return (points - start) @ along

    def placed(angle: Any, inwards: Any) -> Points2d:
        reach = radius - inwards
        return centre + (reach * np.sin(angle))[..., None] * along - (reach * np.cos(angle))[..., None] * left

    def on_arc(points: Points2d) -> Points2d:
        return placed(ahead(points) / radius, (points - start) @ left)

    def from_arc(points: Points2d) -> Points2d:
        offset = points - centre
        angle = np.arctan2(offset @ along, -(offset @ left)) % (2 * np.pi)
        inwards = radius - np.linalg.norm(offset, axis=-1)
        return start + (radius * angle)[..., None] * along + inwards[..., None] * left

    heading = cosine * along + sine * left
    aside = cosine * left - sine * along
    end = placed(np.array(total), np.array(0.0))

    def beyond(points: Points2d) -> Points2d:
        return end + (ahead(points) - length)[..., None] * heading + ((points - start) @ left)[..., None] * aside

    def from_beyond(points: Points2d) -> Points2d:
        offset = points - end
        return start + (length + offset @ heading)[..., None] * along + (offset @ aside)[..., None] * left

    return (
        EditLayer(lambda points: ahead(points) < 0, _still, _still),
        EditLayer(lambda points: (ahead(points) >= 0) & (ahead(points) < length), on_arc, from_arc),
        EditLayer(lambda points: ahead(points) >= length, beyond, from_beyond),
    )
