"""Decide what an output's name means, before anything is loaded or drawn. All refusals are GainerErrors."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gainer_ns.errors import GainerError

Means = Literal["picture", "frames", "film", "model"]
"""What may be written: one picture, a folder of frames, a moving picture, or a fitted picture itself."""

MODEL_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class FileKind:
    """The abilities of one kind of file.

    Attributes:
        bit_depths: Bits a sample, of which it holds any.
        opacity: Whether it holds opacity.
        most_fps: The highest frame rate that viewers heed, of a moving picture.
    """

    bit_depths: tuple[int, ...] = (8,)
    opacity: bool = True
    most_fps: int | None = None


PICTURES = {
    ".png": FileKind(bit_depths=(8, 16)),
    ".jpg": FileKind(opacity=False),
    ".jpeg": FileKind(opacity=False),
    ".webp": FileKind(),
    ".tif": FileKind(),
    ".tiff": FileKind(),
}
SHEET_SUFFIX = ".sheet.png"
"""Of one picture that holds all frames of a film, row by row."""
FILMS = {
    ".mp4": FileKind(opacity=False, most_fps=1000),
    ".webm": FileKind(most_fps=1000),
    ".mov": FileKind(most_fps=1000),
    ".apng": FileKind(most_fps=1000),
    ".webp": FileKind(most_fps=1000),
    SHEET_SUFFIX: FileKind(bit_depths=(8, 16), most_fps=1000),
    ".gif": FileKind(most_fps=50),  # Browsers slow a GIF down tenfold that asks for less than 2/100 s a frame.
}


@dataclass(frozen=True)
class OutputTarget:
    """A name whose meaning is settled, but for what only the number of frames decides.

    Attributes:
        path: Where to.
        means: What it may be: a .webp can be a picture or a film.
        suffix: The kind of file, in small letters with its dot; ".png" of a folder, whose frames are of that kind.
    """

    path: Path
    means: frozenset[Means]
    suffix: str

    @property
    def is_folder(self) -> bool:
        """Whether frames go to a folder."""
        return "frames" in self.means

    @property
    def is_model(self) -> bool:
        """Whether the fitted picture itself is stored."""
        return "model" in self.means

    @property
    def is_picture(self) -> bool:
        """Whether one picture may be written, to a file of that name."""
        return "picture" in self.means

    def is_film(self, frames: int) -> bool:
        """Return whether so many frames make a moving picture."""
        return "film" in self.means and (frames > 1 or "picture" not in self.means)

    def bit_depth(self, asked: int | None, source: int = 8, frames: int = 1) -> int:
        """Choose 8 or 16 bits a sample for so many frames.

        ``asked`` is what the user asked for, None for the bits of the ``source``. A kind that cannot hold what was
        asked for, or would lose what the source has, is refused; moving pictures have 8 bits whatever the source has.
        """
        wanted = asked or source
        if wanted not in (8, 16):
            raise GainerError(f"{self.path}: cannot hold {wanted} bits a sample; ask for 8 or 16")
        if self.is_model:
            if asked is not None:
                raise GainerError(f"{self.path}: stores no samples; leave out the bit depth")
            return source
        kind = FILMS[self.suffix] if "film" in self.means else PICTURES[self.suffix]
        if wanted in kind.bit_depths:
            return wanted
        if asked is None and self.is_film(frames):
            return 8
        remedy = "end the name in .png" if asked else "end the name in .png, or ask for a bit depth of 8"
        raise GainerError(f"{self.path}: 16 bits a sample are written to PNG only; {remedy}")

    def check_opacity(self, has_opacity: bool) -> None:
        """Refuse a picture with opacity where the kind holds none."""
        if has_opacity and self.suffix in PICTURES and not PICTURES[self.suffix].opacity:
            raise GainerError(f"{self.path}: JPEG holds no opacity; end the name in .png")

    def check_frames(self, frames: int, fps: float) -> None:
        """Refuse more frames than it holds, or a frame rate that it does not know, of moving pictures."""
        if frames < 1:
            raise GainerError(f"{self.path}: a sequence of {frames} frames has nothing to show; ask for at least one")
        if self.is_folder:
            return
        if not self.is_film(frames):
            if frames > 1:
                raise GainerError(
                    f"{self.path}: cannot hold {frames} frames; name a folder (without a suffix), or end the name in "
                    f"{', '.join(FILMS)}"
                )
            return
        most = FILMS[self.suffix].most_fps
        assert most is not None
        if not (math.isfinite(fps) and 0.01 <= fps <= most):
            raise GainerError(f"{self.path}: cannot show {fps:g} frames a second; choose from 0.01 to {most}")


def output_for(path: Path, *means: Means, bit_depth: int | None = None) -> OutputTarget:
    """Tell what a name means. Nothing is made or written.

    Suffixes mean the same in capitals. A folder that exists is one whatever its name is, and a name without a suffix is
    a folder to be made, where frames may go to folders.

    Args:
        path: What the user named.
        means: What the command can write.
        bit_depth: Bits a sample that the user asked for; None where nobody did.

    Raises:
        GainerError: It means nothing that the command can write, cannot hold the bit depth, or cannot be put there.
    """
    path = Path(path)
    suffix = SHEET_SUFFIX if path.name.lower().endswith(SHEET_SUFFIX) else path.suffix.lower()
    if "frames" in means and (os.path.isdir(path) or not suffix):
        return _settled(folder_output(path), bit_depth)
    known: dict[Means, bool] = {"picture": suffix in PICTURES, "film": suffix in FILMS, "model": is_exported(path)}
    found: frozenset[Means] = frozenset(one for one in means if known.get(one))
    if not found:
        raise GainerError(f"{path}: {_misfit(suffix, means)}")
    check_file_place(path)
    return _settled(OutputTarget(path, found, suffix), bit_depth)


def folder_output(path: Path) -> OutputTarget:
    """Return a folder of frames, whatever its name looks like; refuse a name that a file has."""
    check_folder_place(path, "choose another name, or one in .mp4")
    return OutputTarget(path, frozenset({"frames"}), ".png")


def named_output(path: Path, *suffixes: str) -> Path:
    """Refuse a file that ends in none of some suffixes, in small letters or capitals, or cannot be put there."""
    if not path.name.lower().endswith(suffixes):
        raise GainerError(f"{path}: end the name in {' or '.join(suffixes)}, by which the file is known later")
    check_file_place(path)
    return path


def is_exported(path: Path) -> bool:
    """Return whether a path names a file of ``gainer export``, in small letters or capitals, and not a run."""
    return path.suffix.lower() == MODEL_SUFFIX


def check_file_place(path: Path) -> None:
    """Refuse a place where no file can be put."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise GainerError(f"{path}: is a folder or a device; name a file to write")
    target = Path(os.path.realpath(path)) if os.path.islink(path) else path  # Links are followed when it is written.
    _check_parents(path, target.parent)


