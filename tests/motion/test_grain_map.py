"""Where points lay on grains: the picture where particles hold together, and patches of it where they do not."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gainer_ns.motion import grain_map
from gainer_ns.motion.grain_map import GrainMap, RestOwners
from gainer_ns.motion.rest_map import PointRows, RestPoints

SPACING, PIXEL = 0.05, 0.01


def particles() -> Tensor:
    """A square of them, from -0.5 to 0.5."""
    axis = torch.arange(-0.5 + SPACING / 2, 0.5, SPACING)
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).view(-1, 2)


def mapped(
    positions: Tensor, inverses: Tensor | None = None, loose: Tensor | float = 1.0, radius: float = 0.6
) -> GrainMap:
    rest = particles()
    count = len(rest)
    eye = torch.eye(2).expand(count, 2, 2)
    loose = torch.as_tensor(loose).expand(count).contiguous()
    heights, shades = torch.rand(2, count)
    inverses = (eye if inverses is None else inverses).contiguous()
    patches = torch.full((count,), SPACING)
    sizes = 0.6 * SPACING, SPACING, PIXEL
    return GrainMap(positions, rest, inverses, loose, heights, patches, shades, *sizes, lambda points: (points, eye))


def reference(grains: GrainMap, points: Tensor) -> RestPoints:
    """The same in plain torch, every particle at every point; gaps stay open."""
    steps = torch.einsum("pij,mpj->mpi", grains.inverse_gradients, points[:, None] - grains.positions)
    squared = steps.square().sum(dim=2)
    cover = ((grains.reaches - squared.sqrt()) / grains.pixel + 0.5).clamp(0, 1)
    rank = grains.looseness * grains.heights * grains.radius**2 - squared
    rank = torch.where(cover >= 0.5, rank, cover - 2)  # what covers less than half is behind all that covers more
    own = rank.argmax(dim=1)
    each = torch.arange(len(points))
    step, loose = steps[each, own], grains.looseness[own, None]
    kept = (grains.patches[own] / grains.looseness[own].clamp(min=1e-6) / step.norm(dim=1).clamp(min=1e-30)).clamp(
        max=1
    )
    place = grains.origins[own] + kept[:, None] * step
    rise = 1 - squared / (grain_map.SUPPORT_SPACINGS * grains.spacing) ** 2
    rise[each, own] = rise[each, own].clamp(min=1e-3)
    apart = grains.origins + steps - place[:, None]
    agreed = torch.exp(-0.5 * apart.square().sum(dim=2) / (grain_map.PARTING_SPACINGS * grains.spacing) ** 2)
    weights = rise.clamp(min=0) ** 3 * agreed
    weights = weights / weights.sum(dim=1, keepdim=True)
    place = place + (1 - loose) * torch.einsum("mp,mpi->mi", weights, apart)
    turn = torch.einsum("mp,pij->mij", weights, grains.inverse_gradients)
    turn = loose[..., None] * grains.inverse_gradients[own] + (1 - loose[..., None]) * turn
    shades = (grains.looseness * grains.shades)[own, None]
    return RestPoints(place, turn, cover.amax(dim=1, keepdim=True), shades)


@pytest.mark.parametrize("loose", [0.0, 0.4, 1.0, "some"])
def test_equals_the_reference(loose: float | str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grain_map, "CLOSING_BEGIN", 1e6)
    monkeypatch.setattr(grain_map, "CLOSING_END", 2e6)
    torch.manual_seed(1)
    count = len(particles())
    some = torch.rand(count) if isinstance(loose, str) else loose
    inverses = torch.eye(2) + 0.2 * torch.randn(count, 2, 2)
    grains = mapped(1.3 * particles() + 0.4 * SPACING * torch.randn(count, 2), inverses, some)
    points = 1.8 * (torch.rand(4000, 2) - 0.5)
    found, expected = grains.at(points), reference(grains, points)
    torch.testing.assert_close(found.coverage, expected.coverage, rtol=0, atol=1e-4)
    there = found.found
    assert 0.3 < float(there.float().mean()) < 0.999
    for own, other in zip(found, expected, strict=True):
        assert own is not None and other is not None
        differ = (own[there] - other[there]).abs().flatten(1).amax(dim=1) > 1e-4
        assert float(differ.float().mean()) < 2e-3, "but where two grains are in front alike"


@pytest.mark.parametrize("stretch", [1.0, 1.3, 0.8])
def test_what_holds_together_is_the_picture(stretch: float) -> None:
    turn = torch.tensor([[math.cos(1.0), -math.sin(1.0)], [math.sin(1.0), math.cos(1.0)]])
    gradient, points = turn @ torch.diag(torch.tensor([stretch, 1.0])), 0.9 * (torch.rand(300, 2) - 0.5)
    inverse = torch.linalg.inv(gradient).expand(len(particles()), 2, 2)
    found = mapped(particles() @ gradient.T + 3, inverse, 0.0).at(points @ gradient.T + 3)
    torch.testing.assert_close(found.positions, points, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.inverse_jacobians, inverse[:300], rtol=0, atol=1e-5)
    assert found.coverage is not None and found.shade is not None
    assert float(found.coverage.min()) == 1 and float(found.shade.abs().max()) == 0


def test_every_point_of_grains_is_of_one_particle() -> None:
    shuffled = particles()[torch.randperm(len(particles()))]
    grains, points = mapped(shuffled), 0.9 * (torch.rand(2000, 2) - 0.5)
    found = grains.at(points)
    assert bool(found.found.all()), "no gaps within a heap"
    shift = points - found.positions
    others = (shift[:, None] - (shuffled - particles())).norm(dim=2).amin(dim=1)
    assert float(others.max()) < 1e-5


def test_grains_that_are_far_apart_are_discs() -> None:
    rest = particles()
    grains = mapped(10 * rest)
    way = torch.nn.functional.normalize(torch.randn(len(rest), 2), dim=1)
    for share, covered in ((0.0, 1.0), (0.8, 1.0), (1.0, 0.5), (1.3, 0.0)):
        found = grains.at(10 * rest + share * grains.radius * way)
        assert found.coverage is not None
        torch.testing.assert_close(found.coverage, torch.full((len(rest), 1), covered), rtol=0, atol=2e-3)
        assert bool((found.found == (covered > 0)).all())
    low, high = grains.bounds
    assert bool((10 * rest - 1.1 * grains.radius >= low).all() and (10 * rest + 1.1 * grains.radius <= high).all())


def test_a_crack_is_closed_and_a_gap_is_not() -> None:
    """Halves two spacings apart are one heap; eight spacings apart one sees between them."""
    left = particles()[:, :1] < 0
    for wide, closed in ((1.0, 1.0), (8.0, 0.0)):
        shift = torch.where(left, -0.5, 0.5) * torch.tensor([wide * SPACING, 0.0])
        middle = torch.stack([torch.zeros(50), torch.linspace(-0.3, 0.3, 50)], dim=1)
        found = mapped(particles() + shift).at(middle)
        assert found.coverage is not None
        torch.testing.assert_close(found.coverage, torch.full((50, 1), closed), rtol=0, atol=1e-3)


def test_there_is_nothing_where_no_particle_is() -> None:
    found = mapped(particles()).at(torch.tensor([[9.0, 9.0], [torch.nan, 0.0]]))
    assert not found.found.any() and not found.inverse_jacobians.any()


def test_rows_are_points() -> None:
    rest_map, rows = mapped(particles()), PointRows(torch.arange(-60, 60) * PIXEL, torch.arange(50, -50, -1) * PIXEL)
    assert torch.equal(rest_map.over(rows, 1e-3).positions, rest_map.at(rows.points).positions)
    assert torch.equal(rest_map.to("cpu").at(rows.points).positions, rest_map.at(rows.points).positions)


def test_what_has_torn_shows_its_own_side_and_nothing_in_the_gap() -> None:
    rest, gap = particles(), 3 * SPACING
    right = rest[:, 0] > 0
    positions = rest + torch.stack([torch.where(right, 0.5, -0.5) * gap, torch.zeros(len(rest))], dim=1)
    side = PIXEL / 2
    axis = torch.arange(-0.5 + side / 2, 0.5, side)
    cells = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)
    owners = torch.cdist(cells.view(-1, 2), rest).argmin(dim=1).view(len(axis), len(axis)).int()
    torn = replace(
        mapped(positions, loose=0.0),
        owners=RestOwners(owners, (-0.5, -0.5), (side, side)),
        shades=torch.zeros(len(rest)),
    )
    points = torch.rand(4000, 2) - 0.5
    found = torn.at(points)
    coverage = found.coverage
    assert coverage is not None
    away = points[:, 0].abs() - gap / 2
    assert bool((coverage[away < -PIXEL] == 0).all()), "the gap is clear"
    there = (away > PIXEL) & (points[:, 0].abs() < 0.5)
    assert bool((coverage[there] == 1).all()), "both sides keep their pixels"
    expected = points - torch.stack([gap / 2 * points[:, 0].sign(), torch.zeros(len(points))], dim=1)
    torch.testing.assert_close(found.positions[there], expected[there], rtol=0, atol=1e-4)
    whole = replace(mapped(rest, loose=0.0), owners=torn.owners).at(points)
    assert whole.coverage is not None and bool((whole.coverage == 1).all()), "and what holds has no cracks"
