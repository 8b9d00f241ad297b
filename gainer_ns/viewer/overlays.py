"""What is laid over the picture in the page: the selection, the Gaussians, where the fit errs, and the mask."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import torch
import viser
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from gainer_ns.editing.selection import Selection
from gainer_ns.error_maps import coloured_error_map
from gainer_ns.frames import CAMERA_DISTANCE
from gainer_ns.viewer.context import PanelContext
from gainer_ns.viewer.view_space import IMAGE_ROTATION, OVERLAY_LIFT, PAGE_UNITS, to_page

NAME = "/gainer/overlay"
SELECTION, CENTRES, ERRORS, MASK, NOTHING = OVERLAYS = ("selection", "Gaussians", "errors", "mask", "nothing")
MAX_CLOUD_POINTS = 3000
"""Points that leave something of the picture to be seen, and a page fluent."""
MIN_POINT_SPACING = 0.016
"""How far apart points are at least, so that they do not cover all, as a share of the picture's longer side."""
CLOUD_POINT_SIZE = 0.02
"""In the page's units, of which the picture's longer side is 10: some pixels. Square ones are seen however small they
are, while round ones of less than 2 pixels may be lost."""
MAX_OVERLAY_SIDE_PX = 1024
"""Pixels along the longer side of an overlay."""
TINT, TINT_ALPHA, MASK_ALPHA = (255, 140, 0), 110, 160


class Overlays:
    """The overlays and their switch, built where the page is just being built.

    Args:
        source: [h, w, 3], the picture that was fitted, in [0, 1]; None where it is not at hand.
    """

    def __init__(self, context: PanelContext, source: Callable[[], Float[np.ndarray, "h w 3"] | None]) -> None:
        self._context, self._source = context, source
        self._nodes: list[viser.SceneNodeHandle] = []
        self._what = context.server.gui.add_dropdown("Show", OVERLAYS, hint="What is laid over the picture")
        self._what.on_update(context.by_hand(lambda: self._choose()))
        context.listeners.append(self.draw)
        context.before_moving.append(self.draw)

    def _choose(self) -> None:
        self.draw()
        if self._what.value == ERRORS and not self._nodes:
            self._context.say("Errors are shown of flat pictures whose file is at hand.")

    def draw(self) -> None:
        """Draw what is chosen."""
        for node in self._nodes:
            node.remove()
        self._nodes = []
        draw = {
            SELECTION: self._selection,
            CENTRES: lambda: self._points((255, 255, 255)),
            ERRORS: self._errors,
            MASK: self._mask,
        }
        if self._what.value != NOTHING:
            draw[self._what.value]()

    def _selection(self) -> None:
        picker, selection = self._context.picker, self._context.picker.selection
        if selection is None or any(edit.select == selection for edit in self._context.session.history.script.edits):
            return  # what has been moved lies elsewhere
        if not self._context.subject.is_deep:
            tint = np.full((picker.height, picker.width, 4), (*TINT, 0), np.uint8)
            tint[..., 3] = (TINT_ALPHA * picker.field(selection).numpy()).astype(np.uint8)
            self._image(tint)
        self._points(TINT, selection)

    def _errors(self) -> None:
        source = self._source()
        if source is None or self._context.subject.is_deep:
            return
        fitted = self._context.subject.fitted.raster()[0].cpu().numpy()
        colours = coloured_error_map(fitted, source)
        self._image(np.dstack([colours, np.full(colours.shape[:2], 255, np.uint8)]))

    def _mask(self) -> None:
        if self._context.subject.is_deep:
            self._points(TINT)
            return
        visible = (255 * self._context.subject.visible().numpy()).astype(np.uint8)
        self._image(np.dstack([visible, visible, visible, np.full_like(visible, MASK_ALPHA)]))

    def _image(self, samples: UInt8[np.ndarray, "h w 4"]) -> None:
        self._nodes.append(picture_overlay(self._context, NAME + "/image", samples))

    def _points(self, colour: tuple[int, int, int], selection: Selection | None = None) -> None:
        """Show some of the Gaussians, or of those that are selected, thinned evenly."""
        pixels, points = self._context.subject.centres()
        if selection is not None:
            chosen = selection.weights(pixels) > 0.5
            pixels, points = pixels[chosen], points[chosen]
        spacing = MIN_POINT_SPACING * max(self._context.picker.width, self._context.picker.height)
        points = points[thinned(pixels, MAX_CLOUD_POINTS, spacing)]
        if len(points):
            node = self._context.server.scene.add_point_cloud(
                NAME + "/points",
                to_page(points, lift=OVERLAY_LIFT),
                colour,
                point_size=CLOUD_POINT_SIZE,
                point_shape="square",
            )
            self._nodes.append(node)


def picture_overlay(context: PanelContext, name: str, samples: UInt8[np.ndarray, "h w 4"]) -> viser.SceneNodeHandle:
    """Lay an image over all of the picture, under a name; one that has it is replaced."""
    plane = context.subject.fitted.plane
    shrink = MAX_OVERLAY_SIDE_PX / max(samples.shape)
    if shrink < 1:
        samples = cv2.resize(samples, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    width, height = (2 * PAGE_UNITS * (1 - OVERLAY_LIFT) * half for half in plane.half_extent)
    return context.server.scene.add_image(
        name,
        samples,
        width,
        height,
        format="png",
        wxyz=IMAGE_ROTATION,
        position=(0, 0, PAGE_UNITS * OVERLAY_LIFT * CAMERA_DISTANCE),
    )


def thinned(pixels: Float[Tensor, "n 2"], count: int, spacing: float = 0.0) -> Int[Tensor, " m"]:
    """Return the indices of evenly spread points: one of each square that holds any.

    Args:
        pixels: The points, in pixels.
        count: About how many are wanted.
        spacing: How far apart they are to be, in pixels.
    """
    if len(pixels) <= count and spacing <= 1:
        return torch.arange(len(pixels))
    squares = np.unique(pixels.floor().long().numpy(), axis=0)
    side = max(math.ceil(math.sqrt(len(squares) / count)), math.ceil(spacing))
    _, first = np.unique((pixels / side).floor().long().numpy(), axis=0, return_index=True)
    return torch.from_numpy(first)
