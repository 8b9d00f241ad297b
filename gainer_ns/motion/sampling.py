"""Control grids of maps that are given by a formula, or by anything else that says where pixels go."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.frames import Bounds, ImagePlane
from gainer_ns.motion.control_grid import MARGIN_NODES, ControlGrid, lattice

PixelMove: TypeAlias = Callable[[Float[Tensor, "m 2"], Hashable], Float[Tensor, "m 2"]]
"""Where pixels go; the second argument is the same whenever the pixels are, for what is worth keeping."""

STEPS_PX = (8.0, 4.0, 2.0)
"""Steps of control grids, coarse to fine."""
MAX_ERROR_PX = 0.01
"""Root mean square of how far a grid may be off between its nodes; kinks count by their share."""
_CHECKED_POINTS = 1024


def sampled_grid(
    move: PixelMove,
    plane: ImagePlane,
    canvas: ImagePlane,
    box: Bounds,
    steps: tuple[float, ...] = STEPS_PX,
    present: Callable[[ControlGrid], Bool[Tensor, "r c"] | None] = lambda grid: None,
) -> ControlGrid:
    """Return the coarsest grid that tells where the pixels of a box go, or else the finest.

    Args:
        move: Where pixels of the plane go, in pixels of the canvas; from any thread of the same.
        plane: That the box is of.
        canvas: Where it goes.
        box: Left, top, right and bottom, in pixels of the plane.
        steps: Of the grids, in pixels of the plane.
        present: Tells the patches of a grid that count, as :class:`gainer_ns.motion.rest_map.RestMap` takes them.
    """
    for step in steps[:-1]:
        grid = _grid(move, plane, canvas, box, step)
        counted = present(grid)
        rest, gone = (
            each.flatten(0, 1) if counted is None else each[counted] for each in (grid.rest_middles, grid.middles)
        )
        if len(rest) == 0:
            return grid
        every = max(1, len(rest) // _CHECKED_POINTS)
        there = canvas.pixel_from_plane(gone[::every])
        apart = move(plane.pixel_from_plane(rest[::every]), ("middles", step)) - there
        if float(apart.square().sum(dim=1).mean()) <= MAX_ERROR_PX**2:
            return grid
    return _grid(move, plane, canvas, box, steps[-1])


def _grid(move: PixelMove, plane: ImagePlane, canvas: ImagePlane, box: Bounds, step: float) -> ControlGrid:
    left, top, right, bottom = box
    first = left - (1 + MARGIN_NODES) * step, top - (1 + MARGIN_NODES) * step
    columns, rows = (math.ceil(side / step) + 3 + 2 * MARGIN_NODES for side in (right - left, bottom - top))
    pixels = lattice(rows, columns, first, (step, step), "cpu").view(-1, 2)
    nodes = canvas.plane_from_pixel(move(pixels, ("nodes", step)).double()).view(rows, columns, 2)
    x, y = plane.plane_from_pixel(torch.tensor(first, dtype=torch.float64)).tolist()
    return ControlGrid.through(nodes, (x, y), (step * plane.pixel_size, -step * plane.pixel_size))
