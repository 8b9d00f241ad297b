"""NeuRBF against its formula, where its kernels go, and what it fits."""

import math
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gainer_bench.baselines.neurbf import Neurbf, NeurbfConfig, gradient_magnitudes, place_kernels
from gainer_ns.fields.hash_grid import HashGrid
from gainer_ns.frames import ImagePlane

PLANE = ImagePlane(48, 32)
SMALL = NeurbfConfig(features=8, hidden_dim=16, base_resolution=4)


@pytest.fixture
def edge() -> Tensor:
    """Dark left of column 12, bright right of it."""
    return torch.where(torch.arange(48) < 12, 0.1, 0.8)[None, :, None].expand(32, 48, 3).contiguous()


@pytest.fixture
def function(edge: Tensor) -> Neurbf:
    """A small one that has seen a picture, and whose features are large enough to matter."""
    function = Neurbf(SMALL, PLANE, seed=3)
    function.begin(edge)
    for parameter in (function.features, function.shift, function.grid.table):
        parameter.data.mul_(1e4)
    return function


def colour(function: Neurbf, point: np.ndarray) -> np.ndarray:
    """One point's colour, by the formulas, in double precision and with all kernels sorted by distance."""
    state = {name: value.double().numpy() for name, value in function.state_dict().items()}
    offsets = point - state["centres"]
    nearest = np.argsort((offsets**2).sum(-1))[:4]
    values = [1 / (1 + offsets[i] @ state["precisions"][i] @ offsets[i]) for i in nearest]
    frequencies = 2 ** np.linspace(-3, 12, 8)
    radial = np.zeros(8)
    for i, value in zip(nearest, values, strict=True):
        radial += np.sin(frequencies * value / sum(values)) * state["features"][i]
    grid = HashGrid(function.grid.config, 2).double()
    grid.table.data = torch.from_numpy(state["grid.table"])
    square = torch.from_numpy(point / [1, PLANE.height / PLANE.width] + 0.5)
    read = np.concatenate([grid(square[None])[0].detach().numpy(), radial]) + state["shift"]
    hidden = state["first.weight"] @ read + state["first.bias"]
    hidden = hidden + np.sin(hidden * np.geomspace(*function.config.layer_frequencies, 16))
    second, last = (module for module in function.mlp.modules() if isinstance(module, nn.Linear))
    hidden = np.maximum(second.weight.detach().double().numpy() @ hidden + second.bias.detach().numpy(), 0)
    return last.weight.detach().double().numpy() @ hidden + last.bias.detach().numpy()


@pytest.mark.parametrize("where", ["pixels", "anywhere"])
def test_equals_its_formula(function: Neurbf, where: str) -> None:
    points = PLANE.pixel_centres(torch.tensor([0, 47, 500, 1000, 1535, 13]))
    if where == "anywhere":
        points = points + 0.3 * PLANE.pixel_size
    expected = np.stack([colour(function, point) for point in points.double().numpy()])
    # The highest frequency is 4096 radians: float32 knows such sines to about a thousandth.
    np.testing.assert_allclose(function(points).detach().numpy(), expected, rtol=0, atol=3e-2)


def test_pixels_are_read_from_memory_as_anew(function: Neurbf) -> None:
    pixels = torch.tensor([3, 1400, 77])
    points = PLANE.pixel_centres(pixels)
    assert function._of_pixels is None
    remembered = function._read_pixels(points)
    assert function._of_pixels is not None
    for one, other in zip(remembered, function.read(points), strict=True):
        assert torch.equal(one, other)
    before = function.centres.clone()
    function.begin(torch.rand(32, 48, 3, generator=torch.Generator().manual_seed(0)))
    assert not torch.equal(before, function.centres)
    for one, other in zip(function._read_pixels(points), function.read(points), strict=True):
        assert torch.equal(one, other), "the memory is of other centres"


def test_gradient_magnitudes_are_per_pixel() -> None:
    ramp = (torch.arange(8.0)[:, None] * 0.05 + torch.arange(9.0) * 0.02)[..., None].expand(8, 9, 3)
    inside = gradient_magnitudes(ramp)[1:-1, 1:-1]
    torch.testing.assert_close(inside, torch.full((6, 7), math.sqrt(3 * (0.05**2 + 0.02**2))))


def test_kernels_go_where_the_picture_changes(edge: Tensor) -> None:
    centres, precisions = place_kernels(edge, PLANE, 40, rounds=5, seed=0)
    columns, rows = PLANE.pixel_from_plane(centres).unbind(-1)
    assert ((columns - 12).abs() < 1.01).float().mean() > 0.9
    heights = rows[(columns - 12).abs() < 1.01].sort().values
    assert heights[0] < 3 and heights[-1] > 29 and heights.diff().max() < 5, "along all of the edge"
    near = precisions[(columns - 12).abs() < 1.01]
    assert (torch.linalg.eigvalsh(precisions) > 0).all()
    assert torch.linalg.eigvalsh(precisions).max() * PLANE.pixel_size**2 <= 4.001, "no thinner than half a pixel"
    assert near.isfinite().all()


