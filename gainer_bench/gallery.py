"""The gallery: one small picture for each kind of edit: ``python -m gainer_bench.gallery``.

The photograph is fitted once, and then every script of configs/edits that needs nothing else is drawn.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from rich.progress import track

from gainer_bench.demo import fit, loaded, say, write_original
from gainer_ns.doors import run_program
from gainer_ns.editing.film import Behind, Camera
from gainer_ns.editing.script import read_script
from gainer_ns.editing.stage import Stage
from gainer_ns.io.files import whole_file
from gainer_ns.io.samples import integer_samples
from gainer_ns.options import parsed
from gainer_ns.rendering.plane import BakedPicture

KINDS = (
    "move",
    "rotate",
    "scale",
    "stretch",
    "bend",
    "twirl",
    "wave",
    "perspective",
    "cut",
    "drag",
    "lattice",
)
"""The scripts that are drawn, in this order, after the picture itself."""
COLUMNS = 4
GAP = 8
"""Between panels, in pixels."""
CAPTION = 22
"""Height of a caption, in pixels."""
COLOURS = 255
"""Of the palette."""


@dataclass
class Gallery:
    """Fits a picture, draws every edit script for pictures, and puts them side by side."""

    output: Path = Path("gallery.png")
    """PNG to write."""
    scripts: Path = Path("configs/edits")
    """Folder of the edit scripts."""
    image: Path | None = None
    """The picture, at least 512 x 512 pixels; a photograph that comes with scikit-image when not given."""
    load_config: Path | None = None
    """A fit of the picture, to save the time of another one."""
    panel: int = 232
    """Width and height of a panel in pixels."""

    def run(self) -> None:
        """Does all of it."""
        with tempfile.TemporaryDirectory() as folder:
            config = self.load_config or Path(folder) / "outputs/original/gainer/gallery/config.yml"
            if self.load_config is None:
                original = Path(folder) / "original.png"
                write_original(self.image, original)
                fit(original, config)
            picture = loaded(config)
        panels = [("source", square(picture.raster(), self.panel))]
        for kind in track(KINDS, description="Drawing"):
            panels.append((kind, drawn(picture, self.scripts / f"{kind}.yaml", self.panel)))
        with whole_file(self.output) as file:
            sheet(panels).quantize(COLOURS, dither=Image.Dither.FLOYDSTEINBERG).save(file, "PNG", optimize=True)
        say(f"Wrote {self.output}")


def drawn(picture: BakedPicture, script_path: Path, side: int) -> Image.Image:
    """A picture after an edit script, as it looks at the end of it.

    Args:
        picture: The fitted picture.
        script_path: The edit script.
        side: Width and height of the result in pixels; what is clear is white.

    Raises:
        GainerError: If the script does not fit the picture.
    """
    script = read_script(script_path, picture.plane.width, picture.plane.height)
    stage = Stage(script, picture)
    width, height = picture.plane.width, picture.plane.height
    if script.canvas is not None:
        width, height = (math.ceil(script.canvas[side + 2] - script.canvas[side]) for side in range(2))
    camera = Camera(Behind.of(script.background, picture, stage.hole), side / max(width, height), script.canvas)
    return square(camera.draw(stage.at(1.0)), side)


def square(raster: Sequence, side: int) -> Image.Image:
    """A raster, colours [h, w, 3] and opacity [h, w] or [h, w, 1], at most as large as a square, in its middle."""
    colours, opacity = (part.cpu().numpy() for part in raster)
    seen = Image.fromarray(integer_samples(colours, opacity.reshape(opacity.shape[:2]), 8), "RGBA")
    seen.thumbnail((side, side), Image.Resampling.LANCZOS)
    panel = Image.new("RGB", (side, side), "white")
    panel.paste(seen, ((side - seen.width) // 2, (side - seen.height) // 2), seen)
    return panel


def sheet(panels: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Square panels of one size with their captions, row by row."""
    side = panels[0][1].width
    rows = math.ceil(len(panels) / COLUMNS)
    size = COLUMNS * (side + GAP) - GAP, rows * (side + CAPTION + GAP) - GAP
    whole = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(15)
    for number, (caption, panel) in enumerate(panels):
        left, top = number % COLUMNS * (side + GAP), number // COLUMNS * (side + CAPTION + GAP)
        draw.text((left + side // 2, top + CAPTION // 2), caption, fill="black", font=font, anchor="mm")
        whole.paste(panel, (left, top + CAPTION))
    return whole


if __name__ == "__main__":
    run_program(lambda: parsed(Gallery, prog="python -m gainer_bench.gallery").run())
