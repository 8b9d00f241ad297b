"""Pairs of views of real scenes: one is lifted by its depth, the other is what it should look like from there.

A scene is a folder with pictures and a ``scene.json``, whose ``kind`` says how it is read:

* ``stereo``: a rectified pair with the disparity of the left view, which is lifted.
* ``rgbd``: views with depth and pose. Of the two that stand closest together, the first is lifted.
* ``multiview``: views with poses. With sparse points, the first view is lifted, and compared with those nearest to it.
  Without, of cut-outs (RGBA), the view in the midst of the others is lifted by a depth that is made from other views,
  but never from the one that it is compared with.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from gainer_bench.view_depth import PosedView, depth_of_sparse_points, plane_sweep_depth
from gainer_bench.views import Intrinsics, ViewPair, moved
from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import SourceImage, read_picture

FREE_FOCAL_WIDTHS = 1.2
"""In picture widths, for stereo pairs without calibration: any focal length and baseline give the same other view."""
COMPARED_VIEWS = 2
"""How many views the source of a multiview scene is compared with."""
WHITE_BORDER_PX = 12
"""Px that are cut off each side of a depth camera's pictures: their colour is white there, or bleeds into white."""
SUBJECT_SHARE = 0.4
"""Reach of a cut-out subject around the point that all cameras look at, in distances of the source camera from it."""

Description = dict[str, Any]


