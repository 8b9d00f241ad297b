"""The round trip through a real Blender: its Python module if installed, or else its program."""

import importlib.util
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from gainer_ns.cli.main import entrypoint
from gainer_ns.editing.binding import bind
from gainer_ns.exporting.cage import cage_over
from gainer_ns.exporting.gaussians import PlainGaussians, write_triangles
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.placement import lattice_means
from gainer_ns.image.loading import load_baked
from gainer_ns.io.mesh_frames import check_frames, frame_files, read_frames
from gainer_ns.io.meshes import read_mesh, write_obj

SCRIPT = Path(__file__).parents[1] / "data_scripts" / "blender_bend.py"
PLANE = ImagePlane(48, 32)
DEGREES, FRAMES = 40.0, 3

Bend = Callable[..., Path]


@pytest.fixture(scope="module")
def bend(tmp_path_factory: pytest.TempPathFactory) -> Bend:
    """Bends a mesh in a Blender process and returns the folder of the frames."""
    if importlib.util.find_spec("bpy") is not None:
        start = [sys.executable, str(SCRIPT)]
    elif program := shutil.which("blender"):
        start = [program, "--background", "--python-exit-code", "1", "--python", str(SCRIPT), "--"]
    else:
        pytest.skip("no Blender: neither the module bpy (extra blender, Python 3.11) nor the program blender")

    def run(mesh: Path) -> Path:
        folder = tmp_path_factory.mktemp("frames") / "new"
        options = ["--degrees", str(DEGREES), "--frames", str(FRAMES)]
        subprocess.run([*start, str(mesh), str(folder), *options], check=True, timeout=120, capture_output=True)
        return folder

    return run


def gainer(*words: object) -> None:
    entrypoint([str(word) for word in words])


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.square(a - b).mean()))


def arc(points: torch.Tensor, length: float) -> torch.Tensor:
    """Where a bend takes points: the line y = 0 becomes an arc of the same length that touches it in the middle."""
    radius = length / math.radians(DEGREES)
    turn, away = points[:, 0] / radius, radius - points[:, 1]
    return torch.stack([away * turn.sin(), radius - away * turn.cos()], dim=1)


@pytest.mark.parametrize("suffix", [".obj", ".ply"])
def test_blender_moves_the_picture_along_an_arc(bend: Bend, suffix: str, tmp_path: Path) -> None:
    means = lattice_means(PLANE, jitter=0.3).double()
    if suffix == ".obj":
        write_obj(tmp_path / "mesh.obj", *cage_over(PLANE, means, 12))
        tolerance = 0.003  # between the vertices of the cage the arc is a chord
    else:
        sizes = (0.64 * PLANE.pixel_size) ** 2 * torch.eye(2).expand(len(means), 2, 2)
        nothing = torch.zeros(len(means), 3)
        write_triangles(tmp_path / "mesh.ply", PlainGaussians(means, sizes, nothing, nothing[:, 0]))
        tolerance = 1e-5
    reference = read_mesh(tmp_path / f"mesh{suffix}")
    files = frame_files(bend(reference.path))
    assert [file.name for file in files] == [f"frame_{n:05d}{suffix}" for n in range(FRAMES)]
    check_frames(files, reference)
    binding = bind(reference, means)
    frames = [binding.at(frame.vertices) for frame in read_frames(files, reference)]

    unmoved, jacobians = frames[0]
    torch.testing.assert_close(unmoved, means, rtol=0, atol=2e-6)  # Blender's OBJ files have six digits
    torch.testing.assert_close(jacobians, torch.eye(2).double().expand_as(jacobians), rtol=0, atol=1e-3)

    length = float(reference.vertices[:, 0].max() - reference.vertices[:, 0].min())
    bent, jacobians = frames[-1]
    torch.testing.assert_close(bent, arc(means, length), rtol=0, atol=tolerance)
    exact = torch.func.vmap(torch.func.jacfwd(lambda point: arc(point[None], length)[0]))(means)
    torch.testing.assert_close(jacobians, exact, rtol=0, atol=0.03 if suffix == ".ply" else 0.08)


def bent_back(points: torch.Tensor, length: float) -> torch.Tensor:
    """From where a bend took points: the inverse of ``arc``."""
    radius = length / math.radians(DEGREES)
    turn = torch.atan2(points[:, 0], radius - points[:, 1])
    return torch.stack([radius * turn, radius - torch.hypot(points[:, 0], radius - points[:, 1])], dim=1)


def test_a_photo_follows_the_cage_through_blender(bend: Bend, fitted_run: Path, tmp_path: Path) -> None:
    """The whole way by the commands of docs/blender.md: export, bend, bind."""
    cage, canvas = tmp_path / "cage.obj", (-10, -30, 106, 74)
    gainer("export", "--load-config", fitted_run, "--format", "cage", "--cells", 32, "--output", cage)
    words = ["--load-config", fitted_run, "--reference", cage, "--frames", bend(cage), "--canvas", *canvas]
    gainer("bind", *words, "--output", tmp_path / "frames")
    gainer("bind", *words, "--output", tmp_path / "film.mp4")

    frames = [np.asarray(Image.open(path).convert("RGBA")) / 255 for path in sorted((tmp_path / "frames").iterdir())]
    assert len(frames) == FRAMES and frames[0].shape == (104, 116, 4)
    picture = load_baked(fitted_run, "cpu")
    unmoved = [part.numpy() for part in picture.raster(1, tuple(map(float, canvas)))]
    np.testing.assert_allclose(frames[0], np.concatenate(unmoved, axis=2), atol=1.5 / 255)

    vertices = read_mesh(cage).vertices
    y, x = torch.meshgrid(torch.arange(104) - 29.5, torch.arange(116) - 9.5, indexing="ij")
    places = picture.plane.plane_from_pixel(torch.stack([x, y], dim=-1).view(-1, 2).double())
    source = bent_back(places, float(vertices[:, 0].max() - vertices[:, 0].min()))
    inside = (torch.tensor(picture.plane.half_extent) - source.abs()).amin(dim=1) / picture.plane.pixel_size
    inside, last = inside.view(104, 116).numpy(), frames[-1]
    assert (last[inside < -1.5, 3] == 0).all() and (last[inside > 1.5, 3] == 1).all()
    expected = picture.at(source.float()).rgb.view(104, 116, 3).clamp(0, 1).numpy()
    assert psnr(last[inside > 2, :3], expected[inside > 2]) > 38
    assert psnr(last[inside > 2, :3], frames[0][inside > 2, :3]) < 20

    with av.open(str(tmp_path / "film.mp4")) as film:
        shown = [frame.to_ndarray(format="rgb24") / 255 for frame in film.decode(video=0)]
    assert len(shown) == FRAMES
    assert psnr(shown[-1], last[..., :3] * last[..., 3:] + 1 - last[..., 3:]) > 30, "on white"


def test_the_package_never_imports_blender() -> None:
    package = SCRIPT.parents[1] / "gainer_ns"
    words = ("import bpy", "from bpy", "blender_bend")
    assert not [path for path in package.rglob("*.py") if any(word in path.read_text("utf8") for word in words)]
