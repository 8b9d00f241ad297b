"""The tab that holds the material by pins: set by clicks, dragged and turned by hand."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import torch
import viser
from viser import transforms

from gainer_ns.editing.pins import Pin, PinKeyframe, Pins
from gainer_ns.errors import GainerError
from gainer_ns.motion.modes import Mode
from gainer_ns.viewer.context import PanelContext, show_value
from gainer_ns.viewer.edit_chooser import EditChooser
from gainer_ns.viewer.keyframes import saying, with_key, without_key
from gainer_ns.viewer.subject import PixelPoint
from gainer_ns.viewer.view_space import clicked_point, pixel_at, put, to_page

HANDLE, HANDLE_SIZE = "/gainer/pin", 0.6
NO_PIN = "none"
LEAST_TURN_DEG = 0.5
"""A hand that turns a pin by less has not meant to."""
KEYED = ("to", "rotate", "depth")


class PinsTab:
    """The tab, built where the page is just being built; all it shows is what the chosen edit says.

    Args:
        chooser: Whose pins these are, where it has any; else the first click begins an edit.
    """

    def __init__(self, context: PanelContext, chooser: EditChooser) -> None:
        self._context, self._chooser = context, chooser
        self._handles: list[viser.TransformControlsHandle] = []
        self._held: int | None = None
        gui, by_hand = context.server.gui, context.by_hand
        actions = {"place": lambda _: self.point(), "remove": lambda _: self.remove(), "done": lambda _: self.rest()}
        context.buttons("Pins", actions, hint="Each click puts one pin down, on the picture as it was fitted")
        self._list = gui.add_dropdown("Pin", tuple([NO_PIN]), hint="Whose stiffness, depth and turn these are")
        self._list.on_update(by_hand(lambda: self.show()))
        self._stiffness = gui.add_slider("Stiffness, px", 0.0, 200.0, 1.0, 0.0, hint="Around the pin nothing bends")
        self._stiffness.on_update(by_hand(lambda: self.change("stiffness", float(self._stiffness.value))))
        self._depth = gui.add_slider("Depth", -5.0, 5.0, 0.5, 0.0, hint="The larger, the nearer, over itself")
        self._depth.on_update(by_hand(lambda: self.change("depth", float(self._depth.value))))
        self._turn = gui.add_slider("Pin turn, deg", -180.0, 180.0, 1.0, 0.0)
        self._turn.on_update(by_hand(lambda: self.change("rotate", float(self._turn.value))))
        context.buttons("Turn", {"free": lambda _: self.change("rotate", None)}, hint="Lets it turn as it likes")
        self._mode = gui.add_dropdown("Gives way", get_args(Mode), hint="rigid resists bending, distort stretches")
        self._mode.on_update(by_hand(lambda: self._write(self.pins, "mode")))
        keys = {"set": lambda _: self.set_keyframe(), "remove": lambda _: self.remove_keyframe()}
        context.buttons("Pin keyframe", keys, hint="Of this pin, at the time of the tab Film")
        chooser.listeners.append(self.show)
        self.show()

    @property
    def pins(self) -> tuple[Pin, ...]:
        """The pins of the chosen edit."""
        edit = self._chooser.edit
        found = getattr(edit, "pins", None)
        return () if found is None else found.pins

    def point(self) -> None:
        """Let clicks put pins down."""
        context, scene = self._context, self._context.server.scene
        context.session.show_unedited(True)
        scene.on_pointer_event("click")(
            context.by_user(lambda event: self.place(clicked_point(event, context.subject)))
        )
        context.say("Click where pins are to be, and then done.")

    def rest(self) -> None:
        """Let clicks do nothing, so that pins can be taken hold of."""
        self._context.server.scene.remove_pointer_callback()
        self._context.session.show_unedited(False)
        self._context.say("Drag the pins.")

    def place(self, point: PixelPoint) -> None:
        """Put a pin down; the first one begins an edit, of what is selected or else of all."""
        context, pin = self._context, Pin(at=(round(point[0], 2), round(point[1], 2)))
        if not self.pins:
            self._chooser.begin({"pins": Pins(pins=(pin,))})
        else:
            self._write((*self.pins, pin))
        self._list.value = self._list.options[-1]
        self.show()
        context.say(f"{len(self.pins)} pins.")

    def remove(self) -> None:
        """Take the chosen pin away; with the last one the edit."""
        number = self._chosen()
        kept = (*self.pins[:number], *self.pins[number + 1 :])
        if not kept:
            raise GainerError("the last pin is the edit; take that back with undo, in the tab Move")
        self._write(kept)
        self._context.say(f"{len(kept)} pins.")

    def change(self, word: str, value: Any) -> None:
        """Change what the chosen pin says."""
        number = self._chosen()
        self._put(number, word, **{word: value})

    def drag(self, number: int, to: PixelPoint, turned: float) -> None:
        """Take a pin to a place, and turn it by so many degrees from its rest, where that is meant."""
        now = self._now(self.pins[number])
        said: dict[str, Any] = {"to": (round(to[0], 2), round(to[1], 2))}
        if now.rotate is not None or abs(turned) >= LEAST_TURN_DEG:
            said["rotate"] = round(turned, 2)
        self._held = number
        try:
            show_value(self._list, self._list.options[number])
            self._put(number, "drag", **said)
        finally:
            self._held = None

    def set_keyframe(self) -> None:
        """Keep, at the time that is shown, where the chosen pin is."""
        number = self._chosen()
        pin, time = self.pins[number], round(self._context.session.time, 4)
        self._write(self._with(number, keyframes=_keyed(pin, self._now(pin), time)))
        self._context.say(f"Pin {number + 1} is keyed at {time:g}.")

    def remove_keyframe(self) -> None:
        """Forget where the chosen pin is at the time that is shown."""
        number, time = self._chosen(), self._context.session.time
        keyframes = self.pins[number].keyframes or ()
        kept = without_key(keyframes, time)
        if len(kept) == len(keyframes):
            raise GainerError(f"the pin has no keyframe at {time:g}")
        self._write(self._with(number, keyframes=kept or None))
        self._context.say(f"Pin {number + 1} is not keyed at {time:g}.")

    def show(self) -> None:
        """Show the pins of the chosen edit, and what the chosen one says."""
        pins = self.pins
        names = tuple(str(number) for number in range(1, len(pins) + 1)) or (NO_PIN,)
        if names != self._list.options:
            self._list.options = names
        if len(self._handles) != len(pins):
            for handle in self._handles:
                handle.remove()
            self._handles = [self._handle(number) for number in range(len(pins))]
        if pins:
            now = self._now(pins[self._chosen()])
            edit: Any = self._chooser.edit
            show_value(self._stiffness, now.stiffness)
            show_value(self._depth, now.depth or 0.0)
            show_value(self._turn, now.rotate or 0.0)
            show_value(self._mode, edit.pins.mode)
        self._place_handles()

    def _chosen(self) -> int:
        if not self.pins:
            raise GainerError("there are no pins in this edit; press place, and click on the picture")
        return min(self._list.options.index(self._list.value), len(self.pins) - 1)

    def _now(self, pin: Pin) -> Pin:
        edit = self._chooser.chosen()
        return pin.at_time(self._context.session.time, edit.easing)

    def _put(self, number: int, what: str, **changes: Any) -> None:
        """Change a pin: where it has keyframes, what can have them at the time that is shown."""
        pin = self.pins[number]
        if pin.keyframes is not None and set(changes) <= set(KEYED):
            time = round(self._context.session.time, 4)
            changes = {"keyframes": _keyed(pin, saying(self._now(pin), **changes), time)}
        self._write(self._with(number, **changes), (what, number))

    def _with(self, number: int, **changes: Any) -> tuple[Pin, ...]:
        pins = list(self.pins)
        pins[number] = saying(pins[number], **changes)
        return tuple(pins)

    def _write(self, pins: tuple[Pin, ...], together: Any = None) -> None:
        if not pins:
            raise GainerError("there are no pins in this edit; press place, and click on the picture")
        self._chooser.revise(together, pins=Pins(pins=pins, mode=self._mode.value))

    def _handle(self, number: int) -> viser.TransformControlsHandle:
        return self._context.handle(f"{HANDLE}_{number}", HANDLE_SIZE, lambda: self._dragged(number))

    def _dragged(self, number: int) -> None:
        handle = self._handles[number]
        turned = math.degrees(float(transforms.SO3(np.asarray(handle.wxyz)).log()[2]))
        self.drag(number, pixel_at(handle, self._context.subject), turned)

    def _place_handles(self) -> None:
        """Put the handles, but one that is being dragged, where the pins are at the time that is shown."""
        pins = [self._now(pin) for pin in self.pins]
        if not pins:
            return
        places = to_page(self._context.subject.in_world(torch.tensor([now.to or now.at for now in pins]).double()))
        for number, (now, handle, place) in enumerate(zip(pins, self._handles, places, strict=True)):
            if number != self._held:
                half = math.radians(now.rotate or 0.0) / 2
                put(handle, place, (math.cos(half), 0.0, 0.0, math.sin(half)))


def _keyed(pin: Pin, now: Pin, time: float) -> tuple[PinKeyframe, ...]:
    """Return a pin's keyframes with one more, of where it is at a time."""
    said = {word: getattr(now, word) for word in KEYED if getattr(now, word) is not None}
    return with_key(pin.keyframes, PinKeyframe(time=time, **{"to": now.at, **said}))
