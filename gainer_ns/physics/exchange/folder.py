"""Simulations as folders: kept, gone on with, drawn again at another size, and made by other programs.

A folder holds ``manifest.json`` (what it is), ``particles.ply`` (the particles at rest), ``frames/frame_00000.ply`` and
so on (where they are), ``state.safetensors`` (what an engine needs to go on) and ``result.json`` (how it ended).
Points in it are in plane units, x right and y up, as in all mesh files; in this program they are in widths, y down.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from gainer_ns.errors import GainerError
from gainer_ns.io.files import whole_file
from gainer_ns.io.mesh_frames import frame_files
from gainer_ns.io.meshes import MESH_SUFFIXES, MeshFile, read_mesh
from gainer_ns.memory import check_free
from gainer_ns.physics.engine import Frame, Particles, SimulationConfig
from gainer_ns.physics.exchange.folder_files import (
    MANIFEST,
    PlaneUnits,
    manifest_of,
    read_frame_file,
    read_manifest,
    write_columns,
)
from gainer_ns.physics.materials import Material

PARTICLES, FRAMES, STATE, RESULT = "particles.ply", "frames", "state.safetensors", "result.json"
FOREIGN_ENGINE = "files"
"""The engine's name in folders whose frames another program makes."""

Status = Literal["finished", "interrupted", "failed"]


