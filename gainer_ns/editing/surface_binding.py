"""Bind points in space to a surface that another program moves: a mesh, or points.

A point keeps its place beside the triangle that is nearest to it, or beside its nearest points, along the surface and
across it: what lies along follows as the surface is stretched, what lies across stays as far away as it was.
"""

from __future__ import annotations

import torch
import trimesh
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from gainer_ns.editing.binding import TriangleBinding, check_vertices, nearest_triangles, neighbour_weights
from gainer_ns.errors import GainerError
from gainer_ns.io.meshes import MeshFile

_NEIGHBOURS = 10
"""How many points tell how the surface around a point is moved."""
_MIN_RELATIVE_AREA = 1e-9
"""A triangle of a smaller area, relative to the square of its longest side, holds no points."""
_MAX_DISTANCE = 0.5
"""How far from the points the reference may lie at the nearest, in lengths of what they cover."""


class NearestBinding(TriangleBinding):
    """Points, each bound to the nearest triangle of a mesh.

    Args:
        reference: The unmoved mesh.
        points: [n, 3]; results have their dtype and device.

    Raises:
        GainerError: If the mesh has no area.
    """

    def __init__(self, reference: MeshFile, points: Float[Tensor, "n 3"]) -> None:
        corners = reference.vertices.double()[reference.faces]
        sides = corners.roll(-1, dims=1) - corners
        doubled = torch.linalg.cross(sides[:, 0], sides[:, 1]).norm(dim=1)
        sound = (doubled > 2 * _MIN_RELATIVE_AREA * sides.square().sum(dim=2).amax(dim=1)).nonzero()[:, 0]
        if len(sound) == 0:
            raise GainerError(f"{reference.path}: its triangles have no area; export the mesh again")
        owners, self.distances = nearest_triangles(points.detach().cpu().double(), corners[sound], distances_in_space)
        super().__init__(reference, points, sound[owners])


class NeighbourBinding:
    """Points bound to the nearest of a set of points on a surface.

    Args:
        reference: The unmoved points, three or more.
        points: [n, 3]; results have their dtype and device.

    Raises:
        GainerError: If there are fewer.
    """

    def __init__(self, reference: MeshFile, points: Float[Tensor, "n 3"]) -> None:
        if len(reference.vertices) < 3:
            raise GainerError(f"{reference.path}: {len(reference.vertices)} points carry no photo; keep at least three")
        self._points, self._reference = points, reference.vertices.double()
        precise = points.detach().cpu().double()
        k = min(_NEIGHBOURS, len(self._reference))
        distances, indices = (torch.from_numpy(found) for found in KDTree(self._reference.numpy()).query(precise, k=k))
        self.distances, self._indices = distances[:, 0], indices
        self._weights = neighbour_weights(distances)
        middle = self._mean(self._reference)
        self._offsets = precise - middle
        centred = self._reference[indices] - middle[:, None]
        spread, axes = torch.linalg.eigh(torch.einsum("nk,nki,nkj->nij", self._weights, centred, centred))
        # Along a line of points, what happens across it is unknown: nothing, then.
        self._axes = axes.flip(2)  # two along the surface, then across it
        spread = spread.flip(1)[:, :2]
        shares = 1 / (spread + 1e-10 * spread[:, :1].clamp(min=1e-300))
        along = torch.einsum("nki,nij->nkj", centred, self._axes[..., :2])
        self._slopes = self._weights[..., None] * along * shares[:, None]

    def _mean(self, values: Float[Tensor, "r 3"]) -> Float[Tensor, "n 3"]:
        return torch.einsum("nk,nkd->nd", self._weights, values[self._indices])

    def at(self, vertices: Float[Tensor, "v 3"]) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3 3"]]:
        """Return where the points are, and the Jacobians there; see ``TriangleBinding.at``."""
        check_vertices(vertices, len(self._reference))
        moved = vertices.detach().cpu().double()
        away = moved - self._reference
        tangents = self._axes[..., :2] + torch.einsum("nkd,nkj->ndj", away[self._indices], self._slopes)
        before = torch.linalg.cross(self._axes[..., 0], self._axes[..., 1])
        after = torch.nn.functional.normalize(torch.linalg.cross(tangents[..., 0], tangents[..., 1]), dim=1)
        sides = (
            torch.cat([part, across[..., None]], dim=2)
            for part, across in ((tangents, after), (self._axes[..., :2], before))
        )
        frame, rest = sides
        jacobians = frame @ rest.transpose(1, 2)  # the one at rest is a rotation
        places = self._mean(moved) + torch.einsum("nij,nj->ni", jacobians, self._offsets)
        return places.to(self._points), jacobians.to(self._points)


def bind_surface(reference: MeshFile, points: Float[Tensor, "n 3"]) -> NearestBinding | NeighbourBinding:
    """Bind points to a mesh if the reference has faces, or else to its points.

    Raises:
        GainerError: If the reference carries nothing, or lies beside the points.
    """
    binding = (NearestBinding if len(reference.faces) else NeighbourBinding)(reference, points)
    size = float((points.amax(dim=0) - points.amin(dim=0)).max())
    if float(binding.distances.min()) > _MAX_DISTANCE * size:
        raise GainerError(
            f"{reference.path}: lies beside what was lifted; export it where the points of gainer export are, with "
            "forward axis Y and up axis Z"
        )
    return binding


def distances_in_space(points: Float[Tensor, "m 3"], corners: Float[Tensor, "m k 3 3"]) -> Float[Tensor, "m k"]:
    """Return distances of points to triangles in space."""
    count = corners.shape[1]
    repeated = points[:, None].expand(-1, count, -1).reshape(-1, 3)
    nearest = trimesh.triangles.closest_point(corners.reshape(-1, 3, 3).numpy(), repeated.numpy())
    return (repeated - torch.from_numpy(nearest)).norm(dim=1).view(len(points), count)
