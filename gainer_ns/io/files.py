"""Write files whole, or not at all.

Until it is complete and on the disk, a file has a temporary name beside its target. What a killed writer has left
under such a name is cleared once nothing has changed it for a day: until then its writer may live.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from gainer_ns.errors import GainerError, memory_ran_out

_OF_WRITING = {None, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""Error numbers that name no file and yet come from writing one; Pillow gives none."""
_NO_SYNCHRONISING = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EROFS}
_TEMPORARY = re.compile(r"\.gainer-[0-9a-f]{12}\.part")
MAX_SILENCE_S = 24 * 3600.0
"""How long a writer may change nothing before what it writes counts as left over."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path`` that takes its name once it is complete, and vanishes if it is not.

    Missing parent folders are made. Links are followed: what they point to is replaced, and its mode kept; what is
    write-protected is not replaced. A pipe or a device gets the complete file copied into it.

    Raises:
        GainerError: If the file cannot be written. Errors that are of something else pass as they are.
    """
    failures: list[OSError] = []
    with contextlib.ExitStack() as stack:
        try:
            found = _writable(path)
            if found is not None and not stat.S_ISREG(found.st_mode):
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                target, raw = None, _Recording(os.path.join(folder, "file"), failures)
            else:
                target = os.path.realpath(path) if os.path.islink(path) else os.fspath(path)
                os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
                clear_left_over(os.path.dirname(target))
                raw = _Recording(temporary_name(os.path.dirname(target)), failures)
                stack.callback(_remove, raw.name)
            file: io.BufferedWriter[Any] = io.BufferedWriter(raw)
            stack.callback(_close, file)
        except OSError as error:
            raise cannot_write(path, error) from error
        try:
            yield file
        except OSError as error:
            if any(error is failure for failure in failures) or _is_of_writing(error, raw.name, path):
                raise cannot_write(path, error) from error
            raise
        except (RuntimeError, ValueError) as error:  # as torch calls it that a write has failed
            if failures and not isinstance(error, GainerError):
                raise cannot_write(path, failures[-1]) from error
            raise
        try:
            file.flush()
            if target is None:
                with open(raw.name, "rb") as complete, open(path, "wb") as pipe:
                    shutil.copyfileobj(complete, pipe)
            else:
                _put_in_place(file, target, found)
        except OSError as error:
            raise cannot_write(path, error) from error


def cannot_write(
    path: Path | str, error: OSError, remedy: str = "free some space or choose another folder"
) -> GainerError:
    """Say that something cannot be written, why, and what to do.

    Name the file that the error is of, where that differs.
    """
    named = error.filename
    if isinstance(named, str | bytes) and not _is_at(os.fsdecode(named), os.fspath(path)):
        path = os.fsdecode(named)
    return GainerError(f"{path}: cannot be written ({error.strerror or error}); {remedy}")


def temporary_name(folder: str | Path) -> str:
    """Return a new temporary path in a folder."""
    return os.path.join(folder, f".gainer-{uuid.uuid4().hex[:12]}.part")


def clear_left_over(folder: str | Path) -> None:
    """Remove temporary files and folders whose writers have been silent for too long to live."""
    with contextlib.suppress(OSError):  # a folder that cannot be listed is not cleared either
        for name in filter(_TEMPORARY.fullmatch, os.listdir(folder or ".")):
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError):
                found = os.lstat(path)
                if time.time() - found.st_mtime > MAX_SILENCE_S and not stat.S_ISLNK(found.st_mode):
                    shutil.rmtree(path) if stat.S_ISDIR(found.st_mode) else os.unlink(path)


def synchronise(descriptor: int) -> None:
    """Wait until an open file or folder is on the disk, where the disk can tell."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNCHRONISING:
            raise


def synchronise_folder(folder: str | Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can tell."""
    with contextlib.suppress(OSError):  # some systems open no folders
        descriptor = os.open(folder or ".", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class _Recording(io.FileIO):
    """A new file that remembers which of its writes have failed: libraries tell it as errors of their own."""

    def __init__(self, path: str, failures: list[OSError]) -> None:
        super().__init__(path, "x")
        self._failures = failures

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self._failures.append(error)
            raise


def _writable(path: Path) -> os.stat_result | None:
    """Return what is there, links followed; None if nothing is.

    Raises:
        OSError: It is a folder or write-protected, or cannot be looked at.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not found.st_mode & 0o222 or not os.access(path, os.W_OK):  # root may write what nobody should
        raise PermissionError(errno.EACCES, "it is write-protected", os.fspath(path))
    return found


def _put_in_place(file: BinaryIO, target: str, replaced: os.stat_result | None) -> None:
    if replaced is not None:
        if hasattr(os, "chown"):
            with contextlib.suppress(OSError):  # only root gives files away
                os.chown(file.name, replaced.st_uid, replaced.st_gid)
        os.chmod(file.name, stat.S_IMODE(replaced.st_mode))
    synchronise(file.fileno())
    os.replace(file.name, target)
    synchronise_folder(os.path.dirname(target))


def _is_of_writing(error: OSError, temporary: str, path: Path) -> bool:
    if memory_ran_out(error):  # Pillow's encoders say so without a number
        return False
    if isinstance(error.filename, str | bytes):
        return os.fsdecode(error.filename) in (temporary, os.fspath(path))
    return error.errno in _OF_WRITING


def _is_at(named: str, path: str) -> bool:
    """Return whether a file is the path itself, a folder above it, or a temporary one of it."""
    is_temporary = _TEMPORARY.fullmatch(os.path.basename(named)) is not None
    return is_temporary or os.path.join(path, "").startswith(os.path.join(named, ""))


def _close(file: BinaryIO) -> None:
    with contextlib.suppress(OSError, ValueError):  # what could not be written is given up
        file.close()


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
