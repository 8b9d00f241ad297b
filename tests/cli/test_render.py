from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from PIL import Image

from gainer_ns.io.image_io import read_picture
from gainer_ns.io.image_writing import write_picture

Gainer = Callable[..., None]
Refusal = Callable[..., str]


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(a.astype(float) - b.astype(float)).mean()))


@pytest.fixture
def drawn(gainer: Gainer, fitted_run: Path, tmp_path: Path) -> Callable[..., np.ndarray]:
    """Renders the fitted photo with these options and returns the samples of the PNG."""

    def draw(*options: object) -> np.ndarray:
        gainer("render", "--load-config", fitted_run, "--output", tmp_path / "out.png", *options)
        return pixels(tmp_path / "out.png")

    return draw


def test_at_its_own_size_the_picture_is_its_source(drawn: Callable[..., np.ndarray], photo: Path) -> None:
    np.testing.assert_array_equal(drawn(), pixels(photo))


def test_twice_the_size_lies_where_it_should(drawn: Callable[..., np.ndarray], photo: Path) -> None:
    double, source = drawn("--scale", 2), Image.open(photo)
    assert double.shape == (128, 192, 3)
    bicubic = np.asarray(source.resize((192, 128), Image.Resampling.BICUBIC))
    inner = slice(4, -4), slice(4, -4)
    here = psnr(double[inner], bicubic[inner])
    assert here > 35
    for shift in [(0, 1), (1, 0), (0, -1), (-1, 0)]:  # half a source pixel
        assert psnr(np.roll(double, shift, (0, 1))[inner], bicubic[inner]) < here - 6


def test_shrinking_averages_over_areas(drawn: Callable[..., np.ndarray], photo: Path) -> None:
    half, source = drawn("--scale", 0.5), pixels(photo).astype(float)
    assert half.shape == (32, 48, 3)
    assert psnr(half, source.reshape(32, 2, 48, 2, 3).mean(axis=(1, 3))) > 50
    third = drawn("--scale", 1 / 3, "--crop", 0, 0, 96, 63)
    assert psnr(third, source[:63].reshape(21, 3, 32, 3, 3).mean(axis=(1, 3))) > 50


def test_shrunk_to_nothing_it_is_one_mean_pixel(drawn: Callable[..., np.ndarray], photo: Path) -> None:
    tiny = drawn("--scale", 1e-9)
    assert tiny.shape == (1, 1, 3)
    np.testing.assert_allclose(tiny[0, 0], pixels(photo).mean(axis=(0, 1)), atol=0.51)


@pytest.mark.parametrize("scale", [1, 2, 0.5])
def test_a_crop_is_the_crop_of_the_whole(drawn: Callable[..., np.ndarray], scale: float) -> None:
    whole, part = drawn("--scale", scale), drawn("--scale", scale, "--crop", 10, 20, 74, 60)
    x0, y0, x1, y1 = (round(side * scale) for side in (10, 20, 74, 60))
    np.testing.assert_array_equal(part, whole[y0:y1, x0:x1])


def test_beyond_the_picture_is_transparent(drawn: Callable[..., np.ndarray], photo: Path) -> None:
    part = drawn("--crop", -10, -20, 106, 84)
    assert part.shape == (104, 116, 4)
    np.testing.assert_array_equal(part[20:84, 10:106, :3], pixels(photo))
    expected = np.zeros((104, 116), np.uint8)
    expected[20:84, 10:106] = 255
    np.testing.assert_array_equal(part[..., 3], expected)
    assert not part[expected == 0].any()


def test_shrinking_across_the_border_covers_pixels_in_part(drawn: Callable[..., np.ndarray]) -> None:
    part = drawn("--scale", 0.5, "--crop", -1, 0, 95, 64)
    assert set(part[:, 0, 3]) == {128}  # half of 255, to even
    assert (part[:, 1:, 3] == 255).all()
    assert psnr(part[:, 0, :3], drawn("--crop", 0, 0, 1, 64).reshape(32, 2, 3).mean(axis=1)) > 40


