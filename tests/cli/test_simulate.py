"""``gainer simulate`` on a small fit, from the scene file to the film."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gainer_ns.physics.mpm.engine import MpmEngine

Gainer = Callable[..., None]
Refusal = Callable[..., str]

SCENES = Path(__file__).parents[2] / "configs" / "physics"
SMALL = "particles: 300\nduration: 0.1\n"


@pytest.fixture
def scene(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a scene file of 4 frames."""

    def write(text: str, name: str = "scene.yaml") -> Path:
        path = tmp_path / name
        path.write_text(SMALL + text, "utf8")
        return path

    return write


def frames_of(folder: Path) -> np.ndarray:
    paths = sorted(folder.glob("frame_*.png"))
    return np.stack([np.asarray(Image.open(path).convert("RGBA")) for path in paths])


def test_a_picture_falls(gainer: Gainer, fitted_run: Path, scene: Callable[..., Path], tmp_path: Path) -> None:
    text = "bodies: [{material: medium}]\ndomain: {margin: [0, 0, 0, 0.5]}\ncanvas: domain\n"
    gainer("simulate", "--load-config", fitted_run, "--scene", scene(text), "--output", tmp_path / "fall")
    frames = frames_of(tmp_path / "fall")
    assert frames.shape == (4, 112, 96, 4), "the domain is filmed"
    assert (frames[0, :64, :, 3] == 255).all() and not frames[0, 64:, :, 3].any()
    tops = [np.flatnonzero(frame[:, 48, 3])[0] for frame in frames]
    assert tops == [0, *sorted(tops[1:])] and tops[-1] in (2, 3), "5 / 2 * 0.1**2 widths of 96 pixels are 2.4"
    folder = tmp_path / "fall_simulation"
    assert json.loads((folder / "result.json").read_text())["status"] == "finished"
    assert len(list((folder / "frames").glob("*.ply"))) == 4


