"""The network over Fourier features against its formula, and the distribution of its frequencies."""

import math

import numpy as np
import pytest
import torch

from gainer_bench.baselines.coordinate_networks import FourierConfig
from gainer_ns.frames import ImagePlane

PLANE = ImagePlane(60, 30)


def test_equals_the_formula() -> None:
    config = FourierConfig(sigma=40.0, frequencies=6, hidden_layers=1, hidden_dim=16)
    network = config.setup(plane=PLANE, seed=1).double()
    points = (torch.rand(5, 2, dtype=torch.float64) - 0.5) * torch.tensor([1, 0.5])
    weights = [parameter.detach().numpy() for parameter in network.parameters()]
    cycles = network.basis.numpy() / math.pi  # along a side, which is two units long
    for point, colour in zip(points.numpy(), network(points).detach().numpy(), strict=True):
        share = point / np.array([1.0, 0.5])  # of a side
        phases = [2 * math.pi * cycle @ share for cycle in cycles]
        values = np.array([math.cos(phase) for phase in phases] + [math.sin(phase) for phase in phases])
        for layer in range(2):
            values = np.maximum(weights[2 * layer] @ values + weights[2 * layer + 1], 0)
        expected = 1 / (1 + np.exp(-(weights[4] @ values + weights[5])))
        np.testing.assert_allclose(colour, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("width", "height"), [(512, 512), (768, 384)])
def test_frequencies_have_the_papers_deviation_along_512_pixels(width: int, height: int) -> None:
    network = FourierConfig(frequencies=20000).setup(plane=ImagePlane(width, height), seed=0)
    per_pixel = network.basis / math.pi / torch.tensor([width, height])  # cycles
    torch.testing.assert_close(per_pixel.std(dim=0), torch.full((2,), 10 / 512), rtol=0.03, atol=0)
    torch.testing.assert_close(per_pixel.mean(dim=0), torch.zeros(2), rtol=0, atol=0.0005)


def test_frequencies_are_stored_but_not_learned() -> None:
    network = FourierConfig().setup(plane=PLANE, seed=0)
    assert "basis" in network.state_dict()
    assert "basis" not in dict(network.named_parameters())


def test_weights_begin_as_pytorchs() -> None:
    network = FourierConfig().setup(plane=PLANE, seed=0)
    for layer, inputs in zip([*network.hidden, network.output], [512, 256, 256, 256], strict=True):
        bound = 1 / math.sqrt(inputs)
        assert 0.98 * bound < layer.weight.detach().abs().max() <= bound
        assert layer.bias.detach().abs().max() <= bound
