"""Read JSON files, whoever wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gainer_ns.errors import GainerError
from gainer_ns.memory import check_free

_MEMORY_PER_FILE_BYTE = 30
"""Bytes of memory for a byte of a file while it is read, at most."""


def read_object(path: Path, what: str, remedy: str) -> dict[str, Any]:
    """Read the mapping that a JSON file holds; ``what`` it should be ("a camera path") and a remedy are for messages.

    Raises:
        GainerError: If it cannot be read, there is no memory for it, or it holds something else.
    """
    try:
        check_free(_MEMORY_PER_FILE_BYTE * path.stat().st_size, f"{path}: reading it", "close other programs")
        said = json.loads(path.read_bytes())
    except OSError as error:
        raise GainerError(f"{path}: cannot be read ({error.strerror or error}); {remedy}") from error
    except GainerError:
        raise
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:100]
        raise GainerError(f"{path}: is not {what}, for it is no JSON ({reason}); {remedy}") from error
    if not isinstance(said, dict):
        raise GainerError(f"{path}: is not {what}; {remedy}")
    return said
