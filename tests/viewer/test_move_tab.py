"""Numbers of the page as words of an edit."""

import pytest

from gainer_ns.editing.script import Edit
from gainer_ns.viewer.move_tab import MoveValues

BOX = (10.0, 20.0, 50.0, 80.0)


def test_nothing_is_no_words() -> None:
    assert MoveValues().words(BOX, is_deep=False) == MoveValues().words(BOX, is_deep=True) == {}
    assert MoveValues(by=(1e-5, 0, 0), handles=(((1, 1), (1, 1)),)).words(BOX, is_deep=False) == {}


def test_words_stand_in_the_order_of_an_edit() -> None:
    movement = MoveValues((3, -2, 5), 20, scale=1.5, stretch=2, bend=30, twirl=40, wave=4, handles=(((1, 1), (5, 1)),))
    words = movement.words(BOX, is_deep=False)
    assert list(words) == ["drag", "stretch", "twirl", "wave", "scale", "bend", "rotate", "move"]
    assert words["move"] == {"by": (3, -2)} and words["wave"] == {"amplitude": 4, "period": 20}
    edit = Edit.model_validate({"select": {"box": list(BOX)}, **words})
    assert edit.words == tuple(words)


def test_in_space_there_are_fewer() -> None:
    movement = MoveValues((3, -2, 5), 20, (0, 1, 0), scale=1.5, stretch=2, twirl=40)
    words = movement.words(BOX, is_deep=True)
    assert words == {
        "scale": {"factor": 1.5},
        "rotate": {"degrees": 20, "axis": (0, 1, 0)},
        "move": {"by": (3, -2, 5)},
    }
    assert Edit.model_validate(words).words == tuple(words)


@pytest.mark.parametrize(
    ("towards", "line"),
    [("up", ((30, 80), (30, 20))), ("down", ((30, 20), (30, 80))), ("right", ((10, 50), (50, 50)))],
)
def test_lines_run_across_the_selection(towards: str, line: tuple) -> None:
    words = MoveValues(bend=10, towards=towards).words(BOX, is_deep=False)  # pyright: ignore[reportArgumentType]
    assert words["bend"] == {"degrees": 10, "axis": line}
