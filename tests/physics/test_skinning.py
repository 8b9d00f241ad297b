"""How points follow the particles around them, beside a plain version that looks at all particles."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gainer_ns.physics.deformation_gradients import limited_gradients
from gainer_ns.physics.skinning import ParticleSkin, SkinnedPoints, SkinPose

numbers = st.floats(-2, 2)
EYE = torch.eye(2)


def posed(skin: ParticleSkin, points: Tensor, positions: Tensor, gradients: Tensor | None) -> SkinPose:
    return SkinnedPoints(skin, points).at(positions, gradients)


def particles(count: int = 400, dimensions: int = 2, seed: int = 0) -> tuple[Tensor, float]:
    """A jittered lattice over about the unit square or cube, and its spacing."""
    draw = torch.Generator().manual_seed(seed)
    side = round(count ** (1 / dimensions))
    axis = (torch.arange(side) + 0.5) / side
    nodes = torch.stack(torch.meshgrid(*[axis] * dimensions, indexing="ij"), dim=-1).view(-1, dimensions)
    return nodes + 0.3 / side * (torch.rand(nodes.shape, generator=draw) - 0.5), 1 / side


def eyes(count: int, dimensions: int = 2) -> Tensor:
    return torch.eye(dimensions).repeat(count, 1, 1)


def plainly(
    rest: Tensor, spacing: float, breaking: bool, points: Tensor, positions: Tensor, gradients: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Positions, Jacobians by automatic differentiation, and tornness; all float64, over all particles."""
    rest, positions, gradients = rest.double(), positions.double(), gradients.double()
    squared = (points.double()[:, None] - rest).square().sum(dim=-1).sort(dim=1)
    distance = squared.values.sqrt()
    reach = torch.maximum(1.5 * distance[:, :1], torch.tensor(1.75 * spacing).double())
    if len(rest) > 16:
        reach = torch.minimum(reach, distance[:, 16:17])
    own = squared.indices[:, 0]
    rows = torch.arange(len(points))

    def votes(at: Tensor) -> tuple[Tensor, Tensor]:
        away = at[:, None] - rest
        weights = (1 - away.square().sum(dim=-1) / reach.square()).clamp(min=0) ** 3
        return positions + torch.einsum("pij,npj->npi", gradients, away), weights

    said, weights = votes(points.double())
    parted = torch.exp(-(said - said[rows, own][:, None]).square().sum(dim=-1) / (2 * (0.35 * spacing) ** 2))
    kept = parted if breaking else torch.ones_like(parted)

    def moved(at: Tensor) -> Tensor:
        said, weights = votes(at)
        return ((weights * kept)[..., None] * said).sum(dim=1) / (weights * kept).sum(dim=1, keepdim=True)

    at = points.double().requires_grad_()
    places = moved(at)
    rows_of = [torch.autograd.grad(places[:, i].sum(), at, retain_graph=True)[0] for i in range(points.shape[1])]
    others = weights.clone()
    others[rows, own] = 0
    all_others = others.sum(dim=1)
    torn = torch.where(all_others > 0, 1 - (others * kept).sum(dim=1) / all_others.clamp(min=1e-300), 0.0)
    return places.detach(), torch.stack(rows_of, dim=1), torn


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("breaking", [False, True])
def test_beside_the_plain_version(dimensions: int, breaking: bool) -> None:
    rest, spacing = particles(300, dimensions)
    points = 1.6 * torch.rand(500, dimensions) - 0.3  # inside and around
    positions = rest + 0.3 * spacing * torch.randn(rest.shape)
    gradients = eyes(len(rest), dimensions) + 0.3 * torch.randn(len(rest), dimensions, dimensions)
    found = posed(ParticleSkin(rest, spacing, breaking=breaking), points, positions, gradients)
    places, jacobians, torn = plainly(rest, spacing, breaking, points, positions, gradients)
    torch.testing.assert_close(found.positions, places.float(), rtol=0, atol=2e-6)
    torch.testing.assert_close(found.jacobians, jacobians.float(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.torn, torn.float(), rtol=0, atol=1e-4)
    assert (float(torn.max()) > 0.5) == breaking


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("breaking", [True, False])
@settings(max_examples=30)
@given(matrix=st.tuples(numbers, numbers, numbers, numbers), offset=st.tuples(numbers, numbers))
def test_affine_motion_is_reproduced(
    told: bool, breaking: bool, matrix: tuple[float, ...], offset: tuple[float, ...]
) -> None:
    """Everywhere, within and far beyond the particles; by what breaks too, as long as it holds together."""
    rest, spacing = particles()
    turn = torch.tensor(matrix).view(2, 2)
    if breaking:
        turn = EYE + 0.1 * turn
    elif not told and float(torch.linalg.det(turn).abs()) < 1e-2:
        turn = turn + 3 * EYE
    shift = torch.tensor(offset)
    points = torch.cat([2 * torch.rand(300, 2) - 0.5, rest[:50], torch.tensor([[9.0, -7.0]])])
    gradients = turn.expand(len(rest), 2, 2) if told else None
    skin = ParticleSkin(rest, spacing, breaking=breaking)
    found = posed(skin, points, rest @ turn.T + shift, gradients)
    # Of breaking materials what is stretched tells less: the estimate misses by about the square of the strain, which
    # is 0.4 at most here, times how far off a point is.
    tolerance = 5e-2 if breaking and not told else 2e-5
    near = points.norm(dim=1) < 5
    torch.testing.assert_close(found.positions[near], (points @ turn.T + shift)[near], rtol=0, atol=tolerance)
    torch.testing.assert_close(
        found.jacobians, turn.expand(len(points), 2, 2), rtol=0, atol=10 * tolerance if not told else 2e-4
    )
    if told:
        torch.testing.assert_close(found.positions, points @ turn.T + shift, rtol=1e-5, atol=2e-5)
        assert float(found.torn.max()) < 1e-4


@pytest.mark.parametrize("dimensions", [2, 3])
@settings(max_examples=20)
@given(st.integers(0, 2**31))
def test_rigid_motion_is_reproduced_without_gradients(dimensions: int, seed: int) -> None:
    """By what breaks, by a surface and by a line too, whose neighbours tell nothing about the other directions."""
    draw = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(dimensions, dimensions, generator=draw)).Q.clone()
    turn[:, 0] *= torch.linalg.det(turn).sign()
    for thin in (0, 1):  # by how many dimensions the particles spread in fewer
        rest, spacing = particles(400, dimensions)
        if thin:
            flat, spacing = particles(20 if dimensions == 2 else 400, dimensions - thin)
            rest = torch.cat([flat, torch.zeros(len(flat), thin)], dim=1)
        for breaking in (False, True):
            skin = ParticleSkin(rest, spacing, breaking=breaking)
            points = rest + spacing * torch.rand(rest.shape, generator=draw)
            found = posed(skin, points, rest @ turn.T + 0.5, None)
            torch.testing.assert_close(found.positions, points @ turn.T + 0.5, rtol=0, atol=1e-5)
            torch.testing.assert_close(found.jacobians, turn.expand(len(points), -1, -1), rtol=0, atol=1e-3)
            assert float(found.torn.max()) < 1e-4


