"""Several posed photos of a scene, each with its depth, ready to be lifted into one world.

In that world the photo in the midst of the others stands where a single photo would: so what goes for lifted photos,
such as ready camera paths, goes for scenes too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.devices import best_device
from gainer_ns.errors import GainerError
from gainer_ns.frames import CAMERA_DISTANCE
from gainer_ns.image.terminal import StepBar, say
from gainer_ns.io.depth_files import read_depth
from gainer_ns.lifting.metadata import LiftMetadata
from gainer_ns.lifting.rgbd_layers import MAX_DEPTH_RATIO, middle_of, split_into_layers
from gainer_ns.lifting.rgbd_photo import RgbdPhoto
from gainer_ns.lifting.scene_files import SceneView
from gainer_ns.preparation.agreement import agreement, better_scale, confidence, guided
from gainer_ns.preparation.alignment import aligned_inverse
from gainer_ns.preparation.config import DepthConfig, PreparationConfig
from gainer_ns.preparation.depth import TransformersDepth
from gainer_ns.preparation.plane_sweep import NoOverlap, swept_inverse_depths
from gainer_ns.preparation.posed_photo import PosedPhoto
from gainer_ns.preparation.prepared import Prepared
from gainer_ns.preparation.reduction import reduced_depth

_FEW_SHARE = 0.05
"""Where less of what two photos show agrees in depth, something is wrong with the depth or the poses."""


@dataclass
class SceneSources(PreparationConfig):
    """Where the masks and depths of photos come from, of one or several."""

    scene_depth: Literal["photos", "network"] = "photos"
    """Of several posed photos without depth files: photos finds depth by comparing them; network has depth.model
    estimate it, in the scale of what comparing finds."""


@dataclass(frozen=True, eq=False)
class SceneFrame:
    """The world of a scene: where that of its files is moved to, and how long a unit is.

    Attributes:
        middle: Number of the photo in the midst of the others.
        reference: [4, 4], its pose.
        unit: Length of a world unit in the files' units.
    """

    middle: int
    reference: Float[Tensor, "4 4"]
    unit: float

    @classmethod
    def around(cls, poses: Float[Tensor, "n 4 4"], unit: float = 1.0) -> SceneFrame:
        """Return the world around the photo whose camera stands nearest to the middle of all."""
        places = poses[:, :3, 3]
        middle = int((places - places.mean(dim=0)).norm(dim=1).argmin())
        return cls(middle, poses[middle], unit)

    @property
    def transform(self) -> Float[Tensor, "4 4"]:
        """What takes the files' coordinates to the world's, before they are divided by the unit."""
        transform = torch.linalg.inv(self.reference)
        transform[2, 3] += CAMERA_DISTANCE * self.unit
        return transform

    def moved(self, poses: Float[Tensor, "*n 4 4"]) -> Float[Tensor, "*n 3 4"]:
        """Return poses in the world."""
        moved = (self.transform @ poses)[..., :3, :]
        return torch.cat([moved[..., :3], moved[..., 3:] / self.unit], dim=-1).float()


def lift_scene(views: Sequence[SceneView], sources: SceneSources) -> tuple[list[RgbdPhoto], SceneFrame]:
    """Return the photos of a scene with their depths, and the world that they lie in.

    Depth comes from files where the scene names some, and else from the photos themselves, by a plane sweep; a
    network's depth is brought to the scale of that.

    Raises:
        GainerError: A file cannot be read or has another size, photos do not overlap, or depths contradict each other.
    """
    _check_options(sources)
    posed = [PosedPhoto(view.picture.colours(), view.camera, view.pose.numpy()) for view in views]
    depths = [_file_depth(view, view.depth, sources) for view in views if view.depth is not None]
    if depths:
        inverses = [_inverse(depth) for depth in depths]
        sure = [confidence(*counts) for counts in _agreement(views, posed, inverses)]
        if (scale := better_scale(posed, inverses)) != 1:
            raise GainerError(
                f"{views[0].depth}: photos match far better if depths are about {scale:.2g} times as large; are "
                "they in the units of the poses? (--pipeline.datamanager.depth-scale: units in a stored 1)"
            )
    else:
        inverses = _swept(views, posed)
        counts = _agreement(views, posed, inverses)
        if sources.scene_depth == "network":
            inverses = _estimated(views, inverses, counts, sources.depth)
            counts = _agreement(views, posed, inverses)
        else:
            trusted = [agreeing > 0 for agreeing, _ in counts]
            inverses = [guided(*each, photo.shades) for *each, photo in zip(inverses, trusted, posed, strict=True)]
        sure = [confidence(*each, unseen=0.0) for each in counts]
    prepared = [_prepared(view, _inverse(inverse)) for view, inverse in zip(views, inverses, strict=True)]
    frame = SceneFrame.around(torch.stack([view.pose for view in views]))
    frame = replace(frame, unit=middle_of(prepared[frame.middle]))
    photos = []
    for view, ready, share in zip(views, prepared, sure, strict=True):
        ready = replace(ready, depth=np.minimum(ready.depth, np.float32(MAX_DEPTH_RATIO * frame.unit)))
        layers = split_into_layers(torch.from_numpy(view.picture.colours()), ready)
        metadata = LiftMetadata(view.camera, frame.unit, bool(depths), view.picture.bit_depth)
        pose = frame.moved(view.pose)
        photos.append(RgbdPhoto(view.path, metadata, layers, view.picture.profile, pose, torch.from_numpy(share)))
    return photos, frame


def _check_options(sources: SceneSources) -> None:
    """Refuse what can only be said of a single photo."""
    for option in ("mask_path", "depth_path", "focal_length", "click", "exclude", "box"):
        if getattr(sources, option) not in (None, ()):
            words = option.replace("_", "-")
            raise GainerError(
                f"--pipeline.datamanager.{words}: is of a single photo, and this is a scene of several; leave it out, "
                "and name masks and depths in transforms.json (mask_path, depth_file_path)"
            )


def _prepared(view: SceneView, depth: Float[np.ndarray, "h w"]) -> Prepared:
    """Return what a single photo would be lifted by."""
    mask = None if view.opacity.min() == 1 else view.opacity
    if not (depth > 0 if mask is None else (depth > 0) & (mask >= 0.5)).any():
        raise GainerError(f"{view.path}: no depth is known where its mask takes something; mend one of them")
    return Prepared(depth, mask, view.camera.focal_length[0], "metres", "the scene", None, "the scene")


def _file_depth(view: SceneView, path: Path, sources: SceneSources) -> Float[np.ndarray, "h w"]:
    estimate, size = sources.depth, (view.camera.width, view.camera.height)
    read = read_depth(path, *view.stored_size, sources.depth_scale, estimate.kind, estimate.far)
    if read.units == "relative":
        raise GainerError(f"{path}: has no scale, as photos of a scene need; give --pipeline.datamanager.depth-scale")
    return view.straightened(read.depth if view.factor == 1 else reduced_depth(read.depth, view.factor, size))


def _swept(views: Sequence[SceneView], posed: Sequence[PosedPhoto]) -> list[Float[np.ndarray, "h w"]]:
    if len(views) < 2:
        raise GainerError(
            f"{views[0].path}: is the only photo, and has no depth; name a depth_file_path, or add photos"
        )
    say(f"Finding the depth of {len(views)} photos by each other")
    bar = StepBar()
    try:
        return swept_inverse_depths(posed, bar.show)
    except NoOverlap as lonely:
        raise GainerError(
            f"{views[lonely.number].path}: shows nothing that other photos show, if the poses are right; take it out, "
            "or name a depth_file_path for each photo"
        ) from None
    finally:
        bar.close()


def _agreement(
    views: Sequence[SceneView], posed: Sequence[PosedPhoto], inverses: Sequence[Float[np.ndarray, "h w"]]
) -> list[tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]]:
    """Return with how many other photos each pixel agrees in depth, and with how many it could."""
    counts = agreement(posed, inverses)
    for view, (agreeing, seen) in zip(views, counts, strict=True):
        if seen.mean() > _FEW_SHARE and (agreeing > 0)[seen > 0].mean() < _FEW_SHARE:
            raise GainerError(
                f"{view.path}: its depth lies elsewhere than that of other photos; is its pose right, and its depth "
                "along the camera's axis, in the units of the poses (--pipeline.datamanager.depth-scale)?"
            )
    return counts


def _estimated(
    views: Sequence[SceneView],
    targets: Sequence[Float[np.ndarray, "h w"]],
    counts: Sequence[tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]],
    config: DepthConfig,
) -> list[Float[np.ndarray, "h w"]]:
    """Return a network's inverse depths, brought to the scale of those found before where photos agree on them."""
    network = TransformersDepth(config, best_device())
    inverses = []
    for view, target, (agreeing, _) in zip(views, targets, counts, strict=True):
        made = network(view.picture.colours(), view.camera.focal_length[0])
        try:
            inverses.append(
                aligned_inverse(_inverse(made.depth), target, agreeing > 0, has_offset=made.units == "relative")
            )
        except ValueError as error:
            raise GainerError(
                f"{view.path}: {config.model}'s depth has nothing to do with what other photos show ({error}); "
                "say what it answers with (--pipeline.datamanager.depth.output), or use scene-depth photos"
            ) from error
    return inverses


def _inverse(depth: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Return inverse depth of depth, or depth of its inverse; 0 where it is unknown."""
    return np.where(depth > 0, 1 / np.where(depth > 0, depth, 1), 0).astype(np.float32)
