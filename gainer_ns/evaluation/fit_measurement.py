"""One picture fitted through nerfstudio's own trainer, and everything that a report says about the fit."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

import nerfstudio.scripts.train  # noqa: F401 (what ns-train imports, so that both take the same time to start)
import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.engine.trainer import Trainer
from nerfstudio.plugins.types import MethodSpecification
from nerfstudio.utils import profiler, writer
from PIL import Image
from torch import Tensor

from gainer_ns import methods
from gainer_ns.errors import GainerError
from gainer_ns.image.datamanager import PictureDataManagerConfig
from gainer_ns.image.image_io import Picture, read_picture, write_picture
from gainer_ns.image.model import GainerModel, GainerModelConfig
from gainer_ns.image.trainer import PictureTrainerConfig
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.storage import Bits, load_picture, picture_bytes

THRESHOLDS = (40, 50, 60, 77)
"""PSNR in dB whose first time is reported; 77 is what the paper reaches."""
BORDER = 6
"""Width in px of the frame that off-grid comparisons leave out."""
RENDERINGS = 5
"""How often a rendering is timed; the median counts."""
MODEL_OPTIONS = ("gaussians_per_pixel", "num_gaussians", "feature_dim", "hidden_layers", "adam_steps", "finish_steps")
MODEL_OPTIONS += ("target_psnr", "seed")
"""Overrides that are fields of the model's configuration."""


class Fit(NamedTuple):
    """A picture that was fitted.

    Attributes:
        model: The fitted model.
        config: The run's config.yml.
        facts: What was measured while it was fitted, by the names of the report.
    """

    model: GainerModel
    config: Path
    facts: dict[str, Any]


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
    picture = fit.model.fitted()
    opaque = source.alpha is None
    return {
        "width": source.width,
        "height": source.height,
        "device": str(fit.model.device),
        "gaussians": len(picture.gaussians),
        **_quality(picture, source),
        **fit.facts,
        "stored": {str(bits): _stored(picture, source, bits) for bits in get_args(Bits)},
        **(_off_grid(picture, source.colours()) if opaque else {}),
        "render_seconds": {
            "new_index": _render_seconds(lambda: picture.with_gaussians(picture.gaussians)),
            "same_index": _render_seconds(lambda: picture),
        },
        "super_resolution": _super_resolution(source, method, options, output)
        if options.get("super_resolution") and opaque and source.width % 2 == source.height % 2 == 0
        else None,
        "config": fit.config.relative_to(output.absolute()).as_posix(),
    }


def cropped(image: Path, crop: tuple[int, int, int, int], folder: Path) -> Path:
    """Cuts a picture, keeping its bit depth and alpha, and writes the part to a PNG in a folder.

    Args:
        image: The picture file.
        crop: (x0, y0, x1, y1) in pixels, x1 and y1 exclusive.
        folder: Where to write; made if it does not exist.

    Raises:
        GainerError: If the crop is not a part of the picture.
    """
    picture = read_picture(image)
    x0, y0, x1, y1 = crop
    if not (0 <= x0 < x1 <= picture.width and 0 <= y0 < y1 <= picture.height):
        raise GainerError(
            f"{image}: --crop {x0} {y0} {x1} {y1} is no part of {picture.width} x {picture.height} pixels; "
            "give it as X0 Y0 X1 Y1 inside the picture"
        )
    part = slice(y0, y1), slice(x0, x1)
    path = folder / f"{image.stem}-{x0}-{y0}-{x1}-{y1}.png"
    opacity = None if picture.alpha is None else picture.opacity()[part]
    write_picture(path, picture.colours()[part], opacity, bit_depth=picture.bit_depth)
    return path


def fit_config(method: str, options: Mapping[str, Any], data: Path, output: Path) -> PictureTrainerConfig:
    """The registered method's configuration for one picture, with overrides.

    Schedules and the length of the loop follow a changed number of Adam steps, unless the options say otherwise.

    Args:
        method: Name of a registered 2D method.
        options: See :func:`measure`.
        data: The picture file.
        output: Runs are written to its folder ``outputs``.

    Raises:
        GainerError: If the method is not known, or an option does not apply to it.
    """
    found = [spec.config for spec in vars(methods).values() if isinstance(spec, MethodSpecification)]
    recipes = {
        str(recipe.method_name): recipe
        for recipe in found
        if isinstance(recipe, PictureTrainerConfig) and isinstance(recipe.pipeline.model, GainerModelConfig)
    }
    if method not in recipes:
        raise GainerError(f"--method {method}: there is no such 2D method; choose one of {', '.join(sorted(recipes))}")
    config = deepcopy(recipes[method])
    config.data = config.pipeline.datamanager.data = data
    config.output_dir = output / "outputs"
    config.vis = "tensorboard"
    config.timestamp = datetime.now().strftime("%Y-%m-%d_%H%M%S_%f")
    model = cast(GainerModelConfig, config.pipeline.model)
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


