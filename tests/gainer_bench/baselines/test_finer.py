"""FINER against its formula, its gradient and its published initial weights."""

import math

import numpy as np
import pytest
import torch

from gainer_bench.baselines.coordinate_networks import FinerConfig, SirenConfig
from gainer_ns.frames import ImagePlane

PLANE = ImagePlane(60, 30)
SMALL = FinerConfig(first_omega=40, hidden_omega=20, hidden_layers=2, hidden_dim=16, bias_range=2.0)


def test_equals_the_formula() -> None:
    network = SMALL.setup(plane=PLANE, seed=1).double()
    points = (torch.rand(5, 2, dtype=torch.float64) - 0.5) * torch.tensor([1, 0.5])
    weights = [parameter.detach().numpy() for parameter in network.parameters()]
    for point, colour in zip(points.numpy(), network(points).detach().numpy(), strict=True):
        values = point / np.array([0.5, 0.25])
        for layer in range(3):
            omega = 20 if layer else 40
            inside = weights[2 * layer] @ values + weights[2 * layer + 1]
            values = np.array([math.sin(omega * (abs(z) + 1) * z) for z in inside])
        np.testing.assert_allclose(colour, 0.5 + 0.5 * (weights[6] @ values + weights[7]), rtol=0, atol=1e-12)


def test_gradient_takes_the_stretch_for_a_constant() -> None:
    network = SMALL.setup(plane=PLANE, seed=1).double()
    z = torch.tensor([[-0.7, 0.02, 0.5]], dtype=torch.float64, requires_grad=True)
    network.activate(20 * z, 1).sum().backward()
    expected = [20 * (abs(v) + 1) * math.cos(20 * (abs(v) + 1) * v) for v in z[0].tolist()]
    assert z.grad is not None
    assert z.grad[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("bias_range", [math.sqrt(0.5), 5.0])
def test_weights_begin_as_published(bias_range: float) -> None:
    network = FinerConfig(bias_range=bias_range).setup(plane=PLANE, seed=0)
    assert 0.98 * bias_range < network.hidden[0].bias.detach().abs().max() <= bias_range
    siren = SirenConfig().setup(plane=PLANE, seed=0)
    for layer, same in zip([*network.hidden, network.output], [*siren.hidden, siren.output], strict=True):
        assert torch.equal(layer.weight, same.weight)
        assert layer is network.hidden[0] or torch.equal(layer.bias, same.bias)
