"""The files of the panel: all in one folder of the run, whatever is typed in the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from gainer_ns.errors import GainerError
from gainer_ns.files import whole_file
from gainer_ns.image.masks import mask_bytes

FOLDER = "edits"
"""Where the panel reads and writes, in the run's folder."""
_NAME = re.compile(r"\w[\w .()+-]{0,80}")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


class RunFiles:
    """Files that people name in the page.

    Args:
        run: The run's folder.
    """

    def __init__(self, run: Path) -> None:
        self.folder = run / FOLDER

    def path(self, name: str, suffix: str = "") -> Path:
        """The file of a name.

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
            raise GainerError(f"{path.name} is a link out of the run's folder; choose another name")
        return path

    def names(self, suffix: str) -> list[str]:
        """Files there are, without their suffix, by name."""
        return sorted(path.stem for path in self.folder.glob(f"*{suffix}") if path.is_file())

    def folders(self, is_one: Callable[[Path], bool]) -> list[str]:
        """Folders there are, of a kind."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(path.name for path in found if path.is_dir() and not path.is_symlink() and is_one(path))

    def write(self, path: Path, content: bytes) -> None:
        """Writes a file whole; the folder is made when it is first needed.

        Raises:
            GainerError: It cannot be written.
        """
        with whole_file(path) as file:
            file.write(content)

    def write_mask(self, mask: Float[np.ndarray, "h w"]) -> Path:
        """Keeps a mask that a script names, under a number of its own."""
        numbers = (path.stem[5:] for path in self.folder.glob("mask_*.png"))
        number = 1 + max((int(number) for number in numbers if number.isdigit()), default=0)
        path = self.folder / f"mask_{number:03d}.png"
        self.write(path, mask_bytes(np.rint(255 * np.clip(mask, 0, 1)) / 255))
        return path
