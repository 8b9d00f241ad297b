"""How long work shows itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[[float], None]]:
    """Yield a bar in nerfstudio's style, which appears when work has begun.

    Args:
        description: What is being done.

    Yields:
        To be called with the share, 0 to 1, that is done.
    """
    from nerfstudio.utils.rich_utils import get_progress

    progress = get_progress(description)
    task = progress.add_task(description, total=1.0)

    def advance(share: float) -> None:
        progress.start()
        progress.update(task, completed=share)

    try:
        yield advance
    finally:
        if progress.live.is_started:
            progress.stop()
