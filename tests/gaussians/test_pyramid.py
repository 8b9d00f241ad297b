"""Tables in full resolution and less, and reading them: against averages of what is drawn."""

import math

import pytest
import torch

from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.footprints import MIN_TABLE_NODES, Footprints, PixelExtent
from gainer_ns.gaussians.gaussian_set import GaussianSet, isotropic
from gainer_ns.gaussians.lattice import Lattice
from gainer_ns.gaussians.placement import lattice_means
from gainer_ns.gaussians.pyramid import level_count, pyramid


@pytest.mark.parametrize("sides", [(1, 1), (8, 8), (7, 13), (1, 9)])
def test_levels_keep_what_is_present(sides: tuple[int, int]) -> None:
    """Of a table of one value each texel says so, whatever part of it there is."""
    columns, rows = sides
    found = pyramid(torch.full((rows, columns, 3), 0.25) * torch.tensor([1.0, 2.0, 4.0]))
    sizes = [math.ceil(rows / 2**k) * math.ceil(columns / 2**k) for k in range(level_count(columns, rows))]
    assert len(found) == sum(sizes)
    torch.testing.assert_close(found[:, :2] / found[:, 2:], torch.tensor([0.25, 0.5]).expand(len(found), 2))
    assert float(found[:, 2].amax()) == 1.0


def test_levels_are_means_with_steeper_slopes() -> None:
    values = torch.rand(16, 16, 2)
    values[..., 1] = 1
    level = pyramid(values)[16 * 16 : 16 * 16 + 64].view(8, 8, 2)
    means = values.view(8, 2, 8, 2, 2).mean(dim=(1, 3))
    torch.testing.assert_close(level.sum(dim=(0, 1)), means.sum(dim=(0, 1)))
    assert float(level[..., 0].std()) > float(means[..., 0].std())


def drawn_lattice(seed: int, holes: float) -> tuple[Lattice, torch.Tensor, ImagePlane, GaussianSet]:
    """Return a lattice with smooth colours and opacities, some nodes empty, and its table."""
    plane, random = ImagePlane(64, 48), torch.Generator().manual_seed(seed)
    means = lattice_means(plane)
    means = means[torch.rand(len(means), generator=random) >= holes]
    features = torch.rand(len(means), 3, generator=random)
    features[:, 0] = features[:, 0] * 1.6 - 0.3  # opacities, beyond what there is
    gaussians = GaussianSet(means, isotropic(0.64 * plane.pixel_size, 2), features, 10 * plane.pixel_size)
    lattice = Lattice.of(gaussians, plane.pixel_size)
    assert lattice is not None
    return lattice, lattice.table(features), plane, gaussians


@pytest.mark.parametrize("has_opacities", [True, False])
@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_own_values_are_what_is_read_at_the_nodes(has_opacities: bool, holes: float) -> None:
    lattice, table, plane, gaussians = drawn_lattice(3, holes)
    own = lattice.own_values(table, plane.half_extent, has_opacities=has_opacities)[lattice.nodes]
    read = lattice.read(gaussians.means, table)
    if has_opacities:
        read[:, :1].clamp_(0, 1)
        read[:, 1:-1] *= read[:, :1]
    torch.testing.assert_close(own, read, atol=2e-6, rtol=0)


@pytest.mark.parametrize("shrink", [4.0, 5.5, 8.0, 11.0])
@pytest.mark.parametrize("has_opacities", [True, False])
def test_wide_footprints_read_the_average(shrink: float, has_opacities: bool) -> None:
    lattice, table, plane, _ = drawn_lattice(5, 0.0)
    turn = torch.tensor([[[0.8, -0.6], [0.6, 0.8]]])
    extent = PixelExtent(shrink * plane.pixel_size, plane.pixel_size, turn)
    assert extent.may_read_tables(lattice.spacing)
    points = plane.plane_from_pixel(torch.rand(200, 2) * torch.tensor([40.0, 24.0]) + 12).float()
    read = lattice.read(
        points,
        table,
        extent,
        has_opacities=has_opacities,
        own=lambda: lattice.own_values(table, None, has_opacities=has_opacities),
    )
    footprints = Footprints.of(extent, points)
    assert footprints is not None
    samples = footprints.samples(points, 48, 48)
    values = lattice.read(samples.reshape(-1, 2), table).view(len(points), -1, 4)
    weights = values[..., :1].clamp(0, 1) if has_opacities else torch.ones_like(values[..., :1])
    expected = (values * weights).sum(dim=1) / weights.sum(dim=1)
    if has_opacities:
        expected[:, 0] = weights.mean(dim=(1, 2))
    assert float((read - expected)[:, :-1].square().mean().sqrt()) < 0.01  # of noise, whose averages vary by 0.05
    assert shrink >= MIN_TABLE_NODES
