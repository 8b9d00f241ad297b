"""Edits with known inverses: each inverse against the script's own operation, and where the picture goes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gainer_bench.known_edits import KnownEdit, known_edits
from gainer_ns.editing.script import Edit

NAMES = list(known_edits(1, 1))


def points(width: int, height: int, *, beyond: float = 0.0) -> np.ndarray:
    share = np.random.default_rng(0).uniform(-beyond, 1 + beyond, (500, 2))
    return share * [width, height]


@pytest.mark.parametrize("name", NAMES)
@given(width=st.integers(1, 2000), height=st.integers(1, 2000))
def test_back_is_the_inverse_of_the_edit(name: str, width: int, height: int) -> None:
    edit, before = known_edits(width, height)[name], points(width, height)
    there = edit.forward(before, (width, height))
    assert np.abs(edit.back(there) - before).max() < 1e-9
    assert np.abs(edit.forward(edit.back(there), (width, height)) - there).max() < 1e-9


@given(degrees=st.floats(1, 120), beyond=st.floats(0, 0.3))
def test_a_bend_is_undone_before_and_beyond_its_line_too(degrees: float, beyond: float) -> None:
    edit, before = KnownEdit.bend(300, 90, degrees), points(300, 90, beyond=beyond)
    assert np.abs(edit.back(edit.forward(before, (300, 90))) - before).max() < 1e-8


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(768, 512), (512, 768), (400, 400)])
def test_nothing_folds_and_nothing_is_squeezed_into_averages(name: str, size: tuple[int, int]) -> None:
    edit, before, step = known_edits(*size)[name], points(*size), 1e-4
    there = edit.forward(before, size)
    columns = [(edit.forward(before + step * axis, size) - there) / step for axis in np.eye(2)]
    jacobians = np.stack(columns, axis=-1)
    assert np.linalg.det(jacobians).min() > 0
    assert np.linalg.svd(jacobians, compute_uv=False).min() > 1 / 1.5  # from there on, a raster averages


def test_pictures_go_where_the_names_say() -> None:
    corner = np.array([[0.0, 0.0]])
    turned = KnownEdit.rotation(100, 60, 90.0).forward(
        corner, (100, 60)
    )  # about (50, 30), counter-clockwise: to bottom left
    assert turned.tolist() == [[pytest.approx(20.0), pytest.approx(80.0)]]
    assert KnownEdit.scaling(100, 60, 2.0).forward(corner, (100, 60)).tolist() == [[-50.0, -30.0]]
    assert KnownEdit.stretch(100, 60, 2.0).forward(corner, (100, 60)).tolist() == [[-50.0, 0.0]]
    crest = np.array([[12.0, 0.0]])
    assert KnownEdit.wave(3.0, 48.0, 0.0).forward(crest, (100, 60)) == pytest.approx(np.array([[12.0, -3.0]]))


@pytest.mark.parametrize("size", [(300, 100), (100, 300)])
def test_a_bend_turns_the_far_end_to_its_left(size: tuple[int, int]) -> None:
    edit = KnownEdit.bend(*size, 40.0)
    start, end = np.array(edit.words["bend"]["axis"])
    moved = edit.forward(np.stack([start, end, end + (end - start) / 100]), size)
    assert np.abs(moved[0] - start).max() < 1e-9
    before, after = end - start, moved[2] - moved[1]
    turn = math.atan2(before[1] * after[0] - before[0] * after[1], before @ after)  # counter-clockwise, with y down
    assert math.degrees(turn) == pytest.approx(40.0)


def test_the_extent_holds_the_picture_and_little_else() -> None:
    assert known_edits(64, 48)["half-pixel shift"].extent(64, 48) == (0.0, 0.0, 65.0, 49.0)
    assert known_edits(64, 48)["zoom 1.5"].extent(64, 48) == (-16.0, -12.0, 80.0, 60.0)
    assert known_edits(64, 48)["rotate 90"].extent(64, 48) == (8.0, -8.0, 56.0, 56.0)
    for edit in known_edits(64, 48).values():
        left, top, right, bottom = edit.extent(64, 48)
        there = edit.forward(points(64, 48), (64, 48))
        assert (there >= [left, top]).all() and (there <= [right, bottom]).all()


def test_the_script_says_the_same() -> None:
    edit = KnownEdit({"rotate": {"degrees": 15.0}}, lambda points: points)
    assert edit.script().edits == (Edit.model_validate({"rotate": {"degrees": 15.0}}),)
