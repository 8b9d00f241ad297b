"""Discs in space, and what a point reads of them."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.fields.disc_encoding import DiscEncoding, DiscEncodingConfig
from gainer_ns.fields.knn_encoding import MAX_NEIGHBOURS
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
    encoding = DiscEncoding(DiscEncodingConfig(**config), flat @ jacobian.T, inverse, torch.arange(COUNT))
    encoding.features_table.data.normal_(generator=torch.Generator().manual_seed(seed))
    return encoding


def near(encoding: DiscEncoding, count: int = 200, across: float = 1.0) -> Tensor:
    """Points at random steps (pixels along, thicknesses across) from random discs."""
    generator = torch.Generator().manual_seed(1)
    chosen = torch.randint(COUNT, (count,), generator=generator)
    step = 2 * torch.rand(count, 3, generator=generator) - 1
    step[:, 2] *= across
    return encoding.means[chosen] + (encoding.inverse_jacobians[0].inverse() @ step[..., None])[..., 0]


def read(encoding: DiscEncoding, points: Tensor) -> Tensor:
    return encoding.read(points) @ encoding.features_table


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
def test_a_point_reads_its_nearest_discs_in_pixels(tilt: float, pixel: float) -> None:
    encoding = encoding_of(tilt, pixel)
    points, gaussians = near(encoding), encoding.gaussian_set()
    back = encoding.inverse_jacobians[:1].expand(len(points), 3, 3)
    found = reference.nearest(points, gaussians.means, encoding.config.num_neighbours, gaussians.radius, back)
    expected = reference.aggregate(points, found, gaussians.means, gaussians.precisions, gaussians.features)
    torch.testing.assert_close(read(encoding, points), expected, rtol=1e-3, atol=1e-3)


def test_neither_distance_nor_tilt_changes_what_is_read() -> None:
    one, other = encoding_of(), encoding_of(tilt=1.2, pixel=7.0)
    torch.testing.assert_close(read(one, near(one)), read(other, near(other)), rtol=1e-3, atol=1e-3)


def test_what_lies_before_or_behind_is_not_read() -> None:
    encoding = encoding_of()
    above = encoding.means + torch.tensor([0.0, 0.0, 0.1])  # a pixel, which is four thicknesses
    assert (read(encoding, above) == 0).all()
    assert (encoding.read(above).offsets == 0).all()
    within = encoding.means + torch.tensor([0.0, 0.0, 0.04])
    assert (read(encoding, within) != 0).any(dim=1).all()


def test_weights_sum_to_one() -> None:
    encoding = encoding_of()
    encoding.features_table.data.fill_(1.0)
    torch.testing.assert_close(read(encoding, near(encoding)), torch.ones(200, 8))


@pytest.mark.parametrize("number", [0, MAX_NEIGHBOURS + 1])
def test_numbers_of_neighbours_that_cannot_be(number: int) -> None:
    with pytest.raises(GainerError, match=f"num-neighbours {number}: choose from 1 to {MAX_NEIGHBOURS}"):
        encoding_of(num_neighbours=number)


def test_a_checkpoint_brings_back_any_number_of_discs() -> None:
    saved = encoding_of(tilt=0.4)
    for count in (0, 7):
        loaded = DiscEncoding(
            DiscEncodingConfig(), torch.zeros(count, 3), torch.zeros(count, 3, 3), torch.zeros(count, dtype=torch.long)
        )
        loaded.load_state_dict(copy.deepcopy(saved.state_dict()))
        assert len(loaded) == COUNT and loaded.pixels.dtype == torch.int32
        for name, value in saved.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], value), name
        assert torch.equal(read(loaded, near(saved)), read(saved, near(saved)))


def test_means_are_its_own() -> None:
    means = torch.zeros(1, 3)
    encoding = DiscEncoding(DiscEncodingConfig(), means, torch.eye(3)[None], torch.zeros(1, dtype=torch.long))
    means += 1
    assert (encoding.means == 0).all()
