"""From grid to Gaussians to a point's features, learned covariances, baking, and what a checkpoint brings back."""

import copy
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from gainer_ns.fields.hash_grid import HashGrid, HashGridConfig
from gainer_ns.fields.knn_encoding import GaussianKNNEncoding, KNNEncodingConfig
from gainer_ns.gaussians import reference
from gainer_ns.gaussians.neighbours import NeighbourIndex

Dimensions = Literal[2, 3]
both_dimensions = pytest.mark.parametrize("dimensions", [2, 3])
learned = pytest.mark.parametrize("covariances", ["diagonal", "full"])
both_features = pytest.mark.parametrize("features", ["table", "hash-grid"])

GRID = HashGridConfig(num_levels=4, base_resolution=4, max_resolution=32, log2_table_size=8, init_scale=1.0)
"""Eight features, as many as the table's."""


def encoding_of(means: Tensor, *, seed: int = 0, **config: Any) -> GaussianKNNEncoding:
    """An encoding whose points find some neighbours and miss others, with random features and covariances."""
    config = {"num_neighbours": 4, "radius": 2.0, "sigma": 0.7, "hash_grid": GRID} | config
    dimensions = means.shape[1]
    origin = torch.full((dimensions,), -0.5)
    encoding = GaussianKNNEncoding(KNNEncodingConfig(**config), means, 0.1, unit_box=(origin, 1.0), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    if encoding.features_table is not None:
        encoding.features_table.data.normal_(generator=generator)
    if encoding.precision_factors.requires_grad:
        encoding.precision_factors.data.normal_(std=0.4, generator=generator)
    return encoding


def random_means(count: int, dimensions: Dimensions = 2, seed: int = 0) -> Tensor:
    return torch.rand(count, dimensions, generator=torch.Generator().manual_seed(seed)) - 0.5


def read(encoding: GaussianKNNEncoding, points: Tensor) -> Tensor:
    return encoding(encoding.read(points))


@both_dimensions
@both_features
@pytest.mark.parametrize("covariances", ["shared", "diagonal", "full"])
def test_equals_the_reference(dimensions: Dimensions, features: str, covariances: str) -> None:
    encoding = encoding_of(random_means(80, dimensions), features=features, covariances=covariances)
    points = torch.rand(60, dimensions) * 1.4 - 0.7
    found = read(encoding, points)
    assert found.shape == (60, encoding.feature_dim) and encoding.feature_dim == 8
    neighbours = reference.nearest(points, encoding.means, 4, 0.2)
    wide = [part.detach().double() for part in (encoding.means, encoding.precisions, encoding.features)]
    expected = reference.aggregate(points.double(), neighbours, *wide)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


def test_hash_grid_features_are_those_at_the_means() -> None:
    means = random_means(40)
    encoding = encoding_of(means, features="hash-grid", seed=7)
    grid = HashGrid(GRID, 2, seed=7)
    torch.testing.assert_close(encoding.features, grid(means + 0.5))


def test_starts_round_and_as_wide_as_asked() -> None:
    for covariances in ("shared", "diagonal", "full"):
        encoding = GaussianKNNEncoding(
            KNNEncodingConfig(covariances=covariances, sigma=0.7, radius=3.0),
            random_means(30, 3),
            0.1,
            unit_box=(torch.zeros(3), 1.0),
        )
        assert len(encoding.precisions) == (1 if covariances == "shared" else 30)
        expected = (torch.eye(3) / 0.07**2).expand_as(encoding.precisions)
        torch.testing.assert_close(encoding.precisions.detach(), expected)
        gaussians = encoding.gaussian_set()
        torch.testing.assert_close(gaussians.covariances[0], torch.eye(3) * 0.07**2)
        assert abs(gaussians.radius - 0.3) < 1e-9 and encoding.precision_factors.requires_grad == (
            covariances != "shared"
        )


@both_dimensions
@learned
def test_covariances_are_positive_definite(dimensions: Dimensions, covariances: str) -> None:
    encoding = encoding_of(random_means(500, dimensions), covariances=covariances)
    encoding.precision_factors.data.normal_(std=1.5)
    precisions = encoding.precisions.detach().double()
    assert torch.linalg.eigvalsh(precisions).min() > 0
    torch.testing.assert_close(precisions, precisions.mT, rtol=0, atol=0)
    off_diagonal = precisions - torch.diag_embed(precisions.diagonal(dim1=1, dim2=2))
    assert bool(off_diagonal.any()) == (covariances == "full")


def loss_in_float64(encoding: GaussianKNNEncoding, points: Tensor, upstream: Tensor, factors: Tensor) -> float:
    """The same in plain formulas, from the entries of the triangles."""
    count, dimensions = encoding.means.shape
    lower = torch.zeros(count, dimensions, dimensions, dtype=torch.float64)
    entry = 0
    for row in range(dimensions):
        for column in range(row + 1):
            if row == column:
                lower[:, row, column] = factors[:, entry].exp() / 0.07
            elif encoding.config.covariances == "full":
                lower[:, row, column] = factors[:, entry] / 0.07
            entry += 1
    neighbours = reference.nearest(points, encoding.means, 4, 0.2)
    features = encoding.features.detach().double()
    out = reference.aggregate(points.double(), neighbours, encoding.means.double(), lower @ lower.mT, features)
    return float((out * upstream.double()).sum())


@both_dimensions
@learned
def test_gradient_of_covariances(dimensions: Dimensions, covariances: str) -> None:
    """Against finite differences in float64, since the kernels compute in float32."""
    encoding = encoding_of(random_means(40, dimensions), covariances=covariances)
    points = torch.rand(300, dimensions) * 1.2 - 0.6
    upstream = torch.randn(300, 8)
    reading = encoding.read(points)
    assert reading.neighbours is not None and not bool(reading.neighbours.valid.all())
    (encoding(reading) * upstream).sum().backward()
    gradient = encoding.precision_factors.grad
    assert gradient is not None
    factors = encoding.precision_factors.detach().double()
    seen = 0
    for row in range(0, 40, 5):
        for entry in range(factors.shape[1]):
            there = factors.clone()
            there[row, entry] += 1e-5
            back = factors.clone()
            back[row, entry] -= 1e-5
            there, back = (loss_in_float64(encoding, points, upstream, side) for side in (there, back))
            expected = (there - back) / 2e-5
            assert abs(float(gradient[row, entry]) - expected) < 1e-3 * max(1.0, abs(expected)), (row, entry)
            seen += abs(expected) > 0.1
    assert seen > 5


@both_features
@learned
def test_gradients_reach_all_that_is_learned(features: str, covariances: str) -> None:
    encoding = encoding_of(random_means(80), features=features, covariances=covariances)
    points = torch.rand(200, 2) - 0.5
    reading = encoding.read(points)
    for _ in range(2):
        encoding.zero_grad()
        encoding(reading).square().sum().backward()
        for name, parameter in encoding.named_parameters():
            assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), name
            assert bool(parameter.grad.any()), name


