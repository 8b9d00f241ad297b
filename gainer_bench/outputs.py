"""What the programs of this package print and write: text, JSON, and logs of results."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from nerfstudio.utils.rich_utils import CONSOLE

from gainer_ns.io.files import cannot_write, whole_file


def print_plain(text: str) -> None:
    """Print text as it is, without styles and line breaks."""
    CONSOLE.print(text, markup=False, highlight=False, soft_wrap=True)


def write_text(path: Path, text: str) -> None:
    """Write a file of text, whole.

    Raises:
        GainerError: If it cannot be written.
    """
    with whole_file(path) as file:
        file.write(text.encode())


def json_text(value: Any, indent: int | None = None) -> str:
    """Return a line, or lines, of standard JSON; numbers that are not finite are "inf", "-inf" and "nan"."""
    return json.dumps(_finite(value), allow_nan=False, ensure_ascii=False, indent=indent) + "\n"


class JsonLog:
    """Results that are on disk as soon as they are known: a file with a JSON object a line.

    Args:
        path: The file; it and its folder are made if they do not exist.
        names: What every line has; others are left out on reading.

    Raises:
        GainerError: If it cannot be written.
    """

    def __init__(self, path: Path, names: Collection[str]) -> None:
        self.path, self._names = path, frozenset(names)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError as error:
            raise cannot_write(path, error, "choose another --output") from error

    def lines(self) -> list[dict[str, Any]]:
        """Return all whole lines; one that was cut off is left out."""
        parsed = map(_parsed, self.path.read_text("utf8").splitlines())
        return [line for line in parsed if line is not None and self._names <= line.keys()]

    def append(self, line: dict[str, Any]) -> None:
        """Add a line, on a line of its own even where the last one was cut off."""
        text = json_text(line)
        with self.path.open("r+b") as file:
            if file.seek(0, os.SEEK_END) > 0:
                file.seek(-1, os.SEEK_END)
                text = text if file.read() == b"\n" else "\n" + text
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except json.JSONDecodeError:
        return None
    return line if isinstance(line, dict) else None


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
