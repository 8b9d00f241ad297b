"""A picture fitted, drawn, exported and measured by the commands a user has: ``python -m gainer_bench demo``.

Everything lands in one folder. Running it again overwrites what it wrote.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from gainer_bench.outputs import json_text, print_plain, write_text
from gainer_bench.sheets import Tile, tile_sheet
from gainer_bench.sources import resized, visible
from gainer_ns.cli.main import entrypoint
from gainer_ns.error_maps import error_map
from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import SourceImage, read_picture
from gainer_ns.io.image_writing import write_picture
from gainer_ns.io.samples import integer_samples
from gainer_ns.metrics import compare
from gainer_ns.rendering.plane import BakedPicture

DETAIL_PX = 96
"""Width and height of the enlarged detail, in source pixels."""
DETAIL_SCALE = 4
"""How much the detail is enlarged."""
FILES = {
    "original.png": "the picture that is fitted",
    "fitted.png": "the fit, pixel by pixel",
    "double.png": "the fit at twice the size",
    "half.png": "the fit at half the size",
    "detail.png": f"a detail at {DETAIL_SCALE} times the size: the fit, and bicubic interpolation by Pillow",
    "error_map.png": "where the fit is wrong, contrast as in the paper: grey is 1e-5 to 1e-4",
    "picture.safetensors": "the whole fit; gainer commands take it as --load-config",
    "metrics.json": "quality, seconds, bytes",
    "outputs": "the run of ns-train",
}
"""What is in the folder afterwards."""


@dataclass
class Demo:
    """Fit a small picture, draw it at several sizes, export it and measure the result."""

    output: Path = Path("demo")
    """Folder for everything."""
    image: Path | None = None
    """The picture to fit; a photograph of 512 x 512 pixels that comes with scikit-image when not given."""

    def run(self) -> None:
        """Do all of it, and say where everything is."""
        original, config = self.output / "original.png", self.output / "outputs" / "original/gainer/demo/config.yml"
        write_original(self.image, original)
        seconds = {"ns_train": train(original, config)}
        stored = self.output / "picture.safetensors"
        run = "--load-config", str(config)
        for name, scale in {"fitted": "1", "double": "2", "half": "0.5"}.items():
            seconds[name] = timed("render", *run, "--output", str(self.output / f"{name}.png"), "--scale", scale)
        seconds["export"] = timed("export", *run, "--format=safetensors", "--output", str(stored))
        source, picture = read_picture(original), loaded(config)
        write_picture(self.output / "detail.png", detail(source, picture), profile=source.profile)
        error = error_map(picture.raster()[0].cpu().numpy(), source.colours(), mask=visible(source))
        write_picture(self.output / "error_map.png", error)
        metrics = {
            "width": source.width,
            "height": source.height,
            "gaussians": len(picture.gaussians),
            "fitted": quality(picture, source),
            "stored": quality(loaded(stored), source),
            "bytes": {path.name: path.stat().st_size for path in (original, stored)},
            "seconds": {name: round(taken, 2) for name, taken in seconds.items()},
        }
        write_text(self.output / "metrics.json", json_text(metrics, indent=2))
        fitted = metrics["fitted"]
        print_plain(
            f"{metrics['gaussians']:,} Gaussians, {fitted['psnr']:.2f} dB, {fitted['exact_share']:.2%} of the pixels "
            f"exact in 8 bits, after {seconds['ns_train']:.0f} s with the start of ns-train. Stored in "
            f"{metrics['bytes'][stored.name]:,} bytes: {metrics['stored']['psnr']:.2f} dB."
        )
        for name, what in FILES.items():
            print_plain(f"  {self.output / name}: {what}")


def photograph() -> UInt8[np.ndarray, "512 512 3"]:
    """Return a portrait by NASA, in the public domain, that comes with scikit-image."""
    from skimage import data

    return data.astronaut()


def write_original(image: Path | None, path: Path) -> None:
    """Write the picture to fit as a PNG, sample by sample.

    Args:
        image: A picture file; None for the one that comes with scikit-image.
        path: Where to.

    Raises:
        GainerError: If there is no such picture.
    """
    if image is None:
        write_picture(path, np.divide(photograph(), 255, dtype=np.float32))
        return
    picture = read_picture(image)
    opacity = None if picture.alpha is None else picture.opacity()
    write_picture(path, picture.colours(), opacity, bit_depth=picture.bit_depth, profile=picture.profile)


def train(image: Path, config: Path) -> float:
    """Fit a picture by ns-train, in a process of its own, and return the seconds with the start of the program.

    Args:
        image: The picture file.
        config: Where ns-train is to leave the run's config.yml; an earlier run there is removed.

    Raises:
        GainerError: If ns-train fails.
    """
    folder, method, timestamp = config.parents[3], config.parent.parent.name, config.parent.name
    shutil.rmtree(config.parent, ignore_errors=True)
    words = [method, "--data", str(image), "--vis", "tensorboard", "--output-dir", str(folder)]
    words += ["--timestamp", timestamp]
    print_plain(f"$ ns-train {' '.join(words)}")
    started = time.monotonic()
    status = subprocess.run([sys.executable, "-W", "ignore", "-m", "nerfstudio.scripts.train", *words]).returncode
    if status != 0 or not config.is_file():
        raise GainerError(f"ns-train ended with status {status}; its messages above say why")
    return time.monotonic() - started


def timed(*words: str) -> float:
    """Run the ``gainer`` command inside this process, and return the seconds that took."""
    print_plain(f"$ gainer {' '.join(words)}")
    started = time.monotonic()
    entrypoint(words)
    return time.monotonic() - started


def loaded(path: Path) -> BakedPicture:
    """Load a fitted picture."""
    from gainer_ns.image.loading import load_baked  # here: it takes seconds to import, and warns of old torch calls

    return load_baked(path)


def quality(picture: BakedPicture, source: SourceImage) -> dict[str, Any]:
    """Return how well a picture is met at its own pixels, by the names of ``PictureMetrics``."""
    return compare(picture.raster()[0].cpu().numpy(), source.colours(), visible(source))._asdict()


def detail(source: SourceImage, picture: BakedPicture) -> Float[np.ndarray, "h w 3"]:
    """Draw a busy detail, enlarged by the fit and by Pillow, side by side on white."""
    flat = source.colours() * source.opacity()[..., None] + 1 - source.opacity()[..., None]
    x, y = busiest(flat, DETAIL_PX)
    crop = x, y, min(x + DETAIL_PX, source.width), min(y + DETAIL_PX, source.height)
    rgb, alpha = (part.cpu().numpy() for part in picture.raster(DETAIL_SCALE, crop))
    pair = rgb * alpha + 1 - alpha, resized(flat, crop, (rgb.shape[1], rgb.shape[0]))
    return np.asarray(tile_sheet([Tile("", [integer_samples(one, None, 8)]) for one in pair], 2), np.float32) / 255


def busiest(colours: Float[np.ndarray, "h w 3"], side: int) -> tuple[int, int]:
    """Return left and top of the square, of those a quarter of a side apart, whose neighbouring pixels differ most."""
    busy = np.abs(np.diff(colours, axis=0))[:, :-1].sum(-1) + np.abs(np.diff(colours, axis=1))[:-1].sum(-1)
    height, width = colours.shape[:2]
    step = side // 4
    corners = [(x, y) for y in range(0, max(1, height - side), step) for x in range(0, max(1, width - side), step)]
    return max(corners, key=lambda corner: busy[corner[1] :, corner[0] :][:side, :side].sum())
