"""The hash grid against a naive one, and the grid at fixed points against the grid."""

import copy
import itertools
import math
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gainer_ns.errors import GainerError
from gainer_ns.fields.hash_grid import HashGrid, HashGridAtPoints, HashGridConfig, grid_levels, initial_features

SMALL = HashGridConfig(num_levels=4, base_resolution=3, max_resolution=40, log2_table_size=7, init_scale=1.0)
"""Its first levels are dense and its last are hashed, in 2D and in 3D."""

Dimensions = Literal[2, 3]
both_dimensions = pytest.mark.parametrize("dimensions", [2, 3])


def reduced_to(grid: HashGrid, points: Tensor) -> HashGridAtPoints:
    """A grid as trained so far, reduced to what it says at fixed points."""
    reduced = HashGridAtPoints(grid.config, points)
    reduced.table.data = grid.table.detach()[reduced.rows].to(points.dtype)
    return reduced


def naive_features(table: Tensor, config: HashGridConfig, point: list[float]) -> list[float]:
    """One point's features, by the paper's formulas in plain loops and unsigned 32-bit arithmetic."""
    features, first_row, axes = [], 0, range(len(point))
    growth = math.exp(math.log(config.max_resolution / config.base_resolution) / (config.num_levels - 1))
    for level in range(config.num_levels):
        scale = round(config.base_resolution * growth**level - 1, 6)
        side = math.ceil(scale) + 1
        num_rows = min((side ** len(point) + 7) // 8 * 8, 2**config.log2_table_size)
        total = torch.zeros(config.features_per_level, dtype=torch.float64)
        for step in itertools.product((0, 1), repeat=len(point)):
            vertex = [math.floor(point[axis] * scale + 0.5) + step[axis] for axis in axes]
            weight = math.prod(1 - abs(point[axis] * scale + 0.5 - vertex[axis]) for axis in axes)
            row = sum(vertex[axis] * side**axis for axis in axes)
            if side ** len(point) > num_rows:
                row = 0
                for coordinate, prime in zip(vertex, (1, 2654435761, 805459861), strict=False):
                    row ^= coordinate * prime % 2**32
            total += weight * table[first_row + row % num_rows].double()
        features += total.tolist()
        first_row += num_rows
    return features


@both_dimensions
def test_equals_naive_loops(dimensions: Dimensions) -> None:
    grid = HashGrid(SMALL, dimensions).double()
    points = torch.rand(60, dimensions, dtype=torch.float64)
    points[:2] = torch.tensor([[0.0], [1.0]])
    expected = [naive_features(grid.table.detach(), SMALL, point) for point in points.tolist()]
    torch.testing.assert_close(grid(points), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=3e-6)


@both_dimensions
def test_coarse_levels_are_dense_and_fine_ones_hashed(dimensions: Dimensions) -> None:
    levels = grid_levels(SMALL, dimensions)
    assert levels[0].num_rows < 2**SMALL.log2_table_size == levels[-1].num_rows < levels[-1].resolution ** dimensions
    vertices = torch.cartesian_prod(*[torch.tensor([0.25, 0.75])] * dimensions)  # of the coarsest lattice
    rows, weights = HashGrid(SMALL, dimensions).corners(vertices)
    assert len(rows[:, 0][weights[:, 0] == 1].unique()) == len(vertices), "no two share a row"


def test_default_sizes() -> None:
    config = HashGridConfig()
    flat, solid = grid_levels(config, 2), grid_levels(config, 3)
    # A growth of 2^0.6 a level; every fifth is an exact power of two, to which rounding must not add a vertex.
    assert [level.resolution for level in flat[::5]] == [16, 128, 1024, 8192]
    assert [level.num_rows for level in solid[::5]] == [16**3, 2**21, 2**21, 2**21]
    assert flat[-1].first_row + flat[-1].num_rows == 12_344_312
    assert flat[10].num_rows == 1024**2 and flat[11].num_rows == 2**21


def test_output_and_state_are_plain_tensors() -> None:
    config = HashGridConfig(num_levels=3, features_per_level=4, base_resolution=4, max_resolution=16)
    grid = HashGrid(config, 2)
    reduced = reduced_to(grid, torch.rand(7, 2))
    assert grid.output_dim == reduced.output_dim == 12
    assert grid(torch.rand(7, 2)).shape == reduced().shape == (7, 12)
    assert grid.table.shape == (16 + 64 + 256, 4)
    for module in (grid, reduced):
        assert list(module.state_dict()) == ["table"]
        assert type(module.state_dict()["table"]) is Tensor


def test_one_level() -> None:
    config = HashGridConfig(num_levels=1, base_resolution=5, max_resolution=9)
    assert [level.resolution for level in grid_levels(config, 2)] == [5]


@pytest.mark.parametrize(
    ("config", "dimensions", "message"),
    [
        (HashGridConfig(), 4, "2 or 3 dimensions, not 4"),
        (HashGridConfig(base_resolution=64, max_resolution=32), 2, "max_resolution"),
        (HashGridConfig(base_resolution=1), 2, "between 2 and"),
        (HashGridConfig(num_levels=0), 2, "at least 1"),
        (HashGridConfig(features_per_level=0), 2, "at least 1"),
        (HashGridConfig(log2_table_size=40), 2, "log2_table_size"),
    ],
)
def test_impossible_grids(config: HashGridConfig, dimensions: Dimensions, message: str) -> None:
    with pytest.raises(GainerError, match=message):
        HashGrid(config, dimensions)
    with pytest.raises(GainerError, match=message):
        HashGridAtPoints(config, torch.zeros(1, dimensions))


def test_points_of_another_dimension() -> None:
    grid = HashGrid(SMALL, 2)
    for read in (grid, grid.corners):
        with pytest.raises(GainerError, match="2D, the points have 3"):
            read(torch.zeros(1, 3))


@both_dimensions
def test_constant_table_gives_constant_features(dimensions: Dimensions) -> None:
    grid = HashGrid(SMALL, dimensions)
    nn.init.constant_(grid.table, 0.7)
    points = torch.rand(200, dimensions)
    weights = grid.corners(points).weights
    assert weights.shape == (200, SMALL.num_levels, 2**dimensions) and weights.min() >= 0
    torch.testing.assert_close(grid(points), torch.full((200, grid.output_dim), 0.7))


def test_points_outside_are_moved_to_the_border() -> None:
    grid = HashGrid(SMALL, 2)
    outside = torch.tensor([[-3.0, 0.4], [0.2, 1.5], [2.0, -1.0]])
    torch.testing.assert_close(grid(outside), grid(outside.clamp(0, 1)), rtol=0, atol=0)


@both_dimensions
@given(data=st.data())
def test_continuous_across_cell_faces(dimensions: Dimensions, data: st.DataObject) -> None:
    grid = HashGrid(SMALL, dimensions).double()
    level = data.draw(st.sampled_from(grid.levels))
    face = (data.draw(st.integers(1, math.floor(level.scale))) - 0.5) / level.scale
    axis = data.draw(st.integers(0, dimensions - 1))
    point = data.draw(st.lists(st.floats(0, 1), min_size=dimensions, max_size=dimensions))
    sides = torch.tensor([point, point], dtype=torch.float64)
    sides[:, axis] = face + torch.tensor([-1e-9, 1e-9], dtype=torch.float64)
    assert len(grid.corners(sides).rows.unique(dim=0)) == 2, "they lie in different cells"
    before, after = grid(sides)
    steepest = 2 * grid.levels[-1].scale  # features lie between -1 and 1
    assert (before - after).abs().max() <= 2e-9 * steepest * 1.01


@both_dimensions
def test_gradients(dimensions: Dimensions) -> None:
    grid = HashGrid(HashGridConfig(2, 2, 3, 6, 4, 1.0), dimensions).double()
    points = torch.rand(5, dimensions, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda points, table: torch.func.functional_call(grid, {"table": table}, (points,)), (points, grid.table)
    )
    reduced = reduced_to(grid, points)
    assert torch.autograd.gradcheck(
        lambda table: torch.func.functional_call(reduced, {"table": table}, ()), (reduced.table,)
    )


@both_dimensions
def test_at_points_equals_the_whole_grid(dimensions: Dimensions) -> None:
    points = torch.rand(30, dimensions)
    points[7] = points[8]
    grid = HashGrid(SMALL, dimensions, seed=5)
    nn.init.normal_(grid.table)
    reduced = reduced_to(grid, points)
    assert len(reduced.table) < len(grid.table)
    upstream = torch.randn(30, grid.output_dim)
    features, reduced_features = grid(points), reduced()
    torch.testing.assert_close(reduced_features, features)
    features.backward(upstream)
    reduced_features.backward(upstream)
    assert grid.table.grad is not None and reduced.table.grad is not None
    torch.testing.assert_close(reduced.table.grad, grid.table.grad[reduced.rows])
    untouched = torch.ones(len(grid.table), dtype=torch.bool)
    untouched[reduced.rows] = False
    assert untouched.any() and not grid.table.grad[untouched].any()


@both_dimensions
def test_initial_features_depend_on_row_and_seed_alone(dimensions: Dimensions) -> None:
    points = torch.rand(50, dimensions)
    grid = HashGrid(SMALL, dimensions, seed=11)
    torch.manual_seed(99)
    reduced = HashGridAtPoints(SMALL, points, seed=11)
    assert torch.equal(reduced.table, grid.table[reduced.rows])
    assert torch.equal(HashGrid(SMALL, dimensions, seed=11).table, grid.table)
    assert not torch.isclose(HashGrid(SMALL, dimensions, seed=12).table, grid.table).all(1).any()


def test_initial_features_are_uniform_and_unrelated() -> None:
    config = HashGridConfig(init_scale=1.0)
    rows = torch.arange(50_000) + 3_000_000_000  # beyond 32 bits too
    one, other = (initial_features(rows, config, seed).double() for seed in (0, -1))
    histogram = torch.histc(one, bins=20, min=-1, max=1) / one.numel()
    assert one.min() >= -1 and one.max() <= 1
    assert (histogram * 20 - 1).abs().max() < 0.06  # 4 standard deviations
    shifted = torch.stack([one[:-1, 0], one[1:, 0], one[:-1, 1], other[:-1, 0]])
    assert (torch.corrcoef(shifted) - torch.eye(4)).abs().max() < 0.02


def test_at_points_survives_what_modules_go_through() -> None:
    points = torch.rand(20, 3)
    reduced = HashGridAtPoints(SMALL, points)
    torch.testing.assert_close(copy.deepcopy(reduced)(), reduced(), rtol=0, atol=0)
    torch.testing.assert_close(copy.deepcopy(reduced).double()().float(), reduced())
    with torch.autocast("cpu"):
        torch.testing.assert_close(reduced(), reduced(), rtol=0, atol=0)
    other = HashGridAtPoints(SMALL, points, seed=1)
    other.load_state_dict(reduced.state_dict())
    torch.testing.assert_close(other(), reduced(), rtol=0, atol=0)
    assert HashGridAtPoints(SMALL, points[:0])().shape == (0, 8)


def test_size_of_the_reduced_grid_does_not_depend_on_the_table() -> None:
    huge = HashGridConfig(log2_table_size=30, max_resolution=2**20)  # the whole table: 100 GB
    assert len(HashGridAtPoints(huge, torch.rand(3, 3)).table) <= 3 * 16 * 8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@both_dimensions
def test_cuda(dimensions: Dimensions) -> None:
    points = torch.rand(300, dimensions)
    grid = HashGrid(SMALL, dimensions)
    expected = grid(points)
    on_gpu = copy.deepcopy(grid).cuda()
    torch.testing.assert_close(on_gpu(points.cuda()).cpu(), expected)
    reduced = reduced_to(on_gpu, points.cuda())
    reduced().sum().backward()
    torch.testing.assert_close(reduced().cpu(), expected)
    assert torch.equal(HashGridAtPoints(SMALL, points.cuda()).table.cpu(), HashGridAtPoints(SMALL, points).table)
