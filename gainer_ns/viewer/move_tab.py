"""The tab that moves what is selected: by handles in the picture, and by numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import torch
import viser
from viser import transforms

from gainer_ns.errors import GainerError
from gainer_ns.frames import CAMERA_DISTANCE, PixelSpace
from gainer_ns.viewer.desk import Desk
from gainer_ns.viewer.movement import Movement, Towards
from gainer_ns.viewer.subject import Place
from gainer_ns.viewer.view_space import SCALE, place_on_page, to_page

GIZMO, CORNER, HANDLE = "/gainer/gizmo", "/gainer/corner", "/gainer/handle"
GIZMO_SIZE, CORNER_SIZE, HANDLE_SIZE = 1.2, 0.8, 0.5
"""In the page's units: the picture's longer side is 10."""
SCALES = 0.1, 4.0
"""The least and the most."""


class MoveTab:
    """Builds the tab where the page is just being built.

    Args:
        desk: What the panel shares.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk, self._movement = desk, Movement()
        self._gizmo: viser.TransformControlsHandle | None = None
        self._corner: viser.TransformControlsHandle | None = None
        self._handles: list[viser.TransformControlsHandle] = []
        self._start = torch.zeros(1, 3)  # where the gizmo stands when nothing has moved, in the world
        gui, by_hand, is_deep = desk.server.gui, desk.by_hand, desk.subject.is_deep
        self._by = gui.add_vector3("Move, px", (0.0, 0.0, 0.0), step=1.0, hint="Right, down, and towards the camera")
        self._turn = gui.add_slider("Turn, deg", -180.0, 180.0, 1.0, 0.0)
        self._scale = gui.add_slider("Scale", *SCALES, 0.01, 1.0)
        self._towards = gui.add_dropdown("Towards", get_args(Towards), hint="Where bend and stretch go to")
        self._bend = gui.add_slider("Bend, deg", -180.0, 180.0, 1.0, 0.0)
        self._stretch = gui.add_slider("Stretch", 0.2, 3.0, 0.01, 1.0, visible=not is_deep)
        self._twirl = gui.add_slider("Twirl, deg", -360.0, 360.0, 1.0, 0.0, visible=not is_deep)
        self._wave = gui.add_slider("Wave, px", 0.0, 50.0, 0.5, 0.0, visible=not is_deep)
        for name in ("by", "turn", "scale", "towards", "bend", "stretch", "twirl", "wave"):
            self._input(name).on_update(by_hand(lambda _, name=name: self._typed(name)))
        points = {what: lambda _, what=what: self._points(what) for what in ("drag", "pin", "none")}
        desk.buttons("Points", points, hint="Points to drag, and points that stay", visible=not is_deep)
        desk.buttons("Steps", {what: lambda _, what=what: self._step(what) for what in ("undo", "redo", "reset")})
        gui.add_button("Next edit", hint="Ends this edit; the next one begins where it ends").on_click(
            by_hand(lambda _: self._next())
        )
        desk.listeners.append(self._follow)

    def _input(self, name: str) -> Any:
        return getattr(self, f"_{name}")

    def _typed(self, name: str) -> None:
        """A number was changed in the page."""
        value = self._input(name).value
        self._apply(replace(self._movement, **{name: tuple(value) if name == "by" else value}))
        self._place_gizmo()

    def _dragged(self) -> None:
        """The gizmo was moved."""
        assert self._gizmo is not None
        pixel = self._pixel_size()
        x, y, z = ((np.asarray(self._gizmo.position) / SCALE - self._start[0].numpy()) / pixel).tolist()
        turn, axis = _turn_of(self._gizmo.wxyz)
        if not self._desk.subject.is_deep:
            z, turn, axis = 0.0, turn * axis[2], (0.0, 0.0, 1.0)
        self._apply(replace(self._movement, by=(x, -y, z), turn=turn, axis=axis))
        self._by.value = np.round(self._movement.by, 1)
        self._turn.value = round(self._movement.turn, 1)
        self._place_corner()

    def _corner_dragged(self) -> None:
        """The corner was pulled away from the middle, or towards it."""
        assert self._corner is not None
        middle, arm = self._middle_and_arm()
        out = np.asarray(self._corner.position) / SCALE - middle
        scale = min(max(float(out @ arm / (arm @ arm)), SCALES[0]), SCALES[1])
        self._apply(replace(self._movement, scale=round(scale, 2)))
        self._scale.value = self._movement.scale

    def _handle_dragged(self, number: int, handle: viser.TransformControlsHandle) -> None:
        (start, _), pixel = self._movement.handles[number], self._pixel_size()
        origin = self._desk.subject.in_world(torch.tensor([start]))[0].numpy()
        x, y, _ = ((np.asarray(handle.position) / SCALE - origin) / pixel).tolist()
        handles = list(self._movement.handles)
        handles[number] = start, (start[0] + x, start[1] - y)
        self._apply(replace(self._movement, handles=tuple(handles)))

    def _apply(self, movement: Movement) -> None:
        """Shows a movement of what is selected."""
        selection, picker = self._desk.picker.selection, self._desk.picker
        if selection is None:
            raise GainerError("nothing is selected; select a part of the picture in the tab Select")
        words = movement.words(selection.bounds(picker.width, picker.height), is_deep=self._desk.subject.is_deep)
        self._movement = movement
        begins = not self._desk.session.history.is_under_way
        self._desk.session.change(selection, words)
        if begins:
            for prepare in self._desk.before_moving:
                prepare()
        self._desk.say(", ".join(words) or "As it was.")

    def _points(self, what: str) -> None:
        """Clicks put down points that are dragged, or that stay."""
        scene = self._desk.server.scene
        if what == "none":
            scene.remove_pointer_callback()
            self._apply(replace(self._movement, handles=(), pins=()))
            self._show_handles()
            return

        def clicked(event: viser.ScenePointerEvent) -> None:
            place = place_on_page(event.client.camera, self._desk.subject, *event.screen_pos[0])
            if place is None:
                raise GainerError("there is nothing there; click on the picture")
            if what == "drag":
                self._movement = replace(self._movement, handles=(*self._movement.handles, (place, place)))
            else:
                self._apply(replace(self._movement, pins=(*self._movement.pins, place)))
            scene.remove_pointer_callback()
            self._show_handles()
            self._desk.say("Drag it." if what == "drag" else "It stays.")

        if self._desk.picker.selection is None:
            raise GainerError("nothing is selected; select a part of the picture in the tab Select")
        scene.on_pointer_event("click")(self._desk.by_hand(clicked))
        self._desk.say("Click where the point is to be." if what == "drag" else "Click what is to stay.")

    def _step(self, what: str) -> None:
        history = self._desk.session.history
        if what == "reset":
            history.replace(self._desk.subject.empty())
        else:
            (history.undo if what == "undo" else history.redo)()
        self._desk.session.refresh()
        self._desk.say(f"{len(history.script.edits)} edits.")
        self._desk.changed()

    def _next(self) -> None:
        self._desk.session.history.finish()
        self._desk.say("The next edit begins.")
        self._desk.changed()

    def _follow(self) -> None:
        """The selection or the script has changed: this begins anew."""
        self._movement = Movement(towards=self._movement.towards)
        for name in ("by", "turn", "scale", "bend", "stretch", "twirl", "wave"):
            self._input(name).value = getattr(self._movement, name)
        self._show_gizmo()
        self._show_handles()

    def _show_gizmo(self) -> None:
        for handle in (self._gizmo, self._corner):
            if handle is not None:
                handle.remove()
        self._gizmo = self._corner = None
        picker, is_deep = self._desk.picker, self._desk.subject.is_deep
        if picker.selection is None:
            return
        self._start = self._desk.subject.in_world(torch.tensor([self._middle()])).double()
        self._gizmo = self._desk.server.scene.add_transform_controls(
            GIZMO,
            scale=GIZMO_SIZE,
            active_axes=(True, True, is_deep),
            depth_test=False,
            position=to_page(self._start)[0],
        )
        self._gizmo.on_update(self._desk.by_hand(lambda _: self._dragged()))
        self._corner = self._desk.server.scene.add_transform_controls(
            CORNER,
            scale=CORNER_SIZE,
            active_axes=(True, True, False),
            disable_axes=True,
            disable_rotations=True,
            depth_test=False,
        )
        self._corner.on_update(self._desk.by_hand(lambda _: self._corner_dragged()))
        self._place_corner()

    def _place_gizmo(self) -> None:
        """Puts the gizmo where the numbers say."""
        if self._gizmo is None:
            return
        self._gizmo.position = SCALE * self._middle_and_arm()[0]
        self._gizmo.wxyz = self._rotation().wxyz
        self._place_corner()

    def _place_corner(self) -> None:
        """Puts the corner where the numbers say."""
        if self._corner is not None:
            middle, arm = self._middle_and_arm()
            self._corner.position = SCALE * (middle + self._movement.scale * arm)

    def _rotation(self) -> transforms.SO3:
        a, b, c = self._movement.axis
        return transforms.SO3.exp(math.radians(self._movement.turn) * np.array([a, -b, c]))

    def _middle_and_arm(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the middle of the selection has moved to, and from there the way to its corner, not scaled."""
        picker, pixel = self._desk.picker, self._pixel_size()
        assert picker.selection is not None
        left, top, right, bottom = picker.selection.bounds(picker.width, picker.height)
        x, y, z = self._movement.by
        arm = pixel * np.array([right - left, bottom - top, 0.0]) / 2
        return self._start[0].numpy() + pixel * np.array([x, -y, z]), self._rotation().as_matrix() @ arm

    def _show_handles(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        for number, (_, to) in enumerate(self._movement.handles):
            handle = self._desk.server.scene.add_transform_controls(
                f"{HANDLE}_{number}",
                scale=HANDLE_SIZE,
                active_axes=(True, True, False),
                disable_rotations=True,
                depth_test=False,
                position=to_page(self._desk.subject.in_world(torch.tensor([to])))[0],
            )
            handle.on_update(self._desk.by_hand(lambda handle, number=number: self._handle_dragged(number, handle)))
            self._handles.append(handle)

    def _middle(self) -> Place:
        picker = self._desk.picker
        assert picker.selection is not None
        left, top, right, bottom = picker.selection.bounds(picker.width, picker.height)
        return (left + right) / 2, (top + bottom) / 2

    def _pixel_size(self) -> float:
        """Side of a pixel in the world, where the gizmo is."""
        depth = CAMERA_DISTANCE - float(self._start[0, 2])
        return PixelSpace(self._desk.subject.lens, depth).pixel_size


def _turn_of(wxyz: Any) -> tuple[float, tuple[float, float, float]]:
    """Degrees and axis of a rotation, in the space of pixels, where y points down."""
    x, y, z = transforms.SO3(np.asarray(wxyz)).log().tolist()
    angle = math.sqrt(x * x + y * y + z * z)
    if angle < 1e-6:
        return 0.0, (0.0, 0.0, 1.0)
    return math.degrees(angle), (x / angle, -y / angle, z / angle)
