"""A fitted picture that follows a mesh or a point set, frame by frame."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from gainer_ns.editing.binding import bind, foreign_reference
from gainer_ns.editing.borders import INVISIBLE_PX, unframed
from gainer_ns.editing.limits import limited
from gainer_ns.errors import GainerError
from gainer_ns.io.meshes import MeshFile
from gainer_ns.rendering.plane import BakedPicture


class BoundPicture:
    """A picture whose Gaussians are bound to a reference.

    Args:
        picture: A fitted picture.
        reference: What it is bound to, unmoved; see :func:`gainer_ns.editing.binding.bind`.

    Raises:
        GainerError: If the reference does not fit the picture, or the picture has been edited already.
    """

    def __init__(self, picture: BakedPicture, reference: MeshFile) -> None:
        if len(picture.layers) != 1 or picture.gaussians.inverse_jacobians is not None:
            raise GainerError("an edited picture cannot be bound; bind it as it was fitted")
        self._picture, self._count = picture, len(picture.gaussians)
        self._layer, self._border = unframed(picture.only_layer, picture.plane)
        means, count = self._layer.gaussians.means, self._count
        _check_numbers(reference, means[:count])
        self._binding = bind(reference, means[:count])
        # Those beyond the frame are in no file: they follow the nearest one that is.
        nearest = KDTree(means[:count].cpu().numpy()).query(means[count:].cpu().numpy())[1]
        self._followed = torch.as_tensor(nearest, dtype=torch.long).to(means.device)
        self._away = means[count:] - means[:count][self._followed]

    def at(self, vertices: Float[Tensor, "v 3"]) -> BakedPicture:
        """Return the picture when the reference has moved; see :meth:`gainer_ns.editing.binding.MeshBinding.at`."""
        means, jacobians = self._binding.at(vertices)
        layer, border = self._layer, self._border
        if border is not None and self._is_still(means, jacobians):
            layer, border = self._picture.only_layer, None  # ends at its frame, sharp however it is enlarged
        if border is not None:
            own = jacobians[self._followed]
            means = torch.cat([means, means[self._followed] + torch.einsum("nij,nj->ni", own, self._away)])
            jacobians = torch.cat([jacobians, own])
        gaussians = layer.gaussians if border is None else limited(layer.gaussians, border.limit)
        return replace(self._picture, layers=(layer.with_gaussians(gaussians.transformed(means, jacobians)),))

    def _is_still(self, means: Float[Tensor, "n 2"], jacobians: Float[Tensor, "n 2 2"]) -> bool:
        """Return whether there are Gaussians along the frame, and all are where they were fitted."""
        assert self._border is not None
        near = self._border.near
        near = near[near < self._count]
        moved = (means[near] - self._layer.gaussians.means[near]) / self._picture.plane.pixel_size
        turned = jacobians[near] - torch.eye(2).to(jacobians)
        return len(near) > 0 and all(bool((change.abs() < INVISIBLE_PX).all()) for change in (moved, turned))


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