def bent(points: Tensor) -> tuple[Tensor, Tensor]:
    """The unit square bent about a point above it, and the Jacobians."""
    x, radius = points[:, 0], 1.5 + points[:, 1]
    sin, cos = x.sin(), x.cos()
    jacobians = torch.stack([radius * cos, sin, -radius * sin, cos], dim=1).view(-1, 2, 2)
    return torch.stack([radius * sin, radius * cos], dim=1), jacobians


@pytest.mark.parametrize("told", [True, False])
def test_a_bend_is_followed_to_second_order(told: bool) -> None:
    points = 0.1 + 0.8 * torch.rand(2000, 2)
    errors = []
    for count in (20**2, 40**2):
        rest, spacing = particles(count)
        positions, gradients = bent(rest.double())
        found = posed(ParticleSkin(rest, spacing), points, positions.float(), gradients.float() if told else None)
        places, jacobians = bent(points.double())
        errors.append([(found.positions - places).abs().mean(), (found.jacobians - jacobians).abs().mean()])
    assert float(errors[0][0] / errors[1][0]) > 3 and float(errors[1][0]) < 1e-3
    assert float(errors[0][1] / errors[1][1]) > 1.7 and float(errors[1][1]) < 2e-2


@pytest.mark.parametrize("dimensions", [2, 3])
def test_there_are_no_seams(dimensions: int) -> None:
    """However the particles move, points that are close stay close: along lines across and far beyond them."""
    rest, spacing = particles(400, dimensions)
    rest = torch.cat([rest, rest[:40] + 0.01 * spacing * torch.randn(40, dimensions)])  # more than 16 in places
    positions = rest + 0.5 * spacing * torch.randn(rest.shape)
    gradients = eyes(len(rest), dimensions) + 0.2 * torch.randn(len(rest), dimensions, dimensions)
    steps = torch.linspace(-1, 2, 30001)[:, None]
    for _ in range(5):
        line = torch.rand(dimensions) + (steps - 0.5) * torch.nn.functional.normalize(torch.randn(dimensions), dim=0)
        moved = posed(ParticleSkin(rest, spacing), line, positions, gradients).positions
        assert float(moved.diff(dim=0).norm(dim=1).max()) < 0.1 * spacing, "over 0.002 to 0.015 of a spacing"


