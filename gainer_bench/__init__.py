"""What measures GaINeR: methods that it is compared with, suites and their reports, and sheets to look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gainer_ns.errors import GainerError

_EXTRA = {"matplotlib", "open3d", "skimage"}
"""Modules of the extra ``bench``."""


@contextmanager
def bench_extra(program: str) -> Iterator[None]:
    """Say in one line what to install where a program misses a module of the extra ``bench``.

    Raises:
        GainerError: If it does.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in _EXTRA:
            raise
        raise GainerError(f'{program}: {module} is not installed; run `pip install "gainer-ns[bench]"`') from error
