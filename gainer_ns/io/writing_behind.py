"""Frames are written while those that follow are drawn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class WritingBehind:
    """Threads that take calls in turn, at most so many behind whoever gives them.

    Args:
        most_behind: How many calls may wait or be under way: whoever gives them faster waits, too.
        threads: How many calls are under way at once.
    """

    def __init__(self, most_behind: int, threads: int = 1) -> None:
        self._most_behind = most_behind
        self._threads = ThreadPoolExecutor(threads, "gainer-film")
        self._behind: deque[Future[None]] = deque()

    def give(self, call: Callable[..., None], *arguments: Any) -> None:
        """Have a function called soon; raise what an earlier one has raised."""
        while self._behind and (len(self._behind) == self._most_behind or self._behind[0].done()):
            self._behind.popleft().result()
        self._behind.append(self._threads.submit(call, *arguments))

    def finish(self) -> None:
        """Wait until all is done; raise what was raised."""
        while self._behind:
            self._behind.popleft().result()

    def end(self) -> None:
        """Drop what has not begun, and wait for what has."""
        self._threads.shutdown(cancel_futures=True)
