"""Elastic bodies on grids of their own: one step against plain torch, and what must not happen to them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from gainer_ns.physics.colliders import HalfSpace, border_colliders
from gainer_ns.physics.engine import Frame, Particles, SimulationConfig
from gainer_ns.physics.forces import Force, Gravity
from gainer_ns.physics.materials import PRESETS, Material
from gainer_ns.physics.mpm.engine import MpmEngine, MpmSimulation
from gainer_ns.physics.mpm.solids.rest_grid import RestGrid

NO_GRAVITY = Gravity(keyframes={0.0: (0.0, 0.0)})
MEDIUM = PRESETS["medium"]


def particles_at(points: Tensor, spacing: float) -> Particles:
    """One body of so many particles."""
    count = len(points)
    volumes = torch.full((count,), spacing ** points.shape[1])
    zeros = torch.zeros(count, dtype=torch.int64)
    return Particles(points, volumes, torch.zeros_like(points), zeros, torch.arange(count), spacing)


def block(*bounds: tuple[float, float], spacing: float) -> Particles:
    """A lattice between bounds along each axis."""
    axes = [torch.arange(low + spacing / 2, high, spacing) for low, high in bounds]
    return particles_at(torch.stack([each.flatten() for each in torch.meshgrid(*axes, indexing="ij")], 1), spacing)


def world(dimensions: int = 2, gravity: Gravity = NO_GRAVITY, frames: int = 31, **words: object) -> SimulationConfig:
    """A unit square or cube."""
    box = (0.0,) * dimensions, (1.0,) * dimensions
    config = SimulationConfig(*box, gravity, (), border_colliders((0, 0, 1, 1)), frames, 30.0)
    return replace(config, **words)  # type: ignore[arg-type]


def simulate(config: SimulationConfig, particles: Particles, *materials: Material) -> list[Frame]:
    return list(MpmEngine().run(config, particles, materials))


def dense(simulation: MpmSimulation) -> tuple[Tensor, Tensor]:
    """Weights [q, m] and their gradients [q, m, d], by the spline's formula at all nodes that carry a point."""
    assert simulation.solids is not None
    rest = simulation.solids.rest
    away = (rest.nodes[None].double() - rest.points[:, None].double()) / rest.cell
    carried = torch.zeros(away.shape[:2], dtype=torch.bool).scatter(1, rest.carriers.long(), True)
    d = away.abs()
    ones = torch.where(d < 0.5, 0.75 - d**2, torch.where(d < 1.5, 0.5 * (1.5 - d) ** 2, 0))
    slopes = torch.where(d < 0.5, 2 * away, torch.where(d < 1.5, (1.5 - d) * away.sign(), 0)) / rest.cell
    weights = ones.prod(dim=2) * carried
    columns = []
    for axis in range(away.shape[2]):
        factors = [slopes if each == axis else ones for each in range(away.shape[2])]
        columns.append(torch.stack([factor[..., each] for each, factor in enumerate(factors)]).prod(dim=0) * carried)
    return weights, torch.stack(columns, dim=2)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_step_is_that_of_plain_torch(dimensions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = torch.Generator().manual_seed(2)
    particles = block(*((0.3, 0.6),) * dimensions, spacing=0.06)
    particles = replace(particles, velocities=0.3 * torch.randn(particles.positions.shape, generator=random))
    wind = Force.model_validate({"attractor": {"center": [0.8, 0.2], "strength": 3.0, "radius": 5.0}})
    config = world(dimensions, Gravity.model_validate([0.7, 5.0]), forces=(wind,), colliders=())
    simulation = MpmSimulation(config, particles, (MEDIUM,))
    solids = simulation.solids
    assert solids is not None
    solids.state.displacements.add_(0.004 * torch.randn(solids.state.displacements.shape, generator=random))
    weights, slopes = dense(simulation)
    eye = torch.eye(dimensions).double()
    u, v = solids.state.displacements.double(), solids.state.velocities.double()
    F = eye + torch.einsum("md,qme->qde", u, slopes)
    solids.state.gradients.copy_(F)  # nothing is damped then
    left, _, right = torch.linalg.svd(F)
    J = torch.linalg.det(F)[:, None, None]
    first, second = MEDIUM.lame
    stress = 2 * second * (F - left @ right) + first * (J - 1) * J * torch.linalg.inv(F).mT
    volumes = solids.volumes.double()
    masses = weights.T @ (volumes * MEDIUM.density)
    assert torch.allclose(masses, solids.node_masses.double(), rtol=1e-4, atol=0.006 * float(masses.median()))
    pull = -torch.einsum("q,qde,qme->md", volumes, stress, slopes) / solids.node_masses.double()[:, None]
    dt = 1e-4
    gravity = torch.tensor([0.7, 5.0, 0.0])[:dimensions].double()
    after = v + dt * (pull + gravity + wind.field(solids.rest.nodes.double() + u))
    monkeypatch.setattr(simulation, "steps_for", lambda *_: 1)
    monkeypatch.setattr(simulation, "_look", lambda *_: None)
    simulation.advance(0.0, dt)
    found = solids.state.velocities.double()
    assert float((after - v).norm(dim=1).median()) > 1e-3
    assert float((found - after).abs().max()) < 2e-3 * float((after - v).abs().max())
    assert torch.allclose(solids.state.displacements.double(), u + dt * after, atol=1e-6)
    count = len(particles)
    assert torch.allclose(simulation.state.velocities.double(), (weights @ after)[:count], atol=1e-4)


def test_bodies_move_alike_by_any_number_of_threads() -> None:
    particles = block((0.3, 0.7), (0.55, 0.95), spacing=0.008)  # 2,500: several blocks of points
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(simulate(world(gravity=Gravity(), frames=4), particles, MEDIUM)[-1].positions)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)
    assert float((found[0] - particles.positions).norm(dim=1).max()) > 0.01


