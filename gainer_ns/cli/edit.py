"""``gainer edit``: a fitted picture or a lifted photo, edited by a script, as a picture or a film."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gainer_ns.cluster import check_cluster
from gainer_ns.errors import GainerError
from gainer_ns.io.inputs import check_input_exists, check_run
from gainer_ns.io.outputs import output_for
from gainer_ns.lifting.camera_path_files import camera_path_of
from gainer_ns.ways import Way


@dataclass
class Edit:
    """Edit a fitted picture by a script: bend, stretch, drag or cut parts of it, for one picture or a film.

    Photos lifted by gainer-lift are edited in space, and filmed by a camera that may move.
    """

    load_config: Path
    """The config.yml of a run, or a .safetensors file of `gainer fit` or `gainer export`."""
    script: Path
    """The YAML file that says what to do; configs/edits has one for each kind of edit."""
    output: Path
    """Picture to write (.png, .webp, .tif, .jpg), folder for the frames (no suffix), film (.mp4,
    .webm, .mov, .apng, .webp, .gif, .sheet.png), or
    .safetensors: the edited picture at the end, without background, for `gainer render` at any scale."""
    scale: float = 1.0
    """Output pixels per source pixel."""
    sampling: Way = "smooth"
    """Between the pixels: smooth as it was fitted, clamped to the range of the pixels around (line art), or nearest,
    which keeps pixels square (pixel art)."""
    bit_depth: Literal[8, 16] | None = None
    """Bits a sample (16: PNG only, as a picture or as frames); the source's when not given, and 8 of films."""
    camera_path: Path | None = None
    """Of a lifted photo: the camera path (.json) that films it, such as orbit.json beside config.yml; the script's, or
    else the photo's own camera, when not given."""

    ray: str | None = None
    """Address of a Ray cluster that draws the frames of a film, or bands of rows of a flat picture: HOST:PORT,
    ray://HOST:PORT, or auto."""
    dry_run: bool = False
    """Say what would be done, and about how long drawing would take; nothing is written."""

    def run(self) -> None:
        """Read the script, draw and write, or only say what would be done."""
        from gainer_ns.cli.terminal import progress_bar, say, status

        output = output_for(self.output, "picture", "frames", "film", "model", bit_depth=self.bit_depth)
        check_run(self.load_config)
        if self.ray is not None:
            check_cluster(self.ray)
        check_input_exists(self.script)
        if self.camera_path is not None:
            camera_path_of(self.camera_path, self.scale)
        with status("Loading the picture"):
            from gainer_ns.api import load

            picture = load(self.load_config)
        if output.is_model:
            if self.ray is not None:
                raise GainerError(f"{self.output}: is not drawn, so there is nothing to spread; leave out --ray")
            if self.sampling != "smooth":
                raise GainerError(f"{self.output}: is read in any way later; leave out --sampling")
            if picture.is_lifted:
                raise GainerError(
                    f"{self.output}: edited lifted photos are kept as pictures only; end the name in .png"
                )
            if self.dry_run:
                film = picture.plan(self.script)
                self._say_plan(film.plan()[:-1], "a fitted picture, as it is at the end, without background")
                return
            picture.edit(self.script).save(self.output)
            say(f"Wrote {self.output}: without background")
            return
        with status("Taking it apart"):
            picture = picture.sampled(self.sampling)
            make = picture.plan if self.dry_run else picture.frames
            film = make(self.script, scale=self.scale, camera_path=self.camera_path)
            output = film.check(self.output, bit_depth=self.bit_depth)
        if self.dry_run:
            with status("Drawing a part of one frame"):
                lines = film.plan()
            what = "a folder of frames" if output.is_folder else "a film" if output.is_film(len(film)) else "a picture"
            self._say_plan(lines, f"{what} ({output.suffix})")
            return
        with progress_bar("Drawing") as progress:
            width, height = film.save(self.output, bit_depth=self.bit_depth, progress=progress, ray=self.ray)
        frames = "" if len(film) == 1 else f"{len(film)} frames of "
        still = "; one picture, frames: 48 in the script makes it a film" if output.is_film(2) and not frames else ""
        say(f"Wrote {self.output}: {frames}{width} x {height} pixels{still}")

    def _say_plan(self, lines: list[str], what: str) -> None:
        """Say what would be done."""
        from gainer_ns.cli.terminal import say

        for line in lines:
            say(line)
        say(f"Output: {self.output}, {what}; nothing was written")
