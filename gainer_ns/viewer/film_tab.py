"""The tab that plays: scripts with keyframes, which it sets, and sequences that ``gainer simulate`` has left."""

from __future__ import annotations

import math
import threading
import time

from gainer_ns.editing.film_length import DEFAULT_FPS, frame_times, frames_in
from gainer_ns.editing.script import Script
from gainer_ns.errors import GainerError
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.viewer.context import PanelContext, show_value
from gainer_ns.viewer.edit_chooser import EditChooser
from gainer_ns.viewer.onion_skin import OnionSkin
from gainer_ns.viewer.sequences import is_sequence, play_sequence
from gainer_ns.viewer.timeline import Timeline

SCRIPT_FILM = "the edits"
DEFAULT_FRAMES = 24
"""Frames of a film, where a script says nothing of them."""
FRAME_SECONDS = 1 / 30
"""From one picture that is played to the next, at least."""
LATE_SHARE = 1.2
"""How many times as long as it should playing may take."""


def film_length(script: Script) -> tuple[int, float]:
    """Return how many frames a film of a script has in the page, and how many of them a second."""
    fps = script.fps or DEFAULT_FPS
    return script.frames or (DEFAULT_FRAMES if script.seconds is None else frames_in(script.seconds, fps)), fps


def film_times(script: Script) -> tuple[list[float], float]:
    """Return the times of these frames, from 0 to 1, and how many there are a second."""
    frames, fps = film_length(script)
    return frame_times(frames, script.loop), fps


class FilmTab:
    """The tab, built where the page is just being built.

    Args:
        chooser: Whose keyframes it sets.
    """

    def __init__(self, context: PanelContext, chooser: EditChooser) -> None:
        self._context = context
        self._stop = threading.Event()
        self._stop.set()
        gui, by_hand = context.server.gui, context.by_hand
        self._what = gui.add_dropdown("Play", (SCRIPT_FILM, *self._sequences()))
        self._what.on_update(by_hand(lambda: self._choose()))
        self._time = gui.add_slider("Time", 0.0, 1.0, 0.01, 1.0, hint="From 0, nothing, to 1, all of it")
        self._time.on_update(by_hand(lambda: self._seek(self._time.value)))
        context.buttons("Film", {"play": lambda _: self.play(), "stop": lambda _: self._stop.set()})
        self._loops = gui.add_checkbox("Loop", False, hint="Plays again and again")
        self._timeline = Timeline(context, chooser, self.seek)
        self._skin = OnionSkin(context)
        self._apart = gui.add_slider(
            "Onion skin",
            0,
            12,
            1,
            0,
            hint="Faintly, what is so many frames before and after",
            visible=not self._is_deep,
        )
        self._apart.on_update(by_hand(lambda: self._show_skin()))
        self._frames = gui.add_number("Frames", DEFAULT_FRAMES, min=2, max=1000, step=1)
        self._frames.on_update(by_hand(lambda: self._lengthen(frames=int(self._frames.value), seconds=None)))
        self._fps = gui.add_number("Frames a second", DEFAULT_FPS, min=1.0, max=60.0, step=1.0)
        self._fps.on_update(by_hand(lambda: self._lengthen(fps=float(self._fps.value))))
        gui.add_button(
            "Look for sequences", hint=f"Folders that gainer simulate or bind made in {context.files.folder.name}"
        ).on_click(context.by_user(lambda _: self._look()))
        context.listeners.append(self._follow)
        chooser.listeners.append(self._show_length)
        chooser.listeners.append(self._show_skin)

    @property
    def _is_deep(self) -> bool:
        return self._context.subject.is_deep

    def _sequences(self) -> list[str]:
        return self._context.files.folders(is_sequence)

    def _look(self) -> None:
        found = self._sequences()
        self._what.options = (SCRIPT_FILM, *found)
        self._context.say(f"Sequences: {', '.join(found) or 'none'}.")

    def _choose(self) -> None:
        name, fitted = self._what.value, self._context.subject.fitted
        if name == SCRIPT_FILM:
            self._context.session.play(None)
            return
        if not isinstance(fitted, BakedPicture):
            raise GainerError("sequences play on flat pictures only; film lifted photos with gainer simulate")
        self._context.session.play(play_sequence(self._context.files.path(name), fitted))

    def seek(self, at: float) -> None:
        """Go to a time, and show it in the page."""
        show_value(self._time, at)
        self._seek(at)

    def _seek(self, at: float) -> None:
        self._context.session.seek(at)

    def _lengthen(self, **length: float | None) -> None:
        """Write how long the film is into the script."""
        self._context.session.revise_script(**length)

    def _show_length(self) -> None:
        for control, value in zip(
            (self._frames, self._fps), film_length(self._context.session.history.script), strict=True
        ):
            show_value(control, value)

    def _show_skin(self) -> None:
        session = self._context.session
        frames, _ = film_length(session.history.script)
        is_shown = self._stop.is_set() and self._what.value == SCRIPT_FILM
        self._skin.show(session.history.script, session.time, self._apart.value / (frames - 1) if is_shown else 0.0)

    def play(self) -> None:
        """Play from the beginning, in another thread, until the end or, in a loop, until something stops it."""
        if not self._stop.is_set():
            return
        self._stop.clear()
        self._context.session.is_playing = True
        self._show_skin()
        threading.Thread(target=self._run, daemon=True, name="player").start()

    def _run(self) -> None:
        """Play all frames: at first as they are made, and, where that was slow, once more as fast as they should."""
        times, fps = film_times(self._context.session.history.script)
        is_first = True
        while not self._stop.is_set():
            begin = time.monotonic()
            self._show_all(times, fps)
            is_late = time.monotonic() - begin > LATE_SHARE * len(times) / fps
            if not self._loops.value and not (is_first and is_late):
                break
            is_first = False
        if not self._stop.is_set():
            self._context.say("Played.")
        self._stop.set()
        self._context.session.is_playing = False
        self._context.attempt(lambda: self.seek(self._context.session.time))

    def _show_all(self, times: list[float], fps: float) -> None:
        """Show the frames one after the other, no faster than asked for, and so many that a page can follow."""
        session, pause, due = self._context.session, 1 / fps, time.monotonic()
        every = math.ceil(FRAME_SECONDS / pause - 1e-6)
        for at in [*times[:-1:every], times[-1]]:
            if self._stop.is_set():
                return
            self._time.value = round(at, 2)
            self._context.attempt(lambda at=at: session.seek(at, keep=True))
            session.wait()
            due = max(due + every * pause, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))

    def _follow(self) -> None:
        """Stop playing and show all of a script that has changed."""
        self._stop.set()
        if self._what.value != SCRIPT_FILM:
            self._what.value = SCRIPT_FILM
            self._context.session.play(None)
        if self._context.session.time != 1:
            self.seek(1.0)
