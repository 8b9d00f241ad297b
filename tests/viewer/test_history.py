"""Undo, redo, and an edit that is still under way."""

import pytest

from gainer_ns.editing.script import Edit, Script
from gainer_ns.viewer.history import History


@pytest.fixture
def history() -> History:
    return History(Script.model_construct(edits=()))


def turn(degrees: float) -> Edit:
    return Edit.model_validate({"rotate": {"degrees": degrees}})


def degrees(history: History) -> list[float]:
    return [edit.rotate.degrees for edit in history.script.edits]  # pyright: ignore


def test_what_is_under_way_changes_in_place(history: History) -> None:
    for angle in (1, 2, 3):
        history.put(turn(angle))
    assert degrees(history) == [3]
    history.finish()
    history.put(turn(10))
    assert degrees(history) == [3, 10]
    history.undo()
    assert degrees(history) == [3]
    history.undo()
    assert degrees(history) == [] and not history.can_undo
    history.undo()
    history.redo()
    history.redo()
    assert degrees(history) == [3, 10] and not history.can_redo


def test_something_new_takes_the_place_of_what_was_undone(history: History) -> None:
    history.put(turn(1))
    history.finish()
    history.put(turn(2))
    history.undo()
    history.put(turn(5))
    assert degrees(history) == [1, 5] and not history.can_redo


def test_what_is_dropped_has_never_begun(history: History) -> None:
    history.put(turn(1))
    history.finish()
    history.drop()
    assert degrees(history) == [1], "nothing is under way"
    history.put(turn(2))
    history.drop()
    assert degrees(history) == [1]
    history.undo()
    assert degrees(history) == []


def test_a_loaded_script_can_be_undone(history: History) -> None:
    history.put(turn(1))
    history.replace(Script(edits=(turn(7), turn(8))))
    history.put(turn(9))
    assert degrees(history) == [7, 8, 9]
    history.undo()
    history.undo()
    assert degrees(history) == [1]
