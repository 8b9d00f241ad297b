"""Locate mistakes in files that people write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gainer_ns.errors import GainerError

Loc = tuple[int | str, ...]
"""A location as pydantic writes it: ``("edits", 0, "bend", "degrees")``."""


class PlacedError(ValueError):
    """A mistake at a location relative to the value that is being checked, with the remedy."""

    def __init__(self, loc: Loc, problem: str) -> None:
        super().__init__(problem)
        self.loc = loc
        self.problem = problem

    def below(self, *outer: int | str) -> PlacedError:
        """Return the same mistake, seen from further out."""
        return PlacedError((*outer, *self.loc), self.problem)


@dataclass(frozen=True)
class Places:
    """Line numbers of everything in a YAML file, which turn a mistake found later into a line that shows where it is.

    All places compare equal, since they are no part of what a file says.

    Attributes:
        path: The file, or None for what was made without one; then only the place is named.
        lines: Line, from 1, of everything in the file; the keys are locations with every part as text.
    """

    path: Path | None = field(default=None, compare=False)
    lines: dict[tuple[str, ...], int] = field(default_factory=dict, compare=False, repr=False)

    def where(self, loc: Loc = ()) -> str:
        """Tell a place in words: ``edit.yaml, line 7.

        Edits[1].select``. What is not in the file has its parent's line.
        """
        keys = tuple(map(str, loc))
        line = next((self.lines[keys[:n]] for n in range(len(keys), -1, -1) if keys[:n] in self.lines), None)
        file = "" if self.path is None else str(self.path) + ("" if line is None else f", line {line}")
        return ": ".join(part for part in (file, dotted(loc)) if part)

    def error(self, loc: Loc, problem: str) -> GainerError:
        """Return the mistake as the one line that the user sees."""
        where = self.where(loc)
        return GainerError(" ".join(f"{where}: {problem}".split()) if where else problem)


def dotted(loc: Loc) -> str:
    """Write a location as people do: ``edits[0].bend.degrees``, ``keyframes[0.5]``."""
    text = ""
    for part in loc:
        if re.fullmatch(r"[^\W\d][\w-]*", str(part)):
            text += f".{part}"
        else:
            text += f"[{part}]" if re.fullmatch(r"-?[\d.]+(e-?\d+)?", str(part)) else f"[{shown(part)}]"
    return text.removeprefix(".")


def shown(value: Any) -> str:
    """Write a value for a message: short, and on one line."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]}...{text[0] if isinstance(value, str) else ''}"
