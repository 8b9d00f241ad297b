"""A lifted photo seen from somewhere else: ``python -m gainer_bench novel-view SCENE... [--output DIR]``.

One view of a scene is lifted by a given depth, drawn as another real view sees it, and compared with that, beside two
simple baselines. :mod:`gainer_bench.view_pairs` says what a scene is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Bool, Float
from nerfstudio.utils.rich_utils import CONSOLE

from gainer_bench.outputs import json_text, print_plain, write_text
from gainer_bench.sheets import Tile, tile_sheet, write_sheet
from gainer_bench.tables import Table
from gainer_bench.view_baselines import BASELINES, Visibility, visible_in_both
from gainer_bench.view_pairs import read_pairs
from gainer_bench.views import (
    NovelViewMethod,
    Rendered,
    Renderer,
    TracesFreeSpace,
    ViewPair,
    composite,
)
from gainer_ns.error_maps import error_map
from gainer_ns.errors import GainerError
from gainer_ns.io.image_writing import write_picture
from gainer_ns.io.samples import integer_samples
from gainer_ns.metrics import psnr

GREY, WHITE = 0.5, 1.0
"""What is behind the pictures: grey, to favour no method where it shows nothing; white behind cut-outs."""
COVERED_ACCUMULATION = 0.5
"""From which on a pixel is covered."""
FREE_ACCUMULATION = 0.02
"""Below which space is free."""
FREE_SPACE_POINTS = 20000
"""How many points in front of the surface are looked at."""
FREE_SPACE_SHARES = (0.3, 0.97)
"""How far along the ray to the surface these are, as shares of its depth."""


@dataclass(frozen=True)
class ViewScore:
    """How well a method shows a pair's target, and the source. None where a method cannot tell."""

    pair: str  # its name
    method: str  # its name
    psnr: float  # in dB, on the pixels visible in both views; what is not covered counts, over grey
    ssim: float  # structural similarity on the same pixels
    coverage: float  # share of the same pixels, where the target is opaque, that are covered
    psnr_all_cover: float | None  # in dB, on those of them that all methods of the run cover
    psnr_surface: float  # in dB, also on pixels that something of unknown depth may hide
    psnr_frame: float  # in dB, on the whole frame, what the source could not see included
    source_psnr: float  # in dB, of the source seen as itself, on its pixels with depth
    source_depth_error: float | None  # median relative error there of the depth that is drawn, where something is
    free_space: float | None  # share of points in front of the surface up to which nothing is in the way
    fit_seconds: float  # to lift the source
    render_seconds: float  # to draw the target


@dataclass(frozen=True, eq=False)
class DrawnViews:
    """What a method made of a pair: its name, the lifted source, both views, and the seconds that took."""

    method: str
    renderer: Renderer
    target: Rendered
    source: Rendered
    fit_seconds: float
    render_seconds: float


def draw(
    name: str, method: NovelViewMethod, pair: ViewPair, fitted: tuple[Renderer, float] | None = None
) -> DrawnViews:
    """Lift a pair's source, unless that is done already, and draw both views."""
    began = time.perf_counter()
    renderer, seconds = fitted or (method(pair), time.perf_counter() - began)
    began = time.perf_counter()
    target = renderer.render(pair.K_target, pair.T_target_from_source, *pair.target_size)
    render_seconds = time.perf_counter() - began
    source = renderer.render(pair.K_source, np.eye(4), *pair.source_size)
    return DrawnViews(name, renderer, target, source, seconds, render_seconds)


def score(drawn: Sequence[DrawnViews], pair: ViewPair, seen: Visibility) -> list[ViewScore]:
    """Compare what methods made of a pair with the target and the source.

    Both sides are composited first, over grey, or over white if the source is a cut-out, and clamped to [0, 1].

    Raises:
        GainerError: If no pixel is visible in both views.
    """
    if not seen.visible.any():
        raise GainerError(f"{pair.name}: nothing is visible in both views; name a scene whose views overlap")
    background = backdrop(pair)
    target = composite(pair.target_colours, pair.target_alpha, background)
    source = composite(pair.source_colours, pair.source_alpha, background)
    lifted, opaque = pair.source_depth > 0, seen.visible
    if pair.target_alpha is not None:
        opaque = seen.visible & (pair.target_alpha > COVERED_ACCUMULATION)
    common = np.logical_and.reduce([one.target.accumulation > COVERED_ACCUMULATION for one in drawn]) & seen.visible
    scores = []
    for one in drawn:
        shown = one.target.over(background)
        known = lifted & (one.source.accumulation > COVERED_ACCUMULATION)
        error = np.abs(one.source.depth[known] / pair.source_depth[known] - 1)
        scores.append(
            ViewScore(
                pair=pair.name,
                method=one.method,
                psnr=_psnr(shown, target, seen.visible),
                ssim=masked_ssim(shown, target, seen.visible),
                coverage=float((one.target.accumulation[opaque] > COVERED_ACCUMULATION).mean())
                if opaque.any()
                else 0.0,
                psnr_all_cover=_psnr(shown, target, common) if common.any() else None,
                psnr_surface=_psnr(shown, target, seen.surface),
                psnr_frame=_psnr(shown, target, np.ones_like(seen.visible)),
                source_psnr=_psnr(one.source.over(background), source, lifted),
                source_depth_error=float(np.median(error)) if known.any() else None,
                free_space=free_space(one.renderer, pair) if isinstance(one.renderer, TracesFreeSpace) else None,
                fit_seconds=one.fit_seconds,
                render_seconds=one.render_seconds,
            )
        )
    return scores


def backdrop(pair: ViewPair) -> float:
    """Return the shade of grey behind a pair's pictures."""
    return GREY if pair.source_alpha is None else WHITE


