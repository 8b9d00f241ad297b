"""A sheet for each picture of a benchmark: one part of it as each method draws it, three times as large, and its error.

The paper's figures 6 and 11 are the model. Made of pixels, not drawn by matplotlib, which would resample them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from gainer_bench.benchmark.crops import Crop, worst_window
from gainer_bench.benchmark.results import Line, by_label, finished, number, part
from gainer_ns.error_maps import PAPER_GAMMA
from gainer_ns.errors import GainerError
from gainer_ns.io.files import whole_file
from gainer_ns.io.image_io import read_picture

ENLARGED = 3
WIDTH = 1200
"""Most pixels of a sheet."""
NARROWEST = 168
"""Least width of a tile, for its caption, in pixels."""
MARGIN, GAP, BETWEEN = 6, 12, 4
"""Around the sheet, between tiles, and between a tile's two pictures, in pixels."""
FONT_SIZE, LINE = 16, 21
"""Height of letters and of a line of text, in pixels."""
MOST_LINES = 3
"""Of a caption."""
FRAME = (213, 94, 0)
"""Colour of the frame around the crop in the whole picture."""
MISSING = 225
"""Shade of a picture that is not there."""

Colours = UInt8[np.ndarray, "h w 3"]


class Tile(NamedTuple):
    """Two pictures above one another, with a caption above them."""

    caption: str
    """One or more lines."""
    upper: Colours | None
    lower: Colours | None


def sheet(lines: Sequence[Line], folder: Path, image: str) -> Image.Image | None:
    """Puts the source and all methods' renderings of one picture side by side, each above its error map.

    Of several runs of a method the first one is shown whose pictures are there; what is missing is grey.

    Args:
        lines: Any lines of this picture; those of failed and skipped runs are passed over.
        folder: What the lines' names of pictures are relative to.
        image: What the picture is called.

    Returns:
        The sheet; None where no picture of a method can be read.
    """
    groups = by_label(finished(lines)).values()
    source = next((one for line in finished(lines) if (one := _read(folder, line, "source")) is not None), None)
    shown = [_shown(group, folder, None if source is None else source.shape) for group in groups]
    every = [one for of in shown for one in (of.rendered, of.errors) if one is not None]
    if not every:
        return None
    shape = every[0].shape
    shown = [of.only(shape) for of in shown]
    crop = worst_window([of.errors[..., 0] for of in shown if of.errors is not None], (shape[0], shape[1]))
    width, height = crop.size
    tiles = [] if source is None else [_source_tile(source, crop)]
    for of in shown:
        parts = (None if one is None else _enlarged(crop.of(one)) for one in (of.rendered, of.errors))
        tiles.append(Tile(of.caption, *parts))
    title = (
        f"{image}: {width} × {height} pixels at ({crop.left}, {crop.top}), {ENLARGED} times as large, where the "
        f"methods err most; below, the error of each pixel with gamma {PAPER_GAMMA}"
    )
    return _page(title, tiles, (ENLARGED * width, ENLARGED * height))


def write_sheet(path: Path, page: Image.Image) -> None:
    """Writes a sheet as PNG, whole.

    Raises:
        GainerError: The file cannot be written.
    """
    with whole_file(path) as file:
        page.save(file, format="PNG")


class _Shown(NamedTuple):
    """A run whose pictures are shown, as far as they are there."""

    caption: str
    rendered: Colours | None
    errors: Colours | None

    def only(self, shape: tuple[int, ...]) -> _Shown:
        """Without the pictures of another shape."""
        return self._replace(
            **{name: None for name in ("rendered", "errors") if getattr(getattr(self, name), "shape", shape) != shape}
        )


def _shown(group: Sequence[Line], folder: Path, shape: tuple[int, ...] | None) -> _Shown:
    """The first run of a method with both pictures, else with one of them, else with none."""
    runs = []
    for line in group:
        psnr = number(line.get("psnr"))
        seed = f", seed {line.get('seed')}" if len({one.get("seed") for one in group}) > 1 else ""
        quality = "no PSNR" if psnr is None else f"{psnr:.2f} dB".replace("inf", "∞")
        caption = f"{next(iter(by_label([line])))}\n{quality}{seed}"
        run = _Shown(caption, _read(folder, line, "rendered"), _read(folder, line, "errors"))
        runs.append(run if shape is None else run.only(shape))
        if runs[-1].rendered is not None and runs[-1].errors is not None:
            break
    return max(runs, key=lambda run: (run.rendered is not None) + (run.errors is not None))


