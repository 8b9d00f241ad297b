"""Edits without an inverse beside what library calls make of them: ``python -m gainer_bench layered-quality``.

The truth is drawn from layers at several times the size (:mod:`gainer_bench.layered_edits`). GaINeR is given a script,
or of simulations the particles; the mesh the forward map of each layer in painter's order; ``cv2.remap`` one inverse,
interpolated from where the front-most pixels have gone; and, as by layers, the exact inverse of each, masked by hand.
Of simulations all but the last have only particles to go by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from scipy import ndimage
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.spatial import KDTree

import gainer_ns as gn
from gainer_bench.edit_controls import Premultiplied, lattice, layered, premultiplied, remapped
from gainer_bench.edit_quality import area_reduced, gainer_edit, timed
from gainer_bench.known_edits import Points2d, pixel_centres
from gainer_bench.layered_edits import LayeredEdit, arm_edit, layered_edits, truth_of
from gainer_bench.outputs import json_text, print_plain, write_text
from gainer_bench.sheets import Tile, square_tile, tile_sheet, write_sheet
from gainer_bench.tables import Table
from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import read_picture
from gainer_ns.metrics import psnr
from gainer_ns.physics.engine import Frame
from gainer_ns.physics.simulated_plane import SimulatedPlane
from gainer_ns.physics.simulation import scene_for
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.raster import Crop

METHODS = ("gainer", "mesh", "remap, one inverse", "remap by layers")
SEAM_PX = 2
"""How far around where another layer comes to the front pixels count as a seam."""
AROUND_PX = 6
"""How far around what shows pixels are compared."""
HIDDEN_PX = 1.0
"""Pixels that come so near to those in front of them do not tell the one inverse."""
FAR_PX = 0.75
"""A pixel farther from all moved pixels than this shows nothing, where one inverse is read."""
RIM_PX = 3
"""So far around what shows clear pixels tell the one inverse, too, where nothing else is."""
FAR_SPACINGS = 1.1
"""The same of particles, in their spacings."""
MAX_STRETCH = 2.0
"""A mesh's square is torn once a side is so many times as long."""
JACOBIAN_STEP_PX = 1e-3


class LayeredResult(NamedTuple):
    """What one method makes of one edit."""

    all_db: float  # of colours times alpha, and alpha, in and around what shows
    seam_db: float  # the same, where another layer comes to the front, or what shows ends
    seconds: float  # of processor time for the frame
    megapixels: float


Found = dict[str, tuple[dict[str, LayeredResult], dict[str, Premultiplied]]]
"""Name of the edit -> the methods' results, and their frames and the truth, to look at."""


