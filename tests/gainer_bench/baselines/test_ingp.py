"""Instant-NGP for a picture against its formula, and its fast grid against the plain one."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gainer_bench.baselines.ingp import FlatHashGrid, Ingp, IngpConfig
from gainer_ns.fields.hash_grid import HashGrid, HashGridConfig
from gainer_ns.frames import ImagePlane

PLANE = ImagePlane(48, 32)
SMALL = IngpConfig(num_levels=4, base_resolution=4, log2_table_size=9, hidden_dim=16)
"""Its last levels are hashed."""


@pytest.fixture
def function() -> Ingp:
    """A small one whose features are large enough to matter."""
    function = Ingp(SMALL, PLANE, seed=3)
    function.grid.table.data.mul_(1e4)
    return function


def colours(function: Ingp, points: Tensor) -> Tensor:
    """The formula: interpolated features of all levels, then layers with ReLU between them."""
    grid = HashGrid(function.grid.config, 2)
    grid.load_state_dict(function.grid.state_dict())
    x, y = points.unbind(-1)
    out = grid(torch.stack([x + 0.5, y / PLANE.height * PLANE.width + 0.5], dim=-1))
    layers = [module for module in function.mlp.modules() if isinstance(module, nn.Linear)]
    for layer in layers[:-1]:
        out = (out @ layer.weight.T + layer.bias).clamp(min=0)
    return out @ layers[-1].weight.T + layers[-1].bias


def test_equals_its_formula(function: Ingp) -> None:
    points = PLANE.plane_from_pixel(torch.rand(200, 2) * torch.tensor([48.0, 32.0]))
    assert function.grid.levels[-1].resolution ** 2 > function.grid.levels[-1].num_rows
    torch.testing.assert_close(function(points), colours(function, points), rtol=0, atol=2e-5)


def test_published_sizes() -> None:
    half = Ingp(IngpConfig(finest=0.5), ImagePlane(768, 512))
    assert [level.resolution for level in half.grid.levels][::15] == [16, 384]
    assert half.grid.output_dim == 32 and half.grid.levels[-1].num_rows == 384**2
    assert sum(parameter.numel() for parameter in half.mlp.parameters()) == 33 * 64 + 65 * 64 + 65 * 3


@pytest.mark.parametrize("features", [1, 2, 4])
def test_fast_grid_equals_plain_one(features: int) -> None:
    config = HashGridConfig(
        num_levels=5, features_per_level=features, base_resolution=3, max_resolution=60, log2_table_size=8, init_scale=1
    )
    fast, plain = FlatHashGrid(config, seed=1), HashGrid(config, 2, seed=1)
    points = torch.rand(500, 2) * 1.2 - 0.1
    points[:4] = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    seen, expected = fast(points), plain(points)
    torch.testing.assert_close(seen, expected, rtol=0, atol=2e-5)
    weights = torch.randn_like(seen)
    (gradient,) = torch.autograd.grad((seen * weights).sum(), fast.table)
    (plain_gradient,) = torch.autograd.grad((expected * weights).sum(), plain.table)
    torch.testing.assert_close(gradient, plain_gradient, rtol=0, atol=1e-3)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Two threads of torch, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_threads_do_not_change_the_result(function: Ingp) -> None:
    points = torch.rand(20_000, 2)  # enough for them to be divided
    features = function.grid(points)
    torch.set_num_threads(1)
    assert torch.equal(features, function.grid(points))


def test_seed_decides_and_global_generator_stays() -> None:
    before = torch.random.get_rng_state()
    one, same, other = (Ingp(SMALL, PLANE, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(before, torch.random.get_rng_state())
    for name, value in one.state_dict().items():
        assert torch.equal(value, same.state_dict()[name])
        assert not torch.equal(value, other.state_dict()[name]), name


def test_gradients_reach_every_parameter(function: Ingp) -> None:
    points = PLANE.pixel_centres(torch.arange(PLANE.pixels))
    function(points).square().sum().backward()
    groups = function.param_groups()
    grouped = [parameter for group in groups.values() for parameter in group]
    assert {id(parameter) for parameter in grouped} == {id(parameter) for parameter in function.parameters()}
    assert len(grouped) == len(set(map(id, grouped))) and set(groups) == {"grid", "function"}
    for name, parameter in function.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_state_brings_the_function_back(function: Ingp) -> None:
    fresh = Ingp(SMALL, PLANE, seed=9)
    points = PLANE.pixel_centres(torch.arange(PLANE.pixels))
    assert not torch.allclose(fresh(points), function(points))
    fresh.load_state_dict(function.state_dict())
    assert torch.equal(fresh(points), function(points))


def test_fits_a_picture(photo: Path) -> None:
    picture = torch.from_numpy(np.array(Image.open(photo).convert("RGB").crop((40, 40, 88, 72)))).float() / 255
    function = Ingp(IngpConfig(), PLANE)
    points = PLANE.pixel_centres(torch.arange(PLANE.pixels))
    groups = function.param_groups()
    rates = {"grid": 3e-2, "function": 3e-3}
    adam = torch.optim.Adam([{"params": groups[name], "lr": rate} for name, rate in rates.items()], eps=1e-15)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 150)
    for _ in range(150):
        adam.zero_grad()
        (function(points) - picture.reshape(-1, 3)).square().mean().backward()
        adam.step()
        schedule.step()
    error = (function(points) - picture.reshape(-1, 3)).square().mean()
    assert -10 * error.log10() > 40
