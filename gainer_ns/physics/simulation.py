"""A simulation from a picture and a scene file to its last frame."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from gainer_ns.editing.backgrounds import Background
from gainer_ns.errors import GainerError
from gainer_ns.physics.engine import Engine, Frame, Particles, SimulationConfig
from gainer_ns.physics.exchange.folder import SimulationFolder, Status
from gainer_ns.physics.materials import Material
from gainer_ns.physics.scene import Scene, read_scene
from gainer_ns.physics.simulated_picture import SimulatedPicture
from gainer_ns.physics.simulated_plane import SimulatedPlane, content_of
from gainer_ns.rendering.plane import BakedPicture

if TYPE_CHECKING:
    from gainer_ns.editing.shots import Camera
    from gainer_ns.lifting.scene import LiftedScene
    from gainer_ns.lifting.views import CameraPath

TRIAL_SECONDS = 1 / 60
"""How much of a simulation is tried at most, twice, to tell how long it takes."""


def scene_for(source: Path | Mapping[str, Any], picture: BakedPicture | LiftedScene) -> Scene:
    """Read a scene for a picture or a lifted photo.

    Args:
        source: The YAML file, or what would be in it.
        picture: As it was fitted.

    Raises:
        GainerError: The scene is wrong, or does not fit the picture; or that shows nothing.
    """
    if isinstance(picture, BakedPicture):
        content = content_of(picture)
    else:
        from gainer_ns.physics.simulated_space import content_of_lifted

        content = content_of_lifted(picture)
    return read_scene(source, picture.plane.width, picture.plane.height, content)


def simulated_picture(scene: Scene, picture: BakedPicture | LiftedScene, count: int | None = None) -> SimulatedPicture:
    """Choose what is simulated of a picture or a lifted photo.

    Args:
        scene: What is simulated; on the picture (see ``Scene.on``).
        picture: As it was fitted.
        count: How many particles, instead of as many as the scene says.

    Raises:
        GainerError: The scene does not fit it.
    """
    if isinstance(picture, BakedPicture):
        return SimulatedPlane(scene, picture, count)
    from gainer_ns.physics.simulated_space import SimulatedSpace

    return SimulatedSpace(scene, picture, count)


def fingerprint_of(scene: Scene, particles: Particles, engine: str) -> str:
    """Return a number that changes with anything that the frames depend on, but not with how they are drawn.

    Args:
        scene: On its picture.
        particles: At rest.
        engine: Name of the engine.

    Returns:
        SHA-256, hexadecimal.
    """
    undrawn = {"background": Background(transparent=True), "canvas": "auto", "camera": "still", "grain": None}
    words = scene.model_copy(update=undrawn).to_yaml(), {"engine": engine, "domain": scene.box}, particles.spacing
    sha256 = hashlib.sha256(json.dumps(words, sort_keys=True, default=str).encode())
    for values in (value for value in vars(particles).values() if isinstance(value, Tensor)):
        sha256.update(f"{tuple(values.shape)}{values.dtype}".encode())
        sha256.update(values.detach().cpu().contiguous().numpy().tobytes())
    return sha256.hexdigest()


def seconds_a_frame(
    engine: Engine, simulated: SimulatedPicture, camera: Camera, path: CameraPath | None = None
) -> float:
    """Return about how long a frame takes to simulate and to draw, in seconds, by a trial of two short ones.

    What is prepared once does not count. Later frames take longer where bodies are faster or more stretched.

    Args:
        engine: What will simulate.
        simulated: What will be simulated.
        camera: What would film it; it is used up.
        path: Along which a lifted photo would be filmed.

    Raises:
        GainerError: The scene cannot be simulated or drawn.
    """
    config = simulated.config
    fps = max(config.fps, 1 / TRIAL_SECONDS)
    trial = replace(config, frames=3, fps=fps)
    frames: list[Frame] = []
    simulating = drawing = 0.0
    begun = time.perf_counter()
    for frame in engine.run(trial, simulated.particles, simulated.materials):
        frames.append(frame)
        simulating, begun = time.perf_counter() - begun, time.perf_counter()
    for picture in simulated.shots(lambda: frames, camera, path):
        begun = time.perf_counter()
        camera.draw(picture)
        drawing = time.perf_counter() - begun
    return simulating * fps / config.fps + drawing


def simulated_frames(
    engine: Engine,
    config: SimulationConfig,
    particles: Particles,
    materials: tuple[Material, ...],
    folder: SimulationFolder,
) -> Generator[Frame, None, None]:
    """Yield all frames, each kept in the folder before it is passed on.

    Engines that keep no state begin again where there are frames to be made, and what is there already is left out. A
    simulation that fails before anything has moved leaves no folder.

    Args:
        engine: Makes what is not there yet.
        config: Domain, gravity, forces, colliders, duration.
        particles: What moves.
        materials: Of each body.
        folder: A simulation that was begun with these; see ``SimulationFolder.create``.

    Raises:
        GainerError: If the simulation fails, or its folder cannot be read or written.
    """
    status: Status = "interrupted"
    message = ""
    try:
        last = folder.last()
        if last is None and folder.frames:
            (last,) = folder.read(folder.frames - 1)
        there = 0 if last is None else round(last.time * config.fps) + 1
        if there >= config.frames:
            status = "finished"
        yield from folder.read(stop=there)
        if there < config.frames:
            for frame in engine.run(config, particles, materials, last):
                number = round(frame.time * config.fps)
                if number >= there:
                    yield folder.write(number, frame)
        status = "finished"
    except GainerError as error:
        status, message = "failed", str(error)
        raise
    finally:
        if status == "failed" and folder.frames <= 1:
            folder.clear()
        else:
            folder.finish(status, message)
