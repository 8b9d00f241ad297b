"""Weights and the aggregation matrix against plain torch in float64."""

from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gainer_ns.gaussians import aggregation, reference
from gainer_ns.gaussians.aggregation import AggregationMatrix, gaussian_weights, learned_weights, search_and_aggregate
from gainer_ns.gaussians.neighbours import NeighbourIndex, Neighbours

Dimensions = Literal[2, 3]
both_dimensions = pytest.mark.parametrize("dimensions", [2, 3])
sharing = pytest.mark.parametrize("shared", [True, False])


def random_precisions(count: int, dimensions: Dimensions, scale: float = 60.0) -> Tensor:
    """Inverse covariances of ellipses in all directions, axes 1 to 10."""
    lower = torch.randn(count, dimensions, dimensions).tril()
    lower.diagonal(dim1=1, dim2=2).abs_().add_(0.3)
    return lower @ lower.mT * scale


class Scene:
    """Points that find all, some or none of their K neighbours."""

    def __init__(self, dimensions: Dimensions, *, shared: bool, k: int = 4, device: torch.device | None = None) -> None:
        self.means = torch.rand(120, dimensions, device=device)
        self.points = torch.rand(90, dimensions, device=device) * 1.6 - 0.3
        self.points[0] = 7.0
        self.points[1] = self.means[5]
        self.precisions = random_precisions(1 if shared else 120, dimensions).to(self.means)
        self.features = torch.randn(120, 5, device=device)
        self.neighbours = NeighbourIndex(self.means, 0.16).query(self.points, k)
        assert 0 < int(self.neighbours.valid.sum()) < self.neighbours.valid.numel()

    @property
    def weights(self) -> Tensor:
        return gaussian_weights(self.points, self.neighbours, self.means, self.precisions)

    @property
    def matrix(self) -> AggregationMatrix:
        return AggregationMatrix.from_neighbours(self.neighbours, self.weights, len(self.means))


def dense(matrix: AggregationMatrix, values: Tensor | None = None) -> Tensor:
    """The matrix with all its zeros, in float64 and differentiable in the values."""
    values = matrix.values.double() if values is None else values
    counts = matrix.offsets.diff().long()
    rows = torch.arange(matrix.rows, device=values.device).repeat_interleave(counts)
    empty = values.new_zeros(matrix.rows, matrix.width)
    return empty.index_put((rows, matrix.columns.long()), values, accumulate=True)


@both_dimensions
@sharing
@pytest.mark.parametrize("k", [1, 4, 16])
def test_equals_the_reference(dimensions: Dimensions, shared: bool, k: int, device: torch.device) -> None:
    scene = Scene(dimensions, shared=shared, k=k, device=device)
    parts = (scene.points, scene.means, scene.precisions, scene.features)
    points, means, precisions, features = (part.double() for part in parts)
    expected = reference.aggregate(points, scene.neighbours, means, precisions, features)
    found = scene.matrix @ scene.features
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)
    assert not found[0].any(), "no neighbour, no feature"


@both_dimensions
@sharing
def test_weights_sum_to_one_or_zero(dimensions: Dimensions, shared: bool) -> None:
    scene = Scene(dimensions, shared=shared)
    weights = scene.weights
    assert bool((weights >= 0).all()) and not weights[~scene.neighbours.valid].any()
    expected = scene.neighbours.valid.any(dim=1).float()
    torch.testing.assert_close(weights.sum(dim=1), expected, rtol=0, atol=1e-6)


