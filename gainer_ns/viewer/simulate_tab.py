"""The tab that lets the picture go: it falls, is pulled at and pinned by hand, filmed, and saved as a scene."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
import viser
from jaxtyping import Float
from torch import Tensor

from gainer_ns.editing.shots import write_film
from gainer_ns.errors import GainerError
from gainer_ns.io.outputs import output_for
from gainer_ns.physics.lengths import in_pixels
from gainer_ns.physics.materials import PRESETS
from gainer_ns.physics.simulation import scene_for, simulated_picture
from gainer_ns.viewer.context import PanelContext
from gainer_ns.viewer.live_player import LivePlayer
from gainer_ns.viewer.subject import PixelPoint
from gainer_ns.viewer.view_space import OVERLAY_LIFT, PAGE_UNITS, clicked_point, to_page

HAND, PINS = "/gainer/hand", "/gainer/live_pins"
HAND_SIZE = 2.4
"""Of the control in the page's units, of whose square the side is 0.225 and the middle 0.243 away from its origin."""
SQUARE_OFFSET = 1.7 / 7 * HAND_SIZE * np.array([1.0, 1.0, 0.0])
PIN_COLOUR, PIN_SIZE = (255, 0, 255), 0.1
PIN_STRENGTH = 1000.0
LIVE_FPS = 24.0
LIVE_PARTICLES = 4000
MATERIALS = tuple(name for name, material in PRESETS.items() if material.behaviour != "pinned")
DEAF_SECONDS = 0.3
"""After the hand has let go the page may still send where it was dragged before."""
SCENE_SUFFIX = ".scene.yaml"


