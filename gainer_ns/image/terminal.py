"""What a fit says on the terminal: what it fits, that it lives, and what came of it; nerfstudio's own words wait."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from nerfstudio.utils.rich_utils import CONSOLE
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

SECONDS_BEFORE_BAR = 2.0
"""How long a step may take before it shows a bar."""
SECONDS_BETWEEN_LINES = 10.0
"""How often it tells the same in words where nobody watches: in a pipe, or a file."""


def say(line: str, style: str | None = None) -> None:
    """Print a line as it is: paths in it are neither broken nor taken for markup.

    Args:
        line: What to say.
        style: In rich's words: "yellow".
    """
    CONSOLE.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


class StepBar:
    """A bar of the step that is under way, with the time left, once that step takes long."""

    def __init__(self) -> None:
        self._began = self._said = 0.0
        self._share = 1.0
        self._bar: Progress | None = None

    def show(self, share: float) -> None:
        """Show which share, 0 to 1, of the step is done; less than the last time begins another step."""
        now = time.monotonic()
        if share < self._share:
            self._began = self._said = now
        self._share = share
        if share >= 1:
            self.close()
        elif now - self._began > SECONDS_BEFORE_BAR:
            self._tell(max(share, 1e-9), now)

    def close(self) -> None:
        """Take the bar away, if there is one."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _tell(self, share: float, now: float) -> None:
        if not CONSOLE.is_terminal:
            if now - self._said > SECONDS_BETWEEN_LINES:
                left = (now - self._began) * (1 - share) / share
                say(f"Fitting: {100 * share:.0f} %, about {left:.0f} s left")
                self._said = now
            return
        if self._bar is None:
            columns = TextColumn("Fitting"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(compact=True)
            self._bar = Progress(*columns, console=CONSOLE, transient=True)
            self._bar.add_task("", total=1.0)
            self._bar.update(self._bar.task_ids[0], completed=share)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=share)


@contextmanager
def hushed(quiet: bool = True) -> Iterator[None]:
    """Withhold what nerfstudio's trainer says of itself, or within such a context let a line be heard.

    Args:
        quiet: Which of both.
    """
    before, CONSOLE.quiet = CONSOLE.quiet, quiet
    try:
        yield
    finally:
        CONSOLE.quiet = before


def silence_known_noise() -> None:
    """Drop warnings that nerfstudio 1.1.5 calls forth from newer versions of torch in every run, of any method."""
    messages = (
        r"`torch\.cuda\.amp\.GradScaler",
        "Converting a tensor with requires_grad=True",  # the loss, on its way to the log
        "Using a non-tuple sequence for multidimensional indexing",  # cameras' rays
        r"Detected call of `lr_scheduler\.step\(\)` before",  # schedules go on where nothing is learned
    )
    for message in messages:
        warnings.filterwarnings("ignore", message=message, module=r"nerfstudio\.")
