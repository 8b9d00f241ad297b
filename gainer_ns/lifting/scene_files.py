"""A scene of several posed photos as its files tell it, read by nerfstudio's own dataparsers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from PIL import Image
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.frames import PinholeCamera
from gainer_ns.io.image_io import SourceImage, read_picture, strict_pillow
from gainer_ns.preparation.reduction import reduced_mask
from gainer_ns.preparation.segmentation import read_fitting_mask

EvalMode = Literal["fraction", "filename", "interval", "all"]
_TRANSFORMS = "transforms.json"
_COLMAP_FOLDERS = "colmap/sparse/0", "sparse/0", "sparse"
_MAX_ASPECT_ERROR = 0.02
"""By which share a photo's proportions may differ from its camera's: sizes are rounded where photos are reduced."""
_MAX_ROTATION_ERROR = 1e-2
"""How far the columns of a pose may be from a rotation's."""


def is_scene(data: Path) -> bool:
    """Return whether a path is that of several posed photos: a transforms.json, its folder, or a folder of COLMAP."""
    if data.is_dir():
        return (data / _TRANSFORMS).is_file() or _colmap_folder(data) is not None
    return data.suffix == ".json" and data.is_file()


def read_scene(
    data: Path,
    split: str,
    *,
    downscale_factor: int = 1,
    eval_mode: EvalMode = "fraction",
    eval_interval: int = 8,
    train_split_fraction: float = 0.9,
) -> DataparserOutputs:
    """Read photos, cameras, masks, depths and points of a split, in the scene's own coordinates.

    Args:
        data: See :func:`is_scene`.
        split: train, val or test. Where it would have no photos, it has those of train.
        downscale_factor: Take photos from ``images_N``, where the scene has such a folder.
        eval_mode: As of nerfstudio's dataparsers.
        eval_interval: Likewise.
        train_split_fraction: Likewise.

    Raises:
        GainerError: A photo has no pose, a pose is none, or a file is missing or damaged.
    """
    common: dict[str, Any] = {
        "orientation_method": "none",
        "center_method": "none",
        "auto_scale_poses": False,
        "eval_mode": eval_mode,
        "eval_interval": eval_interval,
        "train_split_fraction": train_split_fraction,
        "downscale_factor": downscale_factor if (folder_of(data) / f"images_{downscale_factor}").is_dir() else 1,
    }
    transforms = data if data.suffix == ".json" else data / _TRANSFORMS
    if transforms.is_file():
        said = _checked_transforms(transforms)
        config = NerfstudioDataParserConfig(data=data, load_3D_points="ply_file_path" in said, **common)
    else:
        config = ColmapDataParserConfig(data=data, colmap_path=_colmap_folder(data) or Path(), **common)
    try:
        parser = config.setup()
        outputs = parser.get_dataparser_outputs(split=split)
        if len(outputs.image_filenames) == 0:
            outputs = parser.get_dataparser_outputs(split="train")
    except (AssertionError, OSError, ValueError, LookupError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise GainerError(f"{data}: is no scene that nerfstudio reads ({reason}); mend it") from error
    depths = outputs.metadata.get("depth_filenames") or ()
    for path in (*outputs.image_filenames, *(outputs.mask_filenames or ()), *depths):
        if not path.is_file():
            raise GainerError(f"{path}: does not exist, and {data} names it; put it there, or take the photo out")
    check_poses(data, outputs.image_filenames, outputs.cameras)
    return outputs


def folder_of(data: Path) -> Path:
    """Return a scene's folder."""
    return data.parent if data.suffix == ".json" else data


@dataclass(frozen=True, eq=False)
class SceneView:
    """A photo of a scene, as its files tell it.

    Attributes:
        path: Its file.
        stored_size: Width and height of the file in pixels.
        factor: By which it is reduced when it is read.
        camera: Of the photo as it is read, without what its lens distorts.
        pose: [4, 4], from the camera's axes to the scene's coordinates.
        distortion: OpenCV's k1, k2, p1, p2, k3, which are taken out of the photo.
        mask: Its mask's file.
        depth: Its depth's file.
    """

    path: Path
    stored_size: tuple[int, int]
    factor: int
    camera: PinholeCamera
    pose: Float[Tensor, "4 4"]
    distortion: tuple[float, ...]
    mask: Path | None
    depth: Path | None

    @cached_property
    def picture(self) -> SourceImage:
        """The photo, reduced and without what its lens distorts."""
        picture = read_picture(self.path, downscale_factor=self.factor)
        alpha = None if picture.alpha is None else self.straightened(picture.alpha, cv2.INTER_LINEAR)
        return replace(picture, rgb=self.straightened(picture.rgb, cv2.INTER_LINEAR), alpha=alpha)

    @cached_property
    def opacity(self) -> Float[np.ndarray, "h w"]:
        """How much of each pixel is meant: what the mask says, or the photo's own alpha."""
        if self.mask is None:
            return self.picture.opacity()
        mask = read_fitting_mask(self.mask, *self.stored_size)
        mask = self.straightened(reduced_mask(mask, (self.camera.width, self.camera.height)))
        if not mask.any():
            raise GainerError(f"{self.mask}: takes nothing of its photo; take the photo out, or mend the mask")
        return mask

    def straightened(self, values: np.ndarray, interpolation: int = cv2.INTER_NEAREST) -> np.ndarray:
        """Return numbers of the photo's pixels without what its lens distorts."""
        if not any(self.distortion):
            return values
        intrinsics = self.camera.opencv_matrix
        size = self.camera.width, self.camera.height
        ways = cv2.initUndistortRectifyMap(
            intrinsics, np.array(self.distortion), np.eye(3), intrinsics, size, cv2.CV_32FC1
        )
        return cv2.remap(values, *ways, interpolation)


def views_of(outputs: DataparserOutputs, downscale_factor: int) -> list[SceneView]:
    """Return the photos of a split, with cameras for the size at which each is read.

    Raises:
        GainerError: A photo has other proportions than its camera.
    """
    cameras, paths = outputs.cameras, outputs.image_filenames
    masks = outputs.mask_filenames or [None] * len(paths)
    depths = outputs.metadata.get("depth_filenames") or [None] * len(paths)
    lenses = torch.zeros(len(paths), 6) if cameras.distortion_params is None else cameras.distortion_params
    views = []
    for path, mask, depth, camera, pose, lens in zip(
        paths, masks, depths, pinhole_cameras(cameras), poses_of(cameras), lenses.tolist(), strict=True
    ):
        with strict_pillow(), Image.open(path) as image:
            stored = image.size
        factor = 1 if path.parent.name == f"images_{downscale_factor}" else downscale_factor
        width, height = (max(1, side // factor) for side in stored)
        across, down = width / camera.width, height / camera.height
        if abs(across / down - 1) > _MAX_ASPECT_ERROR:
            raise GainerError(
                f"{path}: is {width}x{height}, its camera {camera.width}x{camera.height}; "
                "give the photo that the camera belongs to"
            )
        fitting = camera.resized(width, height)
        k1, k2, k3, _, p1, p2 = lens  # as nerfstudio orders them
        views.append(SceneView(path, stored, factor, fitting, pose, (k1, k2, p1, p2, k3), mask, depth))
    return views


def pinhole_cameras(cameras: Cameras) -> list[PinholeCamera]:
    """Return the cameras without their poses and what lenses distort."""
    numbers = [getattr(cameras, name).flatten().tolist() for name in ("width", "height", "fx", "fy", "cx", "cy")]
    return [PinholeCamera.of_numbers(*each) for each in zip(*numbers, strict=True)]


def poses_of(cameras: Cameras) -> Float[Tensor, "n 4 4"]:
    """Return where cameras stand, float64."""
    bottom = torch.tensor([[[0.0, 0, 0, 1]]]).expand(len(cameras), 1, 4)
    return torch.cat([cameras.camera_to_worlds.cpu(), bottom], dim=1).double()


def check_poses(data: Path, photos: Sequence[Path], cameras: Cameras) -> None:
    """Refuse poses that are none, and lenses that are not those of pinhole cameras."""
    if bool((cameras.camera_type != CameraType.PERSPECTIVE.value).any()):
        raise GainerError(f"{data}: has photos of other lenses than perspective ones; undistort them first")
    for photo, pose in zip(photos, poses_of(cameras).numpy(), strict=True):
        rotation = pose[:3, :3]
        is_rotation = np.isfinite(pose).all() and np.abs(rotation.T @ rotation - np.eye(3)).max() < _MAX_ROTATION_ERROR
        if not is_rotation:
            problem = "is no rotation and place" if np.isfinite(pose).all() else "holds numbers that are not finite"
            raise GainerError(f"{data}: the pose of {photo.name} {problem}; mend it, or take the photo out")


def _colmap_folder(data: Path) -> Path | None:
    found = (
        Path(name) for name in _COLMAP_FOLDERS for end in ("bin", "txt") if (data / name / f"cameras.{end}").exists()
    )
    return next(found, None)


def _checked_transforms(path: Path) -> dict[str, Any]:
    """Return what a transforms.json says, after a look at what nerfstudio would end in many lines on."""
    try:
        said = json.loads(path.read_text("utf8"))
        frames = [dict(frame) for frame in said["frames"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GainerError(f"{path}: is no transforms.json of nerfstudio ({type(error).__name__}); mend it") from error
    if not frames:
        raise GainerError(f"{path}: has no frames; run ns-process-data again")
    for number, frame in enumerate(frames):
        name = frame.get("file_path")
        if not isinstance(name, str):
            raise GainerError(f"{path}: frame {number} has no file_path; name its photo")
        if np.shape(frame.get("transform_matrix") or ()) not in ((4, 4), (3, 4)):
            raise GainerError(f"{path}: {name} has no pose (transform_matrix); add it, or take the photo out")
    for kind in ("mask_path", "depth_file_path"):
        having = sum(kind in frame for frame in frames)
        if 0 < having < len(frames):
            lacking = next(frame["file_path"] for frame in frames if kind not in frame)
            raise GainerError(f"{path}: {lacking} has no {kind}, and others have; give one to all photos, or to none")
    return said