def _read(folder: Path, line: Line, name: str) -> Colours | None:
    """A picture of a run, over white; None where it is not named, missing or damaged."""
    path = part(line, "pictures", name)
    if not isinstance(path, str) or not path:
        return None
    try:
        picture = read_picture(folder / path)
    except GainerError:
        return None
    if picture.alpha is None and picture.bit_depth == 8:
        return picture.rgb
    opacity = picture.opacity()[..., None]
    return (255 * (picture.colours() * opacity + 1 - opacity)).round().astype(np.uint8)


def _enlarged(picture: Colours) -> Colours:
    """Every pixel as a square."""
    return picture.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)


def _source_tile(source: Colours, crop: Crop) -> Tile:
    """The crop of the source, and below it the whole, in which the crop is framed."""
    height, width = source.shape[:2]
    space = tuple(ENLARGED * side for side in crop.size)
    scale = min(space[0] / width, space[1] / height)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    whole = Image.fromarray(source).resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST)
    left, top, right, bottom = (round(edge * scale) for edge in crop)
    draw = ImageDraw.Draw(whole)
    draw.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), outline=FRAME, width=2)
    return Tile(f"source\n{width} × {height} pixels", _enlarged(crop.of(source)), np.asarray(whole))


def _page(title: str, tiles: Sequence[Tile], size: tuple[int, int]) -> Image.Image:
    """Tiles in rows on white, under a title; ``size`` is the width and height of a tile's picture in pixels."""
    width = max(size[0], NARROWEST)
    columns = max(min((WIDTH - 2 * MARGIN + GAP) // (width + GAP), len(tiles)), 1)
    across = max(columns * (width + GAP) - GAP, 3 * NARROWEST)
    heading = _wrapped(title, across, MOST_LINES)
    captions = [_caption(tile.caption, width) for tile in tiles]
    rows = range(0, len(tiles), columns)
    text_heights = [LINE * max(map(len, captions[first : first + columns])) + BETWEEN for first in rows]
    step = 2 * size[1] + BETWEEN + GAP
    top = MARGIN + LINE * len(heading) + GAP
    page = Image.new("RGB", (2 * MARGIN + across, top + sum(text_heights) + len(rows) * step - GAP + MARGIN), "white")
    draw = ImageDraw.Draw(page)
    _write(draw, (MARGIN, MARGIN), heading)
    for place, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        row, column = divmod(place, columns)
        x, y = MARGIN + column * (width + GAP), top + row * step + sum(text_heights[: row + 1])
        _write(draw, (x, y - BETWEEN - LINE * len(caption)), caption)
        for shift, picture in ((0, tile.upper), (size[1] + BETWEEN, tile.lower)):
            corner = x, y + shift
            if picture is None:
                draw.rectangle((*corner, corner[0] + size[0] - 1, corner[1] + size[1] - 1), fill=(MISSING,) * 3)
                draw.text((corner[0] + 6, corner[1] + 4), "no picture", fill="black", font=_font())
            else:
                page.paste(Image.fromarray(picture), corner)
    return page


def _caption(text: str, width: int) -> list[str]:
    """A caption's lines: as many as the last one leaves for the name, and the last one."""
    *name, last = text.split("\n")
    return [*_wrapped(" ".join(name), width, MOST_LINES - 1), *_wrapped(last, width, 1)]


def _wrapped(text: str, width: int, most: int) -> list[str]:
    """Text in lines of at most ``width`` pixels; what is too much ends in an ellipsis."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if _font().getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [_cut(line, width) for line in lines]


def _cut(line: str, width: int) -> str:
    """A line that ends in an ellipsis where it is too long."""
    if _font().getlength(line) <= width:
        return line
    while line and _font().getlength(f"{line}…") > width:
        line = line[:-1]
    return f"{line.rstrip()}…"


def _write(draw: ImageDraw.ImageDraw, place: tuple[int, int], lines: Sequence[str]) -> None:
    for number_, line in enumerate(lines):
        draw.text((place[0], place[1] + LINE * number_), line, fill="black", font=_font())


@cache
def _font() -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib and knows Greek letters too."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", FONT_SIZE)
