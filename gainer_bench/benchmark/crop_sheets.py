"""A sheet for each picture of a benchmark: one part of it as each method draws it, three times as large, and its error.

The paper's figures 6 and 11 are the model. The part is where all methods together err most.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image, ImageDraw

from gainer_bench.benchmark.results import ResultLine, by_label, finished, label, number, part
from gainer_bench.sheets import CAPTION_PX, GAP_PX, Samples8, Tile, tile_sheet
from gainer_ns.error_maps import PAPER_GAMMA
from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import read_picture
from gainer_ns.io.samples import integer_samples

WINDOW_PX = 96
"""Side of the part that is shown."""
SCALE = 3
"""How much it is enlarged."""
SHEET_PX = 1200
"""Most pixels of a sheet across."""
FRAME_COLOUR = (213, 94, 0)
"""Of the frame around the part in the whole picture."""


class PixelBox(NamedTuple):
    """A part of a picture in pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height in pixels."""
        return self.right - self.left, self.bottom - self.top

    def of(self, picture: Shaped[np.ndarray, "h w *c"]) -> Shaped[np.ndarray, "bottom-top right-left *c"]:
        """Return that part of a picture."""
        return picture[self.top : self.bottom, self.left : self.right]


def worst_window(shades: Sequence[UInt8[np.ndarray, "h w"]], shape: tuple[int, int], side: int = WINDOW_PX) -> PixelBox:
    """Find the square where all methods together err most; the whole of a side that is shorter.

    Args:
        shades: Error maps with the paper's gamma, black where equal.
        shape: Height and width in pixels.
        side: Of the window, in pixels.

    Returns:
        The topmost of the squares with the largest sum, and of those the leftmost; the top left one without any map.
        Sums are of integers, and exact.
    """
    height, width = min(side, shape[0]), min(side, shape[1])
    errors = (np.arange(256, dtype=np.uint64) ** np.uint64(round(1 / PAPER_GAMMA))).astype(np.uint64)
    total = np.zeros((shape[0] + 1, shape[1] + 1), np.uint64)
    for shade in shades:
        total[1:, 1:] += errors[shade]
    total = total.cumsum(axis=0, dtype=np.uint64).cumsum(axis=1, dtype=np.uint64)  # wraps, but sums of windows fit
    sums = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    top, left = (int(place) for place in np.unravel_index(sums.argmax(), sums.shape))
    return PixelBox(left, top, left + width, top + height)


def crop_sheet(lines: Sequence[ResultLine], folder: Path, image: str) -> Image.Image | None:
    """Put the source and all methods' renderings of one picture side by side, each above its error map.

    Of several runs of a method the first one is shown whose pictures are there; what is missing is grey.

    Args:
        lines: Any lines of this picture; those of failed and skipped runs are passed over.
        folder: What the lines' names of pictures are relative to.
        image: What the picture is called.

    Returns:
        The sheet; None where no picture of a method can be read.
    """
    good = finished(lines)
    kinds = ("source", "rendered", "errors")
    found = (one for kind in kinds for line in good if (one := _read(folder, line, kind)) is not None)
    first = next(found, None)
    if first is None:
        return None
    shape = first.shape
    tiles = [_shown(group, folder, shape) for group in by_label(good).values()]
    if not any(one is not None for tile in tiles for one in tile.pictures):
        return None
    errors = [tile.pictures[1] for tile in tiles]
    box = worst_window([one[..., 0] for one in errors if one is not None], (shape[0], shape[1]))
    width, height = box.size
    tiles = [Tile(text, [None if one is None else _enlarged(box.of(one)) for one in pair]) for text, pair in tiles]
    source = next((one for line in good if (one := _read(folder, line, "source", shape)) is not None), None)
    if source is not None:
        tiles.insert(0, _source_tile(source, box))
    title = (
        f"{image}: {width} × {height} pixels at ({box.left}, {box.top}), {SCALE} times as large, where the "
        f"methods err most; below, the error of each pixel with gamma {PAPER_GAMMA}"
    )
    columns = (SHEET_PX - 2 * GAP_PX) // (max(SCALE * width, CAPTION_PX) + GAP_PX)
    return tile_sheet(tiles, max(min(columns, len(tiles)), 1), title)


def _shown(group: Sequence[ResultLine], folder: Path, shape: tuple[int, ...]) -> Tile:
    """Choose the first run of a method with both pictures, else with one of them, else with none."""
    runs = []
    for line in group:
        psnr = number(line.get("psnr"))
        seed = f", seed {line.get('seed')}" if len({one.get("seed") for one in group}) > 1 else ""
        quality = "no PSNR" if psnr is None else f"{psnr:.2f} dB".replace("inf", "∞")
        pictures = [_read(folder, line, kind, shape) for kind in ("rendered", "errors")]
        runs.append(Tile(f"{label(line)}\n{quality}{seed}", pictures))
        if all(one is not None for one in pictures):
            break
    return max(runs, key=lambda run: sum(one is not None for one in run.pictures))


def _read(folder: Path, line: ResultLine, kind: str, shape: tuple[int, ...] | None = None) -> Samples8 | None:
    """Read a picture of a run, over white; None where it is not named, missing, damaged or of another shape."""
    path = part(line, "pictures", kind)
    if not isinstance(path, str) or not path:
        return None
    try:
        picture = read_picture(folder / path)
    except GainerError:
        return None
    opacity = picture.opacity()[..., None]
    samples = integer_samples(picture.colours() * opacity + 1 - opacity, None, 8)
    return samples if shape in (None, samples.shape) else None


def _enlarged(picture: Samples8) -> Samples8:
    """Draw every pixel as a square."""
    return picture.repeat(SCALE, axis=0).repeat(SCALE, axis=1)


def _source_tile(source: Samples8, box: PixelBox) -> Tile:
    """Draw the part of the source, and below it the whole, in which the part is framed."""
    height, width = source.shape[:2]
    space = tuple(SCALE * side for side in box.size)
    scale = min(space[0] / width, space[1] / height)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    whole = Image.fromarray(source).resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST)
    left, top, right, bottom = (round(edge * scale) for edge in box)
    draw = ImageDraw.Draw(whole)
    draw.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), outline=FRAME_COLOUR, width=2)
    return Tile(f"source\n{width} × {height} pixels", [_enlarged(box.of(source)), np.asarray(whole)])
