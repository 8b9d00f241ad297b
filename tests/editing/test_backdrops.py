"""Backdrops beside functions known at every point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gainer_ns.editing.backdrops import RasterBackdrop, UniformBackdrop, clean_plate, image_backdrop, nothing
from gainer_ns.errors import GainerError
from gainer_ns.preparation.inpainting import OpenCVInpainter
from gainer_ns.rendering.compositing import Raster, over

WHOLE = (0.0, 0.0, 12.0, 8.0)


def random_raster(seed: int, height: int = 8, width: int = 12) -> Raster:
    """Any colours, with some pixels opaque and some absent."""
    generator = torch.Generator().manual_seed(seed)
    opacity = (torch.rand(height, width, generator=generator) * 2 - 0.5).clamp(0, 1)
    return Raster(torch.rand(height, width, 3, generator=generator) * (opacity > 0)[..., None], opacity)


def ramp(height: int, width: int) -> Raster:
    """Opaque; red grows with x and green with y, by 0.01 a pixel."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return Raster(torch.stack([x * 0.01, y * 0.01, torch.full_like(x, 0.25)], dim=-1), torch.ones(height, width))


def test_what_cannot_be_seen_has_no_colour() -> None:
    drawn = UniformBackdrop(torch.tensor([0.2, 0.4, 0.6]), 0.0).on((0, 0, 4, 2), 4, 2)
    assert not drawn.colours.any() and not drawn.opacity.any()


def test_a_pixel_is_as_opaque_as_it_is_covered() -> None:
    """The crop begins half a pixel beyond two of the picture's sides: a half, and in the corner a quarter."""
    raster = Raster(torch.full((4, 6, 3), 0.5), torch.ones(4, 6))
    drawn = RasterBackdrop(raster).on((-0.5, -0.5, 4.5, 2.5), 5, 3)
    down, across = torch.tensor([0.5, 1, 1]), torch.tensor([0.5, 1, 1, 1, 1])
    torch.testing.assert_close(drawn.opacity, down[:, None] * across)


class TestBackdrops:
    @pytest.mark.parametrize("seed", [0, 1])
    def test_the_whole_at_scale_1_is_the_picture_itself(self, seed: int) -> None:
        raster = random_raster(seed)
        drawn = RasterBackdrop(raster).on(WHOLE, 12, 8)
        assert torch.equal(drawn.colours, raster.colours)
        assert torch.equal(drawn.opacity, raster.opacity)

    @pytest.mark.parametrize(("right", "down"), [(1, 0), (0, 1), (-2, 3)])
    def test_a_shift_by_whole_pixels_is_exact(self, right: int, down: int) -> None:
        raster = random_raster(3)
        drawn = RasterBackdrop(raster).on((right, down, 12 + right, 8 + down), 12, 8)
        for values, source in zip(drawn, raster, strict=True):
            expected = torch.zeros_like(source)
            to_rows, from_rows = slice(max(0, -down), 8 - max(0, down)), slice(max(0, down), 8 - max(0, -down))
            to_columns, from_columns = (
                slice(max(0, -right), 12 - max(0, right)),
                slice(max(0, right), 12 + min(0, right)),
            )
            expected[to_rows, to_columns] = source[from_rows, from_columns]
            assert torch.equal(values, expected)

    def test_resampling_at_whole_pixels_is_exact_too(self) -> None:
        raster = ramp(8, 12)
        drawn = RasterBackdrop(raster).on((-1.0, 0.0, 12.0, 9.0), 13, 9)  # Not inside: this one is resampled.
        torch.testing.assert_close(drawn.colours[:8, 1:], raster.colours, atol=1e-6, rtol=0)
        assert torch.equal(drawn.opacity[:8, 1:], torch.ones(8, 12))
        assert not drawn.opacity[8:].any() and not drawn.opacity[:, 0].any()

    @given(st.floats(8, 20), st.floats(8, 14), st.sampled_from([0.25, 0.5, 1.0, 1.7, 3.0]), st.integers(4, 9))
    def test_points_are_read_where_they_are(self, x0: float, y0: float, scale: float, size: int) -> None:
        crop = (x0, y0, x0 + size / scale / 2, y0 + size / scale / 2)
        drawn = RasterBackdrop(ramp(48, 64)).on(crop, size, size)
        centres = (torch.arange(size) + 0.5) / size
        inner = slice(1, -1)
        for channel, (low, high) in ((0, (crop[0], crop[2])), (1, (crop[1], crop[3]))):
            expected = 0.01 * (low + (high - low) * centres)
            read = drawn.colours[..., channel] if channel == 0 else drawn.colours[..., channel].T
            apart = (read[inner, inner] - expected[inner]).abs().max()
            assert apart < 3e-4 if scale < 0.5 else apart < 2e-6
        assert torch.equal(drawn.opacity, torch.ones(size, size))

    def test_shrinking_averages(self) -> None:
        stripes = torch.zeros(64, 64, 3)
        stripes[:, ::2] = 1.0
        drawn = RasterBackdrop(Raster(stripes, torch.ones(64, 64))).on((0, 0, 64, 64), 8, 8)
        np.testing.assert_allclose(drawn.colours[1:-1, 1:-1], 0.5, atol=0.02)

    def test_hidden_colours_do_not_show(self) -> None:
        opacity = torch.zeros(16, 16)
        opacity[:, :8] = 1.0
        colours = torch.where(opacity[..., None] > 0, torch.tensor([0.2, 0.4, 0.6]), torch.tensor([1.0, 0.0, 0.0]))
        drawn = RasterBackdrop(Raster(colours, opacity)).on((0.3, 0.3, 15.3, 15.3), 37, 37)
        visible = drawn.opacity > 0
        np.testing.assert_allclose(drawn.colours[visible], [[0.2, 0.4, 0.6]] * int(visible.sum()), atol=1e-3)
        assert not drawn.colours[~visible].any()
        assert drawn.opacity.max() == 1 and drawn.opacity.min() == 0

    def test_far_outside_there_is_nothing(self) -> None:
        drawn = RasterBackdrop(random_raster(0)).on((100.0, -50.0, 120.0, -40.0), 7, 5)
        assert drawn.colours.shape == (5, 7, 3) and not drawn.colours.any() and not drawn.opacity.any()

    def test_one_colour_and_none(self) -> None:
        drawn = UniformBackdrop(torch.tensor([0.1, 0.2, 0.3])).on((-5.0, 0.0, 5.0, 5.0), 4, 3)
        assert torch.equal(drawn.colours, torch.tensor([0.1, 0.2, 0.3]).expand(3, 4, 3))
        assert torch.equal(drawn.opacity, torch.ones(3, 4))
        seen = over(random_raster(0), nothing().on(WHOLE, 12, 8))
        assert torch.equal(seen.colours, random_raster(0).colours)

    @pytest.mark.parametrize(("file_width", "file_height"), [(60, 20), (30, 40), (24, 16), (12, 8)])
    def test_an_image_covers_the_frame_centred_and_undistorted(
        self, tmp_path: Path, file_width: int, file_height: int
    ) -> None:
        path = tmp_path / "beach.png"
        y, x = np.mgrid[:file_height, :file_width] + 0.5
        samples = np.stack([2 * x, 2 * y, 0 * x + 99], axis=2)
        Image.fromarray(samples.astype(np.uint8)).save(path)
        drawn = image_backdrop(path, 12, 8).on(WHOLE, 12, 8)
        density = min(file_width / 12, file_height / 8)
        across = 2 * (file_width / 2 + (np.arange(12) - 5.5) * density)
        down = 2 * (file_height / 2 + (np.arange(8) - 3.5) * density)
        np.testing.assert_allclose(255 * drawn.colours[4, 2:-2, 0], across[2:-2], atol=0.6)
        np.testing.assert_allclose(255 * drawn.colours[2:-2, 4, 1], down[2:-2], atol=0.6)
        assert torch.equal(drawn.opacity, torch.ones(8, 12))
        if (file_width, file_height) == (12, 8):
            np.testing.assert_allclose(drawn.colours * 255, np.floor(samples), atol=1e-4)

    def test_an_enlarged_output_shows_all_that_the_image_has(self, tmp_path: Path) -> None:
        samples = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
        Image.fromarray(samples).save(tmp_path / "fine.png")
        drawn = image_backdrop(tmp_path / "fine.png", 12, 8).on(WHOLE, 24, 16)
        np.testing.assert_array_equal(np.rint(drawn.colours.numpy() * 255), samples)