def test_features_may_be_made_once_for_several_readings() -> None:
    encoding = encoding_of(random_means(80), features="hash-grid")
    one, two = (encoding.read(torch.rand(20, 2) - 0.5) for _ in range(2))
    features = encoding.features
    assert torch.equal(encoding(one, features), encoding(one)) and torch.equal(encoding(two, features), encoding(two))


def test_reading_within_another_index() -> None:
    encoding = encoding_of(random_means(80))
    points = torch.rand(20, 2) - 0.5
    index = NeighbourIndex(encoding.means, encoding.radius)
    found = encoding(encoding.read(points, within=index))
    assert torch.equal(found, read(encoding, points))


def test_index_is_made_once() -> None:
    encoding = encoding_of(random_means(80))
    assert encoding.index is encoding.index


@pytest.mark.parametrize("covariances", ["shared", "full"])
def test_baked_equals_unbaked(covariances: str) -> None:
    encoding = encoding_of(random_means(80), features="hash-grid", covariances=covariances)
    points = torch.rand(60, 2) - 0.5
    expected, before = read(encoding, points).detach(), encoding.gaussian_set()
    encoding.bake()
    assert encoding.hash_grid is None and [name for name, _ in encoding.named_parameters()] == [
        "precision_factors",
        "features_table",
    ]
    assert torch.equal(read(encoding, points), expected)
    after = encoding.gaussian_set()
    assert torch.equal(after.features, before.features) and torch.equal(after.covariances, before.covariances)
    assert not after.features.requires_grad and not after.covariances.requires_grad
    table = encoding.features_table
    encoding.bake()
    assert encoding.features_table is table, "once is enough"


