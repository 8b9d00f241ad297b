"""Edits of photographs beside library calls: the two truths, what they are good for, and the command."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gainer_bench.__main__ import main
from gainer_bench.edit_quality import METHODS, area_reduced, edit_results, quality_tables, true_edit
from gainer_bench.known_edits import KnownEdit, known_edits
from gainer_ns.errors import GainerError


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    from skimage.data import astronaut

    return astronaut()[:400, :400]


def test_a_true_edit_is_the_area_average_of_the_edited_photograph(astronaut: np.ndarray) -> None:
    full = (astronaut / 255).astype(np.float32)
    turned = true_edit(full, KnownEdit.rotation(100, 100, 90.0), (0.0, 0.0, 100.0, 100.0), 4)
    assert np.abs(turned - area_reduced(np.rot90(full), 4)).max() < 1e-4
    shift = KnownEdit({"move": {"by": [0.5, 0.25]}}, lambda points: points - [0.5, 0.25])
    moved = true_edit(full, shift, (0.0, 0.0, 100.0, 100.0), 4)  # 2 and 1 px of the photograph
    assert np.abs(moved[1:, 1:] - area_reduced(np.roll(full, (1, 2), axis=(0, 1)), 4)[1:, 1:]).max() < 1e-4


def test_all_methods_are_near_the_truth_and_an_edit_the_wrong_way_is_not(astronaut: np.ndarray) -> None:
    full = (astronaut / 255).astype(np.float32)
    edits = {"rotate 15": known_edits(100, 100)["rotate 15"], "wrong": known_edits(100, 100)["rotate 15"]}
    edits["wrong"] = KnownEdit({"rotate": {"degrees": -15.0}}, edits["wrong"].back)
    found = edit_results(full, 4, edits=edits)
    right = found["rotate 15"]
    assert list(right) == list(METHODS)
    assert max(one.true_db for one in right.values()) - min(one.true_db for one in right.values()) < 1.5
    assert right["spline"].spline_db == math.inf and right["gainer"].spline_db > 55 > right["remap cubic"].spline_db
    assert found["wrong"]["gainer"].true_db < right["gainer"].true_db - 5
    assert all(one.seconds > 0 and one.megapixels > 0.01 for one in right.values())
    truth, spline, cost = (table.markdown() for table in quality_tables([found]))
    assert "| mean |" in truth and "spline |" in truth.splitlines()[0] and cost.count("\n") == 3
    assert spline.splitlines()[0] == "| edit, dB of the spline | gainer | remap cubic | remap Lanczos4 | mesh |"


def test_the_command_writes_what_it_shows(
    astronaut: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(astronaut[:220, :200]).save(tmp_path / "photo.png")
    few = {"rotate 15": KnownEdit.rotation(100, 110, 15.0)}
    monkeypatch.setattr("gainer_bench.edit_quality.known_edits", lambda width, height: few)
    main(
        ["edit-quality", "--pictures", str(tmp_path / "photo.png"), "--reduce", "2", "--output", str(tmp_path / "new")]
    )
    assert (tmp_path / "new/edit_quality.md").read_text("utf8") in capsys.readouterr().out
    (line,) = [json.loads(line) for line in (tmp_path / "new/edit_quality.jsonl").read_text("utf8").splitlines()]
    assert line["picture"] == "photo.png" and set(line["edits"]["rotate 15"]) == set(METHODS)


def test_what_the_command_cannot_do_it_says(tmp_path: Path) -> None:
    Image.new("RGBA", (400, 400)).save(tmp_path / "clear.png")
    Image.new("RGB", (399, 400)).save(tmp_path / "small.png")
    for name, wrong in (
        ("clear", "has alpha; give a photograph"),
        ("small", "399 x 400 px are too few to be reduced 4"),
    ):
        with pytest.raises(GainerError, match=wrong):
            main(["edit-quality", "--pictures", str(tmp_path / f"{name}.png"), "--output", str(tmp_path / "new")])
    with pytest.raises(GainerError, match="--reduce 1: give a whole number from 2 to 16"):
        main(["edit-quality", "--pictures", str(tmp_path / "small.png"), "--reduce", "1"])
    assert not (tmp_path / "new").exists()
