"""Sheets of a benchmark: where the window lies, and every pixel of what is put side by side."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gainer_bench.benchmark import crop_sheets
from gainer_bench.benchmark.crop_sheets import PixelBox, crop_sheet, worst_window
from gainer_bench.sheets import MISSING_SHADE

Make = Callable[..., dict[str, Any]]
Run = Callable[..., dict[str, Any]]


def tiles_in(page: Image.Image, tile: np.ndarray) -> list[tuple[int, int]]:
    """Left and top edges of every place where the page shows the tile, enlarged three times."""
    pixels, large = np.asarray(page), tile.repeat(3, axis=0).repeat(3, axis=1)
    height, width = large.shape[:2]
    space = pixels[: pixels.shape[0] - height + 1, : pixels.shape[1] - width + 1]
    corners = np.argwhere((space == large[0, 0]).all(axis=-1))
    return [(int(x), int(y)) for y, x in corners if np.array_equal(pixels[y : y + height, x : x + width], large)]


@pytest.fixture
def run(result: Make, tmp_path: Path) -> Run:
    """``run(label, psnr, seed=0, hot=(x, y), size=(w, h))``: a line whose pictures are noise, wrong around ``hot``."""

    def make(
        label: str,
        psnr: Any = 30.0,
        seed: int = 0,
        *,
        hot: tuple[int, int] = (130, 100),
        size: tuple[int, int] = (160, 140),
    ) -> dict[str, Any]:
        generator = np.random.default_rng(len(label) + 10 * seed)
        shape = (size[1], size[0], 3)
        errors = generator.integers(0, 60, shape[:2], dtype=np.uint8)
        errors[max(hot[1] - 5, 0) : hot[1] + 5, max(hot[0] - 5, 0) : hot[0] + 5] = 250
        pictures = {
            "source": np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8),
            "rendered": generator.integers(0, 256, shape, dtype=np.uint8),
            "errors": np.repeat(errors[..., None], 3, axis=-1),
        }
        names = {kind: f"{kind}-{label}-{seed}.png" for kind in pictures}
        for kind, picture in pictures.items():
            Image.fromarray(picture).save(tmp_path / names[kind])
        return result("a", label, psnr, seed, pictures=names)

    return make


def pixels(folder: Path, line: dict[str, Any], kind: str, crop: PixelBox) -> np.ndarray:
    return crop.of(np.asarray(Image.open(folder / line["pictures"][kind])))


def test_the_window_is_where_the_errors_are_by_brute_force() -> None:
    generator = np.random.default_rng(1)
    shades = [generator.integers(0, 256, (23, 31), dtype=np.uint8) for _ in range(3)]
    errors = sum((shade / 255.0) ** 5 for shade in shades)
    sums = {(x, y): errors[y : y + 7, x : x + 7].sum() for y in range(17) for x in range(25)}
    left, top = max(sums, key=lambda place: sums[place])
    assert worst_window(shades, (23, 31), 7) == (left, top, left + 7, top + 7)
    assert worst_window(shades[::-1], (23, 31), 7) == (left, top, left + 7, top + 7)


def test_gamma_is_undone_before_errors_are_added() -> None:
    """Over shades the grey half would win; of errors, the bright pixel is 33 times the grey ones together."""
    shade = np.zeros((10, 40), np.uint8)
    shade[:, :10] = 40
    shade[5, 35] = 255
    assert worst_window([shade], (10, 40), 10).left == 26


def test_of_equal_windows_the_first_is_taken() -> None:
    assert worst_window([np.full((200, 300), 255, np.uint8)] * 12, (200, 300)) == (0, 0, 96, 96)
    assert worst_window([], (200, 300)) == (0, 0, 96, 96)
    assert worst_window([], (50, 300)) == (0, 0, 96, 50)
    assert worst_window([np.eye(20, dtype=np.uint8)], (20, 20)) == (0, 0, 20, 20)


def test_all_are_cropped_alike_and_enlarged_to_squares(run: Run, tmp_path: Path) -> None:
    lines = [run("SIREN", 31.25), run("GaINeR", "inf"), run("WIRE", 29.0)]
    page = crop_sheet(lines, tmp_path, "a")
    assert page is not None and page.width <= 1200
    shades = [np.asarray(Image.open(tmp_path / line["pictures"]["errors"]))[..., 0] for line in lines]
    crop = worst_window(shades, (140, 160))
    assert crop.left + 96 >= 135 and crop.top + 96 >= 105 and crop.size == (96, 96)
    places = [tiles_in(page, pixels(tmp_path, line, "rendered", crop)) for line in lines]
    below = [tiles_in(page, pixels(tmp_path, line, "errors", crop)) for line in lines]
    assert [len(found) for found in places + below] == [1] * 6
    assert [b[0][0] - p[0][0] for p, b in zip(places, below, strict=True)] == [0, 0, 0], (
        "each error map is below its picture"
    )
    assert [b[0][1] - p[0][1] for p, b in zip(places, below, strict=True)] == [292] * 3
    source = tiles_in(page, pixels(tmp_path, lines[0], "source", crop))
    row = [source[0], *(found[0] for found in places)]
    assert row == sorted(row) and len({y for _, y in row}) == 1, "the source and then the methods, in their order"


def test_captions_say_method_and_quality(run: Run, tmp_path: Path) -> None:
    captions = [
        crop_sheets._shown([run("X", psnr)], tmp_path, (140, 160, 3)).caption for psnr in (31.256, "inf", "nan")
    ]
    assert captions == ["X\n31.26 dB", "X\n∞ dB", "X\nnan dB"]
    assert (
        crop_sheets._shown([run("X", 30.0, 4), run("X", 31.0, 5)], tmp_path, (140, 160, 3)).caption
        == "X\n30.00 dB, seed 4"
    )


def test_the_first_run_with_both_pictures_is_shown(run: Run, tmp_path: Path) -> None:
    lines = [run("X", 30.0, 0), run("X", 31.0, 1), run("X", 32.0, 2)]
    (tmp_path / lines[0]["pictures"]["errors"]).unlink()
    page = crop_sheet(lines, tmp_path, "a")
    crop = worst_window([np.asarray(Image.open(tmp_path / lines[1]["pictures"]["errors"]))[..., 0]], (140, 160))
    assert page is not None
    assert tiles_in(page, pixels(tmp_path, lines[1], "rendered", crop))
    assert not tiles_in(page, pixels(tmp_path, lines[2], "rendered", crop))


def test_what_is_missing_damaged_or_of_another_size_is_grey(
    run: Run, result: Make, failure: Make, tmp_path: Path
) -> None:
    good, gone, cut, other = run("good"), run("gone"), run("cut"), run("other", size=(50, 50))
    other["pictures"]["source"] = good["pictures"]["source"]
    for kind in ("rendered", "errors"):
        (tmp_path / gone["pictures"][kind]).unlink()
        path = tmp_path / cut["pictures"][kind]
        path.write_bytes(path.read_bytes()[:200])
    odd = result("a", "odd", pictures={"rendered": None, "errors": 3})
    lines = [failure("a", "no", error="no"), good, gone, cut, other, odd, result("a", "none", pictures=None)]
    page = crop_sheet(lines, tmp_path, "a")
    assert page is not None
    crop = worst_window([np.asarray(Image.open(tmp_path / good["pictures"]["errors"]))[..., 0]], (140, 160))
    assert tiles_in(page, pixels(tmp_path, good, "rendered", crop))
    grey = (np.asarray(page) == MISSING_SHADE).all(axis=-1).sum() / 288**2
    assert 9 < grey < 10.1, "five methods, of both pictures, less their letters"


def test_without_the_source_the_methods_are_shown(run: Run, tmp_path: Path) -> None:
    line = run("X")
    (tmp_path / line["pictures"]["source"]).unlink()
    page = crop_sheet([line], tmp_path, "a")
    crop = worst_window([np.asarray(Image.open(tmp_path / line["pictures"]["errors"]))[..., 0]], (140, 160))
    assert page is not None and len(tiles_in(page, pixels(tmp_path, line, "rendered", crop))) == 1


def test_nothing_to_show_makes_no_sheet(result: Make, failure: Make, tmp_path: Path) -> None:
    assert crop_sheet([], tmp_path, "a") is None
    assert crop_sheet([failure("a", "X", error="no"), result("a", "Y")], tmp_path, "a") is None


def test_a_small_picture_is_shown_whole_with_room_for_captions(run: Run, tmp_path: Path) -> None:
    line = run("a method with rather a long name", size=(20, 10), hot=(4, 4))
    page = crop_sheet([line], tmp_path, "a")
    whole = PixelBox(0, 0, 20, 10)
    assert page is not None and page.width >= 400
    assert tiles_in(page, pixels(tmp_path, line, "rendered", whole))
    assert tiles_in(page, pixels(tmp_path, line, "source", whole))


def test_transparent_pictures_are_shown_over_white(result: Make, tmp_path: Path) -> None:
    colours = np.zeros((8, 8, 4), np.uint8)
    colours[:4, ..., :3], colours[4:, ..., 3] = (77, 200, 33), 255
    Image.fromarray(colours).save(tmp_path / "clear.png")
    page = crop_sheet([result("a", "X", pictures={"rendered": "clear.png"})], tmp_path, "a")
    flat = np.zeros((8, 8, 3), np.uint8)
    flat[:4] = 255
    assert page is not None and tiles_in(page, flat)
    assert not (np.asarray(page) == (77, 200, 33)).all(axis=-1).any()
