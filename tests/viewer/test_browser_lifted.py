"""The panel of a lifted photo in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from gainer_ns.cli.main import entrypoint


@pytest.fixture(scope="module")
def viewer(fit: Callable[..., Path], serve: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """ns-viewer on a photo of 60 x 40 pixels of a slope with a dark tile."""
    folder = tmp_path_factory.mktemp("viewed")
    y, x = np.mgrid[:40, :60]
    colours = np.stack([60 + 3 * x, 50 + 4 * y, 200 - 3 * x + y], axis=2).astype(np.uint8)
    colours[16:24, 24:36] //= 4
    Image.fromarray(colours).save(folder / "photo.png")
    np.save(folder / "depth.npy", (2 + 0.005 * x + 0.01 * y).astype(np.float32))

    def edit(config: Any) -> None:
        config.pipeline.datamanager.depth_path = folder / "depth.npy"
        config.pipeline.datamanager.focal_length = 70.0
        config.pipeline.model.panel.segmentation.model = str(folder / "sam_vit_b.pth")

    return serve(fit(folder / "photo.png", folder / "runs", "gainer-lift", edit))


def test_sam_is_asked_where_it_is_configured(viewer: Any, visit: Callable[[Any], Any]) -> None:
    page = visit(viewer)
    page.choose("Pointer", "object")
    page.says("Click on an object")
    page.page.mouse.click(480, 425)
    page.says("sam_vit_b.pth|segment-anything")  # which is not there, or not installed


def test_a_part_is_moved_in_space_and_saved(viewer: Any, visit: Callable[[Any], Any], tmp_path: Path) -> None:
    page = visit(viewer)
    height, width = page.sent.shape[:2]
    top, left = (height - 640) // 2, (width - 960) // 2

    def is_framed(_: np.ndarray) -> bool:
        """The tile is where it is on the photo, 16 times as large."""
        rows, columns = (top + 256, top + 384), (left + 384, left + 576)
        inside = page.sent[rows[0] + 8 : rows[1] - 8, columns[0] + 8 : columns[1] - 8]
        around = [
            page.sent[rows[0] - 16 : rows[0] - 8, columns[0] : columns[1]],
            page.sent[rows[1] + 8 : rows[1] + 16, columns[0] : columns[1]],
            page.sent[rows[0] : rows[1], columns[0] - 16 : columns[0] - 8],
            page.sent[rows[0] : rows[1], columns[1] + 8 : columns[1] + 16],
        ]
        return bool(inside.max() < 80 and min(each.max(axis=2).min() for each in around) > 110)

    page.until(is_framed, "the first view is the photo's")
    first = page.sent
    page.select()
    page.tab("Move")
    page.type("Scale", 1.4)
    page.says("scale")
    page.type("Turn, deg", 25)
    page.says("scale, rotate")
    page.tab("Files")
    page.type("Name", "deep")
    page.press("script", "Save")
    page.says("deep.yaml")
    page.press("PNG", "Save")
    page.says("deep.png")
    (edit,) = yaml.safe_load((viewer.edits / "deep.yaml").read_text())["edits"]
    assert edit["scale"] == {"factor": 1.4} and edit["rotate"] == {"degrees": 25}
    box = edit["select"]["box"]
    assert box == pytest.approx([22.5, 14.0, 37.5, 25.9], abs=1.0), "16 pixels of the page are one of the photo"
    words = ("--script", viewer.edits / "deep.yaml", "--output", tmp_path / "drawn.png")
    entrypoint([str(word) for word in ("edit", "--load-config", viewer.run / "config.yml", *words)])
    saved, drawn = (np.asarray(Image.open(path)).astype(float) for path in (viewer.edits / "deep.png", words[-1]))
    assert np.abs(saved - drawn).max() == 0

    def shows_the_edit(_: np.ndarray) -> bool:
        on_white = Image.alpha_composite(Image.new("RGBA", (60, 40), "white"), Image.fromarray(drawn.astype(np.uint8)))
        wide = np.asarray(on_white.convert("RGB").resize((960, 640))).astype(float)
        return bool(np.abs(page.sent[top : top + 640] - wide).mean() < np.abs(page.sent - first).mean() / 2)

    page.until(shows_the_edit, "the page shows what was saved")
