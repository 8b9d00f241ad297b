"""Where a lifted photo is looked at from: where the camera that took it stood, or along a nerfstudio camera path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from nerfstudio.cameras.camera_paths import get_path_from_json
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from gainer_ns.frames import ImagePlane, PinholeCamera
from gainer_ns.lifting.camera_path_files import camera_path_of
from gainer_ns.rendering.raster import Crop, RasterGrid, check_room

MAX_RAYS_AT_ONCE = 1 << 20
"""How many rays are followed at once: bounds memory."""


@dataclass(frozen=True, eq=False)
class CameraView:
    """A camera at a place.

    Attributes:
        camera: What its pictures are like.
        pose: [3, 4], from its own axes to the world.
    """

    camera: PinholeCamera
    pose: Float[Tensor, "3 4"] = field(default_factory=lambda: ImagePlane(1, 1).camera_to_world())

    def in_camera(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Return points of the world in the axes of the camera."""
        pose = self.pose.to(points)
        return (points - pose[:, 3]) @ pose[:, :3]

    def part(self, crop: Crop, columns: int, rows: int) -> CameraView:
        """Return a camera at the same place that shows a part of what this one does.

        Args:
            crop: (x0, y0, x1, y1) in this camera's pixels.
            columns: Of its own pixels across the part.
            rows: And down.
        """
        return replace(self, camera=self.camera.part(crop, columns, rows))

    def rays(self, pixels: Float[Tensor, "m 2"]) -> RayBundle:
        """Return rays through pixel coordinates."""
        pose = self.pose.to(pixels)
        directions = torch.nn.functional.normalize(self.camera.rays(pixels) @ pose[:, :3].T, dim=-1).float()
        return RayBundle(
            origins=pose[:, 3].float().expand(len(pixels), 3),
            directions=directions,
            pixel_area=torch.ones_like(directions[:, :1]),
        )

    def all_rays(self, device: torch.device) -> RayBundle:
        """Return the rays through the middles of all pixels, row by row."""
        sides = (torch.arange(n, dtype=torch.float64, device=device) for n in (self.camera.height, self.camera.width))
        y, x = torch.meshgrid(*sides, indexing="ij")
        return self.rays(torch.stack([x, y], dim=-1).view(-1, 2) + 0.5)

    def raster(
        self,
        look: Callable[[CameraView], tuple[Float[Tensor, "m 3"], Float[Tensor, "m 1"]]],
        scale: float,
        crop: Crop | None,
        device: torch.device,
        progress: Callable[[float], None] | None = None,
    ) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w 1"]]:
        """Draw a picture: a ray through each pixel, or one for each of the camera's own pixels that it covers.

        Args:
            look: What all rays of a camera see, row by row: colours multiplied by alpha, and alpha.
            scale: Output pixels per pixel of the camera.
            crop: (x0, y0, x1, y1) in the camera's pixels; None for the whole picture.
            device: Where to draw.
            progress: Called now and then with the share, 0 to 1, that is done.

        Returns:
            Colours in [0, 1], not multiplied by alpha, and alpha.

        Raises:
            GainerError: If the scale or the crop leaves no picture, or there is no memory for so many pixels.
        """
        grid = RasterGrid.over(ImagePlane(self.camera.width, self.camera.height), scale, crop)
        check_room(grid, device)
        (columns, rows), (x0, y0, x1, y1) = grid.samples, grid.crop
        rgb = torch.empty(grid.height, grid.width, 3, device=device)
        alpha = torch.empty(grid.height, grid.width, 1, device=device)
        step = max(1, MAX_RAYS_AT_ONCE // (grid.width * columns * rows))
        for top in range(0, grid.height, step):
            bottom = min(top + step, grid.height)
            down = (y1 - y0) / grid.height
            band = x0, y0 + top * down, x1, y0 + bottom * down
            seen = look(self.part(band, grid.width * columns, (bottom - top) * rows))
            colours, alpha[top:bottom] = (averaged(each, bottom - top, grid.width, grid.samples) for each in seen)
            rgb[top:bottom] = colours / alpha[top:bottom].clamp(min=1e-6)
            if progress is not None:
                progress(bottom / grid.height)
        return rgb.clamp_(0, 1), alpha.clamp_(max=1)


def averaged(values: Float[Tensor, "m c"], height: int, width: int, samples: tuple[int, int]) -> Float[Tensor, "h w c"]:
    """Return means over the samples, so many across and down, of each pixel of a picture of that size."""
    columns, rows = samples
    return values.view(height, rows, width, columns, -1).mean(dim=(1, 3))


def view_of(camera: Cameras) -> CameraView | None:
    """Return one of nerfstudio's cameras as a view; None if it is no pinhole camera."""
    camera = camera.flatten()
    distorted = camera.distortion_params is not None and bool((camera.distortion_params != 0).any())
    if distorted or int(camera.camera_type[0, 0]) != CameraType.PERSPECTIVE.value:
        return None
    width, height = int(camera.width[0, 0]), int(camera.height[0, 0])
    fx, fy, cx, cy = (float(each[0, 0]) for each in (camera.fx, camera.fy, camera.cx, camera.cy))
    pose = camera.camera_to_worlds[0, :3, :4].float()
    return CameraView(PinholeCamera(width, height, (fx, fy), (cx, cy)), pose)


class CameraPath(NamedTuple):
    """A camera that moves.

    Attributes:
        views: One a frame.
        fps: Frames a second.
    """

    views: tuple[CameraView, ...]
    fps: float


def read_camera_path(path: Path, scale: float = 1.0) -> CameraPath:
    """Read a camera path as nerfstudio's viewer saves it.

    Args:
        path: The file.
        scale: Output pixels per pixel of its cameras.

    Raises:
        GainerError: See :func:`gainer_ns.lifting.camera_path_files.camera_path_of`.
    """
    said = camera_path_of(path, scale)
    cameras = get_path_from_json(said)
    views = [view_of(cameras[number : number + 1]) for number in range(len(cameras))]
    return CameraPath(tuple(view for view in views if view is not None), said["fps"])
