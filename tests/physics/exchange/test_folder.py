import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from gainer_ns.editing.binding import bind
from gainer_ns.errors import GainerError
from gainer_ns.frames import ImagePlane
from gainer_ns.io.mesh_frames import frame_files, read_frames
from gainer_ns.io.meshes import read_mesh, write_ply
from gainer_ns.physics.engine import Frame, Particles, SimulationConfig, resting
from gainer_ns.physics.exchange.folder import SimulationFolder
from gainer_ns.physics.exchange.folder_files import PlaneUnits
from gainer_ns.physics.forces import Gravity
from gainer_ns.physics.materials import BEHAVIOURS, PRESETS

SIZE = 80, 60
MATERIALS = PRESETS["medium"], PRESETS["sand"]
PLANE = SimulationConfig((0.0, 0.0), (1.0, 0.75), Gravity(keyframes={0.0: (1.0, 5.0)}), frames=4, fps=10.0)
SPACE = replace(PLANE, low=(0.0, 0.0, -0.5), high=(1.0, 0.75, 0.5))


def some_particles(n: int = 12, dimensions: int = 2) -> Particles:
    generator = torch.Generator().manual_seed(n)
    return Particles(
        torch.rand(n, dimensions, generator=generator),
        torch.rand(n, generator=generator) + 0.5,
        torch.randn(n, dimensions, generator=generator),
        torch.arange(n) % 2,
        torch.randperm(5 * n, generator=generator)[:n],
        0.02,
    )


def moved(particles: Particles, number: int, state: bool = True) -> Frame:
    d = particles.dimensions
    angle = 0.1 * number
    turn = torch.eye(d)
    turn[:2, :2] = torch.tensor([[math.cos(angle), -math.sin(angle)], [0.5 * math.sin(angle), math.cos(angle)]])
    return Frame(
        number / PLANE.fps,
        particles.positions @ turn.T + 0.01 * number,
        turn.repeat(len(particles), 1, 1),
        {"velocities": torch.full((3,), float(number))} if state else {},
    )


def read_frame(folder: SimulationFolder, number: int) -> Frame:
    (frame,) = folder.read(number, number + 1)
    return frame


def begun(path: Path, particles: Particles, frames: int = 0, state: bool = True) -> SimulationFolder:
    folder = SimulationFolder(path, *SIZE)
    config = PLANE if particles.dimensions == 2 else SPACE
    folder.create(particles, MATERIALS, config, engine="mpm", fingerprint="a")
    for number in range(frames):
        folder.write(number, moved(particles, number, state))
    return folder


