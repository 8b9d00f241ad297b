"""What is measured of a fit: numbers against independent ones, times that fit together, transparent pixels, crops."""

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nerfstudio.engine.trainer import Trainer
from PIL import Image
from scipy import ndimage

from gainer_bench.fit_measurement import interpolation, measured
from gainer_bench.fits import Fit, cropped, fitted, method_config, peak_mib
from gainer_bench.outputs import json_text
from gainer_ns.errors import GainerError
from gainer_ns.image.loading import load_baked
from gainer_ns.io.image_io import read_picture
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.picture_files import picture_bytes

CORNERS = slice(5, -5)
"""The corners between pixels, of a picture's (h - 1) x (w - 1), that are 6 px or more from its edges."""


def decibels(a: np.ndarray, b: np.ndarray) -> float:
    error = np.clip(a, 0, 1).astype(np.float64) - np.clip(b, 0, 1)
    return -10 * math.log10((error**2).mean())


def drawn(picture: BakedPicture, scale: float = 1.0) -> np.ndarray:
    return picture.raster(scale)[0].cpu().numpy()


def line_of(fit: Fit, image: Path) -> dict[str, Any]:
    """What is measured, as it is written and read again."""
    return json.loads(json_text(measured(fit, read_picture(image))))


@pytest.fixture(scope="module")
def fit(photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Fit:
    return fitted(method_config("gainer", photo, tmp_path_factory.mktemp("fit")), began=time.time())


@pytest.fixture(scope="module")
def line(fit: Fit, photo: Path) -> dict[str, Any]:
    return line_of(fit, photo)


@pytest.fixture(scope="module")
def picture(fit: Fit) -> BakedPicture:
    return load_baked(fit.config)


@pytest.fixture(scope="module")
def source(photo: Path) -> np.ndarray:
    return np.asarray(Image.open(photo)) / 255


def test_a_line_says_what_was_fitted(line: dict[str, Any]) -> None:
    assert (line["width"], line["height"], line["gaussians"]) == (96, 64, 6144)


def test_quality_is_that_of_the_kept_run(line: dict[str, Any], picture: BakedPicture, source: np.ndarray) -> None:
    rgb = drawn(picture)
    exact = (np.round(rgb * 255) == np.round(source * 255)).all(axis=-1)
    assert line["psnr"] > 75
    assert line["psnr"] == pytest.approx(decibels(rgb, source), abs=1)  # at 140 dB, what rounding leaves
    assert line["exact_share"] == exact.mean() == 1
    assert line["psnr_8bit"] == "inf"
    assert 0.9999 < line["ms_ssim"] <= 1


def test_times_and_iterations_fit_together(line: dict[str, Any]) -> None:
    seconds, reached = line["seconds"], line["reached"]
    fitting = seconds["closed form"]
    assert seconds["start"] > 0 and 0 < fitting <= seconds["fit"]
    assert list(reached) == ["40", "50", "60", "77"]
    order = [(entry["iterations"], entry["seconds"]) for entry in reached.values() if entry is not None]
    assert order == sorted(order)
    assert order[0][0] == order[-1][0] == line["iterations"] == 1
    assert order[-1][1] <= fitting
    assert all(part > 0 for part in line["render_seconds"].values())


def test_peak_memory_is_what_the_process_holds_at_least(line: dict[str, Any]) -> None:
    assert 200 < line["peak_mib"] <= peak_mib()


@pytest.mark.parametrize("bits", [32, 16, 8])
def test_stored_sizes_and_what_is_read_back(line: dict[str, Any], picture: BakedPicture, bits: Any) -> None:
    stored = line["stored"][str(bits)]
    assert stored["bytes"] == len(picture_bytes(picture, bits))
    assert stored["exact_share"] > 0.9
    assert stored["psnr"] == pytest.approx(line["psnr"], abs=0.01), "pixels are kept whatever the bits"


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


def test_the_paper_recipe_on_a_crop(photo: Path, tmp_path: Path) -> None:
    part = cropped(photo, (8, 4, 32, 20), tmp_path / "crops")
    config: Any = method_config("gainer-paper", part, tmp_path)
    config.pipeline.model.num_gaussians, config.max_num_iterations = 300, 2
    line = line_of(fitted(config, began=time.time()), part)
    assert (line["width"], line["height"], line["gaussians"], line["iterations"]) == (24, 16, 300, 2)
    assert line["seconds"]["adam"] > 0 == line["seconds"]["finish"]
    assert line["ms_ssim"] is None


def test_saving_a_checkpoint_does_not_count_as_fitting(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "save_checkpoint", lambda self, step: time.sleep(2))
    part = cropped(photo, (0, 0, 12, 10), tmp_path / "crops")
    config: Any = method_config("gainer", part, tmp_path)
    config.pipeline.model.hidden_layers, config.max_num_iterations = 0, 1
    line = line_of(fitted(config, began=time.time()), part)
    assert line["seconds"]["fit"] < 2
    assert "off_grid" not in line  # nothing is left inside the border


def test_transparent_pixels_do_not_count(photo: Path, tmp_path: Path) -> None:
    samples = np.asarray(Image.open(photo).convert("RGBA").crop((0, 0, 40, 40))).copy()
    samples[:, :20, 3] = 0
    path = tmp_path / "half.png"
    Image.fromarray(samples).save(path)
    line = line_of(fitted(method_config("gainer", path, tmp_path), began=time.time()), path)
    assert line["gaussians"] == (20 + 3) * 40, "there are Gaussians in a margin around what shows too"
    assert line["exact_share"] == 1 and line["psnr"] > 70
    assert "off_grid" not in line and line["stored"]["32"]["exact_share"] == 1


def test_only_registered_methods_are_fitted(tmp_path: Path) -> None:
    with pytest.raises(GainerError, match=r"choose one of .*gainer, gainer-compact, gainer-paper"):
        method_config("splatfacto", Path("a.png"), tmp_path)


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
