"""WIRE against its formula in complex numbers, and its published initial weights."""

import math

import numpy as np
import pytest
import torch

from gainer_bench.baselines.coordinate_networks import ComplexLinear, WireConfig
from gainer_ns.frames import ImagePlane

PLANE = ImagePlane(60, 30)


def complex_bias(layer: ComplexLinear) -> np.ndarray:
    real, imaginary = layer.bias.detach().chunk(2)
    return real.numpy() + 1j * imaginary.numpy()


def test_equals_the_formula() -> None:
    config = WireConfig(omega=7.0, window=2.0, hidden_layers=2, hidden_dim=16)
    network = config.setup(plane=PLANE, seed=1).double()
    points = (torch.rand(5, 2, dtype=torch.float64) - 0.5) * torch.tensor([1, 0.5])
    first, *others = network.hidden
    end, end_bias = network.output.weight.detach().numpy(), network.output.bias.detach().numpy()
    assert end.shape == (3, 22)
    end = end[:, :11] - 1j * end[:, 11:]  # so that its product's real part is what the real layer says
    for point, colour in zip(points.numpy(), network(points).detach().numpy(), strict=True):
        z = first.weight.detach().numpy() @ (point / np.array([0.5, 0.25])) + first.bias.detach().numpy()
        values = np.exp(7j * z - np.abs(2 * z) ** 2)
        for layer in others:
            weight = layer.real.detach().numpy() + 1j * layer.imaginary.detach().numpy()
            z = weight @ values + complex_bias(layer)
            values = np.exp(7j * z - np.abs(2 * z) ** 2)
        np.testing.assert_allclose(colour, 0.5 + 0.5 * ((end @ values).real + end_bias), rtol=0, atol=1e-7)


def test_complex_layer_is_pytorchs() -> None:
    layer = ComplexLinear(5, 7)
    inputs = torch.randn(4, 5, dtype=torch.complex64)
    weight = torch.complex(layer.real, layer.imaginary)
    expected = torch.nn.functional.linear(inputs, weight, torch.complex(*layer.bias.chunk(2)))
    ours = torch.nn.functional.linear(torch.cat([inputs.real, inputs.imag], dim=-1), layer.weight, layer.bias)
    torch.testing.assert_close(torch.complex(*ours.chunk(2, dim=-1)), expected)


def test_layers_are_narrower_by_the_square_root_of_two() -> None:
    assert WireConfig().complex_dim == 181
    network = WireConfig().setup(plane=PLANE, seed=0)
    assert [layer.weight.shape for layer in network.hidden] == [(181, 2)] + [(362, 362)] * 3


def test_weights_begin_as_pytorchs() -> None:
    network = WireConfig().setup(plane=PLANE, seed=0)
    first, *others = network.hidden
    assert 0.98 / math.sqrt(2) < first.weight.detach().abs().max() <= 1 / math.sqrt(2)
    bound = 1 / math.sqrt(181)
    for parameter in [p for layer in others for p in layer.parameters()] + [*network.output.parameters()]:
        assert parameter.detach().abs().max() <= bound
        assert parameter.numel() == 3 or parameter.detach().std() == pytest.approx(bound / math.sqrt(3), rel=0.1)


def test_wavelets_never_get_too_small_to_be_normal_numbers() -> None:
    network = WireConfig().setup(plane=PLANE, seed=0)
    wavelets = network.activate(torch.linspace(0, 1000, 2000)[:, None], 0)
    assert 1e-10 < wavelets.norm(dim=-1).min() < 1e-8
