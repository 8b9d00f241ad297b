"""What of a picture goes along with which particles."""

from collections.abc import Callable

import pytest
import torch

from gainer_ns.physics.body_skins import MAX_GRAIN_STRETCH, MAX_STRETCH, adjacent_bodies, body_skins
from gainer_ns.physics.engine import Frame, Particles, centre_of_mass, resting
from gainer_ns.physics.materials import PRESETS

WIDTH = 100


@pytest.fixture
def columns() -> Callable[..., Particles]:
    """``columns(x...)``: bodies of 3 x 20 particles, 0.02 apart, each beginning at an x."""

    def make(*starts: float) -> Particles:
        axes = torch.arange(3) * 0.02, torch.arange(20) * 0.02
        block = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 2)
        places = torch.cat([block + torch.tensor([start, 0.1]) for start in starts])
        bodies = torch.arange(len(starts)).repeat_interleave(len(block))
        count = len(places)
        return Particles(
            places, torch.full((count,), 4e-4), torch.zeros(count, 2), bodies, torch.arange(count), spacing=0.02
        )

    return make


def materials(*names: str) -> list:
    return [PRESETS[name] for name in names]


def test_bodies_side_by_side_hang_together(columns: Callable[..., Particles]) -> None:
    particles = columns(0.1, 0.16, 0.4)
    assert adjacent_bodies(particles, materials("soft", "stiff", "soft")) == [[0, 1], [2]]
    assert adjacent_bodies(particles, materials("soft", "sand", "sand")) == [[0], [1], [2]], (
        "what breaks hangs on nothing"
    )
    assert adjacent_bodies(columns(0.16, 0.4, 0.1, 0.22), materials("soft", "soft", "pinned", "soft")) == [
        [0, 2, 3],
        [1],
    ]


def test_what_they_take_is_inside_one_of_them(columns: Callable[..., Particles]) -> None:
    one, other = body_skins(columns(0.1, 0.16, 0.4), materials("soft", "stiff", "soft"), WIDTH)
    fields = torch.tensor([[0.9, 0.1, 0.0, 0.0], [0.1, 0.6, 0.0, 0.2], [0.0, 0.0, 1.0, 0.1]])
    assert one.owns(fields).tolist() == [True, True, False, False]
    assert other.owns(fields).tolist() == [False, False, True, False]


def test_points_go_along_with_their_own_particles(columns: Callable[..., Particles]) -> None:
    particles = columns(0.1, 0.4)
    one, other = body_skins(particles, materials("soft", "soft"), WIDTH)
    away = torch.where(particles.bodies[:, None] == 0, torch.tensor([0.3, 0.1]), torch.tensor([0.0, 0.0]))
    frame = Frame(1.0, particles.positions + away, resting(particles).gradients)
    point = torch.tensor([[12.0, 25.0]])
    for skin, expected in ((one, [[0.42, 0.35]]), (other, [[0.12, 0.25]])):
        skin.show(frame)
        pose = skin.pose(point)
        assert torch.allclose(pose.positions, torch.tensor(expected), atol=1e-5)
        assert torch.allclose(pose.jacobians, torch.eye(2)[None], atol=1e-4)


@pytest.mark.parametrize(("material", "most"), [("soft", MAX_STRETCH), ("sand", MAX_GRAIN_STRETCH)])
def test_no_point_is_stretched_without_bounds(columns: Callable[..., Particles], material: str, most: float) -> None:
    particles = columns(0.1)
    (skin,) = body_skins(particles, materials(material), WIDTH)
    lower = particles.positions[:, 1:] > 0.3
    torn = particles.positions + torch.where(lower, torch.tensor([0.0, 0.5]), torch.tensor([0.0, 0.0]))
    stretched = 8.0 * torch.eye(2).expand(len(torn), 2, 2)
    skin.show(Frame(1.0, torn, stretched))
    points = torch.stack([torch.full((50,), 12.0), torch.linspace(10, 50, 50)], dim=1)
    sizes = torch.linalg.svdvals(skin.pose(points).jacobians)
    assert float(sizes.max()) <= most * 1.001
    assert float(sizes.max()) > 1.2


def test_engines_that_tell_no_gradients_are_understood(columns: Callable[..., Particles]) -> None:
    particles = columns(0.1)
    (skin,) = body_skins(particles, materials("soft"), WIDTH)
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    skin.show(Frame(1.0, particles.positions @ turn.T, None))
    pose = skin.pose(torch.tensor([[12.0, 25.0]]))
    assert torch.allclose(pose.jacobians[0], turn, atol=1e-3)
    assert torch.allclose(pose.positions, torch.tensor([[-0.25, 0.12]]), atol=1e-4)


def test_the_centre_of_mass_is_that_of_what_may_move(columns: Callable[..., Particles]) -> None:
    particles = columns(0.1, 0.4, 0.7)
    frame = resting(particles)
    assert centre_of_mass(frame, particles, materials("pinned", "soft", "soft")).tolist() == pytest.approx([0.57, 0.29])
    heavier = PRESETS["soft"].model_copy(update={"density": 3.0})
    centre = centre_of_mass(frame, particles, [PRESETS["soft"], heavier, PRESETS["pinned"]])
    assert centre.tolist() == pytest.approx([0.345, 0.29])
