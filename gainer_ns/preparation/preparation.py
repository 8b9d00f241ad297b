"""Finds or makes what a photo needs to be lifted: named by the user, kept beside the photo, or computed."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.io.depth_files import read_depth
from gainer_ns.io.image_io import SourceImage, read_picture, strict_pillow
from gainer_ns.io.image_writing import write_picture
from gainer_ns.options import MANY_POINTS, PointList, flattened_groups
from gainer_ns.preparation.depth import DepthConfig, DepthMap
from gainer_ns.preparation.focal_length import FocalLength, check_focal_length, find_focal_length
from gainer_ns.preparation.prepared import Prepared, load, save, write_mask
from gainer_ns.preparation.prepared_folder import CAMERA, MASK, PREVIEW, digest, folder_for, read_camera, writable
from gainer_ns.preparation.preview import preview
from gainer_ns.preparation.segmentation import Prompt, SegmentationConfig, check_mask, read_fitting_mask

logger = logging.getLogger(__name__)

Mask = tuple[np.ndarray, str]
"""A mask, float32 [h, w] in [0, 1], and who made it."""


@dataclass
class PreparationConfig:
    """Where a photo's mask, depth and focal length come from."""

    mask_path: Path | None = None
    """Picture of what is lifted: its alpha if it has some, a label, or white on black. As large as the photo."""
    mask_label: int | Literal["luma", "alpha"] | None = None
    """Which label of the mask is lifted, where it holds several; luma or alpha, where it could be either."""
    depth_path: Path | None = None
    """Depth of the photo: .npy, .npz, .pfm, .exr, .tif, or a 16-bit .png in millimetres. As large as the photo."""
    depth_scale: float | None = None
    """Metres (or other units) that a step of the depth file stands for; a 16-bit file's are millimetres."""
    focal_length: float | None = None
    """Focal length in pixels of the photo as stored; otherwise kept, estimated, from EXIF, or assumed."""
    click: Annotated[PointList, MANY_POINTS] = ()
    """X Y of points on what is lifted, in pixels of the photo, x right, y down; several: X Y X Y ..."""
    exclude: Annotated[PointList, MANY_POINTS] = ()
    """X Y of points on what is not lifted."""
    box: tuple[float, float, float, float] | None = None
    """X0 Y0 X1 Y1 around what is lifted, in pixels of the photo."""
    depth: DepthConfig = field(default_factory=DepthConfig)
    """What estimates depth where no file and no prepared folder has it."""
    segmentation: SegmentationConfig = field(default_factory=SegmentationConfig)
    """What makes a mask of clicks or a box."""

    def __post_init__(self) -> None:
        self.click, self.exclude = flattened_groups(self.click), flattened_groups(self.exclude)

    @property
    def has_prompt(self) -> bool:
        """Whether a mask is to be made of clicks or a box."""
        return bool(self.click or self.exclude or self.box)

    def requests(self) -> dict[str, Any]:
        """What is to be computed, in a form that JSON keeps, by which a folder that was made so is recognised."""
        prompt = {
            "model": self.segmentation.model,
            "click": [[float(value) for value in point] for point in self.click],
            "exclude": [[float(value) for value in point] for point in self.exclude],
            "box": None if self.box is None else [float(value) for value in self.box],
        }
        return {
            "depth_model": self.depth.model if self.depth_path is None else None,
            "prompt": prompt if self.has_prompt and self.mask_path is None else None,
        }


