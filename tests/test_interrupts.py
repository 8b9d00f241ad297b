"""Wishes to stop, noted when a signal comes."""

import errno
import os
import signal

import pytest

from gainer_ns import interrupts
from gainer_ns.interrupts import StopRequest

ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", ENDING)
def test_a_wish_is_noted_and_answered_later(number: signal.Signals) -> None:
    request, before = StopRequest(lambda: False), signal.getsignal(number)
    with request.listening():
        request.answer()
        os.kill(os.getpid(), number)
        assert request.signal == number and request.status == 128 + number
        with pytest.raises(KeyboardInterrupt):
            request.answer()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


def test_where_nothing_is_under_way_it_is_answered_at_once() -> None:
    with StopRequest(lambda: True).listening(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)


def test_what_is_ignored_stays_ignored() -> None:
    """As nohup has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    request = StopRequest(lambda: True)
    with request.listening():
        os.kill(os.getpid(), signal.SIGHUP)
    assert request.signal is None and signal.signal(signal.SIGHUP, before) == signal.SIG_IGN


def test_a_closed_terminal_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(descriptor: int, data: bytes) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    request = StopRequest(lambda: False)
    monkeypatch.setattr(interrupts.os, "write", fails)
    with request.listening():
        os.kill(os.getpid(), signal.SIGHUP)
    assert request.signal == signal.SIGHUP
