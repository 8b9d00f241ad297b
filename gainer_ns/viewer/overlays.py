"""What is laid over the picture in the page: the selection, the Gaussians, where the fit errs, and the mask."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import torch
import viser
from jaxtyping import Float, UInt8
from torch import Tensor

from gainer_ns.evaluation.error_maps import coloured_error_map
from gainer_ns.viewer.desk import Desk
from gainer_ns.viewer.view_space import LIFT, SCALE, UPRIGHT, to_page

NAME = "/gainer/overlay"
SELECTION, CENTRES, ERRORS, MASK, NOTHING = OVERLAYS = ("selection", "Gaussians", "errors", "mask", "nothing")
MOST_POINTS = 3000
"""Points that leave something of the picture to be seen, and a page fluent."""
POINT_SIZE = 0.012
"""In the page's units."""
LARGEST = 1024
"""Pixels along the longer side of an overlay."""
TINT = (255, 140, 0)
TINT_ALPHA = 110


class Overlays:
    """Builds its switch where the page is just being built.

    Args:
        desk: What the panel shares.
        source: [h, w, 3], the picture that was fitted, in [0, 1]; None where it is not at hand.
    """

    def __init__(self, desk: Desk, source: Callable[[], Float[np.ndarray, "h w 3"] | None]) -> None:
        self._desk, self._source = desk, source
        self._nodes: list[viser.SceneNodeHandle] = []
        self._what = desk.server.gui.add_dropdown("Show", OVERLAYS, hint="What is laid over the picture")
        self._what.on_update(desk.by_hand(lambda _: self.draw()))
        desk.listeners.append(self.draw)
        desk.before_moving.append(self.draw)

    def draw(self) -> None:
        """Draws what is chosen."""
        for node in self._nodes:
            node.remove()
        self._nodes = []
        {SELECTION: self._selection, CENTRES: self._centres, ERRORS: self._errors, MASK: self._mask}.get(
            self._what.value, lambda: None
        )()

    def _selection(self) -> None:
        picker = self._desk.picker
        if picker.selection is None:
            return
        weights = picker.field(picker.selection)
        if self._is_moved():
            return
        if not self._desk.subject.is_deep:
            tint = np.full((picker.height, picker.width, 4), (*TINT, 0), np.uint8)
            tint[..., 3] = (TINT_ALPHA * weights.numpy()).astype(np.uint8)
            self._image(tint)
        self._points(weights.flatten() > 0.5, TINT)

    def _is_moved(self) -> bool:
        """Whether what is selected has been moved, so that the tint would lie elsewhere."""
        selection = self._desk.picker.selection
        return any(edit.select == selection for edit in self._desk.session.history.script.edits)

    def _centres(self) -> None:
        self._points(self._desk.subject.visible().flatten(), (255, 255, 255))

    def _errors(self) -> None:
        source = self._source()
        if source is None or self._desk.subject.is_deep:
            self._desk.say("Errors are shown of flat pictures whose file is at hand.")
            return
        fitted = self._desk.subject.fitted.raster()[0].cpu().numpy()
        colours = coloured_error_map(fitted, source)
        self._image(np.dstack([colours, np.full(colours.shape[:2], 255, np.uint8)]))

    def _mask(self) -> None:
        visible = self._desk.subject.visible()
        if self._desk.subject.is_deep:
            self._points(visible.flatten(), TINT)
            return
        black_white = np.repeat((255 * visible.numpy()).astype(np.uint8)[..., None], 3, axis=2)
        self._image(np.dstack([black_white, np.full(visible.shape, 160, np.uint8)]))

    def _image(self, samples: UInt8[np.ndarray, "h w 4"]) -> None:
        plane = self._desk.subject.fitted.plane
        shrink = LARGEST / max(plane.width, plane.height)
        if shrink < 1:
            samples = cv2.resize(samples, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        width, height = (2 * SCALE * half for half in plane.half_extent)
        node = self._desk.server.scene.add_image(
            NAME + "/image", samples, width, height, format="png", wxyz=UPRIGHT, position=(0, 0, SCALE * LIFT)
        )
        self._nodes.append(node)

    def _points(self, chosen: Tensor, colour: tuple[int, int, int]) -> None:
        """Some of the pixels, thinned evenly."""
        pixels = chosen.nonzero()[:, 0]
        if len(pixels) == 0:
            return
        width = self._desk.picker.width
        step = max(1, math.ceil(math.sqrt(len(pixels) / MOST_POINTS)))
        pixels = pixels[(pixels % width % step == 0) & (pixels // width % step == 0)]
        places = torch.stack([pixels % width, pixels // width], dim=1).float() + 0.5
        points = to_page(self._desk.subject.in_world(places), lift=LIFT)
        node = self._desk.server.scene.add_point_cloud(
            NAME + "/points", points, colour, point_size=POINT_SIZE, point_shape="circle"
        )
        self._nodes.append(node)
