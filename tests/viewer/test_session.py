"""Sessions without a page: what is shown is what the script says, and undo, redo, and an edit under way."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch

from gainer_ns.editing.script import Edit, Script
from gainer_ns.editing.selection import Selection
from gainer_ns.editing.stage import Stage
from gainer_ns.errors import GainerError
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.viewer import subject
from gainer_ns.viewer.session import EditSession, ScriptHistory
from gainer_ns.viewer.subject import FlatSubject
from gainer_ns.viewer.worker import LatestWorker

BOX = Selection(box=(20.0, 10.0, 60.0, 50.0))


def drawn(picture: object) -> torch.Tensor:
    assert isinstance(picture, BakedPicture)
    return picture.raster(0.5)[0]


def test_a_session_shows_its_script(session: EditSession, picture: BakedPicture) -> None:
    assert session.shown is picture
    session.change(BOX, {"move": {"by": [8, 4]}})
    assert session.wait()
    expected = Stage(session.history.script, picture).at(1.0)  # pyright: ignore[reportArgumentType]
    assert torch.equal(drawn(session.shown), drawn(expected))
    session.seek(0.0)
    assert session.wait() and torch.equal(drawn(session.shown), drawn(picture))
    session.seek(1.0)
    session.show_unedited(True)
    assert session.wait() and session.shown is picture
    session.show_unedited(False)
    session.change(BOX, {})
    session.history.undo()
    assert session.wait() and session.shown is picture and not session.history.script.edits


def test_wrong_words_are_refused_and_nothing_changes(session: EditSession, picture: BakedPicture) -> None:
    with pytest.raises(GainerError, match="two different points") as refused:
        session.change(BOX, {"bend": {"degrees": 5, "axis": [[1, 1], [1, 1]]}})
    assert "\n" not in str(refused.value)
    assert session.wait() and session.shown is picture


def test_while_something_is_dragged_nothing_is_taken_apart_anew(
    session: EditSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    staged = session.subject.staged
    monkeypatch.setattr(session.subject, "staged", lambda script: (made.append(script), staged(script))[1])
    for x in (8, 9, 10):
        session.change(BOX, {"move": {"by": [x, 4]}})
        assert session.wait()
    assert len(made) == 1
    session.history.finish()
    session.change(Selection(box=(0.0, 0.0, 20.0, 20.0)), {"move": {"by": [1, 4]}})
    assert session.wait() and len(made) == 2


@pytest.mark.parametrize("feather", [0.0, 8.0])
def test_a_selection_is_made_ready_before_it_moves(
    session: EditSession, picture: BakedPicture, monkeypatch: pytest.MonkeyPatch, feather: float
) -> None:
    select = BOX.model_copy(update={"feather": feather})
    session.expect(select)
    assert session.wait() and session.shown is picture
    made: list[object] = []
    monkeypatch.setattr(session.subject, "staged", made.append)
    for by in ([2, 1], [12, 30], [1, 2], [-30, 5]):  # with its surroundings where it is soft, and torn out of them
        session.change(select, {"move": {"by": by}})
        assert session.wait() and not made
        expected = Stage(session.history.script, picture).at(1.0)  # pyright: ignore[reportArgumentType]
        assert torch.equal(drawn(session.shown), drawn(expected))


def test_what_is_fitted_meanwhile_is_shown_edited_at_once(session: EditSession, picture: BakedPicture) -> None:
    session.change(BOX, {"move": {"by": [8, 4]}})
    assert session.wait()
    newer = picture.with_gaussians(picture.gaussians[torch.arange(len(picture.gaussians))])
    session.take(FlatSubject(newer))
    expected = Stage(session.history.script, newer).at(1.0)  # pyright: ignore[reportArgumentType]
    assert torch.equal(drawn(session.shown), drawn(expected))
    assert not torch.equal(drawn(session.shown), drawn(newer))


def test_what_fails_is_said_and_the_next_is_drawn(picture: BakedPicture) -> None:
    complaints: list[str] = []
    session = EditSession(FlatSubject(picture), lambda: None, complaints.append)

    def fails(time: float) -> BakedPicture:
        raise RuntimeError("no room")

    session.play(fails)
    assert session.wait() and len(complaints) == 1
    session.play(None)
    session.change(BOX, {"move": {"by": [8, 4]}})
    assert session.wait() and session.shown is not picture and len(complaints) == 1


def test_sequences_are_shown_instead(session: EditSession, picture: BakedPicture) -> None:
    session.change(BOX, {"move": {"by": [8, 4]}})
    other = picture.with_gaussians(picture.gaussians)
    times = []
    session.play(lambda time: (times.append(time), other)[1])
    assert session.wait() and session.shown is other and times == [1.0]
    session.play(None)
    assert session.wait() and session.shown is not other


def test_only_the_newest_work_is_done() -> None:
    worker, begun, go, done = LatestWorker(), threading.Event(), threading.Event(), []

    def first() -> None:
        begun.set()
        go.wait(10)
        done.append(1)

    worker.ask(first)
    assert begun.wait(10)
    for number in (2, 3, 4):
        worker.ask(lambda number=number: done.append(number))
    assert not worker.wait(0.05)
    go.set()
    assert worker.wait(10) and done == [1, 4]


def test_what_was_put_off_is_done_at_rest_alone() -> None:
    worker, done, put_off = LatestWorker(), [], threading.Event()

    def first() -> Callable[[], None]:
        put_off.set()
        return lambda: done.append("first, at rest")

    worker.ask(first)
    assert put_off.wait(10)
    worker.ask(lambda: (done.append("second"), lambda: done.append("second, at rest"))[1])
    assert worker.wait(10) and done == ["second", "second, at rest"]


def test_a_hand_is_shown_a_rough_picture_first(picture: BakedPicture, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    session = EditSession(FlatSubject(picture), lambda: shown.append(session.shown), lambda text: None)
    monkeypatch.setattr(subject, "MAX_DRAFT_NODES", 400)
    session.change(BOX, {"move": {"by": [8, 4]}})
    assert session.wait() and len(shown) == 2
    expected = Stage(session.history.script, picture).at(1.0)  # pyright: ignore[reportArgumentType]
    assert torch.equal(drawn(shown[1]), drawn(expected)) and session.shown is shown[1]
    assert not torch.equal(drawn(shown[0]), drawn(expected))


@pytest.fixture
def history() -> ScriptHistory:
    return ScriptHistory(Script.model_construct(edits=()))


def turn(degrees: float) -> Edit:
    return Edit.model_validate({"rotate": {"degrees": degrees}})


def degrees(history: ScriptHistory) -> list[float]:
    return [edit.rotate.degrees for edit in history.script.edits]  # pyright: ignore


def test_what_is_under_way_changes_in_place(history: ScriptHistory) -> None:
    for angle in (1, 2, 3):
        history.put(turn(angle))
    assert degrees(history) == [3]
    history.finish()
    history.put(turn(10))
    assert degrees(history) == [3, 10]
    history.undo()
    assert degrees(history) == [3]
    history.undo()
    history.undo()
    assert degrees(history) == []
    for _ in range(3):
        history.redo()
    assert degrees(history) == [3, 10]


def test_something_new_takes_the_place_of_what_was_undone(history: ScriptHistory) -> None:
    history.put(turn(1))
    history.finish()
    history.put(turn(2))
    history.undo()
    history.put(turn(5))
    history.redo()
    assert degrees(history) == [1, 5]


def test_what_is_dropped_has_never_begun(history: ScriptHistory) -> None:
    history.put(turn(1))
    history.finish()
    history.drop()
    assert degrees(history) == [1], "nothing is under way"
    history.put(turn(2))
    history.drop()
    assert degrees(history) == [1]
    history.undo()
    assert degrees(history) == []


def test_a_loaded_script_can_be_undone(history: ScriptHistory) -> None:
    history.put(turn(1))
    history.replace(Script(edits=(turn(7), turn(8))))
    history.put(turn(9))
    assert degrees(history) == [7, 8, 9]
    history.undo()
    history.undo()
    assert degrees(history) == [1]