def refused(call: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(GainerError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_what_is_written_is_read(
    dimensions: int, tmp_path: Path, written_particles: Callable[[Path], Particles]
) -> None:
    particles = some_particles(dimensions=dimensions)
    begun(tmp_path / "a", particles, frames=3)
    folder = SimulationFolder(tmp_path / "a", *SIZE)
    assert folder.frames == 3
    for number, frame in enumerate(folder.read()):
        expected = moved(particles, number)
        assert frame.time == pytest.approx(expected.time)
        torch.testing.assert_close(frame.positions, expected.positions)
        torch.testing.assert_close(frame.gradients, expected.gradients)
        assert not frame.state
        again = folder.write(number, expected)
        assert torch.equal(again.positions, frame.positions), "bit by bit, or a film that goes on shows something else"
    read = written_particles(folder.path)
    for name, value in vars(particles).items():
        torch.testing.assert_close(getattr(read, name), value, msg=name)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_files_are_in_plane_units_with_y_up(
    dimensions: int, tmp_path: Path, written_particles: Callable[[Path], Particles]
) -> None:
    particles = replace(
        some_particles(1, dimensions),
        positions=torch.tensor([[0.25, 0.75, 0.1]])[:, :dimensions],
        velocities=torch.tensor([[1.0, 2.0, 3.0]])[:, :dimensions],
        volumes=torch.tensor([1.0]),
    )
    folder = SimulationFolder(tmp_path, 60, 80)  # higher than wide: a width is 0.75
    folder.create(particles, MATERIALS, PLANE if dimensions == 2 else SPACE, engine="mpm", fingerprint="a")
    gradients = torch.arange(9.0).view(1, 3, 3)[:, :dimensions, :dimensions]
    folder.write(0, Frame(0.0, particles.positions, gradients))
    rest, frame = (read_mesh(tmp_path / name) for name in ("particles.ply", "frames/frame_00000.ply"))
    # Pixel (15, 45) of 60 x 80: 15 left of the centre and 5 below it.
    z = 0.075 if dimensions == 3 else 0.0
    np.testing.assert_allclose(rest.vertices, [[-15 / 80, -5 / 80, z]], atol=1e-7)
    np.testing.assert_allclose(frame.vertices, rest.vertices)
    assert frame.ids is not None and rest.ids is not None and torch.equal(frame.ids, rest.ids)
    # A step upwards there is a step against y here.
    flip = np.diag([1.0, -1.0, 1.0][:dimensions])
    assert frame.gradients is not None
    np.testing.assert_allclose(frame.gradients[0], flip @ gradients[0].numpy() @ flip)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    np.testing.assert_allclose(manifest["domain"][0][:2], [-0.375, -0.0625])
    np.testing.assert_allclose(manifest["domain"][1][:2], [0.375, 0.5])
    np.testing.assert_allclose(manifest["gravity"], [0.75, -3.75])
    assert manifest["materials"]["sand"] == BEHAVIOURS.index("sand")
    assert manifest["bodies"][1]["friction_angle"] == PRESETS["sand"].friction_angle
    text = (tmp_path / "particles.ply").read_bytes().split(b"end_header\n")[0].decode()
    for name in ("gaussian_id", "material", "body", "volume", "vx", "vy"):
        assert f" {name}\n" in text
    read = written_particles(tmp_path)
    torch.testing.assert_close(read.volumes, particles.volumes)
    torch.testing.assert_close(read.velocities, particles.velocities)


@given(st.integers(1, 5000), st.integers(1, 5000), st.tuples(st.floats(-9, 9), st.floats(-9, 9), st.floats(-9, 9)))
def test_places_are_those_of_pixels(width: int, height: int, place: tuple[float, float, float]) -> None:
    units = PlaneUnits(width, height)
    points = torch.tensor([place], dtype=torch.float64)
    plane = units.to_plane(points)
    torch.testing.assert_close(units.from_plane(plane), points)
    torch.testing.assert_close(plane[:, :2], ImagePlane(width, height).plane_from_pixel(points[:, :2] * width))
    steps = torch.eye(3, dtype=torch.float64) * units.width_length
    torch.testing.assert_close(units.to_plane(points + torch.eye(3)) - plane, steps * torch.tensor([1.0, -1, 1]))


def test_materials_are_numbered_by_what_bodies_are_of(tmp_path: Path) -> None:
    particles = some_particles()
    begun(tmp_path, particles)
    columns = trimesh.load(tmp_path / "particles.ply").metadata["_ply_raw"]["vertex"]["data"]  # pyright: ignore
    numbers = [BEHAVIOURS.index("elastic"), BEHAVIOURS.index("sand")]
    np.testing.assert_array_equal(columns["material"].reshape(-1), [numbers[body] for body in particles.bodies])


def test_a_simulation_goes_on_from_its_last_state(tmp_path: Path) -> None:
    particles = some_particles()
    folder = begun(tmp_path, particles)
    assert folder.last() is None
    for number in range(3):
        folder.write(number, moved(particles, number))
    last = SimulationFolder(tmp_path, *SIZE).last()
    assert last is not None and last.time == pytest.approx(0.2) and last.state["velocities"][0] == 2
    torch.testing.assert_close(last.positions, moved(particles, 2).positions)


def test_a_frame_without_its_state_is_made_again(tmp_path: Path) -> None:
    particles = some_particles()
    folder = begun(tmp_path, particles, frames=2)
    folder.write(2, moved(particles, 2, state=False))  # cut off before the state was written
    last = folder.last()
    assert folder.frames == 3
    assert last is not None and last.time == pytest.approx(0.1) and last.state["velocities"][0] == 1


def test_a_state_without_its_frame_is_not_gone_on_from(tmp_path: Path) -> None:
    folder = begun(tmp_path, some_particles(), frames=3)
    (tmp_path / "frames" / "frame_00002.ply").unlink()
    assert folder.frames == 2
    assert folder.last() is None


def test_engines_that_cannot_go_on_begin_again(tmp_path: Path) -> None:
    folder = begun(tmp_path, some_particles(), frames=3, state=False)
    assert folder.frames == 3 and folder.last() is None


def test_an_interrupted_frame_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    particles = some_particles()
    folder = begun(tmp_path, particles, frames=2)

    def interrupted(*_: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("gainer_ns.physics.exchange.folder.save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            folder.write(2, moved(particles, 2))
    last = folder.last()
    assert last is not None and last.state["velocities"][0] == 1
    names = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert not [name for name in names if name.endswith(".part")]


def test_what_cannot_be_drawn_is_not_written(tmp_path: Path) -> None:
    particles = some_particles()
    folder = begun(tmp_path, particles, frames=1)
    frame = moved(particles, 1)
    frame.positions[3, 1] = math.nan
    assert "blown up" in refused(folder.write, 1, frame)
    assert folder.frames == 1


def test_the_same_scene_is_gone_on_with_and_another_is_refused(tmp_path: Path) -> None:
    particles = some_particles()
    folder = begun(tmp_path, particles, frames=2)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    begun(tmp_path, particles)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert folder.matches("a") and not folder.matches("b")
    again = lambda: folder.create(particles, MATERIALS, PLANE, engine="mpm", fingerprint="b")  # noqa: E731
    assert "--restart" in refused(again)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    folder.clear()
    again()
    assert folder.matches("b") and folder.frames == 0 and folder.last() is None


@pytest.mark.parametrize("names", [["holiday.png"], ["frames/frame_00000.ply"], ["particles.ply", "state.safetensors"]])
def test_folders_of_something_else_are_left_alone(names: list[str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    folder = SimulationFolder(tmp_path, *SIZE)
    for call in (folder.clear, lambda: folder.matches("a"), lambda: begun(tmp_path, some_particles())):
        assert "no simulation; choose an empty folder" in refused(call)
    assert all((tmp_path / name).read_text() == "mine" for name in names)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == len(names)


def test_an_interrupted_beginning_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "particles.ply").write_text("cut off before the manifest")
    particles = some_particles()
    assert begun(tmp_path, particles, frames=1).frames == 1
    assert read_mesh(tmp_path / "particles.ply").vertices.shape == (len(particles), 3)


def test_clearing_takes_away_its_own_files_alone(tmp_path: Path) -> None:
    folder = begun(tmp_path, some_particles(), frames=2)
    folder.finish("finished")
    (tmp_path / "frames" / "notes.txt").write_text("mine")
    (tmp_path / "film.mp4").write_text("mine")
    folder.clear()
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["film.mp4", "notes.txt"]
    SimulationFolder(tmp_path / "none", *SIZE).clear()
    begun(tmp_path / "other", some_particles(), frames=2).clear()
    assert not (tmp_path / "other").exists(), "where nothing else was in it"


def test_frames_of_other_programs_are_never_cleared(tmp_path: Path) -> None:
    particles = some_particles()
    folder = SimulationFolder(tmp_path, *SIZE)
    folder.create(particles, MATERIALS, PLANE, engine="files", fingerprint="a")
    folder.write(0, resting(particles))
    assert "another program" in refused(folder.clear)
    assert folder.frames == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data.update(version=99), "version"),
        (lambda data: data.update(format="else"), "version"),
        (lambda data: data.update(picture=[60, 80]), "another picture"),
        (lambda data: data.update(fps=0), "fps"),
        (lambda data: data.update(fps="10"), "fps"),
        (lambda data: data.update(dimensions=4), "dimensions"),
        (lambda data: data.update(particles=None), "particles"),
        (lambda data: data.update(particles=3), "is not what"),
    ],
)
def test_damaged_manifests_are_refused(change: Callable[[dict[str, Any]], None], said: str, tmp_path: Path) -> None:
    begun(tmp_path, some_particles(), frames=1)
    path = tmp_path / "manifest.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    assert said in refused(read_frame, SimulationFolder(tmp_path, *SIZE), 0)


@pytest.mark.parametrize("text", ["", "[1]", "{", "\x00", "[" * 100_000])
def test_what_is_no_manifest_is_refused(text: str, tmp_path: Path) -> None:
    begun(tmp_path, some_particles())
    (tmp_path / "manifest.json").write_text(text)
    assert "manifest.json" in refused(SimulationFolder(tmp_path, *SIZE).matches, "a")


def test_other_damage_is_named(tmp_path: Path) -> None:
    folder = begun(tmp_path, some_particles(), frames=2)
    assert "no frame 2" in refused(read_frame, folder, 2)
    (tmp_path / "state.safetensors").write_bytes(b"what?")
    assert "state.safetensors: is damaged" in refused(folder.last)
    (tmp_path / "frames" / "frame_00001.ply").write_bytes(b"ply\n")
    assert "frame_00001.ply" in refused(read_frame, folder, 1)
    (tmp_path / "file").write_text("")
    assert "no folder" in refused(SimulationFolder(tmp_path / "file", *SIZE).matches, "a")


def test_the_end_is_told(tmp_path: Path) -> None:
    folder = begun(tmp_path, some_particles(), frames=2)
    folder.finish("failed", "it blew up")
    result = json.loads((tmp_path / "result.json").read_text())
    assert result == {"status": "failed", "frames": 2, "message": "it blew up"}


def test_points_may_be_reordered_or_left_out(tmp_path: Path) -> None:
    particles = some_particles()
    folder = begun(tmp_path, particles, frames=1)
    path = tmp_path / "frames" / "frame_00001.ply"
    whole = folder._units.frame_columns(moved(particles, 1), particles.gaussian_ids)  # as another program would
    order = np.random.default_rng(0).permutation(len(particles))

    write_ply(path, {name: values[order] for name, values in whole.items()})
    frame = read_frame(folder, 1)
    torch.testing.assert_close(frame.positions, moved(particles, 1).positions)
    torch.testing.assert_close(frame.gradients, moved(particles, 1).gradients)

    some = order[:7]
    write_ply(path, {name: values[some].astype(np.float32) for name, values in whole.items()})
    frame = read_frame(folder, 1)  # an affine motion, so its gradient tells exactly where the others are
    torch.testing.assert_close(frame.positions, moved(particles, 1).positions, atol=1e-5, rtol=1e-5)

    bare = {name: values[some] for name, values in whole.items() if not name.startswith("f_")}
    write_ply(path, bare)
    frame = read_frame(folder, 1)
    assert frame.gradients is None
    torch.testing.assert_close(frame.positions[some], moved(particles, 1).positions[some])
    nearest = torch.cdist(particles.positions, particles.positions[some]).argmin(dim=1)
    offsets = particles.positions - particles.positions[some][nearest]
    torch.testing.assert_close(frame.positions, moved(particles, 1).positions[some][nearest] + offsets)

    for ids in (
        np.array([*bare["gaussian_id"][:-1], 999]),
        np.array([*bare["gaussian_id"][:-1], bare["gaussian_id"][0]]),
    ):
        write_ply(path, {**bare, "gaussian_id": ids.astype(np.int32)})
        assert "gaussian_id" in refused(read_frame, folder, 1)
    del bare["gaussian_id"]
    write_ply(path, bare)
    assert "gaussian_id" in refused(read_frame, folder, 1)
    more = {name: np.concatenate([values, values[:1]]) for name, values in whole.items()}
    write_ply(path, more)
    assert "13 vertices" in refused(read_frame, folder, 1)


def test_in_space_all_nine_gradients_are_needed(tmp_path: Path) -> None:
    particles = some_particles(dimensions=3)
    folder = begun(tmp_path, particles, frames=1)
    flat = {f"f_{row}{column}": np.ones(len(particles), np.float32) for row in "xy" for column in "xy"}
    columns = folder._units.frame_columns(replace(moved(particles, 1), gradients=None), particles.gaussian_ids)
    write_ply(tmp_path / "frames" / "frame_00001.ply", columns | flat)
    assert "all nine" in refused(read_frame, folder, 1)


def test_frames_are_those_that_gainer_bind_reads(tmp_path: Path) -> None:
    plane = ImagePlane(*SIZE)
    means = plane.pixel_centres(torch.arange(plane.pixels)).double()
    units = PlaneUnits(*SIZE)
    chosen = torch.randperm(plane.pixels)[:900]
    particles = replace(
        some_particles(900), positions=units.from_plane(means[chosen]).float(), gaussian_ids=chosen, bodies=chosen % 2
    )
    begun(tmp_path, particles, frames=3)
    reference = read_mesh(tmp_path / "particles.ply")
    binding = bind(reference, means)
    *_, last = read_frames(frame_files(tmp_path / "frames"), reference)
    places, jacobians = binding.at(last.vertices)
    expected = moved(particles, 2)
    torch.testing.assert_close(units.from_plane(places)[chosen].float(), expected.positions, atol=1e-5, rtol=1e-5)
    assert last.gradients is not None
    torch.testing.assert_close(jacobians[chosen], last.gradients, atol=1e-3, rtol=1e-3)


def test_colliders_and_forces_need_not_be_told(tmp_path: Path) -> None:
    config = SimpleNamespace(**{**vars(PLANE), "forces": None, "colliders": None})
    folder = SimulationFolder(tmp_path, *SIZE)
    folder.create(some_particles(), MATERIALS, config, engine="mpm", fingerprint="a")  # pyright: ignore
    assert folder.holds_simulation
