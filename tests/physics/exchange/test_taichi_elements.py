"""The driver, on a stand-in for the checkout and for taichi: the same calls, and bodies that only fall."""

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gainer_ns.errors import GainerError
from gainer_ns.physics.colliders import HalfSpace, SolidBox, SolidDisc
from gainer_ns.physics.engine import Particles, SimulationConfig
from gainer_ns.physics.exchange import taichi_elements
from gainer_ns.physics.exchange.taichi_elements import (
    SOLVER_CELL_SPACINGS,
    SOLVER_COURANT_NUMBER,
    SOLVER_MARGIN_CELLS,
    TaichiElementsEngine,
)
from gainer_ns.physics.forces import Gravity
from gainer_ns.physics.materials import PRESETS

TAICHI = """
cpu, gpu, calls = "cpu", "gpu", []
def init(**words):
    calls.append(words)
"""

CHECKOUT = """
import numpy as np
import taichi as ti
from engine.helper import SUBSTEP

class Field:
    def __init__(self, values):
        self.values = values
    def get_scalar_field(self, row, column):
        return self.values[:, row, column]

class MPMSolver:
    latest = None
    def __init__(self, res, size=1, max_num_particles=2**30, padding=3, dt_scale=1, E_scale=1, water_density=1.0,
                 use_voxelizer=True):
        assert ti.calls and all(isinstance(part, int) for part in res)
        assert len(res) == 2 or not use_voxelizer
        MPMSolver.latest = self
        self.dim, self.res, self.size, self.dt_scale = len(res), res, size, dt_scale
        self.max_num_particles, self.water_density = max_num_particles, water_density
        self.dx = size / res[0]
        self.default_dt = 2e-2 * self.dx / size * dt_scale
        self.p_rho, self.t, self.gravities, self.spans, self.colliders, self.spheres = 1000, 0.0, [], [], [], []
        self.x = self.v = np.empty((0, self.dim), np.float32)
        self.kinds = np.empty(0, int)
    def set_gravity(self, g):
        assert isinstance(g, (tuple, list)) and len(g) == self.dim
        self.gravities.append(tuple(g))
    def add_particles(self, particles, material, color=0xFFFFFF, velocity=None):
        assert particles.dtype == np.float32 and particles.flags.c_contiguous and len(velocity) == self.dim
        self.x = np.concatenate([self.x, particles])
        self.v = np.concatenate([self.v, np.tile(np.float32(velocity), (len(particles), 1))])
        self.kinds = np.concatenate([self.kinds, np.full(len(particles), material)])
        self.F = Field(np.tile(np.float32(np.arange(self.dim**2)).reshape(self.dim, self.dim), (len(self.x), 1, 1)))
    def add_surface_collider(self, point, normal, surface=0, friction=0.0):
        if surface == 0 and friction != 0:
            raise ValueError("friction must be 0 on sticky surfaces.")
        self.colliders.append((point, normal, surface, friction))
    def add_sphere_collider(self, center, radius, surface=0):
        self.spheres.append((center, radius, surface))
    def step(self, frame_dt):
        print(".", end="", flush=True)
        self.spans.append(frame_dt)
        left = frame_dt
        while left > 0:  # one substep too many, as the real one does
            dt, left = SUBSTEP, left - SUBSTEP
            self.v = self.v + np.where(self.kinds[:, None] == 4, 0, dt * np.float32(self.gravities[-1]))
            self.x = self.x + dt * self.v
            self.t += dt
        print()
    def copy_dynamic(self, np_x, input_x):
        np_x[:] = input_x
    def particle_info(self):
        return {"position": np.float32(self.x), "velocity": self.v, "material": self.kinds, "color": 0 * self.kinds}
"""
SUBSTEP = 1e-3
DOWN = Gravity(keyframes={0.0: (0.0, 5.0)})
PLANE = SimulationConfig((-0.5, 0.0), (1.5, 1.0), DOWN, frames=6, fps=10.0)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    packages, folder = tmp_path / "packages", tmp_path / "taichi_elements"
    (folder / "engine").mkdir(parents=True)
    packages.mkdir()
    (packages / "taichi.py").write_text(TAICHI)
    (folder / "engine" / "mpm_solver.py").write_text(CHECKOUT)
    (folder / "engine" / "helper.py").write_text(f"SUBSTEP = {SUBSTEP}\n")
    names = ("taichi", "engine", "engine.helper")
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    monkeypatch.syspath_prepend(packages)
    yield folder
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(before)


def solver() -> Any:
    return sys.modules["gainer_ns_taichi_elements_checkout"].MPMSolver.latest


def some(bodies: int = 1, dimensions: int = 2, n: int = 12) -> Particles:
    generator = torch.Generator().manual_seed(0)
    return Particles(
        torch.rand(n, dimensions, generator=generator),
        torch.full((n,), 1e-4),
        torch.zeros(n, dimensions),
        torch.arange(n) % bodies,
        torch.arange(n),
        0.01,
    )


