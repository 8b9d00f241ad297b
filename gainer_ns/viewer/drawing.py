"""The drawing of pictures for a page: coarse while the hand moves, fine within a second after it rests."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from nerfstudio.viewer.render_state_machine import RenderAction, RenderStateMachine

from gainer_ns.image.panel import PictureOverride, picture_override_context

MIN_DRAFT_SIDE_PX = 128
"""Shorter side of what is shown while something moves, however slow that may be."""
MAX_REST_SECONDS = 0.6
"""Longest time to draw at the first rest, which nerfstudio notices after 0.2; sending the picture takes some more."""


class PageMachine(RenderStateMachine):
    """nerfstudio's machine, which also draws as finely as it can in time at the first rest, and coarse pictures finer.

    nerfstudio draws at the first rest (``low_static``) as coarsely as while something moves, and waits for another one
    before it draws all pixels (``high``), which then takes as long as it takes. Here the first picture has as many
    pixels as the last such one shows that there is time for; both give way to the next movement.

    Args:
        edit: Makes the picture that pages are shown out of the fitted one.
    """

    def __init__(self, *args: Any, edit: Callable[[Any], Any]) -> None:
        super().__init__(*args)
        self._edit = edit
        self._pixels_per_second = math.inf  # at rest, for this page

    def action(self, action: RenderAction) -> None:
        """Take what the page asks for."""
        super().action(action)
        if self.state == "low_static" and action.action == "move":
            self.interrupt_render_flag = True

    def check_interrupt(self, frame: FrameType, event: str, arg: Any) -> Any:
        """Trace functions of this package alone, so that a drawing gives way between two of their lines.

        nerfstudio interrupts at any line, also where no exception gets anywhere: in what a library does while an object
        of its own dies (``__del__``), or halfway through a change that it never repairs. Context managers and other
        generators of ours are let finish for the same reason.
        """
        name, flags = frame.f_globals.get("__name__", ""), frame.f_code.co_flags
        if not name.startswith("gainer_ns.") or flags & inspect.CO_GENERATOR or frame.f_code.co_name == "<module>":
            return None
        return super().check_interrupt(frame, event, arg)

    def _render_img(self, camera_state: Any) -> dict[str, Any]:
        self.interrupt_render_flag = False  # what came before this is what is drawn now, and not to interrupt it
        begin = time.monotonic()
        with picture_override_context(PictureOverride(self._edit, is_draft=self.state != "high")):
            outputs = super()._render_img(camera_state)
        if self.state == "low_static":
            self._pixels_per_second = outputs["rgb"][..., 0].numel() / max(1e-6, time.monotonic() - begin)
        return outputs

    def _calculate_image_res(self, aspect_ratio: float) -> tuple[int, int]:
        largest = self.viewer.control_panel.max_res
        height, width = int(min(largest, largest / aspect_ratio)), int(min(largest, largest * aspect_ratio))
        shorter = min(height, width)
        if self.state == "high" or shorter <= MIN_DRAFT_SIDE_PX:
            return height, width
        if self.state == "low_static":
            wanted = math.sqrt(min(1.0, MAX_REST_SECONDS * self._pixels_per_second / (height * width))) * shorter
        else:
            wanted = min(super()._calculate_image_res(aspect_ratio))
        share = min(1.0, max(MIN_DRAFT_SIDE_PX, wanted) / shorter)
        return round(share * height), round(share * width)
