"""``gainer edit``: a fitted picture, edited by a script, as a picture or a film."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass
class Edit:
    """Edit a fitted picture by a script: bend, stretch, drag or cut parts of it, for one picture or a film."""

    load_config: Path
    """The config.yml of a run, or a .safetensors file of `gainer export`."""
    script: Path
    """The YAML file that says what to do; configs/edits has one for each kind of edit."""
    output: Path
    """Picture to write (.png, .webp, .tif, .jpg), folder for the frames (no suffix), film (.mp4, .webp, .gif), or
    .safetensors: the edited picture at the end, without background, for `gainer render` at any scale."""
    scale: float = 1.0
    """Output pixels per source pixel."""
    bit_depth: Literal[8, 16] | None = None
    """Bits a sample (16: PNG only); the source's for PNG when not given."""

    def run(self) -> None:
        """Reads the script, draws and writes."""
        from nerfstudio.utils.rich_utils import CONSOLE, status

        from gainer_ns.cli.progress import progress_bar

        with status("Loading the picture"):
            from gainer_ns.editing.film import Behind, Camera, write_film
            from gainer_ns.editing.script import read_script
            from gainer_ns.editing.stage import Stage
            from gainer_ns.image.loading import load_baked
            from gainer_ns.rendering.storage import save_picture

            picture = load_baked(self.load_config)
            script = read_script(self.script, picture.plane.width, picture.plane.height)
            layers = {name: load_baked(layer.picture) for name, layer in script.layers.items()}
        with status("Taking it apart"):
            stage = Stage(script, picture, layers)
            if self.output.suffix == ".safetensors":
                save_picture(stage.at(1.0), self.output)
                CONSOLE.print(f"Wrote {self.output}: without background", markup=False, soft_wrap=True)
                return
            camera = Camera(Behind.of(script.background, picture, stage.hole()), self.scale, script.canvas)
        times = script.times
        with progress_bar("Drawing") as progress:
            width, height = write_film(
                self.output,
                (stage.at(t) for t in times),
                camera,
                frames=len(times),
                fps=script.fps,
                bit_depth=self.bit_depth or picture.bit_depth if self.output.suffix in ("", ".png") else 8,
                progress=progress,
            )
        frames = "" if len(times) == 1 else f"{len(times)} frames of "
        CONSOLE.print(f"Wrote {self.output}: {frames}{width} x {height} pixels", markup=False, soft_wrap=True)
