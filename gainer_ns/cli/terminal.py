"""What commands say on the terminal, in nerfstudio's style and without nerfstudio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.status import Status

_CONSOLE = Console(width=120)


def say(line: str) -> None:
    """Print a line as it is: paths in it are neither broken nor taken for markup."""
    _CONSOLE.print(line, markup=False, soft_wrap=True)


def status(description: str) -> Status:
    """Return a context that shows what is being done while that cannot tell how far it has come."""
    return _CONSOLE.status(description, spinner="bouncingBall")


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[[float], None]]:
    """Yield a bar, which appears when work has begun.

    Args:
        description: What is being done.

    Yields:
        To be called with the share, 0 to 1, that is done.
    """
    progress = Progress(
        TextColumn(description),
        BarColumn(),
        TaskProgressColumn(show_speed=True),
        TimeRemainingColumn(elapsed_when_finished=True, compact=True),
    )
    task = progress.add_task(description, total=1.0)

    def advance(share: float) -> None:
        progress.start()
        progress.update(task, completed=share)

    try:
        yield advance
    finally:
        if progress.live.is_started:
            progress.stop()
