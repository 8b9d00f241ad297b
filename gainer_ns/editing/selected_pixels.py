"""What a selection takes of the pixels of a picture at rest, looked at where it may take something."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.devices import block_size
from gainer_ns.editing.selection import Selection
from gainer_ns.frames import Bounds

_BLOCK_PIXELS = 1 << 16
"""How many pixels are looked at at once: as many as stay in a processor's cache."""
_FAR_OUTSIDE = -16.0
"""What a field says beyond where it is looked at."""
_MARGIN = 6.0
"""How far beyond what is selected fields are looked at, in widths of its border: no seam asks for more."""


@dataclass(frozen=True, eq=False)
class SelectedPixels:
    """A selection as the pixels of a picture have it.

    Attributes:
        selection: What is selected.
        box: Left, top, right and bottom of the pixels, whole numbers.
        device: Where they are.
    """

    selection: Selection
    box: tuple[int, int, int, int]
    device: torch.device

    @cached_property
    def window(self) -> tuple[slice, slice]:
        """The rows and columns, counted from the box's corner, beyond which nothing is selected."""
        left, top, right, bottom = self.box
        found: Bounds | None = self.selection.enclosing
        if found is None:
            return slice(0, bottom - top), slice(0, right - left)
        margin = _MARGIN * max(1.0, self.selection.softness)
        ends = [max(0, math.floor(found[side] - margin) - self.box[side]) for side in (1, 0)]
        stops = [math.ceil(found[2 + side] + margin) - self.box[side] for side in (1, 0)]
        sizes = bottom - top, right - left
        rows, columns = (
            slice(min(size, a), max(min(size, a), min(size, b))) for a, b, size in zip(ends, stops, sizes, strict=True)
        )
        return rows, columns

    @cached_property
    def pixels(self) -> Float[Tensor, "m 2"]:
        """The centres of the window's pixels, row by row."""
        rows, columns = self.window
        x = torch.arange(columns.start, columns.stop, device=self.device) + (self.box[0] + 0.5)
        y = torch.arange(rows.start, rows.stop, device=self.device) + (self.box[1] + 0.5)
        return torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), dim=-1).view(-1, 2)

    @cached_property
    def field(self) -> Float[Tensor, "h w"]:
        """How far inside each pixel of the box is; see ``Selection.field``. Far outside it is only said to be so."""
        left, top, right, bottom = self.box
        rows, columns = self.window
        field = torch.full((bottom - top, right - left), _FAR_OUTSIDE, device=self.device)
        inside = self._read(self.selection.field)
        field[rows, columns] = inside.view(rows.stop - rows.start, columns.stop - columns.start)
        return field

    @cached_property
    def weights(self) -> Float[Tensor, " m"]:
        """How much the window's pixels follow; those beyond do not."""
        return self._read(self.selection.weights)

    def within(self, values: Tensor) -> Tensor:
        """Return what is said of the box's pixels, row by row, of those of the window."""
        left, _, right, _ = self.box
        return values.view(-1, right - left)[self.window].flatten()

    def _read(self, read: Callable[[Tensor], Tensor]) -> Tensor:
        blocks = [read(block) for block in self.pixels.split(block_size(_BLOCK_PIXELS, self.pixels.device))]
        return torch.cat(blocks) if blocks else self.pixels[:, 0]
