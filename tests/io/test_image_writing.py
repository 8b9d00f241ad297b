"""Pictures written: what each kind keeps, what it refuses, and what a failure leaves behind."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.io import image_writing
from gainer_ns.io.image_io import SourceImage, read_picture
from gainer_ns.io.image_writing import write_picture

COLOUR, COLOUR_ALPHA = 2, 6
"""PNG's numbers for the kinds of samples."""


def noise(*shape: int, dtype: type = np.uint8, seed: int = 7) -> np.ndarray:
    """Seeded samples over the whole range of a type."""
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def check(picture: SourceImage, rgb: np.ndarray, alpha: np.ndarray | None = None) -> None:
    """Asserts that a picture has exactly these samples; one channel of gray stands for three."""
    expected = np.repeat(rgb[..., None], 3, axis=2) if rgb.ndim == 2 else rgb
    assert picture.rgb.dtype == rgb.dtype
    np.testing.assert_array_equal(picture.rgb, expected)
    assert (picture.alpha is None) == (alpha is None)
    if picture.alpha is not None and alpha is not None:
        assert picture.alpha.dtype == rgb.dtype
        np.testing.assert_array_equal(picture.alpha, alpha)


class TestWriting:
    """Pictures are written exactly, and whole or not at all."""

    @settings(deadline=None, max_examples=60)
    @given(
        size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
        bits=st.sampled_from([8, 16]),
        with_alpha=st.booleans(),
        seed=st.integers(0, 2**32 - 1),
    )
    def test_round_trip(
        self, tmp_path_factory: pytest.TempPathFactory, size: tuple[int, int], bits: int, with_alpha: bool, seed: int
    ) -> None:
        samples = noise(*size, 4, dtype=np.uint16 if bits == 16 else np.uint8, seed=seed)
        picture = SourceImage(samples[..., :3], samples[..., 3] if with_alpha else None, Path("a.png"))
        path = tmp_path_factory.mktemp("round") / "a.png"
        write_picture(path, picture.colours(), picture.opacity() if with_alpha else None, bit_depth=bits)
        check(read_picture(path), picture.rgb, picture.alpha)
        assert path.read_bytes()[24:26] == bytes([bits, COLOUR_ALPHA if with_alpha else COLOUR])

    @pytest.mark.parametrize("bits", [8, 16])
    def test_every_level_survives_float32(self, tmp_path: Path, bits: int) -> None:
        levels = np.arange(2**bits, dtype=np.uint16 if bits == 16 else np.uint8).reshape(16, -1)
        picture = SourceImage(np.dstack([levels] * 3), levels, Path("a.png"))
        write_picture(tmp_path / "a.png", picture.colours(), picture.opacity(), bit_depth=bits)
        check(read_picture(tmp_path / "a.png"), levels, levels)

    @pytest.mark.parametrize("name", ["a.webp", "a.tif", "a.TIFF"])
    def test_other_kinds_without_loss(self, tmp_path: Path, name: str) -> None:
        samples = noise(7, 9, 4)
        samples[:3, :, 3] = 0  # Hidden colours too.
        picture = SourceImage(samples[..., :3], samples[..., 3], Path(name))
        write_picture(tmp_path / name, picture.colours(), picture.opacity())
        check(read_picture(tmp_path / name), picture.rgb, picture.alpha)

    def test_jpeg(self, tmp_path: Path) -> None:
        write_picture(tmp_path / "a.jpg", np.full((16, 16, 3), (0.8, 0.4, 0.2)))
        np.testing.assert_allclose(read_picture(tmp_path / "a.jpg").rgb.astype(int)[8, 8], (204, 102, 51), atol=2)

    def test_clamped_and_rounded_half_to_even(self, tmp_path: Path) -> None:
        values = np.array([-np.inf, -0.1, 0.5 / 255, 1.5 / 255, 2.5 / 255, 0.5, 1.0, 1.7, np.inf])
        np.testing.assert_array_equal(values[2:5] * 255, [0.5, 1.5, 2.5])
        write_picture(tmp_path / "a.png", np.tile(values[None, :, None], (1, 1, 3)))
        check(read_picture(tmp_path / "a.png"), np.array([[0, 0, 0, 2, 2, 128, 255, 255, 255]], np.uint8))

    def test_folders_are_made_and_nothing_else_is_left(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "deep" / "a.png"
        write_picture(path, np.zeros((2, 2, 3)))
        write_picture(path, np.ones((2, 2, 3)))  # Over the first.
        check(read_picture(path), np.full((2, 2), 255, np.uint8))
        assert list(path.parent.iterdir()) == [path]
        mask = os.umask(0)
        os.umask(mask)
        assert path.stat().st_mode & 0o777 == 0o666 & ~mask, "not the permissions of any other new file"

    @pytest.mark.parametrize("where", ["replace", "encode"])
    def test_a_failure_leaves_the_old_file_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        path = tmp_path / "a.png"
        write_picture(path, np.zeros((2, 2, 3)))
        before = path.read_bytes()
        monkeypatch.setattr(*((os, "replace") if where == "replace" else (image_writing, "encode_samples")), fail)
        with pytest.raises(GainerError, match="No space left") as caught:
            write_picture(path, np.ones((2, 2, 3)))
        assert str(caught.value).startswith(f"{path}: ")
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    def test_an_interruption_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(image_writing, "encode_samples", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_picture(tmp_path / "a.png", np.ones((2, 2, 3)))
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("name", "options", "reason"),
        [
            ("a.xyz", {}, "end the name in .png"),
            ("a", {}, "end the name in .png"),
            ("a.png", {"bit_depth": 12}, "8 or 16"),
            ("a.tif", {"bit_depth": 16}, "PNG only"),
            ("a.jpg", {"opacity": np.ones((2, 2))}, "no opacity"),
            ("folder.png", {}, "is a folder"),
            ("file/a.png", {}, "cannot be written"),
        ],
    )
    def test_refusals(self, tmp_path: Path, name: str, options: dict[str, object], reason: str) -> None:
        (tmp_path / "folder.png").mkdir()
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(GainerError, match=reason) as caught:
            write_picture(tmp_path / name, np.zeros((2, 2, 3)), **options)  # pyright: ignore[reportArgumentType]
        assert str(caught.value).startswith(f"{tmp_path / name}: ")
        assert "\n" not in str(caught.value)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]

    def test_more_pixels_a_side_than_the_kind_holds(self, tmp_path: Path) -> None:
        with pytest.raises(GainerError, match=r"a \.png name"):
            write_picture(tmp_path / "a.webp", np.zeros((1, 17_000, 3), np.float32))
        assert not list(tmp_path.iterdir())

    def test_more_pixels_a_side_than_opencv_writes(self, tmp_path: Path) -> None:
        long = np.linspace(0, 1, 3 * 1_000_001, dtype=np.float32).reshape(1, -1, 3)
        write_picture(tmp_path / "a.png", long)
        np.testing.assert_array_equal(read_picture(tmp_path / "a.png").rgb, np.rint(long * np.float32(255)))
        with pytest.raises(GainerError, match="ask for 8 bits"):
            write_picture(tmp_path / "b.png", long, bit_depth=16)
        assert [path.name for path in tmp_path.iterdir()] == ["a.png"]

    def test_png_costs_little_room(self, tmp_path: Path) -> None:
        """The fastest way to write one is at most a quarter larger than Pillow's usual one."""
        from skimage import data

        colours = data.astronaut() / np.float32(255)
        write_picture(tmp_path / "a.png", colours)
        Image.fromarray(data.astronaut()).save(tmp_path / "usual.png")
        assert (tmp_path / "a.png").stat().st_size < 1.25 * (tmp_path / "usual.png").stat().st_size

    @pytest.mark.parametrize(
        ("colours", "opacity"),
        [
            (np.zeros((2, 2)), None),
            (np.zeros((2, 2, 4)), None),
            (np.zeros((0, 2, 3)), None),
            (np.zeros((2, 2, 3), np.uint8), None),
            (np.full((2, 2, 3), np.nan), None),
            (np.zeros((2, 2, 3)), np.zeros((2, 3))),
            (np.zeros((2, 2, 3)), np.full((2, 2), np.nan)),
        ],
    )
    def test_arrays_that_are_no_picture(self, tmp_path: Path, colours: np.ndarray, opacity: np.ndarray | None) -> None:
        with pytest.raises(ValueError, match="must be"):
            write_picture(tmp_path / "a.png", colours, opacity)
        assert not list(tmp_path.iterdir())