class SimulationFolder:
    """A simulation on disk.

    Everything in it is written whole; a frame before the state that goes on from it.

    Args:
        path: The folder; it need not exist.
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
    """

    def __init__(self, path: Path, width: int, height: int) -> None:
        self.path = Path(path)
        self._units = PlaneUnits(width, height)
        self._rest: MeshFile | None = None

    @property
    def holds_simulation(self) -> bool:
        """Whether a simulation of a picture of this size is there; not if there is nothing at all.

        Raises:
            GainerError: If something else is there, or the simulation is of another size or version.
        """
        try:
            names = {path.name for path in self.path.iterdir()} if self.path.exists() else set()
        except OSError as error:
            raise GainerError(
                f"{self.path}: is no folder for a simulation ({error.strerror or error}); name another"
            ) from error
        if MANIFEST in names:
            self.manifest()
            return True
        # What an interrupted beginning leaves: particles, since the manifest comes last, and temporary files.
        begun = {name for name in names if name == PARTICLES or name.endswith(".part")}
        frames = self.path / FRAMES
        if FRAMES in names and frames.is_dir() and not any(frames.iterdir()):
            begun.add(FRAMES)
        if names - begun:
            raise GainerError(f"{self.path}: holds {min(names - begun)}, but no simulation; choose an empty folder")
        return False

    def manifest(self) -> dict[str, Any]:
        """Read manifest.json.

        Raises:
            GainerError: If it is missing or damaged, or of another version or picture.
        """
        return read_manifest(self.path / MANIFEST, self._units.size)

    def matches(self, fingerprint: str) -> bool:
        """Tell whether the simulation that is there has a fingerprint; see ``simulation.fingerprint_of``.

        Raises:
            GainerError: If something else is there.
        """
        return self.holds_simulation and self.manifest().get("fingerprint") == fingerprint

    def create(
        self,
        particles: Particles,
        materials: Sequence[Material],
        config: SimulationConfig,
        *,
        engine: str,
        fingerprint: str,
    ) -> None:
        """Begin a simulation; where the same one is there already, leave it as it is.

        Args:
            particles: At rest.
            materials: Of each body.
            config: What the engine is told.
            engine: Its name.
            fingerprint: See ``simulation.fingerprint_of``.

        Raises:
            GainerError: If something else is there, or another simulation, or nothing can be written.
        """
        if self.holds_simulation:
            if not self.matches(fingerprint):
                raise GainerError(
                    f"{self.path}: holds the simulation of another scene, of other settings, or of another version of "
                    "this program; choose another folder, or say --restart to replace it"
                )
            if (self.path / PARTICLES).is_file():
                return
        write_columns(self.path / PARTICLES, self._units.particle_columns(particles, materials))
        data = manifest_of(particles, materials, config, self._units)
        self._write_json(MANIFEST, data | {"engine": engine, "fingerprint": fingerprint})
        self._rest = None

    def clear(self) -> None:
        """Take the simulation away, and nothing else.

        Raises:
            GainerError: If something else is there, or another program made the frames.
        """
        if not self.holds_simulation:
            return
        frames = sorted((self.path / FRAMES).glob("frame_*.ply"))
        if frames and self.manifest().get("engine") == FOREIGN_ENGINE:
            raise GainerError(
                f"{self.path}: its frames are another program's; take them away yourself, or choose another folder"
            )
        # The manifest last, so that what an interruption leaves is still known as a simulation.
        ours = (*frames, *(self.path / name for name in (RESULT, STATE, PARTICLES, MANIFEST)))
        try:
            for path in ours:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise GainerError(f"{self.path}: cannot be cleared ({error.strerror or error}); choose another") from error
        for emptied in (self.path / FRAMES, self.path):
            with suppress(OSError):  # it stays where something else is in it
                emptied.rmdir()
        self._rest = None

    @property
    def frames(self) -> int:
        """How many frames are there, from the first on.

        Raises:
            GainerError: If one is missing in between, or numbered twice.
        """
        return len(self._frame_files())

    def _frame_files(self) -> list[Path]:
        folder = self.path / FRAMES
        has_begun = folder.is_dir() and any(path.suffix.lower() in MESH_SUFFIXES for path in folder.iterdir())
        return frame_files(folder) if has_begun else []

    def write(self, number: int, frame: Frame) -> Frame:
        """Write a frame, and then the state by which to go on from it.

        Returns:
            The frame as it will be read: a film that was stopped, and goes on, shows the same as one that was not.

        Raises:
            GainerError: If it cannot be written.
        """
        rest = self._reference(self.manifest()["particles"])
        assert rest.ids is not None
        columns = self._units.frame_columns(frame, rest.ids)
        write_columns(self.path / FRAMES / f"frame_{number:05d}.ply", columns)
        if frame.state:
            state = {name: value.detach().cpu().contiguous() for name, value in frame.state.items()}
            with whole_file(self.path / STATE) as file:
                file.write(save(state, {"frame": str(number)}))
        return self._units.as_written(frame)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Read frames one after another, without their states; points that are left out follow their nearest at rest.

        Args:
            start: Number of the first frame.
            stop: Number after the last; None for all that are there.

        Raises:
            GainerError: If one is missing or damaged, or does not fit the particles.
        """
        data, files = self.manifest(), self._frame_files()
        rest, dimensions = self._reference(data["particles"]), data["dimensions"]
        for number in range(start, len(files) if stop is None else stop):
            if number >= len(files):
                raise GainerError(f"{self.path}: holds no frame {number}; simulate it first")
            is_flat_first = number == 0 and dimensions == 2
            moved = read_frame_file(files[number], rest, is_flat_first=is_flat_first)
            yield self._units.frame(moved, number / data["fps"], dimensions)

    @property
    def request_for_frames(self) -> str:
        """What to do for another program's frames to be here."""
        return (
            f"{self.path}: holds no frames yet; move {PARTICLES} in another program, put frame_00000.ply and "
            f"so on into {self.path / FRAMES} and run this again (see docs/physics.md)"
        )

    def last(self) -> Frame | None:
        """Return the frame to go on from, with its state; None if there is none, so that it must begin again.

        Frames beyond it, of which the state was not written any more, are written again.

        Raises:
            GainerError: If it is damaged.
        """
        path = self.path / STATE
        if not path.is_file():
            return None
        check_free(2 * path.stat().st_size, f"{path}: reading it", "close other programs")
        try:
            with safe_open(path, framework="pt") as file:
                number = int((file.metadata() or {})["frame"])
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        except (SafetensorError, OSError, LookupError, ValueError) as error:
            raise GainerError(f"{path}: is damaged; delete it, and the simulation begins again") from error
        if not 0 <= number < self.frames:
            return None  # its frame was taken away
        (frame,) = self.read(number, number + 1)
        return replace(frame, state=state)

    def finish(self, status: Status, message: str = "") -> None:
        """Write how the simulation ended, and what went wrong.

        Raises:
            GainerError: If it cannot be written.
        """
        self._write_json(RESULT, {"status": status, "frames": self.frames, "message": message})

    def _write_json(self, name: str, data: dict[str, Any]) -> None:
        with whole_file(self.path / name) as file:
            file.write((json.dumps(data, indent=2) + "\n").encode())

    def _reference(self, count: int) -> MeshFile:
        """Return the file of the particles, of which there are so many."""
        if self._rest is None:
            path = self.path / PARTICLES
            rest = read_mesh(path)
            if len(rest.vertices) != count or rest.ids is None:
                raise GainerError(f"{path}: is not what {MANIFEST} says; take the folder away, or --restart")
            self._rest = rest
        return self._rest
