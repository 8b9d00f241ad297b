"""Fit reports: their numbers against independent ones, going on after an interruption, failures, the command line."""

import json
import math
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import tyro
from nerfstudio.engine.trainer import Trainer
from PIL import Image
from scipy import ndimage

from gainer_bench import fit_measurement, fit_report
from gainer_bench.fit_measurement import fit_config, interpolation
from gainer_bench.fit_report import FitReport, ReportLog, main, markdown
from gainer_bench.fits import cropped, peak_mib
from gainer_ns.errors import GainerError
from gainer_ns.image.loading import load_baked
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.picture_files import picture_bytes

CORNERS = slice(5, -5)
"""The corners between pixels, of a picture's (h - 1) x (w - 1), that are 6 px or more from its edges."""


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (folder / "report.jsonl").read_text().splitlines()]


def decibels(a: np.ndarray, b: np.ndarray) -> float:
    error = np.clip(a, 0, 1).astype(np.float64) - np.clip(b, 0, 1)
    return -10 * math.log10((error**2).mean())


def drawn(picture: BakedPicture, scale: float = 1.0) -> np.ndarray:
    return picture.raster(scale)[0].cpu().numpy()


@pytest.fixture(scope="module")
def report(photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    assert main([str(photo), "--output", str(folder), "--super-resolution", "--in-process"]) == 0
    return folder


@pytest.fixture(scope="module")
def line(report: Path) -> dict[str, Any]:
    return lines(report)[0]


@pytest.fixture(scope="module")
def picture(report: Path, line: dict[str, Any]) -> BakedPicture:
    return load_baked(report / line["config"])


@pytest.fixture(scope="module")
def source(photo: Path) -> np.ndarray:
    return np.asarray(Image.open(photo)) / 255


def test_a_line_says_what_was_fitted(report: Path, line: dict[str, Any], photo: Path) -> None:
    assert len(lines(report)) == 1
    assert (line["image"], line["method"], line["options"]) == (photo.as_posix(), "gainer", {"super_resolution": True})
    assert (line["width"], line["height"], line["gaussians"]) == (96, 64, 6144)


def test_quality_is_that_of_the_kept_run(line: dict[str, Any], picture: BakedPicture, source: np.ndarray) -> None:
    rgb = drawn(picture)
    exact = (np.round(rgb * 255) == np.round(source * 255)).all(axis=-1)
    assert line["psnr"] > 75
    assert line["psnr"] == pytest.approx(decibels(rgb, source), abs=0.05)  # float64 colours here, float32 there
    assert line["exact_share"] == exact.mean() == 1
    assert line["psnr_8bit"] == "inf"
    assert 0.9999 < line["ms_ssim"] <= 1


def test_times_and_iterations_fit_together(line: dict[str, Any]) -> None:
    seconds, reached = line["seconds"], line["reached"]
    assert seconds["start"] > 0 and seconds["graph"] > 0 and seconds["finish"] > 0 and seconds["adam"] == 0
    fitting = seconds["graph"] + seconds["finish"]
    assert fitting <= seconds["fit"]
    assert list(reached) == ["40", "50", "60", "77"]
    order = [(entry["iterations"], entry["seconds"]) for entry in reached.values() if entry is not None]
    assert order == sorted(order)
    assert order[0][0] >= 1 and order[-1][0] <= line["iterations"] <= 12
    assert order[-1][1] <= fitting
    assert all(part > 0 for part in line["render_seconds"].values())


def test_peak_memory_is_what_the_process_holds_at_least(line: dict[str, Any]) -> None:
    assert 200 < line["peak_mib"] <= peak_mib()


@pytest.mark.parametrize("bits", [32, 16, 8])
def test_stored_sizes_and_what_is_read_back(line: dict[str, Any], picture: BakedPicture, bits: Any) -> None:
    stored = line["stored"][str(bits)]
    assert stored["bytes"] == len(picture_bytes(picture, bits))
    assert stored["exact_share"] > 0.9
    if bits == 32:
        assert stored["psnr"] == pytest.approx(line["psnr"], abs=0.01)
    else:
        assert 50 < stored["psnr"] < line["psnr"]


def test_off_grid_numbers(line: dict[str, Any], picture: BakedPicture, source: np.ndarray) -> None:
    spline = ndimage.shift(source, (-0.5, -0.5, 0), order=3, mode="mirror")[:-1, :-1][CORNERS, CORNERS]
    x, y = np.meshgrid(np.arange(1, 96.0), np.arange(1, 64.0))
    points = torch.from_numpy(np.stack([x, y], axis=-1)[CORNERS, CORNERS].reshape(-1, 2))
    fitted = picture.at_pixels(points).rgb.numpy().reshape(spline.shape)
    bilinear = (source[:-1, :-1] + source[1:, :-1] + source[:-1, 1:] + source[1:, 1:])[CORNERS, CORNERS] / 4
    assert line["off_grid"]["half_pixel_shift"] == pytest.approx(decibels(fitted, spline), abs=0.01)
    assert line["off_grid_bilinear"]["half_pixel_shift"] == pytest.approx(decibels(bilinear, spline), abs=1e-4)
    for probe in ("half_pixel_shift", "rotation", "zoom", "warp"):
        assert line["off_grid"][probe] > line["off_grid_bicubic"][probe] > line["off_grid_bilinear"][probe]


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_interpolation_reads_pixels_at_their_centres(source: np.ndarray, mode: str) -> None:
    rows, columns = np.array([3, 40, 63]), np.array([0, 50, 95])
    read = interpolation(source, mode)(np.stack([columns, rows], axis=-1) + 0.5)
    assert np.abs(read - source[rows, columns]).max() < 1e-12


def test_super_resolution(report: Path, line: dict[str, Any], photo: Path, source: np.ndarray) -> None:
    found = line["super_resolution"]
    half = load_baked(report / found["config"])
    assert (half.plane.width, half.plane.height) == (48, 32)
    assert found["psnr"] == pytest.approx(decibels(drawn(half, 2.0), source), abs=1e-4)
    reduced = Image.open(photo).resize((48, 32), Image.Resampling.BICUBIC)
    enlarged = np.asarray(reduced.resize((96, 64), Image.Resampling.BICUBIC)) / 255
    assert found["psnr_bicubic"] == pytest.approx(decibels(enlarged, source), abs=0.05)  # this one is rounded


def test_the_table_shows_the_line(report: Path, line: dict[str, Any]) -> None:
    header, _, row = (report / "report.md").read_text().splitlines()[:3]
    assert header.count("|") == row.count("|") == 15
    assert "| astronaut.png | 96 x 64 | gainer, super-resolution |" in row
    assert f"| {line['psnr']:.2f} | inf | 100.000 |" in row


def test_what_is_reported_is_not_fitted_again(report: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = []
    monkeypatch.setattr(fit_measurement, "measure", lambda *_, **__: fits.append(1) or {"error": "no fit"})
    arguments = [str(photo), "--output", str(report), "--super-resolution"]
    assert main(arguments) == 0
    assert not fits and len(lines(report)) == 1


def fake(image: Path, method: str, options: dict[str, Any], output: Path, *, began: float) -> dict[str, Any]:
    """Stands in for a fit."""
    if not image.is_file():
        raise GainerError(f"{image}: does not exist")
    if image.name == "bug.png":
        raise RuntimeError("a bug")
    return {"width": 4, "height": 3, "psnr": 50.0 + len(image.stem), "psnr_8bit": math.inf, "peak_mib": 9.0}


@pytest.fixture
def _fake_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_measurement, "measure", fake)


@pytest.mark.usefixtures("_fake_fits")
def test_other_options_and_again_are_fitted(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    image.touch()
    base = [str(image), "--output", str(tmp_path / "out")]
    for more in ([], ["--seed", "1"], ["--seed", "1"], ["--seed", "1", "--again"], ["--method", "gainer-paper"], []):
        assert main([*base, *more]) == 0
    found = [(line["method"], line["options"]) for line in lines(tmp_path / "out")]
    assert found == [("gainer", {}), ("gainer", {"seed": 1}), ("gainer", {"seed": 1}), ("gainer-paper", {})]
    table = (tmp_path / "out" / "report.md").read_text()
    assert table.count("a.png") == 3  # the newest line of each


@pytest.mark.usefixtures("_fake_fits")
def test_a_failing_picture_gives_one_line_and_the_others_go_on(tmp_path: Path) -> None:
    for name in ("a", "bug", "abc"):
        (tmp_path / f"{name}.png").touch()
    images = [str(tmp_path / f"{name}.png") for name in ("missing", "a", "bug", "abc")]
    assert main([*images, "--output", str(tmp_path / "out"), "--in-process"]) == 1
    missing, good, bug, last = lines(tmp_path / "out")
    assert missing["error"] == f"{images[0]}: does not exist" and "traceback" not in missing
    assert bug["error"] == "RuntimeError: a bug" and "in fake" in bug["traceback"]
    assert (good["psnr"], last["psnr"]) == (51, 53)
    table = (tmp_path / "out" / "report.md").read_text()
    assert "| **mean** | 2 images | gainer | 52.00 | inf | 9 |" in table
    assert "| **worst** | 2 images | gainer | 51.00 | inf | 9 |" in table
    assert f"- gainer: {images[0]}: does not exist\n" in table

    (tmp_path / "missing.png").touch()  # mended: it is tried again, and so is the other one that failed
    assert main([*images, "--output", str(tmp_path / "out"), "--in-process"]) == 1
    assert [Path(line["image"]).stem for line in lines(tmp_path / "out")[4:]] == ["missing", "bug"]
    assert "does not exist" not in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.usefixtures("_fake_fits")
def test_a_line_that_was_cut_off_is_fitted_again(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    image.touch()
    (tmp_path / "report.jsonl").write_text(f'{{"image": "{image}", "met')
    assert main([str(image), "--output", str(tmp_path)]) == 0
    assert [line["psnr"] for line in ReportLog(tmp_path).lines()] == [51]
    assert main([str(image), "--output", str(tmp_path)]) == 0
    assert len(ReportLog(tmp_path).lines()) == 1


def test_a_killed_process_gives_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_report.subprocess, "run", lambda words, **_: subprocess.CompletedProcess(words, -9))
    assert main(["a.png", "b.png", "--output", str(tmp_path)]) == 1
    assert [line["error"] for line in lines(tmp_path)] == [
        f"{name}.png: the process that fitted it ended by signal 9" for name in "ab"
    ]


def test_the_command_line_reaches_the_process_of_each_picture(tmp_path: Path) -> None:
    words = "a.png b.png --output out --gaussians-per-pixel 0.5 --num-gaussians 70 --feature-dim 4 --hidden-layers 0"
    words += " --adam-steps 5 --finish-steps 0 --target-psnr 60 --max-num-iterations 9 --crop 1 2 30 40 --seed 0"
    report = tyro.cli(FitReport, args=[*words.split(), "--super-resolution"])
    assert report.images == (Path("a.png"), Path("b.png")) and report.crop == (1, 2, 30, 40)
    assert len(report.options()) == 11 and report.options()["hidden_layers"] == 0
    child = tyro.cli(FitReport, args=report.arguments(Path("b.png")))
    assert child == replace(report, images=(Path("b.png"),), again=True)
    assert json.loads(json.dumps(report.options())) == report.options()


def test_a_report_needs_pictures_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(GainerError, match="no picture is named"):
        main(["--output", str(tmp_path)])
    (tmp_path / "file").touch()
    with pytest.raises(GainerError, match="choose another --output"):
        main(["a.png", "--output", str(tmp_path / "file")])
    with pytest.raises(SystemExit):
        main(["a.png", "--output", str(tmp_path), "--method", "nerfacto"])


def test_an_empty_report_has_no_table() -> None:
    assert markdown([]) == ""


def test_options_reach_the_configuration(tmp_path: Path) -> None:
    config = fit_config("gainer", {"adam_steps": 2000, "feature_dim": 5, "seed": 7}, Path("a.png"), tmp_path)
    model: Any = config.pipeline.model
    assert (model.adam_steps, model.feature_dim, model.seed, config.machine.seed) == (2000, 5, 7, 7)
    untouched: Any = fit_config("gainer", {}, Path("a.png"), tmp_path)
    assert untouched.pipeline.model.adam_steps is None
    paper: Any = fit_config("gainer-paper", {"gaussians_per_pixel": 1.0}, Path("a.png"), tmp_path)
    assert paper.pipeline.model.num_gaussians is None
    with pytest.raises(GainerError, match="--feature-dim does not apply to gainer-paper"):
        fit_config("gainer-paper", {"feature_dim": 4}, Path("a.png"), tmp_path)
    with pytest.raises(GainerError, match=r"choose one of .*gainer, gainer-compact, gainer-paper"):
        fit_config("splatfacto", {}, Path("a.png"), tmp_path)


def test_the_paper_recipe_on_a_crop(photo: Path, tmp_path: Path) -> None:
    words = "--method gainer-paper --num-gaussians 300 --max-num-iterations 2 --crop 8 4 32 20"
    assert main([str(photo), "--output", str(tmp_path), *words.split()]) == 0
    line = lines(tmp_path)[0]
    assert (line["width"], line["height"], line["gaussians"], line["iterations"]) == (24, 16, 300, 2)
    assert line["seconds"]["adam"] > 0 == line["seconds"]["finish"]
    assert line["ms_ssim"] is None and line["super_resolution"] is None
    part = np.asarray(Image.open(tmp_path / "crops" / "astronaut-8-4-32-20.png"))
    assert np.array_equal(part, np.asarray(Image.open(photo))[4:20, 8:32])


def test_saving_a_checkpoint_does_not_count_as_fitting(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "save_checkpoint", lambda self, step: time.sleep(2))
    words = "--max-num-iterations 1 --hidden-layers 0 --crop 0 0 12 10"
    assert main([str(photo), "--output", str(tmp_path), *words.split()]) == 0
    line = lines(tmp_path)[0]
    assert line["seconds"]["fit"] < 2
    assert "off_grid" not in line  # nothing is left inside the border


def test_transparent_pixels_do_not_count(photo: Path, tmp_path: Path) -> None:
    samples = np.asarray(Image.open(photo).convert("RGBA").crop((0, 0, 40, 40))).copy()
    samples[:, :20, 3] = 0
    Image.fromarray(samples).save(tmp_path / "half.png")
    assert main([str(tmp_path / "half.png"), "--output", str(tmp_path)]) == 0
    line = lines(tmp_path)[0]
    assert line["gaussians"] == (20 + 3) * 40, "there are Gaussians in a margin around what shows too"
    assert line["exact_share"] == 1 and line["psnr"] > 70
    assert "off_grid" not in line and line["stored"]["32"]["exact_share"] == 1


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16"])
def test_a_crop_keeps_depth_and_alpha(tmp_path: Path, mode: str) -> None:
    generator = np.random.default_rng(0)
    shape, kind = ((9, 11), np.uint16) if mode == "I;16" else ((9, 11, len(mode)), np.uint8)
    samples = generator.integers(0, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)
    Image.fromarray(samples).save(tmp_path / "a.png")
    part = np.asarray(Image.open(cropped(tmp_path / "a.png", (2, 1, 8, 9), tmp_path / "crops")))
    expected = samples[1:9, 2:8]
    if mode == "I;16":  # gray comes back as colours, and Pillow shows 8 of their 16 bits
        assert part.shape == (8, 6, 3) and np.array_equal(part[..., 0], expected >> 8)
    else:
        assert np.array_equal(part, expected)
    with pytest.raises(GainerError, match="is no part of 11 x 9 pixels"):
        cropped(tmp_path / "a.png", (2, 1, 12, 9), tmp_path)


@pytest.mark.slow
def test_each_picture_has_a_process_of_its_own(photo: Path, tmp_path: Path) -> None:
    words = "--max-num-iterations 1 --crop 0 0 32 32"
    images = [str(photo), str(tmp_path / "missing.png")]
    assert main([*images, "--output", str(tmp_path), *words.split()]) == 1
    good, missing = lines(tmp_path)
    assert good["seconds"]["start"] > 0.5  # it includes the imports of a fresh process
    assert good["peak_mib"] > 200
    assert "does not exist" in missing["error"]
