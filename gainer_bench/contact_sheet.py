"""Cut-outs before and after edits, to look at: ``python -m gainer_bench contact-sheet CONFIG... --output PNG``.

Beside the sheet it says in numbers what one should not see: holes and veils inside an edited silhouette, anything
outside of it, and colours at its edge that the source does not show there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tyro
from jaxtyping import Bool, Float
from scipy import ndimage

from gainer_bench.known_edits import KnownEdit, pixel_centres
from gainer_bench.outputs import print_plain
from gainer_bench.sheets import Tile, square_tile, tile_sheet, write_sheet
from gainer_bench.sources import fitted_pictures
from gainer_bench.tables import Table
from gainer_ns.editing.stage import Stage
from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import SourceImage
from gainer_ns.io.samples import integer_samples
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.raster import Crop

EDGE_TOLERANCE_PX = 3
"""How far from the silhouette's edge, in output px, something may be neither solid nor gone."""
AROUND_PX = 8
"""How far around the edited picture is looked at: more than the tolerance."""


class SilhouetteFaults(NamedTuple):
    """What is wrong with the silhouette of an edited cut-out."""

    lowest_inside: float  # the lowest alpha inside what was opaque, eroded: 1 where it is solid. 1 if nothing is inside
    highest_outside: float  # the highest alpha outside what was not transparent, dilated: 0 where nothing is
    # by how much, times alpha, a colour near the edge leaves the range of the source's shown colours there
    bleeding: float


def cut_out_edits(width: int, height: int) -> dict[str, KnownEdit]:
    """Return what is done to every cut-out of a size in pixels."""
    return {
        "scale 1.5": KnownEdit.scaling(width, height, 1.5),
        "rotate 30": KnownEdit.rotation(width, height, 30.0),
        "bend 40": KnownEdit.bend(width, height, 40.0),
    }


def silhouette_faults(
    edited: BakedPicture, edit: KnownEdit, source: SourceImage, *, tolerance: int = EDGE_TOLERANCE_PX
) -> SilhouetteFaults:
    """Compare the silhouette of an edited cut-out with that of its source, moved by the same edit.

    Args:
        edited: The picture after the edit.
        edit: What was done to all of it.
        source: What was fitted.
        tolerance: How far the silhouette is eroded and dilated, in output px.
    """
    crop = _around(edit.extent(source.width, source.height))
    rgb, alpha = (part.cpu().double().numpy() for part in edited.raster(crop=crop))
    alpha = alpha[..., 0]
    points = edit.back(pixel_centres(alpha.shape[1], alpha.shape[0]) + np.array(crop[:2]))
    column, row = np.moveaxis(np.clip(np.floor(points), 0, [source.width - 1, source.height - 1]).astype(int), -1, 0)
    within = ((points >= 0) & (points < [source.width, source.height])).all(axis=-1)
    opacity = source.opacity()
    inside = inner_distance(within & (opacity >= 1)[row, column]) > tolerance
    outside = inner_distance(~(within & (opacity > 0)[row, column])) > tolerance
    low, high = (bound[row, column] for bound in _range_around(source.colours(), opacity > 0, 2 * tolerance + 1))
    beyond = np.maximum(np.maximum(low - rgb, rgb - high), 0).max(axis=-1) * ~(inside | outside)
    return SilhouetteFaults(
        float(alpha[inside].min(initial=1.0)),
        float(alpha[outside].max(initial=0.0)),
        float((alpha * beyond).max()),
    )


def inner_distance(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Return how far, in px, each pixel of a mask is from the nearest outside of it; 0 outside."""
    return np.full(mask.shape, np.inf) if mask.all() else np.asarray(ndimage.distance_transform_edt(mask))


def _around(box: Crop) -> Crop:
    left, top, right, bottom = box
    return left - AROUND_PX, top - AROUND_PX, right + AROUND_PX, bottom + AROUND_PX


def _range_around(
    colours: Float[np.ndarray, "h w 3"], shown: Bool[np.ndarray, "h w"], size: int
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w 3"]]:
    """Return the lowest and highest colours of what shows, in a square around each pixel; all where there is none."""
    window = (size, size, 1)
    low = ndimage.minimum_filter(np.where(shown[..., None], colours, np.inf), window)
    high = ndimage.maximum_filter(np.where(shown[..., None], colours, -np.inf), window)
    return np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 1.0)


@dataclass
class ContactSheet:
    """Draw fitted cut-outs before and after a scale, a rotation and a bend, with their alpha, on one sheet."""

    configs: tyro.conf.Positional[tuple[Path, ...]]
    """The config.yml of each run, or .safetensors files of `gainer export`."""
    output: Path
    """The sheet to write (.png)."""
    source: Path | None = None
    """The picture that was fitted, for one config; None for the one that the run names."""
    tile: int = 256
    """Width and height of the tiles that the pictures are fitted into, in px."""

    def run(self) -> None:
        """Draw the sheet and say what is wrong with the silhouettes."""
        if not 16 <= self.tile <= 4096:
            raise GainerError(f"--tile {self.tile}: the side of a tile is between 16 and 4096 pixels")
        tiles: list[Tile] = []
        rows: list[list[str]] = []
        for _, picture, source in fitted_pictures(self.configs, self.source):
            shown = {"before": (picture, shown_part(picture, (0.0, 0.0, float(source.width), float(source.height))))}
            for name, edit in cut_out_edits(source.width, source.height).items():
                edited = Stage(edit.script(), picture).at(1.0)
                shown[name] = edited, shown_part(edited, _around(edit.extent(source.width, source.height)))
                faults = silhouette_faults(edited, edit, source)
                rows.append([source.path.name, name, *(f"{value:.4f}" for value in faults)])
            scale = self.tile / max(max(crop[2] - crop[0], crop[3] - crop[1]) for _, crop in shown.values())
            tiles += [self._tile(name, one, crop, scale) for name, (one, crop) in shown.items()]
        write_sheet(self.output, tile_sheet(tiles, 4))
        titles = ["picture", "edit", "lowest alpha inside", "highest outside", "bleeding"]
        print_plain(Table.of(titles, rows, names=2).markdown())

    def _tile(self, name: str, picture: BakedPicture, crop: Crop, scale: float) -> Tile:
        """Draw a part of a picture over a checkerboard, and its alpha as shades of grey below."""
        rgb, alpha = (part.cpu().numpy() for part in picture.raster(scale, crop))
        shown = square_tile(integer_samples(rgb, alpha[..., 0], 8), self.tile, "checkerboard")
        veil = square_tile(integer_samples(alpha.repeat(3, axis=-1), None, 8), self.tile, "black")
        return Tile(name, (shown, veil))


def shown_part(picture: BakedPicture, crop: Crop) -> Crop:
    """Return the part of a crop in which something shows, and a little around it."""
    alpha = picture.raster(crop=crop)[1][..., 0] > 0.5 / 255
    if not bool(alpha.any()):
        return crop
    x, y = alpha.any(dim=0).nonzero()[:, 0], alpha.any(dim=1).nonzero()[:, 0]
    left, right, top, bottom = (float(side) for side in (x.min(), x.max() + 1, y.min(), y.max() + 1))
    left, right, top, bottom = crop[0] + left, crop[0] + right, crop[1] + top, crop[1] + bottom
    if right <= 0 or bottom <= 0 or left >= picture.plane.width or top >= picture.plane.height:
        return crop  # of a picture, only what overlaps its own frame can be drawn
    return _around((left, top, right, bottom))
