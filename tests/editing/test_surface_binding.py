"""Points in space that follow a mesh or points."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gainer_ns.editing.surface_binding import bind_surface, distances_in_space
from gainer_ns.errors import GainerError
from gainer_ns.io.meshes import MeshFile

SEEDS = st.integers(0, 2**31)
WAYS = ("mesh", "points")


def surface(way: str, side: int = 9) -> MeshFile:
    """A grid over a hill."""
    axis = torch.linspace(-0.5, 0.5, side).double()
    x, y = (part.flatten() for part in torch.meshgrid(axis, axis, indexing="xy"))
    vertices = torch.stack([x, y, 0.3 * (1 - x * x - 0.5 * y * y)], dim=1)
    first = (torch.arange(side - 1)[:, None] * side + torch.arange(side - 1)).flatten()
    right, below = first + 1, first + side
    faces = torch.cat([torch.stack([first, right, below], 1), torch.stack([right, below + 1, below], 1)])
    return MeshFile(Path("hill.ply"), vertices, faces if way == "mesh" else faces[:0])


def near(count: int, random: torch.Generator) -> Tensor:
    """Points on the hill, and a little above and below it."""
    place = torch.rand(count, 2, generator=random, dtype=torch.float64) - 0.5
    height = 0.3 * (1 - place[:, 0] ** 2 - 0.5 * place[:, 1] ** 2)
    away = 0.02 * torch.randn(count, generator=random, dtype=torch.float64)
    return torch.cat([place, (height + away)[:, None]], dim=1)


def rotation(random: torch.Generator) -> Tensor:
    turned, _ = torch.linalg.qr(torch.randn(3, 3, generator=random, dtype=torch.float64))
    return turned * turned.det().sign()


@pytest.mark.parametrize("way", WAYS)
@given(seed=SEEDS)
def test_what_turns_and_moves_as_a_whole_takes_points_along_exactly(way: str, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    reference, points, turn = surface(way), near(50, random), rotation(random)
    shift = torch.randn(3, generator=random, dtype=torch.float64)
    places, jacobians = bind_surface(reference, points).at(reference.vertices @ turn.T + shift)
    torch.testing.assert_close(places, points @ turn.T + shift, atol=1e-9, rtol=0)
    torch.testing.assert_close(jacobians, turn.expand(50, 3, 3), atol=1e-9, rtol=0)


@pytest.mark.parametrize("way", WAYS)
def test_what_stretches_along_the_surface_keeps_its_distance_from_it(way: str) -> None:
    axis = torch.linspace(-1, 1, 11).double()
    x, y = (part.flatten() for part in torch.meshgrid(axis, axis, indexing="xy"))
    flat = torch.stack([x, y, torch.zeros_like(x)], dim=1)
    mesh = surface(way, 11)
    reference = MeshFile(mesh.path, flat, mesh.faces)
    points = torch.tensor([[0.1, 0.2, 0.05], [-0.3, 0.4, -0.03]], dtype=torch.float64)
    factors = torch.tensor([2.0, 0.5, 1.0], dtype=torch.float64)
    places, jacobians = bind_surface(reference, points).at(flat * factors)
    torch.testing.assert_close(places, points * factors, atol=1e-6, rtol=0)
    torch.testing.assert_close(jacobians, factors.diag().expand(2, 3, 3), atol=1e-6, rtol=0)


@given(seed=SEEDS)
def test_distances_of_triangles_are_those_of_their_nearest_points(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    points, corners = (torch.randn(*shape, generator=random, dtype=torch.float64) for shape in ((4, 3), (4, 5, 3, 3)))
    shares = torch.distributions.Dirichlet(torch.ones(3, dtype=torch.float64)).sample((4000,))
    some = torch.einsum("sc,mkcd->mksd", shares, corners)
    sampled = (some - points[:, None, None]).norm(dim=3).amin(dim=2)
    found = distances_in_space(points, corners)
    assert bool((found <= sampled + 1e-9).all()) and float((sampled - found).max()) < 0.3


@pytest.mark.parametrize("way", WAYS)
def test_what_carries_nothing_is_said(way: str) -> None:
    reference, points = surface(way), near(20, torch.Generator().manual_seed(0))
    with pytest.raises(GainerError, match="lies beside what was lifted"):
        bind_surface(MeshFile(reference.path, reference.vertices + 40, reference.faces), points)
    binding = bind_surface(reference, points)
    with pytest.raises(GainerError, match="80 vertices, and the reference has 81"):
        binding.at(reference.vertices[1:])
    with pytest.raises(GainerError, match="no numbers"):
        binding.at(torch.full_like(reference.vertices, math.nan))


def test_too_little_of_a_surface_is_said() -> None:
    with pytest.raises(GainerError, match="keep at least three"):
        bind_surface(MeshFile(Path("a.ply"), torch.zeros(2, 3), torch.empty(0, 3, dtype=torch.long)), torch.zeros(3, 3))
    line = torch.tensor([[0.0, 0, 0], [1, 1, 1], [2, 2, 2]])
    with pytest.raises(GainerError, match="no area"):
        bind_surface(MeshFile(Path("a.ply"), line, torch.tensor([[0, 1, 2]])), torch.zeros(3, 3))
