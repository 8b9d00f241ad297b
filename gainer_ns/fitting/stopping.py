"""Answers Ctrl-C, SIGTERM and a closed terminal at the next point where a fit can be saved and taken up again."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from gainer_ns.interrupts import ENDING_SIGNALS

STOPPING_NOTICE = b"\nStopping as soon as this step can be saved; once more stops at once.\n"


class StopRequest:
    """A wish to stop, noted when its signal comes and answered later.

    Args:
        at_once: Tells whether nothing is under way, so that the wish need not wait.

    Attributes:
        signal: Number of the signal that came; None while none has.
    """

    def __init__(self, at_once: Callable[[], bool]) -> None:
        self.signal: int | None = None
        self._at_once = at_once

    @property
    def status(self) -> int:
        """The exit status that says so, as of shells: 128 and the number of the signal, or of Ctrl-C's if none came."""
        return 128 + (self.signal or signal.SIGINT)

    def answer(self) -> None:
        """Ends what is done if that was wished, and otherwise does nothing.

        Raises:
            KeyboardInterrupt: If a signal has come.
        """
        if self.signal is not None:
            raise KeyboardInterrupt

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Takes note of signals while the context lasts: in the main thread, which alone gets them.

        The second one is answered wherever it comes. Signals that the process was told to ignore stay ignored.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [
            number for number in (signal.SIGINT, *ENDING_SIGNALS) if signal.getsignal(number) is not signal.SIG_IGN
        ]
        before = {number: signal.signal(number, self._noted) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _noted(self, number: int, frame: FrameType | None) -> None:
        first, self.signal = self.signal is None, number
        if not first or self._at_once():
            raise KeyboardInterrupt
        with contextlib.suppress(OSError):  # of a terminal that is closed
            os.write(2, STOPPING_NOTICE)  # a handler must not print: it may have come in the middle of a print
