"""Treat what ends a program before its time (Ctrl-C, SIGTERM, a closed terminal) as one thing."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a program as Ctrl-C does."""
STOPPING_NOTICE = b"\nStopping as soon as this step can be saved; once more stops at once.\n"


class SignalInterrupt(KeyboardInterrupt):
    """A signal of this number that ends the program, as Ctrl-C does."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_status(interrupt: KeyboardInterrupt) -> int:
    """Return the status to exit with, as of shells: 128 and the number of the signal."""
    return 128 + (interrupt.number if isinstance(interrupt, SignalInterrupt) else signal.SIGINT)


@contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """Raise a KeyboardInterrupt for every signal that would end the program.

    Signals that are ignored or handled already stay so.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise SignalInterrupt(number)

    with _handled({number: end for number in ENDING_SIGNALS if signal.getsignal(number) is signal.SIG_DFL}):
        yield


@contextmanager
def interrupts_delayed() -> Iterator[None]:
    """Hold Ctrl-C and the like back until the end, so that nothing stays half done."""
    held: list[tuple[int, FrameType | None]] = []
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDING_SIGNALS)}
    with _handled({number: lambda *call: held.append(call) for number, before in usual.items() if callable(before)}):
        yield
    if held:
        handler = usual[held[0][0]]
        assert callable(handler)
        handler(*held[0])


class StopRequest:
    """A wish to stop, noted when its signal comes and answered where a fit can be saved and resumed.

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
        """The exit status of shells: 128 and the number of the signal, or of Ctrl-C's if none came."""
        return 128 + (self.signal or signal.SIGINT)

    def answer(self) -> None:
        """Raise a KeyboardInterrupt if a signal has come."""
        if self.signal is not None:
            raise KeyboardInterrupt

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take note of signals while the context lasts; the second one is answered wherever it comes.

        Signals that the process was told to ignore stay ignored.
        """
        numbers = (signal.SIGINT, *ENDING_SIGNALS)
        with _handled({number: self._noted for number in numbers if signal.getsignal(number) is not signal.SIG_IGN}):
            yield

    def _noted(self, number: int, frame: FrameType | None) -> None:
        first, self.signal = self.signal is None, number
        if not first or self._at_once():
            raise KeyboardInterrupt
        with contextlib.suppress(OSError):  # of a terminal that is closed
            os.write(2, STOPPING_NOTICE)  # a handler must not print: it may have come in the middle of a print


@contextmanager
def _handled(handlers: Mapping[int, Callable[[int, FrameType | None], Any]]) -> Iterator[None]:
    """Handle signals otherwise while the context lasts; only the main thread gets any, so elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}
    try:
        for number, handler in handlers.items():
            before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
