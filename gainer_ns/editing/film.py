"""From posed pictures to frames in a file: drawn, laid over what is behind, written one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.editing.backgrounds import Background
from gainer_ns.editing.compositing import (
    Backdrop,
    Crop,
    Raster,
    RasterBackdrop,
    UniformBackdrop,
    clean_plate,
    image_backdrop,
    nothing,
    over,
)
from gainer_ns.errors import GainerError
from gainer_ns.frames import ImagePlane
from gainer_ns.io.colour_profiles import ColourProfile, converted
from gainer_ns.io.outputs import OutputTarget
from gainer_ns.io.sequence_io import open_sequence_writer
from gainer_ns.preparation.inpainting import Inpainter, inpainter_for
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.raster import RasterGrid, check_room

COVERED = 0.999
"""From this opacity on a pixel needs no filling."""


class Drawn(Protocol):
    """What frames are drawn from: a picture, or a lifted photo as a camera sees it."""

    @property
    def plane(self) -> ImagePlane:
        """Its pixels."""
        ...

    @property
    def profile(self) -> ColourProfile | None:
        """What its colours mean; None for sRGB."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it is drawn."""
        ...

    def raster(
        self, scale: float = 1.0, crop: Crop | None = None
    ) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w 1"]]:
        """Colours, not multiplied by alpha, and alpha."""
        ...


@dataclass(frozen=True)
class Behind:
    """What lies behind the layers of all frames.

    Attributes:
        backdrop: What does not move.
        filler: What fills what is then left open, frame by frame; None to leave it open.
    """

    backdrop: Backdrop
    filler: Inpainter | None = None

    @classmethod
    def of(cls, background: Background, picture: BakedPicture, find_hole: Callable[[], Bool[Tensor, "h w"]]) -> Behind:
        """What a script puts behind a picture.

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
        check_frame(picture, 1.0)
        hole = find_hole()
        inpainter = inpainter_for(background.inpaint.spec, device=picture.device)
        filler = None if picture.has_alpha else inpainter
        if not bool(hole.any()):
            return cls(nothing(picture.device), filler)
        rgb, alpha = picture.raster()
        return cls(RasterBackdrop(clean_plate(rgb, alpha[..., 0], hole, inpainter)), filler)

    @classmethod
    def colour_or_image(cls, colour: tuple[float, float, float] | None, image: Path | None, picture: Drawn) -> Behind:
        """A colour or an image behind a picture, or nothing.

        Args:
            colour: Red, green and blue, 0 to 255.
            image: A picture file, scaled to cover the fitted picture.
            picture: The fitted picture.

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
        if not all(0 <= part <= 255 for part in colour):
            raise GainerError(f"background colour {colour}: red, green and blue are numbers from 0 to 255")
        own = converted(np.array([[colour]], np.float32) / 255, None, picture.profile)[0, 0]
        return cls(UniformBackdrop(torch.from_numpy(own).to(picture.device)))


def check_frame(picture: Drawn, scale: float, crop: Crop | None = None) -> None:
    """Refuses sizes of frames that cannot be drawn, so that no long work precedes that.

    Raises:
        GainerError: If scale and crop leave no picture, or there is no memory for so many pixels.
    """
    check_room(RasterGrid.over(picture.plane, scale, crop, framed=False), picture.device)


class Shot(NamedTuple):
    """A frame for which the camera has moved.

    Attributes:
        picture: What it films.
        shift: How far it has moved to the right and down, in source pixels.
    """

    picture: Drawn
    shift: tuple[float, float]


@dataclass
class Camera:
    """Draws frames of one size.

    Attributes:
        behind: What lies behind the layers.
        scale: Output pixels per source pixel.
        crop: The part that is drawn, in source pixels; None for the whole picture.
    """

    behind: Behind
    scale: float = 1.0
    crop: Crop | None = None
    _back: tuple[Crop, Raster] | None = field(default=None, init=False, repr=False)

    def draw(self, picture: Drawn, shift: tuple[float, float] | None = None) -> Raster:
        """One frame: the picture as it is in it, over what lies behind.

        Args:
            picture: The picture.
            shift: How far a camera that follows something has moved to the right and down, in source pixels. It is
                rounded to whole output pixels, so that what stands still passes without a shimmer. None where the
                camera stands still.

        Raises:
            GainerError: If scale and crop leave no picture, or there is no memory for so many pixels.
        """
        crop = self.crop or (0.0, 0.0, float(picture.plane.width), float(picture.plane.height))
        if shift is not None:
            crop = _shifted(crop, shift, self.scale)
        rgb, alpha = picture.raster(self.scale, crop)
        if self._back is None or self._back[0] != crop:  # it stands still, so one serves all frames of a crop
            self._back = crop, self.behind.backdrop.on(crop, alpha.shape[1], alpha.shape[0])
        frame = over(Raster(rgb, alpha[..., 0]), self._back[1])
        if self.behind.filler is None:
            return frame
        open_pixels = frame.opacity < COVERED
        if not bool(open_pixels.any()) or bool(open_pixels.all()):
            return frame
        filled = self.behind.filler(frame.colours, open_pixels)
        return over(frame, Raster(filled, torch.ones_like(frame.opacity)))


def _shifted(crop: Crop, shift: tuple[float, float], scale: float) -> Crop:
    """A crop moved by whole output pixels, and made as large as a whole number of them, which rounding cannot change.

    Scales that leave no picture are left to the raster, which refuses them.
    """
    if not (math.isfinite(scale) and scale > 0):
        return crop
    left, top, right, bottom = crop
    x, y = (start + round(by * scale) / scale for start, by in zip((left, top), shift, strict=True))
    across, down = (max(1, round(length * scale)) / scale for length in (right - left, bottom - top))
    return x, y, x + across, y + down


def write_film(
    path: Path | OutputTarget,
    pictures: Iterable[Drawn | Shot],
    camera: Camera,
    *,
    frames: int,
    fps: float = 24.0,
    bit_depth: int = 8,
    profile: ColourProfile | None = None,
    progress: Callable[[float], None] | None = None,
    keep_interrupted: bool = False,
) -> tuple[int, int]:
    """Draws pictures and writes them, as a picture, a folder of pictures or a film by the name of the file.

    Args:
        path: Where to, or what its name means; see :func:`gainer_ns.io.sequence_io.open_sequence_writer`.
        pictures: The picture as it is in each frame, as shots where the camera moves; may be made as they are asked
            for.
        camera: Draws them.
        frames: How many pictures there are.
        fps: Frames a second.
        bit_depth: Bits a sample of PNG files.
        profile: What the pictures' colours mean; None for sRGB.
        progress: Called after every frame with the share, 0 to 1, that is done.
        keep_interrupted: Whether Ctrl-C leaves a film of the frames that are finished, instead of nothing.

    Returns:
        Width and height of a frame in pixels.

    Raises:
        GainerError: If a frame cannot be drawn or written; nothing is left behind then.
    """
    size = 0, 0
    with open_sequence_writer(
        path, frames=frames, fps=fps, bit_depth=bit_depth, profile=profile, keep_interrupted=keep_interrupted
    ) as sequence:
        for number, picture in enumerate(pictures, start=1):
            frame = camera.draw(*picture) if isinstance(picture, Shot) else camera.draw(picture)
            opaque = bool((frame.opacity >= COVERED).all())
            sequence.write(frame.colours.cpu().numpy(), None if opaque else frame.opacity.cpu().numpy())
            size = frame.opacity.shape[1], frame.opacity.shape[0]
            if progress is not None:
                progress(number / frames)
    return size
