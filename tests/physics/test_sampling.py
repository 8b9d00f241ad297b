"""Which Gaussians are simulated, and how much each stands for."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import KDTree
from torch import Tensor

from gainer_ns.physics.sampling import choose_evenly, volumes_of


def box(columns: int, rows: int, pitch: float = 1.0) -> Tensor:
    """Pixel centres [columns * rows, 2]."""
    y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    return pitch * torch.stack([x.flatten(), y.flatten()], dim=1)


def disc(radius: float) -> Tensor:
    """Those of the pixel centres around the origin that are within a radius."""
    points = box(round(2 * radius), round(2 * radius)) - radius
    return points[points.norm(dim=1) < radius]


def dome(radius: float) -> tuple[Tensor, Tensor]:
    """Half a sphere, seen from above [n, 3], and what each of its points covers [n]."""
    flat = disc(radius - 1)
    height = (radius**2 - flat.square().sum(dim=1)).sqrt()
    return torch.cat([flat, height[:, None]], dim=1), radius / height


def gaps(points: Tensor, chosen: Tensor) -> tuple[float, float]:
    """How near the nearest two chosen points are, and how far the farthest point is from all of them."""
    tree = KDTree(points[chosen].numpy())
    return float(tree.query(points[chosen].numpy(), k=2)[0][:, 1].min()), float(tree.query(points.numpy())[0].max())


@pytest.mark.parametrize("count", [300, 1500, 5000])
@pytest.mark.parametrize("pitch", [1.0, 1 / 300])
def test_a_plane_is_covered_evenly(count: int, pitch: float) -> None:
    for points in (disc(100) * pitch, box(300, 100, pitch)):
        areas = torch.full((len(points),), pitch**2)
        chosen, spacing = choose_evenly(points, areas, count)
        assert abs(len(chosen) - count) <= 0.04 * count + 2
        assert bool((chosen.diff() > 0).all()) and chosen.dtype == torch.int64
        # As far apart as hexagons of that area, less the half-filled ones along the border.
        assert spacing == pytest.approx(math.sqrt(2 / math.sqrt(3) * float(areas.sum()) / count), rel=0.12)
        nearest, farthest = gaps(points, chosen)
        assert nearest > min(0.45 * spacing, 0.99 * math.sqrt(2) * pitch) and farthest < 0.8 * spacing
        again, _ = choose_evenly(points, areas, count)
        assert torch.equal(chosen, again)


@pytest.mark.parametrize("count", [300, 1500, 5000])
def test_a_surface_in_space_is_covered_evenly(count: int) -> None:
    points, areas = dome(100.0)
    chosen, spacing = choose_evenly(points, areas, count)
    assert abs(len(chosen) - count) <= 0.04 * count + 2
    nearest, farthest = gaps(points, chosen)
    assert nearest > 0.45 * spacing and farthest < 1.3 * spacing
    assert spacing == pytest.approx(math.sqrt(float(areas.sum()) / count), rel=0.5)


def test_all_of_few() -> None:
    points = disc(6)
    for count in (len(points), 10 * len(points)):
        chosen, spacing = choose_evenly(points, torch.ones(len(points)), count)
        assert torch.equal(chosen, torch.arange(len(points))) and spacing == pytest.approx(1.0)
        assert torch.equal(volumes_of(points, torch.ones(len(points)), chosen), torch.ones(len(points)))
    chosen, _ = choose_evenly(torch.empty(0, 2), torch.empty(0), 5)
    assert len(chosen) == 0


def test_thin_parts_are_kept() -> None:
    """A stem of one pixel's width, whichever cells it runs through."""
    stem = torch.stack([torch.arange(200.0) + 60.0, torch.full((200,), 0.3)], dim=1)
    points = torch.cat([disc(60), stem])
    chosen, spacing = choose_evenly(points, torch.ones(len(points)), 150)
    along = points[chosen[chosen >= len(points) - 200]][:, 0].sort().values
    assert spacing > 8 and float(along.diff().max()) < 1.5 * spacing and float(along[-1]) > 259 - spacing


def test_all_in_one_place() -> None:
    chosen, spacing = choose_evenly(torch.full((50, 2), 0.25), torch.full((50,), 0.02), 10)
    assert chosen.tolist() == [0] and spacing == pytest.approx(1.0)


def test_none_are_refused() -> None:
    with pytest.raises(ValueError, match="0 points"):
        choose_evenly(disc(3), torch.ones(len(disc(3))), 0)


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(2, 400), st.integers(1, 200), st.sampled_from([2, 3]))
def test_each_point_counts_for_the_nearest_chosen(seed: int, total: int, count: int, dimensions: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    points, areas = torch.rand(total, dimensions, generator=draw), torch.rand(total, generator=draw)
    chosen, spacing = choose_evenly(points, areas, count)
    assert 1 <= len(chosen) <= total and spacing > 0 and len(chosen.unique()) == len(chosen)
    volumes = volumes_of(points, areas, chosen)
    owners = torch.cdist(points.double(), points[chosen].double()).argmin(dim=1)
    expected = torch.zeros(len(chosen), dtype=torch.float64).index_add_(0, owners, areas.double())
    torch.testing.assert_close(volumes, expected.float(), rtol=1e-6, atol=1e-7)
    assert float(volumes.double().sum()) == pytest.approx(float(areas.double().sum()), rel=1e-6)
