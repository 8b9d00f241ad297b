"""``gainer fit``: pictures become Gaussians, in files of their own, without nerfstudio."""

from __future__ import annotations

import math
import os
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import tyro

from gainer_ns.errors import GainerError
from gainer_ns.io.inputs import check_picture_file
from gainer_ns.io.outputs import MODEL_SUFFIX, check_folder_place, is_exported, named_output

if TYPE_CHECKING:
    from gainer_ns.fitting.pixel_fit import PixelBand
    from gainer_ns.io.image_io import SourceImage
    from gainer_ns.recipes import MethodRecipe
    from gainer_ns.storage.kept_pixels import KeptPixels

LARGE_PIXELS = 1 << 24
"""From so many on, the bands of an opaque picture are spread over a cluster."""
_Task: TypeAlias = tuple[Path, Path, int]
"""A picture, the file for its fit, and how many pixels it has."""


@dataclass
class Fit:
    """Fit Gaussians to pictures, as ns-train does, and write each to a .safetensors file, which all commands draw.

    All names are looked at before the first picture is fitted, and one that is wrong stops everything. A picture that
    turns out to be damaged, or too large, is passed over; the others are fitted, and the command fails at its end.
    """

    images: tyro.conf.Positional[tuple[Path, ...]] = field(kw_only=True)
    """The pictures: any kind that ns-train takes, with opacity or without, of 8 or 16 bits."""
    output: Path = field(kw_only=True)
    """File to write (.safetensors), of one picture; or folder, which gets NAME.safetensors of each picture."""
    method: Literal["gainer", "gainer-paper", "gainer-compact"] = "gainer"
    """gainer is exact on the pixels and takes a moment. gainer-compact has few Gaussians, comes to 44 to 51 dB in a
    minute or two, and is for what works on Gaussians: as files, AVIF and JPEG XL are mostly smaller. gainer-paper is
    the paper's recipe and takes hours without a GPU."""
    gaussians_per_pixel: float | None = None
    """Another density than the method's own; below 1 the fit takes minutes."""
    seconds: float | None = None
    """End each fit after so many seconds; no limit when not given."""
    downscale: int = 1
    """Reduce the pictures by this factor before they are fitted."""
    seed: int = 0
    """Seed of everything random."""
    device: str | None = None
    """Where to fit, for example cpu or cuda; cuda where there is one when not given."""
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Leave out pictures that have been fitted: goes on where the same command was stopped."""
    ray: str | None = None
    """Address of a Ray cluster that fits them, one on each processor: HOST:PORT, ray://HOST:PORT, or auto. Pictures and
    fits travel, so that machines need no folder in common; opaque pictures from 16 megapixels on do so in bands."""

    def run(self) -> None:
        """Look at all names, then fit and write picture after picture."""
        from gainer_ns.cli.terminal import progress_bar, say

        self._check_options()
        outputs = self._outputs()
        for image in self.images:
            check_picture_file(image)
        _check_kept(self.images, outputs)
        from gainer_ns.io.image_io import check_opens

        sizes = [check_opens(image) for image in self.images]
        todo = [
            (image, output, pixels // self.downscale**2)
            for image, output, pixels in zip(self.images, outputs, sizes, strict=True)
            if not (self.resume and output.exists())
        ]
        if len(todo) < len(outputs):
            say(f"Left out {len(outputs) - len(todo)} of {len(outputs)} pictures, which are fitted already")
        failures: list[str] = []
        with progress_bar("Fitting") as progress:
            fitted = self._here(todo, progress) if self.ray is None else self._on_cluster(todo, self.ray, progress)
            for number, ((image, output, _), found) in enumerate(zip(todo, fitted, strict=True), start=1):
                progress(number / len(todo))
                if not isinstance(found, GainerError):
                    say(f"Wrote {output}: {found}")
                    continue
                if len(outputs) == 1:
                    raise found
                failures.append(str(found) if str(found).startswith(str(image)) else f"{image}: {found}")
                say(f"Passed over {failures[-1]}")
            progress(1.0)
        if failures:
            further = "" if len(failures) == 1 else f" (and {len(failures) - 1} more, named above)"
            done = len(todo) - len(failures)
            raise GainerError(f"{failures[0]}{further}; {done} of {len(todo)} pictures were fitted")

    def _here(self, todo: Sequence[_Task], progress: Callable[[float], None]) -> Iterator[str | GainerError]:
        """Fit picture after picture and write each; yield what came of it, or what was wrong with it."""
        for number, (image, output, _) in enumerate(todo):

            def part(share: float, number: int = number) -> None:
                progress((number + share) / len(todo))

            part(0.0)
            try:
                yield self._fitted(image, output, part)
            except GainerError as error:
                yield error

    def _on_cluster(
        self, todo: Sequence[_Task], address: str, progress: Callable[[float], None]
    ) -> Iterator[str | GainerError]:
        """Fit pictures on the machines of a cluster, large ones in bands, and write them here; see :meth:`_here`."""
        from gainer_ns.cluster import in_order
        from gainer_ns.io.files import whole_file

        begun: deque[KeptPixels | None] = deque()

        def parts() -> Iterator[PixelBand | tuple[str, bytes]]:
            for image, _, pixels in todo:
                begun.append(self._large(image) if pixels >= LARGE_PIXELS else None)
                if begun[-1] is None:
                    yield str(image), image.read_bytes()
                else:
                    yield from begun[-1].bands()

        found = in_order(address, _fitted_there, self, parts())
        for number, (_, output, _) in enumerate(todo):
            first, whole = next(found), begun.popleft()
            if whole is None:
                answer, file = first
                if file is not None:
                    with whole_file(output) as target:
                        target.write(file)
                yield answer
                continue
            error, read = first, whole.read
            while error.values < read.rgb.size:
                progress((number + error.values / read.rgb.size) / len(todo))
                error += next(found)
            try:
                whole.save(output)
                yield _said(read.width, read.height, read.width * read.height, error.psnr)
            except GainerError as refused:
                yield refused

    def _large(self, image: Path) -> KeptPixels | None:
        """Read a picture that is fitted in bands; None of one that is not, or is damaged, as will be found there."""
        from gainer_ns.storage.kept_pixels import KeptPixels

        with suppress(GainerError):
            read, method = self._read(image)
            return KeptPixels.of(read, method.picture)
        return None

    def _read(self, image: Path) -> tuple[SourceImage, MethodRecipe]:
        from gainer_ns.api import read_for_fit

        return read_for_fit(
            image,
            method=self.method,
            gaussians_per_pixel=self.gaussians_per_pixel,
            seconds=self.seconds,
            seed=self.seed,
            downscale=self.downscale,
        )

    def _fitted(self, image: Path, output: Path, progress: Callable[[float], None]) -> str:
        """Fit a picture and write it; say what came of it."""
        from gainer_ns.api import fit_read
        from gainer_ns.devices import best_device, checked_device
        from gainer_ns.storage.kept_pixels import KeptPixels

        read, method = self._read(image)
        pixels = KeptPixels.of(read, method.picture)
        if pixels is not None:
            error = pixels.fit(checked_device(self.device or best_device()), progress)
            pixels.save(output)
            return _said(read.width, read.height, read.width * read.height, error.psnr)
        picture = fit_read(read, method, device=self.device, progress=progress)
        picture.save(output)
        return _said(picture.width, picture.height, len(picture.gaussians), picture.psnr)

    def _check_options(self) -> None:
        if not self.images:
            raise GainerError("no picture is named; name one or more before --output")
        for option, value in (("gaussians-per-pixel", self.gaussians_per_pixel), ("seconds", self.seconds)):
            if value is not None and not 0 < value < math.inf:
                raise GainerError(f"--{option} {value:g}: choose a number above 0")
        if self.downscale < 1:
            raise GainerError(f"--downscale {self.downscale}: choose a whole number from 1 up")

    def _outputs(self) -> list[Path]:
        """Return the file of each picture; refuse names that do not fit, or that two pictures would have."""
        if is_exported(self.output) and not self.output.is_dir():
            if len(self.images) > 1:
                raise GainerError(f"{self.output}: holds one picture, and {len(self.images)} are given; name a folder")
            return [named_output(self.output, MODEL_SUFFIX)]
        if self.output.suffix and not self.output.is_dir():
            raise GainerError(f"{self.output}: end the name in {MODEL_SUFFIX}, or name a folder, without a dot")
        check_folder_place(self.output)
        outputs = [self.output / f"{image.stem}{MODEL_SUFFIX}" for image in self.images]
        name, times = Counter(output.name.lower() for output in outputs).most_common(1)[0]
        if times > 1:
            same = [
                str(image) for image, output in zip(self.images, outputs, strict=True) if output.name.lower() == name
            ]
            raise GainerError(f"{same[0]} and {same[1]}: would both become {name}; rename one, or fit them apart")
        for output in outputs:
            named_output(output, MODEL_SUFFIX)
        return outputs


def _said(width: int, height: int, gaussians: int, psnr: float | None) -> str:
    return f"{width} x {height} pixels, {gaussians:,} Gaussians, {psnr:.1f} dB"


def _fitted_there(options: Fit, part: PixelBand | tuple[str, bytes]) -> Any:
    """Fit a picture that was sent here, and return what came of it, and the file; or a band, and return its error."""
    from gainer_ns.fitting.pixel_fit import PixelBand, fit_band

    if isinstance(part, PixelBand):
        return fit_band(part)
    name, data = part
    with tempfile.TemporaryDirectory() as folder:
        path, output = Path(folder) / Path(name).name, Path(folder) / f"fitted{MODEL_SUFFIX}"
        path.write_bytes(data)
        try:
            return options._fitted(path, output, lambda _: None), output.read_bytes()
        except GainerError as error:
            return GainerError(str(error).replace(str(path), name)), None


def _check_kept(images: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Refuse to write a file that is read, whatever links lead to it."""
    read = {(found.st_dev, found.st_ino): image for image in images for found in (os.stat(image),)}
    for output in outputs:
        if output.exists() and (image := read.get((os.stat(output).st_dev, os.stat(output).st_ino))) is not None:
            raise GainerError(f"{output}: is the picture {image} itself; write to another name")
