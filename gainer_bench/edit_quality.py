"""Edited photographs beside what library calls make of them: ``python -m gainer_bench edit-quality``.

Each photograph is reduced by area averaging, and the reduced one is edited in ways whose inverse is known
(:mod:`gainer_bench.known_edits`). There are two truths. One is the cubic spline through the reduced photograph: it says
how near one interpolation is to another, no more. The other is the same edit of the whole photograph, averaged over
the pixels afterwards: what a camera would have seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

import gainer_ns as gn
from gainer_bench.between_pixels import BORDER_PX, inside
from gainer_bench.edit_controls import lattice, meshed, premultiplied, remapped, splined
from gainer_bench.known_edits import KnownEdit, known_edits, pixel_centres
from gainer_bench.outputs import json_text, print_plain, write_text
from gainer_bench.tables import Table
from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import read_picture
from gainer_ns.metrics import psnr
from gainer_ns.rendering.raster import Crop
from gainer_ns.spline import CubicSpline

METHODS = ("gainer", "spline", "remap cubic", "remap Lanczos4", "mesh")
BAND_ROWS = 64
"""Output rows of a true edit that are computed at once."""
TIMED_RUNS = 2
"""Of each frame, the quickest counts."""


class EditResult(NamedTuple):
    """What one method makes of one edit of one photograph."""

    spline_db: float  # against the cubic spline; inf for the spline itself
    true_db: float  # against the edit of the whole photograph
    seconds: float  # of processor time for the frame
    megapixels: float  # of the frame


def area_reduced(full: Float[np.ndarray, "h w 3"], reduce: int) -> Float[np.ndarray, "h2 w2 3"]:
    """Return a picture so many times smaller, by area averaging."""
    height, width = full.shape[0] // reduce, full.shape[1] // reduce
    return cv2.resize(full[: height * reduce, : width * reduce], (width, height), interpolation=cv2.INTER_AREA)


def true_edit(
    full: Float[np.ndarray, "h w 3"], edit: KnownEdit, crop: Crop, reduce: int
) -> Float[np.ndarray, "h2 w2 3"]:
    """Edit a whole photograph, and average it over the pixels of the reduced one.

    Args:
        full: The photograph, whose border is mirrored.
        edit: In pixels of the reduced one.
        crop: What part is drawn, in the same.
        reduce: How many times smaller the reduced one is.
    """
    left, top, right, bottom = map(int, crop)
    bands = []
    for row in range(top, bottom, BAND_ROWS):
        rows = min(BAND_ROWS, bottom - row)
        fine = pixel_centres((right - left) * reduce, rows * reduce) / reduce + np.array([left, row])
        places = (edit.back(fine) * reduce - 0.5).astype(np.float32)
        read = cv2.remap(full, places[..., 0], places[..., 1], cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT)
        bands.append(cv2.resize(read, (right - left, rows), interpolation=cv2.INTER_AREA))
    return np.concatenate(bands)


def edit_results(
    full: Float[np.ndarray, "h w 3"], reduce: int, *, edits: dict[str, KnownEdit] | None = None
) -> dict[str, dict[str, EditResult]]:
    """Edit a photograph, reduced, by all methods, and compare with both truths.

    Args:
        full: The photograph, from 0 to 1.
        reduce: How many times smaller the picture is that is edited.
        edits: Name -> edit, in pixels of that; None for all known ones.

    Returns:
        Name of the edit -> name of the method -> its result.
    """
    levels = np.rint(np.clip(area_reduced(full, reduce), 0, 1) * 255).astype(np.uint8)
    source, picture = premultiplied(levels / 255), gn.fit(levels)
    height, width = levels.shape[:2]
    read_spline, results = splined(source), {}
    for name, edit in (edits or known_edits(width, height)).items():
        crop = edit.extent(width, height)
        size = int(crop[2] - crop[0]), int(crop[3] - crop[1])
        places = edit.back(pixel_centres(*size) + np.array(crop[:2]))
        corners = edit.forward(lattice(width, height), (width, height)) - np.array(crop[:2])
        frames: dict[str, Callable[[], Float[np.ndarray, "h w 4"]]] = {
            "gainer": lambda edit=edit, crop=crop: gainer_edit(picture, [dict(edit.words)], crop),
            "spline": lambda places=places: read_spline(places),
            "remap cubic": lambda places=places: remapped(source, places, cv2.INTER_CUBIC),
            "remap Lanczos4": lambda places=places: remapped(source, places, cv2.INTER_LANCZOS4),
            "mesh": lambda corners=corners, size=size: meshed(source, corners, size),
        }
        counted = inside(places, width, height, BORDER_PX)
        spline = np.clip(CubicSpline(levels / 255).at(places[counted]), 0, 1)
        truth = np.clip(true_edit(full, edit, crop, reduce)[counted], 0, 1)
        results[name] = {}
        for method, draw in frames.items():
            drawn, seconds = timed(draw)
            shown = np.clip(drawn[counted][:, :3].astype(np.float64), 0, 1)
            near = np.inf if method == "spline" else psnr(shown, spline)
            results[name][method] = EditResult(near, psnr(shown, truth), seconds, size[0] * size[1] / 1e6)
    return results


def gainer_edit(picture: gn.Picture, script: Any, crop: Crop) -> Float[np.ndarray, "h w 4"]:
    """Return a part of a picture after a script, by the calls that a Python program makes, as controls return it."""
    drawn = picture.edit(script).render(crop=crop, dtype="float32")
    return premultiplied(drawn[..., :3], drawn[..., 3] if drawn.shape[2] == 4 else None)


def timed(draw: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a call makes, and the seconds of processor time of the quickest of some."""
    drawn, quickest = None, np.inf
    for _ in range(TIMED_RUNS):
        began = time.process_time()
        drawn = draw()
        quickest = min(quickest, time.process_time() - began)
    return drawn, quickest


