"""Viscosity and surface tension against what physics says, and their kernels against plain torch."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gainer_ns.physics.colliders import HalfSpace, border_colliders
from gainer_ns.physics.engine import Frame, Particles, SimulationConfig
from gainer_ns.physics.forces import Gravity
from gainer_ns.physics.materials import PRESETS, Material
from gainer_ns.physics.mpm.engine import MpmEngine
from gainer_ns.physics.mpm.grid import Grid
from gainer_ns.physics.mpm.liquids import LiquidSteps, stage_factors, surface_energy

NO_GRAVITY = Gravity(keyframes={0.0: (0.0, 0.0)})


def block(left: float, top: float, right: float, bottom: float, spacing: float) -> Particles:
    axes = [torch.arange(low + spacing / 2, high, spacing) for low, high in ((left, right), (top, bottom))]
    points = torch.stack([each.flatten() for each in torch.meshgrid(*axes, indexing="ij")], dim=1)
    zeros = torch.zeros(len(points), dtype=torch.int64)
    volumes = torch.full((len(points),), spacing**2)
    return Particles(points, volumes, torch.zeros_like(points), zeros, torch.arange(len(points)), spacing)


def simulate(config: SimulationConfig, particles: Particles, material: Material) -> list[Frame]:
    return list(MpmEngine().run(config, particles, (material,)))


def test_between_walls_it_flows_as_a_parabola() -> None:
    """Poiseuille: ``u = g / (2 nu) (y - a) (b - y)``, in the middle of a long slab, once it has settled."""
    viscosity, push, cell = 0.5, 1.0, 1 / 40
    liquid = Material(behaviour="liquid", E=100.0, viscosity=viscosity, cohesion=5.0)
    walls = [HalfSpace("sticky", 0.0, (0.5, y), (0.0, up)) for y, up in ((0.7, -1.0), (0.3, 1.0))]
    gravity = Gravity(keyframes={0.0: (push, 0.0)})
    config = SimulationConfig((-1.0, 0.0), (3.0, 1.0), gravity, (), tuple(walls), 2, 5.0, round(4 / cell))
    frame = simulate(config, block(0.0, 0.3, 1.0, 0.7, cell / 2), liquid)[-1]
    x, y = frame.positions.T
    middle = (x > 0.35) & (x < 0.75)
    expected = push / (2 * viscosity) * (y - 0.3) * (0.7 - y)
    most = push / (2 * viscosity) * 0.2**2
    assert float((frame.state["velocities"][:, 0] - expected)[middle].abs().max()) < 0.05 * most
    assert float(frame.state["velocities"][middle, 1].abs().max()) < 0.01 * most


def test_a_square_drop_becomes_round_and_keeps_its_area() -> None:
    particles = block(0.4, 0.4, 0.6, 0.6, 1 / 100)
    config = SimulationConfig((0.0, 0.0), (1.0, 1.0), NO_GRAVITY, (), border_colliders((0, 0, 1, 1)), 4, 5.0)
    liquid = Material(behaviour="liquid", E=150.0, viscosity=0.01, surface_tension=0.05, cohesion=0.5)
    frames = simulate(config, particles, liquid)

    def reaches(frame: Frame) -> Tensor:
        away = frame.positions - frame.positions.mean(dim=0)
        sector = ((torch.atan2(away[:, 1], away[:, 0]) / (2 * math.pi) + 0.5) * 16).long().clamp(max=15)
        return torch.stack([away.norm(dim=1)[sector == number].max() for number in range(16)])

    first, last = reaches(frames[0]), reaches(frames[-1])
    assert float(first.max() / first.min()) > 1.3, "a square"
    assert float(last.max() / last.min()) < 1.05, "a disc"
    assert math.pi * float(last.mean() + 0.5 * particles.spacing) ** 2 == pytest.approx(0.04, rel=0.05)


@pytest.mark.parametrize("name", ["water", "paint", "honey"])
def test_what_has_fallen_lies_on_the_floor(name: str) -> None:
    """No air is left below it, though the floor's nodes slow it down one and a half cells ahead."""
    particles = block(0.3, 0.5, 0.7, 0.9, 1 / 60)
    config = SimulationConfig((0.0, 0.0), (1.0, 1.0), Gravity(), (), border_colliders((0, 0, 1, 1)), 4, 4.0)
    x, y = simulate(config, particles, PRESETS[name])[-1].positions.T
    column = ((x - 0.35) / (2 * particles.spacing)).floor().long()
    lowest = [float(1 - y[column == number].max()) for number in range(9)]
    assert sum(lowest) / 9 < 0.75 * particles.spacing, "half a spacing where it was laid there"


def test_a_layer_in_a_basin_is_not_drawn_off_its_walls() -> None:
    """A surface that meets walls at a right angle is at rest; as a drop of mercury it would gather in the middle."""
    particles = block(0.0, 0.7, 0.6, 1.0, 1 / 50)
    config = SimulationConfig((0.0, 0.0), (0.6, 1.0), NO_GRAVITY, (), border_colliders((0, 0, 0.6, 1)), 2, 1.0)
    liquid = Material(behaviour="liquid", E=150.0, viscosity=0.01, surface_tension=0.05, cohesion=0.5)
    moved = simulate(config, particles, liquid)[-1].positions - particles.positions
    assert float(moved.norm(dim=1).max()) < particles.spacing


