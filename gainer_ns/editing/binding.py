"""Binds points to a mesh or a point set, and moves them along with it.

A point bound to a mesh keeps its place in one triangle: moving the triangle's corners is an affine map, which moves the
point and whose matrix is the Jacobian there. Meshes are looked at from above: ``x`` and ``y`` count, ``z`` does not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy.spatial import KDTree
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.gaussians.small_matrices import determinant, inverse
from gainer_ns.io.mesh_frames import extents
from gainer_ns.io.meshes import MeshFile

_MIN_RELATIVE_AREA = 1e-9
"""A reference triangle of a smaller area, relative to the square of its longest side, holds no points."""
_MAX_PAIRS = 1 << 21
"""How many points and triangles are compared at once: bounds memory."""
_POINT_NEIGHBOURS = 10
"""How many reference points tell how the neighbourhood of a point is deformed."""
MAX_MESH_SIZE, MIN_MESH_SIZE = 8.0, 1 / 50
"""How large a mesh over a picture may be, in lengths of that: it may lie over all around, or over an eye."""
MIN_HELD_SHARE = 0.1
"""A mesh that holds a smaller share of the picture's points may be one that has slipped."""
MIN_FACING = -0.5
"""Share of a mesh that is seen from above, less that seen from below, where it is turned over."""

_logger = logging.getLogger(__name__)


