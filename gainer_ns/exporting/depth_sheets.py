"""A lifted photo as sheets: pictures with a depth at each pixel, cut where depth jumps, of which meshes are made."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from scipy.ndimage import binary_dilation
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.exporting.lifted import decoded
from gainer_ns.frames import CAMERA_DISTANCE
from gainer_ns.gaussians.small_matrices import inverse
from gainer_ns.lifting.scene import LiftedLayer, LiftedScene
from gainer_ns.lifting.surface import EDGE_THRESHOLD, MAX_EDGE_THRESHOLD, DepthSurface, shifted

MAX_ORBIT_DEGREES = 4.0
"""How far to the sides a sheet is made to be looked at from."""
MAX_SHIFT_PX = 0.15
"""By how much, in pixels, anything of so small a turn may be shifted where cells are joined to larger ones."""
MAX_CELL_DOUBLINGS = 4
MADE_UP_EDGE_THRESHOLD = 0.3
"""Depth edges of what is made up behind others: a slope there is better than a hole."""
MIN_SHOWN_ALPHA = 0.02
"""Cells whose corners are all fainter are left out."""
_MARGIN_PX = 3  # of colours around what a sheet shows, so that no reader's filter mixes in what is not there
_CORNERS = np.array([[0, 0], [0, 1], [1, 1], [1, 0]])
"""Rows and columns of a cell's corners, clockwise as they are seen from the top left."""


@dataclass(frozen=True, eq=False)
class DepthSheet:
    """A picture of which each pixel has a depth, as the camera that took the photo sees it.

    Attributes:
        rgba: [h, w, 4], sRGB, not multiplied by alpha.
        inverse_depth: [h, w], in world units; 0 where nothing is shown.
        cells: [h - 1, w - 1], what is drawn between four pixels: 0 nothing, 1 all of it, 2 to 5 the triangle without
            corner ``cells - 2``, counted clockwise from the top left; 6 and more a square of ``2 ** (cells - 5)`` cells
            a side, of which this is the top left one.
        corner: Column and row of the photo at which its first pixel lies: what is made up goes on beyond the frame.
    """

    rgba: UInt8[np.ndarray, "h w 4"]
    inverse_depth: Float[np.ndarray, "h w"]
    cells: UInt8[np.ndarray, "i j"]
    corner: tuple[int, int] = (0, 0)

    def triangles(self) -> Int[np.ndarray, "t 3"]:
        """Return triangles of row-major indices of pixels, counter-clockwise as the camera sees them.

        Large squares with corners of smaller ones on their border are fans around their middle, so that no crack opens
        between the two when they are looked at from the side.
        """
        width = self.inverse_depth.shape[1]
        steps = _CORNERS[::-1] @ [width, 1]
        parts, used = [], np.zeros(self.inverse_depth.size, dtype=bool)
        for code in range(1, 6 + MAX_CELL_DOUBLINGS):
            corners = self._first_corners(code)[:, None] + steps * _side(code)
            is_half = 2 <= code <= 5
            corners = np.delete(corners, 5 - code, axis=1) if is_half else corners
            used[corners.ravel()] = True
            if code < 6:
                parts += [corners[:, chosen] for chosen in ([[0, 1, 2]] if is_half else [[0, 1, 2], [0, 2, 3]])]
        for code in range(6, 6 + MAX_CELL_DOUBLINGS):
            along = np.arange(_side(code))[:, None]
            ring = np.concatenate(
                [_CORNERS[k] * len(along) - along * (_CORNERS[k] - _CORNERS[k - 1]) for k in (3, 2, 1, 0)]
            )
            border = self._first_corners(code)[:, None] + ring @ [width, 1]
            present = used[border]
            is_plain = present.sum(axis=1) == len(_CORNERS)
            corners = border[is_plain][:, :: len(along)]
            parts += [corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]]
            square, place = np.nonzero(present & ~is_plain[:, None])
            points = border[square, place]
            is_last = np.append(square[1:] != square[:-1], True)[: len(square)]
            is_first = np.roll(is_last, 1)
            following = np.roll(points, -1)
            following[is_last] = points[is_first]
            middle = self._first_corners(code)[square] + len(along) // 2 * (width + 1)
            parts.append(np.stack([middle, points, following], axis=1))
        return np.concatenate(parts)

    def _first_corners(self, code: int) -> Int[np.ndarray, " n"]:
        """Return the top left pixels of what has a code."""
        row, column = np.nonzero(self.cells == code)
        return row * self.inverse_depth.shape[1] + column

    @property
    def stored(self) -> Bool[np.ndarray, "h w"]:
        """Which pixels are corners of triangles."""
        found = np.zeros(self.inverse_depth.size, dtype=bool)
        found[self.triangles().ravel()] = True
        return found.reshape(self.inverse_depth.shape)