def test_kernels_have_the_shape_of_their_pixels() -> None:
    plane = ImagePlane(40, 40)
    stripe = torch.zeros(40, 40, 3)
    stripe[18:22] = 1
    (centre,), (precision,) = place_kernels(stripe, plane, 1, rounds=3, seed=0)
    torch.testing.assert_close(centre, torch.zeros(2), rtol=0, atol=1e-3)
    weights = gradient_magnitudes(stripe)
    weights = weights + 1e-3 * weights.mean()
    points = plane.pixel_centres(torch.arange(1600)) - centre
    covariance = torch.einsum("m,mi,mj->ij", weights.flatten() / weights.sum(), points, points)
    covariance = 2 * covariance + 0.25 * plane.pixel_size**2 * torch.eye(2)
    torch.testing.assert_close(precision @ covariance, torch.eye(2), rtol=0, atol=1e-3)
    assert precision[1, 1] > 10 * precision[0, 0], "long along the stripe"


def test_flat_picture_has_kernels_too() -> None:
    centres, precisions = place_kernels(torch.full((32, 48, 3), 0.5), PLANE, 100, rounds=2, seed=0)
    assert centres.isfinite().all() and precisions.isfinite().all()
    assert len(centres.unique(dim=0)) == 100


def test_seed_decides_and_global_generator_stays(edge: Tensor) -> None:
    before = torch.random.get_rng_state()
    one, same, other = (Neurbf(SMALL, PLANE, seed=seed) for seed in (5, 5, 6))
    for function in (one, same, other):
        function.begin(edge)
    assert torch.equal(before, torch.random.get_rng_state())
    for name, value in one.state_dict().items():
        assert torch.equal(value, same.state_dict()[name])
        assert not torch.equal(value, other.state_dict()[name]), name


def test_gradients_reach_every_parameter(function: Neurbf) -> None:
    function(PLANE.pixel_centres(torch.arange(PLANE.pixels))).square().sum().backward()
    groups = function.param_groups()
    grouped = [parameter for group in groups.values() for parameter in group]
    assert {id(parameter) for parameter in grouped} == {id(parameter) for parameter in function.parameters()}
    assert len(grouped) == len(set(map(id, grouped))) and set(groups) == {"kernels", "grid", "function"}
    for name, parameter in function.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_state_brings_the_function_back(function: Neurbf) -> None:
    fresh = Neurbf(SMALL, PLANE, seed=9)
    points = PLANE.pixel_centres(torch.arange(PLANE.pixels))
    assert not torch.allclose(fresh(points), function(points))  # and now it remembers its own neighbours
    fresh.load_state_dict(function.state_dict())
    assert torch.equal(fresh(points), function(points))


def test_a_copy_is_read_alike() -> None:
    """What it remembers of its neighbours cannot be copied, and need not be."""
    function, points = Neurbf(SMALL, PLANE), torch.rand(20, 2) - 0.5
    read = function(points)
    assert torch.equal(deepcopy(function)(points), read)


def test_unbegun_function_covers_the_picture() -> None:
    function = Neurbf(SMALL, PLANE)
    assert function(torch.tensor([[0.0, 0.0], [0.49, -0.33], [7.0, 7.0]])).isfinite().all()
    assert (function.centres.abs() <= torch.tensor(PLANE.half_extent)).all()
    tiny = Neurbf(SMALL, ImagePlane(1, 3))
    tiny.begin(torch.rand(3, 1, 3))
    assert tiny(torch.zeros(2, 2)).isfinite().all()


def test_fits_a_picture(photo: Path) -> None:
    picture = torch.from_numpy(np.array(Image.open(photo).convert("RGB").crop((40, 40, 88, 72)))).float() / 255
    function = Neurbf(NeurbfConfig(), PLANE)
    function.begin(picture)
    points = PLANE.pixel_centres(torch.arange(PLANE.pixels))
    groups = function.param_groups()
    rates = {"kernels": 1e-2, "grid": 2e-2, "function": 3e-3}
    adam = torch.optim.Adam([{"params": groups[name], "lr": rate} for name, rate in rates.items()], eps=1e-15)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 150)
    for _ in range(150):
        adam.zero_grad()
        (function(points) - picture.reshape(-1, 3)).square().mean().backward()
        adam.step()
        schedule.step()
    error = (function(points) - picture.reshape(-1, 3)).square().mean()
    assert -10 * error.log10() > 40