def fitted(config: PictureTrainerConfig, *, began: float) -> Fit:
    """Fits a picture as ns-train does, and keeps the run.

    Args:
        config: What to fit, and how.
        began: When work on this picture began, in seconds since the epoch.
    """
    writer.EVENT_WRITERS.clear()  # those of an earlier fit in this process would go on writing
    writer.EVENT_STORAGE.clear()
    profiler.PROFILER.clear()
    random.seed(config.machine.seed)
    np.random.seed(config.machine.seed)  # noqa: NPY002 (nerfstudio draws from the global generator)
    torch.manual_seed(config.machine.seed)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    config.save_config()
    trainer: Trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    saving = _time_spent_saving(trainer)
    start, started = time.time() - began, time.monotonic()
    trainer.train()
    seconds = time.monotonic() - started - sum(saving)
    model = cast(GainerModel, trainer.pipeline.model)
    account = model._fit
    assert account is not None
    model.eval()
    first = {dB: next((entry for entry in account.history if entry[2] >= dB), None) for dB in THRESHOLDS}
    facts = {
        "iterations": trainer.pipeline.datamanager.train_count,
        "seconds": {"start": start, **account.seconds, "fit": seconds},
        "reached": {
            str(dB): None if entry is None else {"iterations": entry[0] + 1, "seconds": entry[1]}
            for dB, entry in first.items()
        },
        "threads": torch.get_num_threads(),
        "peak_mib": peak_mib(),
        "gpu_peak_mib": torch.cuda.max_memory_allocated() / 2**20 if model.device.type == "cuda" else None,
    }
    return Fit(model, config.get_base_dir() / "config.yml", facts)


def peak_mib() -> float:
    """The most memory in MiB that this process ever held; on Linux without what its parent held before it began."""
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10
    except (OSError, StopIteration):
        import resource  # where there is no /proc, as on macOS, the unit is a byte

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _time_spent_saving(trainer: Trainer) -> list[float]:
    """Seconds of each checkpoint from now on: the list grows as they are written."""
    seconds: list[float] = []
    save = trainer.save_checkpoint

    def timed(step: int) -> None:
        started = time.monotonic()
        save(step)
        seconds.append(time.monotonic() - started)

    trainer.save_checkpoint = timed
    return seconds


def _quality(picture: BakedPicture, source: Picture) -> dict[str, float | None]:
    """PSNR and the like of the rendered picture."""
    from gainer_ns.evaluation.metrics import compare

    return compare(picture.raster()[0].cpu(), source.colours(), _mask(source))._asdict()


def _stored(picture: BakedPicture, source: Picture, bits: Bits) -> dict[str, float]:
    """Size of the file that holds the picture, and the quality of what is read back from it."""
    from gainer_ns.evaluation.metrics import exact_share, psnr

    data = picture_bytes(picture, bits)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.safetensors"
        path.write_bytes(data)
        loaded = load_picture(path).to(picture.device)
    rgb, target, mask = loaded.raster()[0].cpu(), source.colours(), _mask(source)
    quality = {"psnr": psnr(rgb, target, mask=mask), "exact_share": exact_share(rgb, target, mask=mask)}
    return {"bytes": len(data), **quality}


def _mask(source: Picture) -> np.ndarray | None:
    return None if source.alpha is None else source.alpha > 0


def _off_grid(picture: BakedPicture, colours: Float[np.ndarray, "h w 3"]) -> dict[str, dict[str, float]]:
    """PSNR of edits against the spline of the source: of the fit, and of plain interpolation of the source."""
    from gainer_ns.evaluation.off_grid import off_grid_psnr

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


def _render_seconds(picture: Callable[[], BakedPicture]) -> float:
    """Median time of a rendering at the picture's own size."""
    seconds = []
    for _ in range(RENDERINGS):
        shown = picture()
        _wait_for_device()
        started = time.perf_counter()
        shown.raster()
        _wait_for_device()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _wait_for_device() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _super_resolution(source: Picture, method: str, options: Mapping[str, Any], output: Path) -> dict[str, Any]:
    """Fits the picture at half its size, draws that at full size, and compares with the picture."""
    from gainer_ns.evaluation.metrics import psnr

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
