"""What all coordinate networks have in common: size, seed, gradients, and that they fit a photograph."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gainer_bench.baselines.coordinate_networks import (
    CoordinateMLP,
    CoordinateMLPConfig,
    FinerConfig,
    FourierConfig,
    GaussConfig,
    SirenConfig,
    WireConfig,
)
from gainer_bench.baselines.picture_function import PictureFunction
from gainer_ns.frames import ImagePlane

PLANE = ImagePlane(24, 18)
SMALL_PLANE = ImagePlane(16, 12)


def name(config: CoordinateMLPConfig) -> str:
    return type(config).__name__.removesuffix("Config").lower()


ACTIVATED = [SirenConfig(), WireConfig(), FinerConfig(), GaussConfig()]
every_network = pytest.mark.parametrize("config", [*ACTIVATED, FourierConfig()], ids=name)


def grid(plane: ImagePlane = PLANE) -> torch.Tensor:
    return plane.pixel_centres(torch.arange(plane.pixels))


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (SirenConfig(), 198_915),  # 2 x 256, three times 256 x 256, 256 x 3, and biases
        (FinerConfig(), 198_915),
        (GaussConfig(), 198_915),
        # The published 199,287 real numbers less the end's three imaginary biases, which no picture shows.
        (WireConfig(), 199_284),
        (FourierConfig(), 263_683),  # 512 x 256, twice 256 x 256, 256 x 3, and biases; the frequencies stay as drawn
    ],
)
def test_has_as_many_parameters_as_published(config: CoordinateMLPConfig, parameters: int) -> None:
    assert sum(parameter.numel() for parameter in config.setup(plane=PLANE, seed=0).parameters()) == parameters


@every_network
def test_size_follows_the_config(config: CoordinateMLPConfig) -> None:
    small = type(config)(hidden_layers=1, hidden_dim=20).setup(plane=PLANE, seed=0)
    assert isinstance(small, CoordinateMLP)
    assert len(small.hidden) == 2
    assert small(grid()).shape == (PLANE.pixels, 3)


@every_network
def test_seed_alone_decides_how_it_begins(config: CoordinateMLPConfig) -> None:
    torch.manual_seed(5)
    states = {seed: config.setup(plane=PLANE, seed=seed).state_dict() for seed in (3, 4)}
    torch.manual_seed(6)
    again = config.setup(plane=PLANE, seed=3).state_dict()
    assert states[3].keys() == again.keys()
    for key, values in states[3].items():
        assert torch.equal(values, again[key]), key
        assert not torch.equal(values, states[4][key]), key


@every_network
def test_global_generators_stay_as_they_are(config: CoordinateMLPConfig) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 (the global one is what is tested)
    config.setup(plane=PLANE, seed=3)(grid())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


@every_network
def test_gradients_reach_every_parameter(config: CoordinateMLPConfig) -> None:
    network = config.setup(plane=PLANE, seed=0)
    network(grid()).sin().sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key
    assert [*network.param_groups()] == ["function"]
    assert len(network.param_groups()["function"]) == len([*network.parameters()])


@pytest.mark.parametrize("config", ACTIVATED, ids=name)  # the frequencies of the other one count pixels
def test_sides_of_the_picture_are_the_unit_square(config: CoordinateMLPConfig) -> None:
    points = torch.rand(9, 2) - 0.5
    wide, square = (config.setup(plane=plane, seed=0) for plane in (ImagePlane(40, 10), ImagePlane(10, 10)))
    torch.testing.assert_close(wide(points * torch.tensor([1, 0.25])), square(points))


def fitted_psnr(network: PictureFunction, colours: torch.Tensor, steps: int, learning_rate: float) -> float:
    """Quality in dB after Adam has seen every pixel in every step, at a rate that falls to 0 as a cosine does."""
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    points = grid(network.plane)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = learning_rate * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        optimizer.zero_grad()
        (network(points) - colours).square().mean().backward()
        optimizer.step()
    return -10 * math.log10((network(points).clamp(0, 1) - colours).square().mean().item())


@pytest.mark.parametrize(
    ("config", "learning_rate", "least"),
    [
        (SirenConfig(), 5e-4, 60.0),
        (FinerConfig(), 5e-4, 60.0),
        (WireConfig(), 2e-3, 38.0),
        (GaussConfig(), 2e-3, 52.0),
        (FourierConfig(sigma=300), 2e-3, 37.0),  # few pixels to a side: 10 cycles in 512 of them would be very few
    ],
    ids=["siren", "finer", "wire", "gauss", "fourier"],
)
def test_fits_a_photograph(config: CoordinateMLPConfig, learning_rate: float, least: float, photo: Path) -> None:
    pixels = np.asarray(Image.open(photo))[20:32, 30:46] / 255  # its mean colour alone is worth 26 dB
    colours = torch.from_numpy(pixels).float().reshape(-1, 3)
    network = config.setup(plane=SMALL_PLANE, seed=0)
    assert fitted_psnr(network, colours, steps=100, learning_rate=learning_rate) > least