@dataclass(frozen=True)
class Moved:
    """A reduced picture and what is done to it; draws the frame by each method."""

    levels: np.ndarray  # uint8 [h, w, 4]
    picture: gn.Picture
    drawn: BakedPicture  # the same, as simulations take it
    edit: LayeredEdit
    crop: Crop

    @property
    def source(self) -> Premultiplied:
        """Return the picture, premultiplied."""
        return premultiplied(self.levels[..., :3] / 255, self.levels[..., 3] / 255)

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height of the frame."""
        return int(self.crop[2] - self.crop[0]), int(self.crop[3] - self.crop[1])

    @property
    def corner(self) -> Float[np.ndarray, "2"]:
        """Return the frame's left and top."""
        return np.array(self.crop[:2])

    def frames(self) -> dict[str, Callable[[], Premultiplied]]:
        """Return what draws the frame, by the method's name; what can be known before it is drawn is computed here."""
        height, width = self.levels.shape[:2]
        centres = pixel_centres(width, height)
        vertices = lattice(width, height)
        by_layers = [(layer.holds(centres), layer) for layer in self.edit.layers]
        if self.edit.scene is None:
            parts = [(held, layer.forward(vertices) - self.corner) for held, layer in by_layers]
            places = self._one_inverse()
            ours = lambda: gainer_edit(self.picture, self.edit.script, self.crop)  # noqa: E731
        else:
            simulated = SimulatedPlane(scene_for(self.edit.scene, self.drawn), self.drawn)
            rest = simulated.particles.positions.cpu().double().numpy() * width
            there, spacing = self.edit.moved(rest), simulated.particles.spacing * width
            parts = [self._mesh_of(rest, there, vertices)]
            places = _interpolated(there, rest, self._frame_pixels(), FAR_SPACINGS * spacing)
            frame = self._simulated_frame(rest, there, width)
            ours = lambda: self._seen(simulated.at(frame))  # noqa: E731
        exact = [(held, layer.back(self._frame_pixels())) for held, layer in by_layers]
        return {
            "gainer": ours,
            "mesh": lambda: self._meshed(parts),
            "remap, one inverse": lambda: remapped(self.source, places, cv2.INTER_CUBIC),
            "remap by layers": lambda: self._by_layers(exact),
        }

    def _frame_pixels(self) -> Points2d:
        return pixel_centres(*self.size) + self.corner

    def _seen(self, picture: BakedPicture) -> Premultiplied:
        rgb, alpha = (part.cpu().numpy() for part in picture.raster(crop=self.crop))
        return np.concatenate([rgb * alpha, alpha], axis=-1)

    def _meshed(self, parts: list[tuple[Bool[np.ndarray, "h w"], Float[np.ndarray, "r c 2"]]]) -> Premultiplied:
        canvas = None
        for kept, corners in parts:
            canvas = layered(self.source, corners, self.size, kept=kept, below=canvas)
        assert canvas is not None
        return cv2.resize(canvas, self.size, interpolation=cv2.INTER_AREA)

    def _by_layers(self, parts: list[tuple[Bool[np.ndarray, "h w"], Points2d]]) -> Premultiplied:
        canvas = np.zeros((*self.size[::-1], 4), np.float32)
        for held, places in parts:
            over = np.clip(remapped(self.source * held[..., None], places, cv2.INTER_CUBIC), 0, 1)
            canvas = over + canvas * (1 - over[..., 3:])
        return canvas

    def _one_inverse(self) -> Points2d:
        """Interpolate where the frame's pixels were from where the front-most pixels have gone."""
        height, width = self.levels.shape[:2]
        shown = self.levels[..., 3] > 0
        rim = np.asarray(ndimage.binary_dilation(shown, iterations=RIM_PX), bool) & ~shown
        rest, there = np.zeros((0, 2)), np.zeros((0, 2))
        for pixels in (pixel_centres(width, height)[shown], pixel_centres(width, height)[rim]):
            for layer in reversed(self.edit.layers):
                own = pixels[layer.holds(pixels)]
                gone = layer.forward(own)
                free = np.ones(len(own), bool) if len(there) == 0 else KDTree(there).query(gone)[0] > HIDDEN_PX
                rest, there = np.concatenate([rest, own[free]]), np.concatenate([there, gone[free]])
        return _interpolated(there, rest, self._frame_pixels(), FAR_PX)

    def _mesh_of(
        self, rest: Points2d, there: Points2d, vertices: Points2d
    ) -> tuple[Bool[np.ndarray, "h w"], Float[np.ndarray, "r c 2"]]:
        """Return which squares of a mesh that follows particles are whole, and where its corners go."""
        corners = _followed(rest, there, vertices)
        sides = [np.linalg.norm(np.diff(corners, axis=axis), axis=-1) for axis in (0, 1)]
        longest = np.maximum.reduce([sides[0][:, :-1], sides[0][:, 1:], sides[1][:-1], sides[1][1:]])
        return longest < MAX_STRETCH, corners - self.corner

    def _simulated_frame(self, rest: Points2d, there: Points2d, width: int) -> Frame:
        step = JACOBIAN_STEP_PX
        columns = [
            (self.edit.moved(rest + along) - self.edit.moved(rest - along)) / 2 / step for along in step * np.eye(2)
        ]
        gradients = np.stack(columns, axis=-1)
        torn = np.abs(gradients).max(axis=(1, 2)) > 10  # a difference across a cut is none
        gradients[torn] = np.eye(2)
        return Frame(1.0, torch.from_numpy(there / width).float(), torch.from_numpy(gradients).float())


