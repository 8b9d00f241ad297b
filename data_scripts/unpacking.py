"""Takes chosen files out of a .zip or .tar archive, and nothing that an archive could do harm with."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from gainer_ns.errors import GainerError
from gainer_ns.io.files import whole_file

Placement = Callable[[PurePosixPath], PurePosixPath | None]
"""Takes the path of a file in an archive, and returns where it is to lie in the folder; None to leave it out."""


def unpack(archive: Path, folder: Path, placement: Placement) -> list[Path]:
    """Takes files out of an archive.

    Links, devices and names that lead out of the archive are left out, as is what already lies there in full size.

    Args:
        archive: A .zip or .tar, compressed or not.
        folder: Where to.
        placement: Which files, and where they go in the folder.

    Returns:
        The files, in the order of their names.

    Raises:
        GainerError: The archive is damaged, or a file cannot be written.
    """
    files = []
    with _one_line(archive):
        for name, size, content in _members(archive):
            place = None if name.is_absolute() or ".." in name.parts else placement(name)
            if place is None:
                continue
            if place.is_absolute() or ".." in place.parts:
                raise ValueError(f"{place} leads out of the folder")
            target = folder / place
            files.append(target)
            if target.is_file() and target.stat().st_size == size:
                continue
            with content() as source, whole_file(target) as file:
                shutil.copyfileobj(source, file, 1 << 20)
    return sorted(files)


def names(archive: Path) -> list[PurePosixPath]:
    """Paths of the plain files in an archive.

    Raises:
        GainerError: The archive is damaged.
    """
    with _one_line(archive):
        return [name for name, _, _ in _members(archive)]


def _members(archive: Path) -> Iterator[tuple[PurePosixPath, int, Callable[[], IO[bytes]]]]:
    """Path, size and opener of each plain file."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for item in zipped.infolist():
                kind = stat.S_IFMT(item.external_attr >> 16)
                if not item.is_dir() and kind in (0, stat.S_IFREG):
                    yield PurePosixPath(item.filename), item.file_size, lambda item=item: zipped.open(item)
        return
    with tarfile.open(archive) as tarred:
        for item in tarred:
            if item.isreg():
                yield PurePosixPath(item.name), item.size, lambda item=item: tarred.extractfile(item)  # pyright: ignore


@contextmanager
def _one_line(archive: Path) -> Iterator[None]:
    """Turns what damage makes the decoders raise into one line."""
    try:
        yield
    except GainerError:
        raise
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise GainerError(
            f"{archive}: is damaged, or no .zip or .tar ({reason}); remove it and fetch it again"
        ) from error
    except OSError as error:
        raise GainerError(f"{archive}: cannot be read ({error.strerror or error}); check the path") from error
