import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gainer_ns.errors import GainerError
from gainer_ns.io.meshes import write_ply
from gainer_ns.physics.engine import Frame, Particles, SimulationConfig, resting
from gainer_ns.physics.exchange.folder import SimulationFolder
from gainer_ns.physics.forces import Gravity
from gainer_ns.physics.materials import PRESETS

MATERIALS = (PRESETS["medium"],)
SETTING = SimulationConfig((0.0, 0.0), (1.0, 1.0), Gravity(), frames=99, fps=25.0)


@pytest.fixture
def particles() -> Particles:
    return Particles(
        torch.rand(9, 2), torch.ones(9), torch.zeros(9, 2), torch.zeros(9).long(), torch.arange(9) + 5, 0.1
    )


@pytest.fixture
def folder(tmp_path: Path, particles: Particles) -> SimulationFolder:
    """A simulation that waits for its frames."""
    folder = SimulationFolder(tmp_path / "waiting", 40, 30)
    folder.create(particles, MATERIALS, SETTING, engine="files", fingerprint="a")
    return folder


def foreign(folder: SimulationFolder, particles: Particles, number: int, shift: float, order: list[int]) -> None:
    """A frame of another program: moved to the right by a share of the longer side, in an order of its own."""
    x, y = ((particles.positions - torch.tensor([0.5, 0.375])) * torch.tensor([1.0, -1.0])).double().T.numpy()
    columns = {"x": x + shift, "y": y, "z": 0 * x, "gaussian_id": particles.gaussian_ids.numpy().astype(np.float32)}
    columns = {name: values[order].astype(np.float32) for name, values in columns.items()}
    write_ply(folder.path / "frames" / f"frame_{number:04d}.ply", columns)


def test_without_frames_it_says_what_to_do(folder: SimulationFolder, particles: Particles) -> None:
    why = folder.request_for_frames
    assert "frame_00000.ply" in why and "docs/physics.md" in why and "\n" not in why
    (folder.path / "frames").mkdir()
    assert folder.frames == 0


def test_frames_come_in_order_and_in_widths(folder: SimulationFolder, particles: Particles) -> None:
    for number in range(1, 5):  # as Blender counts
        foreign(folder, particles, number, 0.01 * number, list(np.random.default_rng(number).permutation(9)))
    frames = list(folder.read())
    assert [frame.time for frame in frames] == pytest.approx([0, 0.04, 0.08, 0.12])
    for number, frame in enumerate(frames, 1):
        assert frame.gradients is None
        torch.testing.assert_close(frame.positions, particles.positions + torch.tensor([0.01 * number, 0]))


def test_gradients_come_where_there_are_any(folder: SimulationFolder, particles: Particles) -> None:
    gradients = torch.randn(9, 2, 2)
    folder.write(0, Frame(0.0, particles.positions, gradients))
    (frame,) = folder.read()
    torch.testing.assert_close(frame.gradients, gradients)


def test_frames_that_do_not_fit_are_refused(folder: SimulationFolder, particles: Particles) -> None:
    folder.write(0, resting(particles))
    folder.write(1, resting(particles))
    fewer = Particles(*(getattr(particles, name)[:5] for name in list(vars(particles))[:5]), spacing=0.1)
    with pytest.raises(GainerError, match="another scene"):
        folder.create(fewer, MATERIALS, SETTING, engine="files", fingerprint="of fewer")
    path = folder.path / "frames" / "frame_00001.ply"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(GainerError, match=r"frame_00001\.ply: not a readable PLY file"):
        list(folder.read())
    path.rename(path.with_name("frame_00007.ply"))
    with pytest.raises(GainerError, match="frame 1 is missing"):
        list(folder.read())


def test_frames_that_stand_upright_are_refused(folder: SimulationFolder, particles: Particles) -> None:
    x, y = particles.positions.double().T.numpy()
    columns = {"x": x, "y": 0 * x, "z": y, "gaussian_id": particles.gaussian_ids.numpy().astype(np.int32)}
    write_ply(folder.path / "frames" / "frame_0.ply", columns)
    with pytest.raises(GainerError, match="stands upright"):
        next(folder.read())


@pytest.mark.parametrize("name", ["disc", "column"])
def test_frames_of_another_engine_fall_as_they_must(
    name: str, tmp_path: Path, written_particles: Callable[[Path], Particles]
) -> None:
    shutil.unpack_archive(Path(__file__).parents[1] / "data" / "taichi_elements.tar.xz", tmp_path)
    folder = SimulationFolder(tmp_path / name, 100, 100)
    particles = written_particles(folder.path)
    frames = list(folder.read())
    assert len(frames) == folder.manifest()["frames"] >= 10
    torch.testing.assert_close(frames[0].positions, particles.positions, atol=1e-3, rtol=0)
    centres = torch.stack([frame.positions.mean(dim=0) for frame in frames])
    if name == "disc":  # in free fall until 0.44 s
        times = torch.tensor([frame.time for frame in frames[:5]])
        torch.testing.assert_close(centres[:5, 1], 0.35 + 2.5 * times.square(), atol=2e-3, rtol=0)
        assert centres[-4, 1] < 0.45  # and back up
    else:  # 0.25 x 0.45 of water over a whole width
        assert frames[-1].positions[:, 0].std() > 0.25
        assert centres[-1, 1] == pytest.approx(1 - 0.1125 / 2, abs=0.01)
