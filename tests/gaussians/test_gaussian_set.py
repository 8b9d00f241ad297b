"""Gaussian sets, and the key property: what moves the Gaussians moves the picture, and changes nothing else."""

from dataclasses import replace
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gainer_ns.gaussians.aggregation import AggregationMatrix, gaussian_weights, search_and_aggregate
from gainer_ns.gaussians.gaussian_set import GaussianSet, isotropic
from gainer_ns.gaussians.neighbours import NeighbourIndex

Dimensions = Literal[2, 3]
both_dimensions = pytest.mark.parametrize("dimensions", [2, 3])


def random_set(count: int, dimensions: Dimensions, *, shared: bool = False, radius: float = 0.3) -> GaussianSet:
    """Ellipses in all directions, axes 1 to about 10, about 0.05 long."""
    lower = torch.randn(1 if shared else count, dimensions, dimensions).tril() * 0.05
    lower.diagonal(dim1=1, dim2=2).abs_().add_(0.02)
    return GaussianSet(torch.rand(count, dimensions), lower @ lower.mT, torch.randn(count, 5), radius)


def read(gaussians: GaussianSet, points: Tensor, k: int) -> Tensor:
    """Aggregated features at points."""
    index = NeighbourIndex(gaussians.means, gaussians.radius, gaussians.inverse_jacobians)
    neighbours = index.query(points, k)
    weights = gaussian_weights(points, neighbours, gaussians.means, gaussians.precisions)
    return AggregationMatrix.from_neighbours(neighbours, weights, len(gaussians)) @ gaussians.features


