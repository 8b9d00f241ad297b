"""The Gaussian network against its formula and PyTorch's initial weights."""

import math

import numpy as np
import torch

from gainer_bench.baselines.coordinate_networks import GaussConfig
from gainer_ns.frames import ImagePlane

PLANE = ImagePlane(60, 30)


def test_equals_the_formula() -> None:
    network = GaussConfig(sharpness=3.0, hidden_layers=2, hidden_dim=16).setup(plane=PLANE, seed=1).double()
    points = (torch.rand(5, 2, dtype=torch.float64) - 0.5) * torch.tensor([1, 0.5])
    weights = [parameter.detach().numpy() for parameter in network.parameters()]
    for point, colour in zip(points.numpy(), network(points).detach().numpy(), strict=True):
        values = point / np.array([0.5, 0.25])
        for layer in range(3):
            inside = weights[2 * layer] @ values + weights[2 * layer + 1]
            values = np.array([math.exp(-((3 * z) ** 2)) for z in inside])
        np.testing.assert_allclose(colour, 0.5 + 0.5 * (weights[6] @ values + weights[7]), rtol=0, atol=1e-7)


def test_published_sharpness_is_the_papers_width() -> None:
    network = GaussConfig().setup(plane=PLANE, seed=0)
    width = 1 / (30 * math.sqrt(2))
    z = torch.linspace(-0.1, 0.1, 9)
    torch.testing.assert_close(network.activate(30 * z, 1), torch.exp(-z.square() / (2 * width**2)))


def test_bells_never_get_too_small_to_be_normal_numbers() -> None:
    network = GaussConfig().setup(plane=PLANE, seed=0)
    bells = network.activate(torch.linspace(0, 1000, 2000), 0)
    assert 1e-10 < bells.min() < 1e-8


def test_weights_begin_as_pytorchs() -> None:
    network = GaussConfig().setup(plane=PLANE, seed=0)
    for layer, inputs in zip([*network.hidden, network.output], [2, 256, 256, 256, 256], strict=True):
        bound = 1 / math.sqrt(inputs)
        assert 0.98 * bound < layer.weight.detach().abs().max() <= bound
        assert layer.bias.detach().abs().max() <= bound
