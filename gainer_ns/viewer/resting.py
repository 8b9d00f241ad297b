"""nerfstudio's own controls, as they are to be where nothing trains, or not any more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nerfstudio.viewer.viewer_elements import ViewerElement

if TYPE_CHECKING:
    from nerfstudio.viewer.viewer import Viewer

TRAINING = ("Train Speed", "Train Util")
"""Controls of the training, by what the page calls them."""


def rest(viewer: Viewer) -> None:
    """Hides what only a training heeds; nothing but a press of these very buttons would show them again."""
    for button in (viewer.pause_train, viewer.resume_train):
        button.visible = False
    for element in _controls(viewer, *TRAINING):
        element.set_visible(False)


def _controls(viewer: Viewer, *names: str) -> Iterator[ViewerElement]:
    """Controls of nerfstudio's panel, which has them under private names and in no public list: by their labels."""
    found = vars(viewer.control_panel).values()
    return (one for one in found if isinstance(one, ViewerElement) and one.name in names)
