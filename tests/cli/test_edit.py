"""``gainer edit`` as a user calls it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml
from PIL import Image

Gainer = Callable[..., None]
Refusal = Callable[..., str]

BOX = {"box": [10, 10, 40, 40]}
MOVE = {"select": BOX, "mode": "piece", "move": {"by": [30, 12]}}
"""Leaves a hole from (10, 10) to (40, 22), and more to the left of (40, 40)."""
FILM = {"frames": 5, "fps": 10}


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Path]:
    """Writes a script of these edits and further words."""
    folder = tmp_path / "scripts"
    folder.mkdir()

    def write(*edits: dict[str, Any], **words: Any) -> Path:
        path = folder / "edit.yaml"
        path.write_text(yaml.safe_dump({"edits": list(edits), **words}))
        return path

    return write


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A folder for results, which is empty."""
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


@pytest.fixture
def edit(gainer: Gainer, fitted_run: Path) -> Gainer:
    """``edit(script, output, *options)`` edits the fitted photo."""
    return lambda path, target, *options: gainer(
        "edit", "--load-config", fitted_run, "--script", path, "--output", target, *options
    )


@pytest.fixture
def refused(refusal: Refusal, fitted_run: Path) -> Refusal:
    """``refused(script, output, *options)`` tries to, and returns why not."""
    return lambda path, target, *options: refusal(
        "edit", "--load-config", fitted_run, "--script", path, "--output", target, *options
    )


