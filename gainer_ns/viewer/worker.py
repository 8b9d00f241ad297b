"""Work that newer work overtakes: only the newest is done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

REST_SECONDS = 0.15
"""After so long without newer work there is time for what was put off."""


class LatestWorker:
    """A thread of its own for the newest piece of work; what came before it, and was not begun, is left out."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._work: Callable[[], Any] | None = None
        self._is_busy = False
        self._thread: threading.Thread | None = None

    def ask(self, work: Callable[[], Any]) -> None:
        """Ask for work, which must not raise.

        Args:
            work: Returns more of the same, for which it is asked once nothing newer has come for a while; None for no
                more.
        """
        with self._changed:
            self._work = work
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="edit panel")
                self._thread.start()
            self._changed.notify_all()

    def wait(self, timeout: float = 30.0) -> bool:
        """Wait until all is done that was asked for, and return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._work is None and not self._is_busy, timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._work is not None)
                work, self._work = self._work, None
                self._is_busy = True
            while work is not None:
                work = work()
                with self._changed:
                    if work is not None and self._changed.wait_for(lambda: self._work is not None, REST_SECONDS):
                        break
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()
