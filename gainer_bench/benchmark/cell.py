"""One cell of a benchmark: a picture fitted by a method within a budget, and everything measured of it."""

from __future__ import annotations

import io
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from gainer_bench.benchmark.codecs import CODECS, coded
from gainer_ns.errors import GainerError, Unavailable, memory_ran_out

if TYPE_CHECKING:
    import numpy as np

    from gainer_bench.benchmark.suite import BenchmarkCell
    from gainer_ns.image.trainer import PictureTrainerConfig


@dataclass(frozen=True)
class CellResult:
    """What came of a cell."""

    line: dict[str, Any]  # of the results, without what says which cell it is
    pictures: dict[str, bytes] = field(default_factory=dict)  # PNG files by what they show: source, rendered, errors


def run_cell(cell: BenchmarkCell, picture: bytes, threads: int | None) -> CellResult:
    """Fit and measure a cell in this process; whatever goes wrong is told in its line.

    Args:
        cell: What is fitted. Its path is not looked at, so it may be on another machine.
        picture: The picture file.
        threads: How many threads torch may use; None for as many as it likes.
    """
    began = time.time()
    try:
        return _measured(cell, picture, threads, began)
    except Unavailable as reason:
        return CellResult({"skipped": str(reason)})
    except GainerError as error:
        return CellResult({"error": str(error)})
    except Exception as error:
        if memory_ran_out(error):
            return CellResult({"error": f"{cell.image}: memory ran out; run fewer jobs, or a smaller picture"})
        return CellResult({"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()})


def _measured(cell: BenchmarkCell, data: bytes, threads: int | None, began: float) -> CellResult:
    import torch

    from gainer_bench.fit_measurement import measured
    from gainer_bench.fits import cropped, fitted
    from gainer_bench.sources import visible
    from gainer_ns.error_maps import error_map
    from gainer_ns.io.image_io import read_picture

    if threads is not None:
        torch.set_num_threads(threads)
    with TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "picture" / cell.path.name  # apart from the folders that a fit makes, whatever it is called
        path.parent.mkdir()
        path.write_bytes(data)
        if cell.reduce > 1:
            path = _reduced(path, cell.reduce, folder / "reduced")
        if cell.crop is not None:
            path = cropped(path, cell.crop, folder / "crops")
        source = read_picture(path)
        if cell.method in CODECS:
            return CellResult(coded(source, cell.method))
        config = configured(cell, path, folder)
        fit = fitted(config, began=began)
        line = measured(fit, source, cell.measure)
        rendered, target = fit.rendered.numpy(), source.colours()
        errors = error_map(rendered, target, mask=visible(source))
        if source.alpha is not None:  # hidden colours would show else
            opacity = source.opacity()[..., None]
            rendered, target = (colours * opacity + 1 - opacity for colours in (rendered, target))
        pictures = {"source": target, "rendered": rendered, "errors": errors}
    return CellResult(line, {what: _png(colours) for what, colours in pictures.items()})


def configured(cell: BenchmarkCell, path: Path, folder: Path) -> PictureTrainerConfig:
    """Return the method's configuration for a cell.

    Raises:
        GainerError: If the method or an option is not known.
    """
    from gainer_bench.fits import method_config
    from gainer_ns.fitting.recipe import Recipe

    config = method_config(cell.method, path, folder)
    if cell.preset == "published":
        from gainer_bench.presets import as_published

        as_published(config, cell.method)
    for option, value in cell.options.items():
        set_option(config, option, value)
    recipe = config.pipeline.model
    assert isinstance(recipe, Recipe)
    recipe.seed = config.machine.seed = cell.seed
    recipe.fit_seconds = cell.seconds
    if cell.steps is not None:
        config.max_num_iterations = cell.steps
    return config


def set_option(config: Any, option: str, value: Any) -> None:
    """Set what ns-train would be told by ``--option value``.

    Args:
        config: The method's configuration.
        option: Names with dots between them, with dashes or underscores.
        value: What YAML says; a list becomes a tuple, and None, as ns-train is told it, nothing.

    Raises:
        GainerError: If there is no such option, or it holds something of another kind.
    """
    *path, last = option.replace("-", "_").split(".")
    for name in path:
        config = config.get(name) if isinstance(config, dict) else getattr(config, name, None)
    known = vars(config) if hasattr(config, "__dict__") else {}
    if last not in known:
        raise GainerError(f"{option}: there is no such option of this method; ns-train METHOD --help lists them")
    now = known[last]
    if value == "None" and type(None) in get_args(get_type_hints(type(config)).get(last)):
        setattr(config, last, None)
        return
    if now is None and value is not None:
        now = _number_of_its_kind(config, last)
    if now is not None and not isinstance(value, list) and not _is_alike(now, value):
        raise GainerError(f"{option}: {value!r} is no value for it, unlike {now!r}")
    if isinstance(value, list):
        value = tuple(value)
    elif now is not None and value is not None:
        value = type(now)(value)
    setattr(config, last, value)


def _number_of_its_kind(config: Any, name: str) -> int | float | None:
    """Return a number such as an option may be that is None now; None where it may be something else."""
    kinds = set(get_args(get_type_hints(type(config)).get(name))) - {type(None)}
    return {int: 1, float: 1.0}.get(kinds.pop()) if len(kinds) == 1 else None


def _is_alike(now: Any, value: Any) -> bool:
    if isinstance(now, bool) or isinstance(value, bool):
        return isinstance(now, bool) and isinstance(value, bool)
    if isinstance(now, float):
        return isinstance(value, int | float)
    return isinstance(value, type(now))


def _reduced(path: Path, factor: int, folder: Path) -> Path:
    """Write the picture, so many times smaller, to a folder under the same name."""
    from gainer_ns.io.image_io import read_picture
    from gainer_ns.io.image_writing import write_picture

    picture = read_picture(path, downscale_factor=factor)
    opacity = None if picture.alpha is None else picture.opacity()
    smaller = folder / f"{path.stem}.png"
    write_picture(smaller, picture.colours(), opacity, bit_depth=picture.bit_depth, profile=picture.profile)
    return smaller


def _png(colours: np.ndarray) -> bytes:
    import numpy as np
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)).save(file, format="PNG")
    return file.getvalue()