def test_honey_slumps_later_than_paint_and_paint_later_than_water() -> None:
    def height(name: str) -> float:
        config = SimulationConfig((0.0, 0.0), (1.0, 1.0), Gravity(), (), border_colliders((0, 0, 1, 1)), 2, 1 / 0.7)
        particles = block(0.0, 0.5, 0.2, 1.0, 1 / 40)
        return 1 - float(simulate(config, particles, PRESETS[name])[-1].positions[:, 1].min())

    assert height("honey") > 1.3 * height("paint") > 0.95 * 1.3 * height("water")


def test_what_viscosity_leaves_is_between_nothing_and_all() -> None:
    """Whatever the step, no mode of a velocity grows, or turns into its opposite: pressure would amplify that."""
    for viscosity in (1e-3, 0.1, 1.0, 30.0):
        liquid = Material(behaviour="liquid", viscosity=viscosity)
        factors = stage_factors((liquid,), dt := 1e-3, cell := 0.02).double()
        rates = torch.linspace(0, 8 * viscosity * dt / cell**2, 500).double() / dt
        now, before = torch.ones(500).double(), torch.zeros(500).double()
        for one, other, time in factors:
            now, before = one * now + other * before - time * rates * now, now
        assert float(now.min()) >= -1e-6 and float(now.max()) <= 1 + 1e-6
        assert len(factors) <= 1 + 2 * math.sqrt(8 * viscosity * dt / cell**2)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_step_is_the_gradient_of_the_energies(dimensions: int) -> None:
    """One explicit stage is ``- dt / m`` times the derivative of half the power of viscosity, and of the tension."""
    random = torch.Generator().manual_seed(dimensions)
    bounds = (0.0,) * dimensions, (1.0,) * dimensions
    grid = Grid.over(SimulationConfig(*bounds, NO_GRAVITY), 0.2, torch.device("cpu"))
    velocities = torch.randn(grid.nodes, dimensions, generator=random)
    masses = torch.full((grid.nodes,), 0.3)
    liquid, dt = Material(behaviour="liquid", viscosity=1e-4, surface_tension=0.02), 1e-3
    steps = LiquidSteps(grid, (liquid,), dt, velocities.clone(), masses, torch.zeros(dimensions))
    assert steps._stages == 1
    steps.flows[:, 0], steps.flows[:, 1] = 0.05, torch.rand(grid.nodes, generator=random)
    steps.step(0, grid.nodes)
    shape = tuple(reversed(grid.shape[:dimensions]))
    moving = velocities.double().requires_grad_()

    def slopes(values: Tensor) -> Tensor:
        """Derivatives at the middles of the cells, along x, y and z, of values [..., k] at their corners."""
        parts = []
        for along in range(dimensions):
            part = values
            for axis in range(dimensions):
                low, high = part.narrow(axis, 0, shape[axis] - 1), part.narrow(axis, 1, shape[axis] - 1)
                part = (high - low) / grid.cell if axis == dimensions - 1 - along else 0.5 * (high + low)
            parts.append(part)
        return torch.stack(parts, dim=-1)

    gradient = slopes(moving.view(*shape, dimensions))
    strain = 0.5 * (gradient + gradient.mT)
    slope = slopes(steps.flows[:, 1].double().view(*shape, 1))[..., 0, :]
    steep = slope.norm(dim=-1)[..., None, None]
    eye = torch.eye(dimensions).double()
    tension = steep * eye - slope[..., None] * slope[..., None, :] / steep.clamp(min=1e-30)
    power = 0.05 * strain.square().sum() + grid.cell**dimensions * (tension * strain).sum()
    (force,) = torch.autograd.grad(power, moving)
    expected = velocities.double() - dt / 0.3 * force
    torch.testing.assert_close(steps.velocities.double(), expected, rtol=0, atol=1e-5)
    assert float((expected - velocities).abs().max()) > 1e-3


def test_the_energy_of_a_surface_is_its_length() -> None:
    particles = block(0.3, 0.3, 0.7, 0.7, 1 / 100)
    config = SimulationConfig((0.0, 0.0), (1.0, 1.0), NO_GRAVITY)
    grid = Grid.over(replace(config), 0.02, torch.device("cpu"))
    energy = surface_energy(grid, particles.positions, 0.5 * particles.volumes)
    assert energy == pytest.approx(0.5 * 1.6, rel=0.06)


def test_nothing_hangs_from_a_ceiling() -> None:
    particles = block(0.4, 0.0, 0.44, 0.02, 1 / 50)
    config = SimulationConfig((0.0, 0.0), (1.0, 1.0), Gravity(), (), border_colliders((0, 0, 1, 1)), 2, 3.0)
    moved = simulate(config, particles, PRESETS["water"])[-1].positions - particles.positions
    assert float(moved[:, 1].min()) == pytest.approx(0.5 * 5 / 9, rel=0.1)