def _side(code: int) -> int:
    """Return how many pixels a code's cell is wide."""
    return 2 ** (code - 5) if code > 5 else 1


def depth_sheets(scene: LiftedScene) -> list[DepthSheet]:
    """Return the sheets of a lifted photo, of several that in their midst, what is made up behind edges first.

    The surface of each layer is one; where it is continued beyond its edges, it lies over or under itself, and these
    strips are sheets of their own, which share the surface's last pixels.

    Raises:
        GainerError: If nothing is wider than a pixel.
    """
    scene = scene.in_midst
    layers = sorted(scene.layers, key=lambda layer: layer.hidden_of is None)
    sheets = [sheet for layer in layers for sheet in _sheets(scene, layer)]
    if not sheets:
        raise GainerError("the lifted photo has no surface wider than a pixel; export its points")
    return sheets


def _sheets(scene: LiftedScene, layer: LiftedLayer) -> Iterator[DepthSheet]:
    gaussians = layer.gaussians
    means = gaussians.means.cpu().double() - torch.tensor([0.0, 0.0, CAMERA_DISTANCE], dtype=torch.float64)
    places, depths = scene.camera.project(means)
    column, row = places.floor().long().unbind(dim=1)
    left, top = (min(0, int(each.min())) if len(each) else 0 for each in (column, row))
    width, height = (
        max(side, int(each.max()) + 1 if len(each) else 0) - first
        for side, each, first in ((scene.camera.width, column, left), (scene.camera.height, row, top))
    )
    pixel = (row - top) * width + column - left
    assert gaussians.inverse_jacobians is not None
    towards = inverse(gaussians.inverse_jacobians.cpu().double())[:, 2, :2].expand(len(means), 2)
    values = torch.cat([(1 / depths)[:, None], towards / depths[:, None].square()], dim=1)
    colours = torch.cat(decoded(scene, layer), dim=1).cpu().double()
    values = torch.cat([values, (colours * 255).round()], dim=1)
    # Discs come in runs of rising pixels: the surface itself, its rim before what is behind it, its rim behind others.
    runs = torch.tensor_split(torch.arange(len(pixel)), (pixel.diff() <= 0).nonzero()[:, 0] + 1)
    images = []
    for run in runs:
        image = torch.zeros(height * width, values.shape[1], dtype=torch.float64)
        image[pixel[run]] = values[run]
        images.append(image.view(height, width, -1))
    rims = torch.stack([image[..., 0] > 0 for image in images[1:]]) if len(images) > 1 else None
    any_rim = torch.zeros(height, width, dtype=torch.bool) if rims is None else rims.any(dim=0)
    focal_length = sum(scene.camera.focal_length) / 2
    edges = EDGE_THRESHOLD, MAX_EDGE_THRESHOLD
    if layer.hidden_of is not None:
        edges = MADE_UP_EDGE_THRESHOLD, MADE_UP_EDGE_THRESHOLD
    for number in (*range(1, len(images)), 0):
        own = images[number][..., 0] > 0
        image = torch.where(own[..., None], images[number], images[0])
        sheet = _sheet(image, own, any_rim & ~own if number else any_rim, focal_length, edges)
        if sheet.cells.any():
            yield replace(sheet, corner=(left, top))


