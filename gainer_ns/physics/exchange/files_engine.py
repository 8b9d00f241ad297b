"""The engine that reads: frames that another program made of a simulation's particles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gainer_ns.errors import GainerError
from gainer_ns.physics.engine import Frame, Particles
from gainer_ns.physics.exchange.folder import FOREIGN, FRAMES, PARTICLES, SimulationFolder
from gainer_ns.physics.materials import Material
from gainer_ns.physics.setting import Setting


class FilesEngine:
    """Brings in frames from a simulation's folder; what they do is up to the program that made them.

    Args:
        folder: Where the particles were written, and the frames are.
    """

    name = FOREIGN

    def __init__(self, folder: SimulationFolder) -> None:
        self._folder = folder

    def available(self) -> tuple[bool, str]:
        """Whether there are frames, and if not, what to do.

        Raises:
            GainerError: If the frames that are there are no animation.
        """
        if self._folder.frames:
            return True, ""
        folder = self._folder.path
        return False, (
            f"{folder}: holds no frames yet; move {PARTICLES} in another program, put frame_00000.ply and "
            f"so on into {folder / FRAMES} and run this again (see docs/physics.md)"
        )

    def run(
        self, setting: Setting, particles: Particles, materials: tuple[Material, ...], start: Frame | None = None
    ) -> Iterator[Frame]:
        """Reads frame after frame, as many as there are.

        Args:
            setting: Its frames a second tell the times; nothing else of it matters here.
            particles: Those whose file the other program was given.
            materials: Of each body; of no matter here.
            start: To go on from: the frame after its time comes first.

        Raises:
            GainerError: If there are no frames, or one is damaged or does not fit the particles.
        """
        is_there, why = self.available()
        if not is_there:
            raise GainerError(why)
        count = self._folder.manifest()["particles"]
        if count != len(particles):
            raise GainerError(
                f"{self._folder.path}: is of {count:,} particles, and the scene has {len(particles):,}; choose another "
                "folder, or say --restart"
            )
        first = 0 if start is None else round(start.time * setting.fps) + 1
        like = particles.positions
        for number, frame in enumerate(self._folder.read_all(first), first):
            gradients = None if frame.gradients is None else frame.gradients.to(like)
            yield replace(frame, time=number / setting.fps, positions=frame.positions.to(like), gradients=gradients)
