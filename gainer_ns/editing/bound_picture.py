"""A fitted picture that follows a mesh or a point set, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace

import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from gainer_ns.editing.binding import MeshBinding, PointBinding, bind, foreign_reference, is_soup
from gainer_ns.editing.pieces import Piece
from gainer_ns.editing.rest_picture import RestPicture
from gainer_ns.editing.steps import Placed, Weights
from gainer_ns.editing.unfolding import unfolded
from gainer_ns.errors import GainerError
from gainer_ns.frames import ImagePlane
from gainer_ns.io.meshes import MeshFile
from gainer_ns.rendering.plane import BakedPicture

_CHECKED_MEANS = 65_536
"""How many Gaussians tell whether a mesh lies over a picture."""
_CARRIERS = 4
"""How many Gaussians around a point carry it, where each has a place of its own."""


class BoundPicture:
    """A picture bound to a reference.

    Args:
        picture: A fitted picture.
        reference: What it is bound to, unmoved; see :func:`gainer_ns.editing.binding.bind`.

    Raises:
        GainerError: If the reference does not fit the picture, or the picture has been edited already.
    """

    def __init__(self, picture: BakedPicture, reference: MeshFile) -> None:
        if picture.is_edited:
            raise GainerError("an edited picture cannot be bound; bind it as it was fitted")
        means = picture.gaussians.means
        _check_numbers(reference, means)
        self._picture = picture
        if len(reference.faces) and not is_soup(reference, len(means)):
            follower: _Follower = _MeshFollower(reference, means)
        else:
            follower = _GaussianFollower(bind(reference, means), means)
        self._motion = _BoundMotion(follower, picture.plane)
        self._piece = Piece(None, RestPicture(picture.only_layer, picture.plane), picture.plane, steps=(self._motion,))
        self._frames = 0

    def at(self, vertices: Float[Tensor, "v 3"]) -> BakedPicture:
        """Return the picture when the reference has moved; see :meth:`gainer_ns.editing.binding.MeshBinding.at`."""
        self._motion.show(vertices)
        self._frames += 1
        return replace(self._picture, layers=unfolded(self._piece, [self._frames]))


class _Follower:
    """What says where points go when a reference has moved."""

    def __init__(self) -> None:
        self._bound: dict[Hashable, Callable[[Tensor], Tensor]] = {}

    def moved(self, points: Float[Tensor, "m 2"], key: Hashable, vertices: Tensor) -> Float[Tensor, "m 2"]:
        """Return where points go, in plane units; the same key stands for the same points."""
        if key is None:
            return self._bind(points)(vertices)
        if key not in self._bound:
            self._bound[key] = self._bind(points)
        return self._bound[key](vertices)

    def _bind(self, points: Float[Tensor, "m 2"]) -> Callable[[Tensor], Tensor]:
        raise NotImplementedError


class _MeshFollower(_Follower):
    """Points that keep their places in the triangles of a mesh."""

    def __init__(self, reference: MeshFile, means: Float[Tensor, "n 2"]) -> None:
        super().__init__()
        self._reference = reference
        MeshBinding(reference, means[:: max(1, len(means) // _CHECKED_MEANS)])  # says what is wrong with the mesh

    def _bind(self, points: Float[Tensor, "m 2"]) -> Callable[[Tensor], Tensor]:
        binding = MeshBinding(self._reference, points, is_checked=True)
        return lambda vertices: binding.at(vertices)[0]


class _GaussianFollower(_Follower):
    """Points that follow the Gaussians around them, each of which has a place of its own in the reference."""

    def __init__(self, binding: MeshBinding | PointBinding, means: Float[Tensor, "n 2"]) -> None:
        super().__init__()
        self._binding, self._means = binding, means.double().cpu()
        self._tree = KDTree(self._means.numpy())
        self._last: tuple[Tensor, tuple[Tensor, Tensor]] | None = None

    def _bind(self, points: Float[Tensor, "m 2"]) -> Callable[[Tensor], Tensor]:
        precise = points.double().cpu()
        distances, near = self._tree.query(precise.numpy(), k=min(_CARRIERS, len(self._means)))
        near = torch.from_numpy(near).view(len(points), -1)
        squared = torch.from_numpy(distances).view(len(points), -1).square()
        weights = torch.exp(-squared / squared[:, -1:].clamp(min=1e-24))
        weights = weights / weights.sum(dim=1, keepdim=True)
        away = precise[:, None] - self._means[near]

        def moved(vertices: Tensor) -> Tensor:
            if self._last is None or self._last[0] is not vertices:
                self._last = vertices, self._binding.at(vertices)
            means, jacobians = (part.double().cpu() for part in self._last[1])
            carried = means[near] + torch.einsum("mkij,mkj->mki", jacobians[near], away)
            return torch.einsum("mk,mki->mi", weights, carried).to(points)

        return moved


class _BoundMotion:
    """What moves a bound picture, where edits have a step."""

    edit = 0
    selection = None

    def __init__(self, follower: _Follower, plane: ImagePlane) -> None:
        self._follower, self._plane = follower, plane
        self._vertices: Tensor | None = None

    def show(self, vertices: Float[Tensor, "v 3"]) -> None:
        """Take the reference to where it is in a frame."""
        self._vertices = vertices

    def carried(
        self, points: Float[Tensor, "m 2"], amount: float, weights: Tensor | None, key: Hashable = None
    ) -> Float[Tensor, "m 2"]:
        """Return where pixels go."""
        assert self._vertices is not None
        moved = self._follower.moved(self._plane.plane_from_pixel(points.double()), key, self._vertices)
        return self._plane.pixel_from_plane(moved)

    def moved(self, placed: Placed, amount: float, weights: Weights | None) -> Placed:
        """Refuse: nothing asks a bound picture for Jacobians."""
        raise NotImplementedError


def _check_numbers(reference: MeshFile, means: Float[Tensor, "n 2"]) -> None:
    """Refuse the triangles of another picture's Gaussians, which as a mesh of any kind would carry this one too."""
    if reference.ids is None or len(reference.faces) == 0:
        return
    first = reference.faces.amin(dim=1)  # the mean, wherever a program let the face begin
    ids, corners = reference.ids[first], reference.vertices[reference.faces][..., :2].to(means)
    of_this = bool(((ids >= 0) & (ids < len(means))).all())
    if of_this:
        sizes = (corners - corners.roll(1, dims=1)).norm(dim=-1).amax(dim=1)
        of_this = bool(((reference.vertices[first, :2].to(means) - means[ids]).norm(dim=1) <= sizes).all())
    if not of_this:
        raise foreign_reference(reference, "triangles")
