"""Pictures with known cameras as a folder that the evaluation reads: reduced pictures and one scene.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import rq

from gainer_ns.errors import GainerError
from gainer_ns.io.files import whole_file
from gainer_ns.io.image_io import read_picture
from gainer_ns.io.image_writing import write_picture

CONVENTION = (
    "x right, y down, z forward (OpenCV); c2w maps camera points to the world; K is in pixels of the pictures beside "
    "it, pixel centres at .5"
)


@dataclass(frozen=True, eq=False)
class View:
    """A picture and its camera.

    Attributes:
        picture: The file, as published.
        K: Intrinsics [3, 3] in pixels of a picture of ``size``, pixel centres at .5.
        size: Width and height that K is for; the file may be smaller.
        c2w: Camera to world [4, 4], OpenCV's axes.
        extra: What else is known: near, far ...
        mask: Picture of the object, white on black, if there is one.
    """

    picture: Path
    K: np.ndarray
    size: tuple[int, int]
    c2w: np.ndarray
    extra: dict[str, float] = field(default_factory=dict)
    mask: Path | None = None


def write_scene(
    folder: Path,
    views: Sequence[View],
    *,
    source: str,
    units: str,
    factor: int,
    is_reduced: bool = False,
    extra: dict[str, Any] | None = None,
) -> Path:
    """Writes the pictures, reduced, and scene.json, which comes last.

    Args:
        folder: Where to.
        views: All of one size.
        source: Where the pictures come from.
        units: Of the world.
        factor: By which the pictures are reduced, 1 or more; it names their folder.
        is_reduced: Whether the files are reduced so already.
        extra: More fields.

    Returns:
        The path of scene.json.

    Raises:
        GainerError: There are no views, they differ in size, a picture cannot be read, or a file not be written.
    """
    if not views:
        raise GainerError(f"{folder}: no pictures with cameras were found; is it the right archive?")
    listed, sizes = [], set()
    divisor = 1 if is_reduced else factor
    for view in views:
        picture = read_picture(view.picture, downscale_factor=divisor)
        sizes.add((picture.width, picture.height))
        name = f"images_{factor}/{view.picture.stem}.png"
        write_picture(folder / name, picture.colours(), None if picture.alpha is None else picture.opacity())
        entry: dict[str, Any] = {"image": name}
        if view.mask is not None:
            entry["mask"] = f"masks_{factor}/{view.mask.stem}.png"
            mask = read_picture(view.mask, downscale_factor=divisor)
            write_picture(folder / entry["mask"], mask.colours())
        scale = np.diag([picture.width / view.size[0], picture.height / view.size[1], 1.0])
        entry |= {"K": (scale @ view.K).tolist(), "c2w": view.c2w.tolist(), **view.extra}
        listed.append(entry)
    if len(sizes) != 1:
        raise GainerError(f"{folder}: its pictures have different sizes, {sorted(sizes)}; one size is needed")
    ((width, height),) = sizes
    scene: dict[str, Any] = {"kind": "multiview", "source": source, "width": width, "height": height}
    if all(np.allclose(entry["K"], listed[0]["K"]) for entry in listed):
        scene["K"] = listed[0]["K"]
        for entry in listed:
            del entry["K"]
    scene |= {"convention": CONVENTION, "units": units, **(extra or {}), "views": listed}
    with whole_file(folder / "scene.json") as file:
        file.write((json.dumps(scene, indent=1) + "\n").encode())
    return folder / "scene.json"


def cameras_from_llff(
    poses_bounds: np.ndarray,
) -> list[tuple[np.ndarray, tuple[int, int], np.ndarray, dict[str, float]]]:
    """Cameras of LLFF's poses_bounds.npy.

    Args:
        poses_bounds: [n, 17]: in each row 3 x 5 numbers, whose columns are down, right, back, centre, and height,
            width and focal length in pixels; then the nearest and farthest depth (Mildenhall et al., Local Light Field
            Fusion, 2019).

    Returns:
        Of each view K [3, 3], its size (width, height), c2w [4, 4], and near and far.

    Raises:
        GainerError: It has another shape, or numbers that are none.
    """
    if poses_bounds.ndim != 2 or poses_bounds.shape[1] != 17 or not np.isfinite(poses_bounds).all():
        raise GainerError(
            f"poses_bounds.npy: has shape {list(poses_bounds.shape)}, not [n, 17] of numbers; fetch it again"
        )
    cameras = []
    for row in poses_bounds.astype(np.float64):
        down, right, back, centre, (height, width, focal) = row[:15].reshape(3, 5).T
        c2w = np.eye(4)
        c2w[:3] = np.stack([right, down, -back, centre], axis=1)
        K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        cameras.append((K, (int(width), int(height)), c2w, {"near": float(row[15]), "far": float(row[16])}))
    return cameras


def camera_from_projection(projection: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Takes a projection matrix apart (Hartley and Zisserman, Multiple View Geometry, section 6.2.4).

    Args:
        projection: [3, 4], from the world to pixels, up to scale and sign.

    Returns:
        K [3, 3] with a positive diagonal and 1 in its corner, and c2w [4, 4], OpenCV's axes.

    Raises:
        GainerError: It is that of no camera.
    """
    projection = np.asarray(projection, np.float64)
    determinant = np.linalg.det(projection[:, :3])
    if not np.isfinite(projection).all() or abs(determinant) < 1e-12:
        raise GainerError("cameras: a projection matrix is singular; fetch the archive again")
    projection = projection * np.sign(determinant)  # so that what lies in front has positive depth
    K, rotation = rq(projection[:, :3])
    signs = np.diag(np.sign(np.diag(K)))
    K, rotation = K @ signs, signs @ rotation
    c2w = np.eye(4)
    c2w[:3, :3] = rotation.T
    c2w[:3, 3] = -np.linalg.solve(projection[:, :3], projection[:, 3])
    return K / K[2, 2], c2w
