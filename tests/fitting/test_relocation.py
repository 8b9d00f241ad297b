"""Gaussians that do little go where the picture lacks much."""

import torch
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.fields.knn_encoding import GaussianKNNEncoding, KNNEncodingConfig
from gainer_ns.fitting.relocation import relocate
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.placement import lattice_means, lattice_spacing

PLANE = ImagePlane(24, 16)
CONFIG = KNNEncodingConfig(num_neighbours=6, covariances="full", sigma=0.5, means="learned", slopes=1, feature_dim=3)


def picture(spare: int) -> tuple[GaussianKNNEncoding, Decoder, Tensor]:
    """A flat picture with a bright spot that nothing shows, and Gaussians of which the last ones are of no use."""
    means = lattice_means(PLANE, 0.25)
    means = torch.cat([means, means[:1].expand(spare, 2) + 1e-3 * torch.rand(spare, 2)])
    decoder = Decoder(3, hidden_layers=0, grey_first=True)
    origin = torch.tensor([-0.5, -0.5])
    encoding = GaussianKNNEncoding(CONFIG, means, lattice_spacing(PLANE, 0.25), unit_box=(origin, 1.0))
    target = torch.full((PLANE.height, PLANE.width, 3), 0.5)
    target[9:12, 15:18] = 1.0
    return encoding, decoder, target.view(-1, 3)


def moved(encoding: GaussianKNNEncoding, decoder: Decoder, target: Tensor, *optimizers: torch.optim.Optimizer) -> int:
    pixels = torch.arange(PLANE.pixels)
    reading = encoding.read(PLANE.pixel_centres(pixels))
    return relocate(encoding, decoder, reading, target, PLANE, pixels, optimizers, seed=0)


def error(encoding: GaussianKNNEncoding, decoder: Decoder, target: Tensor) -> float:
    reading = encoding.read(PLANE.pixel_centres(torch.arange(PLANE.pixels)))
    return float((decoder(encoding(reading)) - target).square().mean().detach())


def test_the_useless_go_where_something_is_missing() -> None:
    encoding, decoder, target = picture(spare=8)
    before, start = error(encoding, decoder, target), encoding.places.detach().clone()
    count = moved(encoding, decoder, target)
    away = (encoding.places.detach() - start).norm(dim=1) > 1e-6
    assert 1 <= count == int(away.sum()) <= len(encoding) // 20
    pixel = PLANE.pixel_from_plane(encoding.places.detach()[away])
    assert bool(((pixel - torch.tensor([16.5, 10.5])).abs() < 3).all()), "at the spot"
    assert error(encoding, decoder, target) < 0.9 * before


def test_nothing_moves_where_nothing_is_missing() -> None:
    encoding, decoder, _ = picture(spare=8)
    start = encoding.places.detach().clone()
    assert moved(encoding, decoder, torch.full((PLANE.pixels, 3), 0.5)) == 0
    assert torch.equal(encoding.places.detach(), start)


def test_what_does_more_than_it_would_there_stays() -> None:
    encoding, decoder, _ = picture(spare=0)
    colours = torch.rand(len(encoding), 3, generator=torch.Generator().manual_seed(0))
    assert encoding.features_table is not None
    encoding.features_table.data = decoder.features_for(colours)  # all of them are needed
    reading = encoding.read(PLANE.pixel_centres(torch.arange(PLANE.pixels)))
    almost = decoder(encoding(reading)).detach().clone()
    almost[100] += 0.02
    assert moved(encoding, decoder, almost) == 0


def test_optimizers_forget_where_they_were_heading() -> None:
    encoding, decoder, target = picture(spare=8)
    assert encoding.shifts is not None
    optimizer = torch.optim.Adam([encoding.shifts])
    encoding.shifts.grad = torch.ones_like(encoding.shifts)
    optimizer.step()
    start = encoding.places.detach().clone()
    moved(encoding, decoder, target, optimizer)
    away = (encoding.places.detach() - start).norm(dim=1) > 1e-6
    heading = optimizer.state[encoding.shifts]["exp_avg"]
    assert bool((heading[away] == 0).all()) and bool((heading[~away] != 0).all())
