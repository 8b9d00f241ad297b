"""A photo with depth, ready to be lifted: its camera and where that stood, its layers, and how sure its depth is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.frames import ImagePlane
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.lifting.metadata import LiftMetadata
from gainer_ns.lifting.rgbd_layers import RgbdLayer


@dataclass(frozen=True, eq=False)
class RgbdPhoto:
    """A photo, ready to be lifted.

    Attributes:
        path: Its file.
        metadata: Its camera and units.
        layers: What is lifted.
        profile: What its colours mean; None for sRGB.
        pose: [3, 4], from its camera's axes to the world.
        confidence: [h, w] in [0, 1], how far other photos of the scene agree with its depth; None for a single photo.
    """

    path: Path
    metadata: LiftMetadata
    layers: tuple[RgbdLayer, ...]
    profile: ColourProfile | None = None
    pose: Float[Tensor, "3 4"] = field(default_factory=lambda: ImagePlane(1, 1).camera_to_world())
    confidence: Float[Tensor, "h w"] | None = None

    @property
    def opacity(self) -> Float[Tensor, "h w"]:
        """How much of each of the photo's pixels was lifted."""
        shown = torch.zeros_like(self.layers[0].depth)
        for layer in self.layers:
            known = (layer.seen & (layer.depth > 0)).to(shown)
            shown = torch.maximum(shown, known if layer.opacity is None else known * layer.opacity)
        return shown

    @property
    def distance(self) -> Float[Tensor, "h w"]:
        """Of what each pixel shows from the camera, in world units; 0 where nothing is."""
        depth = torch.zeros_like(self.layers[0].depth)
        for layer in reversed(self.layers):
            depth = torch.where(layer.seen & (layer.depth > 0), layer.depth, depth)
        camera = self.metadata.camera
        index = torch.arange(camera.width * camera.height)
        pixel = torch.stack([index % camera.width, index // camera.width], dim=-1) + 0.5
        return depth / self.metadata.unit * camera.rays(pixel).norm(dim=-1).view_as(depth)


def bounds_of(photos: Sequence[RgbdPhoto]) -> Float[Tensor, "2 3"]:
    """Return a box around everything that is lifted, and the cameras."""
    places = []
    for photo in photos:
        camera = photo.metadata.camera
        deepest = max(float(layer.depth.max()) for layer in photo.layers) / photo.metadata.unit
        corners = torch.tensor([[0.0, 0], [camera.width, 0], [0, camera.height], [camera.width, camera.height]])
        rotation, place = photo.pose[:, :3], photo.pose[:, 3:].T
        places += [place, (camera.rays(corners) * deepest) @ rotation.T + place]
    everything = torch.cat(places)
    return torch.stack([everything.amin(dim=0), everything.amax(dim=0)])
