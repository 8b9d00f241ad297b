"""Every number that becomes memory is compared with what is free, before any is taken.

Each door is passed with the memory of this machine, and refused in one line where a container leaves hardly any.
"""

import functools
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gainer_ns import memory
from gainer_ns.editing.backdrops import BackgroundPlate
from gainer_ns.editing.backgrounds import Background
from gainer_ns.editing.shots import check_frame
from gainer_ns.errors import GainerError
from gainer_ns.exporting.cage import cage_over
from gainer_ns.exporting.gaussians import PlainGaussians, write_points, write_triangles
from gainer_ns.exporting.splat import write_splat
from gainer_ns.frames import ImagePlane, PinholeCamera
from gainer_ns.image.loading import load_baked
from gainer_ns.io.depth_files import read_depth
from gainer_ns.io.image_io import read_picture
from gainer_ns.io.json_files import read_object
from gainer_ns.io.masks import read_mask
from gainer_ns.io.meshes import read_mesh, write_obj, write_ply
from gainer_ns.io.outputs import FILMS
from gainer_ns.io.sequence_io import open_sequence_writer
from gainer_ns.lifting import fit as lift_fit
from gainer_ns.lifting import model as lift_model
from gainer_ns.lifting.camera_path_files import camera_path_of
from gainer_ns.lifting.camera_paths import camera_path, orbit
from gainer_ns.physics.engine import Particles, SimulationConfig
from gainer_ns.physics.forces import Gravity
from gainer_ns.physics.mpm.grid import Grid
from gainer_ns.physics.scene import Scene
from gainer_ns.physics.simulated_plane import SimulatedPlane, content_of
from gainer_ns.physics.simulated_space import thickened
from gainer_ns.rendering.raster import RasterGrid, check_room
from gainer_ns.storage.picture_files import load_picture, save_picture

FREE = 16 << 10
WIDTH, HEIGHT = 60, 50
VALUES = np.arange(WIDTH * HEIGHT).reshape(HEIGHT, WIDTH)
CPU = torch.device("cpu")
Door = Callable[[Path], Callable[[], object]]
"""Makes what is asked for, in a folder, and gives what asks for it."""


def picture(suffix: str, kind: str = "uint8", read: Callable[[Path], object] = read_picture) -> Door:
    def door(folder: Path) -> Callable[[], object]:
        path = folder / f"a{suffix}"
        Image.fromarray((VALUES % 7 > 3).astype(kind) * np.iinfo(kind).max).save(path)
        return lambda: read(path)

    return door


def colours_of_16_bits(folder: Path) -> Callable[[], object]:
    import cv2

    cv2.imwrite(str(folder / "a.png"), np.repeat(VALUES[..., None], 3, axis=2).astype(np.uint16))
    return lambda: read_picture(folder / "a.png")


def depth(suffix: str) -> Door:
    def door(folder: Path) -> Callable[[], object]:
        path, values = folder / f"a{suffix}", (VALUES + 1).astype(np.float32)
        if suffix == ".npy":
            np.save(path, values)
        elif suffix == ".npz":
            np.savez_compressed(path, depth=values)
        elif suffix == ".pfm":
            path.write_bytes(f"Pf {WIDTH} {HEIGHT} -1.0\n".encode() + values.tobytes())
        elif suffix == ".tif":
            Image.fromarray(values).save(path)
        else:
            Image.fromarray(values.astype(np.uint16)).save(path)
        return lambda: read_depth(path, WIDTH, HEIGHT)

    return door


def mesh(suffix: str, is_text: bool = False) -> Door:
    def door(folder: Path) -> Callable[[], object]:
        path, places = folder / f"a{suffix}", np.random.default_rng(0).random((800, 3)).astype(np.float32)
        faces = np.arange(798).reshape(-1, 3)
        if is_text:
            rows = "\n".join(" ".join(map(str, row)) for row in places.tolist())
            names = "\n".join(f"property float {name}" for name in "xyz")
            path.write_text(f"ply\nformat ascii 1.0\nelement vertex {len(places)}\n{names}\nend_header\n{rows}\n")
        elif suffix == ".obj":
            write_obj(path, places, places[:, :2], faces)
        else:
            write_ply(path, dict(zip("xyz", places.T, strict=True)), faces)
        return lambda: read_mesh(path)

    return door