class SimulateTab:
    """The tab, built where the page is just being built."""

    def __init__(self, context: PanelContext) -> None:
        self._context = context
        self._player: LivePlayer | None = None
        self._pins: list[PixelPoint] = []
        self._pinned: list[int] = []
        self._hand: viser.TransformControlsHandle | None = None
        self._marks: viser.PointCloudHandle | None = None
        self._place: PixelPoint = (0.0, 0.0)  # where the hand is, or took hold, in pixels of the scene
        self._held: int | None = None
        self._deaf_until = 0.0
        gui, by_hand = context.server.gui, context.by_hand
        context.buttons("Simulation", {"start": lambda _: self.start(), "stop": lambda _: self.stop()})
        self._material = gui.add_dropdown("Material", MATERIALS, hint="Of what is selected, else of all; starts anew")
        self._material.on_update(by_hand(lambda: self._restart()))
        self._particles = gui.add_number("Particles", LIVE_PARTICLES, min=100, max=100_000, step=100)
        self._gravity = gui.add_slider("Gravity", -10.0, 10.0, 0.5, 5.0, hint="Downwards, widths a squared second")
        self._wind = gui.add_slider("Wind", -20.0, 20.0, 0.5, 0.0, hint="To the right, widths a squared second")
        self._gusts = gui.add_slider("Gusts", 0.0, 1.0, 0.1, 0.0)
        for control in (self._gravity, self._wind, self._gusts):
            control.on_update(by_hand(lambda: self.push()))
        pointers = {"pull": lambda _: self.point("pull"), "pin": lambda _: self.point("pin")}
        rest = {"unpin": lambda _: self.unpin(), "look": lambda _: self.look()}
        context.buttons("Hand", {**pointers, **rest}, hint="What a click in the picture does")
        self._radius = gui.add_slider("Reach", 0.02, 0.3, 0.01, 0.08, hint="Of the hand and of pins, in widths")
        self._strength = gui.add_slider("Strength", 50.0, 1000.0, 50.0, 400.0, hint="Of the hand")
        self._name = gui.add_text("Simulation name", "poke", hint=f"Files go to {context.files.folder}")
        context.buttons("Keep", {"scene": lambda _: self.save_scene(), "film": lambda _: self.save_film()})
        context.listeners.append(self.stop)

    @property
    def player(self) -> LivePlayer:
        """What simulates.

        Raises:
            GainerError: Nothing is.
        """
        if self._player is None:
            raise GainerError("nothing is simulated yet; press start")
        return self._player

    def start(self) -> None:
        """Let the picture go, as it was fitted; anew if it had been already."""
        self.stop()
        context, fitted = self._context, self._context.subject.fitted
        body: dict[str, Any] = {"material": self._material.value}
        if context.picker.selection is not None:
            body["select"] = in_pixels(context.picker.selection, 1 / fitted.plane.width)
        words = {"bodies": [body], "gravity": float(self._gravity.value), "fps": LIVE_FPS}
        simulated = simulated_picture(scene_for({**words, "particles": int(self._particles.value)}, fitted), fitted)
        context.session.is_playing = True
        self._player = LivePlayer(simulated, context.session.show, self._rest, context.complain)
        self._pinned = []
        for pin in self._pins:
            self._pin(pin)
        self.push()
        self.point("pull")

    def stop(self) -> None:
        """End the simulation, and show the edits again."""
        if self._player is not None:
            player, self._player = self._player, None
            player.stop()
            self.look()
            self._context.session.refresh()

    def push(self) -> None:
        """Let gravity and wind be what the controls say."""
        if self._player is not None:
            self._player.live.set_gravity(0.0, float(self._gravity.value))
            self._player.live.set_wind(float(self._wind.value), 0.0, float(self._gusts.value))
            self._wake()

    def point(self, what: str) -> None:
        """Let clicks put the hand down, or pins."""
        self.player  # noqa: B018 (raises where there is none)
        scene, subject = self._context.server.scene, self._context.subject
        act = self.click if what == "pull" else self.pin
        scene.on_pointer_event("click")(self._context.by_user(lambda event: act(clicked_point(event, subject))))
        help_text = (
            "Click where the hand is to be, and drag its square." if what == "pull" else "Click what is to stay."
        )
        self._context.say(help_text)

    def look(self) -> None:
        """Let clicks do nothing, and take the hand away."""
        self._context.server.scene.remove_pointer_callback()
        self._let_go()
        for node in (self._hand, self._marks):
            if node is not None:
                node.remove()
        self._hand = self._marks = None

    def click(self, point: PixelPoint) -> None:
        """Put the hand down; where it holds something, this is the end of that."""
        if self._held is not None:
            self._let_go()
            return
        world = self._in_world([point])
        self._place = self._in_scene(world)
        if self._hand is None:
            self._hand = self._context.handle(HAND, HAND_SIZE, self._dragged, disable_axes=True, disable_rotations=True)
        self._hand.position = to_page(world)[0] - SQUARE_OFFSET

    def drag(self, to: PixelPoint) -> None:
        """Pull what is where the hand was put down to a place, in pixels of the scene."""
        live, width = self.player.live, self._context.subject.lens.width
        if self._held is None:
            start = self._place[0] / width, self._place[1] / width
            self._held = live.take_hold(start, float(self._radius.value), float(self._strength.value))
        live.move(self._held, (to[0] / width, to[1] / width))
        self._place = to
        self._wake()

    def pin(self, point: PixelPoint) -> None:
        """Hold what is at a place there."""
        self._pins.append(point)
        self._pin(point)
        self._wake()
        self._context.say(f"{len(self._pins)} pins.")

    def unpin(self) -> None:
        """Take all pins away."""
        self._pins = []
        for hand in self._pinned:
            self.player.live.let_go(hand)
        self._pinned = []
        self._mark()
        self._wake()

    def save_scene(self) -> None:
        """Save what was done as a scene."""
        files, scene = self._context.files, self.player.live.scene
        path = files.path(self._name.value, SCENE_SUFFIX)
        files.write(path, scene.to_yaml(files.folder).encode("utf8"))
        self._context.say(f"Saved {path}; gainer simulate --scene repeats it.")

    def save_film(self) -> None:
        """Film what was done, frame by frame, as ``gainer simulate`` films it."""
        player, files = self.player, self._context.files
        output = output_for(files.path(self._name.value, ".mp4"), "film")
        self._context.say("Drawing ...")
        output.path.parent.mkdir(parents=True, exist_ok=True)
        with player.paused():
            frames, simulated, fitted = list(player.frames), player.simulated, self._context.subject.fitted
            camera = simulated.camera(1.0)
            depth = output.bit_depth(None, fitted.bit_depth, len(frames))
            drawn = map(camera.draw, simulated.shots(lambda: frames, camera))
            write_film(output, drawn, frames=len(frames), fps=LIVE_FPS, bit_depth=depth, profile=fitted.profile)
        self._context.say(f"Saved {output.path}, {len(frames)} frames.")

    def _restart(self) -> None:
        if self._player is not None:
            self.start()

    def _rest(self) -> None:
        """Let the page draw finely what does not move any more."""
        self._context.session.is_playing = False

    def _wake(self) -> None:
        if self._player is not None:
            self._context.session.is_playing = True
            self._player.wake()

    def _pin(self, point: PixelPoint) -> None:
        x, y = self._in_scene(self._in_world([point]))
        width = self._context.subject.lens.width
        self._pinned.append(self.player.live.take_hold((x / width, y / width), float(self._radius.value), PIN_STRENGTH))
        self._mark()

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None and self._player is not None:
            self._player.live.let_go(held)
            self._deaf_until = time.monotonic() + DEAF_SECONDS
            self._wake()

    def _dragged(self) -> None:
        if self._hand is None or self._player is None:
            return
        at = torch.from_numpy(np.asarray(self._hand.position, np.float64) + SQUARE_OFFSET) / PAGE_UNITS
        to = self._in_scene(at[None])
        if time.monotonic() > self._deaf_until and math.dist(to, self._place) > 0.1:
            self.drag(to)

    def _mark(self) -> None:
        """Show where pins are."""
        if self._marks is not None:
            self._marks.remove()
            self._marks = None
        if self._pins:
            points = to_page(self._in_world(self._pins), lift=OVERLAY_LIFT)
            self._marks = self._context.server.scene.add_point_cloud(PINS, points, PIN_COLOUR, point_size=PIN_SIZE)

    def _in_world(self, points: list[PixelPoint]) -> Float[Tensor, "m 3"]:
        return self._context.subject.in_world(torch.tensor(points, dtype=torch.float64))

    def _in_scene(self, world: Float[Tensor, "1 3"]) -> PixelPoint:
        x, y = (self._context.subject.lens.width * self.player.simulated.places(world))[0].tolist()
        return x, y
