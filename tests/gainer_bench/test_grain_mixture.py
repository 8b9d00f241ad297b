"""Pixels that mix what lay apart are found, whatever shade grains have."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gainer_bench.grain_mixture import mixed_share, of_places
from gainer_bench.simulation_check import fitted_picture
from gainer_ns.io.image_writing import write_picture
from gainer_ns.physics.engine import resting
from gainer_ns.physics.simulated_plane import SimulatedPlane
from gainer_ns.physics.simulation import scene_for


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> SimulatedPlane:
    """A disc of 18 px in 64 x 48, of sand."""
    y, x = np.mgrid[:48, :64] + 0.5
    inside = np.clip(18.5 - np.hypot(x - 32, y - 24), 0, 1).astype(np.float32)
    path = tmp_path_factory.mktemp("disc") / "disc.png"
    write_picture(path, np.full((48, 64, 3), 0.5, np.float32), inside, bit_depth=8, profile=None)
    picture = fitted_picture(Path(path))
    return SimulatedPlane(scene_for({"bodies": [{"material": "sand"}]}, picture), of_places(picture), 300)


def test_grains_are_no_mixtures(simulated: SimulatedPlane) -> None:
    rest = resting(simulated.particles)
    shuffled = rest.positions[torch.randperm(len(rest.positions), generator=torch.Generator().manual_seed(1))]
    assert mixed_share(simulated, replace(rest, time=1.0)) == 0
    assert mixed_share(simulated, replace(rest, time=1.0, positions=shuffled)) < 0.01


def test_what_lay_elsewhere_is_a_mixture(simulated: SimulatedPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    rest = resting(simulated.particles)
    drawn = simulated.at(replace(rest, time=1.0))
    monkeypatch.setattr(simulated, "at", lambda frame: drawn)
    turned = replace(rest, time=1.0, positions=rest.positions.flip(0))
    assert mixed_share(simulated, turned) > 0.5
