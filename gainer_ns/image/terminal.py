"""What a fit says on the terminal: what it fits, that it lives, and what came of it; nerfstudio's own words wait."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from nerfstudio.utils.rich_utils import CONSOLE


def say(line: str, style: str | None = None) -> None:
    """Print a line as it is: paths in it are neither broken nor taken for markup.

    Args:
        line: What to say.
        style: In rich's words: "yellow".
    """
    CONSOLE.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


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
