"""Downloads the validation images of DIV2K, 100 photographs of about 2000 pixels, and reduces them as the paper does.

    python data_scripts/download_div2k.py --output data/div2k

DIV2K_valid_HR.zip (0.45 GB; Agustsson and Timofte, NTIRE 2017) comes from its authors. Its size and SHA-256 are those
that TensorFlow Datasets lists for the same address (tensorflow_datasets/url_checksums/div2k.txt). The download itself
has not been tried.

    data/div2k/hr/0801.png      as published
    data/div2k/x2/0801x2.png    half as wide and high: what the paper measures quality on
    data/div2k/x3/0801x3.png    a third: what it measures speed and size on

They are named as in DIV2K's own bicubic reductions, which were made with MATLAB's imresize. These are made with
Pillow's antialiased bicubic filter: where both were compared, in the middle of 0801 (x2) and 0886 (x3), they agree to
55 dB; four values in five are the same, and none differs by more than 2 of 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from commands import ArchiveOptions, chosen, run
from fetching import CONSOLE, Archive
from PIL import Image
from rich.progress import track
from unpacking import names, unpack

from gainer_ns.errors import GainerError
from gainer_ns.io.files import whole_file

ARCHIVE = Archive(
    name="DIV2K_valid_HR.zip",
    urls=("https://data.vision.ee.ethz.ch/cvl/DIV2K/DIV2K_valid_HR.zip",),
    size=448_993_893,
    checksum="sha256:20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc",
    terms="academic research only, citing Agustsson and Timofte, 2017; the photographs belong to their owners",
    page="https://data.vision.ee.ethz.ch/cvl/DIV2K/",
)
INSIDE = "DIV2K_valid_HR"
"""Folder of the images in the archive."""
NUMBERS = range(801, 901)


@dataclass
class DownloadDiv2k(ArchiveOptions):
    """Download the validation images of DIV2K, unpack and reduce them; what is there already is kept."""

    output: Path = Path("data/div2k")
    """Folder for the archive, which is kept, and for the folders hr, x2 and x3 of images."""
    factors: tuple[Literal[2, 3, 4], ...] = (2, 3)
    """By which width and height of the images are divided, each in a folder of its own."""
    images: tuple[int, ...] = ()
    """Numbers of the images to unpack and reduce, 801 to 900; all without this. The archive has all of them."""

    def run(self) -> Path | None:
        """Fetches, unpacks and reduces."""
        numbers = chosen(self.images, NUMBERS)
        archive = self.fetched(ARCHIVE)
        return None if archive is None else prepare(archive, self.output, self.factors, numbers)


def prepare(archive: Path, output: Path, factors: Sequence[int], numbers: Sequence[int]) -> Path:
    """Unpacks images, and reduces them.

    Args:
        archive: DIV2K_valid_HR.zip.
        output: Where the folders of images are made.
        factors: By which images are reduced.
        numbers: Which images.

    Returns:
        The output.

    Raises:
        GainerError: The archive lacks an image, an image is damaged, or a file cannot be written.
    """
    wanted = [f"{number:04}.png" for number in numbers]

    def placement(name: PurePosixPath) -> PurePosixPath | None:
        is_wanted = name.parent.name == INSIDE and "__MACOSX" not in name.parts and name.name in wanted
        return PurePosixPath("hr", name.name) if is_wanted else None

    held = {name.name for name in names(archive) if placement(name) is not None}
    for name in wanted:
        if name not in held:
            raise GainerError(f"{archive}: lacks {INSIDE}/{name}; is it DIV2K_valid_HR.zip?")
    pictures = unpack(archive, output, placement)
    for picture in track(pictures, "Reducing", console=CONSOLE):
        reduce(picture, {factor: output / f"x{factor}" / f"{picture.stem}x{factor}.png" for factor in factors})
    return output


def reduce(picture: Path, targets: dict[int, Path]) -> None:
    """Writes reductions of a picture, but for those that are there in the right size.

    Args:
        picture: An RGB picture.
        targets: Where to write it, as PNG, by the factor that divides its width and height.

    Raises:
        GainerError: It cannot be read, a factor does not divide its size, or a file cannot be written.
    """
    try:
        with Image.open(picture) as image:
            sizes = {factor: _reduced_size(picture, image.size, factor) for factor in targets}
            missing = {factor: path for factor, path in targets.items() if _size_of(path) != sizes[factor]}
            if not missing:
                return
            pixels = image.convert("RGB")
    except (OSError, SyntaxError) as error:  # Pillow calls some damage of a PNG a SyntaxError.
        raise GainerError(f"{picture}: is damaged, or no picture; remove it and run this again") from error
    for factor, path in missing.items():
        reduced = pixels.resize(sizes[factor], Image.Resampling.BICUBIC)  # antialiased, as Pillow always does
        with whole_file(path) as file:
            reduced.save(file, "PNG")


def _reduced_size(picture: Path, size: tuple[int, int], factor: int) -> tuple[int, int]:
    width, height = size
    if width % factor or height % factor:
        raise GainerError(f"{picture}: {width} x {height} cannot be divided by {factor}; choose other --factors")
    return width // factor, height // factor


def _size_of(path: Path) -> tuple[int, int] | None:
    """Width and height of a picture; None if there is none."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, SyntaxError):
        return None


if __name__ == "__main__":
    run(DownloadDiv2k)