def prepare(
    picture_path: Path,
    picture: SourceImage,
    config: PreparationConfig,
    *,
    folder: Path | None = None,
    device: torch.device | str = "cpu",
    fresh: bool = False,
) -> Prepared:
    """Finds or makes a photo's depth, mask and focal length.

    What the user names goes before what the prepared folder holds, and that before what is computed: depth by the
    network, a mask from clicks or a box. The photo's own alpha is its mask where nothing else is; without any, the
    whole photo is lifted. As soon as anything has to be computed, all is kept in the folder, whose place is tried
    before. A kept depth and focal length are not changed by a focal length that is named later: it only replaces the
    kept one.

    Args:
        picture_path: The photo's file.
        picture: The photo, as stored or reduced by a whole factor.
        config: What the user says.
        folder: A prepared folder, or where to make one; None for the one beside the photo.
        device: Where networks run.
        fresh: Make all anew, whatever the folder holds, and keep it there even if nothing had to be computed.

    Returns:
        For the photo as passed, that is, reduced if it is.

    Raises:
        GainerError: What is named does not fit the photo, nothing can estimate the depth here, the folder cannot be
            written, the mask is empty, or nothing inside of it has a known depth.
    """
    if config.depth.kind is not None and config.depth_path is None:
        raise GainerError("--pipeline.datamanager.depth.kind: says what a depth file holds; name it, or leave this out")
    config.depth.check()
    if config.focal_length is not None:
        check_focal_length(config.focal_length, "focal length")
    whole = _as_stored(picture_path, picture)
    kept = None if fresh else _kept(picture_path, whole, folder)
    task = _Task(picture_path, whole, config, kept, folder or folder_for(picture_path), _checked_device(device))
    made = task.run(keep=fresh)
    if kept is not None:
        logger.info("%s: depth by %s, mask by %s", picture_path, made.depth_by, made.mask_by or "nobody: all is lifted")
    return made.reduced(picture.width, picture.height)


def prepare_mask(
    picture_path: Path,
    picture: SourceImage,
    config: PreparationConfig,
    *,
    folder: Path | None = None,
    device: torch.device | str = "cpu",
) -> Mask:
    """Makes the mask alone and writes it to the folder as mask.png, with a preview.

    Args:
        picture_path: The photo's file.
        picture: The photo as stored.
        config: What the user says.
        folder: Where to; None for the one beside the photo.
        device: Where a network runs.

    Returns:
        The mask, float32 [h, w] in [0, 1], and who made it.

    Raises:
        GainerError: Nothing says what the mask is, or as in ``prepare``.
    """
    folder = folder or folder_for(picture_path)
    if (folder / CAMERA).is_file():
        raise GainerError(f"{folder}: holds depth too, made with another mask; choose another folder with --output")
    task = _Task(picture_path, picture, config, None, folder, _checked_device(device))
    with writable(folder, picture_path):
        mask = task.mask()
        if mask is None:
            raise GainerError(f"{picture_path}: nothing says what to mask; add --click X Y or --box X0 Y0 X1 Y1")
        write_mask(folder / MASK, mask[0])
        write_picture(folder / PREVIEW, preview(picture.colours(), mask[0], None))
    return mask


@dataclass
class _Kept:
    """What the prepared folder holds, and what it was asked for."""

    prepared: Prepared
    requests: dict[str, Any]


