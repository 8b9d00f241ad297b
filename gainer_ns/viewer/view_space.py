"""Between the world and what the page shows of it: viewer units, cameras of the page, and rays through it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.viewer.viewer import VISER_NERFSTUDIO_SCALE_RATIO as SCALE
from torch import Tensor
from viser import transforms

from gainer_ns.frames import CAMERA_DISTANCE
from gainer_ns.viewer.subject import Place, Subject

UPRIGHT = (0.0, 1.0, 0.0, 0.0)
"""The rotation, as wxyz, that lets viser's images, which face away from us, face the camera."""


def to_page(points: Float[Tensor, "m 3"], lift: float = 0.0) -> np.ndarray:
    """Points of the world in the page's units, moved towards the camera by so many of the world's."""
    return (SCALE * (points + points.new_tensor([0, 0, lift]))).float().cpu().numpy()


def frame(camera: Any, subject: Subject) -> None:
    """Moves the camera of a page to where it shows the picture exactly, upright, as large as fits."""
    plane = subject.fitted.plane
    if subject.is_deep:
        lens = subject.fitted.camera  # pyright: ignore[reportAttributeAccessIssue]
        half_width, half_height = lens.width / lens.focal_length[0] / 2, lens.height / lens.focal_length[1] / 2
    else:
        half_width, half_height = (half / CAMERA_DISTANCE for half in plane.half_extent)
    camera.up_direction = (0.0, 1.0, 0.0)
    camera.position = (0.0, 0.0, SCALE * CAMERA_DISTANCE)
    camera.look_at = (0.0, 0.0, 0.0)
    camera.fov = 2 * math.atan(max(half_height, half_width / camera.aspect))


def ray(camera: Any, across: float, down: float) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]]:
    """Origin and direction, in the world, of the ray through a place of the page: 0 to 1 from its top-left corner."""
    tangent = math.tan(camera.fov / 2)
    inside = np.array([(2 * across - 1) * tangent * camera.aspect, (2 * down - 1) * tangent, 1.0])
    direction = transforms.SO3(np.asarray(camera.wxyz)).as_matrix() @ inside
    origin = np.asarray(camera.position) / SCALE
    return torch.from_numpy(origin.astype(np.float64)), torch.from_numpy(direction.astype(np.float64))


def place_on_page(camera: Any, subject: Subject, across: float, down: float) -> Place | None:
    """The place of the picture that is seen at a place of the page."""
    return subject.on_ray(*ray(camera, across, down))
