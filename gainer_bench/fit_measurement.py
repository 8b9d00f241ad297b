"""Everything that a benchmark says about a fitted picture."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Collection
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor

from gainer_bench.baselines.model import FunctionPicture
from gainer_bench.between_pixels import BORDER_PX, can_be_edited, edit_quality, off_grid_psnr
from gainer_bench.fits import Fit
from gainer_bench.sources import visible
from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import SourceImage
from gainer_ns.metrics import compare
from gainer_ns.rendering.drawable import Drawable
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.layers import layer_tensors
from gainer_ns.storage.picture_files import Bits, load_picture, picture_bytes

RENDERINGS, RENDERING_SECONDS = 5, 3.0
"""How often a rendering is timed, unless that takes longer than so many seconds; the median counts."""


def measured(
    fit: Fit, source: SourceImage, extras: Collection[str] = ("stored", "off_grid", "speed")
) -> dict[str, Any]:
    """Measure a fitted picture: quality and times, and what else is wanted.

    Args:
        fit: The fitted picture.
        source: What it was fitted to.
        extras: Any of stored (files of fewer bits), off_grid (between the pixels; opaque pictures), speed (of drawing)
            and edits (of Gaussians).

    Returns:
        Numbers by name, nested, some of them None where they are not defined for the picture. PSNR in dB, times in
        seconds, memory in MiB.
    """
    picture = fit.model.fitted()
    found = {
        "width": source.width,
        "height": source.height,
        "device": str(fit.model.device),
        "gaussians": len(picture.gaussians) if isinstance(picture, BakedPicture) else None,
        "parameters": parameter_count(picture),
        **compare(fit.rendered, source.colours(), visible(source))._asdict(),
        **fit.facts,
    }
    if "stored" in extras:
        widths: tuple[Bits, ...] = get_args(Bits) if isinstance(picture, BakedPicture) else (32, 16)
        found["stored"] = {str(bits): _stored(picture, source, bits) for bits in widths}  # as papers do, or half floats
    if "off_grid" in extras and source.alpha is None:
        found |= _off_grid(picture, source.colours())
    if "speed" in extras:
        same = _render_seconds(lambda: picture)
        new = same
        if isinstance(picture, BakedPicture):  # others have no index over Gaussians that drawing would build first
            new = _render_seconds(lambda: picture.with_gaussians(picture.gaussians))
        found["render_seconds"] = {"new_index": new, "same_index": same}
    if "edits" in extras:
        found["edits"] = _edits(picture, source)
    return found


def parameter_count(picture: Drawable) -> int:
    """Return how many numbers describe a picture: of Gaussians, those that the size of a lattice does not tell."""
    if isinstance(picture, FunctionPicture):
        return sum(_real(value).numel() for value in picture.function.state_dict().values())
    if not isinstance(picture, BakedPicture):
        raise GainerError(f"{type(picture).__name__}: nobody knows what describes it")
    decoders = {id(layer.decoder): layer.decoder.state_dict() for layer in picture.rest_layers}
    of_layers = [layer_tensors(layer, picture, 32, layer.decoder)[1] for layer in picture.rest_layers]
    return sum(value.numel() for part in (*decoders.values(), *of_layers) for value in part.values())


def stored_picture(picture: Drawable, bits: Bits) -> tuple[int, Drawable]:
    """Return the size in bytes of a picture's file of so many bits a number, and the picture that is read from it.

    Raises:
        GainerError: If it is of another kind, or so many bits cannot hold it.
    """
    if isinstance(picture, BakedPicture):
        data = picture_bytes(picture, bits)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "picture.safetensors"
            path.write_bytes(data)
            return len(data), load_picture(path).to(picture.device)
    if not isinstance(picture, FunctionPicture):
        raise GainerError(f"{type(picture).__name__}: there is no file format for it")
    function, kept = deepcopy(picture.function), dict[str, Tensor]()
    for name, value in function.state_dict().items():
        number = _real(value)
        kept[name] = (_halved(number) if bits == 16 else number.clone()).contiguous().cpu()
        number.copy_(kept[name])
    return len(save(kept)), replace(picture, function=function)


def _real(value: Tensor) -> Tensor:
    """Return the same numbers; complex ones as pairs."""
    return torch.view_as_real(value) if value.is_complex() else value


def _halved(value: Tensor) -> Tensor:
    """Return the same as half floats, if those can hold it."""
    fits = value.is_floating_point() and value.numel() > 0 and float(value.abs().max()) < torch.finfo(torch.half).max
    return value.half() if fits else value


def _stored(picture: Drawable, source: SourceImage, bits: Bits) -> dict[str, float | None]:
    """Measure the file that holds the picture, and the quality of what is read back from it."""
    size, loaded = stored_picture(picture, bits)
    found = compare(loaded.raster()[0].cpu(), source.colours(), visible(source))
    return {"bytes": size, "psnr": found.psnr, "ms_ssim": found.ms_ssim, "exact_share": found.exact_share}


def _edits(picture: Drawable, source: SourceImage) -> dict[str, float] | None:
    """Return the PSNR of known edits, in dB; None where nothing can be moved."""
    if not can_be_edited(picture):
        return None
    opacity = None if source.alpha is None else source.opacity()
    return edit_quality(picture, source.colours(), opacity)


def _off_grid(picture: Drawable, colours: Float[np.ndarray, "h w 3"]) -> dict[str, dict[str, float]]:
    """Return the PSNR against the spline of the source: of the fit, and of plain interpolation of the source."""
    if min(colours.shape[:2]) <= 2 * BORDER_PX:
        return {}

    def fitted(points: np.ndarray) -> np.ndarray:
        return picture.at_pixels(torch.from_numpy(points).to(picture.device)).rgb.cpu().numpy()

    samplers = {
        "off_grid": fitted,
        "off_grid_bicubic": interpolation(colours, "bicubic"),
        "off_grid_bilinear": interpolation(colours, "bilinear"),
    }
    return {name: off_grid_psnr(sample, colours) for name, sample in samplers.items()}


def interpolation(
    colours: Float[np.ndarray, "h w c"], mode: str
) -> Callable[[Float[np.ndarray, "m 2"]], Float[np.ndarray, "m c"]]:
    """Return a picture as a function of coordinates in px (pixel centres at .5), read by torch's ``grid_sample``.

    Args:
        colours: The picture.
        mode: "bicubic" (Keys' kernel with a = -0.75) or "bilinear".
    """
    source = torch.from_numpy(np.asarray(colours, dtype=np.float64)).permute(2, 0, 1)[None]
    size = torch.tensor(colours.shape[1::-1], dtype=torch.float64)

    def sample(points: np.ndarray) -> np.ndarray:
        grid = (torch.from_numpy(points).double() / size * 2 - 1)[None, None]
        read = torch.nn.functional.grid_sample(source, grid, mode=mode, padding_mode="border", align_corners=False)
        return read[0, :, 0].T.numpy()

    return sample


def _render_seconds(picture: Callable[[], Drawable]) -> float:
    """Return the median time of a rendering at the picture's own size."""
    seconds = []
    for _ in range(RENDERINGS):
        shown = picture()
        _wait_for_device()
        started = time.perf_counter()
        shown.raster()
        _wait_for_device()
        seconds.append(time.perf_counter() - started)
        if sum(seconds) > RENDERING_SECONDS:
            break
    return statistics.median(seconds)


def _wait_for_device() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