def rotation_matrix(dimensions: Dimensions, seed: int) -> Tensor:
    normal = torch.randn(dimensions, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.linalg.qr(normal).Q.float()


@both_dimensions
def test_transformed(dimensions: Dimensions) -> None:
    gaussians = random_set(7, dimensions)
    jacobians, means = torch.randn(7, dimensions, dimensions), torch.rand(7, dimensions)
    moved = gaussians.transformed(means, jacobians)
    for i in range(7):
        jacobian = jacobians[i].double()
        expected = jacobian @ gaussians.covariances[i].double() @ jacobian.T
        torch.testing.assert_close(moved.covariances[i].double(), expected, rtol=1e-4, atol=1e-7)
        back = moved.inverse_jacobians[i].double() @ jacobian
        torch.testing.assert_close(back, torch.eye(dimensions).double(), rtol=0, atol=1e-3)
    assert torch.equal(moved.means, means) and moved.features is gaussians.features
    assert gaussians.radius == 0.3, "what was there stays as it is"


@pytest.mark.parametrize("seed", range(4))
def test_slopes_turn_with_an_affine_map(seed: int) -> None:
    """What a moved point reads of moved Gaussians is what it read before."""
    generator = torch.Generator().manual_seed(seed)
    gaussians = replace(random_set(30, 2, radius=0.6), slopes=torch.randn(30, 5, 2, generator=generator))
    jacobian = torch.eye(2) + 0.4 * torch.randn(2, 2, generator=generator)
    shift, points = torch.randn(2, generator=generator), torch.rand(50, 2, generator=generator)
    moved = gaussians.transformed(gaussians.means @ jacobian.T + shift, jacobian[None])

    def averages(read: GaussianSet, points: Tensor) -> Tensor:
        index = NeighbourIndex(read.means, read.radius, read.inverse_jacobians)
        return search_and_aggregate(index, points, 6, read.means, read.precisions, read.features, read.slopes)[0]

    before, after = averages(gaussians, points), averages(moved, points @ jacobian.T + shift)
    assert (after - before).abs().median() < 1e-4  # neighbours at the very radius may change
    assert (before - averages(replace(gaussians, slopes=None), points)).abs().median() > 0.01
    some = gaussians[torch.tensor([3, 1])]
    assert some.slopes is not None and torch.equal(some.slopes, gaussians.slopes[[3, 1]])  # pyright: ignore


def test_wrong_slopes() -> None:
    with pytest.raises(ValueError, match="slopes"):
        replace(random_set(4, 2), slopes=torch.zeros(4, 2, 5))


@both_dimensions
@pytest.mark.parametrize("shared", [True, False])
def test_identity_changes_nothing(dimensions: Dimensions, shared: bool) -> None:
    gaussians = random_set(9, dimensions, shared=shared)
    for jacobians in (torch.eye(dimensions)[None], torch.eye(dimensions).expand(9, -1, -1)):
        moved = gaussians.transformed(gaussians.means, jacobians)
        assert torch.equal(moved.covariances, gaussians.covariances.expand_as(moved.covariances))
        assert torch.equal(moved.inverse_jacobians, jacobians)
    again = moved.transformed(moved.means, torch.eye(dimensions)[None])
    assert torch.equal(again.inverse_jacobians, moved.inverse_jacobians)


@both_dimensions
def test_deformations_follow_one_another(dimensions: Dimensions) -> None:
    gaussians = random_set(9, dimensions)
    one, two = torch.randn(9, dimensions, dimensions), torch.randn(1, dimensions, dimensions)
    twice = gaussians.transformed(gaussians.means, one).transformed(gaussians.means, two)
    once = gaussians.transformed(gaussians.means, two @ one)
    torch.testing.assert_close(twice.covariances, once.covariances, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(twice.inverse_jacobians, once.inverse_jacobians, rtol=1e-2, atol=1e-3)


@both_dimensions
def test_flat_jacobians_leave_numbers(dimensions: Dimensions) -> None:
    """What a deformation flattens, to a line or to a point, can still be read."""
    gaussians = random_set(40, dimensions)
    line = torch.zeros(dimensions, dimensions)
    line[0, -1] = 3.0
    for flat in (torch.zeros(dimensions, dimensions), line, 1e-20 * torch.eye(dimensions), torch.ones_like(line)):
        moved = gaussians.transformed(gaussians.means @ flat.T, flat[None])
        for part in (moved.covariances, moved.precisions, moved.inverse_jacobians):
            assert bool(part.isfinite().all())
        assert bool(read(moved, moved.means + 0.01 * torch.rand(40, dimensions), 4).isfinite().all())


@both_dimensions
def test_some_of_them(dimensions: Dimensions) -> None:
    gaussians = replace(random_set(9, dimensions), opacities=torch.rand(9))
    chosen = torch.tensor([4, 2])
    moved = gaussians.transformed(gaussians.means, torch.randn(9, dimensions, dimensions))
    for name in ("means", "covariances", "features", "opacities", "inverse_jacobians"):
        assert torch.equal(getattr(moved[chosen], name), getattr(moved, name)[chosen])
    mask = torch.zeros(9, dtype=torch.bool).index_fill(0, chosen, True)
    assert torch.equal(gaussians[mask].opacities, gaussians.opacities[chosen.sort().values])
    shared = random_set(9, dimensions, shared=True)[mask]
    assert len(shared) == 2 and len(shared.covariances) == 1 and shared.opacities is None


@both_dimensions
@pytest.mark.parametrize("shared", [True, False])
@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    scale=st.floats(0.2, 5.0),
    shift=st.lists(st.floats(-3, 3), min_size=3, max_size=3),
    own_jacobians=st.booleans(),
)
def test_equivariant_under_similarities(
    dimensions: Dimensions, shared: bool, seed: int, scale: float, shift: list[float], own_jacobians: bool
) -> None:
    """Turned, mirrored, scaled and moved Gaussians give the same features at turned, scaled and moved points."""
    torch.manual_seed(seed)
    gaussians = random_set(200, dimensions, shared=shared, radius=2.0 * max(1.0, 1 / scale))
    points = torch.rand(50, dimensions)
    jacobian = scale * rotation_matrix(dimensions, seed)
    move = torch.tensor(shift[:dimensions])
    jacobians = jacobian.expand(200, -1, -1) if own_jacobians else jacobian[None]
    moved = gaussians.transformed(gaussians.means @ jacobian.T + move, jacobians)
    expected = read(gaussians, points, 4)
    found = read(moved, points @ jacobian.T + move, 4)
    # Means about 3 from the origin are known to 2e-7, a hundred-thousandth of the narrowest Gaussian.
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-3)
    assert float((found - expected).abs().median()) < 1e-4


