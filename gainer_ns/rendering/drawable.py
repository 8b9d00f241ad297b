"""A picture on a plane that can be drawn at any points of it, whatever it is made of, and so at any resolution."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.frames import ImagePlane
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.rendering.layer import PointColours
from gainer_ns.rendering.raster import Crop, RasterGrid, check_room

BLOCK_POINTS = 1 << 17
"""How many points are usually drawn at once: bounds memory, and keeps a block in the processor's cache."""


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
        return BLOCK_POINTS

    @abstractmethod
    def at(self, points: Float[Tensor, "m 2"]) -> PointColours:
        """Draw any points of the plane, in blocks; those that are not finite or outside the frame are transparent."""

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
        regular grid of at least one sample a source pixel; so does minification by a deformation.

        Args:
            scale: Output pixels per source pixel.
            crop: (x0, y0, x1, y1) in source pixels, which may reach beyond the picture; None for the whole picture.
            progress: Called after every block of pixels with the share, 0 to 1, that is done.

        Returns:
            Colours in [0, 1], not multiplied by alpha, and alpha: 0 beyond the picture.

        Raises:
            GainerError: If the scale or the crop leaves no picture, or there is no memory for so many pixels.
        """
        grid = RasterGrid.over(self.plane, scale, crop, framed=self.framed)
        check_room(grid, self.device)
        rgb = torch.empty(grid.pixels, 3, device=self.device)
        alpha = torch.empty(grid.pixels, 1, device=self.device)
        step = max(1, self.block_points // grid.samples[0])
        for begin in range(0, grid.pixels, step):
            pixels = torch.arange(begin, min(begin + step, grid.pixels), device=self.device)
            drawn = self._pixels(grid, pixels)
            for finer, where in grid.refined(drawn.minification):
                for part in where.split(max(1, self.block_points // (finer.samples[0] * finer.samples[1]))):
                    for whole, values in zip(drawn, self._pixels(finer, pixels[part]), strict=True):
                        whole[part] = values
            rgb[begin : begin + step], alpha[begin : begin + step] = drawn.rgb, drawn.alpha
            if progress is not None:
                progress((begin + len(pixels)) / grid.pixels)
        shape = grid.height, grid.width
        return rgb.clamp_(0, 1).view(*shape, 3), alpha.view(*shape, 1)

    def _pixels(self, grid: RasterGrid, pixels: Int[Tensor, " m"]) -> PointColours:
        """Return some pixels of a raster, averaged over their samples."""
        columns, rows = grid.samples
        if columns * rows == 1:
            return self.at_pixels(grid.points(pixels, range(1))[:, 0])
        rows_at_once = max(1, self.block_points // (len(pixels) * columns))
        parts = []
        for top in range(0, rows, rows_at_once):
            some = range(top, min(top + rows_at_once, rows))
            drawn = self.at_pixels(grid.points(pixels, some).view(-1, 2))
            parts.append((len(some), drawn.averaged(columns * len(some))))
        return parts[0][1] if len(parts) == 1 else _joined(parts)


def drawn_in_blocks(
    draw: Callable[[Float[Tensor, "m 2"]], PointColours], points: Float[Tensor, "m 2"], block_points: int
) -> PointColours:
    """Draw many points, so many at once."""
    blocks = [draw(block) for block in points.split(block_points)]
    return PointColours(*(torch.cat(parts) for parts in zip(*blocks, strict=True)))


def _joined(parts: Sequence[tuple[int, PointColours]]) -> PointColours:
    """Return means over the samples of all parts, each of which is a mean over so many rows of them."""
    total = sum(rows for rows, _ in parts)
    alpha = torch.stack([rows * drawn.alpha for rows, drawn in parts]).sum(dim=0) / total
    rgb = torch.stack([rows * drawn.rgb * drawn.alpha for rows, drawn in parts]).sum(dim=0) / total
    minification = torch.stack([drawn.minification for _, drawn in parts]).amax(dim=0)
    return PointColours(rgb / alpha.clamp(min=1e-20), alpha, minification)
