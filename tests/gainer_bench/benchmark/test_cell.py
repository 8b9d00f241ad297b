"""One cell of a benchmark: what is measured of it, and what goes wrong."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gainer_bench.benchmark.cell import configured, run_cell, set_option
from gainer_bench.benchmark.suite import BenchmarkCell
from gainer_ns.errors import GainerError


def cell(path: Path, **changes: Any) -> BenchmarkCell:
    facts: dict[str, Any] = {
        "path": path,
        "crop": None,
        "reduce": 1,
        "method": "gainer",
        "label": "gainer",
        "options": {},
        "seed": 0,
        "seconds": None,
        "steps": None,
        "measure": (),
    }
    return BenchmarkCell(**(facts | changes))


def test_a_cell_is_fitted_measured_and_drawn(photo: Path) -> None:
    one = cell(photo, measure=("stored", "off_grid", "speed", "edits"), seed=3)
    result = run_cell(one, one.picture, 1)
    line = result.line
    assert "error" not in line, line
    assert line["psnr"] > 75 and line["exact_share"] == 1 and line["threads"] == 1
    assert line["gaussians"] == 96 * 64
    assert line["parameters"] == 3 * 96 * 64 + 4 + 3 * 3 + 3, "features, a covariance, a matrix and an offset"
    assert line["stored"]["8"]["bytes"] == line["stored"]["32"]["bytes"] < 4 * 96 * 64, "pixels are kept in both"
    assert line["off_grid"]["rotation"] > 45 and line["edits"]["rotate 15"] > 45
    assert [entry[2] for entry in line["history"]] == sorted(entry[2] for entry in line["history"])
    drawn = {what: np.asarray(Image.open(io.BytesIO(data))) for what, data in result.pictures.items()}
    assert (drawn["source"] == drawn["rendered"]).all()
    assert drawn["errors"].shape == (64, 96, 3) and drawn["errors"].max() < 40


def test_crops_and_reductions_are_what_is_fitted(photo: Path) -> None:
    one = cell(photo, crop=(4, 2, 20, 14), reduce=2)
    result = run_cell(one, one.picture, 1)
    half = Image.open(photo).resize((48, 32), Image.Resampling.BICUBIC).crop((4, 2, 20, 14))
    assert (result.line["width"], result.line["height"]) == (16, 12)
    source = np.asarray(Image.open(io.BytesIO(result.pictures["source"]))).astype(int)
    assert np.abs(source - np.asarray(half)).max() <= 1


def test_budgets_bound_the_fit(photo: Path) -> None:
    sparse = {"pipeline.model.gaussians-per-pixel": 0.2}
    by_steps = run_cell(cell(photo, steps=7, options=sparse), photo.read_bytes(), 1).line
    by_time = run_cell(cell(photo, seconds=0.5, options=sparse), photo.read_bytes(), 1).line
    assert by_steps["iterations"] == 7
    assert 0.5 <= by_time["seconds"]["adam"] + by_time["seconds"]["finish"] + by_time["seconds"]["graph"] < 10
    assert by_time["seconds"]["finish"] > 0 and by_time["iterations"] < 1000


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"method": "none"}, "there is no such 2D method"),
        ({"crop": (0, 0, 500, 4)}, "is no part of"),
        ({"options": {"pipeline.model.nothing": 1}}, "there is no such option"),
    ],
)
def test_what_goes_wrong_is_told_in_the_line(changes: dict[str, Any], complaint: str, photo: Path) -> None:
    result = run_cell(cell(photo, **changes), photo.read_bytes(), 1)
    assert complaint in result.line["error"] and result.pictures == {}


def test_a_picture_that_is_none_is_told_in_the_line(tmp_path: Path) -> None:
    path = tmp_path / "text.png"
    path.write_text("no picture")
    assert "text.png" in run_cell(cell(path), path.read_bytes(), 1).line["error"]


def test_options_have_the_names_of_ns_train(photo: Path, tmp_path: Path) -> None:
    options = {
        "pipeline.model.gaussians-per-pixel": 1,
        "pipeline.model.encoding.num_neighbours": 9,
        "pipeline.model.background": [0, 0, 1],
        "pipeline.model.num-gaussians": 500,
    }
    config = configured(cell(photo, options=options, seed=5, seconds=2.5), photo, tmp_path)
    model: Any = config.pipeline.model
    assert (model.gaussians_per_pixel, model.encoding.num_neighbours, model.num_gaussians) == (1.0, 9, 500)
    assert model.background == (0, 0, 1) and isinstance(model.gaussians_per_pixel, float)
    assert (model.seed, config.machine.seed, model.fit_seconds) == (5, 5, 2.5)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("pipeline.model.hidden-layers", "two"),
        ("pipeline.model.hidden-layers", 1.5),
        ("pipeline.model.hidden-layers", True),
        ("pipeline.model.encoding.num-neighbours", "many"),
        ("pipeline.model.fit-seconds", "long"),
        ("pipeline.nothing.x", 1),
        ("x", 1),
    ],
)
def test_options_that_do_not_exist_or_fit_are_refused(option: str, value: Any, photo: Path, tmp_path: Path) -> None:
    config = configured(cell(photo), photo, tmp_path)
    with pytest.raises(GainerError, match=option.split(".")[-1]):
        set_option(config, option, value)
