"""Every conversion between pixels, the image plane and cameras, once.

Pixels: ``x`` right, ``y`` down, (0, 0) the top-left corner of the top-left pixel, so pixel centres are at .5.
Plane: the picture's longer side is 1, centred at the origin, ``y`` up, at world ``z`` = 0.
Cameras: nerfstudio's (OpenGL: they look along their own -z).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

CAMERA_DISTANCE = 1.0
"""How far the camera that frames the picture is from the plane, in plane units (longer sides of the picture)."""


@dataclass(frozen=True)
class ImagePlane:
    """A picture's place in the world.

    Args:
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
    """

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    @property
    def pixel_size(self) -> float:
        """Side of a pixel in plane units."""
        return 1.0 / max(self.width, self.height)

    @property
    def half_extent(self) -> tuple[float, float]:
        """Half the width and half the height in plane units."""
        return 0.5 * self.width * self.pixel_size, 0.5 * self.height * self.pixel_size

    def plane_from_pixel(self, pixel: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
        """Plane coordinates of pixel coordinates."""
        half = pixel.new_tensor([0.5 * self.width, 0.5 * self.height])
        flip = pixel.new_tensor([self.pixel_size, -self.pixel_size])
        return (pixel - half) * flip

    def pixel_from_plane(self, plane: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
        """Pixel coordinates of plane coordinates."""
        half = plane.new_tensor([0.5 * self.width, 0.5 * self.height])
        flip = plane.new_tensor([self.pixel_size, -self.pixel_size])
        return plane / flip + half

    def pixel_centres(self, index: Int[Tensor, " m"]) -> Float[Tensor, "m 2"]:
        """Plane coordinates of the centres of pixels, given as row-major indices."""
        column = index % self.width
        row = torch.div(index, self.width, rounding_mode="floor")
        return self.plane_from_pixel(torch.stack([column, row], dim=-1).to(torch.float64) + 0.5).float()

    def pixel_at(self, plane: Float[Tensor, "m 2"]) -> Int[Tensor, " m"]:
        """Row-major indices of the pixels that hold points of the plane; the nearest pixel for points outside."""
        column, row = self.pixel_from_plane(plane.double()).floor().long().unbind(-1)
        return row.clamp(0, self.height - 1) * self.width + column.clamp(0, self.width - 1)

    @property
    def focal_length(self) -> float:
        """Focal length, in pixels, with which a camera at ``CAMERA_DISTANCE`` sees the picture pixel by pixel."""
        return CAMERA_DISTANCE / self.pixel_size

    def camera_to_world(self, shift: float = 0.0) -> Float[Tensor, "3 4"]:
        """Pose of the camera that frames the picture.

        Args:
            shift: How far to the right the camera stands, in plane units; it still looks straight at the plane.
        """
        pose = torch.eye(4)[:3]
        pose[0, 3] = shift
        pose[2, 3] = CAMERA_DISTANCE
        return pose


def looking_from(*, right: float, above: float) -> Float[Tensor, "3 4"]:
    """A camera at the usual distance that looks at the middle of the picture.

    Args:
        right: How far it stands to the right, in degrees.
        above: How far it then stands above, in degrees.
    """
    sine, cosine = math.sin(math.radians(right)), math.cos(math.radians(right))
    turned = torch.tensor([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])
    sine, cosine = math.sin(math.radians(above)), math.cos(math.radians(above))
    raised = torch.tensor([[1.0, 0.0, 0.0], [0.0, cosine, sine], [0.0, -sine, cosine]])
    rotation = turned @ raised
    return torch.cat([rotation, CAMERA_DISTANCE * rotation[:, 2:]], dim=1)


def plane_hits(
    origins: Float[Tensor, "*batch 3"], directions: Float[Tensor, "*batch 3"]
) -> tuple[Float[Tensor, "*batch 2"], Float[Tensor, "*batch 1"]]:
    """Where rays meet the image plane.

    Returns:
        Plane coordinates of the hits, and the distances along the rays in lengths of their directions: infinite where
        a ray runs parallel to the plane or away from it (the plane coordinates are then infinite or not a number).
    """
    distance = -origins[..., 2:] / directions[..., 2:]
    distance = torch.where(distance > 0, distance, torch.inf)
    return origins[..., :2] + distance * directions[..., :2], distance
