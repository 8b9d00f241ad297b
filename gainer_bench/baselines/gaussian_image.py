"""GaussianImage (Zhang et al. 2024): a picture is a sum of coloured 2D Gaussians, in no order and without opacities."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import Parameter

from gainer_bench.baselines.gaussian_sums import sum_at_pixels, sum_at_points
from gainer_bench.baselines.picture_function import PictureFunction, PictureFunctionConfig
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.placement import means_by_detail
from gainer_ns.gaussians.small_matrices import product

ROUNDING_SHARE, ROUNDING_PX2 = 1e-6, 1e-12
"""Added to the squared axes of what is moved, relative to its size and in square pixels: lines could not be moved."""
SOLVED_SHARE = 1e-9
"""Squared gradient, relative to the first, at which colours sum up to the picture as well as they can."""


@dataclass
class GaussianImageConfig(PictureFunctionConfig):
    """How many Gaussians, and where they start."""

    _target: type = field(default_factory=lambda: GaussianImage)
    num_gaussians: int | None = None
    """How many Gaussians; None for gaussians-per-pixel. Published: 70,000 for Kodak's pictures."""
    gaussians_per_pixel: float = 0.18
    """How many for each pixel, unless num-gaussians says; 0.18 are the published 70,000 for 768 x 512 pixels."""
    start: Literal["picture", "published"] = "picture"
    """Where they start: dense and small where the picture has detail, coloured like it and made to sum up to it; or all
    at random, as published."""
    uniform_share: float = 0.2
    """Of a start from the picture: which share of the Gaussians is spread evenly, and not by detail."""
    first_deviation: float = 0.5
    """Of a start from the picture: standard deviation, in distances of the Gaussians around."""
    solver_steps: int = 20
    """Of a start from the picture: steps of conjugate gradients by which colours are made to sum up to it."""

    def count(self, plane: ImagePlane) -> int:
        """Return how many Gaussians a picture has."""
        return self.num_gaussians or max(1, round(self.gaussians_per_pixel * plane.pixels))

    def numbers(self, plane: ImagePlane) -> int:
        """Return those of all Gaussians."""
        return 8 * self.count(plane)


