"""Elastic bodies that tear: where, and what does not."""

from dataclasses import replace

import pytest
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from gainer_ns.physics.colliders import border_colliders
from gainer_ns.physics.engine import Frame, Particles, SimulationConfig
from gainer_ns.physics.forces import Gravity
from gainer_ns.physics.materials import PRESETS
from gainer_ns.physics.mpm.engine import MpmEngine, MpmSimulation
from gainer_ns.physics.mpm.solids.tearing import Tearing

SPACING = 0.015
WORLD = SimulationConfig(
    (0.0, 0.0), (1.0, 1.0), Gravity(keyframes={0.0: (0.0, 0.0)}), (), border_colliders((0, 0, 1, 1)), 9, 30.0
)


def strip() -> Particles:
    """A strip whose halves fly apart."""
    axes = torch.arange(0.3 + SPACING / 2, 0.7, SPACING), torch.arange(0.45 + SPACING / 2, 0.55, SPACING)
    points = torch.stack([each.flatten() for each in torch.meshgrid(*axes, indexing="ij")], dim=1)
    count = len(points)
    velocities = torch.stack([8.0 * (points[:, 0] - 0.5), torch.zeros(count)], dim=1)
    zeros = torch.zeros(count, dtype=torch.int64)
    return Particles(points, torch.full((count,), SPACING**2), velocities, zeros, torch.arange(count), SPACING)


def frames_of(tear: float | None, start: Frame | None = None) -> list[Frame]:
    material = PRESETS["soft"].model_copy(update={"tear": tear})
    return list(MpmEngine().run(WORLD, strip(), (material,), start))


def parts(links: Tensor, held: Tensor, count: int) -> list[int]:
    pairs = links[held].T.numpy()
    labels = connected_components(coo_array((torch.ones(pairs.shape[1]).numpy(), pairs), shape=(count, count)))[1]
    return sorted(torch.from_numpy(labels).bincount().tolist())


def test_what_is_stretched_by_more_than_it_bears_parts_and_all_else_holds() -> None:
    assert "solid_held" not in frames_of(None)[-1].state, "what has no strength never tears"
    assert bool(frames_of(5.0)[-1].state["solid_held"].all())
    last = frames_of(0.1)[-1]
    material = PRESETS["soft"].model_copy(update={"tear": 0.1})
    solids = MpmSimulation(WORLD, strip(), (material,)).solids
    assert solids is not None and solids._tearing is not None
    sizes = parts(solids._tearing._links, last.state["solid_held"], len(strip()))
    assert 2 <= len(sizes) <= 5 and sizes[0] >= 12, "in a few parts, without crumbs"
    x = last.positions[:, 0].sort().values
    assert float(x.diff().max()) > 2 * SPACING, "a gap has opened across all of it"
    momentum = last.state["velocities"].mean(dim=0)
    assert momentum.tolist() == pytest.approx([0.0, 0.0], abs=0.02)
    assert all(bool(each.isfinite().all()) for each in last.state.values())


def test_cracks_go_on_from_a_frame_as_they_would_have() -> None:
    frames = frames_of(0.1)
    torn = next(number for number, frame in enumerate(frames) if number and not frame.state["solid_held"].all())
    assert torn < len(frames) - 2
    for one, other in zip(frames[torn + 1 :], frames_of(0.1, frames[torn]), strict=True):
        assert torch.equal(one.positions, other.positions)


def test_a_crack_parts_what_it_crosses_and_nothing_else() -> None:
    axis = torch.arange(0.0, 0.5, 0.02)
    points = torch.stack([each.flatten() for each in torch.meshgrid(axis, axis, indexing="ij")], dim=1)
    links = (torch.cdist(points, points) < 0.03).triu(1).nonzero()
    tearing = Tearing(points, links, torch.full((len(points),), 0.2), 0.04)
    gradients = torch.eye(2).repeat(len(points), 1, 1)
    assert not tearing.look(gradients)
    middle = points[:, 0].sub(0.25).abs() < 0.05
    gradients[middle] = torch.diag(torch.tensor([1.5, 1.0]))
    for _ in range(20):
        tearing.look(gradients)
    x = points[links][..., 0]
    cut = ~tearing.held
    assert float((x[cut].mean(dim=1) - 0.25).abs().max()) < 0.06, "where it is stretched"
    assert not bool((cut & (x[:, 0] == x[:, 1])).any()), "and across"
    assert len(parts(links, tearing.held, len(points))) >= 2, "from border to border"


def test_what_does_not_tear_holds_beside_what_does() -> None:
    particles = replace(strip(), bodies=(strip().positions[:, 0] < 0.6).long())
    weak = PRESETS["soft"].model_copy(update={"tear": 0.02})
    simulation = MpmSimulation(WORLD, particles, (weak, PRESETS["soft"]))
    for frame in range(6):
        simulation.advance(frame / 30, 1 / 30)
    assert simulation.solids is not None and simulation.solids._tearing is not None
    tearing = simulation.solids._tearing
    assert not bool(tearing.held.all())
    assert bool((particles.bodies[tearing._links[~tearing.held]] == 0).any(dim=1).all())
