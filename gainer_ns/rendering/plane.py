"""A fitted picture, baked, and how it is drawn at any points of its plane.

The image model, the command line, the viewer and the benchmarks all draw through :class:`BakedPicture`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import psutil
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.fields.decoder import Decoder
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.aggregation import AggregationMatrix, gaussian_weights
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.neighbours import NeighbourIndex

BLOCK_POINTS = 1 << 17
"""How many points are drawn at once: bounds memory, and keeps a block in the processor's cache."""
MAX_SAMPLES = 2**29
"""The largest raster, in points at which the picture is read; no larger source is read either."""
BYTES_PER_PIXEL = 80
"""Memory for a pixel of a raster, until it is in a file: colours and alpha, and the copies made for writing them."""
BYTES_PER_DRAWN_PIXEL = 32
"""The part of that which a graphics card holds, where one draws."""


class Drawn(NamedTuple):
    """Colours and opacities of points.

    Attributes:
        rgb: [m, 3], unclamped; 0 where nothing is.
        alpha: [m, 1], between 0 and 1.
    """

    rgb: Float[Tensor, "m 3"]
    alpha: Float[Tensor, "m 1"]


@dataclass(frozen=True)
class BakedPicture:
    """Everything that rendering needs; no optimiser, no hash grid, no source image.

    Attributes:
        plane: The picture's plane.
        gaussians: Means, covariances and features.
        decoder: From features to colours.
        num_neighbours: How many Gaussians a point reads.
        coverage: A point farther than this from every mean is transparent; infinite for a picture without alpha.
        bit_depth: Bits a channel of the source: 8 or 16.
    """

    plane: ImagePlane
    gaussians: GaussianSet
    decoder: Decoder
    num_neighbours: int
    coverage: float = math.inf
    bit_depth: int = 8

    @property
    def has_alpha(self) -> bool:
        """Whether the picture is transparent somewhere."""
        return math.isfinite(self.coverage)

    @cached_property
    def index(self) -> NeighbourIndex:
        """The neighbour index over the means, built on first use."""
        return NeighbourIndex(self.gaussians.means, self.gaussians.radius)

    @cached_property
    def _precisions(self) -> Float[Tensor, "s d d"]:
        return self.gaussians.precisions

    def with_gaussians(self, gaussians: GaussianSet) -> BakedPicture:
        """The same picture with other Gaussians: what an edit returns."""
        return replace(self, gaussians=gaussians)

    def to(self, device: torch.device | str) -> BakedPicture:
        """The same picture on a device; the decoder moves in place."""
        return replace(self, gaussians=self.gaussians.to(device), decoder=self.decoder.to(device))

    @torch.no_grad()
    def at(self, points: Float[Tensor, "m 2"]) -> Drawn:
        """Draws any points of the plane, in blocks.

        Args:
            points: Plane coordinates; those that are not finite or lie outside the picture's frame are transparent.
        """
        blocks = [self._block(block) for block in points.float().split(BLOCK_POINTS)]
        return Drawn(*(torch.cat(parts) for parts in zip(*blocks, strict=True)))

    def _block(self, points: Float[Tensor, "m 2"]) -> Drawn:
        half = points.new_tensor(self.plane.half_extent) * (1 + 1e-6)
        inside = (points.abs() <= half).all(dim=1)
        everywhere = bool(inside.all())
        drawn = self._inside(points if everywhere else points[inside])
        if everywhere:
            return drawn
        rgb, alpha = points.new_zeros(len(points), 3), points.new_zeros(len(points), 1)
        rgb[inside], alpha[inside] = drawn
        return Drawn(rgb, alpha)

    def _inside(self, points: Float[Tensor, "m 2"]) -> Drawn:
        neighbours = self.index.query(points, self.num_neighbours)
        weights = gaussian_weights(points, neighbours, self.gaussians.means, self._precisions)
        matrix = AggregationMatrix.from_neighbours(neighbours, weights, len(self.gaussians))
        covered = neighbours.squared_distances[:, :1] <= self.coverage**2
        covered &= neighbours.valid[:, :1]
        rgb = self.decoder.decode(matrix @ self.gaussians.features)
        return Drawn(rgb * covered, covered.to(rgb.dtype))

    def at_pixels(self, pixels: Float[Tensor, "m 2"]) -> Drawn:
        """Draws points given in pixel coordinates of the source (``x`` right, ``y`` down, centres at .5)."""
        return self.at(self.plane.plane_from_pixel(pixels.double()).float())

    @torch.no_grad()
    def raster(
        self,
        scale: float = 1.0,
        crop: tuple[float, float, float, float] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w 1"]]:
        """Draws the picture, or a part of it, on a grid of any resolution.

        Enlarging samples the continuous picture. Shrinking averages it over the area of each output pixel, on a
        regular grid of at least one sample a source pixel.

        Args:
            scale: Output pixels per source pixel.
            crop: (x0, y0, x1, y1) in source pixels, which may reach beyond the picture; None for the whole picture.
            progress: Called after every block of pixels with the share, 0 to 1, that is done.

        Returns:
            Colours in [0, 1], not multiplied by alpha, and alpha: 0 beyond the picture.

        Raises:
            GainerError: If the scale or the crop leaves no picture, or there is no memory for so many pixels.
        """
        grid = RasterGrid.over(self.plane, scale, crop)
        device = self.gaussians.means.device
        check_room(grid, device)
        rgb, alpha = torch.empty(grid.pixels, 3, device=device), torch.empty(grid.pixels, 1, device=device)
        step = max(1, BLOCK_POINTS // grid.samples[0])
        for begin in range(0, grid.pixels, step):
            pixels = torch.arange(begin, min(begin + step, grid.pixels), device=device)
            rgb[begin : begin + step], alpha[begin : begin + step] = self._raster_pixels(grid, pixels)
            if progress is not None:
                progress((begin + len(pixels)) / grid.pixels)
        shape = grid.height, grid.width
        return rgb.clamp_(0, 1).view(*shape, 3), alpha.view(*shape, 1)

    def _raster_pixels(self, grid: RasterGrid, pixels: Int[Tensor, " m"]) -> Drawn:
        """Means over the samples of some pixels; colours weigh by alpha, so that nothing bleeds in from holes."""
        columns, rows = grid.samples
        total = torch.zeros(len(pixels), 4, device=pixels.device)
        for row in range(rows):
            rgb, alpha = self.at_pixels(grid.sample_row(pixels, row).view(-1, 2))
            total += torch.cat([rgb * alpha, alpha], dim=1).view(-1, columns, 4).sum(dim=1)
        weight = total[:, 3:]
        return Drawn(total[:, :3] / weight.clamp(min=1e-6), weight / (columns * rows))


@dataclass(frozen=True)
class RasterGrid:
    """Output pixels laid over a part of the source.

    Attributes:
        crop: (x0, y0, x1, y1), the part in source pixels.
        width: Output pixels across it.
        height: Output pixels down it.
        samples: Points across and down an output pixel at which the picture is read.
    """

    crop: tuple[float, float, float, float]
    width: int
    height: int
    samples: tuple[int, int]

    @property
    def pixels(self) -> int:
        """Number of output pixels."""
        return self.width * self.height

    @classmethod
    def over(cls, plane: ImagePlane, scale: float, crop: tuple[float, float, float, float] | None) -> RasterGrid:
        """The grid of a crop at a scale.

        Raises:
            GainerError: If the two leave no picture, or one of absurd size.
        """
        x0, y0, x1, y1 = crop = crop or (0.0, 0.0, float(plane.width), float(plane.height))
        named = " ".join(f"{side:g}" for side in crop)
        if not (math.isfinite(scale) and scale > 0):
            raise GainerError(f"scale {scale}: it must be a positive number of output pixels per source pixel")
        if not (all(map(math.isfinite, crop)) and x0 < x1 and y0 < y1):
            raise GainerError(f"crop {named}: give it as X0 Y0 X1 Y1 with X0 < X1 and Y0 < Y1")
        if x1 <= 0 or y1 <= 0 or x0 >= plane.width or y0 >= plane.height:
            raise GainerError(
                f"crop {named}: wholly outside the picture, which is {plane.width} pixels wide and {plane.height} high"
            )
        density = max(1.0, scale)  # samples per source pixel, nearly
        if max(1.0, (x1 - x0) * density) * max(1.0, (y1 - y0) * density) > MAX_SAMPLES:
            raise GainerError(
                f"scale {scale:g} over {x1 - x0:g} x {y1 - y0:g} pixels: more than {MAX_SAMPLES // 10**6} megapixels; "
                "lower the scale, or draw it in parts, crop by crop"
            )
        width, height = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
        samples = 1, 1
        if scale < 1:
            samples = math.ceil((x1 - x0) / width - 1e-9), math.ceil((y1 - y0) / height - 1e-9)
        return cls(crop, width, height, samples)

    def sample_row(self, pixels: Int[Tensor, " m"], row: int) -> Float[Tensor, "m s 2"]:
        """Source pixel coordinates of one row of samples of each pixel.

        Args:
            pixels: Row-major indices of output pixels.
            row: Which row of samples, from 0 to ``samples[1]`` (exclusive).
        """
        x0, y0, x1, y1 = self.crop
        columns, rows = self.samples
        across = (torch.arange(columns, device=pixels.device, dtype=torch.float64) + 0.5) / columns
        x = x0 + ((pixels % self.width)[:, None] + across) * ((x1 - x0) / self.width)
        y = y0 + ((pixels // self.width)[:, None] + (row + 0.5) / rows) * ((y1 - y0) / self.height)
        return torch.stack([x, y.double().expand_as(x)], dim=-1)


def check_room(grid: RasterGrid, device: torch.device) -> None:
    """Refuses a raster that this machine has no memory for.

    Raises:
        GainerError: If the estimate exceeds what is free.
    """
    needed, free = (grid.pixels + grid.samples[0]) * BYTES_PER_PIXEL, psutil.virtual_memory().available
    if device.type == "cuda":
        free = min(free, torch.cuda.mem_get_info(device)[0] * BYTES_PER_PIXEL // BYTES_PER_DRAWN_PIXEL)
    if needed > free:
        raise GainerError(
            f"{grid.width} x {grid.height} pixels take about {needed / 2**30:.1f} GiB of memory, "
            f"{free / 2**30:.1f} GiB are free; lower the scale, or draw it in parts, crop by crop"
        )


def averaged(drawn: Drawn, width: int, samples: int) -> Drawn:
    """Means over squares of ``samples x samples`` points; colours weigh by alpha, so that nothing bleeds in from holes.

    Args:
        drawn: Points of a grid, row by row; the grid is ``width * samples`` wide.
        width: Width of the result in pixels.
        samples: Points along a side of each of its pixels.
    """
    if samples == 1:
        return drawn

    def box(values: Tensor) -> Tensor:
        cells = values.view(-1, samples, width, samples, values.shape[-1])
        return cells.mean(dim=(1, 3)).reshape(-1, values.shape[-1])

    alpha = box(drawn.alpha)
    return Drawn(box(drawn.rgb * drawn.alpha) / alpha.clamp(min=1e-6), alpha)
