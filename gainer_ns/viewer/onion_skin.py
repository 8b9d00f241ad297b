"""Onion skin: what moves, as it is some frames before and after, faintly over the picture."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from gainer_ns.editing.script import Script
from gainer_ns.editing.stage import Stage
from gainer_ns.errors import GainerError
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.viewer.context import PanelContext
from gainer_ns.viewer.overlays import picture_overlay
from gainer_ns.viewer.subject import FlatSubject
from gainer_ns.viewer.worker import LatestWorker

NAME = "/gainer/onion"
MAX_SIDE_PX = 384
"""Pixels along the longer side of a skin."""
SKIN_ALPHA = 0.5
BEFORE_TINT, AFTER_TINT = (0.2, 0.4, 1.0), (1.0, 0.5, 0.1)
TINT_SHARE = 0.4
"""How much of a skin's colour is its tint."""
CLEAR_DIFFERENCE = 0.15
"""Of a colour or of opacity, from which on a skin is as strong as it gets."""

Samples = Float[np.ndarray, "h w 4"]


class OnionSkin:
    """The skins of flat pictures. They are drawn in a thread of their own, and shown when they are there."""

    def __init__(self, context: PanelContext) -> None:
        self._context = context
        self._worker = LatestWorker()
        self._nodes: list = []
        self._stage: Stage | None = None

    def show(self, script: Script, time: float, apart: float) -> None:
        """Show what is so much time before and after; nothing where that is 0, or nothing is edited."""
        subject = self._context.subject
        if apart <= 0 or not script.edits or not isinstance(subject, FlatSubject):
            self._worker.ask(self._clear)
            return

        def work() -> None:
            assert isinstance(script, Script)
            try:
                stage = self._stage
                if stage is None or stage.picture is not subject.fitted or not stage.follow(script):
                    stage = self._stage = subject.staged(script)
                at = stage.at
                now = drawn(at(time))
                skins = {
                    name: skin_of(drawn(at(other)), now, tint)
                    for name, other, tint in (
                        ("before", time - apart, BEFORE_TINT),
                        ("after", time + apart, AFTER_TINT),
                    )
                    if 0 <= other <= 1
                }
            except GainerError as error:
                self._context.complain(str(error))
                return
            self._clear()
            for name, skin in skins.items():
                self._nodes.append(picture_overlay(self._context, f"{NAME}/{name}", skin))

        self._worker.ask(work)

    def wait(self) -> bool:
        """Wait until what was asked for is shown, and return whether it is."""
        return self._worker.wait()

    def _clear(self) -> None:
        for node in self._nodes:
            node.remove()
        self._nodes = []


def drawn(picture: BakedPicture) -> Samples:
    """Draw a picture as small as skins are, with its opacity."""
    plane = picture.plane
    colours, opacity = picture.raster(min(1.0, MAX_SIDE_PX / max(plane.width, plane.height)))
    return np.dstack([colours.cpu().numpy(), opacity.cpu().numpy()])


def skin_of(other: Samples, now: Samples, tint: tuple[float, float, float]) -> UInt8[np.ndarray, "h w 4"]:
    """Return what differs of another time, tinted."""
    differs = np.abs(other[..., :3] * other[..., 3:] - now[..., :3] * now[..., 3:]).max(axis=2)
    strength = cv2.blur(np.clip(differs / CLEAR_DIFFERENCE, 0, 1).astype(np.float32), (3, 3)) * other[..., 3]
    colours = (1 - TINT_SHARE) * other[..., :3] + TINT_SHARE * np.asarray(tint)
    samples = np.dstack([colours, SKIN_ALPHA * strength])
    return np.rint(255 * np.clip(samples, 0, 1)).astype(np.uint8)
