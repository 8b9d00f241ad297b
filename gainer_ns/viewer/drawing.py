"""The drawing of pictures for a page: fine as soon as there is time for it, coarse until then."""

from __future__ import annotations

import contextlib
import inspect
import math
import sys
import time
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any

from nerfstudio.viewer.render_state_machine import RenderAction, RenderStateMachine

from gainer_ns.image.panel import PictureOverride, picture_override_context
from gainer_ns.rendering.redrawing import Redrawer

MIN_DRAFT_SIDE_PX = 128
"""Shorter side of what is shown while something moves, however slow that may be."""
MAX_MOVE_SECONDS = 0.05
"""Longest time to draw while something moves."""
MAX_PLAY_SECONDS = 0.025
"""The same while a film plays, of which 15 pictures a second are to be sent, and the next ones made meanwhile."""
MAX_REST_SECONDS = 0.6
"""Longest time to draw at the first rest, which nerfstudio notices after 0.2; sending the picture takes some more."""
_MIN_PAINTED_SHARE = 0.02
"""Of its pixels, from which on a drawing tells how fast pictures are drawn."""
_LAST_DRAWINGS = 3
"""So many tell how fast pictures are drawn, by the fastest: others were held up."""


class PageMachine(RenderStateMachine):
    """nerfstudio's machine, which draws all at once where there is time for it, and else as finely as there is.

    nerfstudio draws coarsely while something moves and at the first rest (``low_static``), and waits for another one
    before it draws all pixels (``high``), which then takes as long as it takes. Here what is drawn in time has all
    pixels and their samples from the first on; otherwise it is a draft of as many pixels as there is time for. Both
    give way to the next movement.

    Args:
        edit: Makes the picture that pages are shown out of the fitted one.
        is_playing: Tells whether a film plays.
    """

    def __init__(self, *args: Any, edit: Callable[[Any], Any], is_playing: Callable[[], bool] = lambda: False) -> None:
        super().__init__(*args)
        self._edit, self._is_playing = edit, is_playing
        self._is_draft = False  # what is being drawn
        self._redrawer = Redrawer()
        # Of drafts and of others, for this page: pixels a second that were painted, and their share of the picture.
        self._speeds = {is_draft: deque[float](maxlen=_LAST_DRAWINGS) for is_draft in (False, True)}
        self._shares = {is_draft: deque[float](maxlen=_LAST_DRAWINGS) for is_draft in (False, True)}

    def action(self, action: RenderAction) -> None:
        """Take what the page asks for."""
        super().action(action)
        if self.state == "low_static" and action.action == "move":
            self.interrupt_render_flag = True

    def check_interrupt(self, frame: FrameType, event: str, arg: Any) -> Any:
        """Trace functions of this package alone, so that a drawing gives way between two of their lines.

        nerfstudio interrupts at any line, also where no exception gets anywhere: in what a library does while an object
        of its own dies (``__del__``), or halfway through a change that it never repairs. Context managers and other
        generators of ours are let finish for the same reason. What is drawn while something moves nothing interrupts,
        and tracing would take a fifth of its time.
        """
        if self.state == "low_move":
            sys.settrace(None)
            return None
        name, flags = frame.f_globals.get("__name__", ""), frame.f_code.co_flags
        if not name.startswith("gainer_ns.") or flags & inspect.CO_GENERATOR or frame.f_code.co_name == "<module>":
            return None
        return super().check_interrupt(frame, event, arg)

    def _render_img(self, camera_state: Any) -> dict[str, Any]:
        self.interrupt_render_flag = False  # what came before this is what is drawn now, and not to interrupt it
        self._is_draft = not self._has_time_for(math.prod(self._full_size(camera_state.aspect)), is_draft=False)
        begin, asked, painted = time.monotonic(), self._redrawer.asked, self._redrawer.painted
        with picture_override_context(PictureOverride(self._edit, self._is_draft, self._redrawer)):
            outputs = super()._render_img(camera_state)
        asked, painted = self._redrawer.asked - asked, self._redrawer.painted - painted
        # Lifted photos are drawn without it, and always as a whole.
        self._take_time(time.monotonic() - begin, outputs["rgb"][..., 0].numel(), painted / asked if asked else 1.0)
        if self.state == "low_static" and not self._is_draft:
            self.state = "high"  # there is nothing finer to be drawn
        return outputs

    def _send_output_to_viewer(self, outputs: dict[str, Any], static_render: bool = True) -> None:
        super()._send_output_to_viewer(outputs, static_render)
        with contextlib.suppress(KeyError):  # the page has left
            self.client.flush()  # else viser waits for more to be sent

    def _take_time(self, seconds: float, pixels: int, share: float) -> None:
        """Learn from a drawing, of which a share was painted; from one that painted next to nothing, nothing."""
        if share >= _MIN_PAINTED_SHARE:
            self._speeds[self._is_draft].append(share * pixels / max(1e-6, seconds))
            self._shares[self._is_draft].append(share)

    @property
    def _seconds(self) -> float:
        """How long drawing may take."""
        moving = MAX_PLAY_SECONDS if self._is_playing() else MAX_MOVE_SECONDS
        return {"low_move": moving, "low_static": MAX_REST_SECONDS, "high": math.inf}[self.state]

    def _has_time_for(self, pixels: int, *, is_draft: bool) -> bool:
        return pixels <= self._seconds * self._speed(is_draft=is_draft)

    def _speed(self, *, is_draft: bool) -> float:
        """Return how many pixels of a picture are drawn in a second, of which as many change as have of late."""
        return max(self._speeds[is_draft], default=math.inf) / max(self._shares[is_draft], default=1.0)

    def _full_size(self, aspect_ratio: float) -> tuple[int, int]:
        largest = self.viewer.control_panel.max_res
        return int(min(largest, largest / aspect_ratio)), int(min(largest, largest * aspect_ratio))

    def _calculate_image_res(self, aspect_ratio: float) -> tuple[int, int]:
        height, width = self._full_size(aspect_ratio)
        if not self._is_draft or self._has_time_for(height * width, is_draft=True):
            return height, width
        wanted = self._seconds * self._speed(is_draft=True) / (height * width)
        share = min(1.0, max(MIN_DRAFT_SIDE_PX / min(height, width), math.sqrt(wanted)))
        return round(share * height), round(share * width)
