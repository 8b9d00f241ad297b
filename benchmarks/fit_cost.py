"""What the fit in closed form costs: ``python benchmarks/fit_cost.py PICTURE ... [--enlarge 12 100] [--off-grid]``.

Of each picture it prints processor time, as medians of fits that take turns with ``scipy.ndimage.spline_filter`` of the
same three channels, and how exact the picture is where it is drawn at rest. Enlarged, the first picture is fitted from
a JPEG and written to a .safetensors file in a process of its own, which tells (on Linux) how much memory it held.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import tyro
from scipy import ndimage

import gainer_ns as gn
from gainer_bench.between_pixels import off_grid_psnr
from gainer_ns.fitting.trainer import fit_layer
from gainer_ns.frames import ImagePlane
from gainer_ns.io.image_io import SourceImage, read_picture
from gainer_ns.metrics import psnr
from gainer_ns.recipes import RECIPES
from gainer_ns.rendering.plane import BakedPicture

_FIT_AND_SAVE = """
import json, re, sys, time
from pathlib import Path
import gainer_ns as gn
gn.fit  # imports what a fit needs, but for what it imports itself
def held():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
before = held()
marks = [(time.process_time(), time.monotonic())]
picture = gn.fit(sys.argv[1], device="cpu")
marks.append((time.process_time(), time.monotonic()))
picture.save(sys.argv[2])
marks.append((time.process_time(), time.monotonic()))
print(json.dumps({"psnr": picture.psnr, "marks": marks, "before": before, "peak": held()}))
"""


@dataclass
class FitCost:
    """Fits pictures and prints what that took."""

    pictures: tyro.conf.Positional[tuple[Path, ...]]
    """The picture files, opaque."""
    enlarge: tuple[float, ...] = ()
    """Megapixels to which the first picture is enlarged as well."""
    off_grid: bool = False
    """Also compare with the cubic spline between the pixels."""
    repeats: int = 7
    """Fits of each picture that are timed, after one that is not."""

    def run(self) -> None:
        """Print a line of a table for each picture, the means, and a line for each enlargement."""
        names = ["fit ms", "spline ms", "ratio", "file ms", "dB", "exact"]
        names += self.off_grid * ["shift", "rotate", "zoom", "warp"]
        lines = []
        for path in self.pictures:
            lines.append(self._line(read_picture(path)))
            _print_line(path.stem, lines[-1], names if len(lines) == 1 else [])
        _print_line("mean", [statistics.mean(column) for column in zip(*lines, strict=True)])
        with tempfile.TemporaryDirectory() as folder:
            for megapixels in self.enlarge:
                _print_large(_enlarged(self.pictures[0], megapixels, Path(folder)), Path(folder) / "large.safetensors")

    def _line(self, source: SourceImage) -> list[float]:
        channels = [np.ascontiguousarray(source.rgb[..., i] / source.max_value) for i in range(3)]
        works: tuple[Callable[[], Any], ...] = (
            lambda: gn.fit(source.rgb, device="cpu"),
            lambda: [ndimage.spline_filter(channel, order=3) for channel in channels],
            lambda: gn.fit(source.path, device="cpu"),
        )
        fit, spline, file = _milliseconds(works, self.repeats)
        colours = source.colours()
        layer, _ = fit_layer(torch.from_numpy(colours), None, *RECIPES["gainer"], bit_depth=source.bit_depth)
        picture = BakedPicture(ImagePlane(source.width, source.height), (layer,), source.bit_depth)
        drawn = picture.raster()[0].numpy()
        exact = np.array_equal(np.rint(drawn.clip(0, 1) * source.max_value).astype(source.rgb.dtype), source.rgb)
        line = [fit, spline, fit / spline, file, psnr(drawn, colours), float(exact)]
        if self.off_grid:
            sampled = lambda points: picture.at_pixels(torch.from_numpy(points)).rgb.numpy()  # noqa: E731
            line += off_grid_psnr(sampled, colours).values()
        return line


def _milliseconds(works: tuple[Callable[[], Any], ...], repeats: int) -> list[float]:
    """Return medians of the processor time of works that take turns."""
    times: list[list[float]] = []
    for _ in range(1 + repeats):
        times.append([])
        for work in works:
            began = time.process_time()
            work()
            times[-1].append(1e3 * (time.process_time() - began))
    return [statistics.median(column) for column in zip(*times[1:], strict=True)]


def _enlarged(path: Path, megapixels: float, folder: Path) -> Path:
    """Write the picture enlarged, as a JPEG."""
    samples = cv2.imread(str(path))
    assert samples is not None
    scale = math.sqrt(1e6 * megapixels / (samples.shape[0] * samples.shape[1]))
    large = folder / f"{megapixels:g}.jpg"
    cv2.imwrite(str(large), cv2.resize(samples, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC))
    return large


def _print_large(path: Path, output: Path) -> None:
    command = [sys.executable, "-c", _FIT_AND_SAVE, str(path), str(output)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    (start, _), (fitted, _), (saved, _) = found["marks"]
    wall, spent = (
        found["marks"][2][1] - found["marks"][0][1],
        f"fit {fitted - start:.2f} s, writing {saved - fitted:.2f} s",
    )
    held = f"peak {found['peak']:.0f} MiB, {found['before']:.0f} of them before"
    print(f"{path.stem} megapixels: {spent} of processor time, {wall:.1f} s in all; {held}; {found['psnr']:.1f} dB")


def _print_line(name: str, numbers: list[float], head: list[str] = []) -> None:  # noqa: B006
    if head:
        print("| picture | " + " | ".join(head) + " |\n| --- |" + " --: |" * len(head))
    print(f"| {name} | " + " | ".join(f"{number:.1f}" for number in numbers) + " |", flush=True)


if __name__ == "__main__":
    tyro.cli(FitCost, prog="python benchmarks/fit_cost.py").run()
