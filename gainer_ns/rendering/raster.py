"""Pixels of an output picture, and the points at which they are read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.footprints import MIN_TABLE_NODES
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.memory import BYTES_PER_RASTER_PIXEL, check_free, free_memory
from gainer_ns.rendering.windows import GRAIN_POINTS, Window

Crop: TypeAlias = tuple[float, float, float, float]
"""x0, y0, x1, y1 in source pixels: x right, y down."""

MAX_RASTER_POINTS = 2**29
"""The largest raster, in points at which the picture is read; no larger source is read either."""
_MAX_PIXEL_RATIO = 1.02
"""Of width and height, in source pixels, of the output pixels for whose samples one length counts."""
_GPU_BYTES_PER_PIXEL = 32
"""The part of ``BYTES_PER_RASTER_PIXEL`` that a graphics card holds, where one draws."""


class RasterSource(Protocol):
    """What frames are drawn from: a picture, or a lifted photo as a camera sees it."""

    @property
    def plane(self) -> ImagePlane:
        """Its pixels."""
        ...

    @property
    def profile(self) -> ColourProfile | None:
        """What its colours mean; None for sRGB."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it is drawn."""
        ...

    def raster(
        self, scale: float = 1.0, crop: Crop | None = None
    ) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w 1"]]:
        """Draw colours, not multiplied by alpha, and alpha."""
        ...


@dataclass(frozen=True)
class RasterGrid:
    """Output pixels laid over a part of the source.

    Attributes:
        crop: (x0, y0, x1, y1), the part in source pixels.
        width: Output pixels across it.
        height: Output pixels down it.
        samples: Points across and down an output pixel at which the picture is read.
    """

    crop: Crop
    width: int
    height: int
    samples: tuple[int, int]

    @property
    def pixels(self) -> int:
        """Number of output pixels."""
        return self.width * self.height

    @classmethod
    def over(
        cls,
        plane: ImagePlane,
        scale: float,
        crop: Crop | None,
        *,
        framed: bool = True,
        averaging_samples: int | None = None,
    ) -> RasterGrid:
        """Return the grid of a crop, or of the whole picture, at a scale.

        Args:
            plane: The picture's plane.
            scale: Output pixels per source pixel.
            crop: The part; None for the whole picture.
            framed: Whether there is nothing to be seen beyond the picture's frame.
            averaging_samples: So many samples across and down a pixel are enough where each is an average over its
                share of ``MIN_TABLE_NODES`` source pixels or more; None where a sample is no average.

        Raises:
            GainerError: If the two leave no picture, or one of absurd size.
        """
        x0, y0, x1, y1 = crop = crop or (0.0, 0.0, float(plane.width), float(plane.height))
        named = " ".join(f"{side:g}" for side in crop)
        if not (math.isfinite(scale) and scale > 0):
            raise GainerError(f"scale {scale}: it must be a positive number of output pixels per source pixel")
        if not (all(map(math.isfinite, crop)) and x0 < x1 and y0 < y1):
            raise GainerError(f"crop {named}: give it as X0 Y0 X1 Y1 with X0 < X1 and Y0 < Y1")
        if framed and (x1 <= 0 or y1 <= 0 or x0 >= plane.width or y0 >= plane.height):
            raise GainerError(
                f"crop {named}: wholly outside the picture, which is {plane.width} pixels wide and {plane.height} high"
            )
        density = max(1.0, scale)  # samples per source pixel, nearly
        if max(1.0, (x1 - x0) * density) * max(1.0, (y1 - y0) * density) > MAX_RASTER_POINTS:
            raise GainerError(
                f"scale {scale:g} over {x1 - x0:g} x {y1 - y0:g} pixels: more than {MAX_RASTER_POINTS // 10**6} "
                "megapixels; lower the scale, or draw it in parts, crop by crop"
            )
        width, height = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
        samples = 1, 1
        if scale < 1:
            samples = math.ceil((x1 - x0) / width - 1e-9), math.ceil((y1 - y0) / height - 1e-9)
            across, down = (x1 - x0) / width, (y1 - y0) / height
            is_square = max(across, down) < _MAX_PIXEL_RATIO * min(across, down)
            if averaging_samples is not None and is_square and across >= MIN_TABLE_NODES * averaging_samples:
                samples = averaging_samples, averaging_samples
        return cls(crop, width, height, samples)

    def points(self, pixels: Int[Tensor, " m"], some_rows: range) -> Float[Tensor, "m s 2"]:
        """Return source pixel coordinates of some rows of the samples of output pixels (row-major indices)."""
        x0, y0, x1, y1 = self.crop
        columns, rows = self.samples
        across = (torch.arange(columns, device=pixels.device, dtype=torch.float64) + 0.5) / columns
        down = (torch.tensor(some_rows, device=pixels.device, dtype=torch.float64) + 0.5) / rows
        place = pixels.double()  # whose quotients take a seventh of the time of whole numbers', and are as exact
        row = (place / self.width).floor()
        column = place - row * self.width
        points = place.new_empty(len(pixels), len(some_rows), columns, 2)
        points[..., 0] = (x0 + (column[:, None] + across) * ((x1 - x0) / self.width))[:, None, :]
        points[..., 1] = (y0 + (row[:, None] + down) * ((y1 - y0) / self.height))[:, :, None]
        return points.view(len(pixels), -1, 2)

    @property
    def spacing(self) -> float:
        """Source pixels from a sample to the next, along the side along which there are more."""
        x0, y0, x1, y1 = self.crop
        columns, rows = self.samples
        return max((x1 - x0) / self.width / columns, (y1 - y0) / self.height / rows)

    def axes(self, plane: ImagePlane, device: torch.device) -> tuple[Float[Tensor, " c"], Float[Tensor, " r"]]:
        """Return where the columns and the rows of all samples are, in plane units."""
        x0, y0, x1, y1 = self.crop
        columns, rows = self.width * self.samples[0], self.height * self.samples[1]
        x = (torch.arange(columns, device=device, dtype=torch.float64) + 0.5) * ((x1 - x0) / columns) + x0
        y = (torch.arange(rows, device=device, dtype=torch.float64) + 0.5) * ((y1 - y0) / rows) + y0
        across, down = (plane.plane_from_pixel(torch.stack([axis, axis], dim=1)) for axis in (x, y))
        return across[:, 0].float().contiguous(), down[:, 1].float().contiguous()

    def rows_at_once(self, window: Window, points: int) -> int:
        """Return how many rows of pixels of a window are drawn at once, with no more than so many points, about."""
        columns, rows = self.samples
        step = max(1, points // ((window.right - window.left) * columns * rows))
        return step // GRAIN_POINTS * GRAIN_POINTS or step


def check_room(grid: RasterGrid, device: torch.device) -> None:
    """Raise a GainerError if drawing a raster needs more memory than is free."""
    needed, free = (grid.pixels + grid.samples[0]) * BYTES_PER_RASTER_PIXEL, free_memory()
    if device.type == "cuda":
        free = min(free, torch.cuda.mem_get_info(device)[0] * BYTES_PER_RASTER_PIXEL // _GPU_BYTES_PER_PIXEL)
    remedy = "lower the scale, or draw it in parts, crop by crop"
    check_free(needed, f"drawing {grid.width} x {grid.height} pixels", remedy, free=free)