def parted(rest: Tensor, gap: float) -> Tensor:
    """The right half moved to the right, and what is left of the middle where it was."""
    return rest + gap * (rest[:, :1] > 0.5) * torch.tensor([[1.0, 0.0]])


def test_what_breaks_parts() -> None:
    """Each point goes with one of the halves, as it is; those near the crack are torn."""
    rest, spacing = particles()
    points = torch.rand(2000, 2)
    positions = parted(rest, 3 * spacing)
    found = posed(ParticleSkin(rest, spacing, breaking=True), points, positions, eyes(len(rest)))
    nearest = torch.cdist(points, rest).argmin(dim=1)
    expected = points + (positions - rest)[nearest]
    torch.testing.assert_close(found.positions, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.jacobians, eyes(len(points)), rtol=0, atol=1e-3)
    far = (points[:, 0] - 0.5).abs() > 3 * spacing
    assert not found.torn[far].any() and float(found.torn.max()) > 0.3 and float(found.torn.min()) >= 0
    alone = posed(ParticleSkin(rest, spacing, breaking=True), points, 20 * rest, eyes(len(rest)))
    assert bool((alone.torn > 0.999).all())


def test_what_holds_does_not_part() -> None:
    rest, spacing = particles()
    points = torch.rand(2000, 2)
    found = posed(ParticleSkin(rest, spacing), points, parted(rest, 3 * spacing), eyes(len(rest)))
    assert not found.torn.any()
    middle = (found.positions[:, 0] > 0.5 + spacing) & (found.positions[:, 0] < 0.5 + 2 * spacing)
    assert int(middle.sum()) > 20 and float(found.jacobians[middle, 0, 0].min()) > 1.5, "stretched over the gap"


def test_parting_is_gradual() -> None:
    rest, spacing = particles()
    points, skin = torch.rand(500, 2), ParticleSkin(rest, spacing, breaking=True)
    following = SkinnedPoints(skin, points)
    assert len(following) == 500
    frames = [following.at(parted(rest, gap * spacing), eyes(len(rest))) for gap in torch.linspace(0, 3, 301).tolist()]
    for one, next_one in itertools.pairwise(frames):
        assert float((next_one.positions - one.positions).norm(dim=1).max()) < 0.05 * spacing
        assert float((next_one.torn - one.torn).abs().max()) < 0.05
    assert float(frames[0].torn.max()) < 1e-5


@pytest.mark.parametrize("count", [1, 2, 5, 17, 40])
def test_few_particles(count: int) -> None:
    """However few there are, and even all in one place."""
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    for rest in (torch.rand(count, 2), torch.full((count, 2), 0.5)):
        skin = ParticleSkin(rest, 0.1)
        points = torch.rand(50, 2)
        found = posed(skin, points, rest @ turn.T, turn.expand(count, 2, 2))
        torch.testing.assert_close(found.positions, points @ turn.T, rtol=0, atol=1e-5)
        assert not found.torn.any() and bool(found.jacobians.isfinite().all())
        guessed = posed(skin, points, rest @ turn.T, None)
        assert all(bool(part.isfinite().all()) for part in guessed)


