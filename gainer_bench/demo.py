"""A picture fitted, drawn, exported and measured by the commands a user has: ``python -m gainer_bench.demo``.

Everything lands in one folder. Running it again overwrites what it wrote.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from nerfstudio.utils.rich_utils import CONSOLE
from PIL import Image

from gainer_ns.cli.main import entrypoint
from gainer_ns.doors import run_program
from gainer_ns.error_maps import error_map
from gainer_ns.errors import GainerError
from gainer_ns.io.files import whole_file
from gainer_ns.io.image_io import SourceImage, read_picture
from gainer_ns.io.image_writing import write_picture
from gainer_ns.metrics import compare
from gainer_ns.options import parsed
from gainer_ns.rendering.plane import BakedPicture

DETAIL_SIDE = 96
"""Width and height of the enlarged detail, in source pixels."""
DETAIL_SCALE = 4
"""How much the detail is enlarged."""
GAP = 8
"""Width of the white gap between pictures side by side, in pixels."""
FILES = {
    "original.png": "the picture that is fitted",
    "fitted.png": "the fit, pixel by pixel",
    "double.png": "the fit at twice the size",
    "half.png": "the fit at half the size",
    "detail.png": f"a detail at {DETAIL_SCALE} times the size: the fit, and bicubic interpolation by Pillow",
    "error_map.png": "where the fit is wrong, contrast as in the paper: grey is 1e-5 to 1e-4",
    "picture.safetensors": "the whole fit at 8 bits a feature channel; gainer commands take it as --load-config",
    "metrics.json": "quality, seconds, bytes",
    "outputs": "the run of ns-train",
}
"""What is in the folder afterwards."""

Colours = Float[np.ndarray, "h w 3"]


@dataclass
class Demo:
    """Fits a small picture, draws it at several sizes, exports it and measures the result."""

    output: Path = Path("demo")
    """Folder for everything."""
    image: Path | None = None
    """The picture to fit; a photograph of 512 x 512 pixels that comes with scikit-image when not given."""

    def run(self) -> None:
        """Does all of it, and says where everything is."""
        original, config = self.output / "original.png", self.output / "outputs" / "original/gainer/demo/config.yml"
        write_original(self.image, original)
        seconds = {"ns_train": fit(original, config)}
        stored = self.output / "picture.safetensors"
        for name, scale in {"fitted": 1, "double": 2, "half": 0.5}.items():
            output = str(self.output / f"{name}.png")
            seconds[name] = gainer("render", "--load-config", str(config), "--output", output, "--scale", str(scale))
        seconds["export"] = gainer(
            "export", "--load-config", str(config), "--format=safetensors", "--bits=8", "--output", str(stored)
        )
        source, picture = read_picture(original), loaded(config)
        write_picture(self.output / "detail.png", detail(source, picture), profile=source.profile)
        error = error_map(picture.raster()[0].cpu().numpy(), source.colours(), mask=visible(source))
        write_picture(self.output / "error_map.png", error)
        metrics = {
            "width": source.width,
            "height": source.height,
            "gaussians": len(picture.gaussians),
            "fitted": quality(picture, source),
            "stored_8_bits": quality(loaded(stored), source),
            "bytes": {path.name: path.stat().st_size for path in (original, stored)},
            "seconds": {name: round(taken, 2) for name, taken in seconds.items()},
        }
        with whole_file(self.output / "metrics.json") as file:
            file.write((json.dumps(metrics, indent=2) + "\n").encode())
        self._report(metrics)

    def _report(self, metrics: dict[str, Any]) -> None:
        fitted, stored, seconds = metrics["fitted"], metrics["stored_8_bits"], metrics["seconds"]
        say(
            f"{metrics['gaussians']:,} Gaussians, {fitted['psnr']:.2f} dB, {fitted['exact_share']:.2%} of the pixels "
            f"exact in 8 bits, after {seconds['ns_train']:.0f} s with the start of ns-train. Stored in "
            f"{metrics['bytes']['picture.safetensors']:,} bytes: {stored['psnr']:.2f} dB."
        )
        for name, what in FILES.items():
            say(f"  {self.output / name}: {what}")


def write_original(image: Path | None, path: Path) -> None:
    """Writes the picture to fit as a PNG, sample by sample.

    Args:
        image: A picture file; None for the one that comes with scikit-image.
        path: Where to.

    Raises:
        GainerError: If there is no such picture.
    """
    if image is None:
        try:
            from skimage import data
        except ImportError as error:
            raise GainerError("the demo's photograph needs scikit-image: install it, or name an --image") from error
        write_picture(path, np.divide(data.astronaut(), 255, dtype=np.float32))  # by NASA, in the public domain
        return
    picture = read_picture(image)
    opacity = None if picture.alpha is None else picture.opacity()
    write_picture(path, picture.colours(), opacity, bit_depth=picture.bit_depth, profile=picture.profile)


def fit(image: Path, config: Path) -> float:
    """Fits a picture by ns-train, in a process of its own.

    Args:
        image: The picture file.
        config: Where ns-train is to leave the run's config.yml; an earlier run there is removed.

    Returns:
        Seconds, with the start of the program.

    Raises:
        GainerError: If ns-train fails.
    """
    folder, method, timestamp = config.parents[3], config.parent.parent.name, config.parent.name
    shutil.rmtree(config.parent, ignore_errors=True)
    words = [method, "--data", str(image), "--vis", "tensorboard", "--output-dir", str(folder)]
    words += ["--timestamp", timestamp]
    say(f"$ ns-train {' '.join(words)}")
    started = time.monotonic()
    status = subprocess.run([sys.executable, "-W", "ignore", "-m", "nerfstudio.scripts.train", *words]).returncode
    if status != 0 or not config.is_file():
        raise GainerError(f"ns-train ended with status {status}; its messages above say why")
    return time.monotonic() - started


def gainer(*words: str) -> float:
    """Runs the ``gainer`` command inside this process, and returns the seconds that took."""
    say(f"$ gainer {' '.join(words)}")
    started = time.monotonic()
    entrypoint(words)
    return time.monotonic() - started


def loaded(path: Path) -> BakedPicture:
    """A fitted picture."""
    from gainer_ns.image.loading import load_baked  # here: it takes seconds to import, and warns of old torch calls

    return load_baked(path)


def say(text: str) -> None:
    """Prints a line as it is, without styles and line breaks."""
    CONSOLE.print(text, markup=False, highlight=False, soft_wrap=True)


def visible(source: SourceImage) -> np.ndarray | None:
    """The pixels [height, width] that are fitted; None for all."""
    return None if source.alpha is None else source.alpha > 0


def quality(picture: BakedPicture, source: SourceImage) -> dict[str, float | str | None]:
    """How well a picture is met at its own pixels, by the names of ``PictureMetrics``; JSON has no infinity: "inf"."""
    measured = compare(picture.raster()[0].cpu().numpy(), source.colours(), visible(source))._asdict()
    return {name: "inf" if value == math.inf else value for name, value in measured.items()}


def detail(source: SourceImage, picture: BakedPicture) -> Colours:
    """A busy detail, enlarged by the fit and by Pillow, side by side on white."""
    flat = source.colours() * source.opacity()[..., None] + 1 - source.opacity()[..., None]
    x, y = busiest(flat, DETAIL_SIDE)
    crop = x, y, min(x + DETAIL_SIDE, source.width), min(y + DETAIL_SIDE, source.height)
    rgb, alpha = (part.cpu().numpy() for part in picture.raster(DETAIL_SCALE, crop))
    return side_by_side([rgb * alpha + 1 - alpha, bicubic(flat, DETAIL_SCALE, crop)])


def busiest(colours: Colours, side: int) -> tuple[int, int]:
    """Left and top of the square, of those a quarter of a side apart, whose neighbouring pixels differ most."""
    busy = np.abs(np.diff(colours, axis=0))[:, :-1].sum(-1) + np.abs(np.diff(colours, axis=1))[:-1].sum(-1)
    height, width = colours.shape[:2]
    step = side // 4
    corners = [(x, y) for y in range(0, max(1, height - side), step) for x in range(0, max(1, width - side), step)]
    return max(corners, key=lambda corner: busy[corner[1] :, corner[0] :][:side, :side].sum())


def bicubic(colours: Colours, scale: int, crop: tuple[int, int, int, int]) -> Colours:
    """A crop (x0, y0, x1, y1 in pixels) enlarged by Pillow, which reads beyond its edges as the fit does."""
    size = (crop[2] - crop[0]) * scale, (crop[3] - crop[1]) * scale
    channels = [Image.fromarray(channel) for channel in np.moveaxis(colours, -1, 0)]
    enlarged = [channel.resize(size, Image.Resampling.BICUBIC, box=crop) for channel in channels]
    return np.stack([np.asarray(channel) for channel in enlarged], axis=-1)


def side_by_side(pictures: Sequence[Colours]) -> Colours:
    """Pictures of one height from left to right, with white gaps."""
    gap = np.ones((pictures[0].shape[0], GAP, 3), np.float32)
    return np.concatenate([part for picture in pictures for part in (gap, picture)][1:], axis=1)


if __name__ == "__main__":
    run_program(lambda: parsed(Demo, prog="python -m gainer_bench.demo").run())
