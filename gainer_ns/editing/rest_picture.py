"""A layer of a picture as a script finds it: by pixels, before anything moves."""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.devices import block_size
from gainer_ns.editing.selected_pixels import SelectedPixels
from gainer_ns.editing.selection import Selection
from gainer_ns.frames import ImagePlane
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import AnyLayer

_BEYOND_PX = 1
"""How far fields of a picture go on beyond it, so that its own edge is inside of them."""
_MAX_SPREAD = 3.0
"""How many sides of the canvas what was posed before may reach beyond it, and still be posed again."""
BLOCK_PIXELS = 1 << 18
"""How many pixels of a picture are looked at at once."""


class RestPicture:
    """What a script finds of a picture's layer, by pixels.

    Args:
        layer: As it was fitted, or as it was posed before.
        plane: Of its picture.

    Attributes:
        box: Left, top, right and bottom of where it may be, in whole pixels.
    """

    def __init__(self, layer: AnyLayer, plane: ImagePlane) -> None:
        self.layer, self.plane = layer, plane
        self._selected: SelectedPixels | None = None
        is_framed = isinstance(layer, Layer) and layer.half_extent is not None
        self.box = (0, 0, plane.width, plane.height) if is_framed else _pixel_box(layer, plane)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of fields of it."""
        left, top, right, bottom = self.box
        return bottom - top + 2 * _BEYOND_PX, right - left + 2 * _BEYOND_PX

    @property
    def corner(self) -> tuple[int, int]:
        """Column and row of the first pixel of fields of it."""
        return self.box[0] - _BEYOND_PX, self.box[1] - _BEYOND_PX

    @cached_property
    def pixels(self) -> Float[Tensor, "m 2"]:
        """The centres of the pixels of fields, row by row."""
        (rows, columns), (left, top) = self.shape, self.corner
        x = torch.arange(columns, device=self.layer.device) + (left + 0.5)
        y = torch.arange(rows, device=self.layer.device) + (top + 0.5)
        return torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), dim=-1).view(-1, 2)

    def selected(self, selection: Selection) -> SelectedPixels:
        """Return what a selection takes of its pixels; the last answer is kept."""
        kept = self._selected
        if kept is not None and kept.selection is not selection:  # a mask of the same name may be another
            kept = None if kept.selection != selection or selection.enclosing is None else kept
        if kept is None:
            left, top = self.corner
            box = left, top, left + self.shape[1], top + self.shape[0]
            self._selected = kept = SelectedPixels(selection, box, self.layer.device)
        return kept

    @cached_property
    def is_visible(self) -> Bool[Tensor, " m"]:
        """Whether anything is to be seen there."""
        if not self.layer.has_alpha:
            low, high = self.layer.bounds
            across, down = self.pixels[: self.shape[1]], self.pixels[:: self.shape[1]]
            points = [self.plane.plane_from_pixel(some.double()).float() for some in (across, down)]
            columns, rows = (
                (some[:, axis] >= low[axis]) & (some[:, axis] <= high[axis]) for axis, some in enumerate(points)
            )
            return (rows[:, None] & columns).flatten()
        return self.opacity > 0

    @cached_property
    def opacity(self) -> Float[Tensor, " m"]:
        """How opaque it is there, from 0 to 1."""
        if not self.layer.has_alpha:
            return self.is_visible.float()
        points = self.plane.plane_from_pixel(self.pixels.double()).float()
        return torch.cat(
            [self.layer.at(block).alpha[:, 0] for block in points.split(block_size(BLOCK_PIXELS, points.device))]
        )


def _pixel_box(layer: AnyLayer, plane: ImagePlane) -> tuple[int, int, int, int]:
    """Return the box of whole pixels within which a layer lies; not farther out than can be kept."""
    ends = plane.pixel_from_plane(torch.stack(layer.bounds).double().nan_to_num(0.0, 1e6, -1e6))
    size = max(plane.width, plane.height)
    (left, top), (right, bottom) = (
        end.tolist()
        for end in (
            ends.amin(dim=0).floor().clamp(min=-_MAX_SPREAD * size),
            ends.amax(dim=0).ceil().clamp(max=(1 + _MAX_SPREAD) * size),
        )
    )
    return int(left), int(top), int(max(right, left + 1)), int(max(bottom, top + 1))