def _sheet(
    image: Float[Tensor, "h w 7"],
    own: Bool[Tensor, "h w"],
    ends: Bool[Tensor, "h w"],
    focal_length: float,
    edges: tuple[float, float],
) -> DepthSheet:
    """Return a sheet of inverse depths, their gradients, and colours.

    Args:
        image: Of each pixel.
        own: Of which pixels a cell must have one.
        ends: Near which pixels surfaces may end; elsewhere larger steps of depth are noise, as the lift took them.
        focal_length: In pixels.
        edges: The steps of depth, as shares of it, at which surfaces may end, and at which they always do.
    """
    strict, loose = (DepthSurface(image[..., 0], image[..., 1:3], focal_length, edge) for edge in edges)

    def joined(first: int, second: int) -> Bool[np.ndarray, "i j"]:
        """Return of each cell whether two of its corners are of one surface."""
        (row, column), offset = _CORNERS[first], _CORNERS[second] - _CORNERS[first]
        r, c = int(offset[0]), int(offset[1])
        there = strict.joined(r, c) | (loose.joined(r, c) & ~ends & ~shifted(ends, r, c))
        return there.numpy()[row : row + there.shape[0] - 1, column : column + there.shape[1] - 1]

    sides = [joined(corner, (corner + 1) % 4) for corner in range(4)]
    cells = np.zeros(sides[0].shape, dtype=np.uint8)
    for left_out in range(4):  # corners clockwise from the one after it: a, b and c
        a, b, c = ((left_out + step) % 4 for step in (1, 2, 3))
        cells[sides[a] & sides[b] & joined(a, c)] = 2 + left_out
    cells[np.logical_and.reduce(sides)] = 1
    shown = (image[..., 6] >= 255 * MIN_SHOWN_ALPHA).numpy()
    cells[~(_any_corner(own.numpy()) & _any_corner(shown))] = 0
    used = np.zeros(own.shape, dtype=bool)
    for row, column in _CORNERS:
        used[row : row + cells.shape[0], column : column + cells.shape[1]] |= cells > 0
    near = binary_dilation(used, iterations=_MARGIN_PX)
    rgba = np.where(near[..., None], image[..., 3:].numpy(), 0).astype(np.uint8)
    inverse_depth = np.where(used, image[..., 0].numpy(), 0.0)
    _join_cells(cells, inverse_depth, MAX_SHIFT_PX / (math.sin(math.radians(MAX_ORBIT_DEGREES)) * focal_length))
    return DepthSheet(rgba, inverse_depth, cells)


def _join_cells(cells: UInt8[np.ndarray, "i j"], inverse_depth: Float[np.ndarray, "h w"], tolerance: float) -> None:
    """Join four whole cells to one where they are flat, and again: in inverse depth, planes of space are planes."""
    for doubling in range(1, MAX_CELL_DOUBLINGS + 1):
        side, code = 2**doubling, 4 + doubling if doubling > 1 else 1
        rows, columns = cells.shape[0] // side, cells.shape[1] // side
        half = side // 2
        # At the corners of the four cells: [rows, 3, columns, 3].
        at = [np.arange(count)[:, None] * side + [0, half, side] for count in (rows, columns)]
        depths = inverse_depth[at[0][:, :, None, None], at[1]]
        ends = 0.5 * (depths[:, :, :, 0] + depths[:, :, :, 2])
        middle = 0.5 * (depths[:, 0] + depths[:, 2])
        flat = (np.abs(depths[:, :, :, 1] - ends) < tolerance).all(axis=1)
        flat &= (np.abs(depths[:, 1] - middle) < tolerance).all(axis=2)
        whole = cells[: rows * side, : columns * side].reshape(rows, 2, half, columns, 2, half)[:, :, 0, :, :, 0]
        flat &= (whole == code).all(axis=(1, 3))
        row, column = np.nonzero(flat)
        for i, j in ((0, half), (half, 0), (half, half)):
            cells[row * side + i, column * side + j] = 0
        cells[row * side, column * side] = 5 + doubling


def _any_corner(pixels: Shaped[np.ndarray, "h w"]) -> Bool[np.ndarray, "i j"]:
    """Return of each cell whether something holds at one of its corners."""
    return pixels[:-1, :-1] | pixels[:-1, 1:] | pixels[1:, 1:] | pixels[1:, :-1]
