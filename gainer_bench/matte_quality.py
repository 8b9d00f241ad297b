"""How well soft edges are found: ``python -m gainer_bench matte-quality --objects CUTOUT... --photos PHOTO...``.

Cut-outs, whose alpha is the truth, are laid over photos, and their masks grown and shrunk; what is estimated of the
photo and of such a mask is compared with the truth, beside what the hard mask gives. How well colours are taken apart
by themselves is measured as Germer et al. (2020) do it, with the true alpha; beside the photo's own colours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from gainer_bench.outputs import print_plain, write_text
from gainer_bench.tables import Table
from gainer_ns.io.image_io import read_picture
from gainer_ns.io.image_writing import write_picture
from gainer_ns.preparation.matting import band_width, estimate_alpha, estimate_colours

OFFSETS_PX = (-2, 2)
"""How far masks are shrunk and grown."""
GROUNDS = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1.0, 0.0, 1.0))
"""Black, white and magenta, before which cut-outs are compared."""
_SOFT = 0.02
"""Alpha this far from 0 and 1 is soft."""
_OBJECT_SHARE = 0.9
"""The largest part of the photo's width or height that an object takes."""


class MatteScore(NamedTuple):
    """Mean absolute errors, of a hard mask and of the matte made of it."""

    hard_alpha: float  # within a few pixels of the mask's edge
    alpha: float
    hard_colour: float  # of the cut-out before black, white and magenta, in the object's soft pixels
    colour: float
    photo_front: float  # of the colours alone, weighted by the true alpha: the photo's own
    front_of_alpha: float  # found with the true alpha
    front: float  # found with the matte's alpha


class Composed(NamedTuple):
    """An object over a photo: both together, and the object's own alpha and colours."""

    colours: Float[np.ndarray, "h w 3"]
    alpha: Float[np.ndarray, "h w"]
    front: Float[np.ndarray, "h w 3"]


def composed(path: Path, photo: Float[np.ndarray, "h w 3"]) -> Composed:
    """Lay a cut-out over the middle of a photo, shrunk where it is too large."""
    cut_out = read_picture(path)
    opacity, colours = cut_out.opacity(), cut_out.colours()
    columns, rows = (np.flatnonzero((opacity > 0).any(axis=axis)) for axis in (0, 1))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    opacity, weighed = opacity[part], colours[part] * opacity[part][..., None]
    height, width = photo.shape[:2]
    scale = min(1.0, _OBJECT_SHARE * height / len(opacity), _OBJECT_SHARE * width / opacity.shape[1])
    size = round(opacity.shape[1] * scale), round(len(opacity) * scale)
    opacity, weighed = (cv2.resize(values, size, interpolation=cv2.INTER_AREA) for values in (opacity, weighed))
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    alpha, front = np.zeros((height, width), np.float32), np.zeros((height, width, 3), np.float32)
    place = slice(top, top + size[1]), slice(left, left + size[0])
    alpha[place] = opacity
    front[place] = (weighed / np.maximum(opacity, 1e-6)[..., None]).clip(0, 1)
    return Composed(alpha[..., None] * front + (1 - alpha[..., None]) * photo, alpha, front)


def masks_of(alpha: Float[np.ndarray, "h w"]) -> Iterator[Float[np.ndarray, "h w"]]:
    """Yield the hard masks of an object, shrunk and grown."""
    inside = (alpha > 0.5).astype(np.float32)
    for offset in OFFSETS_PX:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(offset) + 1,) * 2)
        yield (cv2.dilate if offset > 0 else cv2.erode)(inside, disc)


def score(scene: Composed, mask: Float[np.ndarray, "h w"]) -> tuple[MatteScore, Float[np.ndarray, "h w 4"]]:
    """Compare a hard mask, and the matte made of it, with the truth; and return the matte's cut-out."""
    alpha = estimate_alpha(scene.colours, mask)
    front = estimate_colours(scene.colours, alpha).front
    inside = mask.astype(np.uint8)
    distance = sum(cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for side in (inside, 1 - inside))
    band = np.asarray(distance) <= band_width(*mask.shape[::-1])
    soft = (scene.alpha > _SOFT) & (scene.alpha < 1 - _SOFT)

    def colour_error(opacity: np.ndarray, colours: np.ndarray) -> float:
        found, true = opacity[soft][:, None], scene.alpha[soft][:, None]
        errors = [
            np.abs(found * colours[soft] + (1 - found) * ground - true * scene.front[soft] - (1 - true) * ground).mean()
            for ground in map(np.array, GROUNDS)
        ]
        return float(np.mean(errors))

    def weighted_error(colours: np.ndarray) -> float:
        return float((np.abs(colours - scene.front)[soft] * scene.alpha[soft][:, None]).mean())

    hard_alpha, soft_alpha = (float(np.abs(each - scene.alpha)[band].mean()) for each in (mask, alpha))
    result = MatteScore(
        hard_alpha,
        soft_alpha,
        colour_error(mask, scene.colours),
        colour_error(alpha, front),
        weighted_error(scene.colours),
        weighted_error(estimate_colours(scene.colours, scene.alpha).front),
        weighted_error(front),
    )
    return result, np.dstack([front, alpha])


@dataclass
class MatteQuality:
    """Measure soft edges of masks that are two pixels too small or too large."""

    objects: tuple[Path, ...]
    """Cut-outs with alpha."""
    photos: tuple[Path, ...]
    """Photos that they are laid over."""
    output: Path | None = None
    """Folder for table.md, and for the cut-outs as pictures; nothing is kept when not given."""

    def run(self) -> None:
        """Measure, print, and write what is to be kept."""
        rows: list[tuple[str, ...]] = []
        means: list[np.ndarray] = []
        photos = [(path, read_picture(path).colours()) for path in self.photos]
        for path in self.objects:
            scores: list[MatteScore] = []
            for place, photo in photos:
                scene = composed(path, photo)
                for offset, mask in zip(OFFSETS_PX, masks_of(scene.alpha), strict=True):
                    result, cut_out = score(scene, mask)
                    scores.append(result)
                    if self.output is not None:
                        name = f"{path.stem}_{place.stem}_{'grown' if offset > 0 else 'shrunk'}.png"
                        write_picture(self.output / name, cut_out[..., :3], cut_out[..., 3])
            means.append(np.mean(scores, axis=0))
            rows.append((path.stem, *_words(means[-1])))
        rows.append(("all", *_words(np.mean(means, axis=0))))
        pairs = ("hard alpha", "matted"), ("hard colour", "matted"), ("photo's colours", "by true alpha")
        titles = "cut-out", *(title for pair in pairs for title in (*pair, "ratio")), "by found alpha", "ratio"
        table = Table.of(titles, rows).markdown()
        print_plain(table)
        if self.output is not None:
            write_text(self.output / "table.md", table)


def _words(mean: np.ndarray) -> tuple[str, ...]:
    """Return the numbers of a row: errors, and how large those of the matte are beside the hard mask's."""
    pairs = [*mean[:6].reshape(3, 2), mean[[4, 6]]]
    words = [(f"{before:.3f}", f"{after:.3f}", f"{after / before:.2f}") for before, after in pairs]
    return *(word for three in words[:3] for word in three), *words[3][1:]
