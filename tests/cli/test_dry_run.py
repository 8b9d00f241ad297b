"""``gainer edit --dry-run``: what would be done is said, and nothing is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gainer_ns.editing.shots import Camera

Gainer = Callable[..., None]
Refusal = Callable[..., str]
MOVE = {"select": {"box": [0, 0, "50%", 32]}, "move": {"by": ["25%", 0]}}

ALL_BUT_THE_RIM = {**MOVE, "select": {"box": [1, 1, 95, 63]}}


@pytest.fixture
def words(tmp_path: Path, fitted_run: Path) -> Callable[..., list[object]]:
    """``words(script, name, *options)``: the command."""

    def write(script: dict[str, Any], name: str, *options: object) -> list[object]:
        (tmp_path / "edit.yaml").write_text(yaml.safe_dump(script))
        (tmp_path / "out").mkdir(exist_ok=True)
        files = "--script", tmp_path / "edit.yaml", "--output", tmp_path / "out" / name
        return ["edit", "--load-config", fitted_run, *files, *options]

    return write


@pytest.fixture
def said(gainer: Gainer, words: Callable[..., list[object]], tmp_path: Path, capsys: Any) -> Callable[..., str]:
    """``said(script, name, *options)``: what a dry run says; it writes nothing."""

    def run(script: dict[str, Any], name: str, *options: object) -> str:
        capsys.readouterr()
        gainer(*words(script, name, "--dry-run", *options))
        assert not list((tmp_path / "out").iterdir())
        return capsys.readouterr().out

    return run


def test_a_picture(said: Callable[..., str]) -> None:
    text = said({"edits": [MOVE], "canvas": ["-25%", 0, "100%", 64]}, "a.png", "--scale", 2)
    lines = [line for line in text.splitlines() if line.strip()]
    assert "Picture: 96 x 64 pixels" in lines
    assert "edits[0]: move {by: [25%, 0]} of box [0, 0, 50%, 32]; selects 25 % of its pixels" in lines
    assert "Canvas: [-24, 0, 96, 64], 240 x 128 pixels of output" in lines
    assert any(line.startswith("Drawing: about ") and "s a frame" in line for line in lines)
    assert lines[-1].endswith("a.png, a picture (.png); nothing was written")
    assert "Film" not in text


@pytest.mark.parametrize(
    ("length", "name", "says"),
    [
        ({"frames": 12, "fps": 6}, "a.gif", ("Film: 12 frames, 2 s at 6 a second\n", "a film (.gif)")),
        ({"seconds": 2, "loop": True}, "a.mp4", ("48 frames, 2 s at 24 a second, which begins again", "a film (.mp4)")),
        ({"frames": 4, "loop": "pingpong"}, "frames", ("4 frames", "there and back", "a folder of frames (.png)")),
    ],
)
def test_a_film(length: dict[str, Any], name: str, says: tuple[str, ...], said: Callable[..., str]) -> None:
    text = said({"edits": [MOVE, {"rotate": {"degrees": {0: 0, 1: 20}}, "easing": "linear"}], **length}, name)
    assert "edits[1]: rotate {degrees: {0: 0, 1: 20}} of all, easing linear; selects all of its pixels" in text
    for part in says:
        assert part in text


def test_a_fitted_picture(said: Callable[..., str]) -> None:
    assert "a.safetensors, a fitted picture" in said({"edits": [MOVE]}, "a.safetensors")


def test_a_background_that_a_model_paints_is_not_painted(said: Callable[..., str]) -> None:
    assert "Drawing" in said({"edits": [MOVE], "background": {"inpaint": {"diffusers": "no/such"}}}, "a.png")


MISTAKES: list[tuple[dict[str, Any], str, tuple[object, ...]]] = [
    ({"edits": [{"mvoe": 1}]}, "a.png", ()),
    ({"edits": [{**MOVE, "select": {"box": [200, 0, 300, 9]}}]}, "a.png", ()),
    ({"edits": [MOVE], "frames": 3}, "a.png", ()),
    ({"edits": [MOVE]}, "a.mp4", ()),
    ({"edits": [MOVE]}, "folder", ()),
    ({"edits": [MOVE]}, "a.avi", ()),
    ({"edits": [MOVE]}, "a.png", ("--scale", 0)),
    ({"edits": [MOVE], "camera": "a.json"}, "a.png", ()),
    ({"edits": [{"rotate": {"degrees": 9, "axis": "y"}}]}, "a.png", ()),
    ({"edits": [MOVE], "frames": 3, "fps": 90}, "a.gif", ()),
    (
        {"edits": [{**MOVE, "mode": "piece", "select": {"box": [1, 1, 95, 63]}}], "background": {"inpaint": "telea"}},
        "a.png",
        (),
    ),
]


@pytest.mark.parametrize(("script", "name", "options"), MISTAKES)
def test_what_is_wrong_is_said_as_without_it_before_anything_is_drawn(
    script: dict[str, Any],
    name: str,
    options: tuple[object, ...],
    refusal: Refusal,
    words: Callable[..., list[object]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Camera, "draw", lambda *_: pytest.fail("drawn"))
    command = words(script, name, *options)
    assert refusal(*command) == refusal(*command, "--dry-run")
    assert not list((tmp_path / "out").iterdir())
