"""Numbers of an operation that have keyframes of their own."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gainer_ns.editing.lifted_stage import LiftedStage
from gainer_ns.editing.operations import Rotate, Wave
from gainer_ns.editing.script import Script, read_script
from gainer_ns.editing.stage import Stage
from gainer_ns.errors import GainerError

SIZE = 48, 32


def script(*edits: dict[str, Any], **words: Any) -> Script:
    return read_script({"edits": list(edits), **words}, *SIZE)


def drawn(picture: Any) -> np.ndarray:
    rgb, alpha = picture.raster()
    return (rgb * alpha).numpy()


@pytest.fixture(scope="module")
def picture(fitted: Any) -> Any:
    torch.manual_seed(3)
    smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 5, 7), size=SIZE[::-1], mode="bicubic")
    return fitted(smooth[0].permute(1, 2, 0).clamp(0, 1))


EDITS = [
    ({"wave": {"amplitude": 2, "period": 16, "phase": {0: 0, 1: 360}}}, "wave", "phase", lambda t: 360 * t),
    ({"rotate": {"degrees": {0: 0, 0.5: 30, 1: 0}}}, "rotate", "degrees", lambda t: 30 * (1 - abs(2 * t - 1))),
    ({"move": {"by": {0: [0, 0], 1: ["25%", 4]}}}, "move", "by", lambda t: (8 * t, 4 * t)),
    ({"move": {"by": [{0.25: 0, 0.75: 8}, 1]}}, "move", "by", lambda t: (min(max(16 * (t - 0.25), 0), 8), 1)),
    (
        {"perspective": {"corners": [[{0: 0, 1: 8}, 0], [48, 0], [48, 32], [0, 32]]}},
        "perspective",
        "corners",
        lambda t: ((8 * t, 0), (48, 0), (48, 32), (0, 32)),
    ),
    ({"drag": {"handles": [{"from": [9, 9], "to": [{0: 9, 1: 19}, 9]}]}}, "drag", "handles", None),
    ({"lattice": {"offsets": [[[0, 0], [0, {0: 0, 1: 5}]], [[0, 0], [0, 0]]]}}, "lattice", "offsets", None),
    (
        {"mirror": {"direction": "vertical", "center": [{0: 9, 1: 19}, 9]}},
        "mirror",
        "center",
        lambda t: (9 + 10 * t, 9),
    ),
]


@pytest.mark.parametrize(("edit", "word", "field", "value"), EDITS, ids=[f"{one[1]}-{one[2]}" for one in EDITS])
@pytest.mark.parametrize("t", [0.0, 0.3, 0.5, 1.0])
def test_a_frame_is_what_the_numbers_of_its_time_make(
    edit: dict[str, Any], word: str, field: str, value: Any, t: float, picture: Any, tmp_path: Path
) -> None:
    """As a script without keyframes that says these numbers; and it is written as it was read."""
    keyed = script({**edit, "easing": "linear"})
    assert keyed.edits[0].is_keyed and keyed.edits[0].amount(t) == 1
    if value is not None:
        now = {**edit[word], field: value(t)}
        expected = Stage(script({word: now}), picture).at(1.0)
        stage = Stage(keyed, picture)
        for time in (0.8, t):  # whatever was drawn before
            shown = stage.at(time)
        np.testing.assert_allclose(drawn(shown), drawn(expected), atol=2e-3)
    (tmp_path / "again.yaml").write_text(keyed.to_yaml())
    again = read_script(tmp_path / "again.yaml", *SIZE)
    assert again == keyed and again.to_yaml() == keyed.to_yaml()
    assert again.edits[0].operations_at(t) == keyed.edits[0].operations_at(t)


def test_numbers_of_pins_and_bones(tmp_path: Path) -> None:
    pins = [
        {"at": ["25%", 9]},
        {"at": [30, 9], "rotate": {0: 0, 1: 30}, "to": {0: [30, 9], 1: [36, 9]}, "stiffness": "25%"},
    ]
    bones = {"joints": {"a": [9, 9], "b": ["50%", 9]}, "bones": {"x": ["a", "b"]}, "pose": {"x": {0: 0, 1: 40}}}
    keyed = script({"pins": pins, "easing": "linear"}, {"rig": bones, "easing": "linear"})
    (held,), (carried,) = (edit.operations_at(0.5) for edit in keyed.edits)
    assert (held.pins[1].rotate, held.pins[1].to, held.pins[1].stiffness) == (15, (33, 9), 8)
    assert held.pins[0].at == (12, 9) and carried.pose == {"x": 20} and carried.joints["b"] == (24, 9)
    (tmp_path / "again.yaml").write_text(keyed.to_yaml())
    assert read_script(tmp_path / "again.yaml", *SIZE) == keyed and "25%" in keyed.to_yaml()


def test_a_wave_travels(picture: Any) -> None:
    """A film of it that loops: after a whole period it is what it was, and half of that is the opposite."""
    travelling = script({"wave": {"amplitude": 3, "period": 16, "phase": {0: 0, 1: 360}}, "easing": "linear"})
    stage = Stage(travelling, picture)
    start, half, end = (drawn(stage.at(t)) for t in (0.0, 0.5, 1.0))
    np.testing.assert_allclose(start, end, atol=2e-3)
    assert np.abs(start - half).max() > 0.05
    opposite = Stage(script({"wave": {"amplitude": -3, "period": 16}}), picture).at(1.0)
    np.testing.assert_allclose(half, drawn(opposite), atol=2e-3)


@given(st.floats(0, 1), st.sampled_from(["linear", "smooth", "in", "bounce"]))
def test_numbers_have_the_easing_of_the_edit(t: float, easing: str) -> None:
    edit = script(
        {"rotate": {"degrees": {0: 10, 0.5: 30, 1: -10}}, "easing": easing},
        {"rotate": {"degrees": 1}, "keyframes": {0: 10, 0.5: 30, 1: -10}, "easing": easing},
    ).edits
    (turn,) = edit[0].operations_at(t)
    assert isinstance(turn, Rotate) and math.isclose(turn.degrees, edit[1].amount(t), abs_tol=1e-9)


def test_keyframes_of_the_edit_count_beside_them() -> None:
    edit = script({"wave": {"amplitude": 2, "period": 9, "phase": {0: 0, 1: 90}}, "keyframes": {0: 0, 1: 0.5}}).edits[0]
    (wave,) = edit.operations_at(0.5)
    assert isinstance(wave, Wave) and wave.phase == 45 and edit.amount(1.0) == 0.5


def test_pieces_that_were_cut_out_vary_too(picture: Any) -> None:
    """The whole picture varies before a part of it is cut out, and the part varies too."""
    box = {"box": [12, 8, 30, 24]}
    both = script(
        {"wave": {"amplitude": 2, "period": 16, "phase": {0: 0, 1: 360}}, "easing": "linear"},
        {"select": box, "mode": "piece", "move": {"by": {0: [0, 0], 1: [10, 0]}}, "easing": "linear"},
    )
    stage = Stage(both, picture)
    for t in (1.0, 0.25):
        shown = stage.at(t)
    still = script(
        {"wave": {"amplitude": 2, "period": 16, "phase": 90}},
        {"select": box, "mode": "piece", "move": {"by": [2.5, 0]}},
    )
    np.testing.assert_allclose(drawn(shown), drawn(Stage(still, picture).at(1.0)), atol=2e-3)
    # Where the part lies as it did, all is drawn in one.
    np.testing.assert_allclose(
        drawn(stage.at(0.0)), drawn(Stage(script({"wave": {"amplitude": 2, "period": 16}}), picture).at(1.0)), atol=2e-3
    )


def test_what_comes_back_pulls_along_as_much_as_where_it_was_farthest(picture: Any) -> None:
    """Its end alone would say that nothing moves."""
    box = {"select": {"box": [18, 12, 26, 20]}}
    there = Stage(script({**box, "rotate": {"degrees": {0: 0, 0.5: 40, 1: 0}}}), picture)
    still = Stage(script({**box, "rotate": {"degrees": 40}}), picture)
    assert there.pieces[0].steps[0].selection.width == still.pieces[0].steps[0].selection.width > 4
    np.testing.assert_allclose(drawn(there.at(0.5)), drawn(still.at(1.0)), atol=2e-3)
    np.testing.assert_allclose(drawn(there.at(1.0)), drawn(picture), atol=2e-3)


def test_lifted_photos(lifted_scene: Any) -> None:
    scene = lifted_scene((1.0,), size=SIZE, spacing=2)
    turning = {"select": {"box": [12, 8, 36, 24]}, "rotate": {"degrees": {0: 0, 0.5: 40, 1: 0}, "axis": "y"}}
    script = read_script({"edits": [turning]}, *SIZE, lifted_layers=1)
    stage = LiftedStage(script, scene)
    still = read_script({"edits": [{**turning, "rotate": {"degrees": 40, "axis": "y"}}]}, *SIZE, lifted_layers=1)
    before, middle, after = (stage.at(t).raster()[0] for t in (0.0, 0.5, 1.0))
    torch.testing.assert_close(before, after)
    torch.testing.assert_close(middle, LiftedStage(still, scene).at(1.0).raster()[0], atol=1e-4, rtol=0)
    assert float((before - middle).abs().max()) > 0.01


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ({"wave": {"amplitude": {0: 1, 2: 3}, "period": 3}}, "wave.amplitude[2]: must be a time from 0 to 1, not 2"),
        ({"wave": {"amplitude": {0: 1, 1: "a"}, "period": 3}}, "wave.amplitude: must be a number, not 'a'"),
        ({"wave": {"amplitude": {}, "period": 3}}, "wave.amplitude: must be a number, not a mapping"),
        ({"wave": {"amplitude": 1, "period": {0: 4, 1: -4}}}, "wave.period: must be greater than 0.000001, not -4"),
        ({"move": {"by": {0: [1, 2], 1: [3]}}}, "move.by[1]: must have 2 values, not 1"),
        ({"cut": {"line": [[0, 0], [1, 1]], "gap": {0: 1, 1: 2}}}, "cut: parts things once, so no number beside it"),
        (
            {"rotate": {"degrees": {0: 1, 1: 2}}, "cut": {"line": [[0, 0], [1, 1]], "gap": 2}},
            "cut: parts things once, so no number beside it varies; give the edit keyframes",
        ),
        ({"stretch": {"factor": 2, "axis": [[{0: 50, 1: 0}, 0], [50, 0]]}}, "stretch"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(edit: dict[str, Any], says: str) -> None:
    with pytest.raises(GainerError) as caught:
        script(edit)
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert str(caught.value).startswith("edits[0].")
