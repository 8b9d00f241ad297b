"""The pictures that runs were fitted to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from nerfstudio.utils.rich_utils import CONSOLE
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.image.loading import load_baked
from gainer_ns.image.run_file import RunFile
from gainer_ns.io.image_io import SourceImage, read_picture
from gainer_ns.io.outputs import is_exported
from gainer_ns.rendering.plane import BakedPicture


def fitted_pictures(configs: Sequence[Path], source: Path | None) -> Iterator[tuple[Path, BakedPicture, SourceImage]]:
    """Load runs one after the other, each with the picture that it was fitted to.

    Args:
        configs: The config.yml of each run, or .safetensors files of ``gainer export``.
        source: The picture that was fitted, for one run; None for those that the runs name.

    Raises:
        GainerError: If no run is named, one cannot be loaded, or its picture is not found.
    """
    if not configs:
        raise GainerError("no run is named; give one or more config.yml")
    if source is not None and len(configs) > 1:
        raise GainerError(f"{source}: one source for {len(configs)} runs; measure them one by one")
    for config in configs:
        picture, original = load_baked(config), fitted_source(config, source)
        CONSOLE.log(f"{original.path.name} ({config})", markup=False)
        yield config, picture, original


def fitted_source(path: Path, source: Path | None = None) -> SourceImage:
    """Read the picture that a run was fitted to, reduced as it was.

    Args:
        path: The run's config.yml, which :func:`gainer_ns.image.loading.load_baked` could load.
        source: The picture file; None for the one that the run names.

    Raises:
        GainerError: If the run names none, or it is no longer there.
    """
    remedy = "name the picture that was fitted by --source"
    if is_exported(path):
        if source is None:
            raise GainerError(f"{path}: does not say what it was fitted to; {remedy}")
        return read_picture(source)
    run, manager = RunFile(path), ("pipeline", "datamanager")
    named = source or run.file_path(*manager, "data") or run.file_path(*manager, "dataparser", "data") or Path()
    if not named.is_file():
        raise GainerError(f"{path}: the picture that it was fitted to, {named}, is not there; {remedy}")
    factor = run.value(*manager, "dataparser", "downscale_factor", of=int | None)
    return read_picture(named, downscale_factor=factor or 1)


def visible(source: SourceImage) -> Bool[np.ndarray, "h w"] | None:
    """Return the pixels that are fitted and compared; None for all."""
    return None if source.alpha is None else source.alpha > 0


def resized(
    colours: Float[np.ndarray, "h w c"],
    crop: tuple[int, int, int, int],
    size: tuple[int, int],
    kernel: Image.Resampling = Image.Resampling.BICUBIC,
) -> Float[np.ndarray, "h2 w2 c"]:
    """Enlarge a crop (x0, y0, x1, y1) of floats to a width and height by Pillow, which reads beyond its edges."""
    channels = [Image.fromarray(channel) for channel in np.moveaxis(colours, -1, 0)]
    enlarged = [channel.resize(size, kernel, box=crop) for channel in channels]
    return np.stack([np.asarray(channel) for channel in enlarged], axis=-1)
