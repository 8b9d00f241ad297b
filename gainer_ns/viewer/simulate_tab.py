"""The tab that lets the picture go: it falls, is pulled at and pinned by hand, filmed, and saved as a scene."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
import viser

from gainer_ns.editing.shots import write_film
from gainer_ns.errors import GainerError
from gainer_ns.frames import CAMERA_DISTANCE, PixelSpace
from gainer_ns.io.outputs import output_for
from gainer_ns.physics.lengths import in_pixels
from gainer_ns.physics.materials import PRESETS
from gainer_ns.physics.simulated_plane import SimulatedPlane
from gainer_ns.physics.simulation import scene_for
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.viewer.context import PanelContext
from gainer_ns.viewer.live_player import LivePlayer
from gainer_ns.viewer.subject import PixelPoint
from gainer_ns.viewer.view_space import OVERLAY_LIFT, PAGE_UNITS, clicked_point, to_page

HAND, PINS = "/gainer/hand", "/gainer/live_pins"
HAND_SIZE = 2.4
"""Of the control in the page's units, of whose square the side is 0.225 and the middle 0.243 away from its origin."""
SQUARE_AT = 1.7 / 7
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
        self._pins: list[tuple[float, float]] = []
        self._pinned: list[int] = []
        self._hand: viser.TransformControlsHandle | None = None
        self._marks: viser.PointCloudHandle | None = None
        self._place: PixelPoint = (0.0, 0.0)  # where the hand is, or took hold
        self._held: int | None = None
        self._deaf_until = 0.0
        gui, by_user = context.server.gui, context.by_user
        if context.subject.is_deep:
            gui.add_markdown("Flat pictures are simulated here; lifted photos by `gainer simulate` only.")
            return
        context.buttons("Simulation", {"start": lambda _: self.start(), "stop": lambda _: self.stop()})
        self._material = gui.add_dropdown("Material", MATERIALS, hint="Of what is selected, else of all; starts anew")
        self._material.on_update(by_user(lambda _: self._restart()))
        self._particles = gui.add_number("Particles", LIVE_PARTICLES, min=100, max=100_000, step=100)
        self._gravity = gui.add_slider("Gravity", -10.0, 10.0, 0.5, 5.0, hint="Downwards, widths a squared second")
        self._wind = gui.add_slider("Wind", -20.0, 20.0, 0.5, 0.0, hint="To the right, widths a squared second")
        self._gusts = gui.add_slider("Gusts", 0.0, 1.0, 0.1, 0.0)
        for control in (self._gravity, self._wind, self._gusts):
            control.on_update(by_user(lambda _: self.push()))
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
        assert isinstance(fitted, BakedPicture)
        body: dict[str, Any] = {"material": self._material.value}
        if context.picker.selection is not None:
            body["select"] = in_pixels(context.picker.selection, 1 / fitted.plane.width)
        words = {"bodies": [body], "gravity": float(self._gravity.value), "fps": LIVE_FPS}
        simulated = SimulatedPlane(scene_for({**words, "particles": int(self._particles.value)}, fitted), fitted)
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
        self._place = point
        if self._hand is None:
            self._hand = self._context.server.scene.add_transform_controls(
                HAND,
                scale=HAND_SIZE,
                active_axes=(True, True, False),
                disable_axes=True,
                disable_rotations=True,
                depth_test=False,
            )
            self._hand.on_update(self._context.by_user(lambda _: self._dragged()))
        self._hand.position = self._control_at(point)

    def drag(self, to: PixelPoint) -> None:
        """Pull what is where the hand was put down to a place."""
        live, width = self.player.live, self._context.subject.fitted.plane.width
        if self._held is None:
            start = self._place[0] / width, self._place[1] / width
            self._held = live.take_hold(start, float(self._radius.value), float(self._strength.value))
        live.move(self._held, (to[0] / width, to[1] / width))
        self._place = to
        self._wake()

    def pin(self, point: PixelPoint) -> None:
        """Hold what is at a place there."""
        width = self._context.subject.fitted.plane.width
        self._pins.append((point[0] / width, point[1] / width))
        self._pin(self._pins[-1])
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
            frames, simulated = list(player.frames), player.simulated
            camera = simulated.camera(1.0)
            depth = output.bit_depth(None, simulated.picture.bit_depth, len(frames))
            shots = simulated.shots(lambda: frames, camera)
            profile = simulated.picture.profile
            write_film(output, shots, camera, frames=len(frames), fps=LIVE_FPS, bit_depth=depth, profile=profile)
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

    def _pin(self, place: tuple[float, float]) -> None:
        self._pinned.append(self.player.live.take_hold(place, float(self._radius.value), PIN_STRENGTH))
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
        start = np.asarray(self._control_at(self._place))
        right, up, _ = (np.asarray(self._hand.position) - start) / PAGE_UNITS / self._pixel_size()
        if time.monotonic() > self._deaf_until and math.hypot(right, up) > 0.1:
            self.drag((self._place[0] + float(right), self._place[1] - float(up)))

    def _mark(self) -> None:
        """Show where pins are."""
        if self._marks is not None:
            self._marks.remove()
            self._marks = None
        if self._pins:
            width = self._context.subject.fitted.plane.width
            points = self._context.subject.in_world(width * torch.tensor(self._pins, dtype=torch.float64))
            self._marks = self._context.server.scene.add_point_cloud(
                PINS, to_page(points, lift=OVERLAY_LIFT), PIN_COLOUR, point_size=PIN_SIZE
            )

    def _control_at(self, point: PixelPoint) -> tuple[float, float, float]:
        """Return where the control is whose square has its middle at a point."""
        x, y, z = to_page(self._context.subject.in_world(torch.tensor([point], dtype=torch.float64)))[0].tolist()
        return x - SQUARE_AT * HAND_SIZE, y - SQUARE_AT * HAND_SIZE, z

    def _pixel_size(self) -> float:
        return PixelSpace(self._context.subject.lens, CAMERA_DISTANCE).pixel_size
