"""Where points of a canvas lay on a sheet at rest."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gainer_ns.gaussians.small_matrices import determinant
from gainer_ns.motion.control_grid import ControlGrid, lattice
from gainer_ns.motion.rest_map import PointRows, RestMap
from gainer_ns.motion.rest_map_kernels import NOWHERE_COORDINATE

STEP = 0.1
TOLERANCE = 1e-4


def grid_of(move: Callable[[Tensor], Tensor], step: float = STEP) -> ControlGrid:
    """A map of the square from -1 to 1, its rows from the top."""
    count = round(2 / step) + 7
    origin, steps = (-1 - 3 * step, 1 + 3 * step), (step, -step)
    return ControlGrid.through(move(lattice(count, count, origin, steps, "cpu")), origin, steps)


def smooth(seed: int, strength: float) -> Callable[[Tensor], Tensor]:
    """Waves of random directions: their slopes add up to less than the strength, so below 1 they do not fold."""
    generator = torch.Generator().manual_seed(seed)
    directions, phases, ways = (torch.randn(4, 2, generator=generator).double() for _ in range(3))
    directions, ways = 3 * directions / directions.norm(dim=1, keepdim=True), ways / ways.norm(dim=1, keepdim=True)

    def move(points: Tensor) -> Tensor:
        waves = (points.double() @ directions.T + phases[:, 0]).sin() * strength / 12
        return points + waves @ ways

    return move


def rows(columns: int = 37, count: int = 29, size: float = 2.4) -> PointRows:
    return PointRows(torch.linspace(-size / 2, size / 2, columns), torch.linspace(size / 2, -size / 2, count))


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), strength=st.floats(0.0, 0.9))
def test_it_is_the_inverse_of_the_map(seed: int, strength: float) -> None:
    grid = grid_of(smooth(seed, strength))
    rest = -0.95 + 1.9 * torch.rand(300, 2, generator=torch.Generator().manual_seed(seed))
    moved, jacobians = grid.with_jacobians(rest)
    found = RestMap(grid).at(moved)
    assert bool(found.found.all()), "the sheet has no cracks"
    torch.testing.assert_close(found.positions, rest, rtol=0, atol=2e-5)
    unit = found.inverse_jacobians @ jacobians
    torch.testing.assert_close(unit, torch.eye(2).expand(300, 2, 2), rtol=0, atol=5e-3)


@given(seed=st.integers(0, 10_000), strength=st.floats(0.0, 3.0))
def test_points_in_rows_are_found_as_points_are(seed: int, strength: float) -> None:
    """Whether the map folds or not."""
    found_map = RestMap(grid_of(smooth(seed, strength)))
    one, other = found_map.over(rows(), TOLERANCE), found_map.at(rows().points)
    both = one.found & other.found
    ends = torch.minimum(one.positions, other.positions)[one.found != other.found].abs().amax(dim=1)
    assert bool((ends > 1.2 - 2e-3 * STEP).all()), "but for rounding at the sheet's end"
    assert float((one.positions - other.positions)[both].norm(dim=1).max()) < 10 * TOLERANCE


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), strength=st.floats(1.0, 3.0))
def test_where_it_folds_points_are_of_what_faces_up(seed: int, strength: float) -> None:
    """Beside all places of a fine lattice that have come near each point."""
    move = smooth(seed, strength)
    grid = grid_of(move, 0.05)
    points = -0.6 + 1.2 * torch.rand(30, 2, generator=torch.Generator().manual_seed(seed))
    found = RestMap(grid).at(points)
    fine = lattice(251, 251, (-1.0, -1.0), (0.008, 0.008), "cpu").view(-1, 2)
    moved, jacobians = grid.with_jacobians(fine)
    up = determinant(jacobians) > 0.15
    for point, position, inverse in zip(points.double(), found.positions, found.inverse_jacobians, strict=True):
        there = (moved - point).abs().amax(dim=1) < 0.003
        if float(position[0]) != NOWHERE_COORDINATE:
            torch.testing.assert_close(grid.at(position[None].double())[0], point, rtol=0, atol=1e-4)
        if bool((there & up).any()):
            assert float(position[0]) != NOWHERE_COORDINATE
            assert float(torch.linalg.det(inverse)) > 0, "what faces up covers what is turned over"


def test_of_two_folds_the_deeper_is_hidden() -> None:
    """A strip that lies over itself, once round: depths decide, and without them what comes last."""

    def wound(points: Tensor) -> Tensor:
        angle = 1.2 * torch.pi * points[..., 0]
        radius = 1 + 0.2 * points[..., 1]
        return torch.stack([radius * angle.sin(), radius * angle.cos()], dim=-1)

    grid = grid_of(wound)
    place = wound(torch.tensor([[0.9, 0.5]]))
    patches = tuple(side - 3 for side in grid.nodes.shape[:2])
    depths = torch.linspace(1, 0, patches[1]).expand(patches)
    assert RestMap(grid).at(place).positions[0, 0].item() == pytest.approx(0.9, abs=1e-3)
    covered = RestMap(grid, depths=depths).at(place).positions[0, 0].item()
    assert covered == pytest.approx(0.9 - 2 / 1.2, abs=1e-3)


def test_patches_that_are_not_there_show_nothing() -> None:
    grid = grid_of(lambda points: points)
    patches = tuple(side - 3 for side in grid.nodes.shape[:2])
    left = torch.zeros(patches, dtype=torch.bool)
    left[:, : patches[1] // 2] = True
    points = torch.tensor([[-0.5, 0.3], [0.5, 0.3], [9.0, 9.0], [torch.nan, 0.0]])
    assert RestMap(grid, left).at(points).found.tolist() == [True, False, False, False]
    assert not RestMap(grid, torch.zeros_like(left)).at(points).found.any()
    assert not RestMap(grid, torch.zeros_like(left)).over(rows(), TOLERANCE).found.any()
    low, high = RestMap(grid, left).bounds
    assert float(low[0]) < -1 and -0.2 < float(high[0]) < 0.2


def test_beyond_its_limits_there_is_no_sheet() -> None:
    limited = RestMap(grid_of(lambda points: points), limits=((-0.5, -0.25), (0.5, 0.25)))
    points = torch.tensor([[0.49, 0.24], [0.51, 0.0], [0.0, -0.26]])
    assert limited.at(points).found.tolist() == [True, False, False]


def test_where_it_has_collapsed_nothing_is_found_and_nothing_fails() -> None:
    flat = RestMap(grid_of(lambda points: points * torch.tensor([1.0, 0.0]).double()))
    found = flat.at(torch.tensor([[0.1, 0.0], [0.3, 0.2]]))
    assert not found.found.any() and bool(found.inverse_jacobians.isfinite().all())


def test_a_sheet_that_is_stretched_far_has_no_holes() -> None:
    for factor in (1e-3, 60.0):
        found = RestMap(grid_of(lambda points, by=factor: points * by)).at(factor * (-0.9 + 1.8 * torch.rand(500, 2)))
        assert bool(found.found.all())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_the_same() -> None:
    here = RestMap(grid_of(smooth(3, 2.0)))
    there = here.to("cuda").over(PointRows(*(axis.cuda() for axis in rows())), TOLERANCE)
    expected = here.over(rows(), TOLERANCE)
    torch.testing.assert_close(there.positions.cpu(), expected.positions, rtol=0, atol=1e-4)


def test_what_is_torn_is_left_out_and_nothing_else() -> None:
    """Of a sheet whose right half has flown away, the patches between both halves are no longer there."""
    grid = grid_of(lambda points: points + 40 * (points[:, :, :1] > 0.05) * points.new_tensor([1.0, 0.0]))
    whole = RestMap(grid)
    torn = whole.without_torn(6.0)
    assert torn.present is not None and torn.without_torn(6.0).present is not None
    lost = ~torn.present
    assert bool(lost.any()) and int(lost.any(dim=0).sum()) <= 2, "at most a column beside the tear"
    assert whole.without_torn(1e6) is whole
    twice = grid_of(lambda points: 2 * points)
    assert RestMap(twice).without_torn(2.1).present is None


def test_what_is_sheared_does_not_count_as_folded_and_what_folds_does() -> None:
    """Patches bent by more than half of themselves are looked at more closely."""
    along_x = torch.tensor([1.0, 0.0])
    sheared = RestMap(grid_of(lambda points: points + 0.6 * (6 * points.flip(-1)).sin() * along_x))
    assert sheared.measured is not None and float(sheared.measured.bulges.max()) > 0.5
    assert not bool(sheared.measured.doubtful.any())
    folded = RestMap(grid_of(lambda points: points + 0.6 * (6 * points).sin() * along_x))
    assert folded.measured is not None
    turned = folded.grid.with_jacobians(folded.grid.rest_middles.view(-1, 2))[1]
    assert bool(folded.measured.doubtful[determinant(turned) <= 0].all())
