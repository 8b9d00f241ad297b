"""How whole cut-outs stay when they act: ``python -m gainer_bench acts --pictures CUTOUT... --output DIR``.

Every cut-out is turned, enlarged, bent, pinned and rigged in part, at places that follow from its own alpha alone. What
is drawn is compared with where its pixels go one by one, without a rest map: counted are holes and veils inside the
moved silhouette, clear background that turned opaque, and bits that came loose.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import ndimage

import gainer_ns as gn
from gainer_bench.outputs import print_plain, write_text
from gainer_bench.sheets import Tile, square_tile, tile_sheet, write_sheet
from gainer_bench.tables import Table
from gainer_ns.editing.script import Script
from gainer_ns.editing.stage import Stage
from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import read_picture
from gainer_ns.io.samples import integer_samples
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.picture_files import load_picture

SOLID_ALPHA, HOLE_ALPHA, OPAQUE_ALPHA = 0.99, 0.98, 0.5
"""From the first on something is solid, below the second there is a hole in it; above the third something is opaque."""
TIE_ALPHA = 0.25
"""What is as opaque still ties bits: a thread a pixel wide that comes to lie between two rows is half as opaque."""
INSIDE_PX, OUTSIDE_PX = 3, 2
"""How far from the edge of the moved silhouette is looked, inside and outside of it."""
SMALL_PIXELS = 50
"""Components of fewer opaque pixels are bits."""
TURN_DEGREES, BEND_DEGREES, ENLARGED = 25.0, 65.0, 1.5
_MARGIN_PX = 4
_SUBPIXELS = 4
"""Points along each side of a pixel that are followed to where they go."""
_EIGHT = np.ones((3, 3))
BACKDROP = "magenta"


class Material(NamedTuple):
    """Where a cut-out is.

    Attributes:
        box: Left, top, right and bottom of what is opaque, in pixels.
        axis: Its main axis, from where a twentieth of what is opaque lies before it to where a twentieth lies behind.
        places: [m, 2] middles of the opaque pixels.
    """

    box: tuple[int, int, int, int]
    axis: tuple[np.ndarray, np.ndarray]
    places: Float[np.ndarray, "m 2"]

    @classmethod
    def of(cls, opacity: Float[np.ndarray, "h w"]) -> Material:
        """Measure what is opaque; the axis points up, or to the right where it lies."""
        rows, columns = np.nonzero(opacity > OPAQUE_ALPHA)
        places = np.stack([columns, rows], axis=1) + 0.5
        middle = places.mean(axis=0)
        direction = np.linalg.svd(np.cov((places - middle).T))[0][:, 0]
        direction *= 1 if (-direction[1], direction[0]) > (0, 0) else -1
        along = np.quantile((places - middle) @ direction, [0.05, 0.95])
        ends = tuple(middle + each * direction for each in along)
        return cls((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1), (ends[0], ends[1]), places)

    def along(self, share: float, aside: float = 0.0) -> list[float]:
        """Return the opaque place nearest to a point on the axis, or so many of its lengths to the left of it."""
        start, end = self.axis
        length = end - start
        wanted = start + share * length + aside * np.array([length[1], -length[0]])
        return self.places[np.square(self.places - wanted).sum(axis=1).argmin()].tolist()

    def turned(self, point: list[float], degrees: float) -> list[float]:
        """Turn a point counter-clockwise about the middle of the axis."""
        middle = (self.axis[0] + self.axis[1]) / 2
        x, y = np.array(point) - middle
        cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        return [float(middle[0] + cos * x + sin * y), float(middle[1] - sin * x + cos * y)]


def acts_of(material: Material) -> dict[str, dict[str, Any]]:
    """Return what a cut-out is asked to do: one edit each."""
    left, top, right, _ = material.box
    third = float(np.quantile(material.places[:, 1], 1 / 3))
    upper = [[left - 1, top - 1], [right + 1, top - 1], [right + 1, third], [left - 1, third]]
    side = material.places[material.places[:, 0].argmax()].tolist()
    radius = max(right - left, material.box[3] - top) / 8
    still = [material.along(*place) for place in ((0.0, 0.0), (0.3, 0.0), (0.15, 0.15), (0.15, -0.15))]
    turned = [material.along(share) for share in (0.8, 1.0)]
    joints = {name: material.along(share) for name, share in zip("abcd", (0.0, 0.35, 0.65, 1.0), strict=True)}
    return {
        "turn": {"select": {"polygon": upper}, "rotate": {"degrees": TURN_DEGREES}},
        "enlarge": {"select": {"disc": {"center": side, "radius": radius}}, "scale": {"factor": ENLARGED}},
        "bend": {"bend": {"degrees": BEND_DEGREES, "axis": [end.tolist() for end in material.axis]}},
        "pins": {
            "pins": [
                *({"at": place} for place in still),
                *({"at": place, "to": material.turned(place, TURN_DEGREES)} for place in turned),
            ]
        },
        "rig": {
            "rig": {
                "joints": joints,
                "bones": {"lower": ["a", "b"], "middle": ["b", "c"], "upper": ["c", "d"]},
                "pose": {"middle": TURN_DEGREES / 2, "upper": TURN_DEGREES},
            }
        },
    }


class ActFaults(NamedTuple):
    """What is wrong with an edited cut-out."""

    holes: int
    """Pixels of an alpha below 0.98, 3 px or more inside where only what was solid at rest comes to lie."""
    spilt: int
    """Pixels of an alpha above 0.5, more than 2 px from where anything that showed at rest comes to lie."""
    loose: int
    """Components of fewer than 50 opaque pixels, which hung together with more at rest."""


def faults_of(stage: Stage, alpha: Float[np.ndarray, "h w"], corner: tuple[int, int]) -> ActFaults:
    """Compare what an edit of one sheet draws with where its pixels go.

    Args:
        stage: The edit.
        alpha: What it draws.
        corner: Left and top of that, in pixels.
    """
    (piece,) = stage.pieces
    rest = piece.rest.opacity.view(piece.rest.shape).cpu().numpy()
    parts = labels(rest > OPAQUE_ALPHA)
    sizes = np.bincount(parts.flatten())
    solid, soft = np.zeros(alpha.shape, bool), np.zeros(alpha.shape, bool)
    largest = np.zeros(alpha.shape, int)  # how many pixels what comes there hung together with at rest
    rows, columns = np.nonzero(rest > 0)
    size, full = np.where(parts == 0, 0, sizes[parts])[rows, columns], rest[rows, columns] >= SOLID_ALPHA
    origin = np.stack([columns, rows], axis=1) + np.array(piece.rest.corner)
    for number in range(_SUBPIXELS**2):
        offset = (np.array(divmod(number, _SUBPIXELS)) + 0.5) / _SUBPIXELS
        there = piece.carried(stage.ends, torch.from_numpy(origin + offset)).numpy()
        column, row = np.floor(there - corner).astype(int).T
        inside = (row >= 0) & (column >= 0) & (row < alpha.shape[0]) & (column < alpha.shape[1])
        row, column = row[inside], column[inside]
        solid[row[full[inside]], column[full[inside]]] = True
        soft[row[~full[inside]], column[~full[inside]]] = True
        np.maximum.at(largest, (row, column), size[inside])
    inner: Any = ndimage.binary_erosion(solid & ~soft, np.ones((2 * INSIDE_PX + 1,) * 2))
    near: Any = ndimage.binary_dilation(solid | soft, np.ones((2 * OUTSIDE_PX + 1,) * 2))
    after, opaque = labels(alpha > TIE_ALPHA), alpha > OPAQUE_ALPHA
    counts = np.bincount(after[opaque], minlength=1)
    small = np.flatnonzero((counts > 0) & (counts < SMALL_PIXELS))
    before = ndimage.maximum(largest * opaque, after, small) if len(small) else []
    loose = int((np.asarray(before) >= SMALL_PIXELS).sum())
    return ActFaults(int((alpha[inner] < HOLE_ALPHA).sum()), int((alpha[~near] > OPAQUE_ALPHA).sum()), loose)


def labels(mask: Bool[np.ndarray, "h w"]) -> Int[np.ndarray, "h w"]:
    """Number the components of a mask, whose pixels touch at sides or corners; 0 is outside of it."""
    found: Any = ndimage.label(mask, _EIGHT)
    return found[0]


@dataclass
class Acts:
    """Move parts of cut-outs, and count holes, spills and loose bits; the exit status is 1 where there are any."""

    pictures: tuple[Path, ...]
    """Cut-outs with alpha."""
    output: Path
    """Folder for table.md, and for the fit and a sheet on magenta of each cut-out."""
    tile: int = 360
    """Width and height of a tile of the sheets in pixels."""

    def run(self) -> None:
        """Draw, count, print and write.

        Raises:
            GainerError: A picture is no cut-out, or something is wrong with what was drawn.
        """
        sources = [(path, read_picture(path)) for path in self.pictures]
        for path, source in sources:
            if source.alpha is None or not (source.opacity() > OPAQUE_ALPHA).any() or (source.opacity() > 0).all():
                raise GainerError(f"{path}: is no cut-out; give a picture that is opaque in part and clear in part")
        rows: list[list[str]] = []
        misses = 0
        for path, source in sources:
            fitted = gn.fit(path)
            model = self.output / f"{path.stem}.safetensors"
            fitted.save(model)
            picture = load_picture(model)
            tiles = [self._tile("before", fitted.render())]
            for name, edit in acts_of(Material.of(source.opacity())).items():
                drawn, faults = self._acted(picture, edit)
                tiles.append(self._tile(f"{name}\n{faults.holes} / {faults.spilt} / {faults.loose}", drawn))
                rows.append([path.stem, name, *map(str, faults)])
                misses += any(faults)
            write_sheet(self.output / f"{path.stem}.png", tile_sheet(tiles, 3))
        table = Table.of(["picture", "act", "holes, px", "spilt, px", "loose bits"], rows, names=2).markdown()
        print_plain(table)
        write_text(self.output / "table.md", table)
        if misses:
            raise GainerError(f"{misses} of {len(rows)} acts have faults; see {self.output / 'table.md'}")

    def _acted(self, picture: BakedPicture, edit: dict[str, Any]) -> tuple[np.ndarray, ActFaults]:
        stage = Stage(Script.model_validate({"edits": [edit], "canvas": "auto"}), picture)
        left, top, right, bottom = (
            int(side) for side in stage.canvas or (0, 0, picture.plane.width, picture.plane.height)
        )
        corner = left - _MARGIN_PX, top - _MARGIN_PX
        crop = (float(corner[0]), float(corner[1]), float(right + _MARGIN_PX), float(bottom + _MARGIN_PX))
        rgb, alpha = (part.cpu().numpy() for part in stage.at(1.0).raster(crop=crop))
        return integer_samples(rgb, alpha[..., 0], 8), faults_of(stage, alpha[..., 0], corner)

    def _tile(self, name: str, drawn: np.ndarray) -> Tile:
        return Tile(name, [square_tile(drawn, self.tile, BACKDROP)])
