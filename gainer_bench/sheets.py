"""Sheets of pictures: tiles of one size in rows and columns, with captions above them.

Made of pixels, not drawn by matplotlib, which would resample them.
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

from gainer_ns.io.files import whole_file

MARGIN_PX, GAP_PX, SEAM_PX = 6, 8, 4
"""Around a sheet with a title, between tiles, and between the pictures of a tile."""
CHECK_PX = 8
"""Side of a square of the checkerboard."""
FONT_PX, LINE_PX = 16, 21
"""Height of letters, and of a line of text."""
MOST_LINES = 3
"""Lines of a caption or title."""
CAPTION_PX = 168
"""A tile narrower than this is given as much room, if its caption needs it; a title has three times as much."""
MISSING_SHADE = 225
"""Shade of a picture that is not there."""
PALETTE_COLOURS = 255

Samples8 = UInt8[np.ndarray, "h w c"]


class Tile(NamedTuple):
    """Pictures above one another, with a caption of one or more lines above them; None for one that is missing."""

    caption: str
    pictures: Sequence[Samples8 | None]


def tile_sheet(tiles: Sequence[Tile], columns: int, title: str = "") -> Image.Image:
    """Draw tiles row by row on white.

    Args:
        tiles: Each with equally many pictures; smaller ones lie at the top left of their place.
        columns: Tiles in a row.
        title: Above all of them.
    """
    shapes = [picture.shape[:2] for tile in tiles for picture in tile.pictures if picture is not None]
    height, width = (max(sides) for sides in zip(*shapes, strict=True))
    captions = [_caption(tile.caption, max(width, CAPTION_PX)) for tile in tiles]
    longest = max((_font().getlength(line) for caption in captions for line in caption), default=0)
    step_x = max(width, int(np.ceil(longest))) + GAP_PX
    across = max(columns * step_x - GAP_PX, 3 * CAPTION_PX if title else 0)
    heading, margin = _wrapped(title, across, MOST_LINES), MARGIN_PX if title else 0
    rows = range(0, len(tiles), columns)
    text_heights = [LINE_PX * max(map(len, captions[first : first + columns])) for first in rows]
    text_heights = [text + SEAM_PX if text else 0 for text in text_heights]
    step_y = len(tiles[0].pictures) * (height + SEAM_PX) - SEAM_PX + GAP_PX
    top = margin + (LINE_PX * len(heading) + GAP_PX if heading else 0)
    page = Image.new(
        "RGB", (2 * margin + across, top + sum(text_heights) + len(rows) * step_y - GAP_PX + margin), "white"
    )
    draw = ImageDraw.Draw(page)
    _write(draw, (margin, margin), heading)
    for place, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        row, column = divmod(place, columns)
        x, y = margin + column * step_x, top + row * step_y + sum(text_heights[: row + 1])
        _write(draw, (x, y - SEAM_PX - LINE_PX * len(caption)), caption)
        for number, picture in enumerate(tile.pictures):
            corner = x, y + number * (height + SEAM_PX)
            if picture is None:
                draw.rectangle((*corner, x + width - 1, corner[1] + height - 1), fill=(MISSING_SHADE,) * 3)
                draw.text((x + 6, corner[1] + 4), "no picture", fill="black", font=_font())
            else:
                page.paste(Image.fromarray(picture), corner)
    return page


def square_tile(samples: Samples8, side: int, backdrop: str = "white") -> UInt8[np.ndarray, "side side 3"]:
    """Draw a picture in the middle of a square, made smaller where it is larger.

    Args:
        samples: [h, w, 3], or [h, w, 4] with alpha.
        side: Width and height of the square in pixels.
        backdrop: What shows around and through it: a colour, or "checkerboard".
    """
    shown = Image.fromarray(samples).convert("RGBA")
    shown.thumbnail((side, side), Image.Resampling.LANCZOS)
    checked = backdrop == "checkerboard"
    square = Image.fromarray(_checkerboard(side)) if checked else Image.new("RGB", (side, side), backdrop)
    square.paste(shown, ((side - shown.width) // 2, (side - shown.height) // 2), shown)
    return np.asarray(square)


def write_sheet(path: Path, page: Image.Image, *, palette: bool = False) -> None:
    """Write a sheet as PNG, whole.

    Args:
        path: Where to.
        page: The sheet.
        palette: Whether to reduce it to so few colours that the file becomes small.

    Raises:
        GainerError: The file cannot be written.
    """
    if palette:
        page = page.quantize(PALETTE_COLOURS, dither=Image.Dither.FLOYDSTEINBERG)
    with whole_file(path) as file:
        page.save(file, "PNG", optimize=palette)


def _checkerboard(side: int) -> UInt8[np.ndarray, "side side 3"]:
    y, x = np.indices((side, side)) // CHECK_PX
    return np.repeat(np.where((x + y) % 2 == 0, 191, 242)[..., None], 3, axis=-1).astype(np.uint8)


def _caption(text: str, width: int) -> list[str]:
    """Return a caption's lines: as many as the last one leaves for the others, and the last one."""
    *name, last = text.split("\n")
    return [*_wrapped(" ".join(name), width, MOST_LINES - 1), *_wrapped(last, width, 1)]


def _wrapped(text: str, width: int, most: int) -> list[str]:
    """Break text into lines of at most ``width`` pixels; what is too much ends in an ellipsis."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _font().getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [_shortened(line, width) for line in lines]


def _shortened(line: str, width: int) -> str:
    if _font().getlength(line) <= width:
        return line
    while line and _font().getlength(f"{line}…") > width:
        line = line[:-1]
    return f"{line.rstrip()}…"


def _write(draw: ImageDraw.ImageDraw, place: tuple[int, int], lines: Sequence[str]) -> None:
    for number, line in enumerate(lines):
        draw.text((place[0], place[1] + LINE_PX * number), line, fill="black", font=_font())


@cache
def _font() -> ImageFont.FreeTypeFont:
    """Load DejaVu Sans, which comes with matplotlib and knows Greek letters too."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", FONT_PX)
