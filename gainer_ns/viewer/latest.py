"""Work that is overtaken by newer work: only the newest is done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

REST = 0.25
"""Seconds without new work after which a hand rests."""


class Latest:
    """Does the newest piece of work in a thread of its own; what came before it, and was not begun, is left out.

    Args:
        at_rest: Called from that thread when nothing new has come for a while.
    """

    def __init__(self, at_rest: Callable[[], None]) -> None:
        self._at_rest = at_rest
        self._changed = threading.Condition()
        self._work: Callable[[], None] | None = None
        self._asked, self._is_busy = 0.0, False
        self._thread: threading.Thread | None = None

    def ask(self, work: Callable[[], None]) -> None:
        """Asks for work, which must not raise."""
        with self._changed:
            self._work, self._asked = work, time.monotonic()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="edit panel")
                self._thread.start()
            self._changed.notify_all()

    def wait(self, timeout: float = 30.0) -> bool:
        """Waits until all is done that was asked for; says whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._work is None and not self._is_busy, timeout)

    def _run(self) -> None:
        is_moving = False
        while True:
            with self._changed:
                left = self._asked + REST - time.monotonic() if is_moving else None
                self._changed.wait_for(lambda: self._work is not None, None if left is None else max(left, 0.0))
                work, self._work = self._work, None
                self._is_busy = work is not None
            if work is None:
                is_moving = False
                self._at_rest()
                continue
            is_moving = True
            work()
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()
