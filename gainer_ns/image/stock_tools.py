"""Which nerfstudio program runs, and on which config.yml.

nerfstudio 1.1.5 tells a configuration neither: it is made of the text of a file, and has no hook that knows more. So
the command line is read once more, and only where one of nerfstudio's own programs was started by it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from gainer_ns.errors import GainerError

_named: ContextVar[Path | None] = ContextVar("_named", default=None)


@contextmanager
def named_run(path: Path) -> Iterator[None]:
    """Name the config.yml that nerfstudio is about to load, where no command line does."""
    token = _named.set(path)
    try:
        yield
    finally:
        _named.reset(token)


def named_folder() -> Path | None:
    """Return the folder of the config.yml that was named for this program; None where nobody named one."""
    path = _named.get() or _on_command_line()
    return path.absolute().parent if path is not None and path.is_file() else None


def refuse_export() -> None:
    """End ns-export in one line: it stops at assertions that mean other methods.

    Raises:
        GainerError: If it is ns-export that runs.
    """
    if Path(sys.argv[0]).stem in ("ns-export", "exporter"):
        raise GainerError(
            "ns-export makes points and meshes of volumes, and a picture is a plane; "
            "use gainer export --load-config CONFIG --format points, triangles or splat"
        )


def _on_command_line() -> Path | None:
    """Return what ns-eval, ns-render, ns-viewer and the like are given: the last one counts."""
    program, found = Path(sys.argv[0]), None
    if not program.name.startswith("ns-") and "nerfstudio" not in program.parts:
        return None
    for word, after in zip(sys.argv, (*sys.argv[1:], None), strict=True):
        option, is_joined, value = word.partition("=")
        if option.replace("_", "-") == "--load-config":
            found = value if is_joined else after
    return None if found is None else Path(found)
