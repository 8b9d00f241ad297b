"""What draws for a page: coarse pictures while the hand moves, fine ones within a second after it rests."""

from __future__ import annotations

import math
import time
from typing import Any

from nerfstudio.viewer.render_state_machine import RenderAction, RenderStateMachine

LEAST = 128
"""Pixels along the shorter side of what is shown while something moves, however slow that may be."""
AT_REST = 0.6
"""Seconds that drawing may take at the first rest, which nerfstudio notices after 0.2; sending it takes some more."""


class PageMachine(RenderStateMachine):
    """nerfstudio's machine, which also draws as finely as it can in time at the first rest, and coarse pictures finer.

    nerfstudio draws at the first rest (``low_static``) as coarsely as while something moves, and waits for another one
    before it draws all pixels (``high``), which then takes as long as it takes. Here the first picture has as many
    pixels as the last such one shows that there is time for; both give way to the next movement.
    """

    _pixels_per_second = math.inf  # at rest, for this page

    def action(self, action: RenderAction) -> None:
        """Takes what the page asks for."""
        super().action(action)
        if self.state == "low_static" and action.action == "move":
            self.interrupt_render_flag = True

    def _render_img(self, camera_state: Any) -> dict[str, Any]:
        self.interrupt_render_flag = False  # what came before this is what is drawn now, and not to interrupt it
        begin = time.monotonic()
        outputs = super()._render_img(camera_state)
        if self.state == "low_static":
            self._pixels_per_second = outputs["rgb"][..., 0].numel() / max(1e-6, time.monotonic() - begin)
        return outputs

    def _calculate_image_res(self, aspect_ratio: float) -> tuple[int, int]:
        largest = self.viewer.control_panel.max_res
        height, width = int(min(largest, largest / aspect_ratio)), int(min(largest, largest * aspect_ratio))
        shorter = min(height, width)
        if self.state == "high" or shorter <= LEAST:
            return height, width
        if self.state == "low_static":
            wanted = math.sqrt(min(1.0, AT_REST * self._pixels_per_second / (height * width))) * shorter
        else:
            wanted = min(super()._calculate_image_res(aspect_ratio))
        share = min(1.0, max(LEAST, wanted) / shorter)
        return round(share * height), round(share * width)
