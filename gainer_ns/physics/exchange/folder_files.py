"""The files in a simulation's folder: particles, frames and manifest, in plane units with y up."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.frames import ImagePlane
from gainer_ns.io.json_files import read_object
from gainer_ns.io.mesh_frames import check_first_frame, in_order, refuse_count, refuse_ids
from gainer_ns.io.meshes import GRADIENT_PROPERTIES, ID_PROPERTY, MAX_COORDINATE, MeshFile, read_mesh, write_ply
from gainer_ns.physics.engine import Frame, Particles, SimulationConfig
from gainer_ns.physics.materials import BEHAVIOURS, Material

Columns = dict[str, np.ndarray]
"""Properties of points by name, as PLY files hold them."""

MANIFEST = "manifest.json"
FORMAT, VERSION = "gainer-simulation", 1

_REMEDY = "take the folder away, or choose another"
_SIGNS = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)  # which way x, y and z go in files


class PlaneUnits:
    """Between widths of a picture, y down, and plane units, y up.

    Args:
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self._plane = ImagePlane(width, height)
        self.size = (width, height)
        self.width_length = width * self._plane.pixel_size
        """A width of the picture in plane units."""

    def to_plane(self, points: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Convert places from widths to plane units."""
        flat = self._plane.plane_from_pixel(points[:, :2] * self._plane.width)
        return torch.cat([flat, points[:, 2:] * self.width_length], dim=1)

    def from_plane(self, points: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Convert places from plane units to widths."""
        flat = self._plane.pixel_from_plane(points[:, :2]) / self._plane.width
        return torch.cat([flat, points[:, 2:] / self.width_length], dim=1)

    def particle_columns(self, particles: Particles, materials: Sequence[Material]) -> Columns:
        """Return the properties of particles at rest, of the materials of their bodies."""
        behaviours = torch.tensor([BEHAVIOURS.index(material.behaviour) for material in materials])
        signs = _SIGNS[: particles.dimensions]
        velocities = particles.velocities.detach().cpu().double() * self.width_length * signs
        return {
            **self._place_columns(particles.positions),
            ID_PROPERTY: _integers(particles.gaussian_ids),
            "material": _integers(behaviours[particles.bodies.cpu()]),
            "body": _integers(particles.bodies),
            "volume": _floats(particles.volumes.detach().cpu().double() * self.width_length**particles.dimensions),
            **{f"v{axis}": _floats(part) for axis, part in zip("xyz", velocities.T, strict=False)},
        }

    def frame_columns(self, frame: Frame, gaussian_ids: Int64[Tensor, " n"]) -> Columns:
        """Return the properties of particles in a frame: where they are, and how they are deformed."""
        columns = {**self._place_columns(frame.positions), ID_PROPERTY: _integers(gaussian_ids)}
        if frame.gradients is not None:
            names = itertools.chain(*GRADIENT_PROPERTIES[frame.positions.shape[1]])
            mirrored = _mirrored(frame.gradients.detach().cpu().double()).flatten(1)
            columns |= {name: _floats(part) for name, part in zip(names, mirrored.T, strict=True)}
        return columns

    def frame(self, file: MeshFile, time: float, dimensions: int) -> Frame:
        """Make a frame from its file, whose points are in order.

        Raises:
            GainerError: If it holds gradients of a plane where points move in space.
        """
        gradients = file.gradients
        if gradients is not None:
            if gradients.shape[1] < dimensions:
                raise GainerError(
                    f"{file.path}: moves in space, and needs all nine of f_xx to f_zz; write them, or none"
                )
            gradients = _mirrored(gradients[:, :dimensions, :dimensions]).float()
        return Frame(time, self.from_plane(file.vertices[:, :dimensions]).float(), gradients)

    def as_written(self, frame: Frame) -> Frame:
        """Round a frame to the digits of its file, which are those of float32 in plane units."""
        written = self.to_plane(frame.positions.double()).float()
        return replace(frame, positions=self.from_plane(written.double()).float())

    def _place_columns(self, points: Float[Tensor, "n d"]) -> Columns:
        places = torch.zeros(len(points), 3, dtype=torch.float64)
        places[:, : points.shape[1]] = self.to_plane(points.detach().cpu().double())
        return {axis: _floats(part) for axis, part in zip("xyz", places.T, strict=True)}


def write_columns(path: Path, columns: Columns) -> None:
    """Write points with their properties as a PLY file.

    Raises:
        GainerError: If they are no numbers, or huge, or the file cannot be written.
    """
    if not all(bool((np.abs(columns[axis]) < MAX_COORDINATE).all()) for axis in "xyz"):
        raise GainerError(
            f"{path}: points would be no numbers, or huge; the simulation has blown up, take it more slowly"
        )
    write_ply(path, columns, comments=["plane units: x right, y up, the centre of the picture at 0, its longer side 1"])


def read_frame_file(path: Path, rest: MeshFile, *, is_flat_first: bool = False) -> MeshFile:
    """Read a frame's points in the order of the particles at rest.

    Points that are left out go along with the nearest at rest of those that are there.

    Args:
        path: The frame; its faces, if it has any, mean nothing.
        rest: The particles at rest, with numbers.
        is_flat_first: Whether it is the first one, of what moves on a plane, so that it lies flat, and as at rest.

    Raises:
        GainerError: If it cannot be read, or its numbers are not those of the particles.
    """
    frame = read_mesh(path)
    frame = replace(frame, faces=frame.faces[:0])
    frame = in_order(frame, rest) if len(frame.vertices) == len(rest.vertices) else _completed(frame, rest)
    if is_flat_first:
        check_first_frame(frame, rest)
    return frame


def _completed(frame: MeshFile, rest: MeshFile) -> MeshFile:
    """Return a frame that leaves points out, with these."""
    from scipy.spatial import KDTree

    assert rest.ids is not None
    known, order = rest.ids.sort()
    if len(frame.vertices) > len(known) or bool((known[1:] == known[:-1]).any()):
        refuse_count(frame.path, len(frame.vertices), rest)
    ids = known[:0] if frame.ids is None else frame.ids
    places = torch.searchsorted(known, ids).clamp(max=len(known) - 1)
    if len(ids) == 0 or not torch.equal(known[places], ids) or len(ids.unique()) < len(ids):
        refuse_ids(frame.path, rest)
    there = order[places]
    owners = torch.from_numpy(KDTree(rest.vertices[there].numpy()).query(rest.vertices.numpy())[1])
    owners[there] = torch.arange(len(there))  # points may lie on one another at rest
    offsets = rest.vertices - rest.vertices[there][owners]
    gradients = None if frame.gradients is None else frame.gradients[owners]
    if gradients is not None:
        d = gradients.shape[1]
        offsets[:, :d] = torch.einsum("nij,nj->ni", gradients, offsets[:, :d])
    return replace(frame, vertices=frame.vertices[owners] + offsets, ids=rest.ids, gradients=gradients)


def manifest_of(
    particles: Particles, materials: Sequence[Material], config: SimulationConfig, units: PlaneUnits
) -> dict[str, Any]:
    """Describe a simulation for other programs, in plane units, y up."""
    width = units.width_length
    corners = units.to_plane(torch.tensor([config.low, config.high], dtype=torch.float64))
    return {
        "format": FORMAT,
        "version": VERSION,
        "picture": list(units.size),
        "dimensions": particles.dimensions,
        "particles": len(particles),
        "frames": config.frames,
        "fps": config.fps,
        "spacing": particles.spacing * width,
        "domain": [corners.amin(dim=0).tolist(), corners.amax(dim=0).tolist()],
        "gravity": [sign * part * width for sign, part in zip((1, -1), config.gravity.at(0.0), strict=True)],
        "materials": {behaviour: number for number, behaviour in enumerate(BEHAVIOURS)},
        "bodies": [material.model_dump() for material in materials],
        "units": {
            "lengths": "1 is the longer side of the picture, (0, 0) its centre, x right, y up, z towards the viewer",
            "times": "seconds",
            "gravity": "lengths a second squared, at the start",
            "volume": f"lengths to the power of {particles.dimensions}",
            "bodies": f"E / density is a speed squared, in picture widths a second; a width is {width:.9g} lengths",
            "angles": "degrees",
            "f_xx, f_xy, ...": "deformation gradients since rest, optional: how x moves with x at rest, with y at rest",
        },
    }


def read_manifest(path: Path, size: tuple[int, int]) -> dict[str, Any]:
    """Read manifest.json, and check that it is of a picture of this width and height, in pixels.

    Raises:
        GainerError: If it is missing or damaged, or of another version or picture.
    """
    data = read_object(path, "a simulation's file", _REMEDY)
    if data.get("format") != FORMAT or data.get("version") != VERSION:
        raise GainerError(f"{path}: is not of version {VERSION} of simulations; choose another folder")
    if data.get("picture") != list(size):
        raise GainerError(
            f"{path}: is of another picture, this one has {size[0]} x {size[1]} pixels; choose another folder"
        )
    for name, allowed in {"dimensions": (2, 3), "particles": range(1, 2**31), "frames": range(1, 2**31)}.items():
        if not (type(data.get(name)) is int and data[name] in allowed):
            raise GainerError(f"{path}: its {name} make no sense; {_REMEDY}")
    for name in ("fps", "spacing"):
        if not (type(data.get(name)) in (int, float) and 0 < data[name] < 1e9):
            raise GainerError(f"{path}: its {name} makes no sense; {_REMEDY}")
    return data


def _mirrored(gradients: Float[Tensor, "n d d"]) -> Float[Tensor, "n d d"]:
    """Return deformation gradients with y the other way up."""
    signs = _SIGNS[: gradients.shape[1]]
    return gradients * signs[:, None] * signs


def _floats(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy().astype(np.float32)


def _integers(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy().astype(np.int32)
