"""What the download scripts have in common: their options, and the way from an archive to a scene."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import tyro
from fetching import CONSOLE, Archive, fetch

from gainer_ns.doors import end_in_one_line
from gainer_ns.errors import GainerError


@dataclass
class ArchiveOptions:
    """Options of all scripts that download an archive."""

    output: Path
    """Folder for the archive, which is kept, and for what is made of it."""
    archive: Path | None = None
    """The archive, downloaded by hand: nothing is fetched then."""
    url: str | None = None
    """Another place to fetch the same archive from."""
    dry_run: bool = False
    """Only say what would be downloaded."""

    def fetched(self, archive: Archive) -> Path | None:
        """The archive's file; None if nothing is to be downloaded.

        Raises:
            GainerError: It cannot be had.
        """
        if self.archive is not None:
            if not self.archive.is_file():
                raise GainerError(f"{self.archive}: is no file; name the archive that was downloaded")
            return None if self.dry_run else self.archive
        if self.url is not None:
            archive = replace(archive, urls=(self.url,))
        archive.announce(self.output)
        return None if self.dry_run else fetch(archive, self.output)


@dataclass
class Options(ArchiveOptions):
    """Options of all scripts that make scenes."""

    output: Path
    """Folder for the archive, which is kept, and for a folder of each scene."""
    factor: int = 1
    """Divides width and height of the pictures."""

    def fetched(self, archive: Archive) -> Path | None:
        """The archive's file; None if nothing is to be downloaded.

        Raises:
            GainerError: It cannot be had, or the factor is none.
        """
        if self.factor < 1:
            raise GainerError(f"--factor {self.factor}: is no whole number from 1 up")
        return super().fetched(archive)


def chosen(images: Iterable[int], published: range) -> list[int]:
    """Numbers of the images that were asked for, each once; all that are published, if none were.

    Raises:
        GainerError: There is no image of that number.
    """
    numbers = sorted(set(images))
    for number in numbers:
        if number not in published:
            raise GainerError(f"--images {number}: there is none; name images from {published[0]} to {published[-1]}")
    return numbers or list(published)


def workspace(output: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder beside the output for what is unpacked only to be reduced; it vanishes afterwards.

    Raises:
        GainerError: It cannot be made.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=".unpacked_", dir=output)
    except OSError as error:
        raise GainerError(
            f"{output}: cannot be written ({error.strerror or error}); choose another --output"
        ) from error


def run(command: type, args: list[str] | None = None) -> None:
    """Runs a script's command with the arguments of the process."""
    end_in_one_line()
    try:
        scene = tyro.cli(command, args=args).run()
    except KeyboardInterrupt:
        sys.exit("stopped; run this again to go on")
    if scene is not None:
        CONSOLE.print(f"Wrote {scene}", markup=False)
