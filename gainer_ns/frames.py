"""Convert between pixels, the image plane and cameras.

Pixels: ``x`` right, ``y`` down, (0, 0) the top-left corner of the top-left pixel, so pixel centres are at .5. Plane:
the picture's longer side is 1, centred at the origin, ``y`` up, at world ``z`` = 0. Cameras: nerfstudio's (OpenGL: they
look along their own -z).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

Bounds: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom of a box."""

CAMERA_DISTANCE = 1.0
"""Distance of the framing camera from the plane, in plane units (longer sides of the picture)."""


@dataclass(frozen=True)
class ImagePlane:
    """The plane of a picture of ``width`` x ``height`` pixels in the world."""

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
        """Convert pixel coordinates to plane coordinates."""
        half = pixel.new_tensor([0.5 * self.width, 0.5 * self.height])
        flip = pixel.new_tensor([self.pixel_size, -self.pixel_size])
        return (pixel - half).mul_(flip)

    def pixel_from_plane(self, plane: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
        """Convert plane coordinates to pixel coordinates."""
        half = plane.new_tensor([0.5 * self.width, 0.5 * self.height])
        flip = plane.new_tensor([self.pixel_size, -self.pixel_size])
        return plane / flip + half

    def pixel_centres(self, index: Int[Tensor, " m"]) -> Float[Tensor, "m 2"]:
        """Return the plane coordinates of the centres of pixels, given as row-major indices."""
        column = index % self.width
        row = torch.div(index, self.width, rounding_mode="floor")
        return self.plane_from_pixel(torch.stack([column, row], dim=-1).to(torch.float64) + 0.5).float()

    def pixel_at(self, plane: Float[Tensor, "m 2"]) -> Int[Tensor, " m"]:
        """Return the row-major index of the pixel under each point; the nearest pixel for points outside."""
        column, row = self.pixel_from_plane(plane.double()).floor().long().unbind(-1)
        return row.clamp(0, self.height - 1) * self.width + column.clamp(0, self.width - 1)

    @property
    def focal_length(self) -> float:
        """Focal length, in pixels, with which a camera at ``CAMERA_DISTANCE`` sees the picture pixel by pixel."""
        return CAMERA_DISTANCE / self.pixel_size

    def camera_to_world(self, shift: float = 0.0) -> Float[Tensor, "3 4"]:
        """Return the pose of the camera that frames the picture, ``shift`` plane units to the right of its middle."""
        pose = torch.eye(4)[:3]
        pose[0, 3] = shift
        pose[2, 3] = CAMERA_DISTANCE
        return pose


@dataclass(frozen=True)
class PinholeCamera:
    """A pinhole camera at the origin that looks along -z, x to the right and y up.

    Args:
        width: Width of its pictures in pixels.
        height: Height in pixels.
        focal_length: Focal lengths along x and y, in pixels.
        centre: Principal point in pixel coordinates; the middle of the picture is usual.
    """

    width: int
    height: int
    focal_length: tuple[float, float]
    centre: tuple[float, float]

    @classmethod
    def centred(cls, width: int, height: int, focal_length: float) -> PinholeCamera:
        """Make a camera with square pixels whose principal point is the middle of its pictures."""
        return cls(width, height, (focal_length, focal_length), (width / 2, height / 2))

    @property
    def numbers(self) -> tuple[float, ...]:
        """Width, height, focal lengths and principal point, of which :meth:`of_numbers` makes it again."""
        return self.width, self.height, *self.focal_length, *self.centre

    @classmethod
    def of_numbers(cls, width: float, height: float, fx: float, fy: float, cx: float, cy: float) -> PinholeCamera:
        """Make a camera of its numbers.

        Raises:
            ValueError: There is no such camera.
        """
        if not (all(map(math.isfinite, (width, height, fx, fy, cx, cy))) and min(width, height, fx, fy) > 0):
            raise ValueError("its camera makes no sense")
        return cls(int(width), int(height), (fx, fy), (cx, cy))

    def part(self, crop: tuple[float, float, float, float], columns: int, rows: int) -> PinholeCamera:
        """Return the camera of a part of its pictures, (x0, y0, x1, y1), in so many pixels across and down."""
        x0, y0, x1, y1 = crop
        across, down = columns / (x1 - x0), rows / (y1 - y0)
        (fx, fy), (cx, cy) = self.focal_length, self.centre
        return PinholeCamera(columns, rows, (fx * across, fy * down), ((cx - x0) * across, (cy - y0) * down))

    def resized(self, width: int, height: int) -> PinholeCamera:
        """Return the camera of the same pictures in another size."""
        return self.part((0, 0, self.width, self.height), width, height)

    @property
    def opencv_matrix(self) -> Float[np.ndarray, "3 3"]:
        """OpenCV's matrix of it, for which pixel centres are whole numbers."""
        (fx, fy), (cx, cy) = self.focal_length, self.centre
        return np.array([[fx, 0, cx - 0.5], [0, fy, cy - 0.5], [0, 0, 1]])

    def rays(self, pixel: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 3"]:
        """Return the points at depth 1 that pixel coordinates show."""
        x, y = ((pixel - pixel.new_tensor(self.centre)) / pixel.new_tensor(self.focal_length)).unbind(-1)
        return torch.stack([x, -y, -torch.ones_like(x)], dim=-1)

    def unproject(
        self, pixel: Float[Tensor, "*batch 2"], inverse_depth: Float[Tensor, " *batch"]
    ) -> Float[Tensor, "*batch 3"]:
        """Return the points in space that pixel coordinates show, at depths given by their inverse."""
        return self.rays(pixel) / inverse_depth[..., None]

    def unprojection_jacobian(
        self,
        pixel: Float[Tensor, "*batch 2"],
        inverse_depth: Float[Tensor, " *batch"],
        gradient: Float[Tensor, "*batch 2"],
    ) -> Float[Tensor, "*batch 3 2"]:
        """Return the derivative of :meth:`unproject` by the pixel coordinates: the tangents of a surface.

        Args:
            pixel: Pixel coordinates.
            inverse_depth: Of the surface there.
            gradient: Of the surface's inverse depth, per pixel along x and y.
        """
        rays = self.rays(pixel)
        sideways = rays.new_tensor([[1 / self.focal_length[0], 0], [0, -1 / self.focal_length[1]], [0, 0]])
        deeper = rays[..., :, None] * gradient[..., None, :] / inverse_depth[..., None, None]
        return (sideways - deeper) / inverse_depth[..., None, None]

    def project(self, points: Float[Tensor, "*batch 3"]) -> tuple[Float[Tensor, "*batch 2"], Float[Tensor, " *batch"]]:
        """Return the pixel coordinates and depths of points; depths are not positive behind the camera."""
        depth = -points[..., 2]
        flat = points[..., :2] / depth[..., None] * points.new_tensor([1.0, -1.0])
        return flat * points.new_tensor(self.focal_length) + points.new_tensor(self.centre), depth


@dataclass(frozen=True)
class PixelSpace:
    """The space before a camera in pixels, as large as they are at one depth: x right, y down, z towards the camera.

    Where z is 0, x and y are pixel coordinates of the picture (if its pixels are square); lengths and angles of the
    world are kept.

    Args:
        camera: It stands at ``CAMERA_DISTANCE`` from the world's origin.
        depth: In world units, from the camera along its axis.
    """

    camera: PinholeCamera
    depth: float

    @property
    def pixel_size(self) -> float:
        """Side of a pixel in world units."""
        return 2 * self.depth / sum(self.camera.focal_length)

    def jacobian(self) -> Float[Tensor, "1 3 3"]:
        """Return the derivative of world coordinates by those of this space."""
        return self.pixel_size * torch.diag(torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64))[None]

    def to_world(self, places: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
        """Convert coordinates of this space to world coordinates."""
        x, y = self.camera.centre
        offset = (places - places.new_tensor([x, y, 0.0])) * self.pixel_size
        return offset * offset.new_tensor([1.0, -1.0, 1.0]) + offset.new_tensor([0, 0, CAMERA_DISTANCE - self.depth])

    def from_world(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
        """Convert world coordinates to those of this space."""
        x, y = self.camera.centre
        offset = points - points.new_tensor([0, 0, CAMERA_DISTANCE - self.depth])
        return offset * offset.new_tensor([1.0, -1.0, 1.0]) / self.pixel_size + offset.new_tensor([x, y, 0.0])


def looking_from(*, right: float, above: float) -> Float[Tensor, "3 4"]:
    """Return the pose of a camera at the usual distance that looks at the middle of the picture.

    Args:
        right: Its angle to the right, in degrees.
        above: Its elevation after that turn, in degrees.
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
    """Intersect rays with the image plane.

    Returns:
        Plane coordinates of the hits, and the distances along the rays in lengths of their directions: infinite where a
        ray runs parallel to the plane or away from it (the plane coordinates are then infinite or not a number).
    """
    distance = -origins[..., 2:] / directions[..., 2:]
    distance = torch.where(distance > 0, distance, torch.inf)
    return origins[..., :2] + distance * directions[..., :2], distance