@dataclass
class EditQuality:
    """Edit photographs in known ways, by GaINeR and by library calls, and compare them with true edits.

    A true edit is that of the whole photograph, averaged over the pixels of the reduced one.
    """

    pictures: tuple[Path, ...]
    """Photographs without alpha, at least 100 x 100 px after they are reduced."""
    reduce: int = 4
    """How many times smaller the pictures are that are edited."""
    output: Path | None = None
    """Folder for edit_quality.md and edit_quality.jsonl, a line a photograph; None to only show the tables."""

    def run(self) -> None:
        """Measure all photographs and show the tables."""
        if not 2 <= self.reduce <= 16:
            raise GainerError(f"--reduce {self.reduce}: give a whole number from 2 to 16; 4 to 8 are true edits")
        sources = list(self._sources())
        found = []
        for path, full in sources:
            found.append(edit_results(full, self.reduce))
            print_plain(f"{path.name}: {full.shape[1] // self.reduce} x {full.shape[0] // self.reduce}")
        tables = "\n".join(part.markdown() for part in quality_tables(found))
        if self.output is not None:
            lines = (
                json_text(
                    {
                        "picture": path.name,
                        "edits": {
                            edit: {method: one._asdict() for method, one in by_method.items()}
                            for edit, by_method in results.items()
                        },
                    }
                )
                for (path, _), results in zip(sources, found, strict=True)
            )
            write_text(self.output / "edit_quality.jsonl", "".join(lines))
            write_text(self.output / "edit_quality.md", tables)
        print_plain(tables)

    def _sources(self) -> Iterator[tuple[Path, Float[np.ndarray, "h w 3"]]]:
        for path in self.pictures:
            source = read_picture(path)
            if source.alpha is not None:
                raise GainerError(f"{path}: has alpha; give a photograph, and cut-outs to layered-quality")
            if min(source.width, source.height) < 100 * self.reduce:
                raise GainerError(
                    f"{path}: {source.width} x {source.height} px are too few to be reduced {self.reduce} times; "
                    "take a larger photograph, or a smaller --reduce"
                )
            yield path, source.colours().astype(np.float32)


def quality_tables(found: list[dict[str, dict[str, EditResult]]]) -> list[Table]:
    """Return means over photographs: dB against true edits, dB against the spline, milliseconds a megapixel."""

    def mean(edit: str, method: str, of: str) -> float:
        return float(np.mean([getattr(results[edit][method], of) for results in found]))

    tables = []
    for of, title in (("true_db", "edit, dB of the true edit"), ("spline_db", "edit, dB of the spline")):
        shown = [method for method in METHODS if of == "true_db" or method != "spline"]
        rows = [[edit, *(f"{mean(edit, method, of):.2f}" for method in shown)] for edit in found[0]]
        means = [np.mean([mean(edit, method, of) for edit in found[0]]) for method in shown]
        tables.append(Table.of([title, *shown], [*rows, ["mean", *(f"{one:.2f}" for one in means)]]))
    drawn = [by_method for results in found for by_method in results.values()]
    cost = [
        1e3 * sum(one[method].seconds for one in drawn) / sum(one[method].megapixels for one in drawn)
        for method in METHODS
    ]
    return [*tables, Table.of(["processor", *METHODS], [["ms a megapixel", *(f"{one:.0f}" for one in cost)]])]
