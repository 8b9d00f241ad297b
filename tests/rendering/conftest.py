"""What the tests of rendering share: small pictures that are known everywhere."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.fitting.opacity import fit_opacities
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet, isotropic
from gainer_ns.gaussians.opacity import near_what_shows, opacity_field
from gainer_ns.gaussians.placement import lattice
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture

MakePicture = Callable[..., BakedPicture]


@pytest.fixture
def picture() -> MakePicture:
    """Makes a picture of random features, or of given colours a Gaussian (or one for all).

    With an opacity [h, w], or a mask of what shows, it has Gaussians there and in a margin, with fitted opacities.
    """

    def make(
        width: int = 12,
        height: int = 9,
        *,
        opacity: Tensor | None = None,
        colours: Tensor | None = None,
        hidden_layers: int = 2,
        num_neighbours: int = 16,
        jitter: float = 0.0,
    ) -> BakedPicture:
        plane = ImagePlane(width, height)
        near = None if opacity is None else near_what_shows(opacity.float())
        means = lattice(plane, inside=near, jitter=jitter)
        decoder = Decoder(8, hidden_layers=hidden_layers, hidden_dim=16).eval()
        if colours is None:
            features = 0.3 * torch.randn(len(means), 8)
        else:
            features = decoder.features_for(colours).expand(len(means), 8).clone()
        gaussians = GaussianSet(means, isotropic(0.64 * plane.pixel_size, 2), features, 10 * plane.pixel_size)
        if opacity is not None and near is not None:
            field, pixels = opacity_field(opacity.float()).flatten(), near.flatten().nonzero()[:, 0]
            start = GaussianSet(means, gaussians.covariances, features, gaussians.radius, field[plane.pixel_at(means)])
            opacities = fit_opacities(plane, start, num_neighbours, pixels, field[pixels])
            gaussians = GaussianSet(means, gaussians.covariances, features, gaussians.radius, opacities)
        return BakedPicture(plane, (Layer(gaussians, decoder, num_neighbours, plane.half_extent),))

    return make
