"""Gaussians on a lattice: told from others, and read as the nearest ones are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.block_sum import BLOCK_NODES
from gainer_ns.gaussians.footprints import Footprints, PixelExtent
from gainer_ns.gaussians.gaussian_set import GaussianSet, isotropic
from gainer_ns.gaussians.lattice import Lattice
from gainer_ns.gaussians.placement import lattice_means


def on_lattice(width: int, height: int, sigma: float = 0.64, keep: torch.Tensor | None = None) -> GaussianSet:
    plane = ImagePlane(width, height)
    means = lattice_means(plane)
    if keep is not None:
        means = means[keep.flatten()]
    features = torch.rand(len(means), 3, generator=torch.Generator().manual_seed(len(means)))
    return GaussianSet(means, isotropic(sigma * plane.pixel_size, 2), features, 10 * plane.pixel_size)


def averages(gaussians: GaussianSet, points: torch.Tensor) -> torch.Tensor:
    """Every Gaussian's weight at every point, in float64: what a block leaves out of it weighs nothing."""
    steps = points.double()[:, None] - gaussians.means.double()[None]
    exponents = -0.5 * (steps @ gaussians.precisions.double() * steps).sum(dim=2)
    weights = (exponents - exponents.amax(dim=1, keepdim=True)).exp()
    return (weights @ gaussians.features.double()) / weights.sum(dim=1, keepdim=True)


@given(
    st.integers(1, 24), st.integers(1, 24), st.floats(0.42, 0.68), st.integers(0, 2**31), st.sampled_from([0.0, 0.4])
)
def test_points_read_the_weighted_mean(width: int, height: int, sigma: float, seed: int, holes: float) -> None:
    random = torch.Generator().manual_seed(seed)
    keep = torch.rand(height, width, generator=random) >= holes
    gaussians = on_lattice(width, height, sigma, keep)
    plane = ImagePlane(width, height)
    if len(gaussians) < 2:
        return
    lattice = Lattice.of(gaussians, plane.pixel_size)
    assert lattice is not None
    points = plane.plane_from_pixel(torch.rand(64, 2, generator=random) * torch.tensor([width, height])).float()
    read = lattice.read(points, lattice.table(gaussians.features))
    nearest = (points[:, None] - gaussians.means).abs().amax(dim=2).amin(dim=1)
    near = nearest < 0.99 * plane.pixel_size  # beyond, what is 3 steps away counts
    torch.testing.assert_close(read[near, :3].double(), averages(gaussians, points[near]), atol=2e-3, rtol=0)
    assert bool((read[near, 3] == 1).all())


def test_it_reads_nothing_far_from_all() -> None:
    gaussians = on_lattice(8, 6)
    lattice = Lattice.of(gaussians)
    assert lattice is not None
    far = torch.tensor([[3.0, 0.0], [0.0, -2.0], [float("nan"), 0.0], [float("inf"), 0.0]])
    assert bool((lattice.read(far, lattice.table(gaussians.features)) == 0).all())


def test_what_stands_elsewhere_is_no_lattice() -> None:
    gaussians = on_lattice(9, 7)
    assert Lattice.of(gaussians) is not None
    shaken = gaussians.means + 0.05 / 9 * torch.randn(63, 2, generator=torch.Generator().manual_seed(0))
    turn = torch.tensor([[[0.8, -0.6], [0.6, 0.8]]])
    assert Lattice.of(replace(gaussians, means=shaken)) is None
    assert Lattice.of(gaussians.transformed(gaussians.means @ turn[0].T, turn)) is None
    assert Lattice.of(replace(gaussians, covariances=gaussians.covariances * 16)) is None
    assert Lattice.of(replace(gaussians, covariances=gaussians.covariances.repeat(63, 1, 1))) is None
    assert Lattice.of(replace(gaussians, means=gaussians.means[:1].repeat(63, 1))) is None


def test_far_outliers_take_no_memory() -> None:
    gaussians = on_lattice(40, 1)
    means = gaussians.means.clone()
    means[-1, 0] += 1e6
    assert Lattice.of(replace(gaussians, means=means)) is None


def test_two_at_one_node_are_no_lattice() -> None:
    gaussians = on_lattice(5, 5)
    means = gaussians.means.clone()
    means[7] = means[8]
    assert Lattice.of(replace(gaussians, means=means)) is None


@pytest.mark.parametrize("size", [(400, 1), (1, 400), (2, 1), (4000, 3)])
def test_rows_and_columns_are_lattices(size: tuple[int, int]) -> None:
    gaussians = on_lattice(*size)
    lattice = Lattice.of(gaussians)
    assert lattice is not None
    assert (len(lattice.x), len(lattice.y)) == tuple(side + 2 * BLOCK_NODES for side in size)
    assert lattice.spacing == pytest.approx(1 / max(size), rel=1e-4)
    read = lattice.read(gaussians.means, lattice.table(torch.ones(len(gaussians), 1)))
    torch.testing.assert_close(read, torch.ones(len(gaussians), 2))


@given(st.integers(1, 12), st.integers(2, 12), st.integers(1, 3), st.integers(0, 2**31))
def test_full_rectangles_are_found_as_any_others_are(columns: int, rows: int, stride: int, seed: int) -> None:
    """They need not be sorted into nodes; a rectangle with columns left out is one, too, on a finer lattice."""
    width = stride * columns + 1
    gaussians = on_lattice(width, rows)
    means = gaussians.means.view(rows, width, 2)[:, ::stride].reshape(-1, 2)
    full = replace(gaussians, means=means, features=means)
    order = torch.randperm(len(means), generator=torch.Generator().manual_seed(seed))
    found, shuffled = Lattice.of(full), Lattice.of(full[order], 1 / max(width, rows))
    assert found is not None and shuffled is not None
    torch.testing.assert_close((found.x, found.y), (shuffled.x, shuffled.y))
    assert torch.equal(found.nodes[order], shuffled.nodes)


@pytest.mark.parametrize("width", [3, 4])
@pytest.mark.parametrize("longest", [1.2, 2.0, 3.5])
def test_what_shrinks_is_the_mean_over_the_samples_of_its_footprint(width: int, longest: float) -> None:
    """Of colours alone, pairs of samples are read in one; what else there is, sample by sample."""
    generator = torch.Generator().manual_seed(0)
    gaussians = on_lattice(20, 20)
    lattice = Lattice.of(gaussians)
    assert lattice is not None
    table = lattice.table(torch.rand(400, width, generator=generator))
    points = 0.6 * (torch.rand(300, 2, generator=generator) - 0.5)
    turns, scales = torch.rand(300, generator=generator) * 6.3, 0.5 + torch.rand(300, 2, generator=generator)
    turn = torch.stack([turns.cos(), -turns.sin(), turns.sin(), turns.cos()], dim=1).view(-1, 2, 2)
    inverses = turn * (scales * longest / 1.5)[:, None, :]
    extent = PixelExtent(lattice.spacing, lattice.spacing, inverses)
    footprints = Footprints.of(extent, points)
    assert footprints is not None
    expected = torch.empty(300, width + 1)
    for columns, rows, where in footprints.kinds:
        samples = footprints[where].samples(points[where], columns, rows)
        expected[where] = lattice.read(samples.reshape(-1, 2), table).view(len(where), -1, width + 1).mean(dim=1)
    torch.testing.assert_close(lattice.read(points, table, extent), expected, rtol=0, atol=3e-4)
