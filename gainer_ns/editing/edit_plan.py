"""Say in words what an edit script will do to a picture, before it does it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gainer_ns.editing.percentages import Percentage
from gainer_ns.editing.script import Edit
from gainer_ns.editing.selection import Selection
from gainer_ns.editing.shots import Camera
from gainer_ns.editing.stage import Stage
from gainer_ns.rendering.raster import Crop, RasterGrid, RasterSource

if TYPE_CHECKING:
    from gainer_ns.editing.lifted_stage import LiftedStage

_TRIED_PIXELS = 2**15
"""So many output pixels are drawn to measure how long that takes."""
_COUNTED_PIXELS = 10**6
"""Of so many pixels it is asked whether they are selected."""


@dataclass(frozen=True)
class EditPlan:
    """An edit script that is ready to be filmed.

    Attributes:
        stage: What it does.
        shown: Returns what is drawn at a time of the film.
        camera: Draws it.
        times: Of the frames.
        fps: Frames a second.
    """

    stage: Stage | LiftedStage
    shown: Callable[[float], RasterSource]
    camera: Camera
    times: Sequence[float]
    fps: float

    def lines(self) -> list[str]:
        """Return what will happen, line by line, but for where it is written to."""
        picture = self.stage.picture if isinstance(self.stage, Stage) else self.stage.scene
        width, height = picture.plane.width, picture.plane.height
        kind = "Picture" if isinstance(self.stage, Stage) else "Lifted photo"
        lines = [f"{kind}: {width} x {height} pixels"]
        for number, edit in enumerate(self.stage.script.edits):
            size = self.stage.size_of(edit.layer) if isinstance(self.stage, Stage) else (width, height)
            lines.append(f"edits[{number}]: {edit_words(edit)}; selects {selected_words(edit.select, *size)}")
        grid = self._grid
        left, top, right, bottom = (f"{side:g}" for side in grid.crop)
        lines.append(f"Canvas: [{left}, {top}, {right}, {bottom}], {grid.width} x {grid.height} pixels of output")
        if len(self.times) > 1:
            seconds = len(self.times) / self.fps
            loop = {"pingpong": ", there and back", True: ", which begins again"}.get(self.stage.script.loop, "")
            lines.append(f"Film: {len(self.times)} frames, {seconds:.3g} s at {self.fps:g} a second{loop}")
        return lines

    def seconds(self) -> float:
        """Return about how long all frames take to be drawn, from a part of one."""
        grid, count = self._grid, len(self.times)
        trial = self._strip(grid)
        part = RasterGrid.over(self.shown(self.times[-1]).plane, self.camera.scale, trial, framed=False)
        replace(self.camera, crop=trial).draw(self.shown(self.times[(count - 1) // 2]))  # compiled, cached, read
        start = time.perf_counter()
        picture = self.shown(self.times[count // 2])
        posed = time.perf_counter()
        replace(self.camera, crop=trial).draw(picture)
        drawn = time.perf_counter()
        return count * (posed - start + (drawn - posed) * grid.pixels / part.pixels)

    @property
    def _grid(self) -> RasterGrid:
        shown = self.shown(self.times[-1])
        return RasterGrid.over(shown.plane, self.camera.scale, self.camera.crop, framed=False)

    @staticmethod
    def _strip(grid: RasterGrid) -> Crop:
        """Return the middle rows of what is drawn."""
        left, top, right, bottom = grid.crop
        share = min(1.0, _TRIED_PIXELS / grid.pixels)
        middle, half = 0.5 * (top + bottom), 0.5 * share * (bottom - top)
        return left, middle - half, right, middle + half


def edit_words(edit: Edit) -> str:
    """Return what an edit does, to what and when, as a script says it."""
    said = edit.model_dump(by_alias=True, exclude_defaults=True)
    does = " and ".join(f"{word} {_said(said[word])}" for word in edit.words)
    selected = f"of {_selection_said(said.get('select', 'all'))}"
    rest = [f"{word} {_said(value)}" for word, value in said.items() if word not in {*edit.words, "select"}]
    return ", ".join([f"{does} {selected}", *rest])


def selected_words(selection: Selection, width: int, height: int) -> str:
    """Return how much of a picture is selected."""
    step = max(1, math.ceil(math.sqrt(width * height / _COUNTED_PIXELS)))
    rows, columns = torch.arange(0, height, step) + 0.5, torch.arange(0, width, step) + 0.5
    total = 0.0
    for some in rows.split(max(1, 2**18 // len(columns))):
        points = torch.stack(torch.meshgrid(columns, some, indexing="xy"), dim=-1).reshape(-1, 2)
        total += float(selection.weights(points).sum())
    share = 100 * total / (len(rows) * len(columns))
    return f"{share:.3g} % of its pixels" if share < 99.95 or total < len(rows) * len(columns) else "all of its pixels"


def _selection_said(select: Any) -> str:
    if not isinstance(select, Mapping):
        return _said(select)
    return ", ".join(f"{word} {_said(value)}" for word, value in select.items())


def _said(value: Any) -> str:
    """Return a value as a script says it, on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_said(key)}: {_said(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_said, value)) + "]"
    if isinstance(value, Percentage):
        return value.text
    if isinstance(value, Path):
        return value.name
    return f"{value:g}" if isinstance(value, float) else str(value)