def film(suffix: str) -> Door:
    def door(folder: Path) -> Callable[[], object]:
        def write() -> None:
            with open_sequence_writer(folder / f"a{suffix}", frames=2) as sequence:
                for _ in range(2):
                    sequence.write(np.zeros((HEIGHT, WIDTH, 3), np.float32))

        return write

    return door


def grid(low: tuple[float, ...], high: tuple[float, ...]) -> Door:
    config = SimulationConfig(low=low, high=high, gravity=Gravity())
    return lambda folder: lambda: Grid.over(config, 0.1, CPU)


def particles(folder: Path) -> Callable[[], object]:
    count = 30
    places = torch.rand(count, 3, dtype=torch.float64)
    ones, none = torch.ones(count, dtype=torch.float64), torch.zeros(count, dtype=torch.int64)
    surface = Particles(places, ones, torch.zeros_like(places), none, torch.arange(count), 0.01)
    return lambda: thickened(surface, 0.1 * ones)


def raster(scale: float, crop: tuple[float, float, float, float] | None = None) -> Door:
    return lambda folder: lambda: check_room(RasterGrid.over(ImagePlane(WIDTH, HEIGHT), scale, crop), CPU)


def exported(write: Callable[[Path, PlainGaussians], object]) -> Door:
    places, covariances = torch.rand(300, 2), 1e-3 * torch.eye(2).expand(300, 2, 2)
    gaussians = PlainGaussians(places, covariances, torch.rand(300, 3), torch.ones(300))
    return lambda folder: lambda: write(folder / "a.ply", gaussians)


def object_of(folder: Path) -> Callable[[], object]:
    (folder / "a.json").write_text(json.dumps({"numbers": list(range(500))}))
    return lambda: read_object(folder / "a.json", "a list", "write one")


def cage(folder: Path) -> Callable[[], object]:
    return lambda: cage_over(ImagePlane(WIDTH, HEIGHT), torch.zeros(1, 2), 40)


def path_of_a_camera(folder: Path) -> Callable[[], object]:
    (folder / "path.json").write_text(json.dumps(camera_path(orbit(1), PinholeCamera.centred(48, 36, 50.0))))
    return lambda: camera_path_of(folder / "path.json")


DOORS: dict[str, Door] = {
    "a picture": picture(".png"),
    "a picture of one bit": picture(".bmp"),
    "grays of 16 bits": picture(".png", "uint16"),
    "colours of 16 bits": colours_of_16_bits,
    "a mask": picture(".png", read=read_mask),
    **{f"depth as {suffix}": depth(suffix) for suffix in (".npy", ".npz", ".png", ".tif", ".pfm")},
    "a mesh": mesh(".ply"),
    "a mesh as text": mesh(".ply", is_text=True),
    "a mesh as .obj": mesh(".obj"),
    **{f"a film as {suffix}": film(suffix) for suffix in FILMS},
    "a grid on a plane": grid((0.0, 0.0), (1.0, 1.0)),
    "a grid in space": grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "particles": particles,
    "a scale": raster(4.0),
    "a part of a picture": raster(4.0, (0.0, 0.0, 50.0, 40.0)),
    "cells of a cage": cage,
    "points of an export": exported(write_points),
    "triangles of an export": exported(write_triangles),
    "splats of an export": exported(write_splat),
    "words": object_of,
    "a camera path": path_of_a_camera,
}


