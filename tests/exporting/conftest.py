"""What the tests of exports share: small pictures of random features."""

from collections.abc import Callable

import pytest
import torch

from gainer_ns.fields.decoder import Decoder
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet, isotropic
from gainer_ns.gaussians.placement import lattice_means
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture


@pytest.fixture
def picture() -> Callable[..., BakedPicture]:
    """Makes a picture; where cut out, a disc is opaque, and the Gaussians around it are not."""

    def make(width: int = 24, height: int = 16, *, cut_out: bool = False, sigma: float = 0.64) -> BakedPicture:
        plane = ImagePlane(width, height)
        means = lattice_means(plane)
        opacities = torch.where(means.norm(dim=1) < 0.25, 1.0, -0.5) if cut_out else None
        gaussians = GaussianSet(
            means,
            isotropic(sigma * plane.pixel_size, 2),
            0.3 * torch.randn(len(means), 8),
            10 * plane.pixel_size,
            opacities=opacities,
        )
        decoder = Decoder(8, hidden_layers=1, hidden_dim=16).eval()
        layer = Layer(gaussians, decoder, 9, None if cut_out else plane.half_extent)
        return BakedPicture(plane=plane, layers=(layer,))

    return make
