import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from gainer_ns.editing.film_length import frame_times
from gainer_ns.editing.lifted_stage import LiftedStage
from gainer_ns.editing.script import Script, read_script
from gainer_ns.errors import GainerError
from gainer_ns.lifting.camera_paths import camera_path, dolly
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.lifting.views import read_camera_path
from gainer_ns.picture import Picture

MOVE = {"select": {"box": [16, 12, 32, 24]}, "move": {"by": [3, 4, 5]}}


def read(folder: Path, said: Any, layers: int = 2) -> Script:
    path = folder / "edit.yaml"
    path.write_text(yaml.safe_dump(said, sort_keys=False))
    return read_script(path, 48, 36, lifted_layers=layers)


def test_a_script_is_read_and_written_back(tmp_path: Path) -> None:
    (tmp_path / "path.json").touch()
    said = {
        "edits": [{**MOVE, "rotate": {"degrees": 5, "axis": "x"}, "keyframes": {0: 0, 1: 2}}, {"scale": {"factor": 2}}],
        "background": {"color": [1, 2, 3]},
        "camera": "path.json",
        "frames": 3,
    }
    script = read(tmp_path, said)
    assert script.edits[0].words == ("move", "rotate") and script.camera == tmp_path / "path.json"
    assert read(tmp_path, yaml.safe_load(script.to_yaml(tmp_path))) == script


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"edits": [{**MOVE, "order": "back"}]}, r"edits\[0\].order: is for flat pictures"),
        ({"edits": [MOVE], "canvas": [0, 0, 1, 1]}, "canvas: is for flat pictures; .*edits, background, camera"),
        ({"edits": [MOVE], "background": {"inpaint": "telea"}}, "inpaint: is for flat pictures; .*color, image"),
        ({"edits": [{**MOVE, "wobble": 3}]}, "wobble: unknown word; allowed: .*move, rotate, scale"),
        ({"edits": [{"select": "all"}]}, "does nothing; write one or more of move, rotate, scale"),
        ({"edits": [{**MOVE, "layer": "sky"}]}, "layer: must be 'object' or 'background'"),
        ({"edits": [{**MOVE, "select": {"box": [90, 0, 99, 9]}}]}, r"edits\[0\].select.box: lies outside"),
        ({"edits": [{"move": {"by": [1]}}]}, "move.by: must have 2 values"),
        ({"edits": [{"move": {"by": [1, 2, 3, 4]}}]}, "move.by: must have at most 3 values"),
        ({"edits": [MOVE], "camera": "none.json"}, "camera: .*does not exist"),
        ({"frames": 3}, "has neither edits nor layers nor a camera"),
    ],
)
def test_mistakes_are_one_line(said: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(GainerError, match=problem) as caught:
        read(tmp_path, said)
    assert "\n" not in str(caught.value) and "edit.yaml, line" in str(caught.value)


def test_there_may_be_no_background(tmp_path: Path) -> None:
    with pytest.raises(GainerError, match="lifted without its background"):
        read(tmp_path, {"edits": [{**MOVE, "layer": "background"}]}, layers=1)


@pytest.fixture
def path_file(lifted_scene: Callable[..., LiftedScene], tmp_path: Path) -> Path:
    """A camera path of four frames towards the scene and back."""
    (tmp_path / "dolly.json").write_text(json.dumps(camera_path(dolly(4), lifted_scene().camera)))
    return tmp_path / "dolly.json"


def test_a_film_is_as_long_as_its_camera_path(lifted_scene: Callable[..., LiftedScene], path_file: Path) -> None:
    scene, views = lifted_scene(), read_camera_path(path_file).views
    film = Picture(scene).frames([MOVE], camera_path=path_file)
    assert (len(film), film.fps) == (4, 24.0)
    stage = LiftedStage(Script.model_validate({"edits": [MOVE]}), scene)
    shots = [stage.shot(views, t) for t in frame_times(4)]
    assert [shot.view for shot in shots] == list(views)
    torch.testing.assert_close(shots[0].raster()[0], scene.raster()[0], atol=1e-4, rtol=0)
    assert [views.index(shot.view) for shot in (stage.shot(views, t) for t in frame_times(7))] == [0, 0, 1, 2, 2, 2, 3]
    longer = Picture(scene).frames({"edits": [MOVE], "frames": 7, "fps": 5}, camera_path=path_file)
    assert (len(longer), longer.fps) == (7, 5)


def test_frames_are_written(lifted_scene: Callable[..., LiftedScene], path_file: Path, tmp_path: Path) -> None:
    scene = lifted_scene((1.0,), (16, 12, 32, 24))
    script = {"edits": [{"move": {"by": [5, 0]}}], "background": {"color": [255, 0, 0]}, "camera": str(path_file)}
    assert Picture(scene).frames(script, scale=0.5).save(tmp_path / "frames") == (24, 18)
    assert len(list((tmp_path / "frames").iterdir())) == 4
