"""Sums of Gaussians, ``sum_i c_i exp(-1/2 |L_i^-1 (x - mu_i)|^2)``, by kernels and in plain torch.

As GaussianImage (Zhang et al. 2024, section 3.2) draws pictures: colours are accumulated, so no Gaussian is before
another. All is in pixel coordinates. A Gaussian counts where its weight is at least 1/255, as in the published
rasteriser; that one also leaves out the tiles beyond three of the largest deviations, which here no tile decides.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
import warp as wp
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from gainer_bench.baselines.gaussian_image_kernels import (
    CUT,
    GREATEST,
    LEAST_AREA,
    TILE,
    draw_points_kernel,
    draw_rows_kernel,
    pixel_gradients_kernel,
)
from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.aggregation import transposed_by_counting, transposed_by_sorting
from gainer_ns.gaussians.kernels import Typed

STRIPS = 4
"""Into how many strips a picture is divided for each CPU thread: some hold more than others."""


def sum_at_pixels(
    means: Float[Tensor, "n 2"], factors: Float[Tensor, "n 3"], colours: Float[Tensor, "n 3"], width: int, height: int
) -> Float[Tensor, "m 3"]:
    """Return colours of all pixels of a picture, row by row; differentiable once in all that Gaussians are.

    Args:
        means: In pixel coordinates.
        factors: ``(l1, l2, l3)`` for ``Sigma = L L^T`` with ``L = [[l1, 0], [l2, l3]]``, in pixels.
        colours: Colours, each times its opacity.
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
    """
    return _SumAtPixels.apply(means, factors, colours, width, height)


@torch.no_grad()
def sum_at_points(
    means: Float[Tensor, "n 2"],
    factors: Float[Tensor, "n 3"],
    colours: Float[Tensor, "n 3"],
    points: Float[Tensor, "m 2"],
    width: int,
    height: int,
) -> Float[Tensor, "m 3"]:
    """Return colours of any points, without gradients; outside of the picture it takes longer."""
    return _draw_points(means, factors, colours, points, _Tiles.over(means, factors, points, width, height))


def sum_densely(
    means: Float[Tensor, "n 2"],
    factors: Float[Tensor, "n 3"],
    colours: Float[Tensor, "n 3"],
    points: Float[Tensor, "m 2"],
) -> Float[Tensor, "m 3"]:
    """What the kernels are compared with: all Gaussians at all points, in plain torch."""
    offsets = points[:, None] - means[None]
    first = offsets[..., 0] / factors[:, 0]
    second = (offsets[..., 1] - factors[:, 1] * first) / factors[:, 2]
    squared = first.square() + second.square()
    return torch.where(squared <= CUT, torch.exp(-0.5 * squared), 0.0) @ colours


class _SumAtPixels(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx, means: Tensor, factors: Tensor, colours: Tensor, width: int, height: int
    ) -> Tensor:
        ctx.save_for_backward(means, factors, colours)
        ctx.size = width, height
        if means.device.type == "cpu":
            return _draw_rows(means, factors, colours, width, height)
        index = torch.arange(width * height, device=means.device)
        pixels = torch.stack([index % width, torch.div(index, width, rounding_mode="floor")], dim=1) + 0.5
        return _draw_points(means, factors, colours, pixels, _Tiles.over(means, factors, pixels, width, height))

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        gaussians = ctx.saved_tensors
        inputs = [*ctx.size, *_typed(*gaussians), Typed(gradient.contiguous(), wp.vec3)]
        results = tuple(torch.empty_like(part) for part in gaussians)
        kernels.launch(pixel_gradients_kernel(), len(results[0]), [*inputs, *_typed(*results)], gradient.device)
        return *results, None, None


@dataclass(frozen=True)
class _Tiles:
    """How points and Gaussians find each other; what lies outside of the picture belongs to the tiles at its border.

    Attributes:
        columns: How many tiles are in a row of them.
        count: How many there are.
        of_points: [m], the tile of each point.
        ranges: [n, 4], the tiles of each Gaussian: first column and row, and one past the last; all 0 if not drawn.
    """

    columns: int
    count: int
    of_points: Int[Tensor, " m"]
    ranges: Int[Tensor, "n 4"]

    @classmethod
    def over(cls, means: Tensor, factors: Tensor, points: Tensor, width: int, height: int) -> _Tiles:
        """Tiles over a picture of so many pixels."""
        columns, rows = -(-width // TILE), -(-height // TILE)
        last = torch.tensor([columns - 1, rows - 1], device=means.device)
        drawn = (factors[:, 0] * factors[:, 2]).abs() >= LEAST_AREA
        drawn &= (torch.cat([means, factors], dim=1).abs() <= GREATEST).all(dim=1)
        deviations = torch.stack([factors[:, 0].abs(), factors[:, 1:].norm(dim=1)], dim=1)
        reach = CUT**0.5 * deviations * (1 + 1e-5)  # a little more, since the kernels round otherwise
        low, high, own = (cls._tile(place, last) for place in (means - reach, means + reach, points))
        ranges = torch.cat([low, high + 1], dim=1) * drawn[:, None]
        return cls(columns, columns * rows, own[:, 1] * columns + own[:, 0], ranges.contiguous())

    @staticmethod
    def _tile(place: Tensor, last: Tensor) -> Tensor:
        tile = (place / TILE).floor().nan_to_num().clamp(min=0)
        return torch.minimum(tile, last.to(tile.dtype)).int()

    def lists(self) -> tuple[Int[Tensor, " tiles_and_one"], Int[Tensor, " entries"]]:
        """Where the Gaussians of each tile begin, and they themselves, ascending in each tile."""
        wide, tall = (self.ranges[:, 2:] - self.ranges[:, :2]).long().unbind(-1)
        offsets = torch.zeros(len(wide) + 1, dtype=torch.int32, device=wide.device)
        torch.cumsum(wide * tall, dim=0, out=offsets[1:])
        owner = torch.repeat_interleave(wide * tall)
        place = torch.arange(len(owner), device=wide.device) - offsets[owner]
        row = torch.div(place, wide[owner], rounding_mode="floor")
        column = place - row * wide[owner]
        tile = (self.ranges[owner, 1] + row) * self.columns + self.ranges[owner, 0] + column
        transposed = transposed_by_counting if tile.device.type == "cpu" else transposed_by_sorting
        return transposed(offsets, tile.int(), self.count)[:2]


def _draw_rows(means: Tensor, factors: Tensor, colours: Tensor, width: int, height: int) -> Tensor:
    """All pixels, on a CPU: each strip of rows by one thread."""
    picture = torch.zeros(height * width, 3)
    inputs = [width, *_typed(means, factors, colours), Typed(picture, wp.vec3)]
    threads = torch.get_num_threads()
    strips = 1 if threads == 1 else min(STRIPS * threads, height)
    bounds = list(itertools.pairwise(height * strip // strips for strip in range(strips + 1)))

    def draw(bound: tuple[int, int]) -> None:
        kernels.launch(draw_rows_kernel(), 1, [*bound, *inputs], means.device)

    if strips == 1:
        draw(bounds[0])
    else:
        kernels.compile_kernel(draw_rows_kernel(), means.device)  # once, before the threads ask for it
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(draw, bounds))
    return picture


def _draw_points(means: Tensor, factors: Tensor, colours: Tensor, points: Tensor, tiles: _Tiles) -> Tensor:
    result = torch.empty(len(points), 3, device=points.device)
    offsets, listed = tiles.lists()
    inputs = [
        Typed(points.contiguous(), wp.vec2),
        Typed(tiles.of_points.contiguous(), wp.int32),
        Typed(offsets, wp.int32),
        Typed(listed, wp.int32),
        *_typed(means, factors, colours),
        Typed(result, wp.vec3),
    ]
    kernels.launch(draw_points_kernel(), len(points), inputs, points.device)
    return result


def _typed(means: Tensor, factors: Tensor, colours: Tensor) -> list[Typed]:
    return [
        Typed(means.contiguous(), wp.vec2),
        Typed(factors.contiguous(), wp.vec3),
        Typed(colours.contiguous(), wp.vec3),
    ]
