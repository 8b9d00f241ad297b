"""Cut-outs before and after edits, to look at: ``python -m gainer_bench.contact_sheet CONFIG... --output PNG``.

Beside the sheet it says in numbers what one should not see: holes and veils inside an edited silhouette, anything
outside of it, and colours at its edge that the source does not show there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tyro
from jaxtyping import Bool, Float
from nerfstudio.utils.rich_utils import CONSOLE
from PIL import Image, ImageDraw
from scipy import ndimage

from gainer_bench.known_edits import KnownEdit, bend, rotation, scaling
from gainer_bench.off_grid import pixel_centres
from gainer_bench.sources import fitted_source
from gainer_ns.doors import run_program
from gainer_ns.editing.compositing import Crop
from gainer_ns.editing.stage import Stage
from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import SourceImage
from gainer_ns.io.image_writing import write_picture
from gainer_ns.options import parsed
from gainer_ns.rendering.plane import BakedPicture

TOLERANCE = 3
"""How far from the silhouette's edge, in output px, something may be neither solid nor gone."""
MARGIN = 8
"""How far around the edited picture is looked at, in px: more than the tolerance."""
SQUARE = 8
"""Side of a square of the checkerboard, in px."""
GAP = 6
"""Between the tiles of a sheet, in px."""
HEADER = 16
"""Height of the line of titles, in px."""


class SilhouetteFaults(NamedTuple):
    """What is wrong with the silhouette of an edited cut-out.

    Attributes:
        lowest_inside: The lowest alpha inside what was opaque, eroded: 1 where it is solid. 1 if nothing is inside.
        highest_outside: The highest alpha outside what was not transparent, dilated: 0 where nothing is.
        bleeding: By how much, times alpha, a colour near the edge leaves the range of the source's shown colours there.
    """

    lowest_inside: float
    highest_outside: float
    bleeding: float


def cut_out_edits(width: int, height: int) -> dict[str, KnownEdit]:
    """What is done to every cut-out of a size in pixels."""
    return {
        "scale 1.5": scaling(width, height, 1.5),
        "rotate 30": rotation(width, height, 30.0),
        "bend 40": bend(width, height, 40.0),
    }


def silhouette_faults(
    edited: BakedPicture, edit: KnownEdit, source: SourceImage, *, tolerance: int = TOLERANCE
) -> SilhouetteFaults:
    """Compares the silhouette of an edited cut-out with that of its source, moved by the same edit.

    Args:
        edited: The picture after the edit.
        edit: What was done to all of it.
        source: What was fitted.
        tolerance: How far the silhouette is eroded and dilated, in output px.
    """
    crop = _around(edit, source)
    rgb, alpha = (part.cpu().double().numpy() for part in edited.raster(crop=crop))
    alpha = alpha[..., 0]
    points = edit.back(pixel_centres(alpha.shape[1], alpha.shape[0]) + np.array(crop[:2]))
    column, row = np.moveaxis(np.clip(np.floor(points), 0, [source.width - 1, source.height - 1]).astype(int), -1, 0)
    within = ((points >= 0) & (points < [source.width, source.height])).all(axis=-1)
    opacity = source.opacity()
    inside = _distance(within & (opacity >= 1)[row, column]) > tolerance
    outside = _distance(~(within & (opacity > 0)[row, column])) > tolerance
    low, high = (bound[row, column] for bound in _range_around(source.colours(), opacity > 0, 2 * tolerance + 1))
    beyond = np.maximum(np.maximum(low - rgb, rgb - high), 0).max(axis=-1) * ~(inside | outside)
    return SilhouetteFaults(
        float(alpha[inside].min(initial=1.0)),
        float(alpha[outside].max(initial=0.0)),
        float((alpha * beyond).max()),
    )


def _around(edit: KnownEdit, source: SourceImage) -> Crop:
    """What an edit makes of a picture, with a margin."""
    left, top, right, bottom = edit.extent(source.width, source.height)
    return left - MARGIN, top - MARGIN, right + MARGIN, bottom + MARGIN


