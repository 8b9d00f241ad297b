"""Compare files of gainer-compact with those of codecs at the same PSNR, of crops of photos and of cut-outs.

    python benchmarks/compact_files.py PICTURE... [--crop 256]

Pictures without alpha are cropped about their middle; with 0 they are not. A line for each: Gaussians, processor
seconds of the fit, dB of the premultiplied colours in what shows as fitted and as read back, dB of alpha and the most
of it farther than 2 px outside, then sizes: of the file, of codecs without loss, and of the smallest lossy ones as
good. JPEG XL takes imagecodecs.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image
from scipy import ndimage

import gainer_ns as gn
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.picture_files import save_picture

LOSSY: dict[str, tuple[Iterable[float], dict]] = {
    "AVIF": (range(40, 101, 4), {"subsampling": "4:4:4", "speed": 6}),
    "WEBP": (range(40, 101, 4), {"method": 4}),
    "JPEG": (range(40, 101, 2), {"subsampling": 0, "optimize": True}),
}
DISTANCES = 3, 2, 1.5, 1, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05
"""Of JPEG XL, from the smallest files on."""


def decibels(one: np.ndarray, two: np.ndarray, where: np.ndarray | slice = slice(None)) -> float:
    """Return the PSNR of 8-bit samples."""
    error = (one.astype(np.float64) - two)[where]
    return float(-10 * np.log10(max((error**2).mean() / 255**2, 1e-12)))


def premultiplied(pixels: np.ndarray) -> np.ndarray:
    """Return colours as they count where they show."""
    return pixels[..., :3] * (pixels[..., 3:] / 255) if pixels.shape[2] == 4 else pixels


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return a picture file's bytes."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def smallest(image: Image.Image, kind: str, good: Callable[[np.ndarray], bool]) -> int | None:
    """Return the size of a codec's smallest file that is good enough; None where none is."""
    if kind == "JXL":
        import imagecodecs  # pyright: ignore[reportMissingImports]

        for distance in DISTANCES:
            data = imagecodecs.jpegxl_encode(np.asarray(image), distance=distance)
            if good(imagecodecs.jpegxl_decode(data)):
                return len(data)
        return None
    qualities, options = LOSSY[kind]
    for quality in qualities:
        data = encoded(image, kind, quality=quality, **options)
        if good(np.asarray(Image.open(io.BytesIO(data)).convert(image.mode))):
            return len(data)
    return None


def compared(path: Path, crop: int) -> str:
    """Return the line of a picture."""
    image = Image.open(path)
    image = image.convert("RGBA" if "A" in image.getbands() else "RGB")
    if image.mode == "RGB" and crop:
        left, top = (image.width - crop) // 2, (image.height - crop) // 2
        image = image.crop((left, top, left + crop, top + crop))
    source = np.asarray(image).copy()
    shown = source[..., -1] > 0 if image.mode == "RGBA" else np.ones(source.shape[:2], bool)
    source[~shown] = 0

    def quality(found: np.ndarray) -> float:
        return decibels(premultiplied(found), premultiplied(source), shown)

    began = time.process_time()
    picture = gn.fit(np.asarray(image), method="gainer-compact")
    seconds = time.process_time() - began
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "picture.safetensors"
        save_picture(cast(BakedPicture, picture._drawn), stored, 8)
        size, drawn = stored.stat().st_size, gn.load(stored).render()
    found = quality(drawn)
    words = [path.stem, f"{len(picture.gaussians)} Gaussians", f"{seconds:.1f} s"]
    words += [f"{quality(picture.render()):.2f} dB", f"{found:.2f} read back"]
    words += [f"{size / len(picture.gaussians):.2f} bytes a Gaussian"]
    if image.mode == "RGBA":
        outside = np.asarray(ndimage.distance_transform_edt(~shown)) > 2
        words += [f"alpha {decibels(drawn[..., 3], source[..., 3]):.0f} dB, {drawn[outside, 3].max(initial=0)} outside"]
    sizes: dict[str, int | None] = {"gainer-compact": size}
    image = Image.fromarray(source)
    sizes["PNG"] = len(encoded(image, "PNG", optimize=True))
    sizes["WebP lossless"] = len(encoded(image, "WEBP", lossless=True, method=4))
    for kind in ("AVIF", "JXL", "WEBP", "JPEG"):
        if kind == "JPEG" and image.mode == "RGBA":
            continue
        try:
            sizes[kind] = smallest(image, kind, lambda read: quality(read) >= found)
        except ImportError:
            continue
    of_codecs = [f"{name} {'none' if count is None else f'{count / 1000:.0f} kB'}" for name, count in sizes.items()]
    return ", ".join(words + of_codecs)


def main() -> None:
    """Print a line for each picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--crop", type=int, default=256)
    arguments = parser.parse_args()
    for path in arguments.pictures:
        print(compared(path, arguments.crop), flush=True)


if __name__ == "__main__":
    main()
