"""A fitted picture that follows a mesh or a point set, frame by frame."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from gainer_ns.editing.binding import bind
from gainer_ns.editing.borders import with_border
from gainer_ns.editing.mesh_files import MeshFile
from gainer_ns.errors import GainerError
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
        if len(picture.layers) != 1:
            raise GainerError("a picture of several layers cannot be bound; bind the picture as it was fitted")
        self._picture = picture
        self._layer = with_border(picture.only_layer, picture.plane)
        means, count = self._layer.gaussians.means, len(picture.gaussians)
        self._binding = bind(reference, means[:count])
        # Those of the border are in no file: they follow the nearest one that is.
        nearest = KDTree(means[:count].cpu().numpy()).query(means[count:].cpu().numpy())[1]
        self._followed = torch.as_tensor(nearest, dtype=torch.long).to(means.device)
        self._away = means[count:] - means[:count][self._followed]

    def at(self, vertices: Float[Tensor, "v 3"]) -> BakedPicture:
        """The picture when the reference has moved.

        Args:
            vertices: Its vertices, in the order of the reference.

        Raises:
            GainerError: If they are not those of the reference, or not numbers.
        """
        means, jacobians = self._binding.at(vertices)
        own = jacobians[self._followed]
        border = means[self._followed] + torch.einsum("nij,nj->ni", own, self._away)
        gaussians = self._layer.gaussians.transformed(torch.cat([means, border]), torch.cat([jacobians, own]))
        return replace(self._picture, layers=(self._layer.with_gaussians(gaussians),))
