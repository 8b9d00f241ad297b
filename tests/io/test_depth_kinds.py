"""Depth files that hold something else than depth: what comes out, and that it is noticed."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gainer_ns.io.depth_files import read_depth, stored_to_depth
from gainer_ns.io.depth_kinds import DepthKind

HEIGHT, WIDTH = 40, 50
DEPTH = np.linspace(8, 2, HEIGHT)[:, None] * np.linspace(1, 1.1, WIDTH)
"""Metres of a ground that comes nearer towards the bottom."""


def saved(path: Path, samples: np.ndarray) -> Path:
    np.save(path, samples) if path.suffix == ".npy" else Image.fromarray(samples).save(path)
    return path


@pytest.mark.parametrize("kind", ["inverse", "disparity"])
@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_with_a_scale_both_are_metres(tmp_path: Path, kind: DepthKind, suffix: str) -> None:
    """Stored are 256ths of pixels of disparity, as KITTI has them: focal length times baseline is 400."""
    stored = 256 * 400 / DEPTH
    samples = stored.round().astype(np.uint16) if suffix == ".png" else stored.astype(np.float32)
    samples[0, 0] = 0
    read = read_depth(saved(tmp_path / f"a{suffix}", samples), WIDTH, HEIGHT, scale=256 * 400, kind=kind)
    assert read.units == "metres" and read.depth[0, 0] == 0
    np.testing.assert_allclose(read.depth[1:], DEPTH[1:], rtol=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_disparity_is_in_proportion(tmp_path: Path, dtype: type) -> None:
    stored = (400 / DEPTH).astype(dtype)
    stored[:3] = 0
    read = read_depth(saved(tmp_path / "a.npy", stored), WIDTH, HEIGHT, kind="disparity")
    assert read.units == "relative" and not read.depth[:3].any()
    product = read.depth[3:] * stored[3:]
    np.testing.assert_allclose(product, product[0, 0], rtol=1e-6)
    assert np.mean(read.depth[3:] < 1) == pytest.approx(0.01, abs=0.01)


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (9000.0, 700.0)])
def test_inverse_depth_has_no_scale_nor_offset(tmp_path: Path, gain: float, offset: float) -> None:
    inverse = 1 / DEPTH
    plain, _ = stored_to_depth(inverse, "inverse", None, 5.0)
    path = saved(tmp_path / "a.npy", gain * inverse + offset)
    read = read_depth(path, WIDTH, HEIGHT, kind="inverse")
    assert read.units == "relative"
    np.testing.assert_allclose(read.depth, plain, rtol=1e-5)
    assert read.depth[0, 0] > read.depth[-1, 0], "the bottom is nearer"
    assert read_depth(path, WIDTH, HEIGHT, kind="inverse", far=9.0).depth.max() == pytest.approx(9)


def test_middleburys_unknown_is_unknown() -> None:
    stored = np.array([[np.inf, np.nan, -1.0, 0.0, 2.0, 4.0]])
    depth, _ = stored_to_depth(stored, "disparity", 8.0, 5.0)
    np.testing.assert_array_equal(depth, [[0, 0, 0, 0, 4, 2]])


LOOKS = {
    "stretched to 16 bits": np.interp(1 / DEPTH, [0.1, 0.5], [0, 65535]).astype(np.uint16),
    "saturated": np.full((HEIGHT, WIDTH), 65535, np.uint16),
    "stretched to 1": np.interp(1 / DEPTH, [(1 / DEPTH).min(), (1 / DEPTH).max()], [0, 1]).astype(np.float32),
    "disparity of KITTI": (256 * 400 / (10 * DEPTH)).astype(np.uint16),
    "disparity in floats": (400 / DEPTH).astype(np.float32),
}


@pytest.mark.parametrize("name", LOOKS)
def test_what_looks_like_something_else_is_said(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    suffix = ".npy" if LOOKS[name].dtype.kind == "f" else ".png"
    path = saved(tmp_path / f"a{suffix}", LOOKS[name])
    with caplog.at_level(logging.WARNING):
        read_depth(path, WIDTH, HEIGHT)
        (said,) = [record.getMessage() for record in caplog.records]
        assert said.startswith(f"{path}: is read as depth") and "depth.kind inverse or disparity" in said
        caplog.clear()
        for kind in ("depth", "inverse", "disparity"):
            read_depth(path, WIDTH, HEIGHT, kind=kind)
    assert not caplog.records, "who says what it is hears nothing"


@pytest.mark.parametrize("samples", [DEPTH.astype(np.float32), (1000 * DEPTH).astype(np.uint16), 3 + 0 * DEPTH])
def test_depth_is_read_without_a_word(tmp_path: Path, samples: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read_depth(saved(tmp_path / "a.npy", samples), WIDTH, HEIGHT)
    assert not caplog.records
