"""``gainer simulate``: a fitted picture or a lifted photo, or parts of it, as elastic, liquid, sand or snow, filmed."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gainer_ns.cluster import check_cluster
from gainer_ns.errors import GainerError
from gainer_ns.io.inputs import check_input_exists, check_run
from gainer_ns.io.outputs import output_for
from gainer_ns.lifting.camera_path_files import camera_path_of
from gainer_ns.ways import Way

if TYPE_CHECKING:
    from gainer_ns.physics.engine import Engine, Frame
    from gainer_ns.physics.exchange.folder import SimulationFolder
    from gainer_ns.physics.simulated_picture import SimulatedPicture


@dataclass
class Simulate:
    """Let a fitted picture or a lifted photo fall, bounce, splash or crumble, by a scene file, and film it.

    The particles' movement is kept in a folder: a simulation that was interrupted goes on from there, and one that is
    done is drawn again at another scale without being simulated again.
    """

    load_config: Path
    """The config.yml of a run, or a .safetensors file of `gainer fit` or `gainer export`."""
    scene: Path
    """The YAML file that says what the picture is made of and what acts on it; configs/physics has some."""
    output: Path
    """Film to write (.mp4, .webm, .mov, .apng, .webp, .gif, .sheet.png), or folder for the frames (no suffix)."""
    scale: float = 1.0
    """Output pixels per source pixel."""
    sampling: Way = "smooth"
    """Between the pixels: smooth as it was fitted, clamped to the range of the pixels around (line art), or nearest,
    which keeps pixels square (pixel art)."""
    bit_depth: Literal[8, 16] | None = None
    """Bits a sample (16: PNG frames only); the source's when not given, and 8 of films."""
    camera_path: Path | None = None
    """Of lifted photos: nerfstudio camera path (.json) along which they are filmed, once from its start to its end."""
    preview: bool = False
    """Simulate coarsely and draw at half the scale, or smaller, for a first look; says first how long that takes."""
    simulation: Path | None = None
    """Folder that keeps the simulated particles; beside the output, named after it, when not given."""
    restart: bool = False
    """Simulate anew: what the folder keeps of another simulation is replaced."""
    engine: Literal["mpm", "files", "taichi_elements"] = "mpm"
    """What moves the particles: the material point method that is built in, another program through files in the
    simulation's folder, or a checkout of Taichi Elements."""
    engine_path: Path | None = None
    """The checkout of Taichi Elements."""
    ray: str | None = None
    """Address of a Ray cluster that draws the frames, while they are simulated here: HOST:PORT, ray://HOST:PORT, or
    auto."""

    def run(self) -> None:
        """Read the scene, simulate, draw and write."""
        from gainer_ns.cli.terminal import progress_bar, say, status

        output = output_for(self.output, "picture", "frames", "film", bit_depth=self.bit_depth)
        check_run(self.load_config)
        check_input_exists(self.scene)
        if self.camera_path is not None:
            camera_path_of(self.camera_path, self.scale)
        if self.ray is not None:
            check_cluster(self.ray)
        if self.engine_path is not None and self.engine != "taichi_elements":
            raise GainerError("--engine-path: only taichi_elements is a checkout; leave it out, or choose that engine")
        with status("Loading the picture"):
            from gainer_ns.editing.shots import write_film
            from gainer_ns.film import Film
            from gainer_ns.lifting.views import read_camera_path
            from gainer_ns.loading import load_run, sampled
            from gainer_ns.physics.exchange.folder import SimulationFolder
            from gainer_ns.physics.preview import PREVIEW_PARTICLES, preview_scale, preview_scene, reduced
            from gainer_ns.physics.simulation import scene_for, seconds_a_frame, simulated_picture
            from gainer_ns.rendering.plane import BakedPicture

            picture = sampled(load_run(self.load_config), self.sampling, self.load_config)
        size = scale = self.scale * (preview_scale(picture) if self.preview else 1.0)
        with status("Reading the scene"):
            scene = scene_for(self.scene, picture)
            if self.preview and scale < 1 and isinstance(picture, BakedPicture) and not scene.is_painted:
                picture, scale = reduced(picture, scale), 1.0
                scene = scene_for(self.scene, picture)
            if self.preview:
                scene = preview_scene(scene, size / scale)
            simulated = simulated_picture(scene, picture, PREVIEW_PARTICLES if self.preview else None)
            path = None if self.camera_path is None else read_camera_path(self.camera_path, scale)
            folder = SimulationFolder(self._folder(), picture.plane.width, picture.plane.height)
            engine = self._engine()
            camera = simulated.camera(scale, path)
            if engine is None:
                self._begin(simulated, folder)
                if not folder.frames:  # now another program can make them
                    say(folder.request_for_frames)
                    return
        frames = simulated.config.frames if engine is not None else folder.frames
        output.check_frames(frames, scene.fps)
        bit_depth = output.bit_depth(self.bit_depth, picture.bit_depth, frames)
        if self.preview and engine is not None:
            with status("Trying how long it takes"):
                each = seconds_a_frame(engine, simulated, simulated.camera(scale, path), path)
            say(
                f"Preview of {len(simulated.particles):,} particles at {size:.2g} of the size: about {each:.2g} s a "
                f"frame, {each * frames:.2g} s for {frames} frames"
            )
        share = 0.5 if simulated.films_all(path) else 0.0  # of what is done before anything is drawn
        started: list[Generator[Frame, None, None]] = []
        try:
            with progress_bar("Simulating and drawing") as progress, ExitStack() as opened:

                def moved() -> Iterable[Frame]:
                    begun = self._frames(simulated, folder, engine, is_first=not started)
                    started.append(opened.enter_context(closing(begun)))
                    return started[-1]

                film = Film(
                    lambda first, end: simulated.takes(moved, camera, path, lambda done: progress(share * done)),
                    lambda take: simulated.shot(take, path),
                    camera,
                    frames,
                    scene.fps,
                    picture,
                )
                width, height = write_film(
                    output,
                    film.drawn() if self.ray is None else film.drawn_on(self.ray, bit_depth),
                    frames=frames,
                    fps=scene.fps,
                    bit_depth=bit_depth,
                    profile=picture.profile,
                    progress=lambda done: progress(share + (1 - share) * done),
                    keep_interrupted=True,
                )
        except KeyboardInterrupt:
            say(f"Stopped: the same command goes on from {folder.path}")
            raise
        note = f"Wrote {self.output}: {frames} frames of {width} x {height} pixels; particles are in {folder.path}"
        say(note)

    def _folder(self) -> Path:
        if self.simulation is not None:
            return self.simulation
        return self.output.with_name(self.output.stem + ("_preview" if self.preview else "") + "_simulation")

    def _engine(self) -> Engine | None:
        """Return the engine; None where another program moves the particles."""
        if self.engine == "files":
            return None
        if self.engine == "taichi_elements":
            from gainer_ns.physics.exchange.taichi_elements import TaichiElementsEngine

            if self.engine_path is None:
                raise GainerError("--engine taichi_elements: needs --engine-path, the folder of its checkout")
            taichi_elements = TaichiElementsEngine(self.engine_path)
            taichi_elements.check_available()
            return taichi_elements
        from gainer_ns.physics.mpm.engine import MpmEngine

        return MpmEngine()

    def _begin(self, simulated: SimulatedPicture, folder: SimulationFolder) -> None:
        from gainer_ns.physics.simulation import fingerprint_of

        if self.restart:
            folder.clear()
        mark = fingerprint_of(simulated.scene, simulated.particles, self.engine)
        folder.create(simulated.particles, simulated.materials, simulated.config, engine=self.engine, fingerprint=mark)

    def _frames(
        self, simulated: SimulatedPicture, folder: SimulationFolder, engine: Engine | None, *, is_first: bool
    ) -> Generator[Frame, None, None]:
        """Yield the frames. The folder is begun with the first, once the output has been found to be writable."""
        from gainer_ns.physics.simulation import simulated_frames

        if engine is None:
            yield from folder.read()
        else:
            if is_first:
                self._begin(simulated, folder)
            yield from simulated_frames(engine, simulated.config, simulated.particles, simulated.materials, folder)