@both_features
@pytest.mark.parametrize("covariances", ["shared", "diagonal", "full"])
@pytest.mark.parametrize("count", [80, 33, 200])
def test_state_fits_any_number_of_gaussians(features: str, covariances: str, count: int) -> None:
    """Means, covariances and features come from the checkpoint, whatever the model was built with."""
    source = encoding_of(random_means(80), seed=1, features=features, covariances=covariances)
    points = torch.rand(60, 2) - 0.5
    expected = read(source, points).detach()
    other = encoding_of(random_means(count, seed=9), seed=2, features=features, covariances=covariances)
    assert not torch.allclose(read(other, points), expected), "the index is built before"
    other.load_state_dict(copy.deepcopy(source.state_dict()))
    assert len(other) == 80 and torch.equal(other.means, source.means)
    torch.testing.assert_close(read(other, points), expected, rtol=0, atol=0)


def test_same_means_keep_their_parameters() -> None:
    """An optimiser made before the checkpoint is loaded holds them."""
    for features in ("table", "hash-grid"):
        source = encoding_of(random_means(80), seed=1, features=features, covariances="full")
        other = encoding_of(random_means(80), seed=2, features=features, covariances="full")
        parameters = dict(other.named_parameters())
        other.load_state_dict(source.state_dict())
        assert all(parameters[name] is parameter for name, parameter in other.named_parameters())


def test_baked_state_in_an_encoding_with_a_grid() -> None:
    source = encoding_of(random_means(80), features="hash-grid")
    points = torch.rand(60, 2) - 0.5
    source.bake()
    other = encoding_of(random_means(33, seed=9), seed=2, features="hash-grid")
    other.load_state_dict(source.state_dict())
    assert other.hash_grid is None
    torch.testing.assert_close(read(other, points), read(source, points), rtol=0, atol=0)


def test_loading_does_not_share_memory() -> None:
    source, other = encoding_of(random_means(80)), encoding_of(random_means(33))
    other.load_state_dict(source.state_dict())
    with torch.no_grad():
        other.means.zero_()
        other.features.zero_()
    assert bool(source.means.any()) and bool(source.features.any())


def test_states_of_another_kind_are_refused() -> None:
    table, grid = encoding_of(random_means(80)), encoding_of(random_means(80), features="hash-grid")
    with pytest.raises(RuntimeError, match="features_table"):
        table.load_state_dict(grid.state_dict())
    shared, full = encoding_of(random_means(80)), encoding_of(random_means(80), covariances="full")
    solid = encoding_of(random_means(80, 3), covariances="full")
    for one, other in ((solid, full), (full, solid)):
        other.load_state_dict(one.state_dict())  # the dimensions follow the checkpoint
        assert other.means.shape == one.means.shape
    assert len(shared.precisions) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda() -> None:
    encoding = encoding_of(random_means(80), features="hash-grid", covariances="full")
    points = torch.rand(60, 2) - 0.5
    expected = read(encoding, points).detach()
    encoding.cuda()
    found = read(encoding, points.cuda())
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-5)
    found.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.is_cuda for parameter in encoding.parameters())
