"""Edits whose inverse is known in closed form: what an edited picture should be is then known too.

The inverses are written here on their own, in float64 and without a word of :mod:`gainer_ns.editing.deformations`, so
that an edit that goes the wrong way is found out. Coordinates are pixels: x right, y down, pixel centres at .5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.editing.script import Edit, Script

Points2d = Float[np.ndarray, "*points 2"]

BEND_INSIDE_SHARE = 0.4
"""Share of the shorter side that lies inside the bend, where it is squeezed. At a half, a square would be squeezed more
than 1.5 times, which is drawn as an average, unlike the reference."""


def pixel_centres(width: int, height: int) -> Float[np.ndarray, "h w 2"]:
    """Return the centres (x, y), in px, of a picture's pixels."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([x, y], axis=-1)


@dataclass(frozen=True)
class KnownEdit:
    """An edit of a whole picture, and its inverse."""

    words: Mapping[str, Any]
    back: Callable[[Points2d], Points2d]

    def script(self) -> Script:
        """Return the script that does it."""
        return Script.model_validate({"edits": [dict(self.words)]})

    def forward(self, points: Points2d, size: tuple[int, int]) -> Points2d:
        """Move points of a picture of a size in pixels, by the script's own operations."""
        return (
            self.moved(torch.from_numpy(np.array(points, np.float64)).reshape(-1, 2), size)[0]
            .numpy()
            .reshape(points.shape)
        )

    def moved(
        self, points: Float[Tensor, "m 2"], size: tuple[int, int]
    ) -> tuple[Float[Tensor, "m 2"], Float[Tensor, "m 2 2"]]:
        """Return where the edit takes points of a picture of a size in pixels, and its Jacobian at each of them."""
        jacobians = torch.eye(2).to(points).expand(len(points), 2, 2)
        for operation in Edit.model_validate(dict(self.words)).operations:
            points, step = operation.moved(points, amount=1.0, box=(0.0, 0.0, float(size[0]), float(size[1])))
            jacobians = step @ jacobians
        return points, jacobians

    def extent(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom, whole numbers, of what a picture of this size becomes."""
        share = np.linspace(0, 1, 4 * max(width, height) + 1)
        sides = [np.stack([share, np.full_like(share, end)], -1) for end in (0.0, 1.0)]
        border = np.concatenate([part for side in sides for part in (side, side[:, ::-1])]) * [width, height]
        moved = self.forward(border, (width, height))
        low, high = np.floor(moved.min(axis=0) + 1e-6), np.ceil(moved.max(axis=0) - 1e-6)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    @staticmethod
    def rotation(width: int, height: int, degrees: float) -> KnownEdit:
        """Turn a picture about its centre, counter-clockwise as seen."""
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        back = np.array([[cosine, -sine], [sine, cosine]])  # y is down: this undoes a counter-clockwise turn
        centre = np.array([width / 2, height / 2])
        return KnownEdit({"rotate": {"degrees": degrees}}, lambda points: (points - centre) @ back.T + centre)

    @staticmethod
    def scaling(width: int, height: int, factor: float) -> KnownEdit:
        """Enlarge a picture about its centre."""
        centre = np.array([width / 2, height / 2])
        return KnownEdit({"scale": {"factor": factor}}, lambda points: (points - centre) / factor + centre)

    @staticmethod
    def stretch(width: int, height: int, factor: float) -> KnownEdit:
        """Stretch a picture to the left and the right of its centre."""
        centre = np.array([width / 2, height / 2])
        axis = [[width / 2, height / 2], [float(width), height / 2]]
        factors = np.array([factor, 1.0])
        return KnownEdit(
            {"stretch": {"factor": factor, "axis": axis}}, lambda points: (points - centre) / factors + centre
        )

    @staticmethod
    def wave(amplitude: float, period: float, direction: float) -> KnownEdit:
        """Bend a picture into a sine wave, in pixels, that runs in a direction, in degrees from the right."""
        angle = math.radians(direction)
        along, left = np.array([math.cos(angle), -math.sin(angle)]), np.array([-math.sin(angle), -math.cos(angle)])

        def back(
            points: Points2d,
        ) -> Points2d:  # across the direction: the place along it is what it was
            return points - amplitude * np.sin(2 * math.pi / period * (points @ along))[..., None] * left

        return KnownEdit({"wave": {"amplitude": amplitude, "period": period, "direction": direction}}, back)

    @staticmethod
    def bend(width: int, height: int, degrees: float) -> KnownEdit:
        """Bend the whole longer side to its left, by more than 0 degrees."""
        if width >= height:
            start, forward = np.array([0.0, height * BEND_INSIDE_SHARE]), np.array([1.0, 0.0])
        else:  # downwards: what one sees on the left of this line is at larger x
            start, forward = np.array([width * (1 - BEND_INSIDE_SHARE), 0.0]), np.array([0.0, 1.0])
        left = np.array([forward[1], -forward[0]])
        total, length = math.radians(degrees), float(max(width, height))
        radius = length / total

        def back(points: Points2d) -> Points2d:  # around the circle's centre, the angle tells the place along the line
            offset = points - (start + radius * left)
            ahead, outward = offset @ forward, -(offset @ left)
            angle = np.clip(np.arctan2(ahead, outward), 0.0, total)
            # Before and beyond the arc the line is straight: steps along and across its tangent.
            beyond = ahead * np.cos(angle) - outward * np.sin(angle)
            aside = radius - (ahead * np.sin(angle) + outward * np.cos(angle))
            return start + (radius * angle + beyond)[..., None] * forward + aside[..., None] * left

        axis = [start.tolist(), (start + length * forward).tolist()]
        return KnownEdit({"bend": {"degrees": degrees, "axis": axis}}, back)


def known_edits(width: int, height: int) -> dict[str, KnownEdit]:
    """Return the edits that the quality of editing is measured by, for a picture of a size in pixels."""
    return {
        "half-pixel shift": KnownEdit({"move": {"by": [0.5, 0.5]}}, lambda points: points - 0.5),
        "rotate 15": KnownEdit.rotation(width, height, 15.0),
        "rotate 90": KnownEdit.rotation(width, height, 90.0),
        "zoom 1.5": KnownEdit.scaling(width, height, 1.5),
        "shrink 0.7": KnownEdit.scaling(width, height, 0.7),
        "wave 2.5 px": KnownEdit.wave(
            2.5, 56.0, 30.0
        ),  # along neither rows nor columns; shears by up to 2 pi 2.5 / 56 = 0.28
        "stretch 2": KnownEdit.stretch(width, height, 2.0),
        "bend 40": KnownEdit.bend(width, height, 40.0),
    }