def samples(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_an_edited_picture_can_be_kept(edit: Gainer, gainer: Gainer, script: Callable[..., Path], output: Path) -> None:
    """As a file of Gaussians, which is drawn like any fitted picture, and edited further."""
    turn = {"rotate": {"degrees": 10}}
    edit(script(MOVE), output / "edited.safetensors")
    edit(script(MOVE), output / "direct.png", "--scale", 2)
    gainer("render", "--load-config", output / "edited.safetensors", "--output", output / "kept.png", "--scale", 2)
    assert np.abs(samples(output / "kept.png").astype(int) - samples(output / "direct.png")).max() <= 1
    edit(script(MOVE, turn), output / "both.png")
    later = script(turn)
    gainer("edit", "--load-config", output / "edited.safetensors", "--script", later, "--output", output / "later.png")
    both, one_by_one = (samples(output / name).astype(float) for name in ("both.png", "later.png"))
    assert np.abs(both - one_by_one)[8:-8, 8:-8].mean() < 0.5


def test_a_picture_keeps_its_transparency(
    edit: Gainer, script: Callable[..., Path], output: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(script(MOVE), output / "out.png")
    after, before = samples(output / "out.png"), samples(photo)
    assert after.shape == (64, 96, 4)
    assert not after[12:20, 12:38, 3].any(), "the hole"
    assert (after[24:50, 42:68, 3] == 255).all()
    assert np.abs(after[25:49, 43:67, :3].astype(int) - before[13:37, 13:37]).max() <= 1, "what moved"
    np.testing.assert_array_equal(after[:8, :, :3], before[:8])
    said = capsys.readouterr().out
    assert "100%" in said and f"Wrote {output / 'out.png'}: 96 x 64 pixels" in said
    assert [path.name for path in output.iterdir()] == ["out.png"]


def test_what_changes_nothing_gives_the_source(
    edit: Gainer, script: Callable[..., Path], output: Path, photo: Path
) -> None:
    edit(script({"select": BOX, "mode": "piece", "rotate": {"degrees": 360}}), output / "out.png")
    np.testing.assert_array_equal(samples(output / "out.png"), samples(photo))


def test_scale_and_canvas_choose_what_is_drawn(edit: Gainer, script: Callable[..., Path], output: Path) -> None:
    edit(script(MOVE, canvas=[-4, -8, 100, 72]), output / "out.png", "--scale", 2)
    after = samples(output / "out.png")
    assert after.shape == (160, 208, 4)
    assert not after[:14].any() and (after[20:30, 20:180, 3] == 255).all()
    edit(script(MOVE), output / "deep.png", "--bit-depth", 16)
    assert (output / "deep.png").read_bytes()[24] == 16


@pytest.mark.parametrize(
    ("background", "colour"), [({"color": "#00ff00"}, [0, 255, 0]), ({"image": "sea.png"}, [10, 20, 200])]
)
def test_something_lies_behind(
    background: dict[str, Any], colour: list[int], edit: Gainer, script: Callable[..., Path], output: Path
) -> None:
    path = script(MOVE, background=background)
    Image.new("RGB", (30, 20), (10, 20, 200)).save(path.parent / "sea.png")
    edit(path, output / "out.png")
    after = samples(output / "out.png")
    assert after.shape == (64, 96, 3)
    assert np.abs(after[12:20, 12:38].astype(int) - colour).max() <= 1


@pytest.mark.parametrize("method", ["telea", "navier-stokes"])
def test_holes_are_painted_over(
    method: str, edit: Gainer, script: Callable[..., Path], output: Path, photo: Path
) -> None:
    edit(script(MOVE, background={"inpaint": method}), output / "out.png")
    after, before = samples(output / "out.png"), samples(photo)
    assert after.shape == (64, 96, 3)
    around = before[4:46, 4:46].reshape(-1, 3)
    hole = after[12:20, 12:38]
    assert (hole >= around.min(axis=0)).all() and (hole <= around.max(axis=0)).all()
    assert np.abs(hole.astype(int) - before[12:20, 12:38]).mean() > 3, "not what was there"


def test_a_film_is_a_folder_of_pictures(edit: Gainer, script: Callable[..., Path], output: Path, photo: Path) -> None:
    edit(script(MOVE, **FILM), output / "frames")
    names = sorted(path.name for path in (output / "frames").iterdir())
    assert names == [f"frame_{number:05d}.png" for number in range(5)]
    first, *_, last = (samples(output / "frames" / name) for name in names)
    np.testing.assert_array_equal(first[..., :3], samples(photo))
    edit(script(MOVE), output / "out.png")
    np.testing.assert_array_equal(last, samples(output / "out.png"))


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp"])
def test_a_film_is_a_file(suffix: str, edit: Gainer, script: Callable[..., Path], output: Path, photo: Path) -> None:
    film = output / f"film{suffix}"
    edit(script(MOVE, background={"color": [255, 255, 255]}, **FILM), film)
    if suffix == ".mp4":
        with av.open(str(film)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            assert float(container.streams.video[0].average_rate or 0) == 10
    else:
        with Image.open(film) as moving:
            frames = []
            for number in range(moving.n_frames):  # type: ignore[attr-defined]
                moving.seek(number)
                frames.append(np.asarray(moving.convert("RGB")))
    assert len(frames) == 5 and frames[0].shape == (64, 96, 3)
    assert np.abs(frames[0].astype(int) - samples(photo)).mean() < 6
    assert np.abs(frames[-1][13:19, 13:35].astype(int) - 255).mean() < 6, "the hole is white"
    assert [path.name for path in output.iterdir()] == [film.name]


def test_a_webp_without_frames_is_a_picture_unless_the_script_speaks_of_time(
    edit: Gainer, script: Callable[..., Path], output: Path, refused: Refusal
) -> None:
    edit(script(MOVE), output / "still.webp")
    with Image.open(output / "still.webp") as still:
        assert getattr(still, "n_frames", 1) == 1
    for timed in (script({**MOVE, "keyframes": {0: 0, 1: 1}}), script(MOVE, fps=10)):
        said = refused(timed, output / "film.webp")
        assert "has keyframes or fps" in said and "write frames: 48" in said


def test_an_exported_picture_is_edited_too(
    gainer: Gainer, script: Callable[..., Path], fitted_run: Path, output: Path
) -> None:
    stored = output / "stored.safetensors"
    gainer("export", "--load-config", fitted_run, "--format", "safetensors", "--output", stored)
    layers = {"small": {"picture": str(stored), "place": [60, 4], "scale": 0.25}}
    edit = {"layer": "small", "rotate": {"degrees": 90}}
    gainer("edit", "--load-config", stored, "--script", script(edit, layers=layers), "--output", output / "out.png")
    assert samples(output / "out.png").shape == (64, 96, 3)


BAD: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "an unknown word": ({"edits": [{"select": BOX, "mvoe": {"by": [1, 1]}}]}, ("line", "mvoe", "move")),
    "a region outside": ({"edits": [{**MOVE, "select": {"box": [100, 0, 120, 10]}}]}, ("line", "96 x 64")),
    "another mask": ({"edits": [{**MOVE, "select": {"mask": "mask.png"}}]}, ("line", "20 x 10", "96 x 64")),
    "a mask that is none": ({"edits": [{**MOVE, "select": {"mask": "edit.yaml"}}]}, ("line", "edit.yaml")),
    "all painted over": (
        {"edits": [{**MOVE, "select": {"box": [1, 1, 95, 63]}}], "background": {"inpaint": "telea"}},
        ("inpaint", "nothing is left"),
    ),
}
"""Of each kind one that something else finds; tests of scripts have the others, word by word."""


@pytest.mark.parametrize("mistake", BAD)
def test_mistakes_in_scripts_are_said_in_a_line(
    mistake: str, refused: Refusal, script: Callable[..., Path], output: Path
) -> None:
    content, says = BAD[mistake]
    path = script()
    Image.new("L", (20, 10), 255).save(path.parent / "mask.png")
    path.write_text(yaml.safe_dump(content))
    message = refused(path, output / "out.png")
    for word in says:
        assert word in message, message
    assert not list(output.iterdir())


def test_what_is_no_script_is_refused(refused: Refusal, script: Callable[..., Path], output: Path) -> None:
    path = script()
    path.write_text("edits: [")
    assert str(path) in refused(path, output / "out.png")
    assert str(path.parent / "no.yaml") in refused(path.parent / "no.yaml", output / "out.png")
    assert not list(output.iterdir())


@pytest.mark.parametrize("name", ["film.png", "film.jpg", "film.avi", "film.mp3"])
def test_files_that_hold_no_film_are_refused(
    name: str, refused: Refusal, script: Callable[..., Path], output: Path
) -> None:
    assert str(output / name) in refused(script(MOVE, **FILM), output / name)
    assert not list(output.iterdir())


@pytest.mark.parametrize(("name", "kind"), [("film.mp4", "a film"), ("film.gif", "a film"), ("frames", "a folder of")])
def test_a_script_without_frames_makes_no_film(
    name: str, kind: str, edit: Gainer, refused: Refusal, script: Callable[..., Path], output: Path
) -> None:
    message = refused(script(MOVE), output / name)
    assert f"{name}: is {kind}" in message and "frames: 48 (or seconds: 2)" in message and ".png" in message
    assert not list(output.iterdir())
    edit(script(MOVE, frames=1), output / name)
    assert [path.name for path in output.iterdir()] == [name], "who says one frame gets a film of one"


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ({"seconds": 0.5, "fps": 8, "loop": True}, [0, 10, 20, 30]),
        ({"frames": 4, "loop": "pingpong"}, [0, 20, 40, 20]),
        ({"frames": 3}, [0, 20, 40]),
    ],
)
def test_films_that_loop(
    words: dict[str, Any], shown: list[int], edit: Gainer, script: Callable[..., Path], output: Path
) -> None:
    move = {"select": BOX, "mode": "piece", "move": {"by": [40, 0]}, "easing": "linear"}
    edit(script(move, **words), output / "frames")
    frames = [samples(path) for path in sorted((output / "frames").iterdir())]
    assert len(frames) == len(shown)
    for frame, by in zip(frames, shown, strict=True):
        if by:
            assert frame.shape[2] == 4 and not frame[14:36, 11 : 9 + min(by, 30), 3].any(), "the hole"
        else:
            assert frame.shape[2] == 3, "nothing has moved"