@pytest.fixture
def hardly_any(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Leaves this process ``FREE`` bytes, as a container would."""
    root = tmp_path_factory.mktemp("root")
    (root / "proc/self").mkdir(parents=True)
    (root / "sys/fs/cgroup").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("0::/\n")
    (root / "sys/fs/cgroup/memory.max").write_text(f"{10**9 + FREE}\n")
    (root / "sys/fs/cgroup/memory.current").write_text(f"{10**9}\n")
    return lambda: monkeypatch.setattr(memory, "ROOT", root)


def refused(ask: Callable[[], object]) -> str:
    with pytest.raises(GainerError) as caught:
        ask()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", DOORS)
def test_what_does_not_fit_is_refused(name: str, tmp_path: Path, hardly_any: Callable[[], None]) -> None:
    ask = DOORS[name](tmp_path)
    ask()
    hardly_any()
    assert "of memory, " in refused(ask)


def test_runs_and_model_files_and_the_sizes_they_say(
    fitted_run: Path, tmp_path: Path, hardly_any: Callable[[], None]
) -> None:
    fitted = load_baked(fitted_run, "cpu")
    save_picture(fitted, tmp_path / "a.safetensors")
    load_picture(tmp_path / "a.safetensors")
    painted = Background.model_validate({"inpaint": "telea"})

    def hole() -> torch.Tensor:
        raise AssertionError("memory for it has been taken")

    hardly_any()
    assert "of memory, " in refused(lambda: load_baked(fitted_run, "cpu"))
    assert "of memory, " in refused(lambda: load_picture(tmp_path / "a.safetensors"))
    assert "of memory, " in refused(lambda: BackgroundPlate.of(painted, fitted, hole))
    assert "of memory, " in refused(lambda: check_frame(fitted, 1.0))
    assert "of memory, " in refused(lambda: fitted.raster(1.0))


def test_a_packed_checkpoint_is_as_large_as_what_is_in_it(
    fitted_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path(shutil.copytree(fitted_run.parent, tmp_path / "run"))
    (path,) = (run / "nerfstudio_models").glob("*.ckpt")
    state = torch.load(path, weights_only=True)
    torch.save({**state, "nothing": torch.zeros(10**6)}, path)
    with zipfile.ZipFile(path) as archive:
        files = {each.filename: archive.read(each) for each in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    assert path.stat().st_size < 2 * 10**6
    monkeypatch.setattr(memory, "free_memory", lambda root=None: 6 * 10**6)
    assert "of memory, " in refused(lambda: load_baked(run / "config.yml", "cpu"))


def test_a_checkpoint_that_says_the_same_numbers_over_and_over(fitted_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(fitted_run.parent, tmp_path / "run"))
    (path,) = (run / "nerfstudio_models").glob("*.ckpt")
    state = torch.load(path, weights_only=True)
    means = next(name for name in state["pipeline"] if name.endswith("encoding.means"))
    state["pipeline"][means] = torch.zeros(1, 2).expand(10**9, 2)
    torch.save(state, path)
    assert path.stat().st_size < 10**7
    assert str(path) in refused(lambda: load_baked(run / "config.yml", "cpu"))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("gainer", {"num_gaussians": 10**8}),
        ("gainer", {"gaussians_per_pixel": 900.0}),
        ("gainer", {"feature_dim": 1024, "gaussians_per_pixel": 50.0}),
        ("gainer", {"hidden_layers": 2, "hidden_dim": 2**16}),
        ("gainer-paper", {"num_gaussians": 10**8}),
        ("gainer-compact", {"num_gaussians": 10**8}),
        ("siren", {"function.hidden_dim": 2**16}),
        ("ingp", {"function.log2_table_size": 30, "function.finest": 1e3}),
        ("gaussian-image", {"function.num_gaussians": 10**8}),
    ],
)
def test_options_of_a_fit_that_ask_for_too_much(
    method: str,
    options: dict[str, float],
    fit: Callable[..., Path],
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def edit(config: Any) -> None:
        for name, value in options.items():
            *holders, last = name.split(".")
            setattr(functools.reduce(getattr, holders, config.pipeline.model), last, value)

    monkeypatch.setattr(memory, "free_memory", lambda root=None: 100 << 20)
    assert "what this fit learns takes about" in refused(lambda: fit(photo, tmp_path, method, edit))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("module", "constant", "says"),
    [(lift_model, "_BYTES_PER_PIXEL", "lifting 0.0 megapixels"), (lift_fit, "_BYTES_PER_DISC", "million discs")],
)
def test_photos_that_are_too_large_to_be_lifted(
    module: Any,
    constant: str,
    says: str,
    fit: Callable[..., Path],
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    width, height = Image.open(photo).size
    np.save(tmp_path / "depth.npy", np.ones((height, width), np.float32))

    def edit(config: Any) -> None:
        config.pipeline.datamanager.depth_path = tmp_path / "depth.npy"

    monkeypatch.setattr(module, constant, 10**12)
    assert says in refused(lambda: fit(photo, tmp_path / "runs", "gainer-lift", edit))


def test_more_particles_than_fit(fitted_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = load_baked(fitted_run, "cpu")
    scene = Scene.model_validate({"bodies": [{"material": "soft"}], "particles": "all"})
    scene = scene.on(fitted.plane.width, fitted.plane.height, content_of(fitted))
    SimulatedPlane(scene, fitted)
    monkeypatch.setattr(memory, "free_memory", lambda root=None: 100 * len(fitted.gaussians))
    assert "particles: " in refused(lambda: SimulatedPlane(scene, fitted))


def test_a_step_on_more_pixels_than_fit(
    fit: Callable[..., Path], photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edit(config: Any) -> None:
        config.pipeline.model.function.hidden_dim = 768
        config.pipeline.model.pixels_per_step = None

    monkeypatch.setattr(memory, "free_memory", lambda root=None: 100 << 20)
    assert refused(lambda: fit(photo, tmp_path, "siren", edit)).startswith("a step on 6,144 pixels takes about")


@pytest.mark.parametrize("density", [0.0, -1.0, float("nan"), float("inf")])
def test_densities_that_are_none(density: float, fit: Callable[..., Path], photo: Path, tmp_path: Path) -> None:
    def edit(config: Any) -> None:
        config.pipeline.model.gaussians_per_pixel = density

    assert "gaussians-per-pixel" in refused(lambda: fit(photo, tmp_path, "gainer", edit))


def test_no_header_makes_more_numbers_than_the_file_holds(tmp_path: Path) -> None:
    """An .npz whose array is the right one, with a gigabyte of nothing behind it."""
    header = io.BytesIO()
    np.save(header, VALUES.astype(np.float32))
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("depth.npy", "w") as file,
    ):
        file.write(header.getvalue())
        for _ in range(4):
            file.write(bytes(1 << 20))
    assert (tmp_path / "a.npz").stat().st_size < 20_000
    assert "more than one number" in refused(lambda: read_depth(tmp_path / "a.npz", WIDTH, HEIGHT))


@pytest.mark.parametrize("element", ["vertex", "face"])
@pytest.mark.parametrize("count", [5, 10**9, 10**30])
@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian"])
def test_ply_files_that_hold_less_than_they_say_are_refused(
    element: str, count: int, kind: str, tmp_path: Path
) -> None:
    counts = {"vertex": 4, "face": 2} | {element: count}
    header = [
        f"ply\nformat {kind} 1.0\nelement vertex {counts['vertex']}",
        *(f"property float {name}" for name in "xyz"),
        f"element face {counts['face']}\nproperty list uchar int vertex_indices\nend_header\n",
    ]
    places = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    if kind == "ascii":
        rows = [" ".join(map(str, place)) for place in places] + ["3 0 1 2", "3 0 2 3"]
        body = "\n".join(rows if element == "face" else rows[:4]).encode()
    else:
        body = np.array(places, "<f4").tobytes() + b"".join(
            b"\x03" + np.array(f, "<i4").tobytes() for f in ([0, 1, 2],) * 2
        )
    (tmp_path / "a.ply").write_bytes("\n".join(header).encode() + body + b"\n")
    assert str(tmp_path / "a.ply") in refused(lambda: read_mesh(tmp_path / "a.ply"))