def masked_ssim(
    rendered: Float[np.ndarray, "h w 3"], target: Float[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]
) -> float:
    """Return the mean structural similarity of the pixels of a mask.

    Outside of it the rendered picture is taken to be right, so that windows which reach out see nothing wrong there.

    Source:
        Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    pictures = np.stack([np.where(mask[..., None], rendered, target), target]).astype(np.float64)
    first, second = torch.from_numpy(pictures).permute(0, 3, 1, 2).split(1)
    whole = structural_similarity_index_measure(first, second, data_range=1.0, return_full_image=True)[1]
    return float(whole[0].mean(dim=0).numpy()[mask].mean())


def free_space(renderer: TracesFreeSpace, pair: ViewPair, points: int = FREE_SPACE_POINTS, seed: int = 0) -> float:
    """Return the share of random points in front of the source's surface up to which nothing is in the way."""
    generator = np.random.default_rng(seed)
    row, column = np.nonzero(pair.source_depth > 0)
    chosen = generator.integers(len(row), size=points)
    row, column = row[chosen], column[chosen]
    depth = pair.source_depth[row, column] * generator.uniform(*FREE_SPACE_SHARES, size=points)
    place = pair.K_source.ray(np.stack([column, row], axis=-1) + 0.5) * depth[:, None]
    return float((np.asarray(renderer.accumulation_up_to(place)) < FREE_ACCUMULATION).mean())


def _psnr(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> float:
    return psnr(a.astype(np.float64), b.astype(np.float64), mask=mask)


def score_table(scores: Sequence[ViewScore]) -> Table:
    """Return scores as a table: a row for each pair and method."""
    forms = {
        "dB": ".2f",
        "SSIM": ".4f",
        "covered": ".2%",
        "dB, all cover": ".2f",
        "dB, hidden or not": ".2f",
        "whole frame dB": ".2f",
        "source dB": ".2f",
        "depth error": ".3%",
        "free space": ".2%",
        "fit s": ".1f",
        "render s": ".2f",
    }
    rows = []
    for pair, method, *numbers in map(astuple, scores):
        cells = zip(numbers, forms.values(), strict=True)
        rows.append([pair, method, *("–" if one is None else format(one, form) for one, form in cells)])
    return Table.of(["pair", "method", *forms], rows, names=2)


def write_pictures(folder: Path, drawn: Sequence[DrawnViews], pair: ViewPair, seen: Visibility) -> None:
    """Write the target, each method's view and its error map, and all of that on one sheet.

    On the sheet each view is above its error, and the target above the part of it that counts.
    """
    background = backdrop(pair)
    target = composite(pair.target_colours, pair.target_alpha, background)
    tiles = [_written(folder, "target", target, np.where(seen.visible[..., None], target, 0))]
    for one in drawn:
        view = one.target.over(background)
        errors = error_map(view.astype(float), target.astype(float), mask=seen.visible)
        tiles.append(_written(folder, one.method, view, errors))
    write_sheet(folder / "sheet.png", tile_sheet(tiles, len(tiles)))


def _written(folder: Path, name: str, view: np.ndarray, below: np.ndarray) -> Tile:
    """Write a view, and its errors unless it is the target, and put them on a tile."""
    write_picture(folder / f"{_file_name(name)}.png", view)
    if name != "target":
        write_picture(folder / f"{_file_name(name)}_error.png", below)
    return Tile(name, [integer_samples(part, None, 8) for part in (view, below)])


def _file_name(name: str) -> str:
    return "_".join(name.split())


@dataclass
class NovelView:
    """Lift one view of each scene, draw it as other views see it, and say how far it is from them.

    Two simple baselines are measured beside it: forward point splatting, and a depth mesh cut at depth edges.
    """

    scenes: tyro.conf.Positional[tuple[Path, ...]]
    """Folders with a scene.json: a stereo pair, views of a depth camera, or posed views."""
    output: Path | None = None
    """Folder for pictures, error maps, a sheet of each pair, and results.json; None to only show the table."""
    baselines_only: bool = False
    """Leave the lifted model out, which takes minutes a scene."""

    def run(self) -> None:
        """Measure all scenes and show the table."""
        if not self.scenes:
            raise GainerError("no scene is named; give one or more folders with a scene.json")
        methods = BASELINES if self.baselines_only else {"gainer-lift": _lifted(), **BASELINES}
        scores, notes, before = [], [], None
        fitted: dict[str, tuple[Renderer, float]] = {}
        for pair in (pair for scene in self.scenes for pair in read_pairs(scene)):
            if before is None or not before.same_source(pair):
                fitted = {}
            seen = visible_in_both(pair)
            drawn = [draw(name, method, pair, fitted.get(name)) for name, method in methods.items()]
            fitted, before = {one.method: (one.renderer, one.fit_seconds) for one in drawn}, pair
            scores += score(drawn, pair, seen)
            notes.append({"pair": pair.name, "depth": pair.depth_note, "counted": float(seen.visible.mean())})
            if self.output is not None:
                write_pictures(self.output / _file_name(pair.name), drawn, pair, seen)
            CONSOLE.log(f"{pair.name}: {seen.visible.mean():.1%} of the pixels count; {pair.depth_note}", markup=False)
        if self.output is not None:
            results = {"pairs": notes, "scores": [asdict(one) for one in scores]}
            write_text(self.output / "results.json", json_text(results, indent=2))
        print_plain(score_table(scores).markdown())


def _lifted() -> NovelViewMethod:
    """Make the lifted model, which needs nerfstudio's trainer."""
    from gainer_bench.lifted_view import LiftingTrainer

    return LiftingTrainer()
