"""What methods that show a picture from somewhere else are given, and what they give back.

Cameras are OpenCV's here: x right, y down, z forward. Pixel centres are at .5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float


class Intrinsics(NamedTuple):
    """A pinhole camera's focal lengths and principal point, in px; pixel centres are at .5."""

    fx: float
    fy: float
    cx: float
    cy: float

    def rays(self, width: int, height: int) -> Float[np.ndarray, "h w 3"]:
        """Return directions through the pixels' centres, of length 1 along the optical axis: times a depth, a point."""
        x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        return self.ray(np.stack([x, y], axis=-1))

    def ray(self, pixels: Float[np.ndarray, "*m 2"]) -> Float[np.ndarray, "*m 3"]:
        """Return the same through any pixel coordinates."""
        plane = (pixels - np.array([self.cx, self.cy])) / np.array([self.fx, self.fy])
        return np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1)

    def project(self, points: Float[np.ndarray, "*m 3"]) -> Float[np.ndarray, "*m 2"]:
        """Return pixel coordinates of points in the camera's frame, in front of it."""
        return points[..., :2] / points[..., 2:] * np.array([self.fx, self.fy]) + np.array([self.cx, self.cy])


def moved(points: Float[np.ndarray, "*m 3"], T: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "*m 3"]:
    """Return points in another frame."""
    return points @ T[:3, :3].T + T[:3, 3]


@dataclass(frozen=True, eq=False)
class ViewPair:
    """A view to lift, and another to compare with."""

    name: str  # for tables and files
    source_colours: Float[np.ndarray, "h w 3"]  # [h, w, 3], 0 to 1; where there is alpha, not multiplied by it
    source_alpha: Float[np.ndarray, "h w"] | None  # [h, w], or None where all is opaque
    # depth along the optical axis, float32 [h, w], 0 where unknown or where nothing is
    source_depth: Float[np.ndarray, "h w"]
    K_source: Intrinsics  # the camera of the source
    target_colours: Float[np.ndarray, "h2 w2 3"]  # [h2, w2, 3] of the other view, like the source's
    target_alpha: Float[np.ndarray, "h2 w2"] | None  # [h2, w2], or None
    K_target: Intrinsics  # the camera of the target
    T_target_from_source: Float[np.ndarray, "4 4"]  # 4x4, takes points from the source camera's frame to the target's
    depth_note: str  # where the depth comes from, for people

    @property
    def source_size(self) -> tuple[int, int]:
        """Return width and height of the source in px."""
        return self.source_depth.shape[1], self.source_depth.shape[0]

    @property
    def target_size(self) -> tuple[int, int]:
        """Return width and height of the target in px."""
        return self.target_colours.shape[1], self.target_colours.shape[0]

    def same_source(self, other: ViewPair) -> bool:
        """Say whether what is fitted to this pair serves the other too."""
        return self.source_colours is other.source_colours and self.source_depth is other.source_depth


class Rendered(NamedTuple):
    """What a method draws of a view."""

    rgb: Float[np.ndarray, "h w 3"]  # colours [h, w, 3], not multiplied by the accumulation
    accumulation: Float[np.ndarray, "h w"]  # [h, w], from 0 where nothing is seen to 1
    depth: Float[np.ndarray, "h w"]  # along the optical axis, [h, w]; it means nothing where the accumulation is 0

    def over(self, background: float) -> Float[np.ndarray, "h w 3"]:
        """Return colours as they look over a shade of grey, clamped to [0, 1]."""
        return np.clip(composite(self.rgb, self.accumulation, background), 0, 1)


def composite(
    rgb: Float[np.ndarray, "h w 3"], alpha: Float[np.ndarray, "h w"] | None, background: float
) -> Float[np.ndarray, "h w 3"]:
    """Return colours over a shade of grey; where alpha is 0, whatever the colour is, even not a number."""
    if alpha is None:
        return rgb
    shown = alpha[..., None]
    return np.where(shown > 0, rgb * shown, 0.0) + background * (1 - shown)


class Renderer(Protocol):
    """A view that was lifted."""

    def render(
        self, K: Intrinsics, T_camera_from_source: Float[np.ndarray, "4 4"], width: int, height: int
    ) -> Rendered:
        """Draw it as another camera sees it."""
        ...


@runtime_checkable
class TracesFreeSpace(Protocol):
    """A renderer that also knows how much is in the way."""

    def accumulation_up_to(self, points: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, " m"]:
        """Return the accumulation along the ray from the source camera up to each point, in that camera's frame."""
        ...


NovelViewMethod: TypeAlias = Callable[[ViewPair], Renderer]
"""Lifts the source of a pair; the target is not to be looked at."""
