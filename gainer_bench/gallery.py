"""What every kind of edit makes of one photograph: ``python -m gainer_bench gallery``.

The photograph is fitted once, and then every script of configs/edits that needs nothing else is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

import gainer_ns as gn
from gainer_bench.demo import photograph
from gainer_bench.outputs import print_plain
from gainer_bench.sheets import Tile, square_tile, tile_sheet, write_sheet

SCRIPTS = ("move", "rotate", "scale", "stretch", "bend", "twirl", "wave", "perspective", "cut", "drag", "lattice")
"""Those that are drawn, in this order, after the picture itself."""


@dataclass
class Gallery:
    """Fit a picture, draw every edit script for pictures, and put them side by side."""

    output: Path = Path("gallery.png")
    """PNG to write."""
    scripts: Path = Path("configs/edits")
    """Folder of the edit scripts."""
    image: Path | None = None
    """The picture, at least 512 x 512 pixels; a photograph that comes with scikit-image when not given."""
    load_config: Path | None = None
    """A fit of the picture, to save the time of another one."""
    panel: int = 232
    """Width and height of a tile in pixels."""

    def run(self) -> None:
        """Do all of it."""
        picture = gn.load(self.load_config) if self.load_config else gn.fit(self.image or photograph())
        tiles = [self._tile("source", picture)]
        for name in track(SCRIPTS, description="Drawing"):
            tiles.append(self._tile(name, picture.edit(self.scripts / f"{name}.yaml")))
        write_sheet(self.output, tile_sheet(tiles, 4), palette=True)
        print_plain(f"Wrote {self.output}")

    def _tile(self, name: str, picture: gn.Picture) -> Tile:
        return Tile(name, [square_tile(picture.render(), self.panel)])
