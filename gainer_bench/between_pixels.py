"""How well a fitted picture can be read between its pixels, against a cubic spline of its source.

At one Gaussian a pixel, PSNR on the pixels says little: what an edit shows is the picture *between* them. So a picture
is really edited, its Gaussians moved, by edits whose inverse is known (:mod:`gainer_bench.known_edits`), and compared
with the spline, read where the inverse leads back to. Reading it off the grid, at moved coordinates, says nearly the
same in a fraction of the time. What other programs make of the same edits is in :mod:`gainer_bench.edit_quality`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from gainer_bench.baselines.gaussian_image import GaussianImage
from gainer_bench.baselines.model import FunctionPicture
from gainer_bench.known_edits import KnownEdit, Points2d, known_edits, pixel_centres
from gainer_ns.editing.stage import Stage
from gainer_ns.errors import GainerError
from gainer_ns.metrics import psnr
from gainer_ns.rendering.drawable import BLOCK_POINTS, Drawable
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.raster import Crop
from gainer_ns.spline import CubicSpline

BORDER_PX = 6
"""Width, in source px, of the frame that is left out of comparisons: near its border a spline is only a guess."""


def probe_places(width: int, height: int) -> dict[str, Float[np.ndarray, "h w 2"]]:
    """Return where, in px of the source, each pixel is read off the grid, by the names that tables use."""
    centres = pixel_centres(width, height)
    phase = 2 * np.pi * centres / 48  # x moves with the sine of y, y with the cosine of x, by 3 px at most: no folds
    return {
        "half_pixel_shift": centres - 0.5,  # every read lands on a corner of four pixels, the hardest place
        "rotation": KnownEdit.rotation(width, height, 15.0).back(centres),
        "zoom": KnownEdit.scaling(width, height, 1.5).back(centres),
        "warp": centres + 3 * np.stack([np.sin(phase[..., 1]), np.cos(phase[..., 0])], axis=-1),
    }


def off_grid_psnr(
    sample: Callable[[Float[np.ndarray, "m 2"]], Float[np.ndarray, "m c"]],
    colours: Float[np.ndarray, "h w c"],
    *,
    border: int = BORDER_PX,
) -> dict[str, float]:
    """Return the PSNR, in dB, between a fitted picture and the spline of its source, read at the same places.

    Both sides are clamped to [0, 1] before they are compared, as on a screen.

    Args:
        sample: The fitted picture as a function of coordinates in source px.
        colours: The source's colours.
        border: Places nearer than this to the source's edge, in px, or outside it, are left out.

    Returns:
        Name of each of :func:`probe_places` -> dB; inf when equal.

    Raises:
        GainerError: If no place lies inside the border.
    """
    height, width = colours.shape[:2]
    spline, decibels = CubicSpline(colours), {}
    for name, places in probe_places(width, height).items():
        points = places[inside(places, width, height, border)]
        if len(points) == 0:
            raise GainerError(
                f"{name} reads no pixel of {width} x {height} at least {border} px from the edge: lower the border"
            )
        fitted = np.asarray(sample(points), dtype=np.float64)
        decibels[name] = psnr(np.clip(fitted, 0, 1), np.clip(spline.at(points), 0, 1))
    return decibels


def inside(points: Points2d, width: int, height: int, border: float) -> Bool[np.ndarray, "*points"]:
    """Say which points lie at least ``border`` px inside the picture."""
    return ((points >= border) & (points <= np.array([width, height]) - border)).all(axis=-1)


class EditedPixels(NamedTuple):
    """An edited picture beside what it should be, on one grid of pixels as large as the edited picture."""

    edited: Float[np.ndarray, "h w 3"]  # [h, w, 3], multiplied by alpha, so that holes are black
    reference: Float[np.ndarray, "h w 3"]  # the spline of the source
    counted: np.ndarray  # [h, w], where all of this means something


def edit_quality(
    picture: Drawable,
    colours: Float[np.ndarray, "h w 3"],
    opacity: Float[np.ndarray, "h w"] | None = None,
    *,
    border: int = BORDER_PX,
    edits: Mapping[str, KnownEdit] | None = None,
) -> dict[str, float]:
    """Return the PSNR of an edited picture against its source, resampled by a spline through each edit's inverse.

    Both sides are clamped to [0, 1]. Pixels count that come from at least so far inside the source's opaque part.

    Args:
        picture: The fitted picture, made of Gaussians.
        colours: The source's colours.
        opacity: The source's opacity; None where it is opaque.
        border: How far inside, in source px.
        edits: What is done, by name; None for all of :func:`gainer_bench.known_edits.known_edits`.

    Returns:
        Name of the edit -> dB; inf when equal.

    Raises:
        GainerError: If the source is not the one that was fitted, by its size, or nothing of it lies inside the border.
    """
    scores = {}
    for name, edit in (edits or known_edits(picture.plane.width, picture.plane.height)).items():
        found = edited_pixels(picture, colours, opacity, edit, border=border)
        if not found.counted.any():
            raise GainerError(
                f"{name}: nothing lies {border} px inside what is opaque of {picture.plane.width} x "
                f"{picture.plane.height} pixels; lower the border, or take a larger picture"
            )
        scores[name] = psnr(found.edited[found.counted], found.reference[found.counted])
    return scores


def edited_pixels(
    picture: Drawable,
    colours: Float[np.ndarray, "h w 3"],
    opacity: Float[np.ndarray, "h w"] | None,
    edit: KnownEdit,
    *,
    border: int = BORDER_PX,
) -> EditedPixels:
    """Edit a picture, and its source beside it; see :func:`edit_quality`."""
    plane = picture.plane
    if colours.shape[:2] != (plane.height, plane.width):
        raise GainerError(
            f"the source has {colours.shape[1]} x {colours.shape[0]} pixels, the fitted picture {plane.width} x "
            f"{plane.height}; name the picture that was fitted"
        )
    crop = edit.extent(plane.width, plane.height)
    drawn = _drawn(picture, edit, crop)
    points = edit.back(pixel_centres(drawn.shape[1], drawn.shape[0]) + np.array(crop[:2]))
    counted = inside(points, plane.width, plane.height, border)
    if opacity is not None:
        deep = np.asarray(ndimage.distance_transform_edt(opacity >= 1)) > border
        column, row = np.moveaxis(np.clip(np.floor(points), 0, [plane.width - 1, plane.height - 1]).astype(int), -1, 0)
        counted &= deep[row, column]
    return EditedPixels(drawn.cpu().double().numpy(), np.clip(CubicSpline(colours).at(points), 0, 1), counted)


def can_be_edited(picture: Drawable) -> bool:
    """Say whether it is made of Gaussians that can be moved."""
    return isinstance(picture, BakedPicture) or (
        isinstance(picture, FunctionPicture) and isinstance(picture.function, GaussianImage)
    )


def _drawn(picture: Drawable, edit: KnownEdit, crop: Crop) -> Float[Tensor, "h w 3"]:
    """Draw the edited picture, multiplied by alpha."""
    if isinstance(picture, FunctionPicture):
        return drawn_moved(picture, edit, crop)
    if not isinstance(picture, BakedPicture):
        raise GainerError("the picture is not made of Gaussians, so there is nothing to move; fit it by another method")
    left, top, right, bottom = map(int, crop)
    centres = torch.from_numpy(pixel_centres(right - left, bottom - top) + np.array(crop[:2]))
    # At the centres of pixels alone, as the spline is read: a raster would average what shrinks.
    seen = Stage(edit.script(), picture).at(1.0).at_pixels(centres.view(-1, 2).to(picture.device))
    return (seen.rgb.clamp(0, 1) * seen.alpha).view(bottom - top, right - left, 3)


@torch.no_grad()
def drawn_moved(picture: FunctionPicture, edit: KnownEdit, crop: Crop) -> Float[Tensor, "h w 3"]:
    """Draw a baseline edited as ours are: means moved by the map, covariances by its Jacobian."""
    plane, moved = picture.plane, deepcopy(picture.function)
    if not isinstance(moved, GaussianImage):
        raise GainerError("the picture is not made of Gaussians, so there is nothing to move; fit it by another method")
    places, jacobians = edit.moved(plane.pixel_from_plane(moved.means), (plane.width, plane.height))
    flip = jacobians.new_tensor([1.0, -1.0])
    jacobians = flip[:, None] * jacobians * flip  # pixels have y down, the plane up
    moved.move(plane.plane_from_pixel(places), jacobians @ moved.covariances @ jacobians.mT)
    left, top, right, bottom = map(int, crop)
    pixels = torch.from_numpy(pixel_centres(right - left, bottom - top) + np.array(crop[:2]))
    points = plane.plane_from_pixel(pixels.view(-1, 2)).float().to(picture.device)
    colours = torch.cat([moved(block) for block in points.split(BLOCK_POINTS)])
    return colours.clamp(0, 1).view(bottom - top, right - left, 3)
