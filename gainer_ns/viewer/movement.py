"""The numbers of the page's Move tab as the words of an edit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from gainer_ns.viewer.subject import Place

Towards = Literal["up", "right", "down", "left"]
"""Where a line runs from, over the selection: its far end moves, its near end stays."""


@dataclass(frozen=True)
class Movement:
    """What happens to the selection, in pixels and degrees; nothing by default.

    Attributes:
        by: To the right, down, and towards the camera.
        turn: Degrees counter-clockwise about ``axis``.
        axis: In the space of pixels: x right, y down, z towards the camera.
        scale: Times as large.
        stretch: Times as long, along the line.
        bend: Degrees that the line's far end turns.
        towards: Where the line of stretch and bend runs.
        twirl: Degrees that the middle turns.
        wave: Pixels that points move to either side.
        handles: Points that are dragged, from where to where.
        pins: Points that stay.
    """

    by: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn: float = 0.0
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    scale: float = 1.0
    stretch: float = 1.0
    bend: float = 0.0
    towards: Towards = "up"
    twirl: float = 0.0
    wave: float = 0.0
    handles: tuple[tuple[Place, Place], ...] = ()
    pins: tuple[Place, ...] = ()

    def words(self, box: tuple[float, float, float, float], *, is_deep: bool) -> dict[str, Any]:
        """The words of an edit, in the order in which they are applied; none where nothing moves.

        Args:
            box: Left, top, right and bottom of the selection.
            is_deep: Whether it is a photo in space, which cannot be dragged, stretched, twirled or waved.
        """
        words: dict[str, Any] = {}
        if not is_deep:
            words.update(self._flat_words(box))
        if self.scale != 1:
            words["scale"] = {"factor": self.scale}
        if self.bend:
            words["bend"] = {"degrees": self.bend, "axis": self._line(box)}
        if self.turn:
            axis = {"axis": _rounded(self.axis)} if is_deep and self.axis != (0.0, 0.0, 1.0) else {}
            words["rotate"] = {"degrees": round(self.turn, 3), **axis}
        by = _rounded(self.by)
        if any(by):
            words["move"] = {"by": by if is_deep else by[:2]}
        return words

    def _flat_words(self, box: tuple[float, float, float, float]) -> dict[str, Any]:
        words: dict[str, Any] = {}
        moved = [(start, to) for start, to in self.handles if math.dist(start, to) > 1e-3]
        if moved:
            handles = [{"from": _rounded(start), "to": _rounded(to)} for start, to in self.handles]
            words["drag"] = {"handles": handles, "fixed": [_rounded(pin) for pin in self.pins]}
        if self.stretch != 1:
            words["stretch"] = {"factor": self.stretch, "axis": self._line(box)}
        if self.twirl:
            words["twirl"] = {"degrees": self.twirl}
        if self.wave:
            words["wave"] = {"amplitude": self.wave, "period": round(max(box[2] - box[0], box[3] - box[1]) / 3, 2)}
        return words

    def _line(self, box: tuple[float, float, float, float]) -> tuple[Place, Place]:
        """Across the selection, through its middle."""
        left, top, right, bottom = box
        x, y = (left + right) / 2, (top + bottom) / 2
        ends = {
            "up": ((x, bottom), (x, top)),
            "down": ((x, top), (x, bottom)),
            "right": ((left, y), (right, y)),
            "left": ((right, y), (left, y)),
        }
        start, end = ends[self.towards]
        return start, end


def _rounded(numbers: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(number, 3) for number in numbers)