@dataclass
class _Task:
    """One photo being prepared, at the size at which it is stored."""

    path: Path
    picture: SourceImage
    config: PreparationConfig
    kept: _Kept | None
    folder: Path
    device: torch.device

    def run(self, *, keep: bool) -> Prepared:
        """All of it, kept in the folder if it should be or has to be computed."""
        computes_depth = self.config.depth_path is None and self._kept_depth() is None
        if not (keep or computes_depth or self._segments()):
            return self._together()
        with writable(self.folder, self.path):
            made = self._together()
            save(made, self.folder, self.path, self.picture.colours(), self._requests())
        return made

    def mask(self) -> Mask | None:
        """What is lifted, and who said so; None for the whole photo."""
        size = self.picture.width, self.picture.height
        if self.config.mask_path is not None:
            mask = read_fitting_mask(self.config.mask_path, *size, label=self.config.mask_label)
            check_mask(mask, str(self.config.mask_path))
            return mask, f"file {self.config.mask_path.name}"
        if self._segments():
            return self._segmented()
        if self.kept is not None:
            mask = self.kept.prepared.mask
            return None if mask is None else (mask, str(self.kept.prepared.mask_by))
        opacity = self.picture.opacity()
        return None if self.picture.alpha is None or opacity.min() == 1.0 else (opacity, "the picture's own alpha")

    def _together(self) -> Prepared:
        mask = self.mask()  # before depth: it is quicker to find fault with
        depth = self._depth()
        kept_depth = self._kept_depth()
        estimated = None if depth.focal_length is None else FocalLength(depth.focal_length, depth.made_by)
        focal_length = find_focal_length(
            self.path,
            self.picture.width,
            self.picture.height,
            given=self.config.focal_length,
            kept=None if kept_depth is None else FocalLength(kept_depth.focal_length, kept_depth.focal_length_by),
            estimated=estimated,
        )
        _check_overlap(self.path, depth.depth, None if mask is None else mask[0])
        return Prepared(
            depth=depth.depth,
            mask=None if mask is None else mask[0],
            focal_length=focal_length.pixels,
            units=depth.units,
            depth_by=depth.made_by,
            mask_by=None if mask is None else mask[1],
            focal_length_by=focal_length.found_by,
        )

    def _depth(self) -> DepthMap:
        if self.config.depth_path is not None:
            size = self.picture.width, self.picture.height
            estimate = self.config.depth
            return read_depth(
                self.config.depth_path, *size, scale=self.config.depth_scale, kind=estimate.kind, far=estimate.far
            )
        kept = self._kept_depth()
        if kept is not None:
            return DepthMap(kept.depth, kept.units, None, kept.depth_by)
        return self.config.depth.estimator(self.device)(self.picture.colours(), self.config.focal_length)

    def _kept_depth(self) -> Prepared | None:
        """What the folder holds, unless another network is asked for by name than the one that was."""
        if self.kept is None:
            return None
        asked = self.config.depth.model
        usual = asked == DepthConfig.model or asked == self.kept.requests.get("depth_model")
        return self.kept.prepared if usual else None

    def _requests(self) -> dict[str, Any]:
        """What was asked for now, or, of what the folder held already, when that was made."""
        requests, earlier = self.config.requests(), {} if self.kept is None else self.kept.requests
        if self.config.depth_path is None and self._kept_depth() is not None:
            requests["depth_model"] = earlier.get("depth_model")
        if self.kept is not None and self.config.mask_path is None and not self._segments():
            requests["prompt"] = earlier.get("prompt")
        return requests

    def _segments(self) -> bool:
        """Whether clicks or a box are to be made into a mask, and the folder does not hold that mask already."""
        if self.config.mask_path is not None or not self.config.has_prompt:
            return False
        return self.kept is None or self.kept.requests.get("prompt") != self.config.requests()["prompt"]

    def _segmented(self) -> Mask:
        config = self.config
        prompt = Prompt(tuple(config.click), tuple(config.exclude), config.box)
        prompt.check(self.picture.width, self.picture.height)  # before a model is loaded
        segmenter = config.segmentation.segmenter(self.device)
        mask = segmenter(self.picture.colours(), prompt)
        check_mask(mask, str(self.path))
        return mask, str(config.segmentation.model or "GrabCut")


def _checked_device(device: torch.device | str) -> torch.device:
    """Refuses a device that this machine has not."""
    try:
        found = torch.device(device)
    except RuntimeError:
        raise GainerError(f"device {device}: is none that torch knows; give cpu, cuda, or leave it out") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise GainerError(f"device {device}: torch finds no CUDA here; give cpu, or leave it out")
    return found


def _as_stored(path: Path, picture: SourceImage) -> SourceImage:
    """The photo at the size at which it is stored: the file says, which may be turned."""
    with strict_pillow(), Image.open(path) as image:
        stored = image.size
    return picture if sorted(stored) == sorted((picture.width, picture.height)) else read_picture(path)


def _kept(path: Path, picture: SourceImage, folder: Path | None) -> _Kept | None:
    """What an earlier preparation kept; None if there was none."""
    place = folder or folder_for(path)
    if not (place / CAMERA).is_file():
        return None
    notes = read_camera(place)
    if folder is None and notes["picture"] != path.name:
        raise GainerError(
            f"{place}: was prepared for {notes['picture']}; run gainer prepare {path.name} --output DIR, "
            "and train with --data DIR"
        )
    if notes.get("picture_sha256") not in (None, digest(path)):
        logger.warning(
            "%s: has changed since %s was prepared; run gainer prepare again if it shows other things", path, place
        )
    requests = notes.get("requests")
    return _Kept(load(place, picture.width, picture.height), requests if isinstance(requests, dict) else {})


def _check_overlap(path: Path, depth: np.ndarray, mask: np.ndarray | None) -> None:
    """Refuses a mask inside of which no depth is known."""
    inside = depth > 0 if mask is None else (depth > 0) & (mask >= 0.5)
    if not inside.any():
        raise GainerError(f"{path}: no depth is known inside the mask; choose another mask, or a depth that covers it")
