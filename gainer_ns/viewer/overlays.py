"""What is laid over the picture in the page: the selection, the Gaussians, where the fit errs, and the mask."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import torch
import viser
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from gainer_ns.error_maps import coloured_error_map
from gainer_ns.frames import CAMERA_DISTANCE
from gainer_ns.viewer.desk import Desk
from gainer_ns.viewer.view_space import LIFT, SCALE, UPRIGHT, to_page

NAME = "/gainer/overlay"
SELECTION, CENTRES, ERRORS, MASK, NOTHING = OVERLAYS = ("selection", "Gaussians", "errors", "mask", "nothing")
MOST_POINTS = 3000
"""Points that leave something of the picture to be seen, and a page fluent."""
CLOSEST = 0.016
"""How far apart points are at least, so that they do not cover all, as a share of the picture's longer side."""
POINT_SIZE = 0.02
"""In the page's units, of which the picture's longer side is 10: some pixels. Square ones are seen however small they
are, while round ones of less than 2 pixels may be lost."""
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
        self._what.on_update(desk.by_hand(lambda _: self._choose()))
        desk.listeners.append(self.draw)
        desk.before_moving.append(self.draw)

    def _choose(self) -> None:
        self.draw()
        if self._what.value == ERRORS and not self._nodes:
            self._desk.say("Errors are shown of flat pictures whose file is at hand.")

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
        places, points = self._desk.subject.centres()
        self._points(places, points, picker.selection.weights(places) > 0.5, TINT)

    def _is_moved(self) -> bool:
        """Whether what is selected has been moved, so that the tint would lie elsewhere."""
        selection = self._desk.picker.selection
        return any(edit.select == selection for edit in self._desk.session.history.script.edits)

    def _centres(self) -> None:
        places, points = self._desk.subject.centres()
        self._points(places, points, torch.ones(len(places), dtype=torch.bool), (255, 255, 255))

    def _errors(self) -> None:
        source = self._source()
        if source is None or self._desk.subject.is_deep:
            return
        fitted = self._desk.subject.fitted.raster()[0].cpu().numpy()
        colours = coloured_error_map(fitted, source)
        self._image(np.dstack([colours, np.full(colours.shape[:2], 255, np.uint8)]))

    def _mask(self) -> None:
        if self._desk.subject.is_deep:
            places, points = self._desk.subject.centres()
            self._points(places, points, torch.ones(len(places), dtype=torch.bool), TINT)
            return
        visible = self._desk.subject.visible()
        black_white = np.repeat((255 * visible.numpy()).astype(np.uint8)[..., None], 3, axis=2)
        self._image(np.dstack([black_white, np.full(visible.shape, 160, np.uint8)]))

    def _image(self, samples: UInt8[np.ndarray, "h w 4"]) -> None:
        plane = self._desk.subject.fitted.plane
        shrink = LARGEST / max(plane.width, plane.height)
        if shrink < 1:
            samples = cv2.resize(samples, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        width, height = (2 * SCALE * (1 - LIFT) * half for half in plane.half_extent)
        node = self._desk.server.scene.add_image(
            NAME + "/image",
            samples,
            width,
            height,
            format="png",
            wxyz=UPRIGHT,
            position=(0, 0, SCALE * LIFT * CAMERA_DISTANCE),
        )
        self._nodes.append(node)

    def _points(
        self,
        places: Float[Tensor, "n 2"],
        points: Float[Tensor, "n 3"],
        chosen: Bool[Tensor, " n"],
        colour: tuple[int, int, int],
    ) -> None:
        """Some of the Gaussians, thinned evenly."""
        closest = CLOSEST * max(self._desk.picker.width, self._desk.picker.height)
        points = points[chosen][thinned(places[chosen], MOST_POINTS, closest)]
        if len(points):
            node = self._desk.server.scene.add_point_cloud(
                NAME + "/points", to_page(points, lift=LIFT), colour, point_size=POINT_SIZE, point_shape="square"
            )
            self._nodes.append(node)


def thinned(places: Float[Tensor, "n 2"], most: int, closest: float = 0.0) -> Int[Tensor, " m"]:
    """Evenly spread points out of many: one of each square that holds any.

    Args:
        places: In pixels.
        most: About how many are wanted.
        closest: How far apart they are to be, in pixels.
    """
    if len(places) <= most and closest <= 1:
        return torch.arange(len(places))
    squares = np.unique(places.floor().long().numpy(), axis=0)
    side = max(math.ceil(math.sqrt(len(squares) / most)), math.ceil(closest))
    _, first = np.unique((places / side).floor().long().numpy(), axis=0, return_index=True)
    return torch.from_numpy(first)
