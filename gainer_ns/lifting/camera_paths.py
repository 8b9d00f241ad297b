"""Ready camera paths for ``ns-render camera-path``: once around the scene, and towards it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.frames import CAMERA_DISTANCE, PinholeCamera
from gainer_ns.io.files import whole_file

SECONDS, FPS = 4.0, 24
"""Length of a path, and its frames a second."""
ORBIT_DEGREES = 8.0, 3.0
"""How far the orbit swings to the sides, and up and down: beyond, what the photo hides shows too much."""
DOLLY_SHARE = 0.25
"""How far the dolly goes, as a share of the way to the middle of the scene."""
_MAX_SIDE_PX = 1280
"""Pixels along the longer side of what is rendered, at most."""

Pose = Float[Tensor, "4 4"]


def orbit(frames: int) -> list[Pose]:
    """Return poses on an ellipse around the camera of the photo, all looking at the middle of the scene; it closes."""
    right, above = (CAMERA_DISTANCE * math.tan(math.radians(degrees)) for degrees in ORBIT_DEGREES)
    turns = torch.arange(frames, dtype=torch.float64) * (2 * math.pi / frames)
    places = torch.stack([right * turns.sin(), above * (turns.cos() - 1), torch.full_like(turns, CAMERA_DISTANCE)], 1)
    return [_looking_at_the_middle(place) for place in places]


def dolly(frames: int) -> list[Pose]:
    """Return poses from the camera of the photo straight towards the middle of the scene and back."""
    poses = []
    for step in range(frames):
        pose = torch.eye(4, dtype=torch.float64)
        gone = 0.5 * (1 - math.cos(2 * math.pi * step / frames))
        pose[2, 3] = CAMERA_DISTANCE * (1 - DOLLY_SHARE * gone)
        poses.append(pose)
    return poses


def camera_path(poses: Sequence[Pose], camera: PinholeCamera) -> dict[str, Any]:
    """Return a path as nerfstudio's viewer saves it.

    Args:
        poses: Of the frames, in world units.
        camera: Whose field of view is kept; its pictures are reduced where they are large.
    """
    scale = min(1.0, _MAX_SIDE_PX / max(camera.width, camera.height))
    # Films have even sides.
    width, height = (max(2, 2 * round(scale * side / 2)) for side in (camera.width, camera.height))
    field_of_view = math.degrees(2 * math.atan(camera.height / 2 / camera.focal_length[1]))
    frames = [
        {"camera_to_world": pose.flatten().tolist(), "fov": field_of_view, "aspect": width / height} for pose in poses
    ]
    return {
        "camera_type": "perspective",
        "render_height": height,
        "render_width": width,
        "fps": FPS,
        "seconds": len(poses) / FPS,
        "is_cycle": True,
        "smoothness_value": 0.0,
        "camera_path": frames,
    }


def write_camera_paths(folder: Path, camera: PinholeCamera) -> None:
    """Write ``orbit.json`` and ``dolly.json``.

    Args:
        folder: Where to.
        camera: The one that took the photo.

    Raises:
        GainerError: If they cannot be written.
    """
    for name, poses in (("orbit", orbit), ("dolly", dolly)):
        with whole_file(folder / f"{name}.json") as file:
            file.write(json.dumps(camera_path(poses(round(SECONDS * FPS)), camera)).encode())


def _looking_at_the_middle(place: Float[Tensor, "3"]) -> Pose:
    backward = torch.nn.functional.normalize(place, dim=0)
    right = torch.nn.functional.normalize(torch.linalg.cross(place.new_tensor([0.0, 1.0, 0.0]), backward), dim=0)
    pose = torch.eye(4, dtype=place.dtype)
    pose[:3] = torch.stack([right, torch.linalg.cross(backward, right), backward, place], dim=1)
    return pose
