"""What the panel keeps, writes and sends, without a page."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from gainer_ns.editing.selection import Selection
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.viewer import files_tab
from gainer_ns.viewer.context import PanelContext
from gainer_ns.viewer.files_tab import FOLDER, Autosave, FilesTab
from gainer_ns.viewer.run_files import RunFiles
from gainer_ns.viewer.session import EditSession
from gainer_ns.viewer.subject import FlatSubject

BOX = Selection(box=(20.0, 10.0, 60.0, 50.0))


class Line:
    """What the panel says."""

    content = ""


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_tab, "AUTOSAVE_SECONDS", 0.0)


def started(run: Path, picture: BakedPicture) -> tuple[PanelContext, Autosave, Line]:
    """A panel without a page, as a viewer of the run starts it."""
    line = Line()
    context = PanelContext(cast(Any, None), RunFiles(run))
    context._message = cast(Any, line)
    context.session = EditSession(FlatSubject(picture), lambda: None, context.complain)
    kept = Autosave(context)
    kept.restore()
    context.session.watchers.append(kept.keep)
    return context, kept, line


def test_a_session_goes_on_where_the_last_one_ended(picture: BakedPicture, tmp_path: Path) -> None:
    context, kept, line = started(tmp_path, picture)
    assert not line.content and not list(tmp_path.iterdir())
    context.session.change(BOX, {"move": {"by": [8, 4]}})
    context.session.history.finish()
    mask = np.zeros((64, 96))
    mask[10:30, 20:50] = 1
    by_mask = Selection(mask=context.files.write_mask(mask))
    for x in range(9):
        context.session.change(by_mask, {"move": {"by": [x, 2]}})
    assert kept.wait() and context.session.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["edit_autosave.yaml", "edits"], "and nothing half-made"
    script, shown = context.session.history.script, cast(BakedPicture, context.session.shown)

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
    context, kept, _ = started(tmp_path, picture)
    saved = context.files.path("edit_autosave", ".yaml")
    context.files.write(saved, b"mine")
    context.session.change(BOX, {"move": {"by": [8, 4]}})
    assert kept.wait() and context.session.wait()
    assert saved.read_bytes() == b"mine" and kept.path != saved


def test_what_cannot_be_read_is_put_aside_and_said(picture: BakedPicture, tmp_path: Path) -> None:
    (tmp_path / "edit_autosave.yaml").write_text("edits: [{select: {box: [1, 2")
    context, kept, line = started(tmp_path, picture)
    assert "not restored" in line.content and "\n" not in line.content
    assert (tmp_path / "edit_autosave_unreadable.yaml").read_text().startswith("edits:")
    context.session.change(BOX, {"move": {"by": [8, 4]}})
    assert kept.wait() and kept.path.is_file() and context.session.wait()


def test_a_folder_that_takes_no_files_is_said(picture: BakedPicture, tmp_path: Path) -> None:
    context, kept, line = started(tmp_path, picture)
    kept.path.mkdir()
    context.session.change(BOX, {"move": {"by": [8, 4]}})
    assert kept.wait() and context.session.wait()
    assert "The edits are not kept" in line.content


class Page:
    """Takes whatever is put into it, and is told of clicks by nobody."""

    def __getattr__(self, _: str) -> Callable[..., Any]:
        return lambda label, value=None, **__: SimpleNamespace(value=value, options=value, on_upload=lambda _: None)


@pytest.mark.parametrize("kind", ["p3", "adobe"])
def test_what_is_saved_and_sent_has_the_pictures_profile(
    kind: str,
    picture: BakedPicture,
    tmp_path: Path,
    matrix_profile: Callable[[str], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    icc, actions, sent = matrix_profile(kind), {}, {}
    context = PanelContext(cast(Any, SimpleNamespace(gui=Page())), RunFiles(tmp_path))
    context.session = EditSession(FlatSubject(replace(picture, profile=ColourProfile(icc))), lambda: None, pytest.fail)
    take = lambda label, named: actions.update({(label, name): do for name, do in named.items()})  # noqa: E731
    monkeypatch.setattr(context, "buttons", take)
    tab = FilesTab(context)
    tab._kind.value = FOLDER
    context.session.revise_script(frames=2)
    client = SimpleNamespace(send_file_download=lambda name, content: sent.update({name: content}))
    for press in (("Download", "PNG"), ("Save", "PNG"), ("Save", "film")):
        actions[press](SimpleNamespace(client=client))
    files = [io.BytesIO(sent["edit.png"]), tmp_path / "edits/edit.png", tmp_path / "edits/edit/frame_00001.png"]
    for file in files:
        written = Image.open(file)
        assert written.info["icc_profile"] == icc
        np.testing.assert_array_equal(np.asarray(written), np.rint(picture.raster()[0].numpy() * 255))
