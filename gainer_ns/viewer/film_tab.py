"""The tab that plays: scripts with keyframes, and sequences from the panel's folder."""

from __future__ import annotations

import threading
import time

from gainer_ns.errors import GainerError
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.viewer.desk import Desk
from gainer_ns.viewer.sequences import is_sequence, open_sequence

SCRIPT = "the edits"
DURATION = 2.0
"""Seconds that playing takes at least; where pictures come slower, it takes longer."""
STEP = 1 / 30


class FilmTab:
    """Builds the tab where the page is just being built.

    Args:
        desk: What the panel shares.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._stop = threading.Event()
        self._stop.set()
        gui, by_hand = desk.server.gui, desk.by_hand
        self._what = gui.add_dropdown("Play", (SCRIPT, *self._sequences()))
        self._what.on_update(by_hand(lambda _: self._choose()))
        self._time = gui.add_slider("Time", 0.0, 1.0, 0.01, 1.0, hint="From 0, nothing, to 1, all of it")
        self._time.on_update(by_hand(lambda _: desk.session.seek(self._time.value)))
        desk.buttons("Film", {"play": lambda _: self._play(), "stop": lambda _: self._stop.set()})
        gui.add_button(
            "Look for sequences", hint=f"Folders that gainer simulate or bind made in {desk.files.folder.name}"
        ).on_click(by_hand(lambda _: self._look()))
        desk.listeners.append(self._end)

    def _sequences(self) -> list[str]:
        return self._desk.files.folders(is_sequence)

    def _look(self) -> None:
        found = self._sequences()
        self._what.options = (SCRIPT, *found)
        self._desk.say(f"Sequences: {', '.join(found) or 'none'}.")

    def _choose(self) -> None:
        name, fitted = self._what.value, self._desk.subject.fitted
        if name == SCRIPT:
            self._desk.session.play(None)
            return
        if not isinstance(fitted, BakedPicture):
            raise GainerError("sequences play on flat pictures only; film lifted photos with gainer simulate")
        self._desk.session.play(open_sequence(self._desk.files.path(name), fitted))

    def _play(self) -> None:
        if not self._stop.is_set():
            return
        self._stop.clear()
        threading.Thread(target=self._run, daemon=True, name="player").start()

    def _run(self) -> None:
        session, start = self._desk.session, time.monotonic()
        while not self._stop.is_set():
            at = min(1.0, (time.monotonic() - start) / DURATION)
            self._time.value = round(at, 2)
            self._desk.attempt(lambda at=at: session.seek(at))
            session.wait()
            if at == 1:
                self._desk.say("Played.")
                break
            time.sleep(STEP)
        self._stop.set()

    def _end(self) -> None:
        """The script or the selection has changed: all of it is to be seen."""
        self._stop.set()
        if self._what.value != SCRIPT:
            self._what.value = SCRIPT
            self._desk.session.play(None)
        if self._time.value != 1:
            self._time.value = 1.0
            self._desk.session.seek(1.0)
