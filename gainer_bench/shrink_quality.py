"""How well a picture shrinks: ``python -m gainer_bench shrink-quality --pictures PICTURE...``.

What is drawn, as a whole at a scale and by an edit, is compared with the area average of the cubic spline of its
source, which is read four times as densely as the source's pixels, or more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float
from scipy import ndimage

import gainer_ns as gn
from gainer_bench.between_pixels import BORDER_PX
from gainer_bench.outputs import print_plain, write_text
from gainer_bench.tables import Table
from gainer_ns.metrics import psnr

SHRINKS = (1.05, 1.1, 1.3, 1.5, 2.0, 2.5, 3.0, 5.0, 8.0)
SAMPLES_PER_PX = 4
"""Of the reference, along each axis."""
_DRAWING_PX = (512, 384)


class ShrinkScore(NamedTuple):
    """How near a shrunk picture is to the area average, in dB."""

    scaled: float  # drawn at a scale of 1 / s
    edited: float  # edited by scale: {factor: 1 / s}


def line_drawing() -> np.ndarray:
    """Return lines and circles one to three pixels wide on white, uint8: the hardest to shrink."""
    width, height = _DRAWING_PX
    drawing, random = np.full((height, width, 3), 255, np.uint8), np.random.default_rng(0)
    for _ in range(40):
        start, end = random.integers(0, _DRAWING_PX, (2, 2)).tolist()
        cv2.line(drawing, start, end, random.integers(0, 200, 3).tolist(), int(random.integers(1, 4)))
    for _ in range(12):
        centre = random.integers(0, _DRAWING_PX).tolist()
        cv2.circle(drawing, centre, int(random.integers(5, 60)), (0, 0, 0), int(random.integers(1, 3)))
    return drawing


def area_average(
    values: Float[np.ndarray, "h w c"], axis: int, start: float, step: float, count: int
) -> Float[np.ndarray, "r k c"]:
    """Return means, along an axis, of the cubic spline through pixels (mirrored at its ends) over parts of it.

    Args:
        values: The pixels.
        axis: 0 or 1.
        start: Where the first part begins, in pixels from the edge of the first.
        step: Length of a part in pixels.
        count: How many parts there are.
    """
    coefficients = np.moveaxis(ndimage.spline_filter1d(values, 3, axis, mode="mirror"), axis, 0)
    samples, last = math.ceil(SAMPLES_PER_PX * step), len(coefficients) - 1
    places = start + (np.arange(count * samples) + 0.5) * (step / samples) - 0.5
    first = np.floor(places).astype(int)
    found = np.zeros((count, *coefficients.shape[1:]))
    for node in range(-1, 3):
        away = np.abs(places - first - node)
        weights = np.where(away < 1, 2 / 3 - away**2 + away**3 / 2, (2 - away) ** 3 / 6)
        index = np.abs(first + node) % (2 * last)
        terms = coefficients[np.minimum(index, 2 * last - index)] * weights[:, None, None]
        found += terms.reshape(count, samples, *coefficients.shape[1:]).mean(axis=1)
    return np.moveaxis(found, 0, axis)


def shrink_quality(pixels: np.ndarray, shrinks: Sequence[float] = SHRINKS) -> list[ShrinkScore]:
    """Fit a picture, uint8 [h, w, 3], shrink it, and return how near that is to the area average, by each factor."""
    picture, colours, scores = gn.fit(pixels), pixels / 255, []
    for shrink in shrinks:
        scaled = picture.render(scale=1 / shrink, dtype="float32")
        edited = picture.edit({"scale": {"factor": 1 / shrink}}).render(dtype="float32")[..., :3]
        parts = []
        for drawn, is_edit in ((scaled, False), (edited, True)):
            reference, kept = colours, []
            for axis in (0, 1):
                length, count = pixels.shape[axis], drawn.shape[axis]
                step = shrink if is_edit else length / count
                start = length / 2 - count / 2 * step
                # Only what lies within the source counts, as far from its edge as a spline of it means something.
                first = math.ceil((BORDER_PX - start) / step)
                kept.append(slice(first, count - first))
                reference = area_average(reference, axis, start + first * step, step, count - 2 * first)
            parts.append(psnr(drawn[tuple(kept)], np.clip(reference, 0, 1)))
        scores.append(ShrinkScore(*parts))
    return scores


@dataclass
class ShrinkQuality:
    """Fit pictures, shrink them, and say how far they are from the area average; a drawing of lines is one of them."""

    pictures: tuple[Path, ...]
    """Pictures, without alpha."""
    output: Path | None = None
    """File (.md) to write the table to; None to only show it."""

    def run(self) -> None:
        """Measure all pictures and show the table."""
        from gainer_ns.io.image_io import read_picture

        photos = [
            shrink_quality(np.rint(read_picture(path).colours() * 255).astype(np.uint8)) for path in self.pictures
        ]
        table = shrink_table(photos, shrink_quality(line_drawing())).markdown()
        if self.output is not None:
            write_text(self.output, table)
        print_plain(table)


def shrink_table(photos: Sequence[Sequence[ShrinkScore]], drawing: Sequence[ShrinkScore]) -> Table:
    """Return scores as a table: a row a factor."""
    rows = []
    for number, shrink in enumerate(SHRINKS):
        row = [f"{shrink:g}"]
        for way in ShrinkScore._fields:
            values = [getattr(scores[number], way) for scores in photos]
            row += [f"{np.mean(values):.1f}", f"{min(values):.1f}", f"{getattr(drawing[number], way):.1f}"]
        rows.append(row)
    titles = (f"{way}, {of} dB" for way in ShrinkScore._fields for of in ("mean", "worst", "drawing"))
    return Table.of(["shrunk by", *titles], rows)
