"""Fits in bands of rows: the same as of the whole picture, whatever the bands."""

from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pytest

import gainer_ns as gn
from gainer_ns.fitting.pixel_fit import fit_band, pixel_bands
from gainer_ns.gaussians.prefilter import ROWS_AT_ONCE, NodeAverages
from gainer_ns.recipes import GAINER
from gainer_ns.storage.picture_files import load_picture, save_fitted_pixels

SIGMA = GAINER.picture.encoding.sigma


@pytest.mark.parametrize("seed", range(12))
def test_bands_with_what_is_around_them_tell_the_fit_of_the_whole(seed: int, tmp_path: Path) -> None:
    random = np.random.default_rng(seed)
    height, width = (int(random.integers(2, 40 + 200 * (seed % 3))) for _ in range(2))
    kind = np.uint16 if seed % 2 else np.uint8
    samples = random.integers(0, np.iinfo(kind).max, (height, width, 3), kind, endpoint=True)
    bands = list(pixel_bands(samples, SIGMA, int(random.integers(1, height * width + 1))))
    assert [row for band in bands for row in band.rows] == list(range(height))
    found = reduce(add, map(fit_band, bands))
    picture = gn.fit(samples)
    assert found.values == samples.size and found.psnr == pytest.approx(picture.psnr, abs=1e-3)

    picture.save(tmp_path / "whole.safetensors")
    save_fitted_pixels(tmp_path / "banded.safetensors", samples, None, GAINER.picture)
    assert (tmp_path / "whole.safetensors").read_bytes() == (tmp_path / "banded.safetensors").read_bytes()
    assert load_picture(tmp_path / "banded.safetensors").plane == picture.plane


def test_a_band_tells_no_more_of_the_picture_than_counts() -> None:
    samples = np.zeros((20 * ROWS_AT_ONCE, 8, 3), np.uint8)
    bands = list(pixel_bands(samples, SIGMA, 8 * ROWS_AT_ONCE))
    assert len(bands) == 20 and all(len(band.samples) < 2 * ROWS_AT_ONCE for band in bands)
    averages, middle = NodeAverages(len(samples), 8, SIGMA), bands[10]
    around = averages.rows_told_by(middle.rows.start, middle.rows.stop)
    assert (middle.top, middle.top + len(middle.samples)) == (around.start, around.stop)
