"""``gainer bind``: a picture that follows meshes or points which Blender, or any other program, moved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gainer_ns.cluster import check_cluster
from gainer_ns.io.colour_names import colour_words
from gainer_ns.io.inputs import check_run
from gainer_ns.io.outputs import output_for
from gainer_ns.ways import Way


@dataclass
class Bind:
    """Let a fitted picture follow a mesh or points that another program moved, frame by frame.

    Export a cage, triangles or points with `gainer export`, move them elsewhere, and save each frame. docs/blender.md
    shows the way through Blender. A photo lifted by gainer-lift follows in space: its points, or any mesh around them.
    """

    load_config: Path
    """The config.yml of a run, or a .safetensors file of `gainer fit` or `gainer export`."""
    reference: Path
    """The unmoved mesh or points, as exported (.obj or .ply)."""
    frames: Path
    """Folder of the moved ones, frame_00000.obj (or .ply) and so on: the same vertices in the same order."""
    output: Path
    """Folder for the frames (no suffix), film (.mp4, .webm, .mov, .apng, .webp, .gif, .sheet.png), or for a single
    frame a picture."""
    fps: float = 24.0
    """Frames a second, of a film."""
    scale: float = 1.0
    """Output pixels per source pixel."""
    sampling: Way = "smooth"
    """Between the pixels: smooth as it was fitted, clamped to the range of the pixels around (line art), or nearest,
    which keeps pixels square (pixel art)."""
    bit_depth: Literal[8, 16] | None = None
    """Bits a sample (16: PNG only, as a picture or as frames); the source's when not given, and 8 of films."""
    canvas: tuple[float, float, float, float] | None = None
    """X0 Y0 X1 Y1, the part of the plane that is drawn, in source pixels, perhaps beyond the picture."""
    background_color: tuple[str, ...] | None = None
    """Of what lies behind: a name or '#rrggbb' (with '#rrggbbaa' half clear), or red, green and blue, 0 to 255;
    transparent when not given."""
    background_image: Path | None = None
    """Picture that lies behind, scaled to cover the fitted one."""
    ray: str | None = None
    """Address of a Ray cluster that draws the frames: HOST:PORT, ray://HOST:PORT, or auto."""

    def run(self) -> None:
        """Read the frames one by one, draw and write them."""
        from gainer_ns.cli.terminal import progress_bar, say, status

        output_for(self.output, "picture", "frames", "film", bit_depth=self.bit_depth)
        colour = None if self.background_color is None else colour_words(self.background_color)
        check_run(self.load_config)
        if self.ray is not None:
            check_cluster(self.ray)
        with status("Loading the picture"):
            from gainer_ns.api import load

            picture = load(self.load_config)
            film = (picture if picture.is_lifted else picture.sampled(self.sampling)).bind(
                self.reference,
                self.frames,
                fps=self.fps,
                scale=self.scale,
                canvas=self.canvas,
                background_color=colour,
                background_image=self.background_image,
            )
        with progress_bar("Drawing") as progress:
            width, height = film.save(self.output, bit_depth=self.bit_depth, progress=progress, ray=self.ray)
        frames = "" if len(film) == 1 else f"{len(film)} frames of "
        say(f"Wrote {self.output}: {frames}{width} x {height} pixels")