def test_bits_a_sample_are_the_sources_or_those_asked_for(
    drawn: Callable[..., np.ndarray], photo: Path, tmp_path: Path
) -> None:
    drawn()
    assert read_picture(tmp_path / "out.png").bit_depth == 8
    drawn("--bit-depth", 16)
    deep = read_picture(tmp_path / "out.png")
    assert deep.bit_depth == 16
    np.testing.assert_allclose(deep.colours() * 255, pixels(photo), atol=0.5)
    drawn("--bit-depth", 16, "--scale", 2)
    assert (read_picture(tmp_path / "out.png").rgb % 257).any(), "more than 8 bits that were widened"


def test_transparency_and_16_bits_of_the_source_are_kept(
    gainer: Gainer, fit: Callable[..., Path], photo: Path, tmp_path: Path
) -> None:
    colours = (pixels(photo)[:32, :40] * 257 + np.arange(40)[None, :, None]).clip(0, 65535) / 65535
    opacity = np.ones((32, 40))
    opacity[8:16, 10:30] = 0
    source, output = tmp_path / "source.png", tmp_path / "out.png"
    write_picture(source, colours.astype(np.float32), opacity.astype(np.float32), bit_depth=16)
    config = fit(source, tmp_path / "runs")
    gainer("render", "--load-config", config, "--output", output)
    before, after = read_picture(source), read_picture(output)
    assert after.bit_depth == 16 and after.alpha is not None and before.alpha is not None
    np.testing.assert_array_equal(after.alpha, before.alpha)
    seen = opacity > 0
    np.testing.assert_allclose(after.colours()[seen], before.colours()[seen], atol=0.5 / 255)
    assert not after.rgb[~seen].any()
    gainer("render", "--load-config", config, "--output", output, "--crop", 0, 0, 5, 5)
    assert read_picture(output).alpha is not None, "the picture has alpha, though this part of it is opaque"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--crop", 96, 0, 120, 10], "outside"),
        (["--crop", -20, -20, 0, 0], "outside"),
        (["--crop", 20, 0, 10, 10], "X0 < X1"),
        (["--crop", 0, 0, "nan", 10], "X0 < X1"),
        (["--crop", 0, 0, "inf", 10], "X0 < X1"),
        (["--scale", 0], "positive"),
        (["--scale", -2], "positive"),
        (["--scale", "inf"], "positive"),
        (["--scale", "nan"], "positive"),
        (["--scale", 1e300], "megapixels"),
        (["--scale", 300], "megapixels"),
        (["--scale", 1e-6, "--crop", -1e6, -1e6, 1e6, 1e6], "megapixels"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    options: list[object], says: str, refusal: Refusal, fitted_run: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.png"
    assert says in refusal("render", "--load-config", fitted_run, "--output", output, *options)
    assert not output.exists()


def test_more_than_memory_holds_is_refused(
    refusal: Refusal, fitted_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1 << 30))
    message = refusal("render", "--load-config", fitted_run, "--output", tmp_path / "out.png", "--scale", 100)
    assert "drawing 9600 x 6400 pixels takes about 4.6 GiB of memory, 1.0 GiB are free" in message


@pytest.mark.parametrize("name", ["out.gif", "out", "out.jpg"])
def test_files_that_cannot_hold_the_picture_are_refused(
    name: str, refusal: Refusal, fitted_run: Path, tmp_path: Path
) -> None:
    output = tmp_path / name
    message = refusal("render", "--load-config", fitted_run, "--output", output, "--crop", -1, -1, 3, 3)
    assert message.startswith(str(output))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "a: 1", "{", "!!python/name:no.such.thing", "\x00"])
def test_what_is_no_run_is_refused(content: str, refusal: Refusal, tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text(content)
    message = refusal("render", "--load-config", config, "--output", tmp_path / "out.png")
    assert message.startswith(str(config))


def test_long_work_shows_a_bar_and_says_what_it_wrote(
    drawn: Callable[..., np.ndarray], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    drawn("--scale", 2)
    said = capsys.readouterr().out
    assert "100%" in said
    assert f"Wrote {tmp_path / 'out.png'}: 192 x 128 pixels" in said


def test_sampling_keeps_pixels_square(drawn: Callable[..., np.ndarray], photo: Path) -> None:
    expected = np.kron(pixels(photo), np.ones((3, 3, 1), np.uint8))
    np.testing.assert_array_equal(drawn("--scale", 3, "--sampling", "nearest"), expected)
