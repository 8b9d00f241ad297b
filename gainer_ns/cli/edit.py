"""``gainer edit``: a fitted picture or a lifted photo, edited by a script, as a picture or a film."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from gainer_ns.errors import GainerError
from gainer_ns.io.inputs import check_run, check_there
from gainer_ns.io.outputs import output_for
from gainer_ns.lifting.camera_path_files import camera_path_of

if TYPE_CHECKING:
    from gainer_ns.editing.film import Camera, Drawn
    from gainer_ns.editing.stage import Stage
    from gainer_ns.io.outputs import Output
    from gainer_ns.lifting.scene import LiftedScene
    from gainer_ns.rendering.plane import BakedPicture


class Film(NamedTuple):
    """What is drawn, from what is edited."""

    pictures: Iterable[Drawn]
    camera: Camera
    frames: int
    fps: float


@dataclass
class Edit:
    """Edit a fitted picture by a script: bend, stretch, drag or cut parts of it, for one picture or a film.

    Photos lifted by gainer-lift are edited in space, and filmed by a camera that may move.
    """

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
    """Bits a sample (16: PNG only, as a picture or as frames); the source's when not given, and 8 of films."""
    camera_path: Path | None = None
    """Of a lifted photo: the camera path (.json) that films it, such as orbit.json beside config.yml; the script's, or
    else the photo's own camera, when not given."""

    def run(self) -> None:
        """Reads the script, draws and writes."""
        from nerfstudio.utils.rich_utils import CONSOLE, status

        from gainer_ns.cli.progress import progress_bar

        output = output_for(self.output, "picture", "frames", "film", "model", bit_depth=self.bit_depth)
        check_run(self.load_config)
        check_there(self.script)
        if self.camera_path is not None:
            camera_path_of(self.camera_path, self.scale)
        with status("Loading the picture"):
            from gainer_ns.editing.film import write_film
            from gainer_ns.lifting.scene import LiftedScene
            from gainer_ns.loading import load_run
            from gainer_ns.storage.picture_files import save_picture

            picture = load_run(self.load_config)
        with status("Taking it apart"):
            if isinstance(picture, LiftedScene):
                film = self._lifted(picture, output)
            else:
                stage = self._stage(picture, output)
                if output.is_model:
                    save_picture(stage.at(1.0), self.output)
                    CONSOLE.print(f"Wrote {self.output}: without background", markup=False, soft_wrap=True)
                    return
                film = self._flat(stage)
        with progress_bar("Drawing") as progress:
            width, height = write_film(
                output,
                film.pictures,
                film.camera,
                frames=film.frames,
                fps=film.fps,
                bit_depth=output.bit_depth(self.bit_depth, picture.bit_depth, film.frames),
                profile=picture.profile,
                progress=progress,
            )
        frames = "" if film.frames == 1 else f"{film.frames} frames of "
        CONSOLE.print(f"Wrote {self.output}: {frames}{width} x {height} pixels", markup=False, soft_wrap=True)

    def _stage(self, picture: BakedPicture, output: Output) -> Stage:
        from gainer_ns.editing.film import check_frame
        from gainer_ns.editing.script import read_script
        from gainer_ns.editing.stage import Stage
        from gainer_ns.image.loading import load_baked

        if self.camera_path is not None:
            raise GainerError("--camera-path: films lifted photos only; leave it out for a flat picture")
        script = read_script(self.script, picture.plane.width, picture.plane.height)
        if not output.is_model:
            check_frame(picture, self.scale, script.canvas)
        return Stage(script, picture, {name: load_baked(layer.picture) for name, layer in script.layers.items()})

    def _flat(self, stage: Stage) -> Film:
        from gainer_ns.editing.film import Behind, Camera

        script, times = stage.script, stage.script.times
        behind = Behind.of(script.background, stage.picture, stage.hole)
        return Film((stage.at(t) for t in times), Camera(behind, self.scale, script.canvas), len(times), script.fps)

    def _lifted(self, scene: LiftedScene, output: Output) -> Film:
        from gainer_ns.editing.film import Behind, Camera
        from gainer_ns.editing.lifted_film import LiftedFilm
        from gainer_ns.editing.lifted_script import read_lifted_script
        from gainer_ns.lifting.views import read_camera_path

        if output.is_model:
            raise GainerError(f"{self.output}: edited lifted photos are kept as pictures only; end the name in .png")
        script = read_lifted_script(self.script, scene.plane.width, scene.plane.height, len(scene.layers))
        path = self.camera_path or script.camera
        film = LiftedFilm(script, scene, None if path is None else read_camera_path(path, self.scale))
        behind = Behind.colour_or_image(script.background.color, script.background.image, film.first)
        return Film(film.shots(), Camera(behind, self.scale), film.frames, film.fps)
