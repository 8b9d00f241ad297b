"""Simulations as folders: kept, gone on with, drawn again at another size, and made by other programs.

A folder holds ``manifest.json`` (what it is), ``particles.ply`` (the particles at rest), ``frames/frame_00000.ply`` and
so on (where they are), ``state.safetensors`` (what an engine needs to go on) and ``result.json`` (how it ended).
Points in it are in plane units, x right and y up, as in all mesh files; in this program they are in widths, y down.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from gainer_ns.errors import GainerError
from gainer_ns.io.files import whole_file
from gainer_ns.io.json_files import read_object
from gainer_ns.io.mesh_frames import frame_files
from gainer_ns.io.meshes import MESH_SUFFIXES, MeshFile, read_mesh
from gainer_ns.memory import check_free
from gainer_ns.physics.engine import Frame, Particles
from gainer_ns.physics.exchange.folder_files import PlaneUnits, read_moved, write_points
from gainer_ns.physics.exchange.manifest import MANIFEST, NAMED, manifest_of, read_manifest
from gainer_ns.physics.materials import BEHAVIOURS, Material
from gainer_ns.physics.setting import Setting

PARTICLES, FRAMES, STATE, RESULT = "particles.ply", "frames", "state.safetensors", "result.json"
FOREIGN = "files"
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
        self._listing: list[Path] = []

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
        """What manifest.json says.

        Raises:
            GainerError: If it is missing or damaged, or of another version or picture.
        """
        return read_manifest(self.path / MANIFEST, self._units.size)

    def matches(self, fingerprint: str) -> bool:
        """Whether the simulation that is there has a fingerprint; see ``folder_files.fingerprint``.

        Raises:
            GainerError: If something else is there.
        """
        return self.holds_simulation and self.manifest().get("fingerprint") == fingerprint

    def create(
        self,
        particles: Particles,
        materials: Sequence[Material],
        setting: Setting,
        *,
        engine: str,
        fingerprint: str,
    ) -> None:
        """Begins a simulation; where the same one is there already, leaves it as it is.

        Args:
            particles: At rest.
            materials: Of each body.
            setting: Duration, domain, gravity.
            engine: Its name.
            fingerprint: Of all that the frames depend on.

        Raises:
            GainerError: If something else is there, or another simulation, or nothing can be written.
        """
        if self.holds_simulation:
            if not self.matches(fingerprint):
                raise GainerError(
                    f"{self.path}: holds the simulation of another scene, or one with other settings; choose another "
                    "folder, or say --restart to replace it"
                )
            if (self.path / PARTICLES).is_file():
                return
        behaviours = torch.tensor([BEHAVIOURS.index(material.behaviour) for material in materials])
        columns = self._units.particle_columns(particles, behaviours[particles.bodies.cpu()])
        write_points(self.path / PARTICLES, columns)
        data = manifest_of(particles, materials, setting, self._units)
        with whole_file(self.path / MANIFEST) as file:
            header = {"engine": engine, "fingerprint": fingerprint}
            file.write((json.dumps(data | header, indent=2) + "\n").encode())
        self._rest = None

    def clear(self) -> None:
        """Takes the simulation away, and nothing else.

        Raises:
            GainerError: If something else is there, or another program made the frames.
        """
        if not self.holds_simulation:
            return
        frames = sorted((self.path / FRAMES).glob("frame_*.ply"))
        if frames and self.manifest().get("engine") == FOREIGN:
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
        self._rest, self._listing = None, []

    def particles(self) -> Particles:
        """The particles at rest.

        Raises:
            GainerError: If they cannot be read.
        """
        data = self.manifest()
        spacing = data["spacing"] / self._units.width_length
        return self._units.particles(self.path / PARTICLES, data["dimensions"], spacing)

    @property
    def frames(self) -> int:
        """How many frames are there, from the first on.

        Raises:
            GainerError: If one is missing in between, or numbered twice.
        """
        folder = self.path / FRAMES
        if not folder.is_dir() or not any(path.suffix.lower() in MESH_SUFFIXES for path in folder.iterdir()):
            self._listing = []
        else:
            self._listing = frame_files(folder)
        return len(self._listing)

    def write(self, number: int, frame: Frame) -> Frame:
        """Writes a frame, and then the state by which to go on from it.

        Returns:
            The frame as it will be read: a film that was stopped, and goes on, shows the same as one that was not.

        Raises:
            GainerError: If it cannot be written.
        """
        rest = self._reference(self.manifest())
        assert rest.ids is not None
        columns = self._units.frame_columns(frame, rest.ids)
        write_points(self.path / FRAMES / f"frame_{number:05d}.ply", columns)
        self._listing = []
        if frame.state:
            state = {name: value.detach().cpu().contiguous() for name, value in frame.state.items()}
            with whole_file(self.path / STATE) as file:
                file.write(save(state, {"frame": str(number)}))
        return self._units.kept(frame)

    def read(self, number: int) -> Frame:
        """A frame, without its state; points that it leaves out follow their nearest one at rest.

        Raises:
            GainerError: If it is missing or damaged, or does not fit the particles.
        """
        data = self.manifest()
        return next(self._read([number], data))

    def read_all(self, start: int = 0) -> Iterator[Frame]:
        """Frames one after another, from a number on.

        Raises:
            GainerError: If one is damaged, or does not fit the particles.
        """
        data = self.manifest()
        return self._read(range(start, self.frames), data)

    def last(self) -> Frame | None:
        """The frame to go on from, with its state; None if there is none, so that it must begin again.

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
        frame = self.read(number)
        return Frame(frame.time, frame.positions, frame.gradients, state)

    def finish(self, status: Status, message: str = "") -> None:
        """Writes how the simulation ended.

        Args:
            status: Finished, interrupted by the user, or failed.
            message: What went wrong.

        Raises:
            GainerError: If it cannot be written.
        """
        data = {"status": status, "frames": self.frames, "message": message}
        with whole_file(self.path / RESULT) as file:
            file.write((json.dumps(data, indent=2) + "\n").encode())

    def result(self) -> dict[str, Any] | None:
        """How the simulation ended: its status, frames and message; None if it has not.

        Raises:
            GainerError: If the file is damaged.
        """
        path = self.path / RESULT
        return read_object(path, *NAMED) if path.is_file() else None

    def _reference(self, data: Mapping[str, Any]) -> MeshFile:
        """The particles' file."""
        if self._rest is None:
            path = self.path / PARTICLES
            rest = read_mesh(path)
            if len(rest.vertices) != data["particles"] or rest.ids is None:
                raise GainerError(f"{path}: is not what {MANIFEST} says; take the folder away, or --restart")
            self._rest = rest
        return self._rest

    def _read(self, numbers: Sequence[int], data: Mapping[str, Any]) -> Iterator[Frame]:
        rest, dimensions = self._reference(data), data["dimensions"]
        for number in numbers:
            if number >= len(self._listing) and number >= self.frames:
                raise GainerError(f"{self.path}: holds no frame {number}; simulate it first")
            moved = read_moved(self._listing[number], rest, is_flat_first=number == 0 and dimensions == 2)
            yield self._units.frame(moved, number / data["fps"], dimensions)
