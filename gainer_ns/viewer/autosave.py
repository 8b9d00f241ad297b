"""The script of a session, kept as it changes."""

from __future__ import annotations

import os
import time
from pathlib import Path

from gainer_ns.errors import GainerError
from gainer_ns.viewer.desk import Desk
from gainer_ns.viewer.latest import Latest
from gainer_ns.viewer.subject import AnyScript

PAUSE = 0.2
"""Seconds between two times that the script is written while something is dragged."""


class Autosave:
    """Keeps a session's script.

    Args:
        desk: What the panel shares; with its session.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.path: Path = desk.files.autosave
        self._kept: AnyScript = desk.session.subject.empty()
        self._latest = Latest()

    def restore(self) -> None:
        """Goes on with what was kept, and says so; what cannot be read is put aside."""
        if not self.path.is_file():
            return
        session = self._desk.session
        try:
            self._kept = session.subject.read(self.path)
        except GainerError as error:
            aside = self.path.with_stem(f"{self.path.stem}_unreadable")
            os.replace(self.path, aside)
            self._desk.complain(f"The edits of last time are not restored, and are kept as {aside.name}: {error}")
            return
        session.history.replace(self._kept)
        session.refresh()
        self._desk.changed()
        count = len(self._kept.edits)
        self._desk.say(f"Restored {count} edits of last time. Reset, in the tab Move, starts anew.")

    def keep(self, script: AnyScript) -> None:
        """Keeps a script, soon and in another thread; an empty one by taking the file away."""
        if script is not self._kept:
            self._kept = script
            self._latest.ask(lambda: self._write(script))

    def wait(self) -> bool:
        """Waits until all is kept; says whether it is."""
        return self._latest.wait()

    def _write(self, script: AnyScript) -> None:
        try:
            if script.edits:
                self._desk.files.write(self.path, script.to_yaml(self.path.parent).encode("utf8"))
            else:
                self.path.unlink(missing_ok=True)
        except (GainerError, OSError) as error:
            self._desk.complain(f"The edits are not kept: {error}")
        time.sleep(PAUSE)
