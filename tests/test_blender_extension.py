"""Blender's extension, installed into a Blender of its own and used as its buttons do."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

import gainer_ns as gn
from gainer_ns.io.meshes import read_mesh

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "integrations" / "blender"


@pytest.fixture(scope="module")
def used(photo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of what a session in Blender has drawn, and what it has said."""
    if importlib.util.find_spec("bpy") is None:
        pytest.skip("no Blender: the module bpy is missing (extra blender, Python 3.11)")
    folder = tmp_path_factory.mktemp("blender")
    shutil.copy(photo, folder / "photo.png")
    with zipfile.ZipFile(folder / "gainer.zip", "w") as archive:
        for path in FOLDER.glob("*.*"):
            archive.write(path, path.name)
    program = folder / "gainer"
    program.write_text(f"#!{sys.executable}\nfrom gainer_ns.cli.main import entrypoint\nentrypoint()\n", "utf8")
    program.chmod(0o755)
    words = [folder / "gainer.zip", folder / "photo.png", program, folder]
    session = [sys.executable, ROOT / "tests" / "blender_session.py", *words]
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(folder / "user")}
    done = subprocess.run(session, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder, json.loads((folder / "said.json").read_text("utf8"))


def test_the_manifest_fits_the_project() -> None:
    manifest = tomllib.loads((FOLDER / "blender_manifest.toml").read_text("utf8"))
    assert manifest["version"] == yaml.safe_load((ROOT / "CITATION.cff").read_text("utf8"))["version"]
    assert len(manifest["tagline"]) <= 64 and not manifest["tagline"].endswith(".")
    assert all(len(reason) <= 64 for reason in manifest["permissions"].values())


def test_a_cage_shows_its_picture(used: tuple[Path, dict[str, Any]]) -> None:
    folder, said = used
    cage = said["cage"]
    assert cage["size"] == [96, 64] and Path(cage["reference"]).parent == folder / "photo_gainer"
    vertices = read_mesh(Path(cage["reference"])).vertices.numpy()
    np.testing.assert_allclose(cage["vertices"], vertices, atol=1e-6)
    at = vertices[cage["corners"], :2] / [1, 64 / 96] + 0.5  # the picture fills (0, 0) to (1, 1)
    np.testing.assert_allclose(cage["uv"], at, atol=1e-5)


def test_frames_are_those_of_bind(used: tuple[Path, dict[str, Any]]) -> None:
    """The last frame lies on the arc that Simple Deform makes of the cage, drawn by ``gainer bind`` itself."""
    folder, said = used
    cage = read_mesh(Path(said["cage"]["reference"]))
    x, y, _ = cage.vertices.numpy().T
    radius = (x.max() - x.min()) / np.radians(40)
    turn = x / radius
    bent = np.stack([(radius - y) * np.sin(turn), radius - (radius - y) * np.cos(turn), 0 * x], axis=1)
    frames = folder / "expected"
    frames.mkdir()
    lines = [f"v {a:.7f} {b:.7f} {c:.7f}" for a, b, c in bent]
    lines += ["f " + " ".join(str(corner + 1) for corner in face) for face in cage.faces.tolist()]
    (frames / "frame_00000.obj").write_text("\n".join(lines), "utf8")
    picture = gn.load(said["cage"]["model"])
    (expected,) = picture.bind(cage.path, frames, canvas=(-48, -32, 144, 96))
    drawn = np.asarray(Image.open(folder / "frame.png"))
    assert drawn.shape == expected.shape == (128, 192, 4)
    error = np.abs(drawn[..., 3] / 255 - expected[..., 3] / 255)
    visible = (drawn[..., 3] == 255) & (expected[..., 3] == 255)
    squares = np.square(drawn[visible] / 255 - expected[visible] / 255).mean()
    assert -10 * np.log10(squares) > 60 and error.mean() < 1e-4 and visible.mean() > 0.2
    names = sorted(path.name for path in (folder / "frames").iterdir())
    assert names == [f"frame_{number:05d}.png" for number in range(3)]
    last = np.asarray(Image.open(folder / "frames" / names[-1]))
    assert np.array_equal(last, drawn)
    first = np.asarray(Image.open(folder / "frames" / names[0]).convert("RGBA"))
    assert np.abs(first[32:96, 48:144, :3].astype(int) - np.asarray(Image.open(folder / "photo.png"))).max() <= 1


def test_settings_are_kept_in_the_file(used: tuple[Path, dict[str, Any]]) -> None:
    folder, said = used
    assert said["kept"] == [str(folder / "photo.png"), 16, 50, said["cage"]["model"]]


def test_what_is_wrong_is_said(used: tuple[Path, dict[str, Any]]) -> None:
    _, said = used
    assert "choose a picture" in said["no picture"] and not said["is polled"]
    assert "not a picture" in said["no such kind"] and "Traceback" not in said["no such kind"]
    assert "Subdivision" in said["other vertices"]
