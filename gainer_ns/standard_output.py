"""Keep standard output from ending any work: whatever it can show, and whether or not somebody reads it."""

from __future__ import annotations

import io
import os
import sys
from typing import Any


def keep_standard_output() -> None:
    """Drop what nobody reads any more, and escape what the encoding does not hold, such as odd file names.

    Files that are being written must not suffer because ``head`` has seen enough. A standard output that the calling
    program has replaced stays as it is.
    """
    usual = sys.stdout
    if usual is None:  # it was closed before the start
        sys.stdout = open(os.devnull, "w", encoding="utf8", errors="replace")  # noqa: SIM115 (for as long as the program runs)
        return
    if usual is not sys.__stdout__ or not isinstance(usual, io.TextIOWrapper):
        return
    try:
        raw = _Unbroken(usual.fileno(), "w", closefd=False)
        usual.flush()
    except (OSError, ValueError):
        return
    buffered: Any = io.BufferedWriter(raw)
    sys.stdout = io.TextIOWrapper(
        buffered, encoding=usual.encoding, errors="backslashreplace", line_buffering=usual.line_buffering
    )


class _Unbroken(io.FileIO):
    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes
        except OSError as error:
            raise OSError(error.errno, error.strerror, "standard output") from error
