"""The neighbour index against looking at all points."""

import math
from collections.abc import Callable
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians import reference
from gainer_ns.gaussians.neighbours import NeighbourIndex, Neighbours
from gainer_ns.gaussians.placement import lattice_means

Dimensions = Literal[2, 3]
both_dimensions = pytest.mark.parametrize("dimensions", [2, 3])
some_k = pytest.mark.parametrize("k", [1, 4, 16])


def check(found: Neighbours, points: Tensor, means: Tensor, k: int, radius: float) -> None:
    """Same distances as the reference, and indices that lie at these distances, each once."""
    found = Neighbours(*(part.cpu() for part in found))
    expected = reference.nearest(points, means, k, radius)
    assert found.indices.dtype == torch.int32 and found.squared_distances.dtype == torch.float32
    assert found.indices.shape == found.squared_distances.shape == (len(points), k)
    ordered = in_order(found).squared_distances
    torch.testing.assert_close(ordered, expected.squared_distances, rtol=1e-5, atol=1e-12)
    assert torch.equal(found.valid, found.squared_distances.isfinite())
    assert torch.equal(found.squared_distances[:, 0], ordered[:, 0]), "the nearest comes first"
    assert not bool((found.valid[:, 1:] & ~found.valid[:, :-1]).any()), "missing ones come last"
    if len(means) == 0 or len(points) == 0:
        return
    offsets = points[:, None] - means[found.indices.clamp(min=0).long()]
    squared = torch.where(found.valid, offsets.square().sum(-1), torch.inf)
    torch.testing.assert_close(squared, found.squared_distances, rtol=1e-5, atol=1e-12)
    ordered = found.indices.sort(dim=1).values
    assert not bool(((ordered.diff(dim=1) == 0) & (ordered[:, 1:] >= 0)).any()), "no neighbour twice"


def in_order(found: Neighbours) -> Neighbours:
    """The same neighbours, the nearest first, and equally near ones in the order of the means."""
    by_index = torch.where(found.valid, found.indices, torch.iinfo(torch.int32).max).argsort(dim=1, stable=True)
    indices, squared = (part.gather(1, by_index) for part in found)
    by_distance = squared.argsort(dim=1, stable=True)
    return Neighbours(indices.gather(1, by_distance), squared.gather(1, by_distance))


def uniform(dimensions: Dimensions) -> Tensor:
    return torch.rand(400, dimensions)


def duplicates(dimensions: Dimensions) -> Tensor:
    return torch.rand(40, dimensions).repeat(9, 1)


def all_in_one_place(dimensions: Dimensions) -> Tensor:
    return torch.full((50, dimensions), 0.3)


def along_an_axis(dimensions: Dimensions) -> Tensor:
    means = torch.full((300, dimensions), 0.25)
    means[:, -1] = torch.rand(300)
    return means


def along_a_diagonal(dimensions: Dimensions) -> Tensor:
    return torch.rand(300, 1).expand(300, dimensions)


def on_a_flat_surface(dimensions: Dimensions) -> Tensor:
    means = torch.rand(400, dimensions)
    means[:, 0] = 0.5
    return means


def fewer_than_k(dimensions: Dimensions) -> Tensor:
    return torch.rand(3, dimensions)


def single(dimensions: Dimensions) -> Tensor:
    return torch.rand(1, dimensions)


def none(dimensions: Dimensions) -> Tensor:
    return torch.empty(0, dimensions)


def few_outliers(dimensions: Dimensions) -> Tensor:
    means = torch.rand(600, dimensions)
    means[17], means[400, -1], means[401, 0] = -1000.0, 1000.0, 1003.0
    return means


def one_clump(dimensions: Dimensions) -> Tensor:
    return torch.cat([torch.rand(60, dimensions), 0.4 + 1e-4 * torch.rand(500, dimensions)])


def squares(dimensions: Dimensions) -> Tensor:
    steps = torch.arange(18 if dimensions == 2 else 7) * 0.05
    return torch.cartesian_prod(*[steps] * dimensions)


SETS = [
    uniform,
    duplicates,
    all_in_one_place,
    along_an_axis,
    along_a_diagonal,
    on_a_flat_surface,
    fewer_than_k,
    single,
    none,
    few_outliers,
    one_clump,
    squares,
]


@both_dimensions
@pytest.mark.parametrize("make", SETS)
def test_equals_the_reference(
    make: Callable[[Dimensions], Tensor], dimensions: Dimensions, device: torch.device
) -> None:
    means = make(dimensions)
    points = torch.cat([torch.rand(200, dimensions) * 1.4 - 0.2, means[:100]])  # between, beside and on the means
    for k, radius in ((1, 0.05), (4, 0.11), (16, 0.3), (16, 5000.0), (4, math.inf)):
        index = NeighbourIndex(means.to(device), radius)
        check(index.query(points.to(device), k), points, means, k, radius)


