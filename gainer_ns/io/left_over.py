"""Temporary files and folders, and how those of killed writers are told from those of living ones.

Their names are ``.TARGET.MACHINE-RANDOM.part``. A writer holds a lock (``flock``) on its own as long as it lives.
Where locks cannot be asked, or the writer is on another machine of a shared disk, what has not changed for a day is
left over.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import platform
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

SUFFIX = ".part"
SILENCE = 24 * 3600.0
"""Seconds without a change after which something is left over whose writer's lock cannot be asked."""
_LONGEST = 100
"""Bytes of a target's name that are kept: some encrypted disks hold names of 143 only."""
_NAME = re.compile(r"\..+\.([0-9a-f]{8})-[0-9a-f]{12}\.part", re.DOTALL)
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}


def temporary_name(target: str | Path, folder: str | Path | None = None) -> str:
    """Return a new temporary path.

    Args:
        target: What will be written.
        folder: Where; None for beside the target.
    """
    above, name = os.path.split(os.fspath(target))
    encoded = os.fsencode(name)
    if len(encoded) > _LONGEST:
        name = hashlib.sha256(encoded).hexdigest()
    return os.path.join(above if folder is None else folder, f".{name}.{_machine()}-{uuid.uuid4().hex[:12]}{SUFFIX}")


def lock(descriptor: int) -> bool | None:
    """Lock an open file or folder until it is closed.

    Returns:
        Whether it was free; None where there are no locks.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


@contextmanager
def left_over(folder: str | Path) -> Iterator[list[str]]:
    """Return temporary files and folders of writers that do not live any more; they stay locked meanwhile."""
    with contextlib.ExitStack() as held:
        try:
            names = sorted(name for name in os.listdir(folder or ".") if _NAME.fullmatch(name))
        except OSError:  # a folder that cannot be listed is not cleared either
            names = []
        paths = (os.path.join(folder, name) for name in names)
        yield [path for path in paths if _is_left_over(path, held)]


def clear_left_over(folder: str | Path) -> None:
    """Remove what :func:`left_over` names."""
    with left_over(folder) as paths:
        for path in paths:
            with contextlib.suppress(OSError):
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


def _is_left_over(path: str, held: contextlib.ExitStack) -> bool:
    match = _NAME.fullmatch(os.path.basename(path))
    assert match is not None
    try:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            return False
        descriptor = os.open(path, os.O_RDONLY if stat.S_ISDIR(found.st_mode) else os.O_RDWR)
        held.callback(os.close, descriptor)
        free = lock(descriptor)
    except OSError:
        return False
    is_silent = time.time() - found.st_mtime > SILENCE
    return is_silent if free is None else free and (is_silent or match[1] == _machine())


@functools.cache
def _machine() -> str:
    """Return what tells this machine from others: containers on it share its locks, and have other host names."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        name = platform.node().encode()
    return hashlib.sha256(name).hexdigest()[:8]
