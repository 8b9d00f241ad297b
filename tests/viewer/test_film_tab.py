"""Keyframes that are set and taken away in the page, and films that it plays and saves."""

from __future__ import annotations

import itertools
import time
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from gainer_ns.editing.script import read_script
from gainer_ns.editing.selection import Selection
from gainer_ns.errors import GainerError
from gainer_ns.viewer.edit_chooser import EditChooser
from gainer_ns.viewer.files_tab import FilesTab
from gainer_ns.viewer.film_tab import FilmTab
from gainer_ns.viewer.move_tab import MoveTab
from gainer_ns.viewer.onion_skin import BEFORE_TINT, skin_of

BOX = Selection(box=(20.0, 10.0, 60.0, 50.0))


@pytest.fixture
def tab(panel: Any) -> FilmTab:
    return FilmTab(panel, EditChooser(panel))


def keyframes(panel: Any) -> Any:
    return panel.session.history.script.edits[-1].keyframes


def test_keyframes_come_and_go_and_undo_reaches_each(panel: Any, tab: FilmTab) -> None:
    session, timeline = panel.session, tab._timeline
    with pytest.raises(GainerError, match="no edit yet"):
        timeline.set()
    session.change(BOX, {"move": {"by": [8, 4]}})
    tab.seek(0.5)
    assert timeline._amount.value == session.history.script.edits[0].amount(0.5) == 0.5
    timeline._amount.value = 1.5
    timeline.set()
    assert keyframes(panel) == {0: 0, 0.5: 1.5, 1: 1} and "**0.5: 1.5**" in timeline._list.content
    tab.seek(0.75)
    timeline._amount.value = -1.0
    timeline.set()
    timeline._amount.value = -0.5
    timeline.set()
    assert keyframes(panel) == {0: 0, 0.5: 1.5, 0.75: -0.5, 1: 1}, "what is there is set anew"
    session.change(BOX, {"move": {"by": [9, 4]}})
    assert len(session.history.script.edits) == 1 and len(keyframes(panel)) == 4, "a hand that goes on keeps them"
    timeline.remove()
    assert keyframes(panel) == {0: 0, 0.5: 1.5, 1: 1}
    with pytest.raises(GainerError, match=r"no keyframe at 0\.75"):
        timeline.remove()
    timeline.clear()
    assert keyframes(panel) is None
    counts = []
    while session.history.script.edits:
        counts.append(len(keyframes(panel) or ()))
        session.history.undo()
    assert counts == [0, 3, 4, 4, 3, 0] and session.wait()


def test_what_is_keyed_is_what_the_script_draws(panel: Any, tab: FilmTab) -> None:
    session = panel.session
    session.change(BOX, {"move": {"by": [20, 4]}})
    tab.seek(0.5)
    tab._timeline._amount.value = -1.0
    tab._timeline.set()
    tab.seek(0.25)
    script = read_script({"edits": [edit.model_dump() for edit in session.history.script.edits]}, 96, 64)
    expected = session.subject.staged(script).at(0.25)
    assert session.wait()
    np.testing.assert_array_equal(session.shown.raster()[0], expected.raster()[0])


def test_one_goes_from_keyframe_to_keyframe(panel: Any, tab: FilmTab) -> None:
    panel.session.change(BOX, {"move": {"by": [8, 4]}})
    for at in (0.3, 0.6):
        tab.seek(at)
        tab._timeline.set()
    tab.seek(1.0)
    seen = []
    for step in (-1, -1, -1, -1, 1):
        tab._timeline.go(step)
        seen.append(panel.session.time)
    assert seen == [0.6, 0.3, 0.0, 0.0, 0.3] and tab._time.value == 0.3


