"""What ends a program before its time: Ctrl-C, SIGTERM and a closed terminal, all alike."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a program as Ctrl-C does."""


class SignalInterrupt(KeyboardInterrupt):
    """A signal that ends the program, as Ctrl-C does.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_status(interrupt: KeyboardInterrupt) -> int:
    """The status to exit with, as of shells: 128 and the number of the signal."""
    return 128 + (interrupt.number if isinstance(interrupt, SignalInterrupt) else signal.SIGINT)


@contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """Has every signal that ends the program raise a KeyboardInterrupt, so that nothing is left lying about.

    Signals that are ignored or handled already stay so; elsewhere than in the main thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [number for number in ENDING_SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    try:
        for number in taken:
            signal.signal(number, _end)
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def interrupts_delayed() -> Iterator[None]:
    """Holds these signals back until the end, so that nothing stays half done.

    Python delivers them to the main thread alone, and elsewhere nothing needs to be held back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDING_SIGNALS)}
    usual = {number: handler for number, handler in usual.items() if callable(handler)}
    held: list[tuple[int, FrameType | None]] = []
    for number in usual:
        signal.signal(number, lambda *call: held.append(call))
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
    if held:
        handler = usual[held[0][0]]
        assert callable(handler)
        handler(*held[0])


def _end(number: int, frame: FrameType | None) -> None:
    raise SignalInterrupt(number)
