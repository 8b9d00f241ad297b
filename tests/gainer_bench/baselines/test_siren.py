"""SIREN against its formula and its published initial weights."""

import math

import numpy as np
import pytest
import torch

from gainer_bench.baselines.coordinate_networks import SirenConfig
from gainer_ns.frames import ImagePlane

PLANE = ImagePlane(60, 30)


@pytest.mark.parametrize(("first_omega", "hidden_omega"), [(30.0, 30.0), (50.0, 20.0)])
def test_equals_the_formula(first_omega: float, hidden_omega: float) -> None:
    config = SirenConfig(first_omega=first_omega, hidden_omega=hidden_omega, hidden_layers=2, hidden_dim=16)
    network = config.setup(plane=PLANE, seed=1).double()
    points = (torch.rand(5, 2, dtype=torch.float64) - 0.5) * torch.tensor([1, 0.5])
    weights = [parameter.detach().numpy() for parameter in network.parameters()]
    for point, colour in zip(points.numpy(), network(points).detach().numpy(), strict=True):
        values = point / np.array([0.5, 0.25])
        for layer in range(3):
            omega = hidden_omega if layer else first_omega
            values = np.array([math.sin(omega * z) for z in weights[2 * layer] @ values + weights[2 * layer + 1]])
        np.testing.assert_allclose(colour, 0.5 + 0.5 * (weights[6] @ values + weights[7]), rtol=0, atol=1e-12)


def test_weights_begin_as_published() -> None:
    network = SirenConfig().setup(plane=PLANE, seed=0)
    first, *others = [*network.hidden, network.output]
    assert 0.49 < first.weight.detach().abs().max() <= 1 / 2
    bound = math.sqrt(6 / 256) / 30
    for layer in others:
        assert 0.98 * bound < layer.weight.detach().abs().max() <= bound
        assert layer.weight.detach().std() == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_arguments_of_the_sines_keep_their_spread_through_the_layers() -> None:
    """Section 3.2: weights give a variance of 1; biases, which the authors leave as PyTorch draws them, add theirs."""
    network = SirenConfig().setup(plane=PLANE, seed=0)
    values = torch.rand(2000, 2) * 2 - 1
    for number, layer in enumerate(network.hidden):
        arguments = 30 * layer(values)
        if number > 0:
            assert arguments.detach().std() == pytest.approx(math.sqrt(1 + 30**2 / 256 / 3), rel=0.1)
        values = network.activate(arguments, number)