def test_points_are_carried_as_a_linear_map_moves_them() -> None:
    random = np.random.default_rng(0)
    points = torch.from_numpy(random.random((60, 2))).float()
    links = np.array([(i, j) for i in range(60) for j in range(i) if (points[i] - points[j]).norm() < 0.3])
    grid = RestGrid.over(points, links, 0.1, 0.2)
    matrix = torch.tensor([[0.3, -0.7], [0.2, 1.1]])
    moved = grid.nodes @ matrix.T + 0.4
    assert torch.allclose(grid.spread(moved), grid.points @ matrix.T + 0.4, atol=1e-5)
    assert torch.allclose(grid.gradients(moved), matrix.expand(len(grid.points), 2, 2), atol=1e-4)
    whole = grid.gathered(torch.ones(len(grid.points), 1))
    assert float(whole.sum()) == pytest.approx(len(grid.points), rel=1e-6)


def test_what_is_apart_at_rest_shares_no_nodes() -> None:
    legs = [block((0.3, 0.34), (0.3, 0.7), spacing=0.02), block((0.36, 0.4), (0.3, 0.7), spacing=0.02)]
    places = torch.cat([each.positions for each in legs])
    half = len(legs[0])
    near = torch.cdist(places, places) < 0.03
    near[:half, half:] = near[half:, :half] = False
    links = near.triu(1).nonzero()
    particles = replace(particles_at(places, 0.02), links=links)
    rest = MpmSimulation(world(), particles, (MEDIUM,)).solids.rest  # type: ignore[union-attr]
    one, other = (set(rest.carriers[rest.parents < half].flatten().tolist()), set())
    other = set(rest.carriers[rest.parents >= half].flatten().tolist())
    assert not one & other
    velocities = torch.zeros_like(places)
    velocities[:half, 0] = -0.3
    frames = simulate(world(frames=11), replace(particles, velocities=velocities), MEDIUM)
    assert float((frames[-1].positions - places)[:half, 0].mean()) == pytest.approx(-0.1, abs=5e-3)
    assert float((frames[-1].positions - places)[half:].abs().max()) < 1e-3


def test_energy_of_what_is_free_does_not_grow() -> None:
    bar = block((0.3, 0.7), (0.45, 0.55), spacing=0.0125)
    x, y = bar.positions.T
    velocities = torch.stack([0.8 * torch.sin(20 * (y - 0.5)) + 0.5 * (x - 0.5), 3 * (x - 0.5)], dim=1)
    simulation = MpmSimulation(world(frames=2), replace(bar, velocities=velocities), (PRESETS["soft"],))
    solids = simulation.solids
    assert solids is not None
    start = least = solids.kinetic + solids.stored
    for frame in range(45):
        simulation.advance(frame / 30, 1 / 30)
        energy = solids.kinetic + solids.stored
        assert energy < 1.01 * start and energy < least + 0.01 * start, frame
        least = min(least, energy)
    assert least > 0.3 * start, "it is damped little"