def check_folder_place(path: Path, remedy: str = "choose another name") -> None:
    """Refuse a place where no folder can be made or filled; ``remedy`` is for a file that has the name."""
    if os.path.exists(path) and not os.path.isdir(path):
        raise GainerError(f"{path}: is a file, and a folder is to be written; {remedy}")
    _check_parents(path, path)


def _check_parents(path: Path, folder: Path) -> None:
    """Refuse what cannot be made below the nearest folder that exists."""
    existing = next((one for one in (folder, *folder.parents) if os.path.lexists(one)), None)
    if existing is None:
        return
    if not os.path.isdir(existing):
        raise GainerError(f"{path}: cannot be written ({existing} is a file); choose another folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise GainerError(f"{path}: cannot be written ({existing} is closed to you); choose another folder")


def _settled(output: OutputTarget, bit_depth: int | None) -> OutputTarget:
    """Return the output, once the bit depth that was asked for fits it."""
    if bit_depth is not None:
        output.bit_depth(bit_depth)
    return output


def _misfit(suffix: str, means: tuple[Means, ...]) -> str:
    """Say what is wrong with a suffix that the command cannot write, and the remedy."""
    kinds = [kind for one, table in (("picture", PICTURES), ("film", FILMS)) if one in means for kind in table]
    kinds += [MODEL_SUFFIX] if "model" in means else []
    remedy = f"end the name in {', '.join(dict.fromkeys(kinds))}"
    if "frames" in means:
        remedy += ", or name a folder, without a dot"
    if suffix in FILMS and "film" not in means:
        return f"is a film by its name, and one picture is drawn; {remedy}"
    return f"cannot write that kind; {remedy}"
