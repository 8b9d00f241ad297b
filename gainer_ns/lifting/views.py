"""Where a lifted photo is looked at from: where the camera that took it stood, or along a nerfstudio camera path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from nerfstudio.cameras.camera_paths import get_path_from_json
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from gainer_ns.frames import ImagePlane, PinholeCamera
from gainer_ns.lifting.camera_path_files import camera_path_of
from gainer_ns.rendering.raster import RasterGrid, check_room

_MAX_RAYS_AT_ONCE = 1 << 16
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

    def rays(self, pixels: Float[Tensor, "m 2"]) -> RayBundle:
        """Return rays through pixel coordinates."""
        pose = self.pose.to(pixels)
        directions = torch.nn.functional.normalize(self.camera.rays(pixels) @ pose[:, :3].T, dim=-1).float()
        return RayBundle(
            origins=pose[:, 3].float().expand(len(pixels), 3),
            directions=directions,
            pixel_area=torch.ones_like(directions[:, :1]),
        )

    def raster(
        self,
        look: Callable[[RayBundle], tuple[Float[Tensor, "m 3"], Float[Tensor, "m 1"]]],
        scale: float,
        crop: tuple[float, float, float, float] | None,
        device: torch.device,
        progress: Callable[[float], None] | None = None,
    ) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w 1"]]:
        """Draw a picture: a ray through each pixel, or one for each of the camera's own pixels that it covers.

        Args:
            look: What rays see: colours multiplied by alpha, and alpha.
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
        columns, rows = grid.samples
        rgb = torch.empty(grid.pixels, 3, device=device)
        alpha = torch.empty(grid.pixels, 1, device=device)
        for pixels in torch.arange(grid.pixels, device=device).split(max(1, _MAX_RAYS_AT_ONCE // columns)):
            premultiplied, opacity = rgb.new_zeros(len(pixels), 3), rgb.new_zeros(len(pixels), 1)
            for row in range(rows):
                seen, covered = look(self.rays(grid.points(pixels, range(row, row + 1)).view(-1, 2)))
                premultiplied += seen.view(-1, columns, 3).mean(dim=1) / rows
                opacity += covered.view(-1, columns, 1).mean(dim=1) / rows
            rgb[pixels], alpha[pixels] = premultiplied / opacity.clamp(min=1e-6), opacity
            if progress is not None:
                progress((int(pixels[-1]) + 1) / grid.pixels)
        shape = grid.height, grid.width
        return rgb.clamp_(0, 1).view(*shape, 3), alpha.clamp_(max=1).view(*shape, 1)


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
    views = []
    for number, pose in enumerate(cameras.camera_to_worlds):
        width, height, fx, fy, cx, cy = (
            float(each[number, 0])
            for each in (cameras.width, cameras.height, cameras.fx, cameras.fy, cameras.cx, cameras.cy)
        )
        views.append(CameraView(PinholeCamera(int(width), int(height), (fx, fy), (cx, cy)), pose[:3, :4].float()))
    return CameraPath(tuple(views), said["fps"])