def test_a_long_thin_bar_held_at_an_end_swings_in_one_piece() -> None:
    bar = block((0.2, 0.7), (0.2, 0.21), spacing=0.01)  # a single row
    held = (bar.positions[:, 0] > 0.24).long()
    stiff = Material(behaviour="elastic", E=4000.0, nu=0.3)
    frames = simulate(world(gravity=Gravity(), frames=61), replace(bar, bodies=held), PRESETS["pinned"], stiff)
    order = bar.positions[:, 0].argsort()
    lowest = 0.0
    for frame in frames:
        apart = (frame.positions[order][1:] - frame.positions[order][:-1]).norm(dim=1)
        assert float(apart.max()) < 1.6 * 0.01, frame.time
        lowest = max(lowest, float(frame.positions[:, 1].max()))
    assert lowest > 0.5, "it swings"


def test_bodies_that_meet_push_each_other_away() -> None:
    both = [block((0.3, 0.4), (0.4, 0.5), spacing=0.0125), block((0.5, 0.6), (0.4, 0.5), spacing=0.0125)]
    places = torch.cat([each.positions for each in both])
    half = len(both[0])
    velocities = torch.zeros_like(places)
    velocities[:half, 0] = 1.0
    particles = replace(particles_at(places, 0.0125), velocities=velocities)
    frames = simulate(world(frames=16), particles, MEDIUM)
    for frame in frames:
        gap = float(frame.positions[half:, 0].min() - frame.positions[:half, 0].max())
        assert gap > 0.3 * 0.0125, "nothing passes through"
    momentum = frames[-1].state["velocities"].mean(dim=0)
    assert momentum.tolist() == pytest.approx([0.5, 0.0], abs=0.01)
    assert float(frames[-1].state["velocities"][half:, 0].mean()) > 0.4


def test_a_body_that_is_folded_does_not_pass_through_itself() -> None:
    arms = [block((0.3, 0.7), (0.4, 0.46), spacing=0.015), block((0.3, 0.7), (0.58, 0.64), spacing=0.015)]
    back = block((0.3, 0.36), (0.46, 0.58), spacing=0.015)
    places = torch.cat([each.positions for each in (*arms, back)])
    half = len(arms[0])
    velocities = torch.zeros_like(places)
    velocities[:half, 1] = 2.5 * (places[:half, 0] - 0.3) / 0.4
    particles = replace(particles_at(places, 0.015), velocities=velocities)
    for frame in simulate(world(frames=16), particles, PRESETS["soft"]):
        x, y = frame.positions.T
        for column in torch.arange(0.45, 0.7, 0.05).tolist():
            upper, lower = ((x[some] - column).abs() < 0.01 for some in (slice(0, half), slice(half, 2 * half)))
            if bool(upper.any()) and bool(lower.any()):
                assert float(y[:half][upper].max()) < float(y[half : 2 * half][lower].min()) + 0.01, frame.time


def test_water_rests_on_an_elastic_shelf() -> None:
    shelf, water = block((0.3, 0.7), (0.6, 0.7), spacing=0.02), block((0.4, 0.6), (0.45, 0.6), spacing=0.02)
    places = torch.cat([shelf.positions, water.positions])
    bodies = torch.cat([torch.zeros(len(shelf)), torch.ones(len(water))]).long()
    particles = replace(particles_at(places, 0.02), bodies=bodies)
    ground = HalfSpace("sticky", 0.0, (0.0, 0.7), (0.0, -1.0))
    config = world(gravity=Gravity(), colliders=(ground, *border_colliders((0, 0, 1, 1))), frames=31)
    last = simulate(config, particles, PRESETS["stiff"], PRESETS["liquid"])[-1]
    x, y = last.positions[bodies == 1].T
    above = (x > 0.3) & (x < 0.7)
    assert float((y[above] < 0.615).float().mean()) > 0.95, "it does not soak in"
    assert math.isfinite(float(last.positions.sum()))
