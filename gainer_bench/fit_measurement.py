"""Everything that a report says about a fitted picture."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from gainer_bench.fits import Fit, cropped, fitted, method_config
from gainer_bench.stored_pictures import parameters, stored_bits, stored_picture
from gainer_ns.errors import GainerError
from gainer_ns.image.datamanager import PictureDataManagerConfig
from gainer_ns.image.model import GainerModelConfig
from gainer_ns.image.trainer import PictureTrainerConfig
from gainer_ns.io.image_io import SourceImage, read_picture
from gainer_ns.rendering.drawable import Drawable
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.picture_files import Bits

BORDER = 6
"""Width in px of the frame that off-grid comparisons leave out."""
RENDERINGS, RENDERING_SECONDS = 5, 3.0
"""How often a rendering is timed, unless that takes longer than so many seconds; the median counts."""
MODEL_OPTIONS = ("gaussians_per_pixel", "num_gaussians", "feature_dim", "hidden_layers", "adam_steps", "finish_steps")
MODEL_OPTIONS += ("target_psnr", "seed")
"""Overrides that are fields of the model's configuration."""


def measure(image: Path, method: str, options: Mapping[str, Any], output: Path, *, began: float) -> dict[str, Any]:
    """Fits a picture and measures the fit.

    Args:
        image: The picture file.
        method: Name of a registered 2D method.
        options: What differs from the method's recipe: any of ``MODEL_OPTIONS``, ``max_num_iterations``, ``crop`` as
            (x0, y0, x1, y1) in pixels, ``super_resolution``.
        output: Folder for runs and crops.
        began: When work on this picture began, in seconds since the epoch.

    Returns:
        Numbers by name, nested, some of them None where they are not defined for the picture. PSNR in dB, times in
        seconds, memory in MiB.

    Raises:
        GainerError: If the picture or the options cannot be used.
    """
    data = image if "crop" not in options else cropped(image, options["crop"], output / "crops")
    source = read_picture(data)
    fit = fitted(fit_config(method, options, data, output), began=began)
    large = source.alpha is None and source.width % 2 == source.height % 2 == 0
    return {
        **measured(fit, source),
        "super_resolution": _super_resolution(source, method, options, output)
        if options.get("super_resolution") and large
        else None,
        "config": fit.config.relative_to(output.absolute()).as_posix(),
    }


def measured(
    fit: Fit, source: SourceImage, extras: Collection[str] = ("stored", "off_grid", "speed")
) -> dict[str, Any]:
    """What is measured of any fitted picture: quality and times, and what else is wanted.

    Args:
        fit: The fitted picture.
        source: What it was fitted to.
        extras: Any of stored (files of fewer bits), off_grid (between the pixels; opaque pictures), speed (of drawing)
            and edits (of Gaussians).
    """
    picture = fit.model.fitted()
    found = {
        "width": source.width,
        "height": source.height,
        "device": str(fit.model.device),
        "gaussians": len(picture.gaussians) if isinstance(picture, BakedPicture) else None,
        "parameters": parameters(picture),
        **_quality(fit, source),
        **fit.facts,
    }
    if "stored" in extras:
        found["stored"] = {str(bits): _stored(picture, source, bits) for bits in stored_bits(picture)}
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


def _edits(picture: Drawable, source: SourceImage) -> dict[str, float] | None:
    """PSNR of known edits, in dB; None where nothing can be moved."""
    from gainer_bench.edit_quality import can_be_edited, edit_quality

    if not can_be_edited(picture):
        return None
    opacity = None if source.alpha is None else source.opacity()
    return {name: score.psnr for name, score in edit_quality(picture, source.colours(), opacity).items()}


def fit_config(method: str, options: Mapping[str, Any], data: Path, output: Path) -> PictureTrainerConfig:
    """The registered method's configuration for one picture, with overrides.

    Schedules and the length of the loop follow a changed number of Adam steps, unless the options say otherwise.

    Args:
        method: Name of a registered method of Gaussians.
        options: See :func:`measure`.
        data: The picture file.
        output: Runs are written to its folder ``outputs``.

    Raises:
        GainerError: If the method is not known, or an option does not apply to it.
    """
    config = method_config(method, data, output)
    model = config.pipeline.model
    if not isinstance(model, GainerModelConfig):
        raise GainerError(f"--method {method}: has no Gaussians of ours; gainer bench compares it")
    if "feature_dim" in options and model.encoding.features == "hash-grid":
        raise GainerError(f"--feature-dim does not apply to {method}, whose hash grid has its own; leave it out")
    if "gaussians_per_pixel" in options:
        model.num_gaussians = None  # it would win over the density
    for name in MODEL_OPTIONS:
        if name in options:
            setattr(model, name, options[name])
    config.max_num_iterations = options.get("max_num_iterations", config.max_num_iterations)
    config.machine.seed = options.get("seed", config.machine.seed)
    return config


