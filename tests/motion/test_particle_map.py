"""Where points lay, by the particles around them."""

import math

import pytest
import torch
from torch import Tensor

from gainer_ns.motion.particle_map import ParticleMap
from gainer_ns.motion.rest_map import PointRows

SPACING = 0.05


def particles() -> Tensor:
    """A square of them, from -0.5 to 0.5."""
    axis = torch.arange(-0.5 + SPACING / 2, 0.5, SPACING)
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).view(-1, 2)


def mapped(positions: Tensor, gradient: Tensor, reach: float = 1.75) -> ParticleMap:
    rest = particles()
    inverses = torch.linalg.inv(gradient).expand(len(rest), 2, 2).contiguous()
    reaches = torch.full((len(rest),), reach * SPACING)
    return ParticleMap(rest, positions, inverses, reaches, 0.35 * SPACING, lambda points: (points, inverses))


def inside(count: int = 300) -> Tensor:
    return 0.9 * (torch.rand(count, 2) - 0.5)


@pytest.mark.parametrize("stretch", [1.0, 1.5, 0.7])
def test_what_moves_as_one_map_is_that_map(stretch: float) -> None:
    turn = torch.tensor([[math.cos(1.0), -math.sin(1.0)], [math.sin(1.0), math.cos(1.0)]])
    gradient, points = turn @ torch.diag(torch.tensor([stretch, 1.0])), inside()
    found = mapped(particles() @ gradient.T + 3, gradient).at(points @ gradient.T + 3)
    assert bool(found.found.all())
    torch.testing.assert_close(found.positions, points, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.inverse_jacobians, torch.linalg.inv(gradient).expand(300, 2, 2), rtol=0, atol=1e-5)


def test_nothing_is_averaged_across_what_has_parted() -> None:
    """Two halves that have passed each other by: each point lay in the one or the other, as a whole."""
    rest = particles()
    left = rest[:, :1] < 0
    shift = torch.where(left, torch.tensor([[0.0, 0.3]]), torch.tensor([[0.0, -0.3]]))
    points = inside()
    found = mapped(rest + shift, torch.eye(2)).at(points)
    steps = points - found.positions
    there = found.found
    assert float(there.float().mean()) > 0.5
    distances = torch.minimum((steps[there, 1] - 0.3).abs(), (steps[there, 1] + 0.3).abs())
    assert float(distances.max()) < 1e-4 and float(steps[there, 0].abs().max()) < 1e-4


def test_particles_show_as_far_as_they_reach() -> None:
    rest = particles()
    apart = mapped(10 * rest, torch.eye(2), reach=0.6)
    around = 0.5 * SPACING * torch.nn.functional.normalize(torch.randn(len(rest), 2), dim=1)
    assert bool(apart.at(10 * rest + around).found.all())
    assert not apart.at(10 * rest + 1.3 * around).found.any()
    low, high = apart.bounds
    assert bool((10 * rest + 1.2 * around >= low).all()) and bool((10 * rest + 1.2 * around <= high).all())


def test_there_is_nothing_where_no_particle_is() -> None:
    found = mapped(particles(), torch.eye(2)).at(torch.tensor([[9.0, 9.0], [torch.nan, 0.0]]))
    assert not found.found.any() and not found.inverse_jacobians.any()


def test_rows_are_points() -> None:
    rest_map, rows = (
        mapped(particles(), torch.eye(2)),
        PointRows(torch.linspace(-0.6, 0.6, 9), torch.linspace(0.6, -0.6, 5)),
    )
    assert torch.equal(rest_map.over(rows, 1e-3).positions, rest_map.at(rows.points).positions)
