"""Fields of particles that flow against plain torch in double precision, and what is drawn by them."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gainer_ns.motion import liquid_kernels as constants
from gainer_ns.motion.liquid_field import MAX_BEYOND_SPACINGS, LiquidField
from gainer_ns.motion.rest_map import PointRows

SPACING = 0.05


def square() -> Tensor:
    """Particles of a square, from -0.5 to 0.5."""
    axis = torch.arange(-0.5 + SPACING / 2, 0.5, SPACING)
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).view(-1, 2)


def field_of(positions: Tensor, rest: Tensor, colours: Tensor | None = None) -> LiquidField:
    colours = torch.ones(len(rest), 3) if colours is None else colours
    return LiquidField(rest, positions, torch.ones(len(rest)), colours, SPACING, lambda points: (points, points))


def step(low: float, high: float, values: Tensor) -> Tensor:
    t = ((values - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def reference(field: LiquidField, nodes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Levels, how whole it is, places at rest and slopes at nodes: every node with every particle."""
    d = (field.positions[None] - nodes[:, None]).double()
    lay, shares = field.rest.double(), field.shares.double()
    weights = shares * (1 - d.square().sum(dim=2) / field.radius**2).clamp(min=0) ** 3
    mass = weights.sum(dim=1)
    filled = mass * 4 / (math.pi * constants.SUPPORT_SPACINGS**2)
    level = (filled - constants.SURFACE_SHARE) * field.radius / constants.FULL_SLOPE
    near = shares * (1 - d.square().sum(dim=2) / (constants.DROP_SUPPORT_SPACINGS * SPACING) ** 2).clamp(min=0) ** 3
    middle = (near[..., None] * d).sum(dim=1) / near.sum(dim=1)[:, None]
    lone = 1 - step(constants.LONE_SHARE, constants.CROWD_SHARE, filled)
    drop = constants.DROP_RADIUS_SPACINGS * SPACING * lone - middle.norm(dim=1)
    level = torch.where(near.sum(dim=1) > 0, torch.maximum(level, drop), level)
    weights = weights / mass[:, None]
    away, place = torch.einsum("np,npi->ni", weights, d), weights @ lay
    off_d, off_lay = d - away[:, None], lay[None] - place[:, None]
    spread = torch.einsum("np,npi,npj->nij", weights, off_d, off_d)
    joint = torch.einsum("np,npi,npj->nij", weights, off_lay, off_d)
    slope = joint @ torch.linalg.inv(spread + constants.REGULARISATION * SPACING**2 * torch.eye(2).double())
    off = off_lay - torch.einsum("nij,npj->npi", slope, off_d)
    disagreement = (weights * off.square().sum(dim=2)).sum(dim=1).sqrt() / SPACING
    whole = 1 - step(constants.WHOLE_DISAGREEMENT, constants.MIXED_DISAGREEMENT, disagreement)
    narrow = torch.linalg.eigvalsh(spread)[:, 0] / SPACING**2
    whole = whole * step(constants.MIN_SPREAD, constants.FULL_SPREAD, narrow) * (slope.det() > 0)
    return level, whole, place - torch.einsum("nij,nj->ni", slope, away), slope


def test_fields_are_those_of_plain_torch() -> None:
    random = torch.Generator().manual_seed(0)
    rest = square()
    shaken = rest + 0.2 * SPACING * torch.randn(rest.shape, generator=random)
    shaken[rest[:, 0] > 0.2] += torch.rand(int((rest[:, 0] > 0.2).sum()), 2, generator=random)  # a part has dispersed
    field = field_of(shaken, rest)
    rows, columns = field._nodes
    axes = [field.bounds[0][i] + field._step * torch.arange(size) for i, size in enumerate((columns, rows))]
    nodes = torch.stack(torch.meshgrid(*axes, indexing="xy"), dim=-1).view(-1, 2)
    levels, masses, wholes, places, slopes, *_ = (each.tensor for each in field._told)
    there = masses > 1e-3
    expected = reference(field, nodes[there])
    assert int(there.sum()) > 1000 and 0.2 < float(wholes[there].mean()) < 0.8
    torch.testing.assert_close(levels[there].double(), expected[0], rtol=0, atol=1e-4 * SPACING)
    torch.testing.assert_close(wholes[there].double(), expected[1], rtol=0, atol=2e-2)
    sure = wholes[there] > 0
    torch.testing.assert_close(places[there][sure].double(), expected[2][sure], rtol=0, atol=2e-3 * SPACING)
    torch.testing.assert_close(slopes[there][sure].double(), expected[3][sure], rtol=0, atol=2e-3)


@pytest.mark.parametrize("stretch", [1.0, 1.3, 0.8])
def test_what_moves_as_one_map_is_whole_and_that_map(stretch: float) -> None:
    turn = torch.tensor([[math.cos(1.0), -math.sin(1.0)], [math.sin(1.0), math.cos(1.0)]])
    gradient, points = turn @ torch.diag(torch.tensor([stretch, 1.0])), 0.9 * (torch.rand(300, 2) - 0.5)
    found = field_of(square() @ gradient.T + 3, square()).located(points @ gradient.T + 3, 0.01)
    assert float(found.whole.min()) == 1 and float(found.alpha.min()) == 1
    torch.testing.assert_close(found.found.positions, points, rtol=0, atol=1e-5)
    inverse = torch.linalg.inv(gradient).expand(300, 2, 2)
    torch.testing.assert_close(found.found.inverse_jacobians, inverse, rtol=0, atol=1e-3)


