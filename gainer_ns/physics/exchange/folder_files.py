"""The points in a simulation's folder: between widths of a picture and plane units, and PLY files of them."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.frames import ImagePlane
from gainer_ns.io.mesh_frames import check_first_frame, in_order, refuse_count
from gainer_ns.io.meshes import GRADIENT_PROPERTIES, MAX_COORDINATE, MeshFile, check_mesh_memory, read_mesh, write_ply
from gainer_ns.physics.engine import Frame, Particles

Columns = dict[str, np.ndarray]
"""Properties of points by name, as PLY files hold them."""

UNITS = "plane units: x right, y up, the centre of the picture at 0, its longer side 1"


def fingerprint(scene: str, particles: Particles, settings: Mapping[str, object]) -> str:
    """A number that changes with anything that the frames of a simulation depend on.

    Args:
        scene: The scene, as text.
        particles: At rest.
        settings: What else matters, of the engine too; whatever JSON can say.

    Returns:
        SHA-256, hexadecimal.
    """
    sha256 = hashlib.sha256(json.dumps([scene, settings, particles.spacing], sort_keys=True, default=str).encode())
    for values in (
        particles.positions,
        particles.volumes,
        particles.velocities,
        particles.bodies,
        particles.gaussian_ids,
    ):
        sha256.update(f"{tuple(values.shape)}{values.dtype}".encode())
        sha256.update(values.detach().cpu().contiguous().numpy().tobytes())
    return sha256.hexdigest()


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
        """Plane units of places in widths."""
        flat = self._plane.plane_from_pixel(points[:, :2] * self._plane.width)
        return torch.cat([flat, points[:, 2:] * self.width_length], dim=1)

    def from_plane(self, points: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Widths of places in plane units."""
        flat = self._plane.pixel_from_plane(points[:, :2]) / self._plane.width
        return torch.cat([flat, points[:, 2:] / self.width_length], dim=1)

    def particle_columns(self, particles: Particles, materials: Int64[Tensor, " n"]) -> Columns:
        """Particles at rest, with their materials' numbers."""
        velocities = particles.velocities.detach().cpu().double() * self.width_length * _signs(particles.dimensions)
        return {
            **self._places(particles.positions),
            "gaussian_id": _integers(particles.gaussian_ids),
            "material": _integers(materials),
            "body": _integers(particles.bodies),
            "volume": _floats(particles.volumes.detach().cpu().double() * self.width_length**particles.dimensions),
            **{f"v{axis}": _floats(part) for axis, part in zip("xyz", velocities.T, strict=False)},
        }

    def particles(self, path: Path, dimensions: int, spacing: float) -> Particles:
        """Particles at rest, from their file.

        Args:
            path: What ``particle_columns`` went to.
            dimensions: 2 or 3.
            spacing: Of the particles, widths.

        Raises:
            GainerError: If it lacks something, or holds what is no number.
        """
        columns = read_points(path)
        axes = "xyz"[:dimensions]
        names = [*axes, *(f"v{axis}" for axis in axes), "volume", "body", "gaussian_id"]
        if lacking := [name for name in names if name not in columns]:
            raise GainerError(f"{path}: lacks {', '.join(lacking)}; simulate again with --restart")
        read = {name: torch.from_numpy(np.asarray(columns[name], dtype=np.float64).reshape(-1)) for name in names}
        if not all(bool((values.abs() < 2**31).all()) for values in read.values()):
            raise GainerError(f"{path}: holds what is no number; simulate again with --restart")
        velocities = torch.stack([read[f"v{axis}"] for axis in axes], dim=1) * _signs(dimensions) / self.width_length
        return Particles(
            positions=self.from_plane(torch.stack([read[axis] for axis in axes], dim=1)).float(),
            volumes=(read["volume"] / self.width_length**dimensions).float(),
            velocities=velocities.float(),
            bodies=read["body"].round().long(),
            gaussian_ids=read["gaussian_id"].round().long(),
            spacing=spacing,
        )

    def frame_columns(self, frame: Frame, gaussian_ids: Int64[Tensor, " n"]) -> Columns:
        """Where particles are, and how they are deformed."""
        columns = {**self._places(frame.positions), "gaussian_id": _integers(gaussian_ids)}
        if frame.gradients is not None:
            dimensions = frame.positions.shape[1]
            turned = _turned(frame.gradients.detach().cpu().double()).flatten(1)
            names = itertools.chain(*GRADIENT_PROPERTIES[dimensions])
            columns |= {name: _floats(part) for name, part in zip(names, turned.T, strict=True)}
        return columns

    def frame(self, file: MeshFile, time: float, dimensions: int) -> Frame:
        """A frame from its file, points in order.

        Raises:
            GainerError: If it holds gradients of a plane where points move in space.
        """
        gradients = file.gradients
        if gradients is not None:
            if gradients.shape[1] < dimensions:
                raise GainerError(
                    f"{file.path}: moves in space, and needs all nine of f_xx to f_zz; write them, or none"
                )
            gradients = _turned(gradients[:, :dimensions, :dimensions]).float()
        return Frame(time, self.from_plane(file.vertices[:, :dimensions]).float(), gradients)

    def kept(self, frame: Frame) -> Frame:
        """A frame to the digits of its file, which are those of float32 in plane units."""
        told = self.to_plane(frame.positions.double()).float()
        return replace(frame, positions=self.from_plane(told.double()).float())

    def _places(self, points: Float[Tensor, "n d"]) -> Columns:
        places = torch.zeros(len(points), 3, dtype=torch.float64)
        places[:, : points.shape[1]] = self.to_plane(points.detach().cpu().double())
        return {axis: _floats(part) for axis, part in zip("xyz", places.T, strict=True)}


