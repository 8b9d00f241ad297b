"""A simulation from its first frame to its last: what a folder has already is read, and the rest is made and kept."""

from __future__ import annotations

from collections.abc import Iterator

from gainer_ns.editing.backgrounds import Background
from gainer_ns.errors import GainerError
from gainer_ns.physics.engine import Engine, Frame, Particles
from gainer_ns.physics.folder import SimulationFolder, Status
from gainer_ns.physics.folder_files import fingerprint
from gainer_ns.physics.materials import Material
from gainer_ns.physics.scene import Scene
from gainer_ns.physics.setting import Setting


def fingerprint_of(scene: Scene, particles: Particles, engine: str) -> str:
    """A number that changes with anything that the frames depend on, and not with what only concerns drawing them.

    Args:
        scene: On its picture.
        particles: At rest.
        engine: Name of the engine.
    """
    drawn = {"background": Background(transparent=True), "canvas": None, "camera": "still"}
    return fingerprint(scene.model_copy(update=drawn).to_yaml(), particles, {"engine": engine, "domain": scene.box})


def simulated(
    engine: Engine,
    setting: Setting,
    particles: Particles,
    materials: tuple[Material, ...],
    folder: SimulationFolder,
) -> Iterator[Frame]:
    """All frames, each kept in the folder before it is passed on.

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
        there = 0 if last is None else round(last.time * setting.fps) + 1
        for number in range(there):
            yield _on(folder.read(number), number, setting)
        if there < setting.frames:
            for number, frame in enumerate(engine.run(setting, particles, materials, last), there):
                folder.write(number, frame)
                yield frame
        status = "finished"
    except GainerError as error:
        status, message = "failed", str(error)
        raise
    finally:
        folder.finish(status, message)


def _on(frame: Frame, number: int, setting: Setting) -> Frame:
    """A frame that was read, at its exact time."""
    return Frame(number / setting.fps, frame.positions.float(), frame.gradients)
