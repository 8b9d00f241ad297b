"""The tab that plays: scripts with keyframes, and sequences that ``gainer simulate`` or other programs have left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from gainer_ns.editing.bound_picture import BoundPicture
from gainer_ns.errors import GainerError
from gainer_ns.io.mesh_frames import check_frames, frame_files, in_order
from gainer_ns.io.meshes import MESH_SUFFIXES, MeshFile, read_mesh
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.viewer.context import PanelContext

FRAMES = "frames"
"""The folder of moved meshes or points, beside the unmoved one."""


def is_sequence(folder: Path) -> bool:
    """Return whether a folder holds an unmoved mesh or points, and frames of it."""
    return (folder / FRAMES).is_dir() and any(path.suffix.lower() in MESH_SUFFIXES for path in folder.iterdir())


def play_sequence(folder: Path, picture: BakedPicture) -> Callable[[float], BakedPicture]:
    """Open a sequence as a picture that moves with it.

    Args:
        folder: What :func:`is_sequence` found.
        picture: As it was fitted.

    Returns:
        The picture at times from 0, the first frame, to 1, the last.

    Raises:
        GainerError: The files do not fit one another or the picture. The picture at a time raises it too.
    """
    unmoved = [path for path in folder.iterdir() if path.suffix.lower() in MESH_SUFFIXES]
    if len(unmoved) != 1:
        names = ", ".join(sorted(path.name for path in unmoved))
        raise GainerError(f"{folder.name}: one mesh or point set is to stand beside {FRAMES}, not {names or 'none'}")
    reference = read_mesh(unmoved[0])
    files = frame_files(folder / FRAMES)
    check_frames(files, reference)
    bound = BoundPicture(picture, reference)

    def at(time: float) -> BakedPicture:
        return bound.at(_read(files[round(time * (len(files) - 1))], reference).vertices)

    return at


def _read(path: Path, reference: MeshFile) -> MeshFile:
    frame = read_mesh(path)
    return in_order(frame, reference) if len(frame.faces) == 0 else frame


SCRIPT_FILM = "the edits"
PLAY_SECONDS = 2.0
"""Seconds that playing takes at least; where pictures come slower, it takes longer."""
FRAME_SECONDS = 1 / 30


class FilmTab:
    """The tab, built where the page is just being built."""

    def __init__(self, context: PanelContext) -> None:
        self._context = context
        self._stop = threading.Event()
        self._stop.set()
        gui, by_user = context.server.gui, context.by_user
        self._what = gui.add_dropdown("Play", (SCRIPT_FILM, *self._sequences()))
        self._what.on_update(by_user(lambda _: self._choose()))
        self._time = gui.add_slider("Time", 0.0, 1.0, 0.01, 1.0, hint="From 0, nothing, to 1, all of it")
        self._time.on_update(by_user(lambda _: context.session.seek(self._time.value)))
        context.buttons("Film", {"play": lambda _: self._play(), "stop": lambda _: self._stop.set()})
        gui.add_button(
            "Look for sequences", hint=f"Folders that gainer simulate or bind made in {context.files.folder.name}"
        ).on_click(by_user(lambda _: self._look()))
        context.listeners.append(self._end)

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

    def _play(self) -> None:
        if not self._stop.is_set():
            return
        self._stop.clear()
        threading.Thread(target=self._run, daemon=True, name="player").start()

    def _run(self) -> None:
        session, start = self._context.session, time.monotonic()
        while not self._stop.is_set():
            at = min(1.0, (time.monotonic() - start) / PLAY_SECONDS)
            self._time.value = round(at, 2)
            self._context.attempt(lambda at=at: session.seek(at))
            session.wait()
            if at == 1:
                self._context.say("Played.")
                break
            time.sleep(FRAME_SECONDS)
        self._stop.set()

    def _end(self) -> None:
        """Stop playing and show all of a script that has changed."""
        self._stop.set()
        if self._what.value != SCRIPT_FILM:
            self._what.value = SCRIPT_FILM
            self._context.session.play(None)
        if self._time.value != 1:
            self._time.value = 1.0
            self._context.session.seek(1.0)