def write_points(path: Path, columns: Columns) -> None:
    """Writes points with their properties.

    Raises:
        GainerError: If they are no numbers, or huge, or the file cannot be written.
    """
    if not all(
        bool((np.abs(values) < MAX_COORDINATE).all()) for name, values in columns.items() if name in ("x", "y", "z")
    ):
        raise GainerError(
            f"{path}: points would be no numbers, or huge; the simulation has blown up, take it more slowly"
        )
    write_ply(path, columns, comments=[UNITS])


def read_points(path: Path) -> Mapping[str, np.ndarray]:
    """All properties of the points of a PLY file.

    Raises:
        GainerError: If it cannot be read.
    """
    from trimesh.exchange.ply import load_ply

    try:
        check_mesh_memory(path)
        with path.open("rb") as file:
            data = load_ply(file, fix_texture=False, skip_materials=True)["metadata"]["_ply_raw"]["vertex"]["data"]
    except GainerError:
        raise
    except Exception as error:  # trimesh reports damage by whatever exception it runs into
        raise GainerError(f"{path}: is missing or damaged; simulate again with --restart") from error
    names = data if isinstance(data, Mapping) else data.dtype.names or ()
    return {name: data[name] for name in names}


def read_moved(path: Path, rest: MeshFile, *, is_flat_first: bool = False) -> MeshFile:
    """A frame's points in the order of the particles at rest.

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
    """A frame that leaves points out, with these."""
    from scipy.spatial import KDTree

    assert rest.ids is not None
    known, order = rest.ids.sort()
    if len(frame.vertices) > len(known) or bool((known[1:] == known[:-1]).any()):
        refuse_count(frame.path, len(frame.vertices), rest)
    ids = known[:0] if frame.ids is None else frame.ids
    places = torch.searchsorted(known, ids).clamp(max=len(known) - 1)
    if len(ids) == 0 or not torch.equal(known[places], ids) or len(ids.unique()) < len(ids):
        raise GainerError(
            f"{frame.path}: its gaussian_id are not those of {rest.path.name}; keep each point's number, once"
        )
    there = order[places]
    owners = torch.from_numpy(KDTree(rest.vertices[there].numpy()).query(rest.vertices.numpy())[1])
    owners[there] = torch.arange(len(there))  # points may lie on one another at rest
    offsets = rest.vertices - rest.vertices[there][owners]
    gradients = None if frame.gradients is None else frame.gradients[owners]
    if gradients is not None:
        d = gradients.shape[1]
        offsets[:, :d] = torch.einsum("nij,nj->ni", gradients, offsets[:, :d])
    return MeshFile(frame.path, frame.vertices[owners] + offsets, frame.faces, rest.ids, gradients)


def _turned(gradients: Float[Tensor, "n d d"]) -> Float[Tensor, "n d d"]:
    """Deformation gradients with y the other way up."""
    signs = _signs(gradients.shape[1])
    return gradients * signs[:, None] * signs


def _signs(dimensions: int) -> Float[Tensor, " d"]:
    return torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)[:dimensions]


def _floats(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy().astype(np.float32)


def _integers(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy().astype(np.int32)
