"""Sums of Gaussians, ``sum_i c_i exp(-1/2 |L_i^-1 (x - mu_i)|^2)``, by kernels and in plain torch.

As GaussianImage (Zhang et al. 2024, section 3.2) draws pictures: colours are accumulated, so no Gaussian is before
another. All is in pixel coordinates. A Gaussian counts where its weight is at least 1/255, as in the published
rasteriser; that one also leaves out tiles beyond three of the largest deviations.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import torch
import warp as wp
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from gainer_bench.baselines.gaussian_image_kernels import (
    CUT,
    MAX_SIZE_PX,
    MIN_AREA_PX,
    draw_points_kernel,
    draw_rows_kernel,
    pixel_gradients_kernel,
)
from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.kernels import Typed

STRIPS_PER_THREAD = 4
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
) -> Float[Tensor, "m 3"]:
    """Return colours of any points, without gradients, as :func:`sum_at_pixels` has them."""
    kernels.start_warp()
    drawn = (factors[:, 0] * factors[:, 2]).abs() >= MIN_AREA_PX
    drawn &= (torch.cat([means, factors], dim=1).abs() <= MAX_SIZE_PX).all(dim=1)
    means, factors, colours = means[drawn], factors[drawn], colours[drawn]
    result = torch.zeros(len(points), 3, device=points.device)
    if len(means) == 0:
        return result
    deviations = torch.stack([factors[:, 0].abs(), factors[:, 1:].norm(dim=1)], dim=1)
    half = CUT**0.5 * deviations * (1 + 1e-5)  # a little more, since the kernel rounds otherwise
    low, high = (wp.from_torch(pad(corner, (0, 1)), dtype=wp.vec3) for corner in (means - half, means + half))
    tree = wp.Bvh(low, high)
    inputs = [tree.id, Typed(points.contiguous(), wp.vec2), *_typed(means, factors, colours), Typed(result, wp.vec3)]
    kernels.launch(draw_points_kernel(), len(points), inputs, points.device)
    return result


def sum_densely(
    means: Float[Tensor, "n 2"],
    factors: Float[Tensor, "n 3"],
    colours: Float[Tensor, "n 3"],
    points: Float[Tensor, "m 2"],
) -> Float[Tensor, "m 3"]:
    """Sum up, for the kernels to be compared with, all Gaussians at all points, in plain torch."""
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
        return sum_at_points(means, factors, colours, pixels)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        gaussians = ctx.saved_tensors
        inputs = [*ctx.size, *_typed(*gaussians), Typed(gradient.contiguous(), wp.vec3)]
        results = tuple(torch.empty_like(part) for part in gaussians)
        kernels.launch(pixel_gradients_kernel(), len(results[0]), [*inputs, *_typed(*results)], gradient.device)
        return *results, None, None


def _draw_rows(means: Tensor, factors: Tensor, colours: Tensor, width: int, height: int) -> Tensor:
    """Draw all pixels, on a CPU: each strip of rows by one thread."""
    picture = torch.zeros(height * width, 3)
    inputs = [width, *_typed(means, factors, colours), Typed(picture, wp.vec3)]
    threads = torch.get_num_threads()
    strips = 1 if threads == 1 else min(STRIPS_PER_THREAD * threads, height)
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


def _typed(means: Tensor, factors: Tensor, colours: Tensor) -> list[Typed]:
    return [
        Typed(means.contiguous(), wp.vec2),
        Typed(factors.contiguous(), wp.vec3),
        Typed(colours.contiguous(), wp.vec3),
    ]
