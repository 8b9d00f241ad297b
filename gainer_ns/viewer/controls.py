"""nerfstudio's own controls in the page, set to what suits a picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nerfstudio.configs.base_config import ViewerConfig
from nerfstudio.viewer.viewer_elements import ViewerElement, ViewerParameter

from gainer_ns.frames import ImagePlane

if TYPE_CHECKING:
    from nerfstudio.viewer.viewer import Viewer

TRAINING = ("Train Speed", "Train Util")
"""Controls of the training, by what the page calls them."""
FINEST, USUAL = 1600, 512
"""Pixels along the longer side of what the page is sent, at most and at least: as two cores draw them within a second,
and pages show them that fill a usual screen; and nerfstudio's own."""
QUALITY = 90
"""Of a JPEG that is to be looked at, which nerfstudio's own 75 is not."""
ENLARGED = 4
"""Pixels of the page for one of the picture, along a side, beyond which there is nothing finer to be seen."""


def hide_training(viewer: Viewer) -> None:
    """Hides what only a training heeds; nothing but a press of these very buttons would show it again."""
    for part in (viewer.pause_train, viewer.resume_train, viewer.stats_markdown):  # the last: "Step: 0"
        part.visible = False
    for element in _controls(viewer, *TRAINING):
        element.set_visible(False)


def draw_finely(viewer: Viewer, plane: ImagePlane) -> None:
    """Draws a flat picture as finely as pages show it; they do not tell how many pixels they have."""
    if viewer.config.jpeg_quality == ViewerConfig().jpeg_quality:  # and nobody has asked for another
        viewer.config.jpeg_quality = QUALITY
    _set(viewer, "Max res", min(FINEST, max(USUAL, ENLARGED * max(plane.width, plane.height))))


def leave_depth_out(viewer: Viewer) -> None:
    """Sends no depth with flat pictures: it takes longer than to draw them, and hides nothing but what lies behind."""
    _set(viewer, "Composite depth", False)


def _set(viewer: Viewer, name: str, value: float) -> None:
    for element in _controls(viewer, name):
        assert isinstance(element, ViewerParameter)
        element.value = value


def _controls(viewer: Viewer, *names: str) -> Iterator[ViewerElement]:
    """Controls of nerfstudio's panel, which has them under private names and in no public list: by their labels."""
    found = vars(viewer.control_panel).values()
    return (one for one in found if isinstance(one, ViewerElement) and one.name in names)
