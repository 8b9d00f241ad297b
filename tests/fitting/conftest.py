"""What the tests of fitting share: small pictures, and Gaussians that fit them."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet, isotropic
from gainer_ns.gaussians.placement import lattice


@pytest.fixture
def gaussians() -> Callable[..., GaussianSet]:
    """Makes lattice Gaussians as the method places them: one a pixel, 0.64 pixels wide, features zero."""

    def make(plane: ImagePlane, *, feature_dim: int = 8, **placement: float) -> GaussianSet:
        means = lattice(plane, **placement)
        covariance = isotropic(0.64 * plane.pixel_size, 2)
        return GaussianSet(means, covariance, torch.zeros(len(means), feature_dim), 10 * plane.pixel_size)

    return make


@pytest.fixture
def smooth_picture() -> Callable[[ImagePlane], Tensor]:
    """Makes the colours of a picture of soft waves, between 0 and 1."""

    def make(plane: ImagePlane) -> Tensor:
        x, y = plane.pixel_centres(torch.arange(plane.pixels)).unbind(-1)
        waves = [(9 * x + 3 * y).sin(), (7 * y - 2 * x).cos(), (11 * x * y + 1).sin()]
        return 0.5 + 0.4 * torch.stack(waves, dim=-1)

    return make


@pytest.fixture
def psnr() -> Callable[[Tensor, Tensor], float]:
    """PSNR of two sets of colours in dB."""
    return lambda one, other: -10 * math.log10(max(float((one - other).double().square().mean()), 1e-30))