def test_a_place_that_cannot_be_written_is_refused(refused: Refusal, script: Callable[..., Path], output: Path) -> None:
    (output / "file").write_text("")
    assert "file" in refused(script(MOVE), output / "file" / "out.png")
    assert "file" in refused(script(MOVE, **FILM), output / "file")
    assert [path.name for path in output.iterdir()] == ["file"]
    if os.geteuid() != 0:
        output.chmod(0o500)
        assert str(output) in refused(script(MOVE), output / "out.png")


def test_what_is_no_run_is_refused(refusal: Refusal, script: Callable[..., Path], output: Path) -> None:
    path = script(MOVE)
    for config in (output / "no.yml", path):
        message = refusal("edit", "--load-config", config, "--script", path, "--output", output / "out.png")
        assert str(config) in message
    assert not list(output.iterdir())


@pytest.mark.parametrize("scale", [0, -1, "nan", "inf", 1e9])
def test_sizes_that_cannot_be_drawn_are_refused(
    scale: object, refused: Refusal, script: Callable[..., Path], output: Path
) -> None:
    assert "scale" in refused(script(MOVE), output / "out.png", "--scale", scale)
    assert not list(output.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["film.mp4", "frames"])
def test_stopped_midway_it_leaves_nothing(
    name: str, script: Callable[..., Path], fitted_run: Path, output: Path
) -> None:
    path = script({"bend": {"degrees": 90, "axis": [[0, 32], [96, 32]]}}, frames=100_000)
    words = ["edit", "--load-config", str(fitted_run), "--script", str(path), "--output", str(output / name)]
    command = [sys.executable, "-W", "ignore", "-m", "gainer_ns.cli.main", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(900):
            if process.poll() is not None:
                pytest.fail(f"it ended by itself: {process.communicate()[1]}")
            if any(part.is_file() or any(part.iterdir()) for part in output.iterdir()):
                break
            time.sleep(0.1)
        else:
            process.kill()
            pytest.fail("nothing was written for a minute and a half")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode not in (0, -signal.SIGKILL)
    assert "Traceback" not in said
    assert not list(output.iterdir())


@pytest.mark.slow
def test_in_a_process_of_its_own(
    process: Callable[..., subprocess.CompletedProcess[str]],
    script: Callable[..., Path],
    fitted_run: Path,
    output: Path,
) -> None:
    words = ("edit", "--load-config", fitted_run, "--script")
    done = process(*words, script(MOVE), "--output", output / "out.png")
    assert done.returncode == 0, done.stderr
    assert samples(output / "out.png").shape == (64, 96, 4)
    failed = process(*words, script({"mvoe": 1}), "--output", output / "other.png")
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr and "mvoe" in failed.stderr
    assert not (output / "other.png").exists()
