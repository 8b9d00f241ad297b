"""A selection that grows out of what a person draws, clicks on and asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import Float
from pydantic import ValidationError

from gainer_ns.editing.selection import Box, Selection
from gainer_ns.errors import GainerError
from gainer_ns.io.places import PlacedError
from gainer_ns.viewer.session import one_line
from gainer_ns.viewer.subject import PixelPoint

Joining = Literal["replace", "add", "subtract"]
"""What becomes of the selection when something new is pointed at."""
BOX_TOLERANCE_PX = 0.5
"""Corners that are so near to those of an upright box, in pixels, are meant as one."""


class Picker:
    """The current selection. What nothing would be left of, and what needs a selection, raises GainerError.

    Args:
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
        keep_mask: Writes a mask to a file that scripts can name.

    Attributes:
        selection: None where nothing is selected.
        joining: What becomes of it when something new is pointed at.
    """

    def __init__(self, width: int, height: int, keep_mask: Callable[[Float[np.ndarray, "h w"]], Path]) -> None:
        self.width, self.height = width, height
        self.selection: Selection | None = None
        self.joining: Joining = "replace"
        self._keep_mask = keep_mask

    def polygon(self, corners: Sequence[PixelPoint]) -> None:
        """Point at a polygon; at a box if it is an upright one."""
        x, y = zip(*corners, strict=True)
        box = min(x), min(y), max(x), max(y)
        upright = len(corners) == 4 and all(
            min(abs(a - box[0]), abs(a - box[2])) < BOX_TOLERANCE_PX
            and min(abs(b - box[1]), abs(b - box[3])) < BOX_TOLERANCE_PX
            for a, b in corners
        )
        if upright:
            left, top, right, bottom = (round(side, 1) for side in box)
            inside = max(left, 0), max(top, 0), min(right, self.width), min(bottom, self.height)
            self._point_at({"box": inside if inside[0] < inside[2] and inside[1] < inside[3] else box})
        else:
            self._point_at({"polygon": [(round(a, 1), round(b, 1)) for a, b in corners]})

    def mask(self, mask: Float[np.ndarray, "h w"]) -> None:
        """Point at what a mask holds."""
        if not (mask >= 0.5).any():
            raise GainerError("nothing was found there; click on something else, or draw a rectangle around it")
        self._point_at({"mask": self._keep_mask(mask)})

    def everything(self) -> None:
        """Select the whole picture."""
        self.selection = Selection(all=True)

    def clear(self) -> None:
        """Select nothing."""
        self.selection = None

    def feather(self, width: float) -> None:
        """Make the border as soft as so many pixels."""
        selection = self.chosen()
        if not selection.all:
            self.selection = selection.model_copy(update={"feather": width or None})

    def grow(self, by: float) -> None:
        """Move the border outwards by so many pixels; inwards where that is negative."""
        selection = self.chosen()
        if selection.box is not None:
            left, top, right, bottom = selection.box
            box = left - by, top - by, right + by, bottom + by
            if not (box[0] < box[2] and box[1] < box[3]):
                raise GainerError(f"nothing would be left, {-by:g} pixels farther in; shrink it by less")
            self._take(selection.model_copy(update={"box": box}))
        elif not selection.all:
            inside = self.field(selection).numpy() > 0.5
            size = 2 * round(abs(by)) + 1
            disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
            grown = (cv2.dilate if by > 0 else cv2.erode)(inside.astype(np.uint8), disc)
            if not grown.any():
                raise GainerError(f"nothing would be left, {-by:g} pixels farther in; shrink it by less")
            self._take(Selection(mask=self._keep_mask(grown.astype(np.float32)), feather=selection.feather))

    def invert(self) -> None:
        """Select what is not selected."""
        selection = self.chosen()
        if selection.all:
            raise GainerError("everything is selected, so nothing would be left; select a part first")
        if selection.minus is not None and len(selection.minus) == 2 and selection.minus[0].all:
            self._take(selection.minus[1].model_copy(update={"feather": selection.feather}))
        else:
            part = selection.model_copy(update={"feather": None})
            self._take(Selection(minus=(Selection(all=True), part), feather=selection.feather))

    def field(self, selection: Selection) -> Float[torch.Tensor, "h w"]:
        """Return how much each pixel is selected, 0 to 1."""
        x, y = torch.arange(self.width) + 0.5, torch.arange(self.height) + 0.5
        points = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).view(-1, 2)
        return selection.weights(points).view(self.height, self.width)

    def chosen(self) -> Selection:
        """Return the selection."""
        if self.selection is None:
            raise GainerError("nothing is selected; select a part of the picture in the tab Select")
        return self.selection

    def bounds(self) -> Box:
        """Return left, top, right and bottom of the selection, in pixels."""
        return self.chosen().bounds(self.width, self.height)

    def _point_at(self, shape: dict) -> None:
        try:
            new = Selection.model_validate(shape)
        except ValidationError as error:
            raise GainerError(one_line(error)) from None
        old = self.selection
        if old is not None and self.joining != "replace":
            parts = (old.model_copy(update={"feather": None}), new)
            kind = "union" if self.joining == "add" else "minus"
            new = Selection.model_validate({kind: parts, "feather": old.feather})
        elif old is not None and old.feather:
            new = new.model_copy(update={"feather": old.feather})
        self._take(new)

    def _take(self, selection: Selection) -> None:
        """Make a selection the current one, if it fits the picture."""
        try:
            selection.check(self.width, self.height)
        except PlacedError as error:
            raise GainerError(f"the selection {error.problem}") from None
        self.selection = selection
