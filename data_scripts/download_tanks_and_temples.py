"""Downloads and prepares a scene of Tanks and Temples: large things outdoors, photographed all around.

    python data_scripts/download_tanks_and_temples.py --scene truck --output data/tanks_and_temples

The benchmark publishes films and photographs without cameras. This takes tandt_db.zip (0.68 GB), in which the authors
of 3D Gaussian Splatting (Kerbl et al., 2023) publish two of the scenes at half size, without lens distortion, with
COLMAP's cameras and points; from their server, or from a copy on the Hugging Face hub, of a fixed revision. Size and
SHA-256 are those that the hub lists. The download itself has not been tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from commands import Options, run, workspace
from fetching import Archive
from scenes import View, write_scene
from unpacking import unpack

from gainer_ns.errors import GainerError
from gainer_ns.io.files import whole_file

ARCHIVE = Archive(
    name="tandt_db.zip",
    urls=(
        "https://repo-sam.inria.fr/fungraph/3d-gaussian-splatting/datasets/input/tandt_db.zip",
        "https://huggingface.co/camenduru/gaussian-splatting/resolve/f1a50032da2b80408d95af0629ccdd9e62621541/tandt_db.zip",
    ),
    size=682_628_995,
    checksum="sha256:816e62f22a161abbfe841d2a6b10cdf036e297c9fa289b3bfeee9c6ec526d7e1",
    terms="non-commercial research (https://www.tanksandtemples.org/license/); cite Knapitsch et al., 2017",
    page="https://github.com/graphdeco-inria/gaussian-splatting",
)
MODEL = ("cameras.bin", "images.bin", "points3D.bin")


@dataclass
class DownloadTanksAndTemples(Options):
    """Download and prepare a scene of Tanks and Temples: reduced photographs, cameras and sparse points."""

    output: Path = Path("data/tanks_and_temples")
    """Folder for the archive, which is kept, and for a folder of each scene."""
    factor: int = 1
    """Divides width and height of the photographs, about 980 x 545."""
    scene: Literal["train", "truck"] = "truck"
    """Which scene."""

    def run(self) -> Path | None:
        """Fetches, unpacks and converts."""
        archive = self.fetched(ARCHIVE)
        return None if archive is None else prepare(archive, self.output, self.scene, self.factor)


def prepare(archive: Path, output: Path, scene: str, factor: int) -> Path:
    """Converts a scene of the archive.

    Args:
        archive: tandt_db.zip.
        output: Where the scene's folder is made.
        scene: Its name.
        factor: By which photographs are reduced.

    Returns:
        The path of scene.json; sparse_points.npz lies beside it.

    Raises:
        GainerError: The archive lacks the scene, or its cameras are damaged or of an unknown kind.
    """
    from nerfstudio.data.utils import colmap_parsing_utils as colmap

    def placement(name: PurePosixPath) -> PurePosixPath | None:
        if scene not in name.parts[:-1] or "__MACOSX" in name.parts:
            return None
        inner = PurePosixPath(*name.parts[name.parts.index(scene) + 1 :])
        is_model = str(inner.parent) == "sparse/0" and inner.name in MODEL
        return inner if is_model or str(inner.parent) == "images" else None

    with workspace(output) as unpacked:
        root = Path(unpacked)
        unpack(archive, root, placement)
        model = root / "sparse" / "0"
        if not all((model / name).is_file() for name in MODEL):
            raise GainerError(f"{archive}: lacks {scene}/sparse/0 with {', '.join(MODEL)}; is it tandt_db.zip?")
        try:
            cameras = colmap.read_cameras_binary(model / MODEL[0])
            images = sorted(colmap.read_images_binary(model / MODEL[1]).values(), key=lambda image: image.name)
            points = colmap.read_points3D_binary(model / MODEL[2])
        except Exception as error:  # Damage makes the reader raise almost anything.
            raise GainerError(f"{archive}: {scene}/sparse/0 is damaged; fetch it again") from error
        images = [image for image in images if (root / "images" / image.name).is_file()]
        sparse = _sparse_points(points, images)
        views = [
            _view(root / "images", image, cameras[image.camera_id], sparse["xyz"][sparse["seen"][:, index]])
            for index, image in enumerate(images)
        ]
        folder = output / scene
        with whole_file(folder / "sparse_points.npz") as file:
            np.savez_compressed(file, **sparse)
        return write_scene(
            folder,
            views,
            source=f"Tanks and Temples {scene}, as prepared by 3D Gaussian Splatting (tandt_db.zip)",
            units="arbitrary (COLMAP); near and far are along z in the same units",
            factor=factor,
            extra={"sparse_points": {"file": "sparse_points.npz", "keys": {"seen": "(n, views) bool", "xyz": "world"}}},
        )


def _view(folder: Path, image: Any, camera: Any, seen: np.ndarray) -> View:
    """A view of COLMAP's, whose pixel centres are at .5 and whose axes are OpenCV's."""
    if camera.model == "PINHOLE":
        fx, fy, cx, cy = camera.params
    elif camera.model == "SIMPLE_PINHOLE":
        (fx, cx, cy), fy = camera.params, camera.params[0]
    else:
        raise GainerError(f"{image.name}: was taken with a lens ({camera.model}) that bends lines; undistort it first")
    w2c = np.eye(4)
    w2c[:3, :3], w2c[:3, 3] = image.qvec2rotmat(), image.tvec
    depth = seen @ w2c[2, :3] + w2c[2, 3]
    depth = depth[depth > 0]
    extra: dict[str, float] = {}
    if len(depth):
        extra["near"], extra["far"] = np.percentile(depth, (1, 99)).tolist()
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    return View(folder / image.name, K, (camera.width, camera.height), np.linalg.inv(w2c), extra)


def _sparse_points(points: Mapping[int, Any], images: list[Any]) -> dict[str, np.ndarray]:
    """COLMAP's points: xyz [n, 3], rgb uint8 [n, 3], error [n] in pixels, and seen bool [n, views]."""
    column = {image.id: index for index, image in enumerate(images)}
    seen = np.zeros((len(points), len(images)), bool)
    for row, point in enumerate(points.values()):
        seen[row, [column[number] for number in point.image_ids if number in column]] = True
    return {
        "xyz": np.array([point.xyz for point in points.values()], np.float32).reshape(-1, 3),
        "rgb": np.array([point.rgb for point in points.values()], np.uint8).reshape(-1, 3),
        "error": np.array([float(point.error) for point in points.values()], np.float32),
        "seen": seen,
    }


if __name__ == "__main__":
    run(DownloadTanksAndTemples)
