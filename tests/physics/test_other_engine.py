"""The default engine beside Taichi Elements, whose frames were written to files: data/make_taichi_elements.py."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gainer_ns.physics.colliders import HalfSpace
from gainer_ns.physics.engine import Frame, Particles, SimulationConfig
from gainer_ns.physics.exchange.folder import SimulationFolder
from gainer_ns.physics.forces import Gravity
from gainer_ns.physics.materials import PRESETS
from gainer_ns.physics.mpm.engine import MpmEngine

BORDERS = (
    HalfSpace("separate", 0.4, (0.0, 1.0), (0.0, -1.0)),
    HalfSpace("separate", 0.0, (0.0, 0.0), (1.0, 0.0)),
    HalfSpace("separate", 0.0, (1.0, 0.0), (-1.0, 0.0)),
    HalfSpace("separate", 0.0, (0.0, 0.0), (0.0, 1.0)),
)


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory, written_particles: Callable[[Path], Particles]
) -> Callable[[str, str, int, float], tuple[list[Frame], list[Frame]]]:
    """``both(case, material, frames, fps)``: our frames, and theirs."""
    path = tmp_path_factory.mktemp("elements")
    shutil.unpack_archive(Path(__file__).parent / "data" / "taichi_elements.tar.xz", path, filter="data")

    def make(case: str, material: str, frames: int, fps: float) -> tuple[list[Frame], list[Frame]]:
        folder = SimulationFolder(path / case, 100, 100)
        particles, materials = written_particles(folder.path), (PRESETS[material],)
        config = SimulationConfig((0.0, 0.0), (1.0, 1.0), Gravity(), colliders=BORDERS, frames=frames, fps=fps)
        ours = list(MpmEngine().run(config, particles, materials))
        theirs = list(folder.read())
        assert len(ours) == len(theirs) == frames
        return ours, theirs

    return make


def test_a_disc_falls_and_bounces_alike(both: Callable[..., tuple[list[Frame], list[Frame]]]) -> None:
    ours, theirs = both("disc", "medium", 13, 10.0)
    for mine, other in zip(ours, theirs, strict=True):
        centres = [frame.positions.mean(dim=0) for frame in (mine, other)]
        sizes = [frame.positions.amax(dim=0) - frame.positions.amin(dim=0) for frame in (mine, other)]
        before_contact = mine.time < 0.4
        assert float((centres[0] - centres[1]).abs().max()) < (0.002 if before_contact else 0.06)
        assert float((sizes[0] - sizes[1]).abs().max()) < (0.004 if before_contact else 0.05)
    heights = torch.stack([frame.positions[:, 1].mean() for frame in theirs])
    assert float(heights.max() - heights[-1]) > 0.1, "it has bounced"


def test_a_column_of_liquid_breaks_and_settles_alike(both: Callable[..., tuple[list[Frame], list[Frame]]]) -> None:
    ours, theirs = both("column", "liquid", 11, 5.0)
    for mine, other in zip(ours, theirs, strict=True):
        centres = [frame.positions.mean(dim=0) for frame in (mine, other)]
        assert float((centres[0][1] - centres[1][1]).abs()) < 0.03
        assert float((centres[0][0] - centres[1][0]).abs()) < 0.09
        assert abs(float(mine.positions[:, 0].max() - other.positions[:, 0].max())) < 0.15
    for frames in (ours, theirs):
        assert float(frames[-1].positions[:, 0].max()) > 0.95, "it has run to the other side"
