"""Results that are on disk as soon as they are known: a file with a JSON object a line."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from gainer_ns.io.files import cannot_write

Line = dict[str, Any]


class JsonLog:
    """Lines of results; numbers that are not finite are the strings "inf", "-inf" and "nan".

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

    def lines(self) -> list[Line]:
        """All whole lines; one that was cut off is left out."""
        parsed = map(_parsed, self.path.read_text("utf8").splitlines())
        return [line for line in parsed if line is not None and self._names <= line.keys()]

    def append(self, line: Line) -> None:
        """Adds a line, on a line of its own even where the last one was cut off."""
        text = json.dumps(_plain(line), allow_nan=False, ensure_ascii=False) + "\n"
        with self.path.open("r+b") as file:
            if file.seek(0, os.SEEK_END) > 0:
                file.seek(-1, os.SEEK_END)
                text = text if file.read() == b"\n" else "\n" + text
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())


def _parsed(text: str) -> Line | None:
    try:
        line = json.loads(text)
    except json.JSONDecodeError:
        return None
    return line if isinstance(line, dict) else None


def _plain(value: Any) -> Any:
    """The same as standard JSON can hold it, which has no infinity."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
