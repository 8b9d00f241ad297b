"""Pins and bones of an edit script, on cut-outs."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gainer_ns.editing.material_motion import MaterialOperation, MaterialSource
from gainer_ns.editing.script import Script, read_script
from gainer_ns.editing.stage import Stage
from gainer_ns.errors import GainerError
from gainer_ns.motion.rest_map import RestMap
from gainer_ns.motion.shown import Shown
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.sheet import Sheet

PINS = [{"at": [12, 30]}, {"at": [40, 30]}, {"at": [84, 30], "to": [80, 12], "rotate": 40}]
JOINTS = {"hip": [10, 30], "knee": [48, 30], "foot": [86, 30]}
RIG = {"joints": JOINTS, "bones": {"thigh": ["hip", "knee"], "shin": ["knee", "foot"]}}


@pytest.fixture
def bar(picture: Callable[..., BakedPicture]) -> BakedPicture:
    opacity = torch.zeros(96, 96)
    opacity[20:40, 6:90] = 1.0
    return picture(96, 96, opacity=opacity)


def script(*edits: dict[str, Any], **words: Any) -> Script:
    return Script.read({"edits": list(edits), **words})


def sheet_at(stage: Stage, t: float = 1.0) -> Sheet:
    layer = stage.at(t).layers[0]
    assert isinstance(layer, Sheet) and layer.rest_map is not None
    return layer


def gone(stage: Stage, *points: tuple[float, float], t: float = 1.0) -> Tensor:
    """Where pixels have gone, by what the sheet is drawn with."""
    sheet = sheet_at(stage, t)
    plane = stage.picture.plane
    moved, _ = sheet.rest_map.forward(plane.plane_from_pixel(torch.tensor(points, dtype=torch.float64)))
    return plane.pixel_from_plane(moved)


def test_pins_are_where_they_should_be(bar: BakedPicture) -> None:
    moved = gone(Stage(script({"pins": PINS}), bar), (12, 30), (40, 30), (84, 30))
    torch.testing.assert_close(moved, torch.tensor([[12.0, 30], [40, 30], [80, 12]]).double(), atol=0.05, rtol=0)
    around = gone(Stage(script({"pins": PINS}), bar), (84, 30), (85, 30), (84, 29)).numpy() @ [1, 1j]
    turn = np.exp(-1j * math.radians(40))
    np.testing.assert_allclose(around[1:] - around[0], [turn, -1j * turn], atol=0.05)


@pytest.mark.parametrize("words", [{"pins": PINS}, {"rig": {**RIG, "pose": {"shin": 30}}}], ids=["pins", "rig"])
@pytest.mark.parametrize("box", [[50, 15, 95, 45], [50, 15, 96, 96]])
def test_what_is_cut_out_afterwards_has_gone_along(bar: BakedPicture, words: dict[str, Any], box: list[float]) -> None:
    """Parts of a piece share its steps: what one keeps of its own pixels must not serve the other."""
    whole, cut = script(words), script(words, {"select": {"box": box}, "mode": "piece", "move": {"by": [0, -9]}})
    stage = Stage(cut, bar)
    plane = bar.plane
    layers = stage.at(1.0).layers
    for layer, points, by in zip(layers, ([(10, 30), (40, 25)], [(60, 30), (84, 30)]), (0.0, -9.0), strict=True):
        assert isinstance(layer, Sheet) and isinstance(layer.rest_map, RestMap)
        rest = plane.plane_from_pixel(torch.tensor(points, dtype=torch.float64))
        there = plane.pixel_from_plane(layer.rest_map.forward(rest)[0])
        expected = gone(Stage(whole, bar), *points) + torch.tensor([0.0, by])
        torch.testing.assert_close(there, expected, atol=0.05, rtol=0)


def test_half_of_it_is_half_of_the_angle(bar: BakedPicture) -> None:
    stage = Stage(script({"pins": [{"at": [48, 30], "rotate": 80}], "easing": "linear"}, frames=3), bar)
    tip = gone(stage, (58, 30), t=0.5) - torch.tensor([[48.0, 30]])
    np.testing.assert_allclose(tip.numpy() @ [1, 1j], 10 * np.exp(-1j * math.radians(40)), atol=0.05)


def keyed() -> Script:
    keyframes = [{"time": 0, "to": [84, 30], "rotate": 0}, {"time": 1, "to": [70, 60], "rotate": -60}]
    return script({"pins": [*PINS[:2], {"at": [84, 30], "keyframes": keyframes}], "easing": "linear"}, frames=5)


def test_keyframes_of_a_pin(bar: BakedPicture) -> None:
    stage = Stage(keyed(), bar)
    for t in (0.25, 0.5, 1.0):
        goal = torch.tensor([[84 - 14 * t, 30 + 30 * t]]).double()
        torch.testing.assert_close(gone(stage, (84, 30), t=t), goal, atol=0.05, rtol=0)


def test_frames_are_the_same_in_any_order(bar: BakedPicture) -> None:
    times = [0.2, 0.9, 0.5, 1.0]
    forward, backward = Stage(keyed(), bar), Stage(keyed(), bar)
    one = {t: sheet_at(forward, t).rest_map.grid.nodes for t in times}
    other = {t: sheet_at(backward, t).rest_map.grid.nodes for t in reversed(times)}
    assert all(torch.equal(one[t], other[t]) for t in times)


def test_bones_turn_by_their_angles(bar: BakedPicture) -> None:
    stage = Stage(script({"rig": {**RIG, "pose": {"shin": 50}}}), bar)
    ends = gone(stage, (10, 30), (16, 30), (80, 30), (84, 30)).numpy() @ [1, 1j]
    angles = np.degrees(-np.angle(ends[1::2] - ends[::2]))
    np.testing.assert_allclose(angles, [0, 50], atol=0.1)


def test_a_foot_is_held(bar: BakedPicture) -> None:
    edit = {"rig": {**RIG, "ik": {"foot": [70, 50]}}}
    torch.testing.assert_close(
        gone(Stage(script(edit), bar), (86, 30)), torch.tensor([[70.0, 50]]).double(), atol=0.3, rtol=0
    )


def test_a_rig_from_a_file(bar: BakedPicture, tmp_path: Path) -> None:
    """Percent of the box of what is visible; a clip says the rest."""
    (tmp_path / "leg.yaml").write_text(
        "joints: {hip: [5, 50], knee: [50, 50], foot: [95, 50]}\nbones: {thigh: [hip, knee], shin: [knee, foot]}\n"
    )
    (tmp_path / "kick.yaml").write_text("keyframes:\n- {time: 0, pose: {shin: 0}}\n- {time: 1, pose: {shin: 50}}\n")
    path = tmp_path / "edit.yaml"
    path.write_text("edits:\n- rig: {file: leg.yaml, clip: kick.yaml}\n  easing: linear\nframes: 3\n")
    stage = Stage(read_script(path, 96, 96), bar)
    ends = gone(stage, (80, 30), (84, 30), t=0.5).numpy() @ [1, 1j]
    assert np.degrees(-np.angle(ends[1] - ends[0])) == pytest.approx(25, abs=0.1)


@pytest.mark.parametrize("depth", [2, -2])
@pytest.mark.parametrize("word", ["pins", "rig"])
def test_what_is_nearer_passes_in_front(picture: Callable[..., BakedPicture], word: str, depth: float) -> None:
    """An end of a bar comes to lie over its other end; what is clear beside it covers nothing."""
    opacity = torch.zeros(96, 96)
    opacity[44:52, 6:90] = 1.0
    bar = picture(96, 96, opacity=opacity)
    if word == "pins":
        pins = [{"at": [10, 48]}, {"at": [30, 48]}, {"at": [50, 48]}, {"at": [68, 48], "to": [56, 34], "rotate": 120}]
        edit = {"pins": [*pins, {"at": [86, 48], "to": [42, 48], "rotate": 210, "depth": depth}]}
    else:
        joints = {"a": [8, 48], "b": [40, 48], "c": [64, 48], "d": [88, 48]}
        bones = {"one": ["a", "b"], "two": ["b", "c"], "three": ["c", "d"]}
        edit = {
            "rig": {"joints": joints, "bones": bones, "pose": {"two": 110, "three": 110}, "depth": {"three": depth}}
        }
    layers = Stage(script(edit), bar).at(1.0).layers
    assert len(layers) > 1
    top = layers[-1].rest_map.present.float().sum(dim=0)  # type: ignore[union-attr]
    where = float((top * torch.arange(len(top))).sum() / top.sum()) / len(top)
    assert where > 0.6 if depth > 0 else where < 0.6


@pytest.mark.parametrize("word", ["pins", "rig"])
def test_jacobians_belong_to_the_map(word: str) -> None:
    mask = np.zeros((96, 96), bool)
    mask[20:40, 6:90] = True
    source = MaterialSource(lambda: Shown(mask))
    edit = {"pins": PINS} if word == "pins" else {"rig": {**RIG, "pose": {"shin": 50}}}
    (operation,) = script(edit).edits[0].operations
    assert isinstance(operation, MaterialOperation)
    points = torch.tensor([[20.0, 30], [50, 25], [70, 33]]).double()
    moved, jacobians = operation.moved_on(source, points, 0.7)
    step = torch.tensor([1e-3, -2e-3]).double()
    torch.testing.assert_close(
        operation.carried(source, points + step, 0.7), moved + jacobians @ step, atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"pins": []}, "at least 1"),
        ({"pins": [{"at": [1, 2]}, {"at": [1, 2]}]}, "two of them"),
        ({"pins": [{"at": [1, 2], "keyframes": [{"time": 0.5}, {"time": 0.5}]}]}, "times must grow"),
        ({"pins": [{"at": [2, 3], "to": [1, 2], "keyframes": [{"time": 1, "to": [3, 4]}]}]}, "has to and keyframes"),
        ({"pins": [{"at": [20, 30]}, {"at": [97, 30]}]}, r"pins\[1\].at: \[97, 30\] lies outside the picture; x is"),
        ({"rig": {"joints": JOINTS}}, "needs joints and bones"),
        ({"rig": {**RIG, "bones": {"arm": ["hip", "hand"]}}}, "arm has no joint 'hand'; there are hip, knee, foot"),
        ({"rig": {**RIG, "pose": {"tail": 3}}}, "pose: there is no bone 'tail'; there are thigh, shin"),
        ({"rig": {**RIG, "ik": {"hip": [1, 2]}}}, "ik: no bone ends at 'hip'"),
        ({"rig": {**RIG, "bones": {"a": ["hip", "knee"], "b": ["knee", "hip"]}}}, "in a circle"),
        ({"rig": {**RIG, "bones": {"a": ["hip", "hip"]}}}, "has no length"),
        ({"pins": PINS, "rig": RIG}, "come before all else"),
        ({"move": {"by": [1, 2]}, "pins": PINS}, "come before all else"),
    ],
)
def test_what_is_wrong_is_one_line(bar: BakedPicture, edit: dict[str, Any], message: str) -> None:
    with pytest.raises(GainerError, match=message) as caught:
        Stage(script(edit), bar)
    assert "\n" not in str(caught.value)


def test_what_selects_nothing_visible_is_told(bar: BakedPicture, caplog: pytest.LogCaptureFixture) -> None:
    move = {"move": {"by": [3, 0]}}
    Stage(script({"select": {"box": [0, 60, 40, 90]}, **move}, {"select": {"box": [0, 10, 40, 90]}, **move}), bar)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["edits[0]"]