def _interpolated(there: Points2d, rest: Points2d, pixels: Points2d, far: float) -> Points2d:
    """Interpolate linearly where pixels were; nan for those farther from all that moved than that, in px."""
    places = _followed(there, rest, pixels)
    places[KDTree(there).query(pixels)[0] > far] = np.nan
    return places


def _followed(rest: Points2d, there: Points2d, points: Points2d) -> Points2d:
    """Interpolate linearly where points go; beyond all that is known as the nearest one."""
    shift = there - rest
    inner, outer = LinearNDInterpolator(rest, shift)(points), NearestNDInterpolator(rest, shift)(points)
    return points + np.where(np.isnan(inner), outer, inner)


def layered_results(
    full: Premultiplied,
    reduce: int,
    edits: dict[str, LayeredEdit],
    below: Float[np.ndarray, "h w 3"] | None = None,
) -> Found:
    """Edit a picture, reduced, by all methods, and compare with the truth.

    Args:
        full: The whole picture.
        reduce: How many times smaller the picture is that is edited.
        edits: By name, in px of that.
        below: The new background of "soft alpha", as large as ``full`` or larger; None for none.

    """
    small = np.clip(area_reduced(full, reduce), 0, 1)
    colours = small[..., :3] / np.maximum(small[..., 3:], 1e-6)
    levels = np.rint(np.concatenate([np.clip(colours, 0, 1), small[..., 3:]], axis=-1) * 255).astype(np.uint8)
    height, width = levels.shape[:2]
    picture, found = gn.fit(levels), {}
    drawn = picture._drawn
    assert isinstance(drawn, BakedPicture)
    for name, edit in edits.items():
        over = below if name == "soft alpha" else None
        room = round(0.4 * max(width, height)) if over is None else 0
        crop = (-float(room), -float(room), float(width + room), float(height + room))
        moved = Moved(levels, picture, drawn, edit, crop)
        truth, front = truth_of(full, edit, crop, reduce)
        frames: dict[str, Premultiplied] = {"truth": truth}
        seconds: dict[str, float] = {}
        for method, draw in moved.frames().items():
            frames[method], seconds[method] = timed(draw)
        if over is not None:
            behind = premultiplied(area_reduced(over[: height * reduce, : width * reduce], reduce))
            frames = {method: one + behind * (1 - one[..., 3:]) for method, one in frames.items()}
        around = np.asarray(ndimage.binary_dilation(truth[..., 3] > 0, iterations=AROUND_PX), bool)
        changes = np.asarray(ndimage.maximum_filter(front, 3)) != np.asarray(ndimage.minimum_filter(front, 3))
        seams = np.asarray(ndimage.binary_dilation(changes, iterations=SEAM_PX), bool)
        megapixels = moved.size[0] * moved.size[1] / 1e6
        results = {}
        for method in METHODS:
            shown, wanted = np.clip(frames[method], 0, 1), frames["truth"]
            everywhere, at_seams = (psnr(shown[where], wanted[where]) for where in (around, seams))
            results[method] = LayeredResult(everywhere, at_seams, seconds[method], megapixels)
        found[name] = results, frames
    return found


