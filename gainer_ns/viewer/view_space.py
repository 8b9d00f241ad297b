"""Between the world and what the page shows of it: viewer units, cameras of the page, and rays through it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import viser
from jaxtyping import Float
from nerfstudio.viewer.viewer import VISER_NERFSTUDIO_SCALE_RATIO as PAGE_UNITS
from torch import Tensor
from viser import transforms

from gainer_ns.errors import GainerError
from gainer_ns.frames import CAMERA_DISTANCE
from gainer_ns.viewer.subject import PixelPoint, Subject

OVERLAY_LIFT = 0.005
"""How far over the picture what is laid over it lies, as a share of the way to the camera: more than a pixel of the
page is deep where one looks at it from the side, so that nothing of the picture shows through."""
IMAGE_ROTATION = (0.0, 1.0, 0.0, 0.0)
"""The rotation, as wxyz, that lets viser's images, which face away from us, face the camera."""


def to_page(points: Float[Tensor, "m 3"], lift: float = 0.0) -> np.ndarray:
    """Return points of the world in page units, moved towards the camera by a share of the way."""
    camera = points.new_tensor([0, 0, CAMERA_DISTANCE])
    return (PAGE_UNITS * (points + lift * (camera - points))).float().cpu().numpy()


def put(node: viser.SceneNodeHandle, position: Any, wxyz: Any = None) -> None:
    """Put a node of the page to a place, in page units, and turn it; where it is already, the page is told nothing."""
    if not np.allclose(node.position, position, atol=1e-6):
        node.position = position
    if wxyz is not None and not np.allclose(node.wxyz, wxyz, atol=1e-6):
        node.wxyz = wxyz


def pixel_at(node: viser.SceneNodeHandle, subject: Subject) -> PixelPoint:
    """Return the point of a flat picture that a node of the page was dragged to."""
    place = torch.from_numpy(np.asarray(node.position, np.float64)[:2] / PAGE_UNITS)
    x, y = subject.fitted.plane.pixel_from_plane(place).tolist()
    return x, y


FRONT_POSITION = (0.0, 0.0, PAGE_UNITS * CAMERA_DISTANCE)
"""Where a camera stands that shows the picture exactly, in the page's units."""


def frame(camera: Any, subject: Subject) -> None:
    """Move the camera of a page to where it shows the picture exactly, upright, as large as fits."""
    camera.up_direction = (0.0, 1.0, 0.0)
    camera.position = FRONT_POSITION
    camera.look_at = (0.0, 0.0, 0.0)
    camera.fov = _field_of_view(camera, subject)


def keep_framed(camera: Any, subject: Subject) -> None:
    """Show the picture exactly from the start, also when the page gets another shape, until somebody moves."""
    frame(camera, subject)
    framed = camera.fov

    @camera.on_update
    def _(camera: Any) -> None:
        nonlocal framed
        wanted = _field_of_view(camera, subject)
        untouched = np.allclose(camera.position, FRONT_POSITION, atol=1e-3) and abs(camera.fov - framed) < 1e-4
        if untouched and abs(wanted - framed) > 1e-4:
            camera.fov = framed = wanted


def _field_of_view(camera: Any, subject: Subject) -> float:
    """Return the vertical one, in radians, with which the whole picture fits."""
    lens = subject.lens
    across, down = (
        size / length / 2 for size, length in zip((lens.width, lens.height), lens.focal_length, strict=True)
    )
    return 2 * math.atan(max(down, across / camera.aspect))


def ray(camera: Any, across: float, down: float) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]]:
    """Return origin and direction, in the world, of the ray through a place of the page, 0 to 1 from its top left."""
    tangent = math.tan(camera.fov / 2)
    inside = np.array([(2 * across - 1) * tangent * camera.aspect, (2 * down - 1) * tangent, 1.0])
    direction = transforms.SO3(np.asarray(camera.wxyz)).as_matrix() @ inside
    origin = np.asarray(camera.position) / PAGE_UNITS
    return torch.from_numpy(origin.astype(np.float64)), torch.from_numpy(direction.astype(np.float64))


def point_on_page(camera: Any, subject: Subject, across: float, down: float) -> PixelPoint | None:
    """Return the point of the picture that is seen at a place of the page; None where there is nothing."""
    return subject.on_ray(*ray(camera, across, down))


def clicked_point(event: viser.ScenePointerEvent, subject: Subject) -> PixelPoint:
    """Return the point of the picture that is clicked on.

    Raises:
        GainerError: There is nothing.
    """
    point = point_on_page(event.client.camera, subject, *event.screen_pos[0])
    if point is None:
        raise GainerError("there is nothing there; click on the picture")
    return point
