"""Edited pictures against the spline of their source, on a real fit: known answers, what counts, and the command."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from gainer_bench.__main__ import main
from gainer_bench.edit_quality import EditScore, edit_quality, edited_pixels, quality_table
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


def test_every_edit_is_better_than_bilinear_by_far(baked: BakedPicture, source: SourceImage) -> None:
    scores = edit_quality(baked, source.colours())
    assert list(scores) == list(known_edits(96, 64))
    for name, score in scores.items():
        assert score.psnr > 55, name
        if name != "rotate 90":  # which takes pixels to pixels
            assert score.psnr > score.psnr_bilinear + 15, name


def test_whole_pixels_are_exact_for_bilinear_and_good_for_the_fit(baked: BakedPicture, source: SourceImage) -> None:
    scores = edit_quality(baked, source.colours(), edits={"nothing": NOTHING, "pixel": WHOLE_PIXEL})
    assert scores["nothing"].psnr > 85
    assert scores["pixel"].psnr > 65  # rounding decides otherwise which of equally near Gaussians are read
    for score in scores.values():
        assert score.psnr_bilinear > 200
        assert score.pixels == (96 - 12) * (64 - 12)


def test_an_edit_the_wrong_way_is_found_out(baked: BakedPicture, source: SourceImage) -> None:
    wrong = {
        "move": KnownEdit({"move": {"by": [1.0, 0.0]}}, lambda points: points + np.array([1.0, 0.0])),
        "turn": KnownEdit({"rotate": {"degrees": -15.0}}, known_edits(96, 64)["rotate 15"].back),
    }
    assert all(score.psnr < 30 for score in edit_quality(baked, source.colours(), edits=wrong).values())


def test_holes_are_errors(baked: BakedPicture, source: SourceImage) -> None:
    cut = KnownEdit({"cut": {"line": [[48.0, -10.0], [48.0, 80.0]], "gap": 4.0}}, lambda points: points)
    found = edited_pixels(baked, source.colours(), None, cut)
    left = round(-cut.extent(96, 64)[0])
    assert found.edited[32, left + 47 : left + 49].max() == 0 < found.reference[32, left + 47 : left + 49].min()
    assert edit_quality(baked, source.colours(), edits={"cut": cut})["cut"].psnr < 40


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


def test_a_table_of_several_pictures_has_mean_and_worst() -> None:
    one, two = {"turn": EditScore(50.0, 30.0, 9)}, {"turn": EditScore(60.0, 36.0, 9)}
    assert quality_table([one]).markdown().splitlines()[-1] == "| turn | 50.00 | 30.00 |"
    assert quality_table([one, two]).markdown().splitlines()[-1] == "| turn | 55.00 | 50.00 | 33.00 | 30.00 |"
    assert "exact" in quality_table([{"turn": EditScore(math.inf, 30.0, 9)}]).markdown()


def test_the_command_measures_runs(fitted_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["edit-quality", "--load-config", str(fitted_run), str(fitted_run), "--output", str(tmp_path / "new")])
    table = (tmp_path / "new/edit_quality.md").read_text("utf8")
    assert table in capsys.readouterr().out
    assert [row.split(" | ")[0] for row in table.splitlines()[2:]] == [f"| {name}" for name in known_edits(9, 9)]
    lines = [json.loads(line) for line in (tmp_path / "new/edit_quality.jsonl").read_text("utf8").splitlines()]
    assert lines[0] == {"config": str(fitted_run), "edits": lines[0]["edits"]} and len(lines) == 1
    assert set(lines[0]["edits"]["bend 40"]) == set(EditScore._fields)


def test_what_the_command_cannot_do_it_says(fitted_run: Path, photo: Path, tmp_path: Path) -> None:
    with pytest.raises(GainerError, match="one source for 2 runs"):
        main(["edit-quality", "--load-config", str(fitted_run), str(fitted_run), "--source", str(photo)])
    with pytest.raises(GainerError, match=r"none.yml: there is no such file"):
        main(["edit-quality", "--load-config", str(tmp_path / "none.yml"), "--output", str(tmp_path / "new")])
    assert not (tmp_path / "new").exists()


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
