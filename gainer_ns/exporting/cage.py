"""A coarse mesh over the picture, by which a modelling program bends it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.frames import ImagePlane
from gainer_ns.memory import check_free

CAGE_MARGIN_PX = 4.0
"""How far the cage extends beyond the picture and its Gaussians, in pixels."""
MAX_CELLS = 1000
"""The most cells along a side: more of them than that are finer than what a picture shows."""
BYTES_PER_CELL = 1000
"""Memory for a cell until it is in a file, where numbers are text."""


class Cage(NamedTuple):
    """A flat grid of triangles.

    Attributes:
        vertices: [v, 3], plane units, z = 0; row by row from the bottom left.
        uv: [v, 2], texture coordinates: the picture fills (0, 0) to (1, 1).
        faces: [f, 3], counter-clockwise.
    """

    vertices: Float[np.ndarray, "v 3"]
    uv: Float[np.ndarray, "v 2"]
    faces: Int[np.ndarray, "f 3"]


def cage_over(plane: ImagePlane, means: Float[Tensor, "n 2"], cells: int = 24) -> Cage:
    """Lay a grid over the picture and all its Gaussians.

    Triangles rather than quads, since programs disagree on which diagonal divides a quad; their diagonals alternate, so
    that a symmetric bend stays symmetric.

    Args:
        plane: The picture's plane.
        means: Means of the Gaussians, which may lie outside the picture.
        cells: Along the longer side.

    Raises:
        GainerError: If the number of cells makes no sense, or there is no memory for them.
    """
    if not 1 <= cells <= MAX_CELLS:
        raise GainerError(f"{cells} cells along the longer side: give a number from 1 to {MAX_CELLS}")
    half = torch.tensor(plane.half_extent, dtype=torch.float64)
    outermost = torch.cat([half[None], means.detach().cpu().double().abs()]).amax(dim=0)
    extent = outermost + CAGE_MARGIN_PX * plane.pixel_size
    side = 2 * float(extent.max()) / cells
    columns, rows = (max(1, math.ceil(2 * float(length) / side - 1e-9)) for length in extent)
    x = np.linspace(-float(extent[0]), float(extent[0]), columns + 1)
    y = np.linspace(-float(extent[1]), float(extent[1]), rows + 1)
    check_free(columns * rows * BYTES_PER_CELL, f"a cage of {columns} x {rows} cells", "choose fewer cells")
    vertices = np.stack([*np.meshgrid(x, y), np.zeros((rows + 1, columns + 1))], axis=-1).reshape(-1, 3)
    row, column = np.divmod(np.arange(rows * columns), columns)
    corner = row * (columns + 1) + column
    low_left, low_right, top_left, top_right = corner, corner + 1, corner + columns + 1, corner + columns + 2
    rising = np.stack([low_left, low_right, top_right, low_left, top_right, top_left], axis=-1)
    falling = np.stack([low_left, low_right, top_left, low_right, top_right, top_left], axis=-1)
    faces = np.where(((row + column) % 2 == 0)[:, None], rising, falling).reshape(-1, 3)
    return Cage(vertices, vertices[:, :2] / (2 * half.numpy()) + 0.5, faces)
