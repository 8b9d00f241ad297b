"""Parts of points in rows and columns, within which layers are drawn and laid over one another."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.motion.rest_map import PointRows
from gainer_ns.rendering.point_colours import PointColours

GRAIN_POINTS = 8
"""Windows begin and end at multiples of so many points, so that not many rest maps are interpolated over few."""


class Window(NamedTuple):
    """A rectangle of points.

    Attributes:
        top: First of its rows.
        bottom: The row behind the last.
        left: First of its columns.
        right: The column behind the last.
    """

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def whole(cls, rows: PointRows) -> Window:
        """Return the window of all points."""
        return cls(0, len(rows.y), 0, len(rows.x))

    @classmethod
    def of(cls, bounds: tuple[Float[Tensor, "2"], Float[Tensor, "2"]], rows: PointRows, margin: float) -> Window:
        """Return the window of the points that lie within bounds, or no farther from them than a margin."""
        low, high = bounds  # what is no number may be anywhere
        ends = [low.nan_to_num(-math.inf, math.inf, -math.inf), high.nan_to_num(math.inf, math.inf, -math.inf)]
        (left, bottom), (right, top) = torch.stack(ends).tolist()
        x0, x1, y0, y1 = rows.ends
        across = _span((x0, x1), len(rows.x), left - margin, right + margin)
        down = _span((y0, y1), len(rows.y), bottom - margin, top + margin)
        return cls(*down, *across)

    @property
    def size(self) -> int:
        """Number of its points."""
        return max(0, self.bottom - self.top) * max(0, self.right - self.left)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """What chooses it from rows and columns of values."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def union(self, other: Window) -> Window:
        """Return the smallest window around both, neither of which is empty."""
        top, left = min(self.top, other.top), min(self.left, other.left)
        return Window(top, max(self.bottom, other.bottom), left, max(self.right, other.right))

    def intersection(self, other: Window) -> Window:
        """Return what both have in common, which may be empty."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        return Window(top, min(self.bottom, other.bottom), left, min(self.right, other.right))

    def within(self, other: Window) -> Window:
        """Return the same window, counted from where another begins."""
        down, across = other.top, other.left
        return Window(self.top - down, self.bottom - down, self.left - across, self.right - across)

    def rows(self, rows: PointRows) -> PointRows:
        """Return its points."""
        return PointRows(rows.x[self.left : self.right], rows.y[self.top : self.bottom])


def _span(axis: tuple[float, float], count: int, low: float, high: float) -> tuple[int, int]:
    """Return which of so many evenly spaced coordinates lie within a range, begun and ended at the grain."""
    first, last = axis
    step = (last - first) / (count - 1) if count > 1 else 1.0
    ends = sorted(((low - first) / step, (high - first) / step))
    begin, end = (min(max(end, -1.0), float(count)) for end in ends)
    begin, end = max(0, math.ceil(begin)), min(count, math.floor(end) + 1)
    return begin // GRAIN_POINTS * GRAIN_POINTS, min(count, -(-end // GRAIN_POINTS) * GRAIN_POINTS)


class Drawn(NamedTuple):
    """What the points of a window show; beyond it there is nothing.

    Attributes:
        window: The window.
        colours: Of its points, row by row.
    """

    window: Window
    colours: PointColours

    def across(self, window: Window) -> Drawn:
        """Return the same in a larger window."""
        if window == self.window:
            return self
        inside = self.window.within(window).slices
        parts = []
        for values in self.colours:
            wide = values.new_zeros(*window.shape, values.shape[1])
            wide[inside] = values.view(*self.window.shape, -1)
            parts.append(wide.flatten(0, 1))
        return Drawn(window, PointColours(*parts))

    def over(self, back: Drawn) -> Drawn:
        """Return this in front of something else."""
        window = self.window.union(back.window)
        result = back.across(window)
        inside = self.window.within(window).slices
        views = [values.view(*window.shape, -1) for values in result.colours]
        behind = PointColours(*(view[inside].flatten(0, 1) for view in views))
        for view, values in zip(views, self.colours.over(behind), strict=True):
            view[inside] = values.view(*self.window.shape, -1)
        return result
