"""Pictures drawn in bands of rows, each from the part of the picture that it reads: as they are drawn whole."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch

import gainer_ns as gn
from gainer_ns.rendering import bands as bands_module
from gainer_ns.rendering import layer as layer_module
from gainer_ns.rendering.bands import _windows, _without_rests, draw_band, picture_bands
from gainer_ns.rendering.compositing import Raster
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.windows import Window

EDITS: dict[str, Any] = {
    "nothing": [],
    "bend": [{"bend": {"degrees": 50, "axis": [["50%", "90%"], ["50%", "10%"]]}}],
    "quarter turn": [{"rotate": {"degrees": 90}}],
    "piece": [{"select": {"box": [20, 30, 60, 80]}, "mode": "piece", "rotate": {"degrees": 30}}],
    "shrunk": [{"scale": {"factor": 0.3}}],
}


def picture_of(seed: int, edits: list[Any]) -> BakedPicture:
    random = np.random.default_rng(seed)
    height, width = (int(random.integers(90, 260)) for _ in range(2))
    picture = gn.fit(random.integers(0, 256, (height, width, 3), np.uint8))
    return (picture.edit({"edits": edits}) if edits else picture)._drawn  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize(
    ("seed", "scale", "crop"), [(0, 1.0, None), (1, 1.7, (10.3, 20.1, 80.0, 75.9)), (2, 0.4, None)]
)
def test_bands_of_a_large_picture_are_drawn_from_parts(
    seed: int, scale: float, crop: Any, edit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_module, "MAX_TABLE_PIXELS", 0)  # as if it were large, so that nothing reads tables
    monkeypatch.setattr(bands_module, "BAND_POINTS", 1)
    monkeypatch.setattr(BakedPicture, "block_points", 1 << 12)
    picture = picture_of(seed, EDITS[edit])
    grid = picture.raster_grid(scale, crop)
    windows = list(_windows(grid, picture.block_points))
    bands = picture_bands(picture, grid, windows)
    assert len(windows) > 1 and bands is not None
    shared = pickle.loads(pickle.dumps(_without_rests(picture))), grid
    drawn = [draw_band(shared, pickle.loads(pickle.dumps(band))) for band in bands]
    rgb, alpha = picture.raster(scale, crop)
    for whole, parts in zip((rgb, alpha[..., 0]), zip(*drawn, strict=True), strict=True):
        assert torch.allclose(torch.cat(parts), whole, atol=2e-4)


@pytest.mark.parametrize("bit_depth", [8, 16])
@pytest.mark.parametrize("is_clear", [False, True])
def test_rasters_become_the_same_samples_again(bit_depth: int, is_clear: bool) -> None:
    random = np.random.default_rng(bit_depth)
    samples = random.integers(0, 2**bit_depth, (64, 1024, 3 + is_clear)).astype(f"uint{bit_depth}")
    assert np.array_equal(Raster.of_samples(samples).samples(bit_depth), samples)


def test_a_band_takes_no_more_of_a_picture_than_it_reads() -> None:
    picture = gn.fit(np.random.default_rng(0).integers(0, 256, (400, 50, 3), np.uint8))._drawn
    assert isinstance(picture, BakedPicture)
    grid = picture.raster_grid(2.0, None)
    bands = picture_bands(picture, grid, [Window(top, top + 8, 0, 100) for top in (0, 400, 792)])
    assert bands is not None
    assert [len(rest) <= (4 + 2 * 7) * 50 for band in bands for rest in band.rests or ()] == [True] * 3


@pytest.mark.parametrize("way", ["nearest", "clamped"])
def test_what_reads_tables_is_sent_whole(way: Any) -> None:
    picture = picture_of(0, []).sampled(way)
    grid = picture.raster_grid(1.0, None)
    assert picture_bands(picture, grid, list(_windows(grid, 1 << 12))) is None
