"""The tab that moves what is selected: by handles in the picture, and by numbers, which are words of an edit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
import viser
from viser import transforms

from gainer_ns.editing.selection import Box
from gainer_ns.frames import CAMERA_DISTANCE, PixelSpace
from gainer_ns.viewer.context import PanelContext, show_value
from gainer_ns.viewer.session import movements
from gainer_ns.viewer.subject import PixelPoint
from gainer_ns.viewer.view_space import PAGE_UNITS, clicked_point, pixel_at, put, to_page

Towards = Literal["up", "right", "down", "left"]
"""Where a line runs from, over the selection: its far end moves, its near end stays."""


@dataclass(frozen=True)
class MoveValues:
    """What happens to the selection, in pixels and degrees; nothing by default.

    Attributes:
        by: To the right, down, and towards the camera.
        turn: Degrees counter-clockwise about ``axis``.
        axis: In the space of pixels: x right, y down, z towards the camera.
        scale: Times as large.
        stretch: Times as long, along the line.
        bend: Degrees that the line's far end turns.
        towards: Where the line of stretch and bend runs.
        twirl: Degrees that the middle turns.
        wave: Pixels that points move to either side.
        handles: Points that are dragged, from where to where.
        pins: Points that stay.
    """

    by: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn: float = 0.0
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    scale: float = 1.0
    stretch: float = 1.0
    bend: float = 0.0
    towards: Towards = "up"
    twirl: float = 0.0
    wave: float = 0.0
    handles: tuple[tuple[PixelPoint, PixelPoint], ...] = ()
    pins: tuple[PixelPoint, ...] = ()

    def words(self, box: Box, *, is_deep: bool) -> dict[str, Any]:
        """Return the words of an edit, in the order in which they are applied; none where nothing moves.

        Args:
            box: Left, top, right and bottom of the selection.
            is_deep: Whether it is a photo in space, which cannot be dragged, stretched, twirled or waved.
        """
        words = {} if is_deep else self._flat_words(box)
        if self.scale != 1:
            words["scale"] = {"factor": self.scale}
        if self.bend:
            words["bend"] = {"degrees": self.bend, "axis": self._line(box)}
        if self.turn:
            axis = {"axis": _rounded(self.axis)} if is_deep and self.axis != (0.0, 0.0, 1.0) else {}
            words["rotate"] = {"degrees": round(self.turn, 3), **axis}
        by = _rounded(self.by)
        if any(by):
            words["move"] = {"by": by if is_deep else by[:2]}
        return words

    def _flat_words(self, box: Box) -> dict[str, Any]:
        words: dict[str, Any] = {}
        if any(math.dist(start, to) > 1e-3 for start, to in self.handles):
            handles = [{"from": _rounded(start), "to": _rounded(to)} for start, to in self.handles]
            words["drag"] = {"handles": handles, "fixed": [_rounded(pin) for pin in self.pins]}
        if self.stretch != 1:
            words["stretch"] = {"factor": self.stretch, "axis": self._line(box)}
        if self.twirl:
            words["twirl"] = {"degrees": self.twirl}
        if self.wave:
            words["wave"] = {"amplitude": self.wave, "period": round(max(box[2] - box[0], box[3] - box[1]) / 3, 2)}
        return words

    def _line(self, box: Box) -> tuple[PixelPoint, PixelPoint]:
        """Return the ends of the line across the selection, through its middle."""
        left, top, right, bottom = box
        x, y = (left + right) / 2, (top + bottom) / 2
        ends = {"up": (x, top), "down": (x, bottom), "right": (right, y), "left": (left, y)}
        opposite = {"up": "down", "down": "up", "right": "left", "left": "right"}
        return ends[opposite[self.towards]], ends[self.towards]


GIZMO, CORNER, HANDLE = "/gainer/gizmo", "/gainer/corner", "/gainer/handle"
GIZMO_SIZE, CORNER_SIZE, HANDLE_SIZE = 1.2, 0.8, 0.5
"""In the page's units: the picture's longer side is 10."""
SCALE_LIMITS = 0.1, 4.0


class MoveTab:
    """The tab, built where the page is just being built."""

    def __init__(self, context: PanelContext) -> None:
        self._context, self._values = context, MoveValues()
        self._gizmo: viser.TransformControlsHandle | None = None
        self._corner: viser.TransformControlsHandle | None = None
        self._handles: list[viser.TransformControlsHandle] = []
        self._start = torch.zeros(1, 3)  # where the gizmo stands when nothing has moved, in the world
        gui, by_hand, is_deep = context.server.gui, context.by_hand, context.subject.is_deep
        self._inputs: dict[str, Any] = {
            "by": gui.add_vector3("Move, px", (0.0, 0.0, 0.0), step=1.0, hint="Right, down, and towards the camera"),
            "turn": gui.add_slider("Turn, deg", -180.0, 180.0, 1.0, 0.0),
            "scale": gui.add_slider("Scale", *SCALE_LIMITS, 0.01, 1.0),
            "towards": gui.add_dropdown("Towards", get_args(Towards), hint="Where bend and stretch go to"),
            "bend": gui.add_slider("Bend, deg", -180.0, 180.0, 1.0, 0.0),
            "stretch": gui.add_slider("Stretch", 0.2, 3.0, 0.01, 1.0, visible=not is_deep),
            "twirl": gui.add_slider("Twirl, deg", -360.0, 360.0, 1.0, 0.0, visible=not is_deep),
            "wave": gui.add_slider("Wave, px", 0.0, 50.0, 0.5, 0.0, visible=not is_deep),
        }
        for name, element in self._inputs.items():
            element.on_update(by_hand(lambda name=name: self._typed(name)))
        points = {what: lambda _, what=what: self._points(what) for what in ("drag", "pin", "none")}
        context.buttons("Points", points, hint="Points to drag, and points that stay", visible=not is_deep)
        context.buttons("Steps", {what: lambda _, what=what: self._step(what) for what in ("undo", "redo", "reset")})
        gui.add_button("Next edit", hint="Ends this edit; the next one begins where it ends").on_click(
            context.by_user(lambda _: self._next())
        )
        context.listeners.append(self._begin_anew)

    def _typed(self, name: str) -> None:
        """Take a number that was changed in the page."""
        value = self._inputs[name].value
        self._apply(replace(self._values, **{name: tuple(value) if name == "by" else value}))
        if self._gizmo is not None:
            put(self._gizmo, PAGE_UNITS * self._middle_and_arm()[0], self._rotation().wxyz)
            self._place_corner()

    def _gizmo_dragged(self) -> None:
        gizmo, pixel = self._gizmo, self._pixel_size()
        if gizmo is None:
            return
        x, y, z = ((np.asarray(gizmo.position) / PAGE_UNITS - self._start[0].numpy()) / pixel).tolist()
        turn, axis = _turn_of(gizmo.wxyz)
        if not self._context.subject.is_deep:
            z, turn, axis = 0.0, turn * axis[2], (0.0, 0.0, 1.0)
        self._apply(replace(self._values, by=(x, -y, z), turn=turn, axis=axis))
        show_value(self._inputs["by"], tuple(round(pixels, 1) for pixels in self._values.by))
        show_value(self._inputs["turn"], round(self._values.turn, 1))
        self._place_corner()

    def _corner_dragged(self) -> None:
        """Scale by how far the corner was pulled away from the middle, or towards it."""
        if self._corner is None:
            return
        middle, arm = self._middle_and_arm()
        out = np.asarray(self._corner.position) / PAGE_UNITS - middle
        scale = np.clip(float(out @ arm / (arm @ arm)), *SCALE_LIMITS)
        self._apply(replace(self._values, scale=round(float(scale), 2)))
        show_value(self._inputs["scale"], self._values.scale)

    def _handle_dragged(self, number: int) -> None:
        handles = list(self._values.handles)
        handles[number] = handles[number][0], pixel_at(self._handles[number], self._context.subject)
        self._apply(replace(self._values, handles=tuple(handles)))

    def _apply(self, values: MoveValues) -> None:
        """Move what is selected."""
        context = self._context
        words = values.words(context.picker.bounds(), is_deep=context.subject.is_deep)
        self._values = values
        begins = not context.session.history.is_under_way
        context.session.change(context.picker.chosen(), words)
        if begins:
            for prepare in context.before_moving:
                prepare()
        context.say(", ".join(words) or "As it was.")

    def _points(self, what: str) -> None:
        """Let a click put down a point that is dragged, or that stays."""
        context, scene = self._context, self._context.server.scene
        if what == "none":
            scene.remove_pointer_callback()
            self._apply(replace(self._values, handles=(), pins=()))
            self._show_handles()
            return

        def clicked(event: viser.ScenePointerEvent) -> None:
            point = clicked_point(event, context.subject)
            if what == "drag":
                self._values = replace(self._values, handles=(*self._values.handles, (point, point)))
            else:
                self._apply(replace(self._values, pins=(*self._values.pins, point)))
            scene.remove_pointer_callback()
            self._show_handles()
            context.say("Drag it." if what == "drag" else "It stays.")

        context.picker.chosen()
        scene.on_pointer_event("click")(context.by_user(clicked))
        context.say("Click where the point is to be." if what == "drag" else "Click what is to stay.")

    def _step(self, what: str) -> None:
        context, history = self._context, self._context.session.history
        if what == "reset":
            context.take(context.subject.empty())
        else:
            before = movements(history.script)
            (history.undo if what == "undo" else history.redo)()
            context.session.refresh()
            if movements(history.script) != before:
                context.changed()
        context.say(f"{len(history.script.edits)} edits.")

    def _next(self) -> None:
        self._context.session.history.finish()
        self._context.say("The next edit begins.")
        self._context.changed()

    def _begin_anew(self) -> None:
        """Follow another selection or script, of which nothing is moved yet."""
        self._values = MoveValues(towards=self._values.towards)
        for name, element in self._inputs.items():
            if name != "towards":
                show_value(element, getattr(self._values, name))
        self._show_gizmo()
        self._show_handles()

    def _show_gizmo(self) -> None:
        for handle in (self._gizmo, self._corner):
            if handle is not None:
                handle.remove()
        self._gizmo = self._corner = None
        picker, subject = self._context.picker, self._context.subject
        if picker.selection is None:
            return
        left, top, right, bottom = picker.bounds()
        self._start = subject.in_world(torch.tensor([((left + right) / 2, (top + bottom) / 2)])).double()
        self._gizmo = self._context.handle(
            GIZMO, GIZMO_SIZE, self._gizmo_dragged, is_deep=subject.is_deep, position=to_page(self._start)[0]
        )
        self._corner = self._context.handle(
            CORNER, CORNER_SIZE, self._corner_dragged, disable_axes=True, disable_rotations=True
        )
        self._place_corner()

    def _place_corner(self) -> None:
        """Put the corner where the numbers say."""
        if self._corner is not None:
            middle, arm = self._middle_and_arm()
            put(self._corner, PAGE_UNITS * (middle + self._values.scale * arm))

    def _rotation(self) -> transforms.SO3:
        a, b, c = self._values.axis
        return transforms.SO3.exp(math.radians(self._values.turn) * np.array([a, -b, c]))

    def _middle_and_arm(self) -> tuple[np.ndarray, np.ndarray]:
        """Return where the middle of the selection has moved to, and from there the way to its corner, not scaled."""
        pixel = self._pixel_size()
        left, top, right, bottom = self._context.picker.bounds()
        x, y, z = self._values.by
        arm = pixel * np.array([right - left, bottom - top, 0.0]) / 2
        return self._start[0].numpy() + pixel * np.array([x, -y, z]), self._rotation().as_matrix() @ arm

    def _show_handles(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = [
            self._context.handle(
                f"{HANDLE}_{number}",
                HANDLE_SIZE,
                partial(self._handle_dragged, number),
                disable_rotations=True,
                position=to_page(self._context.subject.in_world(torch.tensor([to])))[0],
            )
            for number, (_, to) in enumerate(self._values.handles)
        ]

    def _pixel_size(self) -> float:
        """Return the side of a pixel in the world, where the gizmo is."""
        depth = CAMERA_DISTANCE - float(self._start[0, 2])
        return PixelSpace(self._context.subject.lens, depth).pixel_size


def _rounded(numbers: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(number, 3) for number in numbers)


def _turn_of(wxyz: Any) -> tuple[float, tuple[float, float, float]]:
    """Return degrees and axis of a rotation, in the space of pixels, where y points down."""
    x, y, z = transforms.SO3(np.asarray(wxyz)).log().tolist()
    angle = math.sqrt(x * x + y * y + z * z)
    if angle < 1e-6:
        return 0.0, (0.0, 0.0, 1.0)
    return math.degrees(angle), (x / angle, -y / angle, z / angle)
