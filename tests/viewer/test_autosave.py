"""Edits that are kept as they are made: in a run's folder, and taken up again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from gainer_ns.editing.selection import Selection
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.viewer import autosave
from gainer_ns.viewer.autosave import Autosave
from gainer_ns.viewer.desk import Desk
from gainer_ns.viewer.run_files import RunFiles
from gainer_ns.viewer.session import EditSession
from gainer_ns.viewer.subject import FlatSubject

BOX = Selection(box=(20.0, 10.0, 60.0, 50.0))


class Line:
    """What the panel says."""

    content = ""


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autosave, "PAUSE", 0.0)


def started(run: Path, picture: BakedPicture) -> tuple[Desk, Autosave, Line]:
    """A panel without a page, as a viewer of the run starts it."""
    line = Line()
    desk = Desk(cast(Any, None), RunFiles(run))
    desk._message = cast(Any, line)
    desk.session = EditSession(FlatSubject(picture), lambda: None, desk.complain)
    kept = Autosave(desk)
    kept.restore()
    desk.session.keep = kept.keep
    return desk, kept, line


def test_a_session_goes_on_where_the_last_one_ended(picture: BakedPicture, tmp_path: Path) -> None:
    desk, kept, line = started(tmp_path, picture)
    assert not line.content and not list(tmp_path.iterdir())
    desk.session.change(BOX, {"move": {"by": [8, 4]}})
    desk.session.history.finish()
    mask = np.zeros((64, 96))
    mask[10:30, 20:50] = 1
    by_mask = Selection(mask=desk.files.write_mask(mask))
    for x in range(9):
        desk.session.change(by_mask, {"move": {"by": [x, 2]}})
    assert kept.wait() and desk.session.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["edit_autosave.yaml", "edits"], "and nothing half-made"
    script, shown = desk.session.history.script, cast(BakedPicture, desk.session.shown)

    again, kept, line = started(tmp_path, picture)  # the first one was killed
    assert "Restored 2 edits" in line.content
    assert again.session.history.script == script and again.session.wait()
    assert np.array_equal(cast(BakedPicture, again.session.shown).raster(0.5)[0], shown.raster(0.5)[0])
    again.session.history.undo()
    assert again.session.history.script == again.subject.empty(), "that it was restored can be undone"
    again.session.refresh()
    assert kept.wait() and not kept.path.exists()
    assert again.session.wait() and not started(tmp_path, picture)[2].content


def test_no_saved_script_is_in_its_way(picture: BakedPicture, tmp_path: Path) -> None:
    desk, kept, _ = started(tmp_path, picture)
    saved = desk.files.path("edit_autosave", ".yaml")
    desk.files.write(saved, b"mine")
    desk.session.change(BOX, {"move": {"by": [8, 4]}})
    assert kept.wait() and desk.session.wait()
    assert saved.read_bytes() == b"mine" and kept.path != saved


def test_what_cannot_be_read_is_put_aside_and_said(picture: BakedPicture, tmp_path: Path) -> None:
    (tmp_path / "edit_autosave.yaml").write_text("edits: [{select: {box: [1, 2")
    desk, kept, line = started(tmp_path, picture)
    assert "not restored" in line.content and "\n" not in line.content
    assert (tmp_path / "edit_autosave_unreadable.yaml").read_text().startswith("edits:")
    desk.session.change(BOX, {"move": {"by": [8, 4]}})
    assert kept.wait() and kept.path.is_file() and desk.session.wait()


def test_a_folder_that_takes_no_files_is_said(picture: BakedPicture, tmp_path: Path) -> None:
    desk, kept, line = started(tmp_path, picture)
    kept.path.mkdir()
    desk.session.change(BOX, {"move": {"by": [8, 4]}})
    assert kept.wait() and desk.session.wait()
    assert "The edits are not kept" in line.content
