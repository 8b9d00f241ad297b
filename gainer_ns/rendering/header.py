"""Numbers of a file's header, which may hold anything."""

from __future__ import annotations

from typing import Any


def whole_number(value: Any, largest: int, *, least: int = 1) -> int:
    """A number of a header as a whole number within bounds.

    Raises:
        ValueError: If it is none.
    """
    if not least <= int(value) <= largest:
        raise ValueError(f"{value} is not between {least} and {largest}")
    return int(value)