def test_of_many_equally_near_particles_one_is_followed() -> None:
    """Where none is nearer than the first that is left out, weights end before they begin."""
    rest = torch.cat([torch.full((20, 2), 0.5), torch.tensor([[9.0, 9.0]])])
    found = posed(ParticleSkin(rest, 0.1), torch.tensor([[0.2, 0.1]]), rest * torch.tensor([1.0, 3.0]), eyes(21))
    torch.testing.assert_close(found.positions, torch.tensor([[0.2, 1.1]]))


def test_nothing_carries_nothing() -> None:
    with pytest.raises(ValueError, match="0 particles"):
        ParticleSkin(torch.empty(0, 2), 0.1)
    assert len(posed(ParticleSkin(torch.rand(3, 2), 0.1), torch.empty(0, 2), torch.rand(3, 2), eyes(3)).positions) == 0


def test_grains_that_flew_apart_do_not_stretch() -> None:
    """Where an engine tells no gradients, those of a lost grain are at most a rotation."""
    rest, spacing = particles()
    positions = torch.rand(rest.shape, generator=torch.Generator().manual_seed(1)) * 1000
    gradients = ParticleSkin(rest, spacing, breaking=True).estimated_gradients(positions)
    torch.testing.assert_close(gradients @ gradients.mT, eyes(len(rest)), rtol=0, atol=1e-2)
    assert bool((torch.linalg.det(gradients) > 0).all())


def test_what_holds_is_not_stretched_by_grains_that_left_it() -> None:
    rest, spacing = particles()
    is_loose = rest[:, 0] > 0.5
    gone = rest + is_loose[:, None] * torch.tensor([10.0, 0.0])
    gradients = ParticleSkin(rest, spacing, breaking=True).estimated_gradients(gone)
    torch.testing.assert_close(gradients, eyes(len(rest)), rtol=0, atol=1e-3)


def made_of(values: Callable[[int], Tensor], dimensions: int) -> Tensor:
    """Matrices [200, d, d] of given singular values, rotated at random."""
    left, right = (torch.linalg.qr(torch.randn(200, dimensions, dimensions)).Q for _ in range(2))
    left = left.clone()
    left[:, :, 0] *= (torch.linalg.det(left) * torch.linalg.det(right)).sign()[:, None]
    return left @ torch.diag_embed(values(dimensions)) @ right


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("largest", [1.0, 1.5, 4.0])
def test_gradients_are_limited(dimensions: int, largest: float) -> None:
    some = made_of(lambda d: torch.exp(2 * torch.randn(200, d)), dimensions)
    left, values, right = torch.linalg.svd(some)
    expected = left @ torch.diag_embed(values.clamp(1 / largest, largest)) @ right
    found = limited_gradients(some, largest)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    within = made_of(lambda d: (0.99 * math.log(largest) * (2 * torch.rand(200, d) - 1)).exp(), dimensions)
    if largest > 1:
        assert torch.equal(limited_gradients(within, largest), within)
    for odd in (torch.zeros(1, dimensions, dimensions), eyes(2, dimensions), -some[:50], some.flip(1)):
        found = limited_gradients(odd, largest)
        lowest, highest = torch.linalg.svdvals(found)[:, -1].min(), torch.linalg.svdvals(found)[:, 0].max()
        assert float(lowest) > 0.999 / largest and float(highest) < 1.001 * largest
        assert bool((torch.linalg.det(found) > 0).all()), "nothing is turned inside out"


def test_limiting_is_continuous() -> None:
    """Where a gradient turns inside out, it is at its limit on either side."""
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    sides = [limited_gradients((turn @ torch.diag(torch.tensor([1.0, low])))[None], 2.0) for low in (1e-4, -1e-4)]
    torch.testing.assert_close(sides[0], sides[1], rtol=0, atol=1e-3)
