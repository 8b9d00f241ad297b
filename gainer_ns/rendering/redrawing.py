"""Frame after frame, each drawn only where it differs from the one before."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.gaussians.footprints import PixelExtent
from gainer_ns.motion.rest_map import PointRows
from gainer_ns.rendering.changes import changed_bounds
from gainer_ns.rendering.drawable import Drawable
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.point_colours import PointColours
from gainer_ns.rendering.raster import Crop, RasterGrid, RasterSource
from gainer_ns.rendering.windows import Window

_MAX_SHARE = 0.8
"""Where more than this share of a frame has changed, all of it is drawn."""


class _Frame(NamedTuple):
    """What was drawn last."""

    picture: BakedPicture
    grid: RasterGrid
    rgb: Float[Tensor, "h w 3"]
    alpha: Float[Tensor, "h w 1"]


class _Rows(NamedTuple):
    """What points in rows and columns showed last."""

    picture: BakedPicture
    rows: PointRows
    extent: PixelExtent | None
    colours: PointColours


class Redrawer:
    """Draws one frame after the other, and keeps the last: what stands still is not drawn again.

    Positions at which something is read may differ by a hundredth of a pixel from those of a frame that is drawn alone,
    since they are interpolated within what is drawn at once. What it returns must not be changed afterwards.

    Attributes:
        asked: How many points of pages it was asked for so far.
        painted: How many of them it drew, and did not keep.
    """

    def __init__(self) -> None:
        self.asked = self.painted = 0
        self._last: _Frame | None = None
        self._blocks: dict[int, _Rows] = {}

    def raster(
        self, picture: RasterSource, scale: float = 1.0, crop: Crop | None = None
    ) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w 1"]]:
        """Draw a frame; see :meth:`gainer_ns.rendering.drawable.Drawable.raster`.

        Raises:
            GainerError: If the scale or the crop leaves no picture, or there is no memory for so many pixels.
        """
        if not isinstance(picture, BakedPicture):
            return picture.raster(scale, crop)
        grid, last, window = picture.raster_grid(scale, crop), self._last, None
        if last is not None and last.grid == grid:
            x, y = grid.axes(picture.plane, picture.device)
            columns, rows = grid.samples
            pixels = PointRows(x.view(-1, columns).mean(dim=1), y.view(-1, rows).mean(dim=1))
            window = _changed(last.picture, picture, pixels, max(columns, rows) * grid.spacing)
        if last is None or window is None:
            rgb, alpha = picture.raster(scale, crop)
        elif window.size == 0:
            rgb, alpha = last.rgb, last.alpha
        else:
            rgb, alpha = last.rgb.clone(), last.alpha.clone()
            picture.paint(grid, window, rgb, alpha)
        self._last = _Frame(picture, grid, rgb, alpha)
        return rgb, alpha

    def over(self, picture: Drawable, rows: PointRows, extent: PixelExtent | None, block: int = 0) -> PointColours:
        """Draw a block of a frame's points; see :meth:`gainer_ns.rendering.drawable.Drawable.over`.

        Args:
            picture: The picture.
            rows: The points.
            extent: What each stands for.
            block: Number of the block: each is compared with what it was before.
        """
        count = len(rows.x) * len(rows.y)
        self.asked += count
        if not isinstance(picture, BakedPicture) or (extent is not None and extent.inverse_jacobians is not None):
            self.painted += count
            return picture.over(rows, extent)
        last, window = self._blocks.get(block), None
        if last is not None and last.extent == extent and all(map(torch.equal, last.rows, rows)):
            window = _changed(last.picture, picture, rows, 0.0 if extent is None else extent.side / extent.pixel)
        self.painted += count if last is None or window is None else window.size
        if last is None or window is None:
            colours = picture.over(rows, extent)
        elif window.size == 0:
            colours = last.colours
        else:
            colours = PointColours(*(values.clone() for values in last.colours))
            part = picture.over(window.rows(rows), extent)
            for whole, values in zip(colours, part, strict=True):
                whole.view(len(rows.y), len(rows.x), -1)[window.slices] = values.view(*window.shape, -1)
        self._blocks[block] = _Rows(picture, rows, extent, colours)
        return colours

    def at(self, picture: Drawable, points: Float[Tensor, "m 2"], extent: PixelExtent | None) -> PointColours:
        """Draw any points, of which nothing is kept; see :meth:`gainer_ns.rendering.drawable.Drawable.at`."""
        self.asked += len(points)
        self.painted += len(points)
        return picture.at(points, extent)


def _changed(before: BakedPicture, after: BakedPicture, points: PointRows, side_px: float) -> Window | None:
    """Return which points may show something else; None for all.

    Args:
        before: The picture as it was.
        after: The picture as it is.
        points: The points.
        side_px: Side of what each stands for, in pixels of the picture.
    """
    bounds = changed_bounds(before, after) if before.device == after.device else None
    if bounds is None:
        return None
    window: Window | None = None
    for one in bounds:
        touched = Window.of(one, points, (1 + side_px) * after.plane.pixel_size)
        if touched.size > 0:
            window = touched if window is None else window.union(touched)
    if window is None:
        return Window(0, 0, 0, 0)
    return None if window.size > _MAX_SHARE * Window.whole(points).size else window