@both_dimensions
@pytest.mark.parametrize("sigmas", [1.0, 100.0, 1e4, 1e6])
def test_weights_far_from_all_means(dimensions: Dimensions, sigmas: float) -> None:
    """Where every exponential underflows, the nearest Gaussian takes all."""
    means = torch.zeros(2, dimensions)
    means[1, 0] = 0.5
    point = torch.zeros(1, dimensions)
    point[0, 0] = -sigmas
    neighbours = NeighbourIndex(means, 1e9).query(point, 4)
    precisions = torch.eye(dimensions)[None]
    offsets = point[:, None] - means[neighbours.indices.clamp(min=0).long()]
    by_kernel = gaussian_weights(point, neighbours, means, precisions)
    by_torch = reference.differentiable_weights(offsets, neighbours, precisions)
    ratio = torch.tensor(-0.5 * (0.25 + sigmas)).exp()
    expected = torch.tensor([[1.0, ratio, 0.0, 0.0]]) / (1 + ratio)
    torch.testing.assert_close(by_kernel, expected, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(by_torch, expected, rtol=1e-4, atol=1e-7)


@both_dimensions
@sharing
def test_reference_weights_are_the_same(dimensions: Dimensions, shared: bool, device: torch.device) -> None:
    scene = Scene(dimensions, shared=shared, device=device)
    offsets = scene.points[:, None] - scene.means[scene.neighbours.indices.clamp(min=0).long()]
    weights = reference.differentiable_weights(offsets, scene.neighbours, scene.precisions)
    torch.testing.assert_close(weights, scene.weights, rtol=1e-4, atol=1e-6)


@both_dimensions
@sharing
def test_gradients_of_weights(dimensions: Dimensions, shared: bool) -> None:
    means = torch.rand(6, dimensions, dtype=torch.float64)
    points = torch.rand(5, dimensions, dtype=torch.float64)
    points[0] = 50.0  # alone
    neighbours = reference.nearest(points, means, 4, 0.6)
    assert not bool(neighbours.valid.all()) and bool(neighbours.valid[1:].any(dim=1).all())
    offsets = points[:, None] - means[neighbours.indices.clamp(min=0).long()]
    precisions = random_precisions(1 if shared else 6, dimensions, scale=5.0).double()
    inputs = (offsets.requires_grad_(), precisions.requires_grad_())
    assert torch.autograd.gradcheck(
        lambda offsets, precisions: reference.differentiable_weights(offsets, neighbours, precisions), inputs
    )


@both_dimensions
def test_gradients_of_aggregation(dimensions: Dimensions, device: torch.device) -> None:
    """The kernels compute in float32, so they are compared with autograd of the dense product in float64."""
    scene = Scene(dimensions, shared=True, device=device)
    matrix, upstream = scene.matrix, torch.randn(90, 5, device=device)
    features, values = scene.features.clone().requires_grad_(), matrix.values.clone().requires_grad_()
    aggregated = matrix.aggregate(features, values)
    aggregated.backward(upstream)
    wide_features = scene.features.double().requires_grad_()
    wide_values = matrix.values.double().requires_grad_()
    expected = dense(matrix, wide_values) @ wide_features
    expected.backward(upstream.double())
    torch.testing.assert_close(aggregated.double(), expected, rtol=1e-5, atol=1e-6)
    for found, wide in ((features, wide_features), (values, wide_values)):
        assert found.grad is not None and wide.grad is not None and bool(wide.grad.any())
        torch.testing.assert_close(found.grad.double(), wide.grad, rtol=1e-5, atol=1e-5)


@both_dimensions
@pytest.mark.parametrize("radius", [0.16, 99.0])
def test_learned_weights(dimensions: Dimensions, radius: float, device: torch.device) -> None:
    """Values and gradients of the kernel against plain torch in float64, with and without missing neighbours."""
    scene = Scene(dimensions, shared=False, device=device)
    neighbours = NeighbourIndex(scene.means, radius).query(scene.points, 4)
    assert bool(neighbours.valid.all()) == (radius > 1)
    weights = gaussian_weights(scene.points, neighbours, scene.means, scene.precisions)
    matrix = AggregationMatrix.from_neighbours(neighbours, weights, len(scene.means))
    precisions = scene.precisions.clone().requires_grad_()
    found = learned_weights(scene.points, neighbours, scene.means, precisions, matrix)
    wide = scene.precisions.double().requires_grad_()
    offsets = scene.points[:, None] - scene.means[neighbours.indices.clamp(min=0).long()]
    expected = reference.differentiable_weights(offsets.double(), neighbours, wide)[neighbours.valid]
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)
    assert torch.equal(found.detach(), matrix.values)
    upstream = torch.randn(len(found), device=device)
    found.backward(upstream)
    expected.backward(upstream.double())
    assert precisions.grad is not None and wide.grad is not None and bool(wide.grad.any())
    symmetric = (wide.grad + wide.grad.mT) / 2
    torch.testing.assert_close(precisions.grad.double(), symmetric, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(symmetric, wide.grad, rtol=0, atol=1e-12)


def test_gradients_through_weights_to_precisions() -> None:
    scene = Scene(2, shared=False)
    precisions = scene.precisions.clone().requires_grad_()
    offsets = scene.points[:, None] - scene.means[scene.neighbours.indices.clamp(min=0).long()]
    weights = reference.differentiable_weights(offsets, scene.neighbours, precisions)
    upstream = torch.randn(90, 5)
    scene.matrix.aggregate(scene.features, weights[scene.neighbours.valid]).backward(upstream)
    wide = scene.precisions.double().requires_grad_()
    expected = reference.aggregate(
        scene.points.double(), scene.neighbours, scene.means.double(), wide, scene.features.double()
    )
    expected.backward(upstream.double())
    assert precisions.grad is not None and wide.grad is not None and bool(wide.grad.any())
    torch.testing.assert_close(precisions.grad.double(), wide.grad, rtol=1e-3, atol=1e-6)


def test_only_wanted_gradients_are_made() -> None:
    matrix = Scene(2, shared=True).matrix
    values = matrix.values.clone().requires_grad_()
    matrix.aggregate(torch.randn(120, 5), values).sum().backward()
    assert values.grad is not None
    features = torch.randn(120, 5, requires_grad=True)
    matrix.aggregate(features).sum().backward()
    torch.testing.assert_close(features.grad, dense(matrix).sum(dim=0)[:, None].expand(120, 5).float())


def test_strided_features_and_gradients() -> None:
    matrix = Scene(2, shared=True).matrix
    features = torch.randn(5, 120).T.requires_grad_()
    expected = dense(matrix) @ features.detach().double()
    torch.testing.assert_close((matrix @ features).double(), expected, rtol=1e-5, atol=1e-6)
    matrix.aggregate(features).backward(torch.randn(5, 90).T)
    matrix.aggregate(features).sum().backward()  # its gradient is an expanded scalar
    assert features.grad is not None and bool(features.grad.isfinite().all())


def test_transpose(device: torch.device) -> None:
    matrix = Scene(3, shared=False, device=device).matrix
    torch.testing.assert_close(dense(matrix.transposed), dense(matrix).T, rtol=0, atol=0)
    torch.testing.assert_close(dense(matrix.transposed.transposed), dense(matrix), rtol=0, atol=0)
    colours = torch.randn(90, 3, device=device)
    expected = dense(matrix).T @ colours.double()
    torch.testing.assert_close((matrix.transposed @ colours).double(), expected, rtol=1e-5, atol=1e-6)


@st.composite
def structures(draw: st.DrawFn) -> AggregationMatrix:
    """Any matrix, with empty rows and columns, and with entries that share row and column."""
    width = draw(st.integers(1, 6))
    rows = draw(st.lists(st.lists(st.integers(0, width - 1), max_size=5), max_size=7))
    offsets = torch.tensor([0] + [len(row) for row in rows]).cumsum(0).int()
    columns = torch.tensor([column for row in rows for column in row], dtype=torch.int32)
    return AggregationMatrix(offsets, columns, torch.arange(1.0, len(columns) + 1), width)


@settings(max_examples=60)
@given(matrix=structures())
def test_transposes_of_any_structure(matrix: AggregationMatrix) -> None:
    """Both ways to find it, the one of the CPU and the one of other devices, run on the CPU too."""
    counted = aggregation.transposed_structure(matrix.offsets, matrix.columns, matrix.width)
    sorted_ = aggregation.transposed_structure(matrix.offsets, matrix.columns, matrix.width, counting=False)
    for one, other in zip(counted, sorted_, strict=True):
        assert one.dtype == other.dtype == torch.int32 and torch.equal(one, other)
    torch.testing.assert_close(dense(matrix.transposed), dense(matrix).T, rtol=0, atol=0)


def test_other_values_at_the_same_entries() -> None:
    matrix = Scene(2, shared=True).matrix
    values = torch.randn_like(matrix.values)
    other = matrix.with_values(values)
    torch.testing.assert_close(dense(other), dense(matrix, values.double()), rtol=0, atol=0)
    torch.testing.assert_close(dense(other.transposed), dense(other).T, rtol=0, atol=0)
    assert torch.equal(matrix.with_values(other.values).transposed.values, other.transposed.values)


def test_structure_is_transposed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learned covariances give new values in every step, and never a new structure."""
    calls = []
    count = aggregation.transposed_structure
    monkeypatch.setattr(aggregation, "transposed_structure", lambda *args: calls.append(args) or count(*args))
    matrix = Scene(2, shared=True).matrix
    features = torch.randn(120, 5, requires_grad=True)
    for _ in range(3):
        matrix.aggregate(features, torch.rand_like(matrix.values, requires_grad=True)).sum().backward()
    matrix.aggregate(features).sum().backward()
    assert len(calls) == 1


def test_all_neighbours_and_some() -> None:
    """Rows of equal length take a shorter way than others."""
    means, points = torch.rand(50, 2), torch.rand(20, 2)
    full = NeighbourIndex(means, 10.0).query(points, 4)
    weights = gaussian_weights(points, full, means, torch.eye(2)[None])
    whole = AggregationMatrix.from_neighbours(full, weights, 50)
    assert len(whole.columns) == 80
    indices = full.indices.clone()
    indices[3, 2], indices[7] = -1, -1
    some = AggregationMatrix.from_neighbours(Neighbours(indices, full.squared_distances), weights, 50)
    assert len(some.columns) == 75 and some.offsets.dtype == some.columns.dtype == torch.int32
    expected = dense(whole)
    expected[7], expected[3, full.indices[3, 2].long()] = 0, 0
    torch.testing.assert_close(dense(some), expected, rtol=0, atol=0)


def test_no_points_and_no_gaussians() -> None:
    means = torch.rand(9, 2)
    for points, at in ((torch.rand(0, 2), means), (torch.rand(6, 2), means[:0])):
        neighbours = NeighbourIndex(at, 1.0).query(points, 4)
        weights = gaussian_weights(points, neighbours, at, torch.eye(2)[None])
        matrix = AggregationMatrix.from_neighbours(neighbours, weights, len(at))
        features = torch.randn(len(at), 5, requires_grad=True)
        aggregated = matrix.aggregate(features)
        assert aggregated.shape == (len(points), 5) and not aggregated.any()
        aggregated.backward(torch.ones(len(points), 5))
        assert features.grad is not None and features.grad.shape == features.shape and not features.grad.any()


def test_wrong_sizes() -> None:
    """A kernel would read beyond the end of a matrix that is too small."""
    matrix = Scene(2, shared=True).matrix
    with pytest.raises(ValueError, match="120"):
        matrix @ torch.randn(119, 5)
    with pytest.raises(ValueError, match="120"):
        matrix.products(torch.randn(90, 5), torch.randn(121, 5))
    with pytest.raises(ValueError, match="90"):
        matrix.products(torch.randn(89, 5), torch.randn(120, 5))
    with pytest.raises(ValueError, match="values"):
        matrix.aggregate(torch.randn(120, 5), torch.rand(len(matrix.values) - 1))


def test_too_many_entries() -> None:
    """Offsets are 32-bit."""
    weights = torch.empty(1).expand(2**27, 16)
    neighbours = Neighbours(torch.zeros(1, dtype=torch.int32).expand(2**27, 16), weights)
    with pytest.raises(ValueError, match="more than one aggregation matrix can hold"):
        AggregationMatrix.from_neighbours(neighbours, weights, 1)


def test_threads_change_nothing() -> None:
    means, points = torch.rand(3000, 2), torch.rand(20_000, 2)
    neighbours = NeighbourIndex(means, 0.05).query(points, 4)
    precisions, features = random_precisions(3000, 2, scale=1000.0), torch.randn(3000, 5)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            weights = gaussian_weights(points, neighbours, means, precisions)
            matrix = AggregationMatrix.from_neighbours(neighbours, weights, 3000)
            out = matrix @ features
            results.append((weights, out, matrix.transposed @ out, matrix.products(out, features)))
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        assert torch.equal(one, two)


@both_dimensions
@pytest.mark.parametrize("deformed", [False, True])
@pytest.mark.parametrize("radius", [0.05, 0.3])
def test_read_in_one_go(dimensions: Dimensions, deformed: bool, radius: float, device: torch.device) -> None:
    """The same as neighbours, weights and averages one after the other, also where neighbours are missing."""
    means, points, features = torch.rand(60, dimensions), torch.rand(200, dimensions), torch.randn(60, 5)
    precisions = random_precisions(60, dimensions)
    inverse = torch.eye(dimensions)[None] * torch.rand(60, 1, 1).add(0.5) if deformed else None
    moved = None if inverse is None else inverse.to(device)
    index = NeighbourIndex(means.to(device), radius, moved)
    neighbours = Neighbours(*(part.cpu() for part in index.query(points.to(device), 4)))
    expected = reference.aggregate(points, neighbours, means, precisions, features)
    parts = (part.to(device) for part in (means, precisions, features))
    found, nearest = search_and_aggregate(index, points.to(device), 4, *parts)
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(nearest.cpu(), neighbours.indices[:, 0])
    assert bool((found.cpu()[~neighbours.valid.any(dim=1)] == 0).all())