@both_dimensions
@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), stretch=st.floats(0.2, 3.0), shear=st.floats(-1.0, 1.0))
def test_equivariant_under_affine_maps(dimensions: Dimensions, seed: int, stretch: float, shear: float) -> None:
    """Any affine map: what was near before it is read after it, however much it stretches one axis only."""
    torch.manual_seed(seed)
    gaussians = random_set(200, dimensions)
    points = torch.rand(30, dimensions)
    jacobian = rotation_matrix(dimensions, seed)
    jacobian[:, 0] *= stretch
    jacobian[:, -1] += shear * jacobian[:, 0]
    move = torch.randn(dimensions)
    moved = gaussians.transformed(gaussians.means @ jacobian.T + move, jacobian[None])
    found, expected = read(moved, points @ jacobian.T + move, 4), read(gaussians, points, 4)
    assert float((found - expected).abs().median()) < 1e-3
    assert float(((found - expected).abs().amax(dim=1) < 1e-2).float().mean()) > 0.9, "but for ties and thin ellipses"


def test_covariances_that_stay_behind_would_show() -> None:
    """The same test as above without the Jacobian's part, so that it is known to see the difference."""
    gaussians = random_set(200, 2)
    points, turn = torch.rand(50, 2), torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    forgetful = GaussianSet(gaussians.means @ turn.T, gaussians.covariances, gaussians.features, gaussians.radius)
    assert (read(forgetful, points @ turn.T, 4) - read(gaussians, points, 4)).abs().max() > 0.5


@both_dimensions
def test_precisions_invert_covariances(dimensions: Dimensions) -> None:
    gaussians = random_set(20, dimensions)
    unit = torch.eye(dimensions).expand(20, -1, -1)
    torch.testing.assert_close(gaussians.precisions @ gaussians.covariances, unit, rtol=0, atol=1e-3)


def test_isotropic() -> None:
    covariance = isotropic(0.5, 3)
    assert torch.equal(covariance, 0.25 * torch.eye(3)[None])
    means = torch.rand(6, 3)
    gaussians = GaussianSet(means, covariance, torch.rand(6, 2), 1.0)
    assert len(gaussians) == 6 and gaussians.dimensions == 3
    assert len(gaussians.transformed(means, 2 * torch.eye(3)[None]).covariances) == 1, "one for all stays one for all"


@pytest.mark.parametrize(
    ("means", "covariances", "features", "message"),
    [
        ((5, 4), (5, 4, 4), (5, 3), "2 or 3 dimensions, not 4"),
        ((5, 1), (5, 1, 1), (5, 3), "2 or 3 dimensions, not 1"),
        ((5, 2), (4, 2, 2), (5, 3), "do not fit 5 means in 2D"),
        ((5, 2), (5, 3, 3), (5, 3), "do not fit 5 means in 2D"),
        ((5, 2), (2, 2), (5, 3), "do not fit 5 means in 2D"),
        ((5, 2), (1, 2, 2), (6, 3), "6 features for 5 means"),
        ((5, 2), (1, 2, 2), (1, 3), "1 features for 5 means"),
    ],
)
def test_shapes_that_do_not_fit(means: tuple, covariances: tuple, features: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GaussianSet(torch.zeros(means), torch.zeros(covariances), torch.zeros(features), 1.0)


def test_no_gaussians() -> None:
    empty = GaussianSet(torch.empty(0, 2), torch.empty(0, 2, 2), torch.empty(0, 3), 1.0)
    moved = empty.transformed(torch.empty(0, 2), torch.empty(0, 2, 2))
    assert len(moved) == 0 and moved.radius == 1.0


def test_to_keeps_all_parts() -> None:
    gaussians = random_set(4, 2)
    on_meta = gaussians.to("meta")
    assert {part.device.type for part in (on_meta.means, on_meta.covariances, on_meta.features)} == {"meta"}
    assert on_meta.radius == gaussians.radius
