"""Sheets of tiles: every pixel of what is put side by side, captions, and how they are written."""

from pathlib import Path

import numpy as np
from PIL import Image

from gainer_bench import sheets
from gainer_bench.sheets import GAP_PX, LINE_PX, MISSING_SHADE, SEAM_PX, Tile, square_tile, tile_sheet, write_sheet


def shade(value: int, width: int = 20, height: int = 20) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_a_sheet_has_a_place_for_every_tile() -> None:
    page = np.asarray(tile_sheet([Tile("", [shade(20 * number)]) for number in range(6)], 3))
    step = 20 + GAP_PX
    assert page.shape == (2 * step - GAP_PX, 3 * step - GAP_PX, 3)
    for number in range(6):
        y, x = (number // 3) * step, (number % 3) * step
        assert (page[y : y + 20, x : x + 20] == 20 * number).all()
    assert (page[:, 20:step] == 255).all() and (page[20:step] == 255).all()


def test_pictures_of_a_tile_lie_above_one_another_and_what_is_missing_is_grey() -> None:
    page = np.asarray(tile_sheet([Tile("", [shade(1), shade(2)]), Tile("", [shade(3, 10, 5), None])], 2))
    assert page.shape == (40 + SEAM_PX, 40 + GAP_PX, 3)
    assert (page[20 + SEAM_PX :, :20] == 2).all()
    assert (page[:5, 20 + GAP_PX : 30 + GAP_PX] == 3).all() and (page[5:20, 20 + GAP_PX :] == 255).all()
    assert (page[20 + SEAM_PX :, 20 + GAP_PX :] == MISSING_SHADE).mean() > 0.3


def test_captions_have_room_above_their_row() -> None:
    tiles = [Tile("a", [shade(9)]), Tile("one\ntwo", [shade(9)]), Tile("", [shade(9)])]
    page = np.asarray(tile_sheet(tiles, 2))
    top, width = 2 * LINE_PX + SEAM_PX, page.shape[1]
    assert page.shape[0] == top + 20 + GAP_PX + 20, "no caption, no room"
    assert width > 2 * 20 + GAP_PX, "a caption may be wider than its tile"
    assert page[: LINE_PX + SEAM_PX, : width // 2].min() == 255 > page[:top, : width // 2].min(), "at the bottom"


def test_captions_keep_their_last_line() -> None:
    assert sheets._caption("A" * 90 + "\n30.00 dB", 288)[-1] == "30.00 dB"
    lines = sheets._caption("a method with a long name " * 6 + "\n30.00 dB", 288)
    assert len(lines) == 3 and lines[1].endswith("…") and lines[2] == "30.00 dB"
    assert all(sheets._font().getlength(line) <= 288 for line in lines)


def test_a_square_shows_a_picture_in_its_middle() -> None:
    square = square_tile(shade(51, 8, 4), 16)
    assert square.shape == (16, 16, 3) and (square[6:10, 4:12] == 51).all()
    assert (square == 51).all(axis=2).sum() == 32 and square[0, 0].tolist() == [255, 255, 255]
    clear = np.dstack([shade(51, 16, 16), np.zeros((16, 16), np.uint8)])
    assert {*square_tile(clear, 16, "checkerboard").ravel().tolist()} == {191, 242}
    assert square_tile(shade(51, 64, 32), 16).shape == (16, 16, 3), "what is larger is made smaller"


def test_sheets_are_written_whole(tmp_path: Path) -> None:
    page = Image.new("RGB", (3, 2), "red")
    sheets.write_sheet(tmp_path / "sheet.png", page)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "sheet.png")), np.asarray(page))
    assert len(list(tmp_path.iterdir())) == 1


def test_a_palette_makes_the_file_small(tmp_path: Path) -> None:
    write_sheet(tmp_path / "sheet.png", tile_sheet([Tile("", [shade(51)])], 1), palette=True)
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.mode == "P"
