"""What lies behind all frames: nothing, a colour, an image, or the picture itself with its holes painted over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from gainer_ns.editing.backgrounds import Background
from gainer_ns.errors import GainerError
from gainer_ns.io.colour_names import ColourNumbers, colour_of
from gainer_ns.io.colour_profiles import ColourProfile, converted
from gainer_ns.io.image_io import read_picture
from gainer_ns.preparation.inpainting import Inpainter, inpainter_for
from gainer_ns.rendering.compositing import Raster
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.raster import Crop, RasterGrid, RasterSource, check_room

_TRUSTED_SHARE = 0.1
"""A colour counts as known where the opacity is at least this share of the highest. Colours of fainter pixels are
hardly seen, and therefore hardly fitted: they must not spread."""


class Backdrop(Protocol):
    """What lies behind all layers. It does not move, so one raster of it serves all frames of one crop and size."""

    def on(self, crop: Crop, width: int, height: int) -> Raster:
        """Draw the backdrop on a grid of output pixels over a crop, which may go on beyond the source."""
        ...


@dataclass(frozen=True)
class UniformBackdrop:
    """One colour without end.

    Attributes:
        colour: [3] in [0, 1].
        opacity: From 0 to 1.
    """

    colour: Float[Tensor, "3"]
    opacity: float = 1.0

    def on(self, crop: Crop, width: int, height: int) -> Raster:
        """Draw the colour; see ``Backdrop``."""
        colours = self.colour.expand(height, width, 3) * float(self.opacity > 0)
        return Raster(colours, self.colour.new_full((height, width), self.opacity))


def nothing(device: torch.device | str = "cpu") -> UniformBackdrop:
    """Return the backdrop of a picture that stays transparent."""
    return UniformBackdrop(torch.zeros(3, device=device), 0.0)


@dataclass(frozen=True)
class RasterBackdrop:
    """A picture behind the source, transparent beyond its own borders.

    Attributes:
        raster: [h, w, 3] and [h, w].
        corner: Where the source's top-left corner lies in it, (x, y) in its own pixels.
        density: How many of its pixels lie along one source pixel.
    """

    raster: Raster
    corner: tuple[float, float] = (0.0, 0.0)
    density: float = 1.0

    def on(self, crop: Crop, width: int, height: int) -> Raster:
        """Draw the picture: bicubic where it is enlarged, antialiased where it is shrunk, exact pixel on pixel."""
        own = [self.corner[side % 2] + crop[side] * self.density for side in range(4)]
        rows, top, bottom, down = _overlap(own[1], own[3], height, self.raster.opacity.shape[0])
        columns, left, right, across = _overlap(own[0], own[2], width, self.raster.opacity.shape[1])
        device = self.raster.colours.device
        colours = torch.zeros(height, width, 3, device=device)
        opacity = torch.zeros(height, width, device=device)
        if len(down) and len(across):
            sampled = _sampled(self.raster, (left, top, right, bottom), len(across), len(down))
            covered = torch.from_numpy(np.outer(down, across).astype(np.float32)).to(device)
            colours[rows, columns] = sampled.colours
            opacity[rows, columns] = sampled.opacity * covered
        return Raster(colours * (opacity > 0)[..., None], opacity)


@dataclass(frozen=True)
class BackgroundPlate:
    """What lies behind the layers of all frames.

    Attributes:
        backdrop: What does not move.
        filler: What fills what is then left open, frame by frame; None to leave it open.
    """

    backdrop: Backdrop
    filler: Inpainter | None = None

    @property
    def is_nothing(self) -> bool:
        """Whether nothing lies behind at all."""
        return self.filler is None and isinstance(self.backdrop, UniformBackdrop) and self.backdrop.opacity == 0

    @classmethod
    def of(
        cls, background: Background, picture: BakedPicture, find_hole: Callable[[], Bool[Tensor, "h w"]]
    ) -> BackgroundPlate:
        """Make what a script puts behind a picture.

        Args:
            background: The script's.
            picture: The main picture as it was fitted.
            find_hole: Tells the pixels out of which something was cut; asked where the background is painted.

        Raises:
            GainerError: If the background's picture or model cannot be read, there is no memory for all of the picture,
                or nothing is left to paint from.
        """
        if background.inpaint is None:
            return cls.colour_or_image(background.color, background.image, picture)
        check_room(RasterGrid.over(picture.plane, 1.0, None), picture.device)
        hole = find_hole()
        inpainter = inpainter_for(background.inpaint.spec, device=picture.device)
        filler = None if picture.has_alpha else inpainter
        if not bool(hole.any()):
            return cls(nothing(picture.device), filler)
        rgb, alpha = picture.raster()
        return cls(RasterBackdrop(clean_plate(rgb, alpha[..., 0], hole, inpainter)), filler)

    @classmethod
    def colour_or_image(
        cls, colour: str | ColourNumbers | None, image: Path | None, picture: RasterSource
    ) -> BackgroundPlate:
        """Put a colour behind a picture (see :mod:`gainer_ns.io.colour_names`), or an image that covers it, or nothing.

        Raises:
            GainerError: If both are given, the colour is none, or the image cannot be read.
        """
        if colour is not None and image is not None:
            raise GainerError("background: only one can lie behind, a colour or an image; leave one out")
        if image is not None:
            plane = picture.plane
            return cls(image_backdrop(image, plane.width, plane.height, device=picture.device, profile=picture.profile))
        if colour is None:
            return cls(nothing(picture.device))
        try:
            parts = colour_of(colour)
        except ValueError as error:
            raise GainerError(f"background colour: {error}") from None
        if len(parts) not in (3, 4) or not all(0 <= part <= 255 for part in parts):
            raise GainerError(f"background colour {colour}: red, green and blue are numbers from 0 to 255")
        own = converted(np.array([[parts[:3]]], np.float32) / 255, None, picture.profile)[0, 0]
        opacity = 1.0 if len(parts) == 3 else parts[3] / 255
        return cls(UniformBackdrop(torch.from_numpy(own).to(picture.device), opacity))


def image_backdrop(
    path: Path,
    width: int,
    height: int,
    *,
    device: torch.device | str = "cpu",
    profile: ColourProfile | None = None,
) -> RasterBackdrop:
    """Put a picture file behind a source of some size: as small as covers it wholly, centred, not distorted.

    The file's own resolution is kept, so that an enlarged output shows what the file has.

    Its rasters come on a device, with their colours in a profile (None for sRGB).
    """
    picture = read_picture(path)
    density = min(picture.width / width, picture.height / height)
    corner = (picture.width - width * density) / 2, (picture.height - height * density) / 2
    colours = torch.from_numpy(converted(picture.colours(), picture.profile, profile)).to(device)
    return RasterBackdrop(Raster(colours, torch.from_numpy(picture.opacity()).to(device)), corner, density)


def clean_plate(
    colours: Float[Tensor, "h w 3"],
    opacity: Float[Tensor, "h w"],
    hole: Bool[Tensor, "h w"],
    inpainter: Inpainter,
    *,
    grow_px: int = 3,
) -> Raster:
    """Fill a hole in a picture from its surroundings ("clean plate" in film).

    Only colours of pixels with opacity are continued, and the opacity is everywhere what it was: a cut-out keeps its
    silhouette, and nothing of what its transparent pixels hold comes in.

    Args:
        colours: [h, w, 3] in [0, 1].
        opacity: [h, w] from 0 to 1.
        hole: True where something was taken away.
        inpainter: What fills.
        grow_px: How far the hole is widened first, so that no halo of the thing remains.

    Raises:
        GainerError: Nothing is left outside the hole.
    """
    mask = hole.cpu().numpy().astype(np.uint8)
    if grow_px > 0:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow_px + 1, 2 * grow_px + 1))
        mask = cv2.dilate(mask, disc)
    seen = opacity.detach().cpu().numpy()
    trusted = (seen > 0) & (seen >= _TRUSTED_SHARE * seen.max())
    known = trusted & (mask == 0)
    if not known.any():
        raise GainerError(
            "inpaint: nothing is left outside the hole; select less, or choose a colour or an image behind"
        )
    outside = ~trusted & (mask == 0)
    continued = torch.from_numpy(_continued(colours.detach().cpu().numpy(), known, outside)).to(colours)
    filled = inpainter(continued, torch.from_numpy(mask > 0).to(hole.device))
    inside = torch.from_numpy(mask > 0).to(hole.device)[..., None]
    plate = torch.where(inside, filled, colours)
    return Raster(torch.where(opacity[..., None] > 0, plate, 0.0), opacity)


def _continued(colours: np.ndarray, known: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Give each pixel ``outside`` (bool [h, w]) the colour, of [h, w, 3], of the nearest known one."""
    if not outside.any():
        return colours
    unknown = (~known).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(unknown, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    nearest = np.zeros(labels.max() + 1, np.int64)
    nearest[labels[known]] = np.flatnonzero(known)
    return np.where(outside[..., None], colours.reshape(-1, 3)[nearest[labels]], colours)


def _overlap(start: float, end: float, count: int, length: int) -> tuple[slice, float, float, np.ndarray]:
    """Tell which of ``count`` output pixels along an axis, from ``start`` to ``end`` in a picture, see some of it.

    Returns:
        These output pixels; where they begin and end, in the picture's pixels; which share of each lies on the picture.
    """
    edges = start + (end - start) * (np.arange(count + 1) / count)
    share = (np.minimum(edges[1:], length) - np.maximum(edges[:-1], 0.0)) / np.diff(edges)
    seen = np.flatnonzero(share > 1e-6)
    if len(seen) == 0:
        return slice(0, 0), 0.0, 0.0, share[:0]
    first, last = int(seen[0]), int(seen[-1]) + 1
    return slice(first, last), float(edges[first]), float(edges[last]), np.clip(share[first:last], 0.0, 1.0)


def _sampled(raster: Raster, box: tuple[float, float, float, float], width: int, height: int) -> Raster:
    """Resize a box of a picture, in its pixels; colours weigh by opacity, so that nothing hidden shows."""
    left, top, right, bottom = (round(side) for side in box)
    on_pixels = max(abs(side - whole) for side, whole in zip(box, (left, top, right, bottom), strict=True)) < 1e-6
    rows, columns = raster.opacity.shape
    inside = left >= 0 and top >= 0 and right <= columns and bottom <= rows
    if on_pixels and inside and (right - left, bottom - top) == (width, height):
        return Raster(raster.colours[top:bottom, left:right], raster.opacity[top:bottom, left:right])
    # A border pixel of the output may reach beyond the picture, but Pillow may not: the picture's borders are repeated.
    beyond = [max(0, int(np.ceil(side))) for side in (-box[1], box[3] - rows, -box[0], box[2] - columns)]
    shifted = (box[0] + beyond[2], box[1] + beyond[0], box[2] + beyond[2], box[3] + beyond[0])

    def resized(channel: Tensor) -> np.ndarray:
        values = np.pad(channel.cpu().numpy().astype(np.float32), (beyond[:2], beyond[2:]), mode="edge")
        return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC, box=shifted))

    colours, opacity = raster
    small = resized(opacity)
    weighed = np.stack([resized(colours[..., channel] * opacity) for channel in range(3)], axis=2)
    seen = small[..., None] > 1e-4
    straight = np.divide(weighed, small[..., None], out=np.zeros_like(weighed), where=seen).clip(0.0, 1.0)
    small = np.select([small <= 1e-4, small >= 1.0 - 1e-5], [0.0, 1.0], small).astype(np.float32)
    return Raster(torch.from_numpy(straight).to(colours), torch.from_numpy(small).to(opacity))
