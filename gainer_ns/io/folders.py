"""Replace folders of numbered files all at once.

A new folder is renamed when it is complete. In one that exists, with other files that stay, the files of before go
before the first new one comes: old and new ones never show together.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gainer_ns.io.files import cannot_write, clear_left_over, synchronise_folder, temporary_name


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
    # What lies beside an existing folder may be another disk, or closed to the user.
    place = target if exists else os.path.dirname(target)
    collected = temporary_name(place)
    try:
        os.makedirs(place or ".", exist_ok=True)
        clear_left_over(place)
        os.mkdir(collected)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield Path(collected)
        try:
            synchronise_folder(collected)
            if exists:
                _replace(target, collected, names)
            else:
                os.rename(collected, target)
            synchronise_folder(place)
        except OSError as error:
            raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(collected, ignore_errors=True)


def _replace(folder: str, collected: str, names: re.Pattern[str]) -> None:
    """Move collected files into a folder, after those of before went out of it; the first ones go last."""
    for name in reversed(_named(folder, names)):
        os.unlink(os.path.join(folder, name))
    for name in _named(collected, names):
        os.rename(os.path.join(collected, name), os.path.join(folder, name))


def _named(folder: str, names: re.Pattern[str]) -> list[str]:
    return sorted(name for name in os.listdir(folder) if names.fullmatch(name))