def refused(checkout: Path, config: SimulationConfig, particles: Particles, *materials: str) -> str:
    with pytest.raises(GainerError) as error:
        list(TaichiElementsEngine(checkout).run(config, particles, tuple(PRESETS[name] for name in materials)))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_it_says_what_is_missing(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TaichiElementsEngine(checkout).check_available()
    monkeypatch.setattr(taichi_elements, "LANGUAGES", ("no_such_package_at_all",))
    with pytest.raises(GainerError, match="pip install taichi") as error:
        TaichiElementsEngine(checkout).check_available()
    assert str(error.value) == refused(checkout, PLANE, some(), "medium")
    with pytest.raises(GainerError, match=r"github\.com/taichi-dev") as error:
        TaichiElementsEngine(checkout / "engine").check_available()
    assert str(error.value).startswith(str(checkout / "engine"))


def test_bodies_fall_in_widths_and_seconds(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    particles, path = some(), list(sys.path)
    frames = list(TaichiElementsEngine(checkout).run(PLANE, particles, (PRESETS["medium"],)))
    assert [frame.time for frame in frames] == pytest.approx([0.1 * number for number in range(6)])
    torch.testing.assert_close(frames[0].positions, particles.positions)
    for frame in frames:
        assert not frame.state
        torch.testing.assert_close(
            frame.positions - particles.positions,
            torch.tensor([0.0, 2.5 * frame.time**2]).expand(12, 2),
            atol=2 * SUBSTEP * 2.5,  # of the last substep, at the speed there, not of one in each frame
            rtol=0.0,
        )
    assert capsys.readouterr().out == "" and sys.path == path


def test_gravity_may_change(checkout: Path) -> None:
    config = replace(PLANE, gravity=Gravity(keyframes={0.0: (0.0, 0.0), 0.5: (5.0, -10.0)}))
    list(TaichiElementsEngine(checkout).run(config, some(), (PRESETS["medium"],)))
    expected = [(0.5 * number, -1.0 * number) for number in (1, 3, 5, 7, 9)]
    np.testing.assert_allclose(solver().gravities, expected)


def test_particles_keep_their_order_bodies_and_velocities(checkout: Path) -> None:
    particles = replace(some(bodies=3), velocities=torch.randn(12, 2).round(decimals=1))
    materials = PRESETS["sand"], PRESETS["pinned"], PRESETS["liquid"]
    config = replace(PLANE, gravity=Gravity(keyframes={0.0: (0.0, 0.0)}))
    *_, last = TaichiElementsEngine(checkout).run(config, particles, materials)
    is_pinned = (particles.bodies == 1)[:, None]
    moved = particles.positions + torch.where(is_pinned, 0.0, 0.5 * particles.velocities)
    torch.testing.assert_close(last.positions, moved, atol=2 * SUBSTEP * 3, rtol=0.0)
    assert sorted(solver().kinds) == [0] * 4 + [3] * 4 + [4] * 4
    assert last.gradients is None


def test_the_grid_holds_the_domain_and_a_margin(checkout: Path) -> None:
    list(TaichiElementsEngine(checkout).run(replace(PLANE, frames=2), some(), (PRESETS["medium"],)))
    made = solver()
    cell = SOLVER_CELL_SPACINGS * 0.01
    assert made.dx == pytest.approx(cell)
    assert made.res == (2 / cell + 2 * SOLVER_MARGIN_CELLS, 1 / cell + 2 * SOLVER_MARGIN_CELLS)
    np.testing.assert_array_less(SOLVER_MARGIN_CELLS * cell, made.x.min(axis=0))
    list(TaichiElementsEngine(checkout).run(replace(PLANE, frames=2, cells=50), some(), (PRESETS["medium"],)))
    assert solver().dx == pytest.approx(2 / 50)
    assert "cells: 1992" in refused(checkout, replace(PLANE, cells=1993), some(), "medium")


@pytest.mark.parametrize("name", ["soft", "stiff", "liquid", "sand", "snow"])
def test_materials_have_their_stiffness_and_steps_are_short_enough(name: str, checkout: Path) -> None:
    material = PRESETS[name]
    list(TaichiElementsEngine(checkout).run(replace(PLANE, frames=2), some(), (material,)))
    made = solver()
    softer = 0.3 if material.behaviour == "elastic" else 1.0
    assert made.lambda_0 * softer / 1000 == pytest.approx(material.lame[0] / material.density)
    if material.behaviour != "liquid":
        assert made.mu_0 * softer / 1000 == pytest.approx(material.lame[1] / material.density)
        assert made.default_dt <= SOLVER_COURANT_NUMBER * made.dx / material.wave_speed * 1.001
    if material.behaviour == "elastic":
        assert made.default_dt == pytest.approx(SOLVER_COURANT_NUMBER * made.dx / material.wave_speed)
    if name == "sand":
        sine = math.sin(math.radians(material.friction_angle))
        assert made.alpha == pytest.approx(math.sqrt(2 / 3) * 2 * sine / (3 - sine))


def test_of_several_materials_the_stiffest_counts(checkout: Path, caplog: pytest.LogCaptureFixture) -> None:
    stiff, liquid = PRESETS["stiff"], PRESETS["liquid"].model_copy(update={"density": 2.0})
    list(TaichiElementsEngine(checkout).run(replace(PLANE, frames=2), some(bodies=2), (stiff, liquid)))
    made = solver()
    assert made.water_density == pytest.approx(2.0)
    assert made.lambda_0 / 1000 == pytest.approx(max(stiff.lame[0] / 0.3, liquid.lame[0]))
    assert "one stiffness" in caplog.text


def test_obstacles_are_where_they_were(checkout: Path) -> None:
    floor, hill = HalfSpace("separate", 0.4, (0.2, 0.9), (0.0, -1.0)), SolidDisc("slip", 0.0, (0.3, 0.8), 0.1)
    wall = HalfSpace("sticky", 0.4, (0.2, 0.9), (1.0, 0.0))
    config = replace(PLANE, frames=2, colliders=(floor, hill, wall))
    list(TaichiElementsEngine(checkout).run(config, some(), (PRESETS["medium"],)))
    made, shift = solver(), SOLVER_MARGIN_CELLS * solver().dx
    (point, normal, surface, friction), (_, _, sticky, none) = made.colliders
    assert point == pytest.approx([0.7 + shift, 0.9 + shift]) and list(normal) == [0.0, -1.0]
    assert (surface, friction, sticky, none) == (2, 0.4, 0, 0.0)
    ((center, radius, surface),) = made.spheres
    assert center == pytest.approx([0.8 + shift, 0.8 + shift]) and (radius, surface) == (0.1, 1)


def test_gradients_come_of_elastic_bodies(checkout: Path) -> None:
    engine = TaichiElementsEngine(checkout)
    materials = PRESETS["medium"], PRESETS["pinned"]
    *_, last = engine.run(replace(PLANE, frames=2), some(bodies=2), materials)
    torch.testing.assert_close(last.gradients, torch.tensor([[0.0, 1.0], [2.0, 3.0]]).expand(12, 2, 2))
    path = checkout / "engine" / "mpm_solver.py"
    path.write_text(CHECKOUT.replace("self.F =", "self.other ="))
    *_, last = engine.run(replace(PLANE, frames=2), some(bodies=2), materials)
    assert last.gradients is None


def test_in_space_z_goes_on(checkout: Path) -> None:
    config = replace(PLANE, low=(0.0, 0.0, -0.5), high=(1.0, 1.0, 1.5))
    wall = HalfSpace("separate", 0.0, (0.0, 0.0, -0.5), (0.0, 0.0, 1.0))
    particles = some(dimensions=3)
    *_, last = TaichiElementsEngine(checkout).run(
        replace(config, colliders=(wall, HalfSpace())), particles, (PRESETS["medium"],)
    )
    fallen = particles.positions + torch.tensor([0.0, 0.625, 0.0])
    torch.testing.assert_close(last.positions, fallen, atol=5 * SUBSTEP, rtol=0.0)
    assert [len(point) for point, *_ in solver().colliders] == [3, 3]
    disc = replace(config, colliders=(SolidDisc(),))
    assert "no obstacles but planes" in refused(checkout, disc, particles, "medium")


def test_it_begins_again_to_go_on(checkout: Path) -> None:
    engine, particles = TaichiElementsEngine(checkout), some()
    frames = list(engine.run(PLANE, particles, (PRESETS["medium"],)))
    rest = list(engine.run(PLANE, particles, (PRESETS["medium"],), start=frames[3]))
    assert [frame.time for frame in rest] == pytest.approx([0.4, 0.5])
    torch.testing.assert_close(rest[0].positions, frames[4].positions)


def test_what_it_lacks_is_refused(checkout: Path) -> None:
    assert "no forces" in refused(checkout, replace(PLANE, forces=(object(),)), some(), "medium")  # pyright: ignore
    assert "no rigid bodies" in refused(checkout, PLANE, some(), "rigid")
    assert "all bodies are pinned" in refused(checkout, PLANE, some(), "pinned")
    assert "planes and discs" in refused(checkout, replace(PLANE, colliders=(SolidBox(),)), some(), "medium")
    assert "--engine mpm" in refused(checkout, replace(PLANE, colliders=(SolidBox(),)), some(), "medium")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("import taichi as ti", "import taichi as ti\nti.ext_arr()", "cannot be run (module 'taichi' has no attribute"),
        ("import numpy as np", "import numpy as np\nraise KeyError", "cannot be run (KeyError)"),
        ("class MPMSolver", "class Else", "cannot be run"),
        ("self.x + dt", "np.nan * self.x + dt", "blew up before 0.1 s"),
    ],
)
def test_checkouts_that_do_not_run_are_one_line(old: str, new: str, said: str, checkout: Path) -> None:
    (checkout / "engine" / "mpm_solver.py").write_text(CHECKOUT.replace(old, new))
    assert said in refused(checkout, PLANE, some(), "medium")