def _quality(fit: Fit, source: SourceImage) -> dict[str, float | None]:
    """PSNR and the like of the rendered picture."""
    from gainer_ns.metrics import compare

    return compare(fit.rendered, source.colours(), _mask(source))._asdict()


def _stored(picture: Drawable, source: SourceImage, bits: Bits) -> dict[str, float | None]:
    """Size of the file that holds the picture, and the quality of what is read back from it."""
    from gainer_ns.metrics import compare

    size, loaded = stored_picture(picture, bits)
    found = compare(loaded.raster()[0].cpu(), source.colours(), _mask(source))
    return {"bytes": size, "psnr": found.psnr, "ms_ssim": found.ms_ssim, "exact_share": found.exact_share}


def _mask(source: SourceImage) -> np.ndarray | None:
    return None if source.alpha is None else source.alpha > 0


def _off_grid(picture: Drawable, colours: Float[np.ndarray, "h w 3"]) -> dict[str, dict[str, float]]:
    """PSNR of edits against the spline of the source: of the fit, and of plain interpolation of the source."""
    from gainer_bench.off_grid import off_grid_psnr

    if min(colours.shape[:2]) <= 2 * BORDER:
        return {}
    device = picture.device

    def fit(points: np.ndarray) -> np.ndarray:
        return picture.at_pixels(torch.from_numpy(points).to(device)).rgb.cpu().numpy()

    samplers = {
        "off_grid": fit,
        "off_grid_bicubic": interpolation(colours, "bicubic"),
        "off_grid_bilinear": interpolation(colours, "bilinear"),
    }
    return {name: off_grid_psnr(sample, colours, border=BORDER) for name, sample in samplers.items()}


def interpolation(
    colours: Float[np.ndarray, "h w c"], mode: str
) -> Callable[[Float[np.ndarray, "m 2"]], Float[np.ndarray, "m c"]]:
    """A picture read by torch's ``grid_sample`` at source coordinates in px (pixel centres at .5).

    Args:
        colours: The picture.
        mode: "bicubic" (Keys' kernel with a = -0.75) or "bilinear".
    """
    height, width = colours.shape[:2]
    source = torch.from_numpy(np.asarray(colours, dtype=np.float64)).permute(2, 0, 1)[None]
    size = torch.tensor([width, height], dtype=torch.float64)

    def sample(points: np.ndarray) -> np.ndarray:
        grid = (torch.from_numpy(points).double() / size * 2 - 1)[None, None]
        read = torch.nn.functional.grid_sample(source, grid, mode=mode, padding_mode="border", align_corners=False)
        return read[0, :, 0].T.numpy()

    return sample


def _render_seconds(picture: Callable[[], Drawable]) -> float:
    """Median time of a rendering at the picture's own size."""
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


def _super_resolution(source: SourceImage, method: str, options: Mapping[str, Any], output: Path) -> dict[str, Any]:
    """Fits the picture at half its size, draws that at full size, and compares with the picture."""
    from gainer_ns.metrics import psnr

    config = fit_config(method, options, source.path, output)
    cast(PictureDataManagerConfig, config.pipeline.datamanager).dataparser.downscale_factor = 2
    config.experiment_name = f"{source.path.stem}-half"
    fit = fitted(config, began=time.time())
    enlarged = _enlarged(read_picture(source.path, downscale_factor=2).colours(), source.width, source.height)
    target = torch.from_numpy(source.colours())
    return {
        "psnr": psnr(fit.model.fitted().raster(2.0)[0].cpu(), target),
        "psnr_bicubic": psnr(enlarged.clamp(0, 1), target),
        "config": fit.config.relative_to(output.absolute()).as_posix(),
    }


def _enlarged(colours: Float[np.ndarray, "h w c"], width: int, height: int) -> Float[Tensor, "h2 w2 c"]:
    """Pillow's bicubic enlargement, of floats, so that nothing is rounded."""
    channels = [Image.fromarray(channel) for channel in np.moveaxis(colours, -1, 0)]
    resized = [np.asarray(channel.resize((width, height), Image.Resampling.BICUBIC)) for channel in channels]
    return torch.from_numpy(np.stack(resized, axis=-1))