@both_dimensions
@pytest.mark.parametrize("largest", [1.0, 8.0])
def test_deformed_equals_the_reference(dimensions: Dimensions, largest: float, device: torch.device) -> None:
    """Squeezed and stretched sets, with a Jacobian for each mean, and points far from all of them."""
    means = torch.rand(300, dimensions)
    inverse = torch.randn(300, dimensions, dimensions) + torch.eye(dimensions) * 2
    inverse = inverse / torch.linalg.svdvals(inverse)[:, -1, None, None] / largest
    points = torch.cat([torch.rand(200, dimensions) * 1.4 - 0.2, means[:50] + 1e-4, 50 * torch.rand(20, dimensions)])
    for k, radius in ((1, 0.05), (4, 0.2), (16, 0.4)):
        index = NeighbourIndex(means.to(device), radius, inverse.to(device))
        found = in_order(index.query(points.to(device), k))
        anchors = index.anchors(points.to(device)).cpu()
        expected = reference.nearest(points, means, k, radius, inverse[anchors])
        torch.testing.assert_close(found.squared_distances.cpu(), expected.squared_distances, rtol=1e-4, atol=1e-9)
        assert float((found.indices.cpu() == expected.indices).float().mean()) > 0.999


@both_dimensions
def test_a_jacobian_for_all_is_one_for_each(dimensions: Dimensions) -> None:
    means, points = torch.rand(300, dimensions), torch.rand(200, dimensions) * 1.4 - 0.2
    inverse = torch.randn(1, dimensions, dimensions) + torch.eye(dimensions) * 2
    shared, each = (NeighbourIndex(means, 0.4, one).query(points, 4) for one in (inverse, inverse.repeat(300, 1, 1)))
    assert torch.equal(shared.indices, each.indices)
    assert torch.equal(shared.squared_distances, each.squared_distances)


@both_dimensions
def test_anchors_are_close(dimensions: Dimensions) -> None:
    means, points = torch.rand(3000, dimensions), torch.rand(400, dimensions)
    index = NeighbourIndex(means, 0.1, torch.eye(dimensions)[None])
    found = (means[index.anchors(points)] - points).norm(dim=1)
    nearest = torch.cdist(points, means).amin(dim=1)
    assert bool((found <= nearest + 3 * index._cell).all())
    assert float((found <= nearest + 1e-6).float().mean()) > 0.5


@both_dimensions
def test_queries_far_outside(dimensions: Dimensions, device: torch.device) -> None:
    means = few_outliers(dimensions)
    directions = torch.randn(60, dimensions)
    points = directions * torch.tensor([3.0, 50.0, 2000.0]).repeat(20)[:, None]
    for radius in (0.5, 100.0, 1e5):
        index = NeighbourIndex(means.to(device), radius)
        check(index.query(points.to(device), 4), points, means, 4, radius)


def test_no_queries(device: torch.device) -> None:
    index = NeighbourIndex(torch.rand(9, 3, device=device), 1.0)
    found = index.query(torch.empty(0, 3, device=device), 4)
    assert found.indices.shape == found.squared_distances.shape == (0, 4)


@some_k
def test_missing_neighbours_are_marked(k: int) -> None:
    found = NeighbourIndex(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), 0.5).query(torch.tensor([[0.1, 0.0], [9.0, 9.0]]), k)
    assert found.indices[0].tolist() == [0] + [-1] * (k - 1)
    assert found.indices[1].tolist() == [-1] * k and bool(found.squared_distances[1].isposinf().all())
    assert found.valid.sum() == 1


def test_points_of_another_dimension() -> None:
    with pytest.raises(ValueError, match="points in 3D, means in 2D"):
        NeighbourIndex(torch.rand(9, 2), 1.0).query(torch.rand(4, 3), 4)


@both_dimensions
def test_float64_and_strides_change_nothing(dimensions: Dimensions) -> None:
    means, points = torch.rand(300, dimensions), torch.rand(80, dimensions)
    expected = NeighbourIndex(means, 0.2).query(points, 4)
    wide_means, wide_points = torch.zeros(300, 7), torch.zeros(2 * dimensions, 80)
    wide_means[:, 1 : 1 + dimensions], wide_points[::2] = means, points.T
    strided = NeighbourIndex(wide_means[:, 1 : 1 + dimensions], 0.2).query(wide_points[::2].T, 4)
    double = NeighbourIndex(means.double(), 0.2).query(points.double(), 4)
    for other in (strided, double):
        assert torch.equal(other.indices, expected.indices)
        assert torch.equal(other.squared_distances, expected.squared_distances)