class TestCleanPlate:
    def test_a_hole_is_filled_and_the_rest_untouched(self) -> None:
        raster = ramp(40, 40)
        thing = torch.zeros(40, 40, dtype=torch.bool)
        thing[15:25, 15:25] = True
        halo = torch.zeros_like(thing)
        halo[13:27, 13:27] = True
        colours = torch.where(halo[..., None], torch.tensor([1.0, 0.0, 1.0]), raster.colours)
        plate = clean_plate(colours, raster.opacity, thing, OpenCVInpainter("telea"), grow_px=4)
        assert (plate.colours[halo] - raster.colours[halo]).abs().max() < 0.1  # Nothing of the halo's magenta.
        far = torch.ones_like(thing)
        far[10:30, 10:30] = False
        assert torch.equal(plate.colours[far], colours[far])
        assert torch.equal(plate.opacity, raster.opacity)
        kept = clean_plate(colours, raster.opacity, thing, OpenCVInpainter("telea"), grow_px=0)
        assert torch.equal(kept.colours[13, 13], colours[13, 13])

    @pytest.mark.parametrize("faint", [0.0, 0.01])
    @pytest.mark.parametrize("method", ["telea", "navier-stokes"])
    def test_transparent_pixels_never_bleed_in(self, method: str, faint: float) -> None:
        opacity = torch.full((40, 40), faint)
        opacity[5:35, 5:35] = 1.0
        colours = torch.where(opacity[..., None] == 1, torch.tensor([0.2, 0.6, 0.3]), torch.tensor([1.0, 0.0, 1.0]))
        hole = torch.zeros(40, 40, dtype=torch.bool)
        hole[10:30, 0:20] = True  # Crosses the silhouette.
        plate = clean_plate(colours, opacity, hole, OpenCVInpainter(method))  # pyright: ignore[reportArgumentType]
        inside = opacity == 1
        np.testing.assert_allclose(plate.colours[inside], [[0.2, 0.6, 0.3]] * int(inside.sum()), atol=1e-4)
        assert torch.equal(plate.opacity, opacity)
        if faint == 0:
            assert not plate.colours[~inside].any()

    def test_without_surroundings_it_says_so(self) -> None:
        raster = ramp(10, 10)
        everywhere = torch.ones(10, 10, dtype=torch.bool)
        with pytest.raises(GainerError, match="nothing is left"):
            clean_plate(raster.colours, raster.opacity, everywhere, OpenCVInpainter())
        with pytest.raises(GainerError, match="nothing is left"):
            clean_plate(raster.colours, torch.zeros(10, 10), ~everywhere, OpenCVInpainter())

    def test_without_a_hole_nothing_changes(self) -> None:
        raster = random_raster(5)
        plate = clean_plate(*raster, torch.zeros(8, 12, dtype=torch.bool), OpenCVInpainter())
        assert torch.equal(plate.colours, raster.colours)
