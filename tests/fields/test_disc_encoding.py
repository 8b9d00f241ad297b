"""Discs in space, and what places on their surface read of them."""

import copy
from typing import Any

import pytest
import torch

from gainer_ns.fields.disc_encoding import DiscEncoding, DiscEncodingConfig
from gainer_ns.gaussians import reference

COUNT = 12 * 10


def encoding_of(tilt: float = 0.0, pixel: float = 0.1, seed: int = 0, **config: Any) -> DiscEncoding:
    """A grid of 12 x 10 discs, a pixel apart, on a plane through the origin that leans to the right."""
    x, y = torch.meshgrid(torch.arange(12.0) - 5.5, torch.arange(10.0) - 4.5, indexing="xy")
    cosine, sine = torch.tensor(tilt).cos(), torch.tensor(tilt).sin()
    turn = torch.tensor([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    jacobian = pixel * turn @ torch.diag(torch.tensor([1.0, -1.0, 0.25]))
    flat = torch.stack([x.flatten(), y.flatten(), torch.zeros(COUNT)], dim=1)
    inverse = jacobian.inverse().expand(COUNT, 3, 3)
    number = torch.arange(COUNT).view(10, 12)
    right, below = torch.full_like(number, -1), torch.full_like(number, -1)
    right[:, :-1], below[:-1] = number[:, 1:], number[1:]
    links = torch.stack([right.flatten(), below.flatten()], dim=1)
    encoding = DiscEncoding(DiscEncodingConfig(**config), flat @ jacobian.T, inverse, torch.arange(COUNT), links)
    encoding.features_table.data.normal_(generator=torch.Generator().manual_seed(seed))
    return encoding


def test_gaussians_are_as_wide_as_sigma_says() -> None:
    encoding = encoding_of(tilt=0.7, sigma=0.5)
    gaussians = encoding.gaussian_set()
    assert len(gaussians) == len(encoding) == COUNT and gaussians.radius == encoding.config.radius
    back = encoding.inverse_jacobians
    in_pixels = back @ gaussians.covariances @ back.mT
    torch.testing.assert_close(in_pixels, 0.25 * torch.eye(3).expand(COUNT, 3, 3), rtol=0, atol=1e-5)
    assert not gaussians.features.requires_grad


@pytest.mark.parametrize("tilt", [0.0, 1.1])
@pytest.mark.parametrize("pixel", [0.01, 3.0])
def test_the_block_of_a_place_holds_its_nearest_discs(tilt: float, pixel: float) -> None:
    encoding = encoding_of(tilt, pixel)
    gaussians, middle = encoding.gaussian_set(), torch.arange(COUNT).view(10, 12)[2:-2, 2:-2].flatten()
    steps = torch.rand(len(middle), 2, generator=torch.Generator().manual_seed(1)) - 0.5
    back = encoding.inverse_jacobians[:1]
    away = torch.cat([steps, torch.zeros(len(steps), 1)], dim=1)
    points = encoding.means[middle] + away @ back[0].inverse().T
    found = reference.nearest(points, gaussians.means, 25, gaussians.radius, back.expand(len(points), 3, 3))
    expected = reference.aggregate(points, found, gaussians.means, gaussians.precisions, gaussians.features)
    read = encoding.disc_links().read(middle.int(), steps, gaussians.features, encoding.config.sigma)
    torch.testing.assert_close(read, expected, rtol=2e-3, atol=2e-3)


def test_a_checkpoint_brings_back_any_number_of_discs() -> None:
    saved = encoding_of(tilt=0.4)
    for count in (0, 7):
        loaded = DiscEncoding(
            DiscEncodingConfig(),
            torch.zeros(count, 3),
            torch.zeros(count, 3, 3),
            torch.zeros(count, dtype=torch.long),
            torch.zeros(count, 2, dtype=torch.long),
        )
        loaded.load_state_dict(copy.deepcopy(saved.state_dict()))
        assert len(loaded) == COUNT and loaded.pixels.dtype == torch.int32
        for name, value in saved.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], value), name
        assert torch.equal(loaded.disc_links().neighbours, saved.disc_links().neighbours)


def test_means_are_its_own() -> None:
    means = torch.zeros(1, 3)
    none = torch.zeros(1, dtype=torch.long)
    encoding = DiscEncoding(DiscEncodingConfig(), means, torch.eye(3)[None], none, torch.full((1, 2), -1))
    means += 1
    assert (encoding.means == 0).all()
