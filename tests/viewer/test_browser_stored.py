"""The panel over a stored picture in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gainer_ns.cli.main import entrypoint
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.picture_files import save_picture


@pytest.fixture(scope="module")
def stored(picture: BakedPicture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a picture of 96 x 64 pixels, alone in its folder."""
    path = tmp_path_factory.mktemp("stored") / "picture.safetensors"
    save_picture(picture, path)
    return path


def test_a_stored_picture_is_edited_and_saved(
    stored: Path, serve: Callable[[Path], Any], visit: Callable[[Any], Any], tmp_path: Path
) -> None:
    viewer = serve(stored)
    page = visit(viewer)
    page.picture()
    for name in (
        "Pause Training",
        "Resume Training",
        "Hide Train Cams",
        "Show Train Cams",
        "Train Speed",
        "Train Util",
    ):
        assert not page.page.get_by_text(name, exact=True).is_visible()
    assert page.page.get_by_text("Max res", exact=True).is_visible()
    assert list(stored.parent.iterdir()) == [stored], "nothing is kept yet"
    page.choose("Show", "errors")
    page.says("Errors are shown of flat pictures whose file is at hand.")
    page.select()  # which says so, whatever is to be laid over it
    page.tab("Move")
    page.type("Bend, deg", 30)
    page.says("bend")
    page.tab("Files")
    page.type("Name", "bent")
    page.press("script", "Save")
    page.says("bent.yaml")
    page.press("PNG", "Save")
    page.says("bent.png")
    with page.page.expect_download() as download:
        page.press("PNG", "Download")
    assert viewer.edits == stored.with_name("picture_edits")
    saved = viewer.edits / "bent.png"
    assert Path(download.value.path()).read_bytes() == saved.read_bytes()
    drawn = tmp_path / "drawn.png"
    script = viewer.edits / "bent.yaml"
    entrypoint(["edit", "--load-config", str(stored), "--script", str(script), "--output", str(drawn)])
    assert np.array_equal(np.asarray(Image.open(saved)), np.asarray(Image.open(drawn)))
    assert stored.with_name("picture_edit_autosave.yaml").is_file()
    page.tab("Move")
    page.press("reset", "Steps")
    page.says("0 edits.")
    page.until(lambda _: not stored.with_name("picture_edit_autosave.yaml").exists(), "there is nothing to be kept")