def test_another_edit_is_chosen(panel: Any, tab: FilmTab) -> None:
    session, chooser = panel.session, tab._timeline._chooser
    session.change(BOX, {"bend": {"degrees": 10, "axis": [[40, 50], [40, 10]]}})
    session.history.finish()
    session.change(BOX, {"move": {"by": [8, 4]}})
    assert chooser._list.options == ("1: bend", "2: move") and chooser._list.value == "2: move", "the newest"
    chooser.choose(0)
    tab.seek(0.5)
    tab._timeline.set()
    one, other = session.history.script.edits
    assert one.keyframes is not None and other.keyframes is None
    moves = MoveTab(panel)
    moves._step("undo")
    assert session.history.script.edits[0].keyframes is None and session.history.is_under_way
    assert chooser._list.value == "1: bend" and session.time == 0.5, "one goes on where one was"
    panel.take(session.subject.empty())
    assert chooser.edit is None and session.time == 1.0


def test_a_revised_edit_that_moves_no_more_goes_and_comes_back(panel: Any, tab: FilmTab) -> None:
    session = panel.session
    session.change(BOX, {"move": {"by": [8, 4]}})
    tab._timeline.set()
    session.change(BOX, {})
    assert not session.history.script.edits
    session.history.undo()
    assert keyframes(panel) is not None


@pytest.mark.parametrize("loops", [False, True])
def test_it_plays(panel: Any, tab: FilmTab, loops: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    session, times = panel.session, []
    session.change(BOX, {"move": {"by": [8, 4]}})
    assert session.wait()
    session.revise_script(frames=12, fps=24.0)
    seek = session.seek
    monkeypatch.setattr(session, "seek", lambda at, **said: (times.append(at), seek(at, **said)))
    tab._loops.value = loops
    tab.play()
    end = time.monotonic() + 60
    while session.is_playing and times.count(1.0) < 3 and time.monotonic() < end:
        time.sleep(0.05)
    tab._stop.set()
    while session.is_playing and time.monotonic() < end:
        time.sleep(0.05)
    starts = sum(after < before for before, after in itertools.pairwise(times))
    assert times[-1] == 1.0 or loops
    assert starts >= 2 if loops else starts <= 1, "twice where it was slow at first"


@pytest.mark.parametrize("kind", [".mp4", ".webm", ".apng", ".webp", ".gif", ".sheet.png", ".mov"])
def test_films_are_saved_as_every_kind(panel: Any, tab: FilmTab, kind: str) -> None:
    panel.session.change(BOX, {"move": {"by": [8, 4]}})
    tab._frames.value, tab._fps.value = 3, 12.0
    tab._lengthen(frames=3)
    tab._lengthen(fps=12.0)
    files = FilesTab(panel)
    files._kind.value = kind
    files._save_picture(kind, is_film=True)
    path = panel.files.folder / f"edit{kind}"
    assert path.stat().st_size > 200
    if kind == ".sheet.png":
        assert np.asarray(Image.open(path)).size >= 3 * 96 * 64
    elif kind in (".apng", ".webp", ".gif"):
        assert Image.open(path).n_frames == 3  # pyright: ignore[reportAttributeAccessIssue]
    else:
        assert len(iio.imread(path, plugin="pyav")) == 3


def test_onion_skins_are_of_what_moves(panel: Any, tab: FilmTab, picture: Any) -> None:
    panel.session.change(BOX, {"move": {"by": [30, 0]}})
    tab._apart.value = 4
    tab.seek(0.5)
    assert tab._skin.wait() and len(tab._skin._nodes) == 2
    tab.seek(1.0)
    assert tab._skin.wait() and len(tab._skin._nodes) == 1, "there is nothing after the end"
    tab._apart.value = 0
    tab._show_skin()
    assert tab._skin.wait() and not tab._skin._nodes
    now = np.dstack([picture.raster()[0].numpy(), np.ones((64, 96))])
    other = now.copy()
    other[:, 50:, :3] = 1 - other[:, 50:, :3].round()
    skin = skin_of(other, now, BEFORE_TINT)
    assert not skin[:, :48, 3].any() and skin[:, 52:, 3].mean() > 60
