"""The default engine against what physics says."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gainer_ns.errors import GainerError
from gainer_ns.physics.colliders import Collider, HalfSpace, SolidBox, SolidDisc, SurfaceKind, border_colliders
from gainer_ns.physics.engine import Frame, Particles, SimulationConfig
from gainer_ns.physics.forces import Gravity
from gainer_ns.physics.materials import PRESETS, Material
from gainer_ns.physics.mpm import engine as mpm
from gainer_ns.physics.mpm.engine import MpmEngine, MpmSimulation
from gainer_ns.physics.scene import Scene, read_scene

NO_GRAVITY = Gravity(keyframes={0.0: (0.0, 0.0)})
Box = tuple[float, float, float, float]


def block(box: Box, spacing: float, depth: float | None = None) -> Particles:
    """A lattice of one body that fills a box; in space as deep as is said."""
    left, top, right, bottom = box
    axes = [torch.arange(low + spacing / 2, high, spacing) for low, high in ((left, right), (top, bottom))]
    if depth is not None:
        axes.append(torch.arange(-depth / 2 + spacing / 2, depth / 2, spacing))
    points = torch.stack([each.flatten() for each in torch.meshgrid(*axes, indexing="ij")], dim=1)
    count = len(points)
    volumes = torch.full((count,), spacing ** points.shape[1])
    zeros = torch.zeros(count, dtype=torch.int64)
    return Particles(points, volumes, torch.zeros_like(points), zeros, torch.arange(count), spacing)


def world(
    gravity: Gravity = NO_GRAVITY, *more: Collider, fps: float = 30.0, frames: int = 31, **words: object
) -> SimulationConfig:
    """A unit square, with a rough floor."""
    base = SimulationConfig((0.0, 0.0), (1.0, 1.0), gravity, (), (*more, *border_colliders((0, 0, 1, 1))), frames, fps)
    return replace(base, **words)  # type: ignore[arg-type]


def simulate(config: SimulationConfig, particles: Particles, *materials: Material) -> list[Frame]:
    return list(MpmEngine().run(config, particles, materials))


def momentum(frame: Frame, particles: Particles) -> torch.Tensor:
    return (particles.volumes[:, None].double() * frame.state["velocities"].double()).sum(dim=0)


@pytest.mark.parametrize("material", ["soft", "stiff", "liquid", "sand", "snow", "rigid"])
def test_everything_falls_alike(material: str) -> None:
    particles = block((0.4, 0.1, 0.6, 0.3), 0.02)
    frames = simulate(world(Gravity(), fps=40, frames=17), particles, PRESETS[material])
    fallen = float((frames[-1].positions - particles.positions)[:, 1].mean())
    assert fallen == pytest.approx(0.5 * 5 * 0.4**2, rel=5e-3)
    assert frames[-1].gradients is not None
    assert torch.allclose(frames[-1].gradients, torch.eye(2).expand(len(particles), 2, 2), atol=1e-3)


def test_in_space_it_falls_too() -> None:
    particles = block((0.4, 0.1, 0.6, 0.3), 0.05, depth=0.2)
    sides = tuple(HalfSpace("separate", 0.0, (0, 0, z), (0, 0, way)) for z, way in ((-0.5, 1), (0.5, -1)))
    config = world(Gravity(), *sides, frames=11, low=(0.0, 0.0, -0.5), high=(1.0, 1.0, 0.5))
    for material in ("medium", "liquid", "sand", "snow", "rigid"):
        frames = simulate(config, particles, PRESETS[material])
        shift = (frames[-1].positions - particles.positions).mean(dim=0)
        assert shift.tolist() == pytest.approx([0, 0.5 * 5 / 9, 0], abs=2e-3)


@pytest.mark.parametrize("material", ["medium", "liquid", "snow"])
def test_momentum_and_mass_stay(material: str) -> None:
    particles = block((0.3, 0.3, 0.5, 0.5), 0.02)
    x, y = particles.positions.T
    start = torch.stack([0.3 + 2 * (y - 0.4), 0.2 - 1.5 * (x - 0.4)], dim=1)
    particles = replace(particles, velocities=start)
    frames = simulate(world(frames=11), particles, PRESETS[material])
    before, after = momentum(frames[0], particles), momentum(frames[-1], particles)
    moving = float((particles.volumes * start.norm(dim=1)).sum())
    assert float((after - before).abs().max()) < 1e-4 * moving
    simulation = MpmSimulation(world(), particles, (PRESETS[material],))
    assert float(simulation._masses.sum()) == pytest.approx(0.04 * PRESETS[material].density, rel=1e-4)


def test_what_turns_is_not_strained() -> None:
    particles = block((0.35, 0.35, 0.65, 0.65), 0.015)
    away = particles.positions - 0.5
    turning = 2.0 * torch.stack([away[:, 1], -away[:, 0]], dim=1)
    frames = simulate(world(), replace(particles, velocities=turning), PRESETS["stiff"])
    assert frames[-1].gradients is not None
    sizes = torch.linalg.svdvals(frames[-1].gradients)
    assert float((sizes.mean(dim=0) - 1).abs().max()) < 5e-3
    assert float((sizes - 1).abs().max()) < 0.02
    f = frames[-1].gradients.mean(dim=0)
    assert float(torch.atan2(f[0, 1] - f[1, 0], f.trace())) == pytest.approx(2.0, rel=0.03), "two radians in a second"


def frequency(length: float, spacing: float) -> float:
    """Of the longest wave in a free bar that was let go stretched, in hertz."""
    bar = block((0.5 - length / 2, 0.45, 0.5 + length / 2, 0.55), spacing)
    wave = 0.05 * torch.sin(math.pi * (bar.positions[:, 0] - 0.5) / length)
    bar = replace(bar, velocities=torch.stack([wave, torch.zeros_like(wave)], dim=1))
    material = Material(behaviour="elastic", E=100.0, nu=0.0)
    frames = simulate(world(fps=400, frames=121), bar, material)
    shape = torch.sin(math.pi * (bar.positions[:, 0] - 0.5) / length)
    extent = np.array([float(((frame.positions - bar.positions)[:, 0] * shape).mean()) for frame in frames])
    falling = np.flatnonzero((extent[:-1] > 0) & (extent[1:] <= 0))[0]  # half a period after the start
    crossing = falling + extent[falling] / (extent[falling] - extent[falling + 1])
    return 400 / (2 * crossing)


def test_a_bar_swings_at_its_frequency() -> None:
    length = 0.6
    assert frequency(length, 0.01) == pytest.approx(math.sqrt(100.0) / (2 * length), rel=0.05)


def test_liquid_fills_a_box_to_a_level_surface() -> None:
    particles = block((0.0, 0.5, 0.4, 1.0), 1 / 80)
    config = world(Gravity(), fps=2, frames=21, colliders=border_colliders((0, 0, 1, 1)))
    frames = simulate(config, particles, PRESETS["liquid"])
    heights = []
    for frame in frames[-10:]:  # it goes on swaying, so level is what the mean over some time is
        x, y = frame.positions.T
        # Of what is spread evenly from the floor up, the mean is half of the height.
        heights.append([float(2 * (1 - y[(x >= left / 10) & (x < (left + 1) / 10)]).mean()) for left in range(10)])
    level = np.array(heights)
    assert level.mean() == pytest.approx(0.2, rel=0.03), "volume"
    assert level.mean(axis=0).std() < 0.012, "level"


def drained(angle: float, spacing: float) -> float:
    """The slope, in degrees, of the heap that sand leaves on a table when what finds no hold has run off its edges."""
    width = 0.8
    high = 0.65 * width * math.tan(math.radians(angle))
    table = SolidBox("sticky", 0.0, (1 - width / 2, 0.7, 1 + width / 2, 1.0))
    particles = block((1 - width / 2, 0.7 - high, 1 + width / 2, 0.7), spacing)
    config = SimulationConfig((0.0, 0.0), (2.0, 1.0), Gravity(), (), (table, *border_colliders((0, 0, 2, 1))), 41, 10.0)
    sand = PRESETS["sand"].model_copy(update={"friction_angle": angle})
    away, height = (simulate(config, particles, sand)[-1].positions - torch.tensor([1.0, 0.7])).abs().T
    lies = (away < width / 2) & (height < 0.65 * width)
    edges = np.linspace(0.35, 0.9, 9) * width / 2  # the top is round, since sand arrives there with speed
    columns = [height[lies & (away >= a) & (away < b)] for a, b in itertools.pairwise(edges)]
    tops = [float(column.quantile(0.97)) / 0.97 for column in columns]  # of what is filled evenly from the table up
    return math.degrees(math.atan(-np.polyfit((edges[1:] + edges[:-1]) / 2, tops, 1)[0]))


@pytest.mark.slow
@pytest.mark.parametrize("angle", [25.0, 30.0, 35.0])
def test_sand_piles_at_its_friction_angle(angle: float) -> None:
    assert drained(angle, 0.0075) == pytest.approx(angle, abs=3)


@pytest.mark.parametrize("angle", [25.0, 30.0, 35.0, 40.0])
def test_sand_slides_at_its_friction_angle(angle: float) -> None:
    """A layer on a rough slope 2 degrees steeper gains what gravity has more than friction at its angle takes."""
    spacing, tilt = 0.0125, math.radians(angle + 2)
    particles = block((0.1, 0.85, 1.6, 1.0), spacing)
    gravity = Gravity.model_validate([5 * math.sin(tilt), 5 * math.cos(tilt)])
    floor = HalfSpace("sticky", 0.0, (0.0, 1.0), (0.0, -1.0))
    config = SimulationConfig((0.0, 0.0), (3.0, 1.0), gravity, (), (floor, *border_colliders((0, 0, 3, 1))), 11, 20.0)
    sand = PRESETS["sand"].model_copy(update={"friction_angle": angle})
    middle = (particles.positions[:, 0] - 0.85).abs() < 0.2
    frames = simulate(config, particles, sand)
    speeds = [float(frame.state["velocities"][middle, 0].mean()) for frame in frames[5:]]
    gained = np.polyfit(np.arange(len(speeds)) / 20, speeds, 1)[0]
    friction = math.tan(tilt) - gained / (5 * math.cos(tilt))
    assert math.degrees(math.atan(friction)) == pytest.approx(angle, abs=1)


def test_a_heap_comes_to_rest() -> None:
    particles = block((0.75, 0.3, 1.65, 0.95), 0.03)
    floor = HalfSpace("sticky", 0.0, (0.0, 0.97), (0.0, -1.0))
    bounds = (0.0, 0.0), (2.4, 0.97)
    config = SimulationConfig(*bounds, Gravity(), (), (floor, *border_colliders((0, 0, 2.4, 0.97))), 26, 10.0)
    frames = simulate(config, particles, PRESETS["sand"])
    moves = [float((b.positions - a.positions).norm(dim=1).median()) for a, b in itertools.pairwise(frames[15:])]
    assert max(moves) < 2e-5, "widths a frame: without damping it rings by 9e-5"


def test_a_flatter_heap_stays() -> None:
    particles = block((0.0, 0.6, 2.0, 1.0), 0.01)
    x, y = particles.positions.T
    kept = 1 - y < 0.35 - (x - 1).abs() * math.tan(math.radians(32))
    columns = ("positions", "volumes", "velocities", "bodies", "gaussian_ids")
    particles = replace(particles, **{name: getattr(particles, name)[kept] for name in columns})
    floor = HalfSpace("sticky", 0.0, (0.0, 1.0), (0.0, -1.0))
    config = SimulationConfig((0.0, 0.0), (2.0, 1.0), Gravity(), (), (floor, *border_colliders((0, 0, 2, 1))), 31, 20.0)
    frames = simulate(config, particles, PRESETS["sand"])
    assert float((frames[-1].positions - particles.positions).norm(dim=1).max()) < 0.02


def test_nothing_leaves_the_domain(shipped_scene: Path, particles_of: Callable[..., Particles]) -> None:
    scene: Scene = read_scene(shipped_scene, 200, 150, (50, 30, 150, 110))
    particles = particles_of(scene, spacing=5.0)
    config = replace(scene.simulation_config(), frames=301)
    low, high = torch.tensor(config.low), torch.tensor(config.high)
    for frame in MpmEngine().run(config, particles, scene.materials):
        assert bool(frame.positions.isfinite().all())
        assert bool((frame.positions >= low - 1e-5).all()) and bool((frame.positions <= high + 1e-5).all()), frame.time


def test_what_is_rigid_keeps_its_shape_and_rests_on_the_floor() -> None:
    particles = block((0.4, 0.6, 0.6, 0.8), 0.02)
    particles = replace(particles, velocities=torch.tensor([0.5, 0.0]).repeat(len(particles), 1))
    frames = simulate(world(Gravity(), frames=46), particles, PRESETS["rigid"])
    before = torch.pdist(particles.positions)
    for frame in frames[::9]:
        assert float((torch.pdist(frame.positions) - before).abs().max()) < 1e-4
    assert float(frames[-1].positions[:, 1].max()) > 0.96
    assert float(frames[-1].state["velocities"].abs().max()) < 0.2, "friction has stopped it"


def test_what_is_pinned_stays_and_holds_the_rest() -> None:
    particles = block((0.4, 0.2, 0.6, 0.6), 0.02)
    bodies = (particles.positions[:, 1] > 0.3).long()
    config = world(Gravity(), frames=31)
    frames = simulate(config, replace(particles, bodies=bodies), PRESETS["pinned"], PRESETS["stiff"])
    held = bodies == 0
    assert torch.equal(frames[-1].positions[held], particles.positions[held])
    lowest = float(frames[-1].positions[:, 1].max())
    assert 0.59 < lowest < 0.62, "it hangs"


@pytest.mark.parametrize(("friction", "slides"), [(0.0, True), (0.2, True), (1.0, False)])
def test_friction_holds_back_what_slides(friction: float, slides: bool) -> None:
    tilt = math.radians(20)
    ground = HalfSpace("separate", friction, (0.5, 0.8), (math.sin(tilt), -math.cos(tilt)))
    particles = block((-0.08, -0.1, 0.08, 0.0), 0.01)
    turned = torch.tensor([[math.cos(tilt), math.sin(tilt)], [-math.sin(tilt), math.cos(tilt)]])
    # At rest: what is elastic hops when it is dropped. From 0.01 it lands with 0.3, and on friction that stops it at
    # once slides by 0.5 g sin(20) (2 * 0.3 / (g cos(20)))^2 = 0.014 in the first hop alone.
    places = particles.positions @ turned + torch.tensor([0.5, 0.8])
    frames = simulate(world(Gravity(), ground, frames=16), replace(particles, positions=places), PRESETS["stiff"])
    gone = float((frames[-1].positions - places)[:, 0].mean())
    expected = 0.5 * 5 * (math.sin(tilt) - friction * math.cos(tilt)) * math.cos(tilt) * 0.25
    assert gone == pytest.approx(expected, abs=0.03) if slides else abs(gone) < 0.01


@pytest.mark.parametrize(("surface", "rises"), [("sticky", False), ("slip", False), ("separate", True)])
def test_what_touches_a_surface_stays_as_it_says(surface: SurfaceKind, rises: bool) -> None:
    floor = HalfSpace(surface, 0.0, (0.5, 0.8), (0.0, -1.0))
    particles = block((0.4, 0.64, 0.6, 0.8), 0.02)
    particles = replace(particles, velocities=torch.tensor([0.3, -0.6]).expand(len(particles), 2))
    frames = simulate(world(NO_GRAVITY, floor, frames=11), particles, PRESETS["soft"])
    lowest = particles.positions[:, 1] > 0.78
    across, down = (frames[-1].positions - particles.positions)[lowest].mean(dim=0).tolist()
    assert down < -0.1 if rises else abs(down) < 0.03
    assert abs(across) < 0.03 if surface == "sticky" else across > 0.05


def test_snow_packs_and_stays_packed() -> None:
    sizes = {}
    for material in ("snow", "medium"):
        particles = block((0.4, 0.7, 0.6, 0.9), 0.01)
        particles = replace(particles, velocities=torch.tensor([0.0, 3.0]).expand(len(particles), 2))
        last = simulate(world(Gravity(), frames=46), particles, PRESETS[material])[-1]
        assert last.gradients is not None
        sizes[material] = float(torch.linalg.det(last.gradients).mean())
    assert sizes["snow"] < 0.92 < 0.97 < sizes["medium"]


def test_a_cube_bounces_in_space() -> None:
    particles = block((0.4, 0.5, 0.6, 0.7), 0.025, depth=0.2)
    ground = HalfSpace("separate", 0.0, (0, 0.9, 0), (0, -1, 0))
    config = world(Gravity(), ground, frames=31, low=(0.0, 0.0, -0.5), high=(1.0, 1.0, 0.5))
    frames = simulate(config, particles, PRESETS["medium"])
    heights = torch.tensor([float(frame.positions[:, 1].mean()) for frame in frames])
    landed = int(heights.argmax())
    assert 0.75 < float(heights.max()) < 0.83, "its middle, 0.1 above its foot and squashed"
    assert float(heights[landed:].min()) < 0.72, "it comes back up"
    middle = frames[-1].positions.mean(dim=0)
    assert middle[[0, 2]].tolist() == pytest.approx([0.5, 0.0], abs=0.01), "straight"


def test_a_disc_is_in_the_way() -> None:
    disc = SolidDisc("separate", 0.2, (0.5, 0.7), 0.1)
    particles = block((0.4, 0.3, 0.6, 0.5), 0.0125)
    frames = simulate(world(Gravity(), disc, frames=31), particles, PRESETS["liquid"])
    deepest = max(float(disc.depth(frame.positions).max()) for frame in frames)
    assert deepest < 0.015, "0.6 cells"
    assert float(frames[-1].positions[:, 1].max()) > 0.95, "it runs off on both sides"


def test_going_on_from_a_frame_gives_the_same_frames() -> None:
    particles = block((0.3, 0.6, 0.5, 0.9), 0.02)
    for material in ("sand", "rigid", "snow"):
        frames = simulate(world(Gravity(), frames=9), particles, PRESETS[material])
        engine = MpmEngine().run(world(Gravity(), frames=9), particles, (PRESETS[material],), frames[4])
        for one, other in zip(frames[5:], engine, strict=True):
            assert torch.equal(one.positions, other.positions) and one.time == other.time


def test_a_simulation_that_blows_up_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpm, "SOLID_STEP_SHARE", 5.0)
    monkeypatch.setattr(mpm, "PARTICLE_COURANT_NUMBER", 1e9)
    monkeypatch.setattr(mpm, "MAX_STEP_SECONDS", 1.0)
    particles = block((0.3, 0.6, 0.5, 0.9), 0.02)
    with pytest.raises(GainerError, match="gains energy") as stopped:
        simulate(world(Gravity(), frames=60), particles, PRESETS["stiff"])
    assert "\n" not in str(stopped.value)


def test_grids_that_do_not_fit_are_refused() -> None:
    particles = block((0.3, 0.6, 0.5, 0.9), 0.02)
    with pytest.raises(GainerError, match="33 million nodes"):
        simulate(world(cells=100_000), particles, PRESETS["stiff"])
    with pytest.raises(GainerError, match="steps"):
        simulate(world(cells=4000, fps=1.0), particles, PRESETS["stiff"].model_copy(update={"E": 1e8}))


def test_a_particle_that_goes_wrong_is_taken_out_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    particles = block((0.3, 0.6, 0.5, 0.9), 0.02)
    simulation = MpmSimulation(world(Gravity()), particles, (PRESETS["liquid"],))
    simulation.advance(0.0, 1 / 30)
    simulation.state.total[9] = math.nan
    simulation.state.inner[7] = math.inf  # which is bounded again
    for frame in range(1, 9):
        simulation.advance(frame / 30, 1 / 30)
        assert all(bool(each.isfinite().all()) for each in simulation.as_dict().values())
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and said[0].startswith("1 of 150 particles went wrong at 0.05 s"), said
    assert simulation._masses[9] == 0 and int((simulation._masses == 0).sum()) == 1
    fallen = (simulation.state.positions - particles.positions)[:, 1]
    assert float(fallen[10:].mean()) > 0.05, "the others go on"


@pytest.mark.parametrize("wrong", ["displacements", "velocities", "gradients", "stretched"])
def test_elastic_particles_that_go_wrong_are_taken_out_counted_and_said(
    wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    particles = block((0.3, 0.5, 0.6, 0.9), 0.02)
    simulation = MpmSimulation(world(Gravity()), particles, (PRESETS["soft"],))
    simulation.advance(0.0, 1 / 30)
    solids = simulation.solids
    assert solids is not None
    if wrong == "stretched":
        solids.state.displacements[30] = torch.tensor([4000.0, -3000.0])
    else:
        getattr(solids.state, wrong)[30] = math.nan
    for frame in range(1, 12):
        simulation.advance(frame / 30, 1 / 30)
        assert all(bool(each.isfinite().all()) for each in simulation.as_dict().values())
        assert float(simulation.state.positions.min()) >= 0 and float(simulation.state.positions.max()) <= 1
    said = [record.getMessage() for record in caplog.records]
    lost = int((simulation._masses == 0).sum())
    if wrong in ("velocities", "gradients"):  # which are found anew, so that nothing is lost
        assert lost == 0 and not said
    else:
        assert 0 < lost <= 40 and len(said) == 1, said
        assert said[0].startswith(f"{lost} of {len(particles)} particles went wrong at 0.05 s"), said
    fallen = (simulation.state.positions - particles.positions)[:, 1]
    assert float(fallen.median()) > 0.04, "the others go on"


def test_an_elastic_body_that_is_lost_ends_in_one_line() -> None:
    simulation = MpmSimulation(world(Gravity()), block((0.3, 0.6, 0.5, 0.9), 0.02), (PRESETS["soft"],))
    simulation.advance(0.0, 1 / 30)
    assert simulation.solids is not None
    simulation.solids.state.displacements[:] = math.nan
    with pytest.raises(GainerError, match=r"no number any more at 0\.0[57] s; write a lower E") as stopped:
        simulation.advance(1 / 30, 1 / 30)
    assert "\n" not in str(stopped.value)


@pytest.mark.parametrize("name", ["affine", "solid_displacements"])
def test_a_state_of_another_version_is_not_gone_on_with(name: str) -> None:
    particles = block((0.3, 0.6, 0.5, 0.9), 0.05)
    config = world(frames=3)
    frame = simulate(config, particles, PRESETS["soft"])[1]
    others = {each: value for each, value in frame.state.items() if each != name}
    for state in (others, {**others, name: torch.zeros(3, 2)}, {**frame.state, "grid": torch.zeros(2)}):
        with pytest.raises(GainerError, match=r"another version of this program.*--restart"):
            next(MpmEngine().run(config, particles, (PRESETS["soft"],), replace(frame, state=state)))


def test_what_flows_stays_a_number_however_few_frames_there_are() -> None:
    for material in ("liquid", "sand", "snow"):
        particles = block((0.3, 0.3, 0.45, 0.5), 0.0125)
        pushed = replace(particles, velocities=torch.tensor([6.0, 6.0]).expand(len(particles), 2))
        for frame in simulate(world(Gravity(), fps=5, frames=8), pushed, PRESETS[material]):
            assert frame.gradients is not None and bool(frame.gradients.isfinite().all())
            sizes = torch.linalg.svdvals(frame.gradients)
            assert float(sizes.max()) < 4.01 and float(sizes.min()) > 0.249, (material, frame.time)
            assert bool(((frame.positions >= 0) & (frame.positions <= 1)).all())
