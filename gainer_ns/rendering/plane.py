"""A fitted picture, baked, and how it is drawn at any points of its plane.

The image model, the command line, the viewer and the benchmarks all draw through :class:`BakedPicture`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.fields.decoder import Decoder
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.aggregation import AggregationMatrix, gaussian_weights
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.neighbours import NeighbourIndex

BLOCK_POINTS = 1 << 17
"""How many points are drawn at once: bounds memory, and keeps a block in the processor's cache."""


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
        blocks = [self._block(block) for block in points.split(BLOCK_POINTS)]
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

    def raster(
        self, scale: float = 1.0, crop: tuple[float, float, float, float] | None = None
    ) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w 1"]]:
        """Draws the picture, or a part of it, on a grid of any resolution.

        Enlarging samples the continuous picture. Shrinking averages it over the area of each output pixel, on a
        regular grid of at least one sample a source pixel.

        Args:
            scale: Output pixels per source pixel.
            crop: (x0, y0, x1, y1) in source pixels; None for the whole picture.

        Returns:
            Colours in [0, 1], not multiplied by alpha, and alpha.

        Raises:
            GainerError: If the scale or the crop leaves no picture.
        """
        x0, y0, x1, y1 = crop or (0.0, 0.0, float(self.plane.width), float(self.plane.height))
        if not (math.isfinite(scale) and scale > 0):
            raise GainerError(f"scale {scale}: it must be a positive number of output pixels per source pixel")
        if not (x0 < x1 and y0 < y1):
            raise GainerError(f"crop {x0:g} {y0:g} {x1:g} {y1:g}: give it as X0 Y0 X1 Y1 with X0 < X1 and Y0 < Y1")
        width, height = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
        samples = max(1, math.ceil(1.0 / scale - 1e-9))
        rows_at_once = max(1, BLOCK_POINTS // (width * samples * samples))
        device = self.gaussians.means.device
        x = x0 + (torch.arange(width * samples, device=device, dtype=torch.float64) + 0.5) * (x1 - x0) / width / samples
        bands = []
        for top in range(0, height, rows_at_once):
            rows = torch.arange(top * samples, min(top + rows_at_once, height) * samples, device=device)
            y = y0 + (rows.double() + 0.5) * (y1 - y0) / height / samples
            grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
            rgb, alpha = self.at_pixels(grid.reshape(-1, 2))
            bands.append(averaged(Drawn(rgb, alpha), width, samples))
        rgb = torch.cat([band.rgb for band in bands]).view(height, width, 3)
        alpha = torch.cat([band.alpha for band in bands]).view(height, width, 1)
        return rgb.clamp(0, 1), alpha


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
