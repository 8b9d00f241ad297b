"""Where a person points at what a mask is to hold: clicks and a box."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gainer_ns.errors import GainerError
from gainer_ns.options import PointList


@dataclass(frozen=True)
class Prompt:
    """What to segment, in pixels of the picture: x right, y down, (0, 0) its top-left corner, pixel centres at .5.

    Attributes:
        clicks: (x, y) of points on the object.
        negative_clicks: (x, y) of points that are not on the object.
        box: (x0, y0, x1, y1) around the object; None for no box.
    """

    clicks: PointList = ()
    negative_clicks: PointList = ()
    box: tuple[float, float, float, float] | None = None

    def check(self, width: int, height: int, *, may_be_empty: bool = False) -> None:
        """Refuse what points at nothing in a picture of so many pixels.

        Raises:
            GainerError: There is no click and no box (unless it may be empty), only negative clicks, one lies outside
                of the picture, one is asked for and excluded at once, or the box has no area.
        """
        size = f"the picture of {width}x{height}"
        if not self.clicks and self.box is None and not may_be_empty:
            said = (
                "only negative clicks say what the object is not" if self.negative_clicks else "nothing says what it is"
            )
            raise GainerError(f"mask: {said}; add --click X Y on the object, or --box X0 Y0 X1 Y1 around it")
        for name, points in (("click", self.clicks), ("negative click", self.negative_clicks)):
            for x, y in points:
                if not (0 <= x <= width and 0 <= y <= height):
                    raise GainerError(
                        f"{name} {x:g} {y:g}: lies outside of {size}; x is from 0 to {width}, y from 0 to {height}"
                    )
        both = set(self.clicks) & set(self.negative_clicks)
        if both:
            x, y = min(both)
            raise GainerError(f"click {x:g} {y:g}: is asked for and excluded at once; leave out one of the two")
        if self.box is None:
            return
        x0, y0, x1, y1 = self.box
        name = f"box {x0:g} {y0:g} {x1:g} {y1:g}"
        if not (all(map(math.isfinite, self.box)) and x0 < x1 and y0 < y1):
            raise GainerError(f"{name}: has no area; give X0 Y0 X1 Y1, the top-left corner before the bottom-right one")
        if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
            raise GainerError(
                f"{name}: reaches out of the picture of {width}x{height}; keep x in 0 to {width}, y in 0 to {height}"
            )