def _distance(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Of each pixel of a mask from the nearest pixel outside of it; 0 outside."""
    return np.full(mask.shape, np.inf) if mask.all() else np.asarray(ndimage.distance_transform_edt(mask))


def _range_around(
    colours: Float[np.ndarray, "h w 3"], shown: Bool[np.ndarray, "h w"], size: int
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w 3"]]:
    """Lowest and highest colours of the pixels that show, in a square around each pixel; all where there is none."""
    channels = np.moveaxis(colours, -1, 0)
    low = np.stack([ndimage.minimum_filter(np.where(shown, one, np.inf), size) for one in channels], axis=-1)
    high = np.stack([ndimage.maximum_filter(np.where(shown, one, -np.inf), size) for one in channels], axis=-1)
    return np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 1.0)


@dataclass
class ContactSheet:
    """Draws fitted cut-outs before and after a scale, a rotation and a bend, with their alpha, on one sheet."""

    configs: tyro.conf.Positional[tuple[Path, ...]]
    """The config.yml of each run, or .safetensors files of `gainer export`."""
    output: Path
    """The sheet to write (.png, .jpg, .webp, .tif)."""
    source: Path | None = None
    """The picture that was fitted, for one config; None for the one that the run names."""
    tile: int = 256
    """Width and height of the tiles that the pictures are fitted into, in px."""

    def run(self) -> None:
        """Draws the sheet and says what is wrong with the silhouettes."""
        from gainer_ns.image.loading import load_baked

        if not self.configs:
            raise GainerError("no run is named; give one or more config.yml")
        if self.source is not None and len(self.configs) > 1:
            raise GainerError(f"{self.source}: one source for {len(self.configs)} runs; draw their sheets one by one")
        if not 16 <= self.tile <= 4096:
            raise GainerError(f"--tile {self.tile}: the side of a tile is between 16 and 4096 pixels")
        rows, table = [], ["| picture | edit | lowest alpha inside | highest outside | bleeding |\n"]
        table.append("| --- | --- | --: | --: | --: |\n")
        for config in self.configs:
            picture, source = load_baked(config), fitted_source(config, self.source)
            drawn = [(picture, shown_part(picture, (0.0, 0.0, float(source.width), float(source.height))))]
            for name, edit in cut_out_edits(source.width, source.height).items():
                edited = Stage(edit.script(), picture).at(1.0)
                drawn.append((edited, shown_part(edited, _around(edit, source))))
                numbers = " | ".join(f"{value:.4f}" for value in silhouette_faults(edited, edit, source))
                table.append(f"| {source.path.name} | {name} | {numbers} |\n")
            scale = self.tile / max(max(crop[2] - crop[0], crop[3] - crop[1]) for _, crop in drawn)
            tiles = [one for shown, crop in drawn for one in tile(shown, crop, scale, self.tile)]
            del tiles[1]  # the alpha before any edit
            rows.append(tiles)
        titles = ["before", *(title for name in cut_out_edits(1, 1) for title in (name, "alpha"))]
        write_picture(self.output, sheet(rows, titles))
        CONSOLE.print("".join(table), markup=False, highlight=False, soft_wrap=True)


def shown_part(picture: BakedPicture, crop: Crop) -> Crop:
    """The part of a crop in which something shows, with a margin."""
    alpha = picture.raster(crop=crop)[1][..., 0] > 0.5 / 255
    if not bool(alpha.any()):
        return crop
    x, y = alpha.any(dim=0).nonzero()[:, 0], alpha.any(dim=1).nonzero()[:, 0]
    left, right, top, bottom = (float(side) for side in (x.min(), x.max() + 1, y.min(), y.max() + 1))
    left, right, top, bottom = crop[0] + left, crop[0] + right, crop[1] + top, crop[1] + bottom
    if right <= 0 or bottom <= 0 or left >= picture.plane.width or top >= picture.plane.height:
        return crop  # of a picture, only what overlaps its own frame can be drawn
    return left - MARGIN, top - MARGIN, right + MARGIN, bottom + MARGIN


def tile(
    picture: BakedPicture, crop: Crop, scale: float, side: int
) -> tuple[Float[np.ndarray, "side side 3"], Float[np.ndarray, "side side 3"]]:
    """A part of a picture over a checkerboard, and its alpha as shades of grey, in the middle of square tiles."""
    rgb, alpha = (part.cpu().numpy() for part in picture.raster(scale, crop))
    top, left = (side - rgb.shape[0]) // 2, (side - rgb.shape[1]) // 2
    y, x = np.indices((side, side)) // SQUARE
    over_board = np.repeat(np.where((x + y) % 2 == 0, 0.75, 0.95)[..., None], 3, axis=-1)
    veil = np.zeros((side, side, 3))
    middle = slice(top, top + rgb.shape[0]), slice(left, left + rgb.shape[1])
    over_board[middle] = rgb * alpha + over_board[middle] * (1 - alpha)
    veil[middle] = alpha
    return over_board, veil


def sheet(rows: Sequence[Sequence[Float[np.ndarray, "side side 3"]]], titles: Sequence[str]) -> np.ndarray:
    """Tiles of one size in rows and columns, on white, the columns' titles above."""
    side = rows[0][0].shape[0]
    step = side + GAP
    page = np.ones((HEADER + step * len(rows) - GAP, step * len(titles) - GAP, 3), np.float32)
    header = Image.new("L", (page.shape[1], HEADER), 255)
    for column, title in enumerate(titles):
        ImageDraw.Draw(header).text((column * step + 2, 2), title, fill=0)
    page[:HEADER] = np.asarray(header, np.float32)[..., None] / 255
    for y, row in enumerate(rows):
        for x, one in enumerate(row):
            page[HEADER + y * step : HEADER + y * step + side, x * step : x * step + side] = one
    return page


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parsed(ContactSheet, prog="python -m gainer_bench.contact_sheet", args=arguments).run()


if __name__ == "__main__":
    run_program(main)