def test_a_simulation_is_drawn_again_without_being_made_again(
    gainer: Gainer, fitted_run: Path, scene: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scene("bodies: [{material: sand}]\n")
    words = ["simulate", "--load-config", fitted_run, "--scene", path, "--simulation", tmp_path / "kept"]
    gainer(*words, "--output", tmp_path / "one")
    monkeypatch.setattr(MpmEngine, "run", lambda *_: pytest.fail("simulated again"))
    gainer(*words, "--output", tmp_path / "two", "--scale", 2)
    one, two = frames_of(tmp_path / "one"), frames_of(tmp_path / "two")
    assert abs(two.shape[1] - 2 * one.shape[1]) <= 1 and len(one) == len(two) == 4
    path.write_text(path.read_text() + "background: {color: [0, 0, 255]}\ncamera: follow\n")
    gainer(*words, "--output", tmp_path / "blue.mp4")
    assert (tmp_path / "blue.mp4").stat().st_size > 1000


@pytest.mark.parametrize("canvas", ["domain", "auto"])
def test_what_was_interrupted_keeps_its_frames_and_goes_on(
    gainer: Gainer,
    fitted_run: Path,
    scene: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    canvas: str,
) -> None:
    path = scene(f"bodies: [{{material: liquid}}]\ncanvas: {canvas}\n")
    words = ["simulate", "--load-config", fitted_run, "--scene", path, "--output", tmp_path / "film"]
    run = MpmEngine.run

    def stopped(self: MpmEngine, *arguments: object):
        for frame in run(self, *arguments):  # type: ignore[arg-type]
            if frame.time > 0.05:
                raise KeyboardInterrupt
            yield frame

    with monkeypatch.context() as patch:
        patch.setattr(MpmEngine, "run", stopped)
        with pytest.raises(SystemExit) as ended:
            gainer(*words)
    assert ended.value.code == 130
    if canvas == "domain":
        kept = frames_of(tmp_path / "film")
        assert len(kept) == 2
    else:  # how far the film reaches is not known yet
        assert not (tmp_path / "film").exists()
    assert len(list((tmp_path / "film_simulation" / "frames").iterdir())) == 2
    gainer(*words)
    whole = frames_of(tmp_path / "film")
    assert len(whole) == 4
    if canvas == "domain":
        assert np.abs(whole[:2].astype(int) - kept).max() <= 1


def test_a_preview_is_small_and_kept_apart_and_says_first_how_long_it_takes(
    gainer: Gainer, fitted_run: Path, scene: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = scene("bodies: [{material: soft}]\ndomain: {margin: 0.25}\ncells: 64\ncanvas: domain\n")
    words = ["simulate", "--load-config", fitted_run, "--scene", path, "--output", tmp_path / "film.webp"]
    gainer(*words, "--preview")
    said = capsys.readouterr().out
    (about,) = re.findall(
        r"Preview of [\d,]+ particles at 0.5 of the size: about (\S+) s a frame, \S+ s for 4 frames", said
    )
    assert 0 < float(about) < 5 and said.index("Preview of") < said.index("Wrote")
    with Image.open(tmp_path / "film.webp") as film:
        assert film.size == (72, 56) and film.n_frames == 4  # type: ignore[attr-defined]
    assert (tmp_path / "film_preview_simulation").is_dir() and not (tmp_path / "film_simulation").exists()


def test_another_scene_does_not_replace_a_simulation_unasked(
    gainer: Gainer, refusal: Refusal, fitted_run: Path, scene: Callable[..., Path], tmp_path: Path
) -> None:
    words = ["simulate", "--load-config", fitted_run, "--output", tmp_path / "film"]
    gainer(*words, "--scene", scene("bodies: [{material: soft}]\n"))
    other = scene("bodies: [{material: stiff}]\n", "other.yaml")
    before = frames_of(tmp_path / "film")
    assert "--restart" in refusal(*words, "--scene", other)
    assert (frames_of(tmp_path / "film") == before).all()
    gainer(*words, "--scene", other, "--restart")


def test_frames_of_another_program_are_drawn(
    gainer: Gainer, fitted_run: Path, scene: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["simulate", "--load-config", fitted_run, "--scene", scene("bodies: [{material: sand}]\n")]
    gainer(*words, "--simulation", tmp_path / "ours", "--output", tmp_path / "one")
    theirs = [*words, "--engine", "files", "--simulation", tmp_path / "theirs", "--output", tmp_path / "two"]
    gainer(*theirs)
    assert "holds no frames yet" in capsys.readouterr().out and not (tmp_path / "two").exists()
    shutil.copytree(tmp_path / "ours" / "frames", tmp_path / "theirs" / "frames", dirs_exist_ok=True)
    gainer(*theirs)
    one, two = frames_of(tmp_path / "one"), frames_of(tmp_path / "two")
    assert np.abs(one.astype(int) - two).max() <= 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("bodies: [{material: jade}]", "jade"),
        ("bodies: [{material: soft}]\ndomain: {box: [0.2, 0, 1, 1]}", "does not hold"),
        ("bodies: [{material: {preset: stiff, E: 1.0e+9, density: 0.01}}]", "steps"),
    ],
)
def test_a_bad_scene_is_refused_in_one_line(
    refusal: Refusal, fitted_run: Path, scene: Callable[..., Path], tmp_path: Path, text: str, reason: str
) -> None:
    path = scene(text)
    message = refusal("simulate", "--load-config", fitted_run, "--scene", path, "--output", tmp_path / "film")
    assert reason in message
    assert [each.name for each in tmp_path.iterdir()] == ["scene.yaml"]


@pytest.mark.parametrize(
    ("output", "options", "says"),
    [
        ("film.png", (), "cannot hold 4 frames"),
        ("film.avi", (), "film.avi"),
        ("scene.yaml/film.mp4", (), "scene.yaml"),
        ("film.mp4", ("--scale", "0"), "scale"),
        ("film.mp4", ("--scale", "1e9"), "lower the scale"),
        ("film.mp4", ("--simulation", "{}"), "no simulation; choose an empty folder"),
    ],
)
def test_what_cannot_be_written_is_said_before_it_is_simulated(
    refusal: Refusal,
    fitted_run: Path,
    scene: Callable[..., Path],
    tmp_path: Path,
    output: str,
    options: tuple[str, ...],
    says: str,
) -> None:
    path = scene("bodies: [{material: soft}]\n")
    words = ["simulate", "--load-config", fitted_run, "--scene", path, "--output", tmp_path / output]
    assert says in refusal(*words, *(option.format(tmp_path) for option in options))
    assert [each.name for each in tmp_path.iterdir()] == ["scene.yaml"]


def test_engines_that_are_not_there_say_so(
    refusal: Refusal, fitted_run: Path, scene: Callable[..., Path], tmp_path: Path
) -> None:
    words = ["simulate", "--load-config", fitted_run, "--scene", scene("bodies: [{material: soft}]\n")]
    words += ["--output", tmp_path / "film"]
    assert "--engine-path" in refusal(*words, "--engine", "taichi_elements")
    assert "--engine-path" in refusal(*words, "--engine-path", tmp_path)
    assert str(tmp_path / "none") in refusal(*words, "--engine", "taichi_elements", "--engine-path", tmp_path / "none")
    assert not (tmp_path / "film_simulation").exists()


def test_frames_do_not_depend_on_threads(
    gainer: Gainer, fitted_run: Path, scene: Callable[..., Path], tmp_path: Path
) -> None:
    path, threads = scene("bodies: [{material: liquid}]\n"), torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            gainer("simulate", "--load-config", fitted_run, "--scene", path, "--output", tmp_path / str(count))
    finally:
        torch.set_num_threads(threads)
    one, two = ((tmp_path / f"{count}_simulation" / "frames" / "frame_00003.ply").read_bytes() for count in (1, 2))
    assert one == two
