"""A large picture drawn some rows after others, here or on a cluster, of no more of it than these read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.cluster import in_order
from gainer_ns.frames import ImagePlane
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.motion.rest_map import PointRows, RestMap
from gainer_ns.rendering.compositing import Raster
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import AnyLayer, BakedPicture
from gainer_ns.rendering.raster import Crop, RasterGrid
from gainer_ns.rendering.sheet import Sheet
from gainer_ns.rendering.windows import Window

BAND_POINTS = 1 << 22
"""Points of a band, about."""


class _Band(NamedTuple):
    """Some rows of a grid, and what they are read from.

    Attributes:
        window: The rows.
        rests: What of each layer, at rest, they read; None where all of the picture has been sent.
    """

    window: Window
    rests: list[Layer] | None


@dataclass(frozen=True)
class BandedPicture:
    """A picture that is drawn in bands of rows; see :class:`gainer_ns.rendering.raster.RasterSource`.

    Samples are the same to a rounding of 8 bits: the distances of pixels in a part of a picture are rounded otherwise.

    Attributes:
        picture: The picture.
        address: Of the cluster that draws them, see :func:`gainer_ns.cluster.joined`; None to do so here, which takes
            less memory than drawing the whole.
        bit_depth: Bits of the samples, 8 or 16, that come back from there.
    """

    picture: BakedPicture
    address: str | None
    bit_depth: int = 8

    @property
    def plane(self) -> ImagePlane:
        """Its pixels."""
        return self.picture.plane

    @property
    def profile(self) -> ColourProfile | None:
        """What its colours mean; None for sRGB."""
        return self.picture.profile

    @property
    def device(self) -> torch.device:
        """Where the rows come together."""
        return self.picture.device

    def raster(
        self, scale: float = 1.0, crop: Crop | None = None, progress: Callable[[float], None] | None = None
    ) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w 1"]]:
        """Draw colours, not multiplied by alpha, and alpha; see :meth:`gainer_ns.rendering.drawable.Drawable.raster`.

        Raises:
            GainerError: See there, and :func:`gainer_ns.cluster.in_order`.
        """
        picture = self.picture if self.address is None else self.picture.to("cpu")
        grid = picture.raster_grid(scale, crop)
        windows = list(_windows(grid, picture.block_points))
        bands = picture_bands(picture, grid, windows)
        sent = picture if bands is None else _without_rests(picture)
        items = (_Band(window, None) for window in windows) if bands is None else bands
        rgb = torch.empty(grid.height, grid.width, 3, device=self.device)
        alpha = torch.empty(grid.height, grid.width, 1, device=self.device)
        if self.address is None:
            found = (draw_band((sent, grid), band) for band in items)
        else:
            samples = in_order(self.address, _band_samples, (sent, grid, self.bit_depth), items)
            found = (Raster.of_samples(some) for some in samples)
        for window, drawn in zip(windows, found, strict=True):
            rows = slice(window.top, window.bottom)
            rgb[rows], alpha[rows, :, 0] = drawn.colours, drawn.opacity
            if progress is not None:
                progress(window.bottom / grid.height)
        return rgb, alpha


def _windows(grid: RasterGrid, block_points: int) -> Iterator[Window]:
    """Divide a grid into bands that end where blocks do, as positions are interpolated within blocks."""
    whole = Window(0, grid.height, 0, grid.width)
    step = grid.rows_at_once(whole, block_points)
    step *= max(1, grid.rows_at_once(whole, BAND_POINTS) // step)
    for top in range(0, grid.height, step):
        yield Window(top, min(top + step, grid.height), 0, grid.width)


def picture_bands(picture: BakedPicture, grid: RasterGrid, windows: list[Window]) -> Iterator[_Band] | None:
    """Return bands, made as they are asked for; None where not all layers have parts that rows can be read from."""
    x, y = grid.axes(picture.plane, picture.device)
    rows, side = grid.samples[1], grid.spacing * picture.plane.pixel_size

    def band(window: Window) -> _Band | None:
        points = PointRows(x, y[window.top * rows : window.bottom * rows])
        rests = [_part(layer, points, side) for layer in picture.layers]
        found = [rest for rest in rests if rest is not None]
        return _Band(window, found) if len(found) == len(rests) else None

    if band(windows[0]) is None:
        return None
    return (found for found in map(band, windows) if found is not None)


def _band_samples(shared: tuple[BakedPicture, RasterGrid, int], band: _Band) -> np.ndarray:
    """Draw a band as samples, on a machine of a cluster."""
    picture, grid, bit_depth = shared
    return draw_band((picture, grid), band).samples(bit_depth)


def draw_band(shared: tuple[BakedPicture, RasterGrid], band: _Band) -> Raster:
    """Draw a band, of a picture on a grid."""
    picture, grid = shared
    if band.rests is not None:
        layers = (_with_rest(layer, rest) for layer, rest in zip(picture.layers, band.rests, strict=True))
        picture = replace(picture, layers=tuple(layers))
    height, width = band.window.shape
    rgb, alpha = (torch.empty(height, width, channels, device=picture.device) for channels in (3, 1))
    picture.paint(grid, band.window, rgb, alpha, first_row=band.window.top)
    return Raster(rgb, alpha[..., 0])


def _part(layer: AnyLayer, points: PointRows, side: float) -> Layer | None:
    """Return what of a layer, at rest, points in rows and columns read; None where that may be all of it.

    Args:
        layer: The layer.
        points: The points.
        side: Of what each stands for.
    """
    low, high = points.corners
    if isinstance(layer, Layer):
        return layer.part(low, high, side)
    if not isinstance(layer.rest, Layer):
        return None
    if layer.rest_map is None:
        return layer.rest.part(low, high, side)
    if not isinstance(layer.rest_map, RestMap):
        return None
    box = layer.rest_map.rest_box(low, high)
    (low, high, stretch) = box or (low, low, 0.0)  # or nothing is read
    return layer.rest.part(low, high, side * stretch, is_moved=True)


def _without_rests(picture: BakedPicture) -> BakedPicture:
    """Return a picture whose layers have no Gaussians."""

    def emptied(layer: AnyLayer) -> AnyLayer:
        rest = layer.rest if isinstance(layer, Sheet) else layer
        assert isinstance(rest, Layer)
        return _with_rest(layer, replace(rest, gaussians=rest.gaussians[torch.zeros(0, dtype=torch.long)]))

    return replace(picture, layers=tuple(map(emptied, picture.layers)))


def _with_rest(layer: AnyLayer, rest: Layer) -> AnyLayer:
    return replace(layer, rest=rest) if isinstance(layer, Sheet) else rest
