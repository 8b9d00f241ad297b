"""What an output's name means is the same to every subcommand, and is settled before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gainer_ns.image.loading import load_baked
from gainer_ns.io.image_io import read_picture
from gainer_ns.storage.picture_files import save_picture

Gainer = Callable[..., None]
Refusal = Callable[..., str]

EDIT = "edits:\n  - select: {box: [10, 10, 40, 40]}\n    move: {by: [0, 0]}\nframes: 1\n"


@pytest.fixture(scope="module")
def deep_file(fitted_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored picture of a source of 16 bits a sample, named in capitals."""
    path = tmp_path_factory.mktemp("deep") / "DEEP.SAFETENSORS"
    save_picture(replace(load_baked(fitted_run), bit_depth=16), path)
    return path


@pytest.fixture(scope="module")
def cut_out_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored picture that is clear around a square."""
    import gainer_ns as gn

    samples = np.full((48, 64, 4), 160, np.uint8)
    samples[..., 3] = 0
    samples[8:40, 8:44, 3] = 255
    path = tmp_path_factory.mktemp("cut_out") / "cut_out.safetensors"
    gn.fit(samples).save(path)
    return path


@pytest.fixture
def words(deep_file: Path, gainer: Gainer, tmp_path: Path) -> dict[str, list[object]]:
    """The words that call each subcommand, but for the output."""
    (tmp_path / "in").mkdir()
    script, cage = tmp_path / "in" / "edit.yaml", tmp_path / "in" / "cage.obj"
    script.write_text(EDIT)
    gainer("export", "--load-config", deep_file, "--format", "cage", "--output", cage)
    (tmp_path / "in" / "moved").mkdir()
    (tmp_path / "in" / "moved" / "frame_0.obj").write_bytes(cage.read_bytes())
    load = ["--load-config", deep_file]
    return {
        "render": ["render", *load],
        "edit": ["edit", *load, "--script", script],
        "bind": ["bind", *load, "--reference", cage, "--frames", tmp_path / "in" / "moved"],
    }


@pytest.mark.parametrize("command", ["render", "edit", "bind"])
def test_sixteen_bits_are_kept_under_any_name(
    command: str, words: dict[str, list[object]], gainer: Gainer, refusal: Refusal, tmp_path: Path
) -> None:
    """A name in capitals, a folder with a dot; and kinds of 8 bits are refused unless 8 are asked for."""
    gainer(*words[command], "--output", tmp_path / "out.PNG")
    assert read_picture(tmp_path / "out.PNG").bit_depth == 16
    if command != "render":
        (tmp_path / "take.2").mkdir()
        gainer(*words[command], "--output", tmp_path / "take.2")
        assert read_picture(tmp_path / "take.2" / "frame_00000.png").bit_depth == 16
    for options in ([], ["--bit-depth", 16]):
        assert "PNG only" in refusal(*words[command], "--output", tmp_path / "out.tif", *options)
    assert not (tmp_path / "out.tif").exists()
    gainer(*words[command], "--output", tmp_path / "out.tif", "--bit-depth", 8)
    assert read_picture(tmp_path / "out.tif").bit_depth == 8


def test_models_are_stored_and_read_under_names_in_capitals(
    deep_file: Path, words: dict[str, list[object]], gainer: Gainer, tmp_path: Path
) -> None:
    gainer(*words["edit"], "--output", tmp_path / "EDITED.SafeTensors")
    gainer("export", "--load-config", tmp_path / "EDITED.SafeTensors", "--output", tmp_path / "AGAIN.SAFETENSORS")
    assert load_baked(tmp_path / "AGAIN.SAFETENSORS").bit_depth == load_baked(deep_file).bit_depth == 16


@pytest.mark.parametrize(
    "command",
    [
        ["render", "--output"],
        ["edit", "--script", "none.yaml", "--output"],
        ["bind", "--reference", "none.obj", "--frames", "none", "--output"],
        ["simulate", "--scene", "none.yaml", "--output"],
        ["export", "--output"],
    ],
)
@pytest.mark.parametrize("name", ["out.avi", "file/out.png", "file/out.safetensors", "folder.ply/../file/a.mp4"])
def test_a_bad_output_is_said_before_anything_is_loaded(
    command: list[str], name: str, refusal: Refusal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even what is to be loaded is not there: nobody looked."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder.ply").mkdir()
    assert refusal(*command, name, "--load-config", "none.yml").startswith(f"{name}: ")


def test_a_folder_to_prepare_in_is_looked_at_first(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "is a file" in refusal("prepare", tmp_path / "none.jpg", "--output", tmp_path / "file")


@pytest.mark.parametrize(
    "command",
    [
        ["render"],
        ["edit", "--script", "none.yaml"],
        ["bind", "--reference", "none.obj", "--frames", "none"],
        ["simulate", "--scene", "none.yaml"],
        ["export"],
        ["view"],
    ],
)
def test_a_photo_is_no_run(command: list[str], refusal: Refusal, photo: Path, tmp_path: Path) -> None:
    words = (
        [] if command == ["view"] else ["--output", tmp_path / f"a.{'safetensors' if command == ['export'] else 'png'}"]
    )
    said = refusal(*command, *words, "--load-config", photo)
    remedy = f"give a run's config.yml, or fit it first: gainer fit {photo.name} --output FILE.safetensors"
    assert said == f"{photo}: is a picture, and not a configuration of ns-train; {remedy}"


def test_a_video_is_not_prepared(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x14ftypisom\0\0\0\0isom")
    assert "ffmpeg -i a.mp4" in refusal("prepare", tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("command", "name", "says"),
    [
        ("render", "out.jpg", "JPEG holds no opacity"),
        ("render", "out.mp4", "is a film by its name"),
        ("edit", "out.png", "cannot hold 3 frames"),
        ("edit", "out.gif", "cannot show 90 frames a second"),
        ("edit", "film.mp4", "the script makes one picture"),
        ("bind", "out.png", "cannot hold 2 frames"),
        ("bind", "out.gif", "cannot show 90 frames a second"),
        ("simulate", "out.png", "frames; name a folder"),
        ("simulate", "out.gif", "cannot show 90 frames a second"),
    ],
)
def test_what_a_file_cannot_hold_is_said_before_anything_is_drawn(
    command: str,
    name: str,
    says: str,
    cut_out_file: Path,
    gainer: Gainer,
    refusal: Refusal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from gainer_ns.editing.shots import Camera
    from gainer_ns.physics.mpm.engine import MpmEngine
    from gainer_ns.rendering.plane import BakedPicture

    script = EDIT.replace("frames: 1\n", "" if name == "film.mp4" else "frames: 3\nfps: 90\n")
    (tmp_path / "edit.yaml").write_text(script)
    (tmp_path / "scene.yaml").write_text("bodies: [{material: soft}]\nparticles: 100\nduration: 0.1\nfps: 90\n")
    load: list[object] = ["--load-config", cut_out_file]
    words: list[object] = {
        "render": [],
        "edit": ["--script", tmp_path / "edit.yaml"],
        "bind": ["--reference", tmp_path / "cage.obj", "--frames", tmp_path / "moved", "--fps", 90],
        "simulate": ["--scene", tmp_path / "scene.yaml"],
    }[command]
    if command == "bind":
        gainer("export", *load, "--format", "cage", "--output", tmp_path / "cage.obj")
        (tmp_path / "moved").mkdir()
        for number in range(2):
            (tmp_path / "moved" / f"frame_{number}.obj").write_bytes((tmp_path / "cage.obj").read_bytes())
    for place in ((Camera, "draw"), (BakedPicture, "raster"), (MpmEngine, "run")):
        monkeypatch.setattr(*place, lambda *_, **__: pytest.fail("drawn"))
    message = refusal(command, *load, *words, "--output", tmp_path / name)
    assert message.startswith(str(tmp_path / name)) and says in message
    assert not (tmp_path / name).exists()
