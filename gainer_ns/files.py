"""Files that are written whole, or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gainer_ns.errors import GainerError


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a temporary file beside ``path`` that takes its name once it is complete, and vanishes if it is not.

    Missing parent folders are made.

    Raises:
        GainerError: If the file cannot be written.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                yield file
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise GainerError(f"{path}: cannot be written ({reason}); free some space or choose another folder") from error
