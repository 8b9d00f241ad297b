"""A photo and where it was taken from, and how others that show the same scene see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Float

from gainer_ns.frames import PinholeCamera

MAX_ANGLE_DEGREES = 60.0
"""Photos whose cameras look in directions farther apart than this are not compared."""
_OPENCV_AXES = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class PosedPhoto:
    """A photo and where it was taken from.

    Attributes:
        colours: Float32 [h, w, 3] in [0, 1].
        camera: What it was taken by.
        pose: [4, 4], from the camera's axes (nerfstudio's) to the world.
    """

    colours: Float[np.ndarray, "h w 3"]
    camera: PinholeCamera
    pose: Float[np.ndarray, "4 4"]

    @cached_property
    def shades(self) -> Float[np.ndarray, "h w"]:
        """The photo in shades of gray, float32."""
        return cv2.cvtColor(self.colours, cv2.COLOR_RGB2GRAY)

    @property
    def intrinsics(self) -> Float[np.ndarray, "3 3"]:
        """OpenCV's matrix of the camera, for which pixel centres are whole numbers."""
        return self.camera.opencv_matrix

    @cached_property
    def rays(self) -> Float[np.ndarray, "h w 3"]:
        """What all pixels show at depth 1, in OpenCV's axes."""
        x, y = np.meshgrid(np.arange(self.camera.width), np.arange(self.camera.height))
        return np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(self.intrinsics).T

    def from_other(self, other: PosedPhoto) -> Float[np.ndarray, "4 4"]:
        """Return what takes points of another camera to this one's, both in OpenCV's axes."""
        return np.linalg.inv(self.pose @ _OPENCV_AXES) @ other.pose @ _OPENCV_AXES

    def apart(self, other: PosedPhoto) -> float:
        """Return how far the cameras stand from each other."""
        return float(np.linalg.norm(self.pose[:3, 3] - other.pose[:3, 3]))

    def nearest(self, photos: Sequence[PosedPhoto], count: int) -> list[int]:
        """Return which photos were taken nearest to this one, elsewhere but in about the same direction."""
        least = np.cos(np.radians(MAX_ANGLE_DEGREES))
        fitting = [
            number
            for number, each in enumerate(photos)
            if each is not self and self.apart(each) > 0 and self.pose[:3, 2] @ each.pose[:3, 2] > least
        ]
        return sorted(fitting, key=lambda number: self.apart(photos[number]))[:count]

    def reduced(self, longest: int) -> PosedPhoto:
        """Return the same photo with at most so many pixels along its longer side."""
        camera = self.camera
        scale = longest / max(camera.width, camera.height)
        if scale >= 1:
            return self
        width, height = (max(1, round(scale * side)) for side in (camera.width, camera.height))
        colours = cv2.resize(self.colours, (width, height), interpolation=cv2.INTER_AREA)
        return replace(self, colours=colours, camera=camera.resized(width, height))
