"""Pictures that are drawn and moved on a pretended GPU: the same as on the processor, and without waiting for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gainer_ns as gn
from gainer_ns.editing.bound_picture import BoundPicture
from gainer_ns.editing.script import read_script
from gainer_ns.editing.stage import Stage
from gainer_ns.io.meshes import MeshFile
from gainer_ns.physics.mpm.engine import MpmEngine, MpmSimulation
from gainer_ns.physics.mpm.flow import ROW_STEPS
from gainer_ns.physics.simulated_plane import SimulatedPlane
from gainer_ns.physics.simulation import scene_for
from gainer_ns.rendering.plane import BakedPicture

WIDTH, HEIGHT = 96, 64
DISC = {"disc": {"center": [48, 32], "radius": 16}}
EDITS = {
    "rotate": {"rotate": {"degrees": 15}},
    "bend": {"bend": {"degrees": 200, "axis": [[20, 32], [80, 32]]}},  # which lies over itself
    "cut": {"cut": {"line": [[48, 0], [50, 64]], "gap": 6}},
    "feathered": {"select": {**DISC, "feather": 12}, "rotate": {"degrees": 20}},
    "piece": {"select": DISC, "mode": "piece", "move": {"by": [9, -6]}},
}
MAX_WAITS_PER_LAYER = 5
"""For the window in which a layer lies, how much it shrinks, and what it hides."""


def pixels(channels: int = 3) -> np.ndarray:
    y, x = np.indices((HEIGHT, WIDTH), np.float32)
    waves = np.stack([np.sin(x / 5 + y / 9 + shift) for shift in range(channels)], axis=-1) * 0.3 + 0.5
    if channels == 4:
        waves[..., 3] = np.clip(22.5 - np.hypot(x - 48, y - 32), 0, 1)
    return (255 * waves).astype(np.uint8)


def drawn(picture: gn.Picture) -> BakedPicture:
    assert isinstance(picture._drawn, BakedPicture)
    return picture._drawn


def fits(gpu: Any, channels: int = 3) -> list[BakedPicture]:
    """Fit the same picture there and here."""
    return [drawn(gn.fit(pixels(channels), device=device)) for device in (gpu.device, "cpu")]


def assert_same(there: BakedPicture, here: BakedPicture) -> None:
    (found, shown), (expected, alpha) = there.raster(), here.raster()
    torch.testing.assert_close(shown.cpu(), alpha, atol=1e-3, rtol=0)
    torch.testing.assert_close((found * shown).cpu(), expected * alpha, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", EDITS)
def test_edits(gpu: Any, name: str) -> None:
    script = read_script({"edits": [EDITS[name]]}, WIDTH, HEIGHT)
    there, here = (Stage(script, picture, {}) for picture in fits(gpu))
    assert_same(there.at(1.0), here.at(1.0))
    there.at(0.9).raster()
    gpu.waits.clear()
    frame = there.at(0.8)
    assert sum(gpu.waits.values()) <= 1, "poses are worked out on the host"
    frame.raster()
    assert sum(gpu.waits.values()) <= 1 + MAX_WAITS_PER_LAYER * len(frame.layers), gpu.waits


@pytest.mark.parametrize("channels", [3, 4])
def test_fit(gpu: Any, channels: int) -> None:
    assert_same(*fits(gpu, channels))


def test_cages(gpu: Any) -> None:
    vertices = torch.tensor([[-0.6, -0.4, 0], [0.6, -0.4, 0], [0.6, 0.4, 0], [-0.6, 0.4, 0]]).double()
    mesh = MeshFile(Path("cage.obj"), vertices, torch.tensor([[0, 1, 2], [0, 2, 3]]))
    moved = vertices + 0.05 * vertices.flip(1)
    assert_same(*(BoundPicture(picture, mesh).at(moved) for picture in fits(gpu)))


@pytest.mark.parametrize("material", ["medium", "water", "sand", "rigid"])
def test_simulations(gpu: Any, material: str) -> None:
    found = []
    for picture in fits(gpu, 4):
        words = {"bodies": [{"material": material}], "particles": 150, "fps": 60, "duration": 0.05}
        simulated = SimulatedPlane(scene_for(words, picture), picture)
        *_, last = MpmEngine().run(simulated.config, simulated.particles, simulated.materials)
        found.append((last, simulated.at(last)))
    (there, one), (expected, other) = found
    torch.testing.assert_close(there.positions.cpu(), expected.positions.cpu(), atol=1e-4, rtol=0)
    assert_same(one, other)


@pytest.mark.parametrize("material", ["medium", "water", "rigid"])
def test_steps_of_a_simulation_wait_for_nothing(gpu: Any, monkeypatch: pytest.MonkeyPatch, material: str) -> None:
    picture, _ = fits(gpu, 4)
    words = {"bodies": [{"material": material}], "particles": 150, "fps": 60, "duration": 0.05}
    simulated = SimulatedPlane(scene_for(words, picture), picture)
    waits = []
    for steps in (ROW_STEPS, 4 * ROW_STEPS):
        simulation = MpmSimulation(simulated.config, simulated.particles, simulated.materials)
        monkeypatch.setattr(simulation, "steps_for", lambda seconds, time, steps=steps: steps)
        simulation.advance(0.0, 1 / 60)
        gpu.waits.clear()
        simulation.advance(1 / 60, 1 / 60)
        waits.append(sum(gpu.waits.values()))
    assert waits[1] <= waits[0] + 3 + 6, "the rows in use, and which particles may touch, are looked up now and then"
