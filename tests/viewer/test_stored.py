"""Stored pictures in nerfstudio's viewer, over real sockets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nerfstudio.scripts.viewer import run_viewer

from gainer_ns.cli.main import entrypoint
from gainer_ns.editing.script import Script
from gainer_ns.editing.selection import Selection
from gainer_ns.editing.stage import Stage
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.picture_files import load_picture, save_picture
from gainer_ns.viewer.files_tab import Autosave

BOX = Selection(box=(20.0, 10.0, 60.0, 50.0))


@pytest.fixture
def view(start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Any]:
    """``view(path)`` does what ``gainer view`` does, in this process."""

    def run(path: Path) -> Any:
        asked: list[Any] = []
        monkeypatch.setattr(run_viewer, "_start_viewer", lambda *words: asked.append(words))
        entrypoint(["view", "--load-config", str(path)])
        ((config, pipeline, _),) = asked
        return start(None, config.get_base_dir(), pipeline)

    return run


def edited(picture: BakedPicture) -> BakedPicture:
    edit = {"select": BOX.model_dump(exclude_none=True), "move": {"by": [30, 4]}}
    return Stage(Script.model_validate({"edits": [edit]}), picture).at(1.0)


@pytest.mark.parametrize("kind", ["as it was fitted", "in 8 bits", "of several layers"])
def test_what_is_stored_is_shown(
    kind: str, picture: BakedPicture, view: Callable[[Path], Any], connected: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "a.b.SAFETENSORS"
    save_picture(edited(picture) if kind == "of several layers" else picture, path, 8 if kind == "in 8 bits" else 32)
    stored = load_picture(path)
    assert (len(stored.layers) > 1) == (kind == "of several layers")
    viewer = view(path)
    with connected(viewer) as page:
        page.look()
        seen = page.picture()
        while max(seen.shape) < 512:  # a draft
            seen = page.picture()
    rgb, alpha = stored.raster(512 / 96)
    wanted = 255 * (rgb * alpha + 1 - alpha)[: len(seen), : seen.shape[1]].numpy()
    assert np.abs(seen - wanted).mean() < 6, "but for JPEG"
    session = viewer.pipeline.model.panel._session
    session.change(Selection(all=True), {"rotate": {"degrees": 5}})
    assert session.wait() and session.shown is not session.subject.fitted
    assert len(session.subject.centres()[0]) > 0


def test_edits_are_kept_beside_it_once_there_are_some(
    picture: BakedPicture, view: Callable[[Path], Any], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        save_picture(picture, tmp_path / f"{name}.safetensors")
    stored = {path.name for path in tmp_path.iterdir()}

    def session(name: str) -> Any:
        return view(tmp_path / f"{name}.safetensors").pipeline.model.panel._session

    first = session("one")
    assert {path.name for path in tmp_path.iterdir()} == stored
    first.change(BOX, {"move": {"by": [8, 4]}})
    keepers = [getattr(watcher, "__self__", None) for watcher in first.watchers]
    assert first.wait() and all(keeper.wait() for keeper in keepers if isinstance(keeper, Autosave))
    assert {path.name for path in tmp_path.iterdir()} - stored == {"one_edit_autosave.yaml"}
    assert not session("two").history.script.edits, "each has its own"
    assert session("one").history.script == first.history.script
