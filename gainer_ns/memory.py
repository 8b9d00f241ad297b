"""Tell how much memory is free for this process, whoever limits it: the machine, a container, or ``ulimit``."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import psutil

from gainer_ns.errors import GainerError

ROOT = Path("/")
"""Folder of ``proc`` and ``sys``."""
BYTES_PER_RASTER_PIXEL = 80
"""Bytes for a pixel of a raster, until it is in a file: colours and alpha, and the copies made for writing them."""


def free_memory(root: Path | None = None) -> int:
    """Return how many bytes this process may still take before it is refused them, or killed.

    ``root`` is the folder of ``proc`` and ``sys``, ``ROOT`` if None.
    """
    limits = [psutil.virtual_memory().available, *_left_in_groups(root or ROOT)]
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # not on Windows

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            limits.append(limit - psutil.Process().memory_info().vms)
    return max(0, min(limits))


def check_free(needed: float, what: str, remedy: str, *, free: int | None = None) -> None:
    """Refuse what takes about so many bytes, before any are taken.

    ``what`` it is goes into the message ("a picture of 3 x 2 pixels"), as does the remedy. ``free`` are the bytes that
    are free where it goes; those of this process if None.

    Raises:
        GainerError: If less is free than it takes.
    """
    free = free_memory() if free is None else free
    if needed > free:
        raise GainerError(f"{what} takes about {_in_words(needed)} of memory, {_in_words(free)} are free; {remedy}")


def check_drawn(width: float, height: float, scale: float, what: str) -> None:
    """Refuse pictures that there is no memory to draw; a scale that is no number is left to who draws."""
    if math.isfinite(scale):
        check_free(width * height * scale**2 * BYTES_PER_RASTER_PIXEL, what, "lower the scale or the resolution")


def _in_words(size: float) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 / 10 else f"{size / 2**20:.1f} MiB"


def _left_in_groups(root: Path) -> Iterator[int]:
    """Yield what the control groups of this process leave it, of both versions, from its own to the outermost."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf8", "replace").splitlines()
    except OSError:
        return  # not Linux
    mount = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, place = (*line.split(":", 2), "", "")[:3]
        if not controllers:
            for folder in (mount, mount / "unified"):
                for group in _groups(folder, place):
                    yield from _left(group, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            for group in _groups(mount / "memory", place):
                yield from _left(group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _groups(mount: Path, place: str) -> Iterator[Path]:
    """Yield the folders of a group and of those around it.

    In a container that sees only its own groups, the outermost folder is the container's own: it stands for all others.
    """
    parts = [part for part in place.split("/") if part not in ("", ".", "..")]
    for count in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:count])


def _left(group: Path, limit: str, usage: str, reclaimable: str) -> Iterator[int]:
    """Yield what a group leaves, where it has a limit; files that the kernel can drop count as free."""
    with contextlib.suppress(OSError, ValueError):
        allowed, used = int((group / limit).read_text()), int((group / usage).read_text())
        dropped = 0
        with contextlib.suppress(OSError, ValueError):
            entries = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            dropped = int(entries.get(reclaimable, 0))
        yield allowed - max(0, used - dropped)