class TriangleBinding:
    """Points on the plane or in space, each bound to a triangle: along it they follow, across it they stay as far away.

    Args:
        reference: The unmoved mesh; on the plane ``z`` is ignored.
        points: [n, d]; results have their dtype and device.
        owners: [n], the triangle of each, of some area.
    """

    def __init__(self, reference: MeshFile, points: Float[Tensor, "n d"], owners: Int64[Tensor, " n"]) -> None:
        self._points, self._vertex_count = points, len(reference.vertices)
        self._corners = reference.faces[owners]
        corners = self._placed(reference.vertices)
        self._inverses = inverse(_frames(corners))
        self._offsets = points.detach().cpu().double() - corners[:, 0]

    def at(self, vertices: Float[Tensor, "v 3"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d d"]]:
        """Return where the points are when the mesh has moved, and how a small step shows there.

        Triangles that have become flat give Jacobians without full rank.

        Args:
            vertices: [v, 3], or on the plane [v, 2], in the order of the reference.

        Raises:
            GainerError: If there are more or fewer vertices than in the reference, or some are not finite.
        """
        check_vertices(vertices, self._vertex_count)
        corners = self._placed(vertices.detach().cpu())
        jacobians = _frames(corners) @ self._inverses
        places = corners[:, 0] + torch.einsum("nij,nj->ni", jacobians, self._offsets)
        return places.to(self._points), jacobians.to(self._points)

    def _placed(self, vertices: Float[Tensor, "v 3"]) -> Float[Tensor, "n 3 d"]:
        return vertices[:, : self._points.shape[1]].double()[self._corners]


class MeshBinding(TriangleBinding):
    """Points of a picture, each bound to the reference triangle that holds it, or else to the nearest one.

    Where the reference is a soup with a triangle for each point, as ``gainer export --format triangles`` writes it,
    each point belongs to its own triangle.

    Args:
        reference: The unmoved mesh.
        points: [n, 2], in plane units; results have their dtype and device.
        is_checked: Whether the reference is known to lie over the picture that the points are of.

    Raises:
        GainerError: If the reference holds none of the points, has no area as seen from above, is in other units, or is
            a soup of another picture.
    """

    def __init__(self, reference: MeshFile, points: Float[Tensor, "n 2"], *, is_checked: bool = False) -> None:
        corners = reference.vertices[:, :2].double()[reference.faces]
        turned = 0.5 * determinant(_frames(corners))
        areas = turned.abs()
        sound = areas > _MIN_RELATIVE_AREA * _longest_sides(corners).square()
        if not bool(sound.any()):
            raise GainerError(
                f"{reference.path}: has no area as seen from above; export it with forward axis Y and up axis Z"
            )
        precise = points.detach().cpu().double()
        owners = None if is_checked else _own_triangles(reference, len(points))
        if owners is None:
            kept = sound.nonzero()[:, 0]
            owners, distances = nearest_triangles(precise, corners[kept])
            owners = kept[owners]
            if not is_checked:
                _check_size(reference, precise)
                _check_place(reference, distances, float(turned[sound].sum() / areas[sound].sum()))
        else:
            self._check_soup(reference, corners[owners], precise, sound[owners])
        super().__init__(reference, points, owners)

    @staticmethod
    def _check_soup(
        reference: MeshFile, corners: Float[Tensor, "n 3 2"], points: Float[Tensor, "n 2"], sound: Bool[Tensor, " n"]
    ) -> None:
        apart = (corners[:, 0] - points).norm(dim=1)
        if not bool(sound.all()) or bool((apart > _longest_sides(corners)).any()):
            raise foreign_reference(reference, "triangles")


class PointBinding:
    """Points bound to a point set by number.

    A reference point with the number i carries point i. The Jacobian is that of the affine map that fits how its
    nearest reference points move, closer ones weighing more. Points that the reference leaves out follow the same fit,
    so a part of a picture's Gaussians can carry the rest.

    Args:
        reference: The unmoved points, with numbers.
        points: [n, 2], in plane units; results have their dtype and device.

    Raises:
        GainerError: If numbers are missing, repeat, or do not exist, or the points are not where theirs are.
    """

    def __init__(
        self, reference: MeshFile, points: Float[Tensor, "n 2"], *, neighbours: int = _POINT_NEIGHBOURS
    ) -> None:
        ids, count = reference.ids, len(points)
        if ids is None:
            raise GainerError(f"{reference.path}: its points have no gaussian_id; keep those of gainer export")
        if bool((ids < 0).any()) or bool((ids >= count).any()):
            raise GainerError(f"{reference.path}: a gaussian_id is not of this picture; export it from this run")
        if len(ids.unique()) != len(ids):
            raise GainerError(f"{reference.path}: holds a gaussian_id twice; keep each point once")
        if len(ids) < 3:
            raise GainerError(f"{reference.path}: {len(ids)} points carry no picture; keep at least three")
        self._points, self._count = points, len(ids)
        precise = points.detach().cpu().double()
        self._reference = reference.vertices[:, :2].double()
        k = min(_POINT_NEIGHBOURS, len(ids))
        distances, indices = (torch.from_numpy(found) for found in KDTree(self._reference.numpy()).query(precise, k=k))
        own = KDTree(precise.numpy()).query(precise[ids].numpy(), k=min(_POINT_NEIGHBOURS, count))[0]
        spacing = float(np.median(own[:, -1])) + 1e-12
        if bool(((self._reference - precise[ids]).norm(dim=1) > 2 * spacing).any()):
            raise foreign_reference(reference, "points")
        self._ids, self._indices = ids, indices
        self._weights = neighbour_weights(distances)
        self._offsets = precise - self._mean(self._reference)
        centred = self._reference[indices] - self._mean(self._reference)[:, None]
        spread = torch.einsum("nk,nki,nkj->nij", self._weights, centred, centred)
        # Where the neighbours lie on a line, what happens across it is unknown: nothing, then.
        ridge = 1e-10 * (spread[:, 0, 0] + spread[:, 1, 1]).clamp(min=1e-300)
        precision = inverse(spread + ridge[:, None, None] * torch.eye(2, dtype=torch.float64))
        self._slopes = torch.einsum("nk,nkj,nji->nki", self._weights, centred, precision)

    def _mean(self, values: Float[Tensor, "r 2"]) -> Float[Tensor, "n 2"]:
        """Return weighted means over each point's neighbours."""
        return torch.einsum("nk,nkd->nd", self._weights, values[self._indices])

    def at(self, vertices: Float[Tensor, "v 3"]) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n 2 2"]]:
        """Return where the points are when the reference has moved, and the Jacobians; see ``TriangleBinding.at``."""
        check_vertices(vertices, self._count)
        displacements = vertices[:, :2].detach().cpu().double() - self._reference
        gradients = torch.einsum("nkd,nki->ndi", displacements[self._indices], self._slopes)
        moved = self._mean(displacements) + torch.einsum("ndi,ni->nd", gradients, self._offsets)
        moved[self._ids] = displacements
        places = self._points.detach().cpu().double() + moved
        return places.to(self._points), (gradients + torch.eye(2, dtype=torch.float64)).to(self._points)


def neighbour_weights(distances: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """Return by how much neighbours tell, of their ascending distances: closer ones more, all together 1."""
    weights = torch.exp(-2 * (distances / distances[:, -1:].clamp(min=1e-12)).square())
    return weights / weights.sum(dim=1, keepdim=True)


def bind(reference: MeshFile, points: Float[Tensor, "n 2"]) -> MeshBinding | PointBinding:
    """Bind points to a mesh if the reference has faces, or else to its points by number."""
    if len(reference.faces):
        return MeshBinding(reference, points)
    return PointBinding(reference, points)


def foreign_reference(reference: MeshFile, parts: str) -> GainerError:
    """Return the error for a reference whose triangles or points are those of another picture."""
    return GainerError(
        f"{reference.path}: its {parts} are not the Gaussians of this picture; export them from this run and give the "
        "unmoved file as the reference"
    )


def distances_in_plane(points: Float[Tensor, "m 2"], corners: Float[Tensor, "m k 3 2"]) -> Float[Tensor, "m k"]:
    """Return distances of points to triangles: 0 inside and on the border."""
    offsets = points[:, None, None] - corners
    sides = corners.roll(-1, dims=2) - corners
    turns = sides[..., 0] * offsets[..., 1] - sides[..., 1] * offsets[..., 0]
    inside = (turns >= 0).all(dim=-1) | (turns <= 0).all(dim=-1)
    along = ((offsets * sides).sum(dim=-1) / sides.square().sum(dim=-1).clamp(min=1e-300)).clamp(0, 1)
    gaps = (offsets - along[..., None] * sides).norm(dim=-1).amin(dim=-1)
    return torch.where(inside, 0.0, gaps)


def nearest_triangles(
    points: Float[Tensor, "n d"],
    corners: Float[Tensor, "t 3 d"],
    distances_to: Callable[[Tensor, Tensor], Tensor] = distances_in_plane,
) -> tuple[Int64[Tensor, " n"], Float[Tensor, " n"]]:
    """Return the triangle that holds each point, or else the nearest one, and the distance to it: 0 inside.

    Exact. Triangles are tried by the distance of their centres, four times as many each time, until no other can be
    nearer.

    Args:
        points: The points.
        corners: Of the triangles.
        distances_to: Tells the distances of points [m, d] to triangles [m, k, 3, d].
    """
    centres = corners.mean(dim=1)
    radius = float((corners - centres[:, None]).norm(dim=-1).max())
    tree = KDTree(centres.numpy())
    owners = torch.zeros(len(points), dtype=torch.int64)
    distances = torch.full((len(points),), torch.inf, dtype=torch.float64)
    open_points, k = torch.arange(len(points)), min(4, len(corners))
    while len(open_points):
        unsettled = []
        for block in open_points.split(max(1, _MAX_PAIRS // k)):
            near, candidates = (torch.from_numpy(found).view(len(block), k) for found in tree.query(points[block], k=k))
            best, which = distances_to(points[block], corners[candidates]).min(dim=1)
            owners[block] = candidates.gather(1, which[:, None])[:, 0]
            distances[block] = best
            unsettled.append(block[(best > 0) & (near[:, -1] - radius < best)])
        open_points = torch.cat(unsettled) if k < len(corners) else open_points[:0]
        k = min(4 * k, len(corners))
    return owners, distances


def is_soup(reference: MeshFile, count: int) -> bool:
    """Return whether a mesh has a triangle of its own for each of so many Gaussians, and nothing else.

    Raises:
        GainerError: If it had, but numbers are missing or there twice.
    """
    return _own_triangles(reference, count) is not None


def _own_triangles(reference: MeshFile, count: int) -> Int64[Tensor, " n"] | None:
    """Return the triangle of each Gaussian, in a soup that has one for each; None for other meshes."""
    faces = reference.faces
    if len(faces) != count or len(reference.vertices) != 3 * count or len(faces.unique()) != 3 * count:
        return None
    # The mean is the first vertex of its three, wherever a program let the face begin.
    numbers = faces.amin(dim=1) // 3 if reference.ids is None else reference.ids[faces[:, 0]]
    ranks, order = numbers.sort()
    if not torch.equal(ranks, torch.arange(count)):
        raise GainerError(f"{reference.path}: a gaussian_id is missing or there twice; export the triangles again")
    return order


def _check_size(reference: MeshFile, points: Float[Tensor, "n 2"]) -> None:
    """Refuse a reference mesh in other units than the picture's."""
    (width, height), (own_width, own_height) = extents(reference.vertices), extents(points)
    ratio = max(width, height) / max(own_width, own_height, 1e-12)
    if not MIN_MESH_SIZE <= ratio <= MAX_MESH_SIZE:
        raise GainerError(
            f"{reference.path}: is {width:.3g} x {height:.3g}, and the picture {own_width:.3g} x {own_height:.3g}; "
            "export it in the picture's units, whose longer side is 1"
        )


def _check_place(reference: MeshFile, distances: Float[Tensor, " n"], seen: float) -> None:
    """Refuse a reference mesh beside the picture, and warn of one that may lie elsewhere than it was meant to.

    Args:
        reference: The mesh.
        distances: Of the picture's points from it: 0 inside.
        seen: Share of its area that is seen from above, less that seen from below.
    """
    held = float((distances == 0).double().mean())
    if held == 0:
        raise GainerError(
            f"{reference.path}: lies beside the picture, whose centre is at (0, 0) and whose longer side is 1; export "
            "it where the cage was"
        )
    if held < MIN_HELD_SHARE:
        _logger.warning(
            "%s: holds only %.1f %% of the picture, whose centre is (0, 0) and whose longer side is 1; the rest will "
            "follow its border: export it where the cage was, if it is to hold more",
            reference.path,
            100 * held,
        )
    if seen < MIN_FACING:
        _logger.warning(
            "%s: its faces look away; if it is mirrored, export it with y pointing up and forward axis Y",
            reference.path,
        )


def check_vertices(vertices: Tensor, count: int) -> None:
    """Refuse another number of vertices than a reference has, and such as are not finite."""
    if vertices.ndim != 2 or len(vertices) != count:
        raise GainerError(f"{len(vertices):,} vertices, and the reference has {count:,}; move them, keeping all")
    if not bool(vertices[:, :2].isfinite().all()):
        raise GainerError("the moved mesh holds coordinates that are no numbers; mend it and export it again")


def _frames(corners: Float[Tensor, "t 3 d"]) -> Float[Tensor, "t d d"]:
    """Return two sides of each triangle as columns, and in space its unit normal."""
    sides = corners[:, 1:] - corners[:, :1]
    if corners.shape[2] == 3:
        normal = torch.linalg.cross(sides[:, 0], sides[:, 1])
        sides = torch.cat([sides, torch.nn.functional.normalize(normal, dim=1)[:, None]], dim=1)
    return sides.mT


def _longest_sides(corners: Float[Tensor, "f 3 2"]) -> Float[Tensor, " f"]:
    return (corners - corners.roll(-1, dims=1)).norm(dim=-1).amax(dim=1)
