"""A simulation from its first frame to its last: what a folder has already is read, and the rest is made and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator

from torch import Tensor

from gainer_ns.editing.backgrounds import Background
from gainer_ns.errors import GainerError
from gainer_ns.physics.engine import Engine, Frame, Particles
from gainer_ns.physics.exchange.folder import SimulationFolder, Status
from gainer_ns.physics.materials import Material
from gainer_ns.physics.scene import Scene
from gainer_ns.physics.setting import Setting


def fingerprint_of(scene: Scene, particles: Particles, engine: str) -> str:
    """Return a number that changes with anything that the frames depend on, but not with how they are drawn.

    Args:
        scene: On its picture.
        particles: At rest.
        engine: Name of the engine.

    Returns:
        SHA-256, hexadecimal.
    """
    undrawn = {"background": Background(transparent=True), "canvas": None, "camera": "still"}
    words = scene.model_copy(update=undrawn).to_yaml(), {"engine": engine, "domain": scene.box}, particles.spacing
    sha256 = hashlib.sha256(json.dumps(words, sort_keys=True, default=str).encode())
    for values in (value for value in vars(particles).values() if isinstance(value, Tensor)):
        sha256.update(f"{tuple(values.shape)}{values.dtype}".encode())
        sha256.update(values.detach().cpu().contiguous().numpy().tobytes())
    return sha256.hexdigest()


def simulated(
    engine: Engine,
    setting: Setting,
    particles: Particles,
    materials: tuple[Material, ...],
    folder: SimulationFolder,
) -> Generator[Frame, None, None]:
    """Yield all frames, each kept in the folder before it is passed on.

    Engines that keep no state begin again where there are frames to be made, and what is there already is left out. A
    simulation that fails before anything has moved leaves no folder.

    Args:
        engine: Makes what is not there yet.
        setting: Domain, gravity, forces, colliders, duration.
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
        there = 0 if last is None else round(last.time * setting.fps) + 1
        yield from folder.read(stop=there)
        if there < setting.frames:
            for frame in engine.run(setting, particles, materials, last):
                number = round(frame.time * setting.fps)
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
