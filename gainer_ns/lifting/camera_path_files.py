"""Says what is wrong with a camera path of nerfstudio's viewer, before anything slow is imported or loaded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gainer_ns.errors import GainerError
from gainer_ns.io.json_files import read_object
from gainer_ns.memory import check_drawn

MAX_PATH_BYTES = 64 * 2**20
"""Bytes of the longest camera path that is read."""
_MAX_COORDINATE = 1e6
"""Numbers beyond this, in world units, are no poses."""
PATH, OTHER = "a camera path", "name one that nerfstudio's viewer has saved"
SAVE = "save it again from nerfstudio's viewer"


def camera_path_of(path: Path, scale: float = 1.0) -> dict[str, Any]:
    """Read a camera path, as nerfstudio's viewer saves it.

    Args:
        path: The file.
        scale: Output pixels per pixel of its cameras.

    Returns:
        Of that as much as is drawn by.

    Raises:
        GainerError: If it is none, its camera is no perspective one, it has no cameras or one without a pose or a
            picture, or there is no memory for pictures as large as it asks for.
    """
    if path.is_file() and path.stat().st_size > MAX_PATH_BYTES:
        raise GainerError(f"{path}: is too long for {PATH}; {OTHER}")
    said = read_object(path, PATH, OTHER)
    cameras = said.get("camera_path")
    if not (isinstance(cameras, list) and all(isinstance(camera, dict) for camera in cameras)):
        raise GainerError(f"{path}: is not {PATH}; {OTHER}")
    if not cameras:
        raise GainerError(
            f"{path}: is a camera path without cameras; add some in nerfstudio's viewer, and save it again"
        )
    kind = str(said.get("camera_type", "perspective")).lower()
    if kind != "perspective":
        raise GainerError(
            f"{path}: is a path of a camera of type {kind[:20]!r}, and only perspective ones are drawn; choose that "
            "type in nerfstudio's viewer"
        )
    fps = _number(said.get("fps", 24.0))
    if not 0 < fps <= 1000:
        raise GainerError(f"{path}: has no frames a second; {SAVE}")
    width, height = (_number(said.get(name)) for name in ("render_width", "render_height"))
    if not (1 <= width < math.inf and 1 <= height < math.inf):
        sides = f"{said.get('render_width')!r} x {said.get('render_height')!r}"[:60]
        raise GainerError(
            f"{path}: has pictures of {sides} pixels; choose a resolution in the viewer, and save it again"
        )
    poses = [_pose(camera.get("camera_to_world")) for camera in cameras]
    for number, (camera, pose) in enumerate(zip(cameras, poses, strict=True)):
        if pose is None:
            raise GainerError(f"{path}: camera {number} stands nowhere, its camera_to_world is no pose; {SAVE}")
        if not 0.01 <= _number(camera.get("fov")) <= 179.9:
            raise GainerError(f"{path}: camera {number} has no field of view, fov, between 0 and 180 degrees; {SAVE}")
    check_drawn(width, height, scale, f"{path}: drawing its pictures of {width:.6g} x {height:.6g} pixels")
    return {
        "render_width": width,
        "render_height": height,
        "fps": fps,
        "camera_path": [
            {"camera_to_world": pose, "fov": float(camera["fov"])} for camera, pose in zip(cameras, poses, strict=True)
        ],
    }


def _number(value: Any) -> float:
    """Return a number, and not a number where there is none."""
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:  # of a whole number of 400 digits
        return math.inf


def _pose(value: Any) -> list[float] | None:
    """Return a pose of 4 x 4 numbers, which stand in one list or by rows; None for anything else."""
    numbers = [_number(one) for one in _flat(value)] if isinstance(value, list) else []
    if len(numbers) != 16 or not all(abs(one) < _MAX_COORDINATE for one in numbers):
        return None
    (a, b, c, _), (d, e, f, _), (g, h, i, _) = (numbers[row : row + 4] for row in (0, 4, 8))
    volume = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    return numbers if abs(volume) > 1e-9 else None


def _flat(rows: Iterable[Any]) -> Iterator[Any]:
    for row in rows:
        yield from row if isinstance(row, list) else (row,)