def read_pairs(scene: Path) -> list[ViewPair]:
    """Return the pairs of views of a scene.

    Args:
        scene: A folder with a scene.json, or that file.

    Raises:
        GainerError: If it is neither, or no pairs with depth can be made from it.
    """
    folder = scene.parent if scene.name == "scene.json" else scene
    path = folder / "scene.json"
    try:
        description = json.loads(path.read_text("utf8"))
        reader = READERS[description["kind"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise GainerError(
            f"{path}: describes no scene ({type(error).__name__}); name a folder with a scene.json whose kind is one "
            f"of {', '.join(READERS)}"
        ) from error
    try:
        return reader(folder, description)
    except GainerError:
        raise
    except (OSError, ValueError, TypeError, LookupError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise GainerError(f"{path}: does not fit its kind, {description['kind']} ({reason}); mend the scene") from error


def _stereo(folder: Path, description: Description) -> list[ViewPair]:
    left, right = (read_picture(folder / description[side]) for side in ("left", "right"))
    entries = description["disparity"]
    entry = next(one for one in (entries if isinstance(entries, list) else [entries]) if one["view"] == "left")
    disparity = _stored(folder / entry["file"], entry.get("key")) * entry["scale_to_px"]
    doffs = description["doffs_px"]
    known = np.isfinite(disparity) & (disparity > 0) & (disparity + doffs > 0)
    note = "measured disparity"
    if description["focal_px"] is None:
        focal, baseline = FREE_FOCAL_WIDTHS * left.width, 1.0
        note += "; focal length and baseline are free"
    else:
        focal, baseline = float(description["focal_px"]), float(description["baseline_m"])
    depth = np.where(known, focal * baseline / np.where(known, disparity + doffs, 1.0), 0.0)
    # scene.json counts pixel centres at whole numbers.
    cx, cy = description.get("cx_left", (left.width - 1) / 2) + 0.5, description.get("cy", (left.height - 1) / 2) + 0.5
    K_left, K_right = Intrinsics(focal, focal, cx, cy), Intrinsics(focal, focal, cx + doffs, cy)
    T = np.eye(4)
    T[0, 3] = -baseline
    return _pairs(folder.name, _View(left, K_left, np.eye(4)), [_View(right, K_right, T)], depth, note)


def _rgbd(folder: Path, description: Description) -> list[ViewPair]:
    views = description["views"]
    poses = [np.array(view["c2w"], np.float64) for view in views]
    apart = {(a, b): _apart(poses[a], poses[b]) for b in range(len(views)) for a in range(b)}
    closest = min(apart, key=lambda pair: apart[pair])
    inner = slice(WHITE_BORDER_PX, -WHITE_BORDER_PX)
    whole = [read_picture(folder / views[one]["image"]) for one in closest]
    source, target = (SourceImage(one.rgb[inner, inner], None, one.path) for one in whole)
    K = _intrinsics(description, 0.5 - WHITE_BORDER_PX)
    T = np.linalg.inv(poses[closest[1]]) @ poses[closest[0]]
    depth = _stored(folder / views[closest[0]]["depth"])[inner, inner] * description["depth"]["metres_per_unit"]
    note = "measured by a depth camera"
    return _pairs(folder.name, _View(source, K, np.eye(4)), [_View(target, K, T)], depth, note)


def _multiview(folder: Path, description: Description) -> list[ViewPair]:
    sparse = description.get("sparse_points")
    poses = [np.array(view["c2w"], np.float64) for view in description["views"]]
    # COLMAP and Blender put the principal point in the middle of such pictures, with pixel centres at .5.
    K = _intrinsics(description, 0.5 if "whole numbers" in description["convention"] else 0.0)
    nearest = [sorted(range(len(poses)), key=lambda one, pose=pose: _apart(pose, poses[one])) for pose in poses]
    reach = [_apart(poses[near[0]], poses[near[min(COMPARED_VIEWS, len(near) - 1)]]) for near in nearest]
    source = 0 if sparse is not None else int(np.argmin(reach))
    views = [
        _View(read_picture(folder / description["views"][one]["image"]), K, np.linalg.inv(poses[one]) @ poses[source])
        for one in nearest[source][: COMPARED_VIEWS + 2]
    ]
    first, targets = views[0], views[1 : COMPARED_VIEWS + 1]
    if sparse is not None:
        cloud = np.load(folder / sparse["file"])
        points = moved(cloud["xyz"][cloud["seen"][:, source]].astype(np.float64), np.linalg.inv(poses[source]))
        depth = depth_of_sparse_points(K.project(points), points[:, 2], first.picture.width, first.picture.height)
        return _pairs(folder.name, first, targets, depth, f"inverse depth, linear between {len(points)} sparse points")
    if first.picture.alpha is None:
        raise GainerError(
            f"{folder}: has neither depth, nor sparse points, nor alpha; name a scene that has one of them"
        )
    pairs, distance = [], _distance_of_subject(poses, source)
    for target in targets:
        others = [view for view in views[1:] if view is not target]
        own, *posed = (
            PosedView(one.picture.colours(), one.picture.opacity(), one.K, one.T) for one in (first, *others)
        )
        depth = plane_sweep_depth(own, posed, distance * (1 - SUBJECT_SHARE), distance * (1 + SUBJECT_SHARE))
        note = f"plane sweep against {' and '.join(one.label for one in others)}: rough, and its errors count"
        pairs += _pairs(folder.name, first, [target], depth, note)
    return pairs


READERS: dict[str, Callable[[Path, Description], list[ViewPair]]] = {
    "stereo": _stereo,
    "rgbd": _rgbd,
    "multiview": _multiview,
}


class _View(NamedTuple):
    picture: SourceImage
    K: Intrinsics
    T: np.ndarray  # takes points from the source's frame to this one's

    @property
    def label(self) -> str:
        return self.picture.path.stem


def _pairs(
    scene: str, source: _View, targets: Sequence[_View], depth: Float[np.ndarray, "h w"], note: str
) -> list[ViewPair]:
    """Return the source with each target; all pairs share its arrays."""
    size, shape = (source.picture.height, source.picture.width), depth.shape
    if shape != size:
        raise GainerError(
            f"{source.picture.path}: has {size[1]} x {size[0]} pixels, its depth {shape[1]} x {shape[0]}; mend the "
            "scene"
        )
    colours, depth = source.picture.colours(), depth.astype(np.float32)
    alpha = None if source.picture.alpha is None else source.picture.opacity()
    return [
        ViewPair(
            name=f"{scene} {source.label} to {target.label}",
            source_colours=colours,
            source_alpha=alpha,
            source_depth=depth,
            K_source=source.K,
            target_colours=target.picture.colours(),
            target_alpha=None if target.picture.alpha is None else target.picture.opacity(),
            K_target=target.K,
            T_target_from_source=target.T,
            depth_note=note,
        )
        for target in targets
    ]


def _intrinsics(description: Description, shift: float) -> Intrinsics:
    """Return the camera of all views, its principal point moved to where pixel centres are at .5."""
    (fx, _, cx), (_, fy, cy), _ = description["K"]
    return Intrinsics(float(fx), float(fy), cx + shift, cy + shift)


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    """Return how far two cameras stand from one another."""
    return float(np.linalg.norm(one[:3, 3] - other[:3, 3]))


def _distance_of_subject(poses: Sequence[np.ndarray], source: int) -> float:
    """Return depth, in the source view, of the point nearest to the optical axes of all views."""
    across = [np.eye(3) - np.outer(pose[:3, 2], pose[:3, 2]) for pose in poses]
    middle = np.linalg.lstsq(
        sum(across), sum(a @ pose[:3, 3] for a, pose in zip(across, poses, strict=True)), rcond=None
    )[0]
    return float((middle - poses[source][:3, 3]) @ poses[source][:3, 2])


def _stored(path: Path, key: str | None = None) -> Float[np.ndarray, "h w"]:
    """Return a depth or disparity file's numbers as they are stored."""
    if path.suffix == ".npz":
        return np.load(path)[key].astype(np.float64)
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.ndim != 2:
        raise GainerError(f"{path}: is no picture with one channel; mend the scene")
    return stored.astype(np.float64)
