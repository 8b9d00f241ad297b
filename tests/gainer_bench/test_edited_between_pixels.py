"""Edited pictures against the spline of their source, on a real fit: known answers, and what counts."""

from pathlib import Path

import numpy as np
import pytest

from gainer_bench.between_pixels import edit_quality, edited_pixels
from gainer_bench.known_edits import KnownEdit, known_edits
from gainer_bench.sources import fitted_source
from gainer_ns.errors import GainerError
from gainer_ns.image.loading import load_baked
from gainer_ns.io.image_io import SourceImage, read_picture
from gainer_ns.rendering.plane import BakedPicture

WHOLE_PIXEL = KnownEdit({"move": {"by": [1.0, 0.0]}}, lambda points: points - np.array([1.0, 0.0]))
NOTHING = KnownEdit({"move": {"by": [0.0, 0.0]}}, lambda points: points)


@pytest.fixture(scope="module")
def baked(fitted_run: Path) -> BakedPicture:
    return load_baked(fitted_run, "cpu")


@pytest.fixture(scope="module")
def source(photo: Path) -> SourceImage:
    return read_picture(photo)


def test_every_edit_is_near_the_spline(baked: BakedPicture, source: SourceImage) -> None:
    scores = edit_quality(baked, source.colours())
    assert list(scores) == list(known_edits(96, 64))
    assert min(scores.values()) > 55


def test_whole_pixels_are_good(baked: BakedPicture, source: SourceImage) -> None:
    scores = edit_quality(baked, source.colours(), edits={"nothing": NOTHING, "pixel": WHOLE_PIXEL})
    assert scores["nothing"] > 85
    assert scores["pixel"] > 65  # rounding decides otherwise which of equally near Gaussians are read
    assert edited_pixels(baked, source.colours(), None, WHOLE_PIXEL).counted.sum() == (96 - 12) * (64 - 12)


def test_an_edit_the_wrong_way_is_found_out(baked: BakedPicture, source: SourceImage) -> None:
    wrong = {
        "move": KnownEdit({"move": {"by": [1.0, 0.0]}}, lambda points: points + np.array([1.0, 0.0])),
        "turn": KnownEdit({"rotate": {"degrees": -15.0}}, known_edits(96, 64)["rotate 15"].back),
    }
    assert max(edit_quality(baked, source.colours(), edits=wrong).values()) < 30


def test_holes_are_errors(baked: BakedPicture, source: SourceImage) -> None:
    cut = KnownEdit({"cut": {"line": [[48.0, -10.0], [48.0, 80.0]], "gap": 4.0}}, lambda points: points)
    found = edited_pixels(baked, source.colours(), None, cut)
    left = round(-cut.extent(96, 64)[0])
    assert found.edited[32, left + 47 : left + 49].max() == 0 < found.reference[32, left + 47 : left + 49].min()
    assert edit_quality(baked, source.colours(), edits={"cut": cut})["cut"] < 40


def test_only_what_is_opaque_counts(baked: BakedPicture, source: SourceImage) -> None:
    opacity = np.ones((64, 96), np.float32)
    opacity[:, 48:] = 0.999
    counted = edited_pixels(baked, source.colours(), opacity, NOTHING).counted
    assert counted[:, 42:].sum() == 0 and counted[6:-6, 6:42].all()
    with pytest.raises(GainerError, match="nothing: nothing lies 6 px inside"):
        edit_quality(baked, source.colours(), 0 * opacity, edits={"nothing": NOTHING})


def test_another_source_is_refused(baked: BakedPicture, source: SourceImage) -> None:
    with pytest.raises(GainerError, match="95 x 64 pixels, the fitted picture 96 x 64"):
        edit_quality(baked, source.colours()[:, 1:])


def test_the_source_is_found(fitted_run: Path, photo: Path, tmp_path: Path) -> None:
    assert fitted_source(fitted_run).path == photo
    moved = tmp_path / "config.yml"
    text = fitted_run.read_text("utf8")
    assert text.count(photo.name) >= 1
    moved.write_text(text.replace(photo.name, "gone.png"), "utf8")
    with pytest.raises(GainerError, match=r"gone.png, is not there; name the picture that was fitted by --source"):
        fitted_source(moved)
    assert fitted_source(moved, photo).path == photo
    with pytest.raises(GainerError, match="does not say what it was fitted to"):
        fitted_source(tmp_path / "picture.safetensors")
    assert fitted_source(tmp_path / "picture.safetensors", photo).width == 96
