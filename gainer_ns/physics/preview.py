"""Previews: few particles, and a picture of as few pixels as it is shown by."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gainer_ns.frames import ImagePlane
from gainer_ns.physics.lengths import grain_pixels
from gainer_ns.physics.scene import Scene
from gainer_ns.rendering.plane import BakedPicture

if TYPE_CHECKING:
    from gainer_ns.lifting.scene import LiftedScene

PREVIEW_PARTICLES, PREVIEW_SCALE = 3000, 0.5
PREVIEW_SIDE_PX = 480
"""The longer side of large pictures in previews."""


def preview_scale(picture: BakedPicture | LiftedScene) -> float:
    """Return how large a preview is, in output pixels per source pixel."""
    return min(PREVIEW_SCALE, PREVIEW_SIDE_PX / max(picture.plane.width, picture.plane.height))


def preview_scene(scene: Scene, scale: float) -> Scene:
    """Return a scene as a preview simulates it, of a picture reduced by a scale: grains keep their share of it."""
    changes: dict[str, object] = {"cells": None}
    if scene.grain is not None and scene.grain.endswith("px"):
        changes["grain"] = f"{scale * grain_pixels(scene.grain, 1.0):.6g}px"
    return scene.model_copy(update=changes)


def reduced(picture: BakedPicture, scale: float) -> BakedPicture:
    """Return a picture fitted anew at a scale below 1: each of its points then costs a frame what a pixel does."""
    from gainer_ns.fitting.trainer import fit_layer
    from gainer_ns.recipes import GAINER

    rgb, alpha = picture.raster(scale)
    opacity = alpha[..., 0] if picture.has_alpha else None
    layer, _ = fit_layer(rgb, opacity, *GAINER, bit_depth=picture.bit_depth, device=picture.device)
    return replace(picture, plane=ImagePlane(rgb.shape[1], rgb.shape[0]), layers=(layer,))
