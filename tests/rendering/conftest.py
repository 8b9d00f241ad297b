"""What the tests of rendering share: small pictures that are known everywhere."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet, isotropic
from gainer_ns.gaussians.placement import lattice
from gainer_ns.rendering.plane import BakedPicture

MakePicture = Callable[..., BakedPicture]


@pytest.fixture
def picture() -> MakePicture:
    """Makes a picture of random features, or of given colours a Gaussian; with a mask it is transparent elsewhere."""

    def make(
        width: int = 12,
        height: int = 9,
        *,
        inside: Tensor | None = None,
        colours: Tensor | None = None,
        hidden_layers: int = 2,
        num_neighbours: int = 16,
        jitter: float = 0.0,
    ) -> BakedPicture:
        plane = ImagePlane(width, height)
        means = lattice(plane, inside=inside, jitter=jitter)
        decoder = Decoder(8, hidden_layers=hidden_layers, hidden_dim=16)
        features = 0.3 * torch.randn(len(means), 8) if colours is None else decoder.features_for(colours)
        return BakedPicture(
            plane=plane,
            gaussians=GaussianSet(means, isotropic(0.64 * plane.pixel_size, 2), features, 10 * plane.pixel_size),
            decoder=decoder.eval(),
            num_neighbours=num_neighbours,
            coverage=math.inf if inside is None else 0.75 * plane.pixel_size,
        )

    return make
