"""Control grids of maps that are given by a formula, or by anything else that says where pixels go."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeAlias

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


class SampledGrid(NamedTuple):
    """A grid that was made for a map.

    Attributes:
        grid: The grid.
        is_rough: Whether a finer one would have told better, had there been nodes for it.
    """

    grid: ControlGrid
    is_rough: bool


def sampled_grid(
    move: PixelMove,
    plane: ImagePlane,
    canvas: ImagePlane,
    box: Bounds,
    steps: Sequence[float] = STEPS_PX,
    present: Callable[[ControlGrid], Bool[Tensor, "r c"] | None] = lambda grid: None,
) -> SampledGrid:
    """Make the coarsest grid that tells where the pixels of a box go, or else the finest.

    Args:
        move: Where pixels of the plane go, in pixels of the canvas; from any thread of the same.
        plane: That the box is of.
        canvas: Where it goes.
        box: Left, top, right and bottom, in pixels of the plane.
        steps: Of the grids, in pixels of the plane.
        present: Tells the patches of a grid that count, as :class:`gainer_ns.motion.rest_map.RestMap` takes them.
    """

    def tells(grid: ControlGrid, step: float) -> bool:
        counted = present(grid)
        rest, gone = (
            each.flatten(0, 1) if counted is None else each[counted] for each in (grid.rest_middles, grid.middles)
        )
        if len(rest) == 0:
            return True
        every = max(1, len(rest) // _CHECKED_POINTS)
        there = canvas.pixel_from_plane(gone[::every])
        apart = move(plane.pixel_from_plane(rest[::every]), ("middles", step)) - there
        return float(apart.square().sum(dim=1).mean()) <= MAX_ERROR_PX**2

    *coarser, finest = steps
    for step in coarser:
        grid = _grid(move, plane, canvas, box, step)
        if tells(grid, step):
            return SampledGrid(grid, is_rough=False)
    grid = _grid(move, plane, canvas, box, finest)
    return SampledGrid(grid, is_rough=finest > STEPS_PX[-1] and not tells(grid, finest))


def steps_within(box: Bounds, max_nodes: int | None) -> Sequence[float]:
    """Return the steps of the grids over a box that have no more nodes than so many, coarse to fine, one at least.

    Args:
        box: Left, top, right and bottom, in pixels.
        max_nodes: The most that a grid may have, however large the box is; None for any number.
    """
    if max_nodes is None:
        return STEPS_PX
    coarsest = STEPS_PX[0]
    while math.prod(_shape(box, coarsest)) > max_nodes:
        coarsest *= 2
    return [coarsest, *(step for step in STEPS_PX if step < coarsest and math.prod(_shape(box, step)) <= max_nodes)]


def _shape(box: Bounds, step: float) -> tuple[int, int]:
    """Return rows and columns of a grid over a box."""
    left, top, right, bottom = box
    columns, rows = (math.ceil(side / step) + 3 + 2 * MARGIN_NODES for side in (right - left, bottom - top))
    return rows, columns


def _grid(move: PixelMove, plane: ImagePlane, canvas: ImagePlane, box: Bounds, step: float) -> ControlGrid:
    first = box[0] - (1 + MARGIN_NODES) * step, box[1] - (1 + MARGIN_NODES) * step
    rows, columns = _shape(box, step)
    pixels = lattice(rows, columns, first, (step, step), "cpu").view(-1, 2)
    nodes = canvas.plane_from_pixel(move(pixels, ("nodes", step)).double()).view(rows, columns, 2)
    x, y = plane.plane_from_pixel(torch.tensor(first, dtype=torch.float64)).tolist()
    return ControlGrid.through(nodes, (x, y), (step * plane.pixel_size, -step * plane.pixel_size))
