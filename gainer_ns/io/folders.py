"""Replace folders of numbered files all at once.

A new folder is renamed when it is complete. In one that exists, with other files that stay, the files of before go
before the first new one comes: old and new ones never show together. A complete folder that waits to take its place is
marked as ready; if its writer is killed in that instant, the next one puts it in place.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gainer_ns.io.files import cannot_write, synchronise_folder
from gainer_ns.io.left_over import clear_left_over, left_over, lock, temporary_name

_READY, _OUTGOING, _GONE = ".ready", ".outgoing", ".gone"
"""What marks a folder as complete; where the files of before go; and its name once all of them are there."""


@contextmanager
def whole_folder(path: Path, names: re.Pattern[str]) -> Iterator[Path]:
    """Open a temporary folder whose files go to ``path`` once they are complete, and that vanishes if they are not.

    Missing parent folders are made. Of the files there, those that match ``names`` are replaced, in their order; others
    stay.

    Raises:
        GainerError: If the folder cannot be written. Errors that are of something else pass as they are.
    """
    target = os.path.realpath(path) if os.path.islink(path) else os.fspath(path)
    exists = os.path.isdir(target)
    try:
        # What lies beside an existing folder may be another disk, or closed to the user.
        os.makedirs(target if exists else os.path.dirname(target) or ".", exist_ok=True)
        if exists:
            _complete_killed(target, names)
        clear_left_over(target if exists else os.path.dirname(target))
        collected, descriptor = _open_temporary(target, target if exists else None)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield Path(collected)
        try:
            if exists:
                (Path(collected) / _READY).touch()
                synchronise_folder(collected)
                _replace(target, collected, names)
            else:
                synchronise_folder(collected)
                os.rename(collected, target)
            synchronise_folder(target if exists else os.path.dirname(target))
        except OSError as error:
            raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(collected, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def _open_temporary(target: str, folder: str | None) -> tuple[str, int | None]:
    while True:
        collected = temporary_name(target, folder)
        os.mkdir(collected)
        try:
            descriptor = os.open(collected, os.O_RDONLY)
        except FileNotFoundError:  # somebody took it for left over before it was locked
            continue
        except OSError:
            return collected, None  # some systems open no folders
        if lock(descriptor) is not False and os.path.isdir(collected):
            return collected, descriptor
        os.close(descriptor)


def _complete_killed(folder: str, names: re.Pattern[str]) -> None:
    """Put into place what was ready when its writer was killed."""
    with left_over(folder) as paths:
        for path in paths:
            if os.path.exists(os.path.join(path, _READY)):
                _replace(folder, path, names)
                shutil.rmtree(path, ignore_errors=True)


def _replace(folder: str, collected: str, names: re.Pattern[str]) -> None:
    """Move collected files into a folder, after those of before went out of it; undo that if it fails midway.

    Begun once and killed, it goes on where it was: files that are there are of before until all of them are gone.
    """
    outgoing, gone = os.path.join(collected, _OUTGOING), os.path.join(collected, _GONE)
    moved: list[tuple[str, str]] = []

    def move(source: str, target: str) -> None:
        os.rename(source, target)
        moved.append((source, target))

    try:
        if not os.path.isdir(gone):
            os.makedirs(outgoing, exist_ok=True)
            for name in reversed(_named(folder, names)):
                move(os.path.join(folder, name), os.path.join(outgoing, name))
            move(outgoing, gone)
        for name in _named(collected, names):
            move(os.path.join(collected, name), os.path.join(folder, name))
    except BaseException:
        for source, target in reversed(moved):
            with contextlib.suppress(OSError):
                os.rename(target, source)
        raise


def _named(folder: str, names: re.Pattern[str]) -> list[str]:
    return sorted(name for name in os.listdir(folder) if names.fullmatch(name))
