"""Writes the transforms.json that nerfstudio reads beside LLFF's poses_bounds.npy.

    python data_scripts/llff_to_nerfstudio.py data/fern --images images_8 --test 0 8 16
    ns-train gainer-lift --data data/fern

nerfstudio itself has no reader of LLFF's scenes. Photos stay where they are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from commands import run
from PIL import Image
from scenes import cameras_from_llff

from gainer_ns.errors import GainerError
from gainer_ns.io.files import whole_file

PICTURES = (".png", ".jpg", ".jpeg")
NERFSTUDIO_AXES = np.diag([1.0, -1.0, -1.0, 1.0])
"""From OpenCV's axes of a camera to nerfstudio's."""


@dataclass
class LlffToNerfstudio:
    """Write transforms.json for a scene with LLFF's poses_bounds.npy."""

    scene: tyro.conf.Positional[Path]
    """Folder with poses_bounds.npy and photos."""
    images: str = "images"
    """Folder of the photos in it, such as images_8."""
    train: tuple[int, ...] = ()
    """Numbers of the photos to train on, from 0; all that are not tested on when none are named."""
    test: tuple[int, ...] = ()
    """Numbers of the photos that are held out; none leaves that to ns-train (eval-mode)."""

    def run(self) -> Path:
        """Converts the cameras."""
        poses, folder = self.scene / "poses_bounds.npy", self.scene / self.images
        if not poses.is_file():
            raise GainerError(f"{poses}: does not exist; name a folder of LLFF's")
        photos = sorted(path for path in folder.glob("*") if path.suffix.lower() in PICTURES)
        cameras = cameras_from_llff(np.load(poses, allow_pickle=False))
        if len(photos) != len(cameras):
            raise GainerError(
                f"{folder}: has {len(photos)} photos, and {poses} {len(cameras)} cameras; they must match"
            )
        frames = [
            _frame(f"{self.images}/{photo.name}", photo, *camera) for photo, camera in zip(photos, cameras, strict=True)
        ]
        said: dict[str, Any] = {"camera_model": "OPENCV", "frames": frames, **self._split(frames)}
        with whole_file(self.scene / "transforms.json") as file:
            file.write((json.dumps(said, indent=1) + "\n").encode())
        return self.scene / "transforms.json"

    def _split(self, frames: list[dict[str, Any]]) -> dict[str, list[str]]:
        """Return the lists of photos by which nerfstudio splits."""
        if not self.test and not self.train:
            return {}
        there = range(len(frames))
        if wrong := [number for number in (*self.train, *self.test) if number not in there]:
            raise GainerError(f"photo {wrong[0]}: there is none; name numbers from 0 to {there[-1]}")
        test = self.test or tuple(number for number in there if number not in self.train)
        train = self.train or tuple(number for number in there if number not in test)
        names = {
            split: [frames[number]["file_path"] for number in chosen]
            for split, chosen in (("train", train), ("test", test))
        }
        return {"train_filenames": names["train"], "val_filenames": names["test"], "test_filenames": names["test"]}


def _frame(
    name: str, photo: Path, K: np.ndarray, size: tuple[int, int], c2w: np.ndarray, _: dict[str, float]
) -> dict[str, Any]:
    """A frame of transforms.json, with the camera of a photo as large as it is."""
    with Image.open(photo) as image:
        width, height = image.size
    across, down = width / size[0], height / size[1]
    return {
        "file_path": name,
        "w": width,
        "h": height,
        "fl_x": K[0, 0] * across,
        "fl_y": K[1, 1] * down,
        "cx": K[0, 2] * across,
        "cy": K[1, 2] * down,
        "transform_matrix": (c2w @ NERFSTUDIO_AXES).tolist(),
    }


if __name__ == "__main__":
    run(LlffToNerfstudio)