@dataclass
class LayeredQuality:
    """Fold, cross, cut and tear cut-outs, by GaINeR and by library calls, and compare with what layers say."""

    pictures: tuple[Path, ...]
    """Cut-outs with alpha."""
    photos: tuple[Path, ...]
    """Photographs, larger than the cut-outs: new backgrounds, and what the arm is made of."""
    output: Path
    """Folder for layered_quality.md, layered_quality.jsonl, and a sheet of each picture."""
    reduce: int = 4
    """How many times smaller the pictures are that are edited."""
    tile: int = 300
    """Width and height of a tile of the sheets in px."""

    def run(self) -> None:
        """Measure all pictures, show the table and write the sheets."""
        lines, everything = [], []
        for name, found in self._found():
            everything.append({edit: results for edit, (results, _) in found.items()})
            edits = {
                edit: {method: one._asdict() for method, one in results.items()}
                for edit, results in everything[-1].items()
            }
            lines.append(json_text({"picture": name, "edits": edits}))
            write_sheet(self.output / f"{name}.png", self._sheet(found))
            print_plain(name)
        table = layered_table(everything).markdown()
        write_text(self.output / "layered_quality.jsonl", "".join(lines))
        write_text(self.output / "layered_quality.md", table)
        print_plain(table)

    def _found(self) -> Iterator[tuple[str, Found]]:
        photos = [read_picture(path).colours().astype(np.float32) for path in self.photos]
        if not photos:
            raise GainerError("no photograph is named; give --photos one or more")
        cut_outs = [(path, read_picture(path)) for path in self.pictures]
        for path, source in cut_outs:
            if source.alpha is None or not (source.opacity() > 0.5).any():
                raise GainerError(f"{path}: is no cut-out; give a picture with alpha, and photographs to --photos")
            if any(
                side < other
                for photo in photos
                for side, other in zip(photo.shape, source.opacity().shape, strict=False)
            ):
                raise GainerError(f"{path}: is larger than a photograph of --photos; give larger ones")
        for number, (path, source) in enumerate(cut_outs):
            rows, columns = np.nonzero(source.opacity() > 0.5)
            box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / self.reduce
            full = premultiplied(source.colours(), source.opacity())
            edits = layered_edits((float(box[0]), float(box[1]), float(box[2]), float(box[3])))
            yield path.stem, layered_results(full, self.reduce, edits, photos[number % len(photos)])
        for path, photo in zip(self.photos, photos, strict=True):
            side = min(photo.shape[1], round(1.5 * photo.shape[0])) // self.reduce
            width, height = side, round(side / 1.5)
            edit, shows = arm_edit(width, height)
            fine = pixel_centres(width * self.reduce, height * self.reduce) / self.reduce
            full = premultiplied(photo[: height * self.reduce, : width * self.reduce], shows(fine).astype(np.float32))
            yield f"arm of {path.stem}", layered_results(full, self.reduce, {"arm": edit})

    def _sheet(self, found: Found) -> Image.Image:
        """Draw the truth and what each method shows of it, enlarged, a row an edit."""
        tiles = []
        for edit, (results, frames) in found.items():
            rows, columns = np.nonzero(frames["truth"][..., 3] > 0)
            part = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
            for method, frame in frames.items():
                alpha = np.clip(frame[part][..., 3:], 0, 1)
                colours = np.clip(frame[part][..., :3] / np.maximum(alpha, 1e-6), 0, 1)
                samples = np.rint(np.concatenate([colours, alpha], axis=-1) * 255).astype(np.uint8)
                times = max(1, self.tile // max(samples.shape))
                told = f"{results[method].all_db:.1f} / {results[method].seam_db:.1f} dB" if method in results else edit
                tile = square_tile(samples.repeat(times, axis=0).repeat(times, axis=1), self.tile, "magenta")
                tiles.append(Tile(f"{method}\n{told}", [tile]))
        return tile_sheet(tiles, len(METHODS) + 1)


def layered_table(found: list[dict[str, dict[str, LayeredResult]]]) -> Table:
    """Return means over pictures: dB in all and at seams, and milliseconds a megapixel."""
    names = dict.fromkeys(name for results in found for name in results)
    rows = []
    for name in names:
        of = [results[name] for results in found if name in results]
        row = [name, str(len(of))]
        for method in METHODS:
            row += [f"{np.mean([getattr(one[method], what) for one in of]):.1f}" for what in ("all_db", "seam_db")]
        rows.append(row)
    drawn = [results[name] for results in found for name in results]
    row = ["ms a megapixel", ""]
    for method in METHODS:
        cost = sum(one[method].seconds for one in drawn) / sum(one[method].megapixels for one in drawn)
        row += [f"{1e3 * cost:.0f}", ""]
    titles = (title for method in METHODS for title in (f"{method}, dB", "at seams"))
    return Table.of(["edit", "pictures", *titles], [*rows, row])
