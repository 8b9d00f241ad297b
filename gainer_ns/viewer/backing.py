"""What a script puts behind a flat picture, as a layer that the page draws under it."""

from __future__ import annotations

from dataclasses import replace

from gainer_ns.editing.backdrops import BackgroundPlate, nothing
from gainer_ns.editing.backgrounds import Background
from gainer_ns.editing.pieces import Piece
from gainer_ns.editing.rest_picture import RestPicture
from gainer_ns.editing.script import Script
from gainer_ns.editing.shots import Camera
from gainer_ns.editing.stage import Stage
from gainer_ns.fitting.trainer import fit_layer
from gainer_ns.frames import ImagePlane
from gainer_ns.recipes import RECIPES
from gainer_ns.rendering.compositing import Raster
from gainer_ns.rendering.plane import AnyLayer, BakedPicture

MAX_SIDE_PX = 384
"""Pixels along the longer side of what lies behind, in the page; what is saved has all."""


class Backing:
    """Lays the background of scripts under pictures of their stages; the last one is kept."""

    def __init__(self) -> None:
        self._of: tuple[Stage, Background] | None = None
        self._camera = Camera(BackgroundPlate(nothing()))
        self._still: AnyLayer | None = None

    def under(self, shown: BakedPicture, script: Script, stage: Stage) -> BakedPicture:
        """Return the picture over what the script puts behind it; holes are painted over as in what is saved.

        Raises:
            GainerError: What lies behind cannot be read or painted.
        """
        background = script.background
        if background.transparent:
            return shown
        plane = shown.plane
        if self._of is None or self._of[0] is not stage or self._of[1] != background:
            plate = BackgroundPlate.of(background, stage.picture, stage.hole)
            if background.inpaint is not None and background.inpaint.method is None:
                plate = replace(plate, filler=None)  # a network would hold up each frame
            self._camera, self._still = Camera(plate, scale=_scale_of(plane)), None
            self._of = stage, background
        if self._camera.background.is_nothing:
            return shown
        if self._camera.background.filler is not None:
            layer = layer_of(self._camera.draw(shown), shown)
        else:
            if self._still is None:
                size = (max(1, round(side * _scale_of(plane))) for side in (plane.width, plane.height))
                crop = (0.0, 0.0, float(plane.width), float(plane.height))
                self._still = layer_of(self._camera.background.backdrop.on(crop, *size), shown)
            layer = self._still
        return shown if layer is None else replace(shown, layers=(layer, *shown.layers))


def _scale_of(plane: ImagePlane) -> float:
    return min(1.0, MAX_SIDE_PX / max(plane.width, plane.height))


def layer_of(raster: Raster, picture: BakedPicture) -> AnyLayer | None:
    """Fit a layer to a raster that covers a picture; None where the raster is clear."""
    opacity = raster.opacity.clamp(0, 1)
    if not bool((opacity > 0).any()):
        return None
    recipe, adam = RECIPES["gainer"]
    alpha = None if bool((opacity >= 1).all()) else opacity.cpu()
    layer, _ = fit_layer(raster.colours.clamp(0, 1), alpha, recipe, adam, device=picture.device)
    own = ImagePlane(opacity.shape[1], opacity.shape[0])
    rest = RestPicture(layer, own)
    return Piece(None, rest, picture.plane, scale=picture.plane.width / own.width).posed([])
