"""What the panel's tab of files writes and sends, without a page."""

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

from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.viewer.desk import Desk
from gainer_ns.viewer.files_tab import FilesTab
from gainer_ns.viewer.run_files import RunFiles
from gainer_ns.viewer.session import EditSession
from gainer_ns.viewer.subject import FlatSubject


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
    desk = Desk(cast(Any, SimpleNamespace(gui=Page())), RunFiles(tmp_path))
    desk.session = EditSession(FlatSubject(replace(picture, profile=ColourProfile(icc))), lambda: None, pytest.fail)
    take = lambda label, named: actions.update({(label, name): do for name, do in named.items()})  # noqa: E731
    monkeypatch.setattr(desk, "buttons", take)
    tab = FilesTab(desk)
    tab._frames.value = 2
    client = SimpleNamespace(send_file_download=lambda name, content: sent.update({name: content}))
    for press in (("Download", "PNG"), ("Save", "PNG"), ("Save", "film")):
        actions[press](SimpleNamespace(client=client))
    files = [io.BytesIO(sent["edit.png"]), tmp_path / "edits/edit.png", tmp_path / "edits/edit/frame_00001.png"]
    for file in files:
        written = Image.open(file)
        assert written.info["icc_profile"] == icc
        np.testing.assert_array_equal(np.asarray(written), np.rint(picture.raster()[0].numpy() * 255))
