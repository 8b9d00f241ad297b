"""The files of the panel: all in one folder, of the run or beside a stored picture, whatever is typed in the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from gainer_ns.errors import GainerError
from gainer_ns.io.files import whole_file
from gainer_ns.io.masks import mask_bytes
from gainer_ns.io.outputs import is_exported

_FOLDER_NAME, _AUTOSAVE_NAME = "edits", "edit_autosave.yaml"
"""Where the panel reads and writes, and where it keeps what was not saved, which no name that is typed leads to."""
_NAME = re.compile(r"\w[\w .()+-]{0,80}")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


class RunFiles:
    """Files that people name in the page.

    Args:
        home: The run's folder; or the file of a stored picture, whose name then precedes those of what lies beside it.

    Attributes:
        folder: Where they are.
        autosave: The file that keeps what was not saved.
    """

    def __init__(self, home: Path) -> None:
        place, prefix = (home.parent, f"{home.stem}_") if is_exported(home) else (home, "")
        self.folder = place / f"{prefix}{_FOLDER_NAME}"
        self.autosave = place / f"{prefix}{_AUTOSAVE_NAME}"

    def path(self, name: str, suffix: str = "") -> Path:
        """Return the file of a name.

        Args:
            name: As typed, with or without the suffix.
            suffix: Of the file; "" for a folder.

        Raises:
            GainerError: The name is none, or would leave the folder.
        """
        stem = name.strip()
        if suffix and stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
        if not _NAME.fullmatch(stem) or _RESERVED.fullmatch(stem) or stem.endswith((".", " ")):
            raise GainerError(
                f"{name.strip()[:40]!r} is no name for a file here; write letters, digits, spaces and - _ . only"
            )
        path = self.folder / f"{stem}{suffix}"
        if path.is_symlink() or self.folder.is_symlink():
            raise GainerError(f"{path.name} is a link out of the folder; choose another name")
        return path

    def names(self, suffix: str) -> list[str]:
        """Return the names of all files of a suffix, without it."""
        return sorted(path.stem for path in self.folder.glob(f"*{suffix}") if path.is_file())

    def folders(self, is_one: Callable[[Path], bool]) -> list[str]:
        """Return the names of all folders of a kind."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(path.name for path in found if path.is_dir() and not path.is_symlink() and is_one(path))

    def write(self, path: Path, content: bytes) -> None:
        """Write a file whole; the folder is made when it is first needed.

        Raises:
            GainerError: It cannot be written.
        """
        with whole_file(path) as file:
            file.write(content)

    def write_mask(self, mask: Float[np.ndarray, "h w"]) -> Path:
        """Keep a mask that a script names, under a number of its own."""
        numbers = (path.stem[5:] for path in self.folder.glob("mask_*.png"))
        number = 1 + max((int(number) for number in numbers if number.isdigit()), default=0)
        path = self.folder / f"mask_{number:03d}.png"
        self.write(path, mask_bytes(np.rint(255 * np.clip(mask, 0, 1)) / 255))
        return path
