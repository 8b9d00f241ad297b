"""Frames of a film: what they are drawn from, the camera that draws them, and the file that they are written to."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.editing.backdrops import BackgroundPlate
from gainer_ns.frames import ImagePlane
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.io.outputs import OutputTarget
from gainer_ns.io.sequence_io import open_sequence_writer
from gainer_ns.rendering.compositing import Raster, over
from gainer_ns.rendering.raster import Crop, RasterGrid, RasterSource, check_room
from gainer_ns.rendering.read_back import on_host
from gainer_ns.rendering.redrawing import Redrawer

if TYPE_CHECKING:
    from gainer_ns.lifting.scene import LiftedScene
    from gainer_ns.lifting.views import CameraView

_logger = logging.getLogger(__name__)

_OPAQUE_ALPHA = 0.999
"""From this opacity on a pixel needs no filling."""
_SHOWN_ALPHA = 0.5 / 255
"""Up to this opacity 8 bits show nothing."""


@dataclass(frozen=True)
class SceneView:
    """A lifted photo as a camera sees it; see :class:`gainer_ns.rendering.raster.RasterSource`.

    Attributes:
        scene: The photo.
        view: The camera.
    """

    scene: LiftedScene
    view: CameraView

    @property
    def plane(self) -> ImagePlane:
        """The camera's pixels."""
        return ImagePlane(self.view.camera.width, self.view.camera.height)

    @property
    def profile(self) -> ColourProfile | None:
        """What its colours mean; None for sRGB."""
        return self.scene.profile

    @property
    def device(self) -> torch.device:
        """Where it is drawn."""
        return self.scene.device

    def raster(
        self, scale: float = 1.0, crop: Crop | None = None
    ) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w 1"]]:
        """Draw colours, not multiplied by alpha, and alpha."""
        return self.scene.raster(scale, crop, view=self.view)


def check_frame(picture: RasterSource, scale: float, crop: Crop | None = None) -> None:
    """Raise a GainerError if scale and crop leave no picture, or one too large, so that no long work precedes that."""
    check_room(RasterGrid.over(picture.plane, scale, crop, framed=False), picture.device)


class Shot(NamedTuple):
    """A frame for which the camera has moved.

    Attributes:
        picture: What it films.
        shift: How far it has moved to the right and down, in source pixels.
    """

    picture: RasterSource
    shift: tuple[float, float]


@dataclass
class Camera:
    """A camera that draws frames of one size.

    Attributes:
        background: What lies behind the layers.
        scale: Output pixels per source pixel.
        crop: The part that is drawn, in source pixels; None for the whole picture.
        watch: Is shown how much each frame covers, [h, w, 1], before anything is laid behind it; may raise.
    """

    background: BackgroundPlate
    scale: float = 1.0
    crop: Crop | None = None
    watch: Callable[[Float[Tensor, "h w 1"]], None] | None = None
    _back: tuple[Crop, Raster] | None = field(default=None, init=False, repr=False)
    _redrawer: Redrawer = field(default_factory=Redrawer, init=False, repr=False)

    def draw(self, picture: RasterSource | Shot) -> Raster:
        """Draw one frame: the picture as it is in it, over what lies behind.

        What has not changed since the frame before is not drawn again.

        Args:
            picture: The picture, or a shot where the camera has moved: by a whole number of output pixels, rounded, so
                that what stands still passes without a shimmer.

        Raises:
            GainerError: If scale and crop leave no picture, or there is no memory for so many pixels.
        """
        picture, shift = picture if isinstance(picture, Shot) else (picture, None)
        crop = self.crop or (0.0, 0.0, float(picture.plane.width), float(picture.plane.height))
        if shift is not None:
            crop = _shifted(crop, shift, self.scale)
        rgb, alpha = self._redrawer.raster(picture, self.scale, crop)
        if self.watch is not None:
            self.watch(alpha)
        frame = Raster(rgb, alpha[..., 0])
        if self.background.is_nothing:
            return frame
        if self._back is None or self._back[0] != crop:  # it stands still, so one serves all frames of a crop
            self._back = crop, self.background.backdrop.on(crop, alpha.shape[1], alpha.shape[0])
        frame = over(frame, self._back[1])
        if self.background.filler is None:
            return frame
        open_pixels = frame.opacity < _OPAQUE_ALPHA
        if not bool(open_pixels.any()) or bool(open_pixels.all()):
            return frame
        filled = self.background.filler(frame.colours, open_pixels)
        return over(frame, Raster(filled, torch.ones_like(frame.opacity)))


def _shifted(crop: Crop, shift: tuple[float, float], scale: float) -> Crop:
    """Move a crop by whole output pixels, and make it as large as a whole number of them.

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
    drawn: Iterable[Raster],
    *,
    frames: int,
    fps: float = 24.0,
    bit_depth: int = 8,
    profile: ColourProfile | None = None,
    progress: Callable[[float], None] | None = None,
    keep_interrupted: bool = False,
) -> tuple[int, int]:
    """Write frames as a picture, a folder of pictures or a film by the name of the file.

    Args:
        path: Where to, or what its name means; see :func:`gainer_ns.io.sequence_io.open_sequence_writer`.
        drawn: The frames; may be drawn as they are asked for.
        frames: How many there are.
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
    size, shows = (0, 0), False
    with open_sequence_writer(
        path, frames=frames, fps=fps, bit_depth=bit_depth, profile=profile, keep_interrupted=keep_interrupted
    ) as sequence:
        for number, frame in enumerate(on_host(drawn), start=1):
            opaque = float(frame.opacity.amin()) >= _OPAQUE_ALPHA
            sequence.write(frame.colours.numpy(), None if opaque else frame.opacity.numpy())
            size = frame.opacity.shape[1], frame.opacity.shape[0]
            shows = shows or bool((frame.opacity > _SHOWN_ALPHA).any())
            if progress is not None:
                progress(number / frames)
    if not shows:
        _logger.warning(
            "%s: nothing shows in it; what was edited lies beyond what is drawn, unless canvas: auto takes that in",
            path.path if isinstance(path, OutputTarget) else path,
        )
    return size
