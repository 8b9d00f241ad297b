"""How well a fitted picture can be edited: ``python -m gainer_bench.edit_quality --load-config CONFIG...``.

At one Gaussian a pixel, PSNR on the pixels says little: what an edit shows is the picture *between* them. So a picture
is really edited, its Gaussians moved, by edits whose inverse is known (:mod:`gainer_bench.known_edits`), and
compared with a cubic spline of its source, read where the inverse leads back to.

:mod:`gainer_bench.off_grid` does the same without an edit, in a fraction of the time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from nerfstudio.utils.rich_utils import CONSOLE
from scipy import ndimage
from torch import Tensor

from gainer_bench.baselines.moving import drawn_moved, is_movable
from gainer_bench.known_edits import KnownEdit, known_edits
from gainer_bench.off_grid import BORDER, pixel_centres
from gainer_ns.doors import run_program
from gainer_ns.editing.stage import Stage
from gainer_ns.errors import GainerError
from gainer_ns.io.files import whole_file
from gainer_ns.metrics import psnr
from gainer_ns.options import parsed
from gainer_ns.rendering.drawable import Drawable
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.spline import CubicSpline

EXACT = 200.0
"""From this PSNR on, in dB, there is no error but that of float64."""


class EditScore(NamedTuple):
    """How well a picture was edited."""

    psnr: float
    """Of the edited picture, in dB against the cubic spline of the source; inf when equal."""
    psnr_bilinear: float
    """Of bilinear interpolation of the source, in dB against the same."""
    pixels: int
    """How many output pixels were compared."""


class EditedPixels(NamedTuple):
    """An edited picture beside what it should be, on one grid of pixels as large as what the edit made of the picture.

    Attributes:
        edited: [h, w, 3], multiplied by alpha, so that holes are black.
        reference: The spline of the source.
        bilinear: Bilinear interpolation of the source.
        counted: [h, w], where all of this means something.
    """

    edited: Float[np.ndarray, "h w 3"]
    reference: Float[np.ndarray, "h w 3"]
    bilinear: Float[np.ndarray, "h w 3"]
    counted: np.ndarray


def edit_quality(
    picture: Drawable,
    colours: Float[np.ndarray, "h w 3"],
    opacity: Float[np.ndarray, "h w"] | None = None,
    *,
    border: int = BORDER,
    edits: Mapping[str, KnownEdit] | None = None,
) -> dict[str, EditScore]:
    """PSNR of an edited picture against its source, resampled by a cubic spline through the inverse of each edit.

    Both sides are clamped to [0, 1]. Pixels count that come from at least so far inside the source's opaque part.

    Args:
        picture: The fitted picture, made of Gaussians.
        colours: The source's colours.
        opacity: The source's opacity; None where it is opaque.
        border: How far inside, in source px.
        edits: What is done, by name; None for all of :func:`gainer_bench.known_edits.known_edits`.

    Returns:
        Name of the edit -> its score.

    Raises:
        GainerError: If the source is not the one that was fitted, by its size, or nothing of it lies inside the border.
    """
    scores = {}
    for name, edit in (edits or known_edits(picture.plane.width, picture.plane.height)).items():
        found = edited_pixels(picture, colours, opacity, edit, border=border)
        count = int(found.counted.sum())
        if count == 0:
            raise GainerError(
                f"{name}: nothing lies {border} px inside what is opaque of {picture.plane.width} x "
                f"{picture.plane.height} pixels; lower the border, or take a larger picture"
            )
        reference = found.reference[found.counted]
        scores[name] = EditScore(
            psnr(found.edited[found.counted], reference), psnr(found.bilinear[found.counted], reference), count
        )
    return scores


def edited_pixels(
    picture: Drawable,
    colours: Float[np.ndarray, "h w 3"],
    opacity: Float[np.ndarray, "h w"] | None,
    edit: KnownEdit,
    *,
    border: int = BORDER,
) -> EditedPixels:
    """Edits a picture, and its source beside it; see :func:`edit_quality`."""
    plane = picture.plane
    if colours.shape[:2] != (plane.height, plane.width):
        raise GainerError(
            f"the source has {colours.shape[1]} x {colours.shape[0]} pixels, the fitted picture {plane.width} x "
            f"{plane.height}; name the picture that was fitted"
        )
    crop = edit.extent(plane.width, plane.height)
    drawn = _drawn(picture, edit, crop)
    points = edit.back(pixel_centres(drawn.shape[1], drawn.shape[0]) + np.array(crop[:2]))
    counted = ((points >= border) & (points <= np.array([plane.width, plane.height]) - border)).all(axis=-1)
    if opacity is not None:
        deep = np.asarray(ndimage.distance_transform_edt(opacity >= 1)) > border
        column, row = np.moveaxis(np.clip(np.floor(points), 0, [plane.width - 1, plane.height - 1]).astype(int), -1, 0)
        counted &= deep[row, column]
    place = np.moveaxis(points[..., ::-1], -1, 0) - 0.5
    bilinear = [ndimage.map_coordinates(channel, place, order=1, mode="nearest") for channel in _channels(colours)]
    return EditedPixels(
        drawn.cpu().double().numpy(),
        np.clip(CubicSpline(colours).at(points), 0, 1),
        np.clip(np.stack(bilinear, axis=-1), 0, 1),
        counted,
    )


def can_be_edited(picture: Drawable) -> bool:
    """Whether it is made of Gaussians that can be moved."""
    return isinstance(picture, BakedPicture) or is_movable(picture)


def _drawn(picture: Drawable, edit: KnownEdit, crop: tuple[float, float, float, float]) -> Float[Tensor, "h w 3"]:
    """The edited picture, multiplied by alpha."""
    if is_movable(picture):
        return drawn_moved(picture, edit, crop)
    if not isinstance(picture, BakedPicture):
        raise GainerError("the picture is not made of Gaussians, so there is nothing to move; fit it by another method")
    rgb, alpha = Stage(edit.script(), picture).at(1.0).raster(crop=crop)
    return rgb * alpha


def _channels(colours: np.ndarray) -> Float[np.ndarray, "c h w"]:
    return np.moveaxis(np.asarray(colours, dtype=np.float64), -1, 0)


@dataclass
class EditQuality:
    """Edits fitted pictures in known ways and says how far they are from what they should be.

    Of pictures with alpha, only the opaque part counts.
    """

    load_config: tuple[Path, ...]
    """The config.yml of one or more runs, or .safetensors files of `gainer export`."""
    source: Path | None = None
    """The picture that was fitted, for one --load-config; None for the one that the run names."""
    output: Path | None = None
    """Folder for edit_quality.md and edit_quality.jsonl, a line a picture; None to only show the table."""

    def run(self) -> None:
        """Measures all pictures and shows the table."""
        from gainer_bench.sources import fitted_source
        from gainer_ns.image.loading import load_baked

        if not self.load_config:
            raise GainerError("no run is named; give one or more config.yml after --load-config")
        if self.source is not None and len(self.load_config) > 1:
            raise GainerError(f"{self.source}: one source for {len(self.load_config)} runs; measure them one by one")
        scores: dict[str, dict[str, EditScore]] = {}
        for config in self.load_config:
            picture, source = load_baked(config), fitted_source(config, self.source)
            opacity = None if source.alpha is None else source.opacity()
            scores[str(config)] = edit_quality(picture, source.colours(), opacity)
            CONSOLE.log(f"{source.path.name} ({config})", markup=False)
        table = quality_table(list(scores.values()))
        if self.output is not None:
            lines = (
                {"config": config, "edits": {name: _plain(score) for name, score in edits.items()}}
                for config, edits in scores.items()
            )
            with whole_file(self.output / "edit_quality.jsonl") as file:
                file.write("".join(json.dumps(line, allow_nan=False) + "\n" for line in lines).encode())
            with whole_file(self.output / "edit_quality.md") as file:
                file.write(table.encode())
        CONSOLE.print(table, markup=False, highlight=False, soft_wrap=True)


def quality_table(scores: Sequence[Mapping[str, EditScore]]) -> str:
    """Scores of one or more pictures as a Markdown table: a row an edit, with mean and worst of several pictures."""
    columns: dict[str, Callable[[list[float]], float]] = {"dB": min}
    if len(scores) > 1:
        columns = {"mean dB": lambda values: sum(values) / len(values), "worst dB": min}
    titles = ["edit", *columns, *(f"bilinear, {title}" for title in columns)]
    rows = [titles, ["---", *["--:"] * (len(titles) - 1)]]
    for name in scores[0]:
        each = [picture[name] for picture in scores]
        values = [score.psnr for score in each], [score.psnr_bilinear for score in each]
        rows.append([name, *(_shown(summary(of)) for of in values for summary in columns.values())])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _shown(decibels: float) -> str:
    return f"{decibels:.2f}" if decibels < EXACT else "exact"


def _plain(score: EditScore) -> dict[str, float | str]:
    """A score as standard JSON can hold it, which has no infinity."""
    return {name: value if math.isfinite(value) else str(value) for name, value in score._asdict().items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parsed(EditQuality, prog="python -m gainer_bench.edit_quality", args=arguments).run()


if __name__ == "__main__":
    run_program(main)