class GaussianImage(PictureFunction):
    """``colour = sum_i c_i exp(-1/2 (x - mu_i)^T Sigma_i^-1 (x - mu_i))``, 8 numbers a Gaussian (section 3.2).

    Published are covariances by their Cholesky factor and positions through a hyperbolic tangent. Here positions are
    plain, in pixels: the same family of pictures, whose gradients do not vanish near the border.
    """

    config: GaussianImageConfig
    at_once = True

    def __init__(self, config: GaussianImageConfig, plane: ImagePlane, seed: int = 0) -> None:
        super().__init__(config, plane, seed)
        count = config.count(plane)
        # As published: uniform positions; factors uniform from (1/2, 0, 1/2) to (3/2, 1, 3/2) pixels; uniform colours.
        random = torch.rand(count, 8, generator=torch.Generator().manual_seed(seed))
        places = random[:, :2] * torch.tensor([plane.width, plane.height])
        order = (places[:, 1].floor() * plane.width + places[:, 0]).argsort()  # neighbours are near in memory: faster
        self.places: Parameter = Parameter(places[order])
        self.factors: Parameter = Parameter(random[:, 2:5] + torch.tensor([0.5, 0.0, 0.5]))
        self.colours: Parameter = Parameter(random[:, 5:].contiguous())
        self._pixels: Tensor
        self.register_buffer("_pixels", plane.pixel_centres(torch.arange(plane.pixels)), persistent=False)

    def forward(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, "m 3"]:
        """Return colours, unclamped; of pixel centres they are differentiable by the parameters, of others not."""
        gaussians, size = (self.places, self.factors, self.colours), (self.plane.width, self.plane.height)
        points = points.float()
        if len(points) == len(self._pixels) and torch.equal(points, self._pixels):
            return sum_at_pixels(*gaussians, *size)
        pixels = self.plane.pixel_at(points)
        if torch.equal(self._pixels[pixels], points):
            return sum_at_pixels(*gaussians, *size)[pixels]
        return sum_at_points(*gaussians, self.plane.pixel_from_plane(points))

    def param_groups(self) -> dict[str, list[Parameter]]:
        """Return three groups: means and covariances are in pixels, colours are not."""
        return {"means": [self.places], "covariances": [self.factors], "colours": [self.colours]}

    @property
    def means(self) -> Float[Tensor, "n 2"]:
        """Return means in plane units."""
        return self.plane.plane_from_pixel(self.places.detach())

    @property
    def covariances(self) -> Float[Tensor, "n 2 2"]:
        """Return covariances in squared plane units."""
        lower = torch.zeros(len(self.factors), 2, 2, device=self.factors.device)
        lower[:, 0, 0], lower[:, 1, 0], lower[:, 1, 1] = self.factors.detach().unbind(-1)
        lower = lower * lower.new_tensor([self.plane.pixel_size, -self.plane.pixel_size])[:, None]
        return product(lower, lower.mT)

    @torch.no_grad()
    def move(self, means: Float[Tensor, "n 2"], covariances: Float[Tensor, "n 2 2"]) -> None:
        """Put the Gaussians elsewhere: means in plane units, covariances in squared ones."""
        self.places.copy_(self.plane.pixel_from_plane(means))
        square = covariances.double() / self.plane.pixel_size**2
        size = square.diagonal(dim1=1, dim2=2).sum(dim=1)[:, None, None]
        lower = torch.linalg.cholesky(square + (ROUNDING_SHARE * size + ROUNDING_PX2) * torch.eye(2).to(square)).float()
        self.factors.copy_(torch.stack([lower[:, 0, 0], -lower[:, 1, 0], lower[:, 1, 1]], dim=1))

    @torch.no_grad()
    def begin(self, target: Float[Tensor, "h w 3"]) -> None:
        """Start from the picture, unless the start is as published."""
        if self.config.start == "published":
            return
        means, spacings = means_by_detail(
            self.plane, target, len(self.places), uniform_share=self.config.uniform_share, seed=self.seed
        )
        self.places.copy_(self.plane.pixel_from_plane(means))
        deviation = self.config.first_deviation / self.plane.pixel_size * spacings
        self.factors.copy_(torch.stack([deviation, torch.zeros_like(deviation), deviation], dim=1))
        self._solve_colours(target)

    def _solve_colours(self, target: Float[Tensor, "h w 3"]) -> None:
        """Solve the colours by conjugate gradients: the picture is linear in them."""
        size = self.plane.width, self.plane.height
        self.colours.zero_()
        residual = target.reshape(-1, 3).contiguous()
        gradient = direction = self._pulled(residual)
        norm = gradient.square().sum(dim=0)
        enough = SOLVED_SHARE * norm
        for _ in range(self.config.solver_steps):
            drawn = sum_at_pixels(self.places, self.factors, direction, *size)
            step = torch.where(norm > enough, norm / drawn.square().sum(dim=0), 0.0)  # rounding would lead astray
            self.colours.add_(step * direction)
            residual = residual - step * drawn
            gradient = self._pulled(residual)
            norm, before = gradient.square().sum(dim=0), norm
            direction = gradient + torch.where(norm > enough, norm / before, 0.0) * direction

    @torch.enable_grad()
    def _pulled(self, residual: Float[Tensor, "m 3"]) -> Float[Tensor, "n 3"]:
        """Return which colours the Gaussians see in a picture: the transpose of drawing."""
        colours = torch.zeros_like(self.colours, requires_grad=True)
        places, factors = self.places.detach(), self.factors.detach()
        drawn = sum_at_pixels(places, factors, colours, self.plane.width, self.plane.height)
        return torch.autograd.grad(drawn, colours, residual)[0]
