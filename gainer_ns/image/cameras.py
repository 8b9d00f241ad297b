"""Where nerfstudio's cameras look on the plane of the picture."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.scene_box import OrientedBox
from torch import Tensor

from gainer_ns.frames import ImagePlane, plane_hits

MAX_SAMPLES_PER_SIDE = 8
"""Most samples along a side of a pixel when a camera shrinks the picture."""
_PROBES_PER_SIDE = 16
"""Along each side of the camera's frame, how many pixels tell how much of the plane a pixel covers."""


class Seen(NamedTuple):
    """Where rays meet the plane.

    Attributes:
        points: [m, 2], plane coordinates; infinite where a ray misses the plane.
        distance: [m, 1], along the unit ray in plane units; 0 where it misses.
    """

    points: Float[Tensor, "m 2"]
    distance: Float[Tensor, "m 1"]


def seen_along(origins: Float[Tensor, "m 3"], directions: Float[Tensor, "m 3"]) -> Seen:
    """Return where rays meet the plane, in single precision."""
    points, distance = plane_hits(origins, directions)
    hit = distance.isfinite()
    return Seen(torch.where(hit, points, torch.inf).float(), torch.where(hit, distance, 0.0).float())


def seen_by(
    camera: Cameras, x: Float[Tensor, " m"], y: Float[Tensor, " m"], *, within: OrientedBox | None = None
) -> Seen:
    """Return where a camera looks through points of its frame.

    A plain perspective camera is followed in double precision, so that one that shows the picture pixel by pixel meets
    each pixel's centre exactly: in single precision, which of two equally near Gaussians a pixel reads would be chance.

    Args:
        camera: One camera, of shape [1].
        x: Pixels from the left edge of the frame; pixel centres are at .5.
        y: Pixels from its top edge.
        within: What lies outside of this box counts as missed; None for no box.
    """
    seen = _seen_by(camera, x, y)
    if within is None:
        return seen
    inside = within.within(torch.nn.functional.pad(seen.points, (0, 1))).view(-1, 1)
    return Seen(torch.where(inside, seen.points, torch.inf), torch.where(inside, seen.distance, 0.0))


def _seen_by(camera: Cameras, x: Float[Tensor, " m"], y: Float[Tensor, " m"]) -> Seen:
    plain = int(camera.camera_type[0, 0]) == CameraType.PERSPECTIVE.value
    if camera.distortion_params is not None:
        plain = plain and not bool(camera.distortion_params.any())
    if not plain:
        rays = camera.generate_rays(camera_indices=0, coords=torch.stack([y, x], dim=-1).float())
        return seen_along(rays.origins.double(), rays.directions.double())
    right = (x - camera.cx[0].double()) / camera.fx[0].double()
    up = (camera.cy[0].double() - y) / camera.fy[0].double()
    pose = camera.camera_to_worlds[0].double()
    directions = torch.stack([right, up, -torch.ones_like(right)], dim=-1) @ pose[:, :3].T
    directions = directions / directions.norm(dim=-1, keepdim=True)
    return seen_along(pose[:, 3].expand_as(directions), directions)


def samples_per_pixel(camera: Cameras, plane: ImagePlane) -> int:
    """Return the samples along a side of a camera's pixel with which most of them miss no pixel of the source.

    Args:
        camera: One camera, of shape [1].
        plane: The picture's plane.
    """
    width, height = int(camera.width[0, 0]), int(camera.height[0, 0])
    across = torch.linspace(0.5, width - 0.5, _PROBES_PER_SIDE, dtype=torch.float64, device=camera.device)
    down = torch.linspace(0.5, height - 0.5, _PROBES_PER_SIDE, dtype=torch.float64, device=camera.device)
    x, y = (part.flatten() for part in torch.meshgrid(across, down, indexing="xy"))
    here, right, below = (seen_by(camera, x + dx, y + dy).points for dx, dy in ((0, 0), (1, 0), (0, 1)))
    steps = torch.stack([(right - here).norm(dim=-1), (below - here).norm(dim=-1)]).amax(dim=0) / plane.pixel_size
    half = here.new_tensor(plane.half_extent)
    steps = steps[(here.abs() <= half).all(dim=-1) & steps.isfinite()]
    if len(steps) == 0:
        return 1
    return min(MAX_SAMPLES_PER_SIDE, max(1, math.ceil(float(steps.median()) - 0.01)))