def test_the_surface_is_one_soft_step_and_near_the_particles() -> None:
    pixel, y = 0.01, torch.linspace(0.3, 0.7, 401)
    rows = torch.stack([torch.zeros(401), y], dim=1)
    alpha = field_of(square(), square()).located(rows, pixel).alpha
    soft = y[(alpha > 0.01) & (alpha < 0.99)]
    assert bool((alpha.diff() <= 1e-6).all()) and float(alpha[0]) == 1 and float(alpha[-1]) == 0
    assert float(soft.max() - soft.min()) == pytest.approx(pixel, rel=0.2)
    assert float(soft.mean()) == pytest.approx(0.5, abs=MAX_BEYOND_SPACINGS * SPACING)


def test_the_surface_of_particles_in_disorder_is_even_and_has_no_pores() -> None:
    random = torch.Generator().manual_seed(1)
    shaken = square() + 0.35 * SPACING * torch.randn(400, 2, generator=random)
    axis = torch.linspace(-0.7, 0.7, 281)
    alpha = field_of(shaken, square()).located(PointRows(axis, axis).points, 0.005).alpha.view(281, 281)
    inside = (axis.abs() < 0.44).nonzero()[:, 0]
    assert float(alpha[inside][:, inside].min()) == 1
    heights = alpha[141:, 40:241].sum(dim=0) * (axis[1] - axis[0])
    assert float(heights[20:-20].std()) < 0.25 * SPACING


def test_what_is_whole_ends_softly() -> None:
    """Without blocks of the size of the nodes' cells, along the border of what has been shaken."""
    rest = square()
    random = torch.Generator().manual_seed(3)
    aside = rest[:, :1] > 0.1
    field = field_of(rest + aside * 2 * SPACING * (torch.rand(rest.shape, generator=random) - 0.5), rest)
    axis = torch.linspace(-0.4, 0.4, 401)
    whole = field.located(PointRows(axis, axis).points, 0.005).whole.view(401, 401)
    assert float(whole[:, :80].min()) > 0.999 and float(whole[:, 300:].mean()) < 0.3
    assert max(float(whole.diff(dim=dim).abs().max()) for dim in (0, 1)) < 0.05


def test_a_small_pore_is_closed_and_a_large_hole_stays() -> None:
    for hole, open_ in ((2.5, False), (6.0, True)):
        left = square()[square().norm(dim=1) > 0.5 * hole * SPACING]
        alpha = field_of(left, left).located(0.02 * (torch.rand(100, 2) - 0.5), 0.1 * SPACING)
        assert float((alpha.inner if not open_ else 1 - alpha.alpha).min()) == 1


@pytest.mark.parametrize(("gap", "corner"), [(0.0, 0), (0.5, 0), (0.9, 5)])
def test_the_surface_ends_at_walls(gap: float, corner: int) -> None:
    """Without a gap, and without a round corner, on a floor at y = -0.5 below and a wall at x = 0.5."""
    level, pixel = square() + gap * SPACING * torch.tensor([-1.0, 1.0]), 0.1 * SPACING
    flat = field_of(level, square())
    field = replace(flat, depths=lambda points: torch.stack([-0.5 - points[:, 1], points[:, 0] - 0.5]))
    t = torch.linspace(-0.2, 0.5 - pixel, 100)
    floor, wall = (
        torch.stack([t, torch.full_like(t, pixel - 0.5)], dim=1),
        torch.stack([0.5 - pixel + 0 * t, -t], dim=1),
    )
    for points in (floor, wall):
        found = field.located(points, pixel)
        assert float(found.alpha[: 100 - corner].min()) == 1 and float(found.inner[:75].min()) == 1
        assert float(field.located(points + torch.tensor([2.0, -2.0]) * pixel, pixel).most.max()) == 0
    assert float(flat.located(floor, pixel).inner.max()) == 0
    assert float(field.located(torch.tensor([[0.0, 0.5 + (1 + gap) * SPACING]]), pixel).alpha) == 0, "the top as ever"


def test_drops_stay_and_where_liquid_has_mixed_colours_blend() -> None:
    far = torch.cat([square(), torch.tensor([[1.0, 0.0]])])
    alone = field_of(far, far).located(torch.tensor([[1.0, 0.0], [1.0, 2 * SPACING]]), 0.2 * SPACING)
    assert alone.alpha.tolist() == [1, 0] and float(alone.whole.max()) < 0.01
    rest, order = square(), torch.randperm(400, generator=torch.Generator().manual_seed(2))
    colours = (torch.arange(400) % 2).float()[:, None].expand(400, 3)  # black and white
    mixed = field_of(rest[order], rest, colours[order]).located(0.6 * (torch.rand(200, 2) - 0.5), 0.01)
    assert float(mixed.whole.max()) < 0.05 and float(mixed.colours.std()) < 0.15
    assert float(mixed.colours.mean()) == pytest.approx(0.5, abs=0.05)
