"""Enlarged photographs beside what library calls make of them: ``python -m gainer_bench super-resolution``.

Each photograph is reduced by area averaging and enlarged back; the truth is the photograph itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL.Image import Resampling
from scipy import ndimage

import gainer_ns as gn
from gainer_bench.between_pixels import BORDER_PX
from gainer_bench.edit_quality import area_reduced, timed
from gainer_bench.outputs import print_plain, write_text
from gainer_bench.sources import resized
from gainer_bench.tables import Table
from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import read_picture
from gainer_ns.metrics import psnr
from gainer_ns.preparation.salient_object import picture_network

Enlarger = Callable[[Float[np.ndarray, "h w 3"]], Float[np.ndarray, "h2 w2 3"]]

_TRIAL_PX = 64
"""Side of the picture that tells how many times a network enlarges."""


class EnlargedResult(NamedTuple):
    """What one method makes of a reduced photograph."""

    psnr: float  # in dB
    seconds: float  # of processor time, with the fit or the prefilter
    megapixels: float  # of the result


class Upscaler:
    """A learned enlarger: a network in an ONNX file, from colours [1, 3, h, w] in [0, 1] to [1, 3, s h, s w].

    Raises:
        GainerError: The file is no such network, or onnxruntime is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._session = path, picture_network(path)
        self.name = path.stem
        self.factor = len(self(np.zeros((_TRIAL_PX, _TRIAL_PX, 3)))) // _TRIAL_PX

    def __call__(self, colours: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h2 w2 3"]:
        """Enlarge a picture."""
        pixels = colours.astype(np.float32).transpose(2, 0, 1)[None]
        try:
            enlarged = np.asarray(self._session.run(None, {self._session.get_inputs()[0].name: pixels})[0])
        except Exception as error:  # of any size but its own, for example: each fault has its own class
            raise GainerError(
                f"{self._path}: enlarges no picture of {colours.shape[1]} x {colours.shape[0]} px "
                f"({' '.join(str(error).split())[:160]}); name a network that takes any size"
            ) from error
        if enlarged.ndim != 4 or enlarged.shape[1] != 3 or enlarged.shape[2] % colours.shape[0]:
            raise GainerError(
                f"{self._path}: answers with {list(enlarged.shape)}; name one that answers with [1, 3, s h, s w]"
            )
        return enlarged[0].transpose(1, 2, 0)


def enlargers(factor: int) -> dict[str, Enlarger]:
    """Return GaINeR and library calls, each of which makes a picture so many times larger."""

    def fitted(colours: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h2 w2 3"]:
        return gn.fit(np.rint(colours * 255).astype(np.uint8)).render(scale=factor, dtype="float32")

    def splined(colours: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h2 w2 3"]:
        zoom = (factor, factor, 1)
        return np.asarray(ndimage.zoom(colours, zoom, order=3, mode="grid-mirror", grid_mode=True))

    def by_pillow(colours: Float[np.ndarray, "h w 3"], kernel: Resampling) -> Float[np.ndarray, "h2 w2 3"]:
        height, width = colours.shape[:2]
        return resized(colours.astype(np.float32), (0, 0, width, height), (width * factor, height * factor), kernel)

    return {
        "gainer": fitted,
        "spline": splined,
        "Lanczos-3": partial(by_pillow, kernel=Resampling.LANCZOS),
        "bicubic": partial(by_pillow, kernel=Resampling.BICUBIC),
    }


def enlarged_results(
    full: Float[np.ndarray, "h w 3"], factor: int, methods: Mapping[str, Enlarger]
) -> dict[str, EnlargedResult]:
    """Reduce a photograph, enlarge it back by all methods, and compare with it, but for a border.

    Args:
        full: The photograph, from 0 to 1.
        factor: How many times smaller it becomes, and larger again.
        methods: Name -> what enlarges.
    """
    small = np.rint(np.clip(area_reduced(full, factor), 0, 1) * 255) / 255
    height, width = small.shape[0] * factor, small.shape[1] * factor
    inner = slice(BORDER_PX * factor, -BORDER_PX * factor)
    truth, results = full[:height, :width][inner, inner], {}
    for name, enlarge in methods.items():
        drawn, seconds = timed(partial(enlarge, small))
        shown = np.clip(drawn, 0, 1)[inner, inner]
        results[name] = EnlargedResult(psnr(shown, truth), seconds, height * width / 1e6)
    return results


@dataclass
class SuperResolution:
    """Reduce photographs by area averaging, enlarge them back by GaINeR and by library calls, and compare.

    The truth is the photograph itself.
    """

    pictures: tuple[Path, ...]
    """Photographs without alpha."""
    factors: tuple[int, ...] = (2, 4)
    """How many times they are reduced, and enlarged again."""
    upscaler: Path | None = None
    """A learned enlarger that is compared, too: an .onnx file that takes colours [1, 3, h, w] to [1, 3, s h, s w], all
    of them from 0 to 1."""
    output: Path | None = None
    """File (.md) to write the table to; None to only show it."""

    def run(self) -> None:
        """Measure all photographs and show the table."""
        if not self.factors or not all(2 <= factor <= 16 for factor in self.factors):
            raise GainerError("--factors: give whole numbers from 2 to 16")
        upscaler = None if self.upscaler is None else Upscaler(self.upscaler)
        if upscaler is not None and upscaler.factor not in self.factors:
            raise GainerError(f"{self.upscaler}: enlarges {upscaler.factor} times; name that in --factors")
        found: dict[int, list[dict[str, EnlargedResult]]] = {factor: [] for factor in self.factors}
        for path, full in [(path, self._colours(path)) for path in self.pictures]:
            for factor, results in found.items():
                methods = enlargers(factor)
                if upscaler is not None and upscaler.factor == factor:
                    methods[upscaler.name] = upscaler
                results.append(enlarged_results(full, factor, methods))
            print_plain(f"{path.name}: {full.shape[1]} x {full.shape[0]}")
        table = enlarged_table(found).markdown()
        if self.output is not None:
            write_text(self.output, table)
        print_plain(table)

    def _colours(self, path: Path) -> Float[np.ndarray, "h w 3"]:
        source = read_picture(path)
        if source.alpha is not None:
            raise GainerError(f"{path}: has alpha; give a photograph")
        least = (2 * BORDER_PX + 1) * max(self.factors)
        if min(source.width, source.height) < least:
            raise GainerError(f"{path}: {source.width} x {source.height} px are too few; at least {least} are needed")
        return source.colours().astype(np.float32)


def enlarged_table(found: Mapping[int, list[dict[str, EnlargedResult]]]) -> Table:
    """Return means over photographs, a row a factor and method."""
    rows = []
    for factor, by_picture in found.items():
        for method in by_picture[0]:
            of = [results[method] for results in by_picture]
            cost = 1e3 * sum(one.seconds for one in of) / sum(one.megapixels for one in of)
            rows.append([f"{factor}x", method, f"{np.mean([one.psnr for one in of]):.2f}", f"{cost:.0f}"])
    return Table.of(["enlarged", "by", "dB", "ms a megapixel"], rows, names=2)
