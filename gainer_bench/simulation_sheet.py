"""Simulated cut-outs, to look at: ``python -m gainer_bench simulation-sheet CONFIG... --scenes SCENE... --output PNG``.

Beside the sheet it says in numbers what one should not see: holes and veils inside of what is elastic, in any frame.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import tyro
from jaxtyping import Bool, Float
from rich.progress import track
from torch import Tensor

from gainer_bench.contact_sheet import EDGE_TOLERANCE_PX, inner_distance
from gainer_bench.outputs import print_plain
from gainer_bench.sheets import Samples8, Tile, square_tile, tile_sheet, write_sheet
from gainer_bench.sources import fitted_pictures
from gainer_bench.tables import Table
from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import SourceImage
from gainer_ns.io.samples import integer_samples
from gainer_ns.physics.engine import Frame
from gainer_ns.physics.mpm.engine import MpmEngine
from gainer_ns.physics.simulated_plane import SimulatedPlane
from gainer_ns.physics.simulation import scene_for
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.raster import Crop

STRETCH_PX = 3
"""Gaps between moved pixels belong to the material up to twice this width: it may be stretched as far."""
CLEAR_PX = 12
"""How far from what is solid pixels are carried along to tell where there is nothing."""
SOLID_OPACITY = 254.5 / 255
"""From this opacity on a pixel of the source is solid."""
SEE_THROUGH_ALPHA = 0.98
"""Below this alpha one sees through a pixel."""


class Solidity(NamedTuple):
    """How solid what is elastic is, in all frames of a simulation."""

    lowest: float = 1.0  # the lowest alpha of a pixel inside the material; 1 if nothing is inside
    frame: int = 0  # where that is
    faint: int = 0  # how many pixels of all frames are less than solid
    inside: int = 0  # how many pixels of all frames are inside

    def with_frame(self, number: int, alpha: Float[np.ndarray, "h w"], inside: Bool[np.ndarray, "h w"]) -> Solidity:
        """Take one more frame into account."""
        lowest = float(alpha[inside].min(initial=1.0))
        least = (lowest, number) if lowest < self.lowest else (self.lowest, self.frame)
        faint = int((alpha[inside] < SEE_THROUGH_ALPHA).sum())
        return Solidity(*least, self.faint + faint, self.inside + int(inside.sum()))


def interior(
    solid: Float[Tensor, "m 2"], clear: Float[Tensor, "c 2"], crop: Crop, shape: tuple[int, int]
) -> Bool[np.ndarray, "h w"]:
    """Find the pixels that lie inside the shape of the moved material, away from its edge.

    Args:
        solid: Where the solid pixels of the source have gone, in source pixels.
        clear: Where the others have gone that are near to these.
        crop: What is drawn, in source pixels, one output pixel for each.
        shape: Height and width of what is drawn.
    """
    material = np.pad(_distance(solid, crop, shape) <= STRETCH_PX, 1)
    inside = inner_distance(material)[1:-1, 1:-1] > STRETCH_PX + EDGE_TOLERANCE_PX
    return inside & (_distance(clear, crop, shape) > EDGE_TOLERANCE_PX)  # narrow gaps are closed, if nothing is in them


def _distance(points: Float[Tensor, "m 2"], crop: Crop, shape: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """Return how far each pixel is from the nearest that holds a point; infinite where none does."""
    column, row = (points.cpu().double().numpy() - np.array(crop[:2])).T
    drawn = (column >= 0) & (column < shape[1]) & (row >= 0) & (row < shape[0])
    touched = np.zeros(shape, dtype=bool)
    touched[row[drawn].astype(int), column[drawn].astype(int)] = True
    return inner_distance(~touched)


def solid_and_clear(source: SourceImage) -> tuple[Float[Tensor, "m 2"], Float[Tensor, "c 2"]]:
    """Return centres, in pixels, of the pixels of a picture that nothing is seen through, and of others near these."""
    away = inner_distance(source.opacity() < SOLID_OPACITY)
    parts = away == 0, (away > 0) & (away < CLEAR_PX)
    solid, clear = (torch.from_numpy(np.argwhere(part)[:, ::-1] + 0.5).float() for part in parts)
    return solid, clear


class Simulated(NamedTuple):
    """What was found out about one scene on one picture."""

    tiles: list[Samples8]
    particles: int
    seconds: float
    drawing: float
    solidity: Solidity | None


@dataclass
class SimulationSheet:
    """Simulate scenes on fitted cut-outs, draw some frames on a sheet, and look for holes in all of them."""

    configs: tyro.conf.Positional[tuple[Path, ...]]
    """The config.yml of each run, or .safetensors files of `gainer export`."""
    output: Path
    """The sheet to write (.png)."""
    scenes: tuple[Path, ...]
    """Scene files."""
    columns: int = 6
    """How many frames of each are shown, from the first to the last."""
    tile: int = 160
    """Width and height of the tiles that the frames are fitted into, in px."""
    particles: int | None = None
    """How many particles, instead of as many as the scenes say."""
    source: Path | None = None
    """The picture that was fitted, for one config; None for the one that the run names."""

    def run(self) -> None:
        """Draw the sheet and say how solid what is elastic stays."""
        if not self.scenes:
            raise GainerError("no scene is named; give one or more scene files after --scenes")
        if not (2 <= self.columns <= 100 and 16 <= self.tile <= 4096):
            raise GainerError("--columns is between 2 and 100, and --tile between 16 and 4096 pixels")
        tiles: list[Tile] = []
        rows: list[list[str]] = []
        for _, picture, source in fitted_pictures(self.configs, self.source):
            for scene in self.scenes:
                found = self._simulated(picture, source, scene)
                for number, tile in enumerate(found.tiles):
                    tiles.append(Tile(f"{scene.stem}, {100 * number // (self.columns - 1)} %", [tile]))
                rows.append([source.path.name, scene.stem, *_numbers(found)])
        write_sheet(self.output, tile_sheet(tiles, self.columns), palette=True)
        titles = ["picture", "scene", "particles", "s simulating", "s drawing", "lowest alpha", "at", "faint pixels"]
        print_plain(Table.of(titles, rows, names=2).markdown())

    def _simulated(self, picture: BakedPicture, source: SourceImage, path: Path) -> Simulated:
        scene = scene_for(path, picture).model_copy(update={"canvas": "domain"})
        simulated = SimulatedPlane(scene, picture, self.particles)
        stays = all(material.holds for material in simulated.materials)
        solid, clear = (points.to(picture.device) for points in solid_and_clear(source))
        domain = scene.filmed
        assert domain is not None
        shown = set(np.linspace(0, simulated.config.frames - 1, self.columns).round().astype(int).tolist())
        solidity, tiles, drawing = Solidity(), [], []
        start = time.perf_counter()
        frames = MpmEngine().run(simulated.config, simulated.particles, simulated.materials)
        for number, frame in enumerate(track(frames, path.stem, simulated.config.frames)):
            if stays or number in shown:
                begun = time.perf_counter()
                crop = _followed(domain, simulated, frame) if scene.camera == "follow" else domain
                rgb, alpha = (part.cpu() for part in simulated.at(frame).raster(crop=crop))
                drawing.append(time.perf_counter() - begun)
                alpha = alpha[..., 0]
                if stays:
                    where = simulated.moved(solid, frame), simulated.moved(clear, frame)
                    inside = interior(*where, crop, (alpha.shape[0], alpha.shape[1]))
                    solidity = solidity.with_frame(number, alpha.numpy(), inside)
                if number in shown:
                    tiles.append(square_tile(integer_samples(rgb.numpy(), alpha.numpy(), 8), self.tile))
        seconds = (time.perf_counter() - start - sum(drawing)) / simulated.config.frames
        mean = sum(drawing) / len(drawing)
        return Simulated(tiles, len(simulated.particles), seconds, mean, solidity if stays else None)


def _followed(crop: Crop, simulated: SimulatedPlane, frame: Frame) -> Crop:
    """Return what a camera films that follows what moves."""
    (x, y), start = simulated.centre(frame), simulated.centre(Frame(0.0, simulated.particles.positions, None))
    return crop[0] + x - start[0], crop[1] + y - start[1], crop[2] + x - start[0], crop[3] + y - start[1]


def _numbers(found: Simulated) -> list[str]:
    numbers = [str(found.particles), f"{found.seconds:.2f}", f"{found.drawing:.2f}"]
    if found.solidity is None:
        return [*numbers, "", "", ""]
    lowest, frame, faint, inside = found.solidity
    return [*numbers, f"{lowest:.4f}", str(frame), f"{faint} of {inside}"]
