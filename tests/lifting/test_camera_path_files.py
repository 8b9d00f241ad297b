"""Camera paths that cannot be filmed are refused in one line, and by the commands before anything is loaded."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gainer_ns.cli.main import entrypoint
from gainer_ns.errors import GainerError
from gainer_ns.frames import PinholeCamera
from gainer_ns.lifting import camera_path_files
from gainer_ns.lifting.camera_path_files import camera_path_of
from gainer_ns.lifting.camera_paths import camera_path, orbit
from gainer_ns.lifting.views import read_camera_path

Change = Callable[[dict[str, Any]], Any]
CAMERA = PinholeCamera(48, 36, (60.0, 60.0), (24.0, 18.0))


def words(**changed: Any) -> Change:
    return lambda said: {**said, **changed}


def second(**changed: Any) -> Change:
    """Of the second camera."""
    return lambda said: {**said, "camera_path": [said["camera_path"][0], {**said["camera_path"][1], **changed}]}


def turned(value: float) -> Change:
    return lambda said: second(camera_to_world=[value, *said["camera_path"][1]["camera_to_world"][1:]])(said)


def without(name: str) -> Change:
    return lambda said: {key: value for key, value in said.items() if key != name}


BAD = {
    "a list": (lambda said: [], "is not a camera path"),
    "empty": (lambda said: {}, "is not a camera path"),
    "cameras of no list": (words(camera_path=5), "is not a camera path"),
    "cameras that are none": (words(camera_path=[1, 2]), "is not a camera path"),
    "no cameras": (words(camera_path=[]), "without cameras"),
    "width 0": (words(render_width=0), "pictures of 0 x 36 pixels"),
    "height 0": (words(render_height=0), "pixels"),
    "negative width": (words(render_width=-48), "pixels"),
    "width of no number": (words(render_width="wide"), "pixels"),
    "width NaN": (words(render_width=math.nan), "pixels"),
    "endless height": (words(render_height=math.inf), "pixels"),
    "width of 400 digits": (words(render_width=10**400), "pixels"),
    "no height": (without("render_height"), "pixels"),
    "huge": (words(render_width=10**9, render_height=10**9), "GiB"),
    "huge across": (words(render_width=1e15), "GiB"),
    **{
        kind: (words(camera_type=kind), "perspective")
        for kind in ("vr180", "VR180", "omnidirectional", "Omnidirectional", "equirectangular", "fisheye", "no\nkind")
    },
    "kind of no word": (words(camera_type=3), "perspective"),
    "fps 0": (words(fps=0), "frames a second"),
    "fps NaN": (words(fps=math.nan), "frames a second"),
    "fps null": (words(fps=None), "frames a second"),
    "NaN in a matrix": (turned(math.nan), "camera 1 stands nowhere"),
    "infinity in a matrix": (turned(math.inf), "camera 1 stands nowhere"),
    "huge number in a matrix": (turned(1e30), "camera 1 stands nowhere"),
    "word in a matrix": (turned("a"), "camera 1 stands nowhere"),  # type: ignore[arg-type]
    "short matrix": (second(camera_to_world=[1.0]), "camera 1 stands nowhere"),
    "flat matrix": (second(camera_to_world=[0.0] * 16), "camera 1 stands nowhere"),
    "no matrix": (second(camera_to_world=None), "camera 1 stands nowhere"),
    "fov NaN": (second(fov=math.nan), "field of view"),
    "fov 0": (second(fov=0), "field of view"),
    "fov 180": (second(fov=180), "field of view"),
    "no fov": (second(fov=None), "field of view"),
}


@pytest.fixture
def written(tmp_path: Path) -> Callable[[Change], Path]:
    def write(change: Change) -> Path:
        (tmp_path / "path.json").write_text(json.dumps(change(camera_path(orbit(2), CAMERA))))
        return tmp_path / "path.json"

    return write


@pytest.mark.parametrize(("change", "says"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_filmed_is_one_line(change: Change, says: str, written: Callable[[Change], Path]) -> None:
    path = written(change)
    with pytest.raises(GainerError) as caught:
        camera_path_of(path)
    said = str(caught.value)
    assert said.startswith(str(path)) and says in said and "\n" not in said
    with pytest.raises(GainerError):
        read_camera_path(path)


@pytest.mark.parametrize("command", [("edit", "--script"), ("simulate", "--scene")], ids=lambda words: words[0])
@pytest.mark.parametrize("name", ["no cameras", "width 0", "vr180", "omnidirectional", "NaN in a matrix", "huge"])
def test_both_commands_refuse_it_before_they_load(
    command: tuple[str, str], name: str, written: Callable[[Change], Path], tmp_path: Path
) -> None:
    (tmp_path / "config.yml").write_text("none of a run", "utf8")
    (tmp_path / "file.yaml").write_text("none either", "utf8")
    path, output = written(BAD[name][0]), str(tmp_path / "out.mp4")
    files = ["--load-config", str(tmp_path / "config.yml"), command[1], str(tmp_path / "file.yaml"), "--output", output]
    with pytest.raises(SystemExit) as caught:
        entrypoint([command[0], *files, "--camera-path", str(path)])
    assert str(caught.value).startswith(str(path)) and BAD[name][1] in str(caught.value)
    assert {each.name for each in tmp_path.iterdir()} == {"config.yml", "file.yaml", "path.json"}


@pytest.mark.parametrize("command", [("edit", "--script"), ("simulate", "--scene")], ids=lambda words: words[0])
def test_the_scale_counts(command: tuple[str, str], written: Callable[[Change], Path], tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("none of a run", "utf8")
    files = ["--load-config", str(tmp_path / "config.yml"), command[1], str(tmp_path / "config.yml")]
    words = [command[0], *files, "--output", str(tmp_path / "out.mp4"), "--camera-path", str(written(unchanged))]
    for scale, says in (("1", "config.yml"), ("100000", "path.json"), ("nan", "config.yml"), ("-1", "config.yml")):
        with pytest.raises(SystemExit) as caught:
            entrypoint([*words, "--scale", scale])
        assert str(caught.value).startswith(str(tmp_path / says))


def unchanged(said: dict[str, Any]) -> dict[str, Any]:
    return said


@pytest.mark.parametrize(
    "change",
    [
        unchanged,
        without("camera_type"),
        words(fps=25, camera_type="Perspective", is_cycle=False),
        second(camera_to_world=[[1, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]], render_time="noon"),
    ],
)
def test_what_can_be_filmed_is_read(change: Change, written: Callable[[Change], Path]) -> None:
    path = read_camera_path(written(change))
    assert len(path.views) == 2 and path.fps in (24, 25)
    assert (path.views[0].camera.width, path.views[0].camera.height) == (48, 36)
    if change(camera_path(orbit(2), CAMERA))["camera_path"][1].get("render_time"):
        assert path.views[1].pose[:, 3].tolist() == [1, 2, 3]


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes.json").write_bytes(bytes(range(128, 256)))
    (tmp_path / "deep.json").write_text("[" * 100_000)
    for path in (tmp_path / "none.json", tmp_path / "bytes.json", tmp_path / "deep.json", tmp_path):
        with pytest.raises(GainerError):
            camera_path_of(path)


def test_a_path_that_is_far_too_long_is_not_even_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_path_files, "MAX_PATH_BYTES", 10)
    (tmp_path / "path.json").write_text(json.dumps({"camera_path": []}))
    with pytest.raises(GainerError, match="too long"):
        camera_path_of(tmp_path / "path.json")
