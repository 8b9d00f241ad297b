"""Frame after frame, each drawn only where it differs from the one before."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from gainer_ns.motion.rest_map import PointRows
from gainer_ns.rendering.changes import changed_bounds
from gainer_ns.rendering.plane import BakedPicture
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


class Redrawer:
    """Draws one frame after the other, and keeps the last: what stands still is not drawn again."""

    def __init__(self) -> None:
        self._last: _Frame | None = None

    def raster(
        self, picture: RasterSource, scale: float = 1.0, crop: Crop | None = None
    ) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w 1"]]:
        """Draw a frame, which must not be changed afterwards; see :meth:`gainer_ns.rendering.drawable.Drawable.raster`.

        Positions at which something is read may differ by a hundredth of a pixel from those of a frame that is drawn
        alone, since they are interpolated within what is drawn at once.

        Raises:
            GainerError: If the scale or the crop leaves no picture, or there is no memory for so many pixels.
        """
        if not isinstance(picture, BakedPicture):
            return picture.raster(scale, crop)
        grid = picture.raster_grid(scale, crop)
        window = self._changed(picture, grid)
        if self._last is None or window is None:
            rgb, alpha = picture.raster(scale, crop)
        elif window.size == 0:
            rgb, alpha = self._last.rgb, self._last.alpha
        else:
            rgb, alpha = self._last.rgb.clone(), self._last.alpha.clone()
            picture.paint(grid, window, rgb, alpha)
        self._last = _Frame(picture, grid, rgb, alpha)
        return rgb, alpha

    def _changed(self, picture: BakedPicture, grid: RasterGrid) -> Window | None:
        """Return the pixels that have changed; None for all."""
        last = self._last
        if last is None or last.grid != grid or last.rgb.device != picture.device:
            return None
        bounds = changed_bounds(last.picture, picture)
        if bounds is None:
            return None
        x, y = grid.axes(picture.plane, picture.device)
        columns, rows = grid.samples
        pixels = PointRows(x.view(-1, columns).mean(dim=1), y.view(-1, rows).mean(dim=1))
        margin = picture.plane.pixel_size * (1 + max(columns, rows) * grid.spacing)
        window: Window | None = None
        for one in bounds:
            touched = Window.of(one, pixels, margin)
            if touched.size > 0:
                window = touched if window is None else window.union(touched)
        if window is None:
            return Window(0, 0, 0, 0)
        return None if window.size > _MAX_SHARE * grid.pixels else window
