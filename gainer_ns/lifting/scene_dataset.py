"""The photos of a scene as nerfstudio's data managers ask for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.data.datasets.base_dataset import InputDataset
from torch import Tensor

from gainer_ns.lifting.rgbd_photo import RgbdPhoto
from gainer_ns.lifting.scene_files import SceneView


class SceneDataset(InputDataset):
    """Posed photos, without what their lenses distort; of those that were lifted, also what is known of their depth."""

    def get_image_float32(self, image_idx: int) -> Float[Tensor, "h w 3"]:
        """Return colours as stored, at full depth, in [0, 1]."""
        return torch.from_numpy(self._view(image_idx).picture.colours())

    def get_numpy_image(self, image_idx: int) -> np.ndarray:
        """Return colours as uint8 [h, w, 3]."""
        return np.rint(self._view(image_idx).picture.colours() * 255).astype(np.uint8)

    def get_metadata(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return opacity and distance along the ray [h, w, 1], and a mask [h, w, 1] of the pixels that count."""
        number = data["image_idx"]
        photos: tuple[RgbdPhoto, ...] = self.metadata["photos"]
        lifted = next((photo for photo in photos if photo.path == self.image_filenames[number]), None)
        if lifted is not None:
            opacity, distance = lifted.opacity, lifted.distance
        else:
            opacity = torch.from_numpy(self._view(number).opacity)
            distance = torch.zeros_like(opacity)
        return {"opacity": opacity[..., None], "distance": distance[..., None], "mask": opacity[..., None] > 0}

    def _view(self, number: int) -> SceneView:
        return self.metadata["views"][number]
