"""What an output's name means is decided once, from the name alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gainer_ns.errors import GainerError
from gainer_ns.io.outputs import FILMS, PICTURES, Means, folder_output, is_exported, named_output, output_for

ALL: tuple[Means, ...] = ("picture", "frames", "film", "model")


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("a.png", {"picture"}),
        ("a.tiff", {"picture"}),
        ("a.webp", {"picture", "film"}),
        ("a.mp4", {"film"}),
        ("a.gif", {"film"}),
        ("a.safetensors", {"model"}),
        ("a", {"frames"}),
    ],
)
@pytest.mark.parametrize("write", [str, str.upper, str.title])
def test_capitals_mean_the_same(tmp_path: Path, name: str, means: set[Means], write: object) -> None:
    path = tmp_path / write(name)  # pyright: ignore[reportCallIssue]
    assert output_for(path, *ALL).means == means
    assert is_exported(path) == (means == {"model"})


@pytest.mark.parametrize("name", ["run.v2", "run.png", "run.mp4", "run.safetensors"])
def test_a_folder_that_exists_is_one_whatever_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    output = output_for(tmp_path / name, *ALL, bit_depth=16)
    assert output.is_folder and not output.is_model and output.bit_depth(None, 16, 9) == 16
    assert folder_output(tmp_path / "new.v3").is_folder
    assert not list((tmp_path / name).iterdir())


@pytest.mark.parametrize("suffix", [*PICTURES, *FILMS])
@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("source", [8, 16])
@pytest.mark.parametrize("asked", [None, 8, 16])
def test_sixteen_bits_are_kept_or_refused(
    tmp_path: Path, suffix: str, frames: int, source: int, asked: int | None
) -> None:
    """Only PNG holds them; films have 8 unless 16 are asked for, which is refused."""
    output = output_for(tmp_path / f"a{suffix}", "picture", "film")
    wanted = asked or source
    if wanted == 8 or suffix.endswith(".png"):
        assert output.bit_depth(asked, source, frames) == wanted
    elif asked is None and suffix in FILMS and (frames > 1 or suffix not in PICTURES):
        assert output.bit_depth(asked, source, frames) == 8
    else:
        with pytest.raises(GainerError, match="PNG only"):
            output.bit_depth(asked, source, frames)
    if asked == 16 and not suffix.endswith(".png"):
        with pytest.raises(GainerError, match="PNG only"):
            output_for(tmp_path / f"a{suffix}", "picture", "film", bit_depth=asked)


def test_a_model_has_no_bit_depth(tmp_path: Path) -> None:
    with pytest.raises(GainerError, match="leave out the bit depth"):
        output_for(tmp_path / "a.safetensors", *ALL, bit_depth=16)


@pytest.mark.parametrize(
    ("name", "means", "says"),
    [
        ("a.avi", ALL, "cannot write that kind"),
        ("a.b.c", ALL, "without a dot"),
        ("a", ("picture",), "end the name in .png"),
        ("a.mp4", ("picture",), "is a film by its name"),
        ("a.safetensors", ("picture", "frames", "film"), "cannot write that kind"),
        ("folder.png", ("picture",), "is a folder"),
        ("folder.mp4", ("film",), "is a folder"),
        ("file", ALL, "is a file"),
        ("file/a.png", ALL, "file is a file"),
        ("file/deeper/frames", ALL, "file is a file"),
        ("gone/a.png", ALL, "gone is a file"),
    ],
)
def test_what_means_nothing_is_said(tmp_path: Path, name: str, means: tuple[Means, ...], says: str) -> None:
    for folder in ("folder.png", "folder.mp4"):
        (tmp_path / folder).mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(GainerError, match=says) as refused:
        output_for(tmp_path / name, *means)
    assert str(refused.value).startswith(f"{tmp_path / name}: ") and "\n" not in str(refused.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["shut/a.png", "shut/a", "shut/deeper/a.mp4"])
def test_a_closed_folder_is_said(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shut").mkdir()
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "shut")
    with pytest.raises(GainerError, match="shut is closed to you"):
        output_for(tmp_path / name, *ALL)


@pytest.mark.parametrize(
    ("name", "frames", "fps", "says"),
    [
        ("a.png", 2, 24, "cannot hold 2 frames"),
        ("a.png", 0, 24, "nothing to show"),
        ("a.gif", 2, 51, "0.01 to 50"),
        ("a.mp4", 1, 0, "0.01 to 1000"),
        ("a.webp", 2, float("nan"), "choose from"),
    ],
)
def test_what_a_kind_cannot_show_is_said(tmp_path: Path, name: str, frames: int, fps: float, says: str) -> None:
    with pytest.raises(GainerError, match=says):
        output_for(tmp_path / name, *ALL).check_frames(frames, fps)


def test_frame_rates_matter_to_films_alone(tmp_path: Path) -> None:
    for name in ("a.webp", "a.png", "a"):
        output_for(tmp_path / name, *ALL).check_frames(1, 0)


def test_jpeg_holds_no_opacity(tmp_path: Path) -> None:
    for suffix, kind in PICTURES.items():
        output = output_for(tmp_path / f"a{suffix}", "picture")
        output.check_opacity(False)
        if not kind.opacity:
            with pytest.raises(GainerError, match="no opacity"):
                output.check_opacity(True)


def test_named_files(tmp_path: Path) -> None:
    assert named_output(tmp_path / "a.PLY", ".ply") == tmp_path / "a.PLY"
    with pytest.raises(GainerError, match=r"end the name in \.ply"):
        named_output(tmp_path / "a.obj", ".ply")


def test_nothing_slow_is_imported() -> None:
    slow = "torch", "nerfstudio", "cv2", "av", "numpy", "PIL"
    code = f"import sys, gainer_ns.io.outputs; sys.exit(any(name in sys.modules for name in {slow}))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
