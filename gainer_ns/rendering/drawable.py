"""A picture on a plane that can be drawn at any points of it, whatever it is made of, and so at any resolution."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.devices import block_size
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.footprints import PixelExtent
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.motion.rest_map import PointRows
from gainer_ns.rendering.point_colours import PointColours
from gainer_ns.rendering.raster import Crop, RasterGrid, check_room
from gainer_ns.rendering.windows import Window

BLOCK_POINTS = 1 << 18
"""How many points are usually drawn at once on a processor: bounds memory, and keeps a block in its cache."""


class Drawable(ABC):
    """A picture that tells the colours of points, and can be drawn from these."""

    plane: ImagePlane
    """The picture's plane."""
    bit_depth: int
    """Bits a channel of the source: 8 or 16."""
    profile: ColourProfile | None
    """What the colours mean; None for sRGB."""

    @property
    @abstractmethod
    def has_alpha(self) -> bool:
        """Whether the picture may be transparent inside its frame."""

    @property
    def framed(self) -> bool:
        """Whether nothing can be seen beyond the picture's frame."""
        return True

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the picture is."""

    @property
    def block_points(self) -> int:
        """How many points are drawn at once."""
        return block_size(BLOCK_POINTS, self.device)

    @property
    def averaging_samples(self) -> int | None:
        """How many samples across and down a pixel are enough where each is an average; None where none is."""
        return None

    @abstractmethod
    def at(self, points: Float[Tensor, "m 2"], extent: PixelExtent | None = None) -> PointColours:
        """Draw any points of the plane, in blocks; those that are not finite or outside the frame are transparent.

        Args:
            points: The points.
            extent: What each stands for, over which it is averaged where something has shrunk the picture; None for
                the points themselves.
        """

    def over(self, rows: PointRows, extent: PixelExtent | None = None) -> PointColours:
        """Draw points in rows and columns, row by row; see :meth:`at`."""
        return self.at(rows.points, extent)

    def at_pixels(self, pixels: Float[Tensor, "m 2"]) -> PointColours:
        """Draw points given in pixel coordinates of the source (``x`` right, ``y`` down, centres at .5)."""
        return self.at(self.plane.plane_from_pixel(pixels.double()).float())

    @torch.no_grad()
    def raster(
        self,
        scale: float = 1.0,
        crop: Crop | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w 1"]]:
        """Draw the picture, or a part of it, on a grid of any resolution.

        Enlarging samples the continuous picture. Shrinking averages it over the area of each output pixel, on a
        regular grid of at least one sample a source pixel; so does what something has shrunk.

        Args:
            scale: Output pixels per source pixel.
            crop: (x0, y0, x1, y1) in source pixels, which may reach beyond the picture; None for the whole picture.
            progress: Called after every block of pixels with the share, 0 to 1, that is done.

        Returns:
            Colours in [0, 1], not multiplied by alpha, and alpha: 0 beyond the picture.

        Raises:
            GainerError: If the scale or the crop leaves no picture, or there is no memory for so many pixels.
        """
        grid = self.raster_grid(scale, crop)
        rgb = torch.empty(grid.height, grid.width, 3, device=self.device)
        alpha = torch.empty(grid.height, grid.width, 1, device=self.device)
        self.paint(grid, Window(0, grid.height, 0, grid.width), rgb, alpha, progress)
        return rgb, alpha

    def raster_grid(self, scale: float, crop: Crop | None) -> RasterGrid:
        """Return the pixels of a raster; see :meth:`raster`."""
        x0, y0, x1, y1 = crop or (0.0, 0.0, self.plane.width, self.plane.height)
        # Pixels that lie across the frame are transparent by the share of their samples that do.
        within = not self.framed or (x0 >= 0 and y0 >= 0 and x1 <= self.plane.width and y1 <= self.plane.height)
        averaging = self.averaging_samples if within and scale < 1 else None
        grid = RasterGrid.over(self.plane, scale, crop, framed=self.framed, averaging_samples=averaging)
        check_room(grid, self.device)
        return grid

    @torch.no_grad()
    def paint(
        self,
        grid: RasterGrid,
        window: Window,
        rgb: Float[Tensor, "h w 3"],
        alpha: Float[Tensor, "h w 1"],
        progress: Callable[[float], None] | None = None,
        first_row: int = 0,
    ) -> None:
        """Draw the pixels of a window into rasters of a grid, or of its rows from one on; see :meth:`raster`."""
        columns, rows = grid.samples
        x, y = grid.axes(self.plane, self.device)
        x = x[window.left * columns : window.right * columns]
        extent = PixelExtent(grid.spacing * self.plane.pixel_size, self.plane.pixel_size)
        step = grid.rows_at_once(window, self.block_points)
        for top in range(window.top, window.bottom, step):
            bottom = min(top + step, window.bottom)
            drawn = self._pixels(PointRows(x, y[top * rows : bottom * rows]), grid.samples, extent)
            into = slice(top - first_row, bottom - first_row), slice(window.left, window.right)
            for whole, values in zip((rgb, alpha), drawn, strict=True):
                whole[into] = values.view(bottom - top, window.right - window.left, -1)
            rgb[into].clamp_(0, 1)
            if progress is not None:
                progress((bottom - window.top) / (window.bottom - window.top))

    def _pixels(self, points: PointRows, samples: tuple[int, int], extent: PixelExtent) -> PointColours:
        """Return pixels, averaged over so many columns and rows of samples each."""
        columns, rows = samples
        if columns * rows == 1:
            return self.over(points, extent)
        x, y = points
        # Samples of a row of pixels, or of some rows, or a part of those of one row, as many as fit into a block.
        at_once = max(1, self.block_points // len(x))
        at_once = at_once // rows * rows if at_once >= rows else at_once
        parts = []
        for begin in range(0, len(y), at_once):
            end = min(begin + at_once, len(y))
            drawn = self.over(PointRows(x, y[begin:end]), extent)
            deep = min(rows, end - begin)
            parts.append((deep, _averaged(drawn, len(x) // columns, columns, deep)))
        if at_once >= rows:
            return PointColours(*(torch.cat(values) for values in zip(*(drawn for _, drawn in parts), strict=True)))
        return _joined(parts)


def _averaged(drawn: PointColours, width: int, columns: int, rows: int) -> PointColours:
    """Return means over runs of so many columns and rows of samples; colours weigh by alpha."""
    rgb, alpha = (values.view(-1, rows, width, columns, values.shape[-1]) for values in drawn)
    mean_alpha = alpha.mean(dim=(1, 3))
    colours = (rgb * alpha).mean(dim=(1, 3)) / mean_alpha.clamp(min=1e-20)
    return PointColours(colours.flatten(0, 1), mean_alpha.flatten(0, 1))


def drawn_in_blocks(
    draw: Callable[[Float[Tensor, "m 2"], PixelExtent | None], PointColours],
    points: Float[Tensor, "m 2"],
    extent: PixelExtent | None,
    block_points: int,
) -> PointColours:
    """Draw many points, so many at once."""
    if len(points) <= block_points:
        return draw(points, extent)
    blocks = []
    for some in torch.arange(len(points), device=points.device).split(block_points):
        blocks.append(draw(points[some], None if extent is None else extent[some]))
    return PointColours(*(torch.cat(parts) for parts in zip(*blocks, strict=True)))


def _joined(parts: Sequence[tuple[int, PointColours]]) -> PointColours:
    """Return means over the samples of all parts, each of which is a mean over so many rows of them."""
    total = sum(rows for rows, _ in parts)
    alpha = torch.stack([rows * drawn.alpha for rows, drawn in parts]).sum(dim=0) / total
    rgb = torch.stack([rows * drawn.rgb * drawn.alpha for rows, drawn in parts]).sum(dim=0) / total
    return PointColours(rgb / alpha.clamp(min=1e-20), alpha)
