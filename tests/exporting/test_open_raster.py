"""Layers for painting programs, read back by pyora."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gainer_ns.editing.script import Script
from gainer_ns.editing.stage import Stage
from gainer_ns.exporting.mesh import srgb_pixels
from gainer_ns.exporting.open_raster import write_open_raster
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.rendering.plane import BakedPicture

pyora = pytest.importorskip("pyora", reason="needs pyora: pip install -e .[dev]")


def test_the_layers_of_an_edit(picture: Callable[..., BakedPicture], tmp_path: Path) -> None:
    made = picture()
    piece = {"select": {"box": [4, 4, 12, 12]}, "move": {"by": [6, 0]}, "mode": "piece"}
    edited = Stage(Script.model_validate({"edits": [piece]}), made).at(1.0)
    assert write_open_raster(tmp_path / "edited.ora", edited) == 2
    project = pyora.Project.load(str(tmp_path / "edited.ora"))
    back, front = sorted(project.children, key=lambda layer: layer.name)
    assert project.dimensions == (24, 16)
    moved = np.asarray(front.get_image_data(raw=False))
    assert (moved[5:11, 11:17, 3] == 255).all() and moved[:, :8, 3].max() == 0
    here, there = srgb_pixels(made)[5:11, 5:11], moved[5:11, 11:17]
    assert np.abs(here.astype(int) - there).max() <= 1, "the piece has the picture's colours"
    hole = np.asarray(back.get_image_data(raw=False))
    assert hole[6:10, 6:10, 3].max() == 0 and (hole[:, 14:, 3] == 255).all()
    merged, seen = Image.alpha_composite(Image.fromarray(hole), Image.fromarray(moved)), srgb_pixels(edited)
    assert np.abs(np.asarray(merged)[..., 3].astype(int) - seen[..., 3]).max() <= 2
    shown = seen[..., 3] > 0
    np.testing.assert_allclose(np.asarray(merged)[shown], seen[shown], atol=3)
    np.testing.assert_array_equal(np.asarray(project.get_image_data(use_original=True)), seen)


def test_the_layers_of_a_lifted_photo(lifted_scene: Callable[..., LiftedScene], tmp_path: Path) -> None:
    scene = lifted_scene((0.8, 1.2), (16, 12, 32, 24))
    assert write_open_raster(tmp_path / "lifted.ora", scene) == 2
    project = pyora.Project.load(str(tmp_path / "lifted.ora"))
    top, bottom = project["object"], project["background"]
    assert np.asarray(bottom.get_image_data(raw=False))[..., 3].min() == 255
    alpha = np.asarray(top.get_image_data(raw=False))[..., 3]
    assert alpha[14:22, 18:30].min() == 255 and alpha[:8].max() == 0


def test_the_kind_is_told_first_and_uncompressed(picture: Callable[..., BakedPicture], tmp_path: Path) -> None:
    write_open_raster(tmp_path / "one.ora", picture(cut_out=True))
    first, *others = zipfile.ZipFile(tmp_path / "one.ora").infolist()
    assert first.filename == "mimetype" and first.compress_type == zipfile.ZIP_STORED
    assert {"stack.xml", "mergedimage.png", "Thumbnails/thumbnail.png"} < {other.filename for other in others}
