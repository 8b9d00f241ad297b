"""Where NeuRBF's radial basis functions, its kernels, lie, and what shape they have.

Source: Chen et al. 2023, "NeuRBF", section 3: weighted k-means, then the covariances of the clusters.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import conv2d, pad

from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.neighbours import NeighbourIndex

WIDENING = 2.0
"""Covariance of a kernel over that of the pixels nearest to it."""
LEAST_DEVIATION = 0.5
"""Least standard deviation of a kernel along any direction, in pixels: that of a cluster may be a line."""


def gradient_magnitudes(picture: Float[Tensor, "h w 3"]) -> Float[Tensor, "h w"]:
    """How strongly a picture changes at each pixel: the length of Sobel's gradients of all channels, per pixel."""
    smooth, slope = picture.new_tensor([1, 2, 1]), picture.new_tensor([-1, 0, 1])
    along_x = smooth[:, None] * slope / 8
    filters = torch.stack([along_x, along_x.T])[:, None]
    channels = pad(picture.permute(2, 0, 1)[:, None], (1, 1, 1, 1), mode="replicate")
    return conv2d(channels, filters).square().sum(dim=(0, 1)).sqrt()


def place_kernels(
    picture: Float[Tensor, "h w 3"], plane: ImagePlane, count: int, *, rounds: int, seed: int
) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n 2 2"]]:
    """Centres and precisions of kernels that fit a picture.

    The centres are clusters of the pixels, found by k-means where a pixel weighs as much as the picture changes there.
    A kernel's covariance is that of its cluster, about the centre, but wider.

    Args:
        picture: The picture.
        plane: Its plane.
        count: How many kernels ``n`` are wanted, at most as many as there are pixels.
        rounds: Rounds of k-means.
        seed: Of the pixels that the centres start from.

    Returns:
        Centres in plane coordinates, and inverse covariances.
    """
    weights = gradient_magnitudes(picture).flatten()
    weights = weights + 1e-3 * weights.mean() + 1e-9  # flat regions have kernels too, if few
    points = plane.pixel_centres(torch.arange(plane.pixels, device=picture.device))
    waiting = torch.empty(plane.pixels).exponential_(generator=torch.Generator().manual_seed(seed))
    centres = points[(weights / waiting.to(weights.device)).topk(count).indices]  # drawn by weight, each once
    for _ in range(rounds):
        labels = _nearest(points, centres)
        total = _sums(labels, weights, count)
        moved = torch.stack([_sums(labels, weights * axis, count) for axis in points.unbind(-1)], dim=-1)
        centres = torch.where(total[:, None] > 0, moved / total[:, None], centres)
    labels = _nearest(points, centres)
    x, y = (points - centres[labels]).unbind(-1)
    xx, xy, yy = (_sums(labels, weights * product, count) for product in (x * x, x * y, y * y))
    covariances = torch.stack([xx, xy, xy, yy], dim=-1).view(-1, 2, 2)
    covariances = WIDENING * covariances / _sums(labels, weights, count).clamp(min=1e-30)[:, None, None]
    least = (LEAST_DEVIATION * plane.pixel_size) ** 2
    return centres, torch.linalg.inv(covariances + least * torch.eye(2, device=centres.device))


def _nearest(points: Float[Tensor, "m 2"], centres: Float[Tensor, "n 2"]) -> Int64[Tensor, " m"]:
    """Which centre each point is nearest to."""
    return NeighbourIndex(centres, radius=10.0).query(points, 1).indices[:, 0].long()


def _sums(labels: Int64[Tensor, " m"], values: Float[Tensor, " m"], count: int) -> Float[Tensor, " n"]:
    """Sums of the values of each label."""
    return torch.bincount(labels, weights=values, minlength=count).to(values.dtype)
