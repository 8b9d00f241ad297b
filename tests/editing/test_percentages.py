"""Places and lengths in percent of a picture."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gainer_ns.editing.percentages import Percentage, has_percentages
from gainer_ns.editing.script import Script, read_script
from gainer_ns.editing.stage import Stage
from gainer_ns.errors import GainerError
from gainer_ns.physics.scene import Scene

OPERATIONS = {
    "move": {"by": ["10%", "-5%"]},
    "rotate": {"degrees": 20, "center": ["25%", "50%"]},
    "scale": {"factor": 2, "center": ["25%", "50%"]},
    "mirror": {"direction": "vertical", "center": ["25%", "50%"]},
    "stretch": {"factor": 2, "axis": [["0%", 0], ["100%", "50%"]]},
    "bend": {"degrees": 20, "axis": [["0%", 0], ["100%", "50%"]]},
    "twirl": {"degrees": 20, "center": ["25%", "50%"], "radius": "30%"},
    "wave": {"amplitude": "2%", "period": "25%"},
    "perspective": {"corners": [["0%", "0%"], ["90%", "10%"], ["100%", "100%"], ["0%", "100%"]]},
    "cut": {"line": [["0%", "50%"], ["100%", "50%"]], "gap": "10%"},
    "drag": {"handles": [{"from": ["50%", "50%"], "to": ["60%", "50%"]}], "fixed": [["0%", "0%"]]},
    "lattice": {"offsets": [[["0%", 0], ["5%", 0]], [[0, 0], [0, "-5%"]]]},
}
SELECTIONS = [
    {"box": ["10%", "20%", "60%", "80%"], "feather": "5%"},
    {"polygon": [["10%", "10%"], ["90%", 0], ["50%", "90%"]]},
    {"disc": {"center": ["50%", "50%"], "radius": "20%"}},
    {"minus": [{"box": [0, 0, "100%", "100%"]}, {"disc": {"center": ["50%", "50%"], "radius": "20%"}}]},
]


def in_pixels(words: Any, width: int, height: int, axis: str = "") -> Any:
    """Replace percentages by what they stand for: plainly, by the words around them."""
    if isinstance(words, dict):
        return {word: in_pixels(value, width, height, word) for word, value in words.items()}
    if isinstance(words, list):
        if axis in ("by", "offsets") or not all(isinstance(one, str | int | float) for one in words):
            return [in_pixels(one, width, height, axis) for one in words]
        return [in_pixels(one, width, height, "xy"[i % 2]) for i, one in enumerate(words)]
    if not (isinstance(words, str) and words.endswith("%")):
        return words
    return {"x": width, "y": height}.get(axis, min(width, height)) * float(words[:-1]) / 100


@pytest.mark.parametrize("size", [(200, 100), (60, 90)])
@pytest.mark.parametrize("select", SELECTIONS, ids=lambda select: next(iter(select)))
@pytest.mark.parametrize("word", OPERATIONS)
def test_every_number_of_a_script(word: str, select: dict[str, Any], size: tuple[int, int], tmp_path: Path) -> None:
    """Percentages mean pixels, and are written as they were read: so a script fits pictures of other sizes later."""
    said = {"edits": [{"select": select, word: OPERATIONS[word]}], "canvas": ["-10%", 0, "110%", "100%"]}
    script = read_script(said, *size)
    assert script == read_script(in_pixels(said, *size), *size)
    (tmp_path / "script.yaml").write_text(script.to_yaml())
    assert "%" in script.to_yaml()
    again = read_script(tmp_path / "script.yaml", 640, 480)
    assert again == read_script(said, 640, 480) and again.to_yaml() == script.to_yaml()


@given(st.floats(-300, 300, allow_nan=False), st.integers(1, 5000), st.integers(1, 5000))
def test_a_percentage_is_a_share_of_its_side(percent: float, width: int, height: int) -> None:
    said = {"move": {"by": [f"{percent:.6f}%", 0]}, "rotate": {"degrees": 1, "center": [f"{percent:.6f}%"] * 2}}
    edit = read_script({"edits": [said]}, width, height).edits[0]
    assert edit.move.by[0] == pytest.approx(percent / 100 * min(width, height), abs=1e-3)
    assert edit.rotate.center == pytest.approx((percent / 100 * width, percent / 100 * height), abs=1e-3)


def test_lifted_scripts() -> None:
    said = {
        "edits": [
            {
                "select": {"box": [0, 0, "50%", "100%"]},
                "move": {"by": ["10%", 0, "10%"]},
                "rotate": {"degrees": 3, "center": ["50%", "50%", "-20%"]},
                "bend": {"degrees": 9, "axis": [["0%", "50%"], ["100%", "50%", "10%"]]},
            }
        ]
    }
    script = read_script(said, 200, 100, lifted_layers=1)
    edit = script.edits[0]
    assert edit.select.box == (0, 0, 100, 100) and edit.move.by == (10, 0, 10)
    assert edit.rotate.center == (100, 50, -20) and edit.bend.axis == ((0, 50), (200, 50, 10))
    assert "[50%, 50%, -20%]" in script.to_yaml()


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ({"move": {"by": ["10 percent", 0]}}, "edits[0].move.by[0]: must be a number, not '10 percent'"),
        ({"move": {"by": ["%", 0]}}, "must be a number"),
        ({"twirl": {"degrees": 3, "radius": "0%"}}, "edits[0].twirl.radius: must be greater than 0.000001, not 0.0"),
        ({"twirl": {"degrees": "50%"}}, "edits[0].twirl.degrees: must be a number, not '50%'"),
        ({"select": {"box": ["50%", 0, "40%", 9]}, "move": {"by": [1, 2]}}, "select.box: is empty"),
        ({"select": {"box": ["110%", 0, "120%", 9]}, "move": {"by": [1, 2]}}, "select.box: lies outside the picture"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(edit: dict[str, Any], says: str) -> None:
    with pytest.raises(GainerError) as caught:
        read_script({"edits": [edit]}, 100, 50)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_scenes_have_none() -> None:
    with pytest.raises(GainerError, match=r"select.box\[2\]: 50% of a picture is known to edit scripts only; write a"):
        Scene.read({"bodies": [{"select": {"box": [0, 0, "50%", 1]}, "material": "jelly"}]})


def layered(**edit: Any) -> dict[str, Any]:
    return {"layers": {"cat": {"picture": "cat.safetensors", "place": ["10%", "50%"]}}, "edits": [edit]}


def test_selections_in_layers_are_in_percent_of_the_layer(fitted: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cat.safetensors").touch()
    picture, cat = fitted(torch.rand(40, 60, 3)), fitted(torch.rand(16, 24, 3))
    said = layered(layer="cat", select={"box": ["50%", 0, "100%", "50%"]}, move={"by": ["10%", 0]})
    script = read_script(said, 60, 40)
    assert script.layers["cat"].place == (6, 20) and script.edits[0].move.by == (4, 0)
    stage = Stage(script, picture, {"cat": cat})
    edit = stage.script.edits[0]
    assert isinstance(stage.script, Script) and edit.select.box == (12, 0, 24, 8) and edit.move.by == (4, 0)
    assert stage.script.to_yaml() == script.to_yaml() and stage.follow(script)
    mixed = read_script(layered(layer="cat", select={"box": [16, 0, "50%", 9]}, move={"by": [1, 0]}), 60, 40)
    with pytest.raises(GainerError, match=r"edits\[0\].select: does not fit its layer, which is 24 x 16 pixels"):
        Stage(mixed, picture, {"cat": cat})


def test_what_has_percentages() -> None:
    script = read_script({"edits": [{"move": {"by": ["1%", 0]}}]}, 100, 50)
    assert has_percentages(script) and not has_percentages(script.edits[0].select)
    assert isinstance(script.model_copy(deep=True).edits[0].move.by[0], Percentage)
