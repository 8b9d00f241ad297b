"""A lifted photo that follows a mesh or a point set, frame by frame."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.editing.surface_binding import bind_surface
from gainer_ns.io.meshes import MeshFile
from gainer_ns.lifting.scene import LiftedScene


class BoundScene:
    """A lifted photo bound to a reference in its space.

    Args:
        scene: The photo.
        reference: What it is bound to, unmoved; see :func:`gainer_ns.editing.surface_binding.bind_surface`.

    Raises:
        GainerError: If the reference does not fit the photo.
    """

    def __init__(self, scene: LiftedScene, reference: MeshFile) -> None:
        self._scene = scene
        means = [layer.gaussians.means for layer in scene.layers]
        self._counts = [len(some) for some in means]
        self._binding = bind_surface(reference, torch.cat(means))

    def at(self, vertices: Float[Tensor, "v 3"]) -> LiftedScene:
        """Return the photo when the reference has moved."""
        places, jacobians = (part.split(self._counts) for part in self._binding.at(vertices))
        layers = [
            layer.moved(layer.gaussians.transformed(there, turned))
            for layer, there, turned in zip(self._scene.layers, places, jacobians, strict=True)
        ]
        return replace(self._scene, layers=tuple(layers))