def test_inputs_stay_as_they_are() -> None:
    means, points = torch.rand(50, 3, requires_grad=True), torch.rand(20, 3)
    copies = means.detach().clone(), points.clone()
    NeighbourIndex(means, 0.2).query(points, 4)
    assert torch.equal(means.detach(), copies[0]) and torch.equal(points, copies[1])


def test_index_survives_means_that_move_on() -> None:
    means, points = torch.rand(300, 3), torch.rand(20, 3)
    index = NeighbourIndex(means, 0.3)
    expected = index.query(points, 4)
    means.zero_()
    assert torch.equal(index.query(points, 4).indices, expected.indices)


@pytest.mark.parametrize("count", [5_000, 200_000])
@pytest.mark.parametrize("thin_axes", [(), (0,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_size_of_the_grid_follows_the_number_of_means(thin_axes: tuple[int, ...], count: int) -> None:
    means = torch.rand(count, 3)
    means[:, thin_axes] *= 1e-9
    assert len(NeighbourIndex(means, 1.0)._cell_start) < 2 * count


@pytest.mark.parametrize("size", [(1024, 1024), (4096, 256), (256, 4096)])
def test_grid_covers_regular_sets(size: tuple[int, int]) -> None:
    """A stride through rows of equal length could meet the same few columns in each."""
    index = NeighbourIndex(lattice_means(ImagePlane(*size)), 1.0)
    per_cell = index._cell_start.diff()
    assert per_cell.max() <= 12


def test_threads_change_nothing() -> None:
    means, points = torch.rand(3000, 2), torch.rand(20_000, 2)
    index = NeighbourIndex(means, 0.05)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = index.query(points, 16)
        torch.set_num_threads(2)
        two = index.query(points, 16)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(one.indices, two.indices) and torch.equal(one.squared_distances, two.squared_distances)


@pytest.mark.parametrize("k", [4, 16])
def test_ties_do_not_depend_on_the_other_means(k: int) -> None:
    """On a lattice, the K-th nearest of a pixel's centre is always one of several; a part of it chooses the same."""
    plane = ImagePlane(60, 80)
    means = lattice_means(plane)
    part = means[60 * 20 : 60 * 60]
    points = means[60 * 30 : 60 * 50]
    radius = 10 * plane.pixel_size
    found = in_order(NeighbourIndex(part, radius).query(points, k)).indices + 60 * 20
    assert torch.equal(found, in_order(NeighbourIndex(means, radius).query(points, k)).indices)


# Coordinates in eighths: sums and products of them are exact in float32, so the answers must be exact too.
eighths = st.integers(-40, 40)


@st.composite
def eighth_points(draw: st.DrawFn, dimensions: int, most: int = 25) -> Tensor:
    rows = draw(st.lists(st.lists(eighths, min_size=dimensions, max_size=dimensions), min_size=1, max_size=most))
    return torch.tensor(rows) / 8


radii = st.integers(0, 5000).map(lambda square: math.sqrt(square + 0.5) / 8)  # nothing lies at such a distance


@both_dimensions
@some_k
@settings(max_examples=40)
@given(data=st.data(), radius=radii)
def test_nothing_nearer_is_missed(dimensions: Dimensions, k: int, data: st.DataObject, radius: float) -> None:
    means, points = data.draw(eighth_points(dimensions)), data.draw(eighth_points(dimensions))
    found = in_order(NeighbourIndex(means, radius).query(points, k))
    expected = reference.nearest(points, means, k, radius)
    assert torch.equal(found.squared_distances, expected.squared_distances)
    assert torch.equal(found.indices, expected.indices), "equally near ones in the order of the means"
    check(found, points, means, k, radius)


@both_dimensions
@settings(max_examples=40)
@given(data=st.data(), radius=radii, seed=st.integers(0, 10**6))
def test_motions_leave_squared_distances(dimensions: Dimensions, data: st.DataObject, radius: float, seed: int) -> None:
    means, points = data.draw(eighth_points(dimensions)), data.draw(eighth_points(dimensions))
    shift = torch.tensor(data.draw(st.lists(st.integers(-1000, 1000), min_size=dimensions, max_size=dimensions))) / 8
    expected = in_order(NeighbourIndex(means, radius).query(points, 4))
    shifted = in_order(NeighbourIndex(means + shift, radius).query(points + shift, 4))
    assert torch.equal(shifted.squared_distances, expected.squared_distances)
    normal = torch.randn(dimensions, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rotation = torch.linalg.qr(normal).Q
    assert torch.equal(shifted.indices, expected.indices)
    index = NeighbourIndex((means.double() @ rotation).float(), radius)
    turned = in_order(index.query((points.double() @ rotation).float(), 4))
    torch.testing.assert_close(turned.squared_distances, expected.squared_distances, rtol=1e-4, atol=1e-4)
