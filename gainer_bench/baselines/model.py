"""A baseline as a nerfstudio model: the shell of all pictures on a plane, around a function that Adam learns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import Parameter

from gainer_bench.baselines.fit import FunctionFit
from gainer_bench.baselines.picture_function import PictureFunction, PictureFunctionConfig
from gainer_ns.fitting.loop import FitTrainer
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.footprints import Footprints, PixelExtent
from gainer_ns.image.picture_model import PictureModel, PictureModelConfig
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.rendering.drawable import BLOCK_POINTS, Drawable, drawn_in_blocks
from gainer_ns.rendering.point_colours import PointColours

if TYPE_CHECKING:
    from gainer_ns.image.datamanager import PictureDataManager

CHECKPOINT_BYTES_PER_PIXEL = 200
"""Room for a checkpoint of the largest of them: parameters, and the two numbers that Adam keeps for each."""
CHECKPOINT_BYTES_PER_NUMBER = 12
MIN_CHECKPOINT_BYTES = 64 << 20
"""The same for networks, whatever the picture."""


@dataclass
class BaselineModelConfig(PictureModelConfig):
    """A baseline and how it is fitted."""

    _target: type = field(default_factory=lambda: BaselineModel)
    function: PictureFunctionConfig = field(default_factory=PictureFunctionConfig)
    """What the picture is made of."""
    steps: int = 30_000
    """Adam steps, unless fit-seconds ends the fit before."""
    pixels_per_step: int | None = None
    """Pixels drawn at random for each step; None for all of them, as most papers have it."""
    rates_follow_clock: bool = True
    """Whether learning rates fall with the time where fit-seconds ends the fit, and not with the steps."""

    def check(self, pixels: int) -> None:
        """Ask the function, which may need what this machine has not."""
        self.function.check()

    def planned_adam_steps(self, pixels: int) -> int:
        """Return as many as the user says, for any picture."""
        return self.steps

    def model_bytes(self, plane: ImagePlane) -> int:
        """Return as much as the function takes, or, where that is more, the largest of them as it comes."""
        return max(
            MIN_CHECKPOINT_BYTES,
            CHECKPOINT_BYTES_PER_PIXEL * plane.pixels,
            CHECKPOINT_BYTES_PER_NUMBER * self.function.numbers(plane),
        )


@dataclass(frozen=True)
class FunctionPicture(Drawable):
    """A picture that a function draws; opaque within its frame."""

    plane: ImagePlane  # the picture's plane
    function: PictureFunction  # its colours
    bit_depth: int = 8  # bits a channel of the source: 8 or 16
    profile: ColourProfile | None = None  # what the colours mean; None for sRGB

    @property
    def has_alpha(self) -> bool:
        """Say no: the papers know only colours."""
        return False

    @property
    def device(self) -> torch.device:
        """Return where the function's parameters are."""
        return next(self.function.parameters()).device

    @property
    def block_points(self) -> int:
        """Return all pixels, where the function is best asked for them at once."""
        return max(BLOCK_POINTS, self.plane.pixels) if self.function.at_once else BLOCK_POINTS

    @torch.no_grad()
    def at(self, points: Float[Tensor, "m 2"], extent: PixelExtent | None = None) -> PointColours:
        """Draw any points of the plane, in blocks; those outside the frame are transparent."""
        return drawn_in_blocks(self._block, points.float(), extent, self.block_points)

    def _block(self, points: Float[Tensor, "m 2"], extent: PixelExtent | None) -> PointColours:
        footprints = None if extent is None else Footprints.of(extent, points)
        return self._points(points).averaged_over(points, footprints, self._points)

    def _points(self, points: Float[Tensor, "m 2"]) -> PointColours:
        inside = (points.abs() <= points.new_tensor(self.plane.half_extent) * (1 + 1e-6)).all(dim=1)
        if bool(inside.all()):
            rgb, one = self.function(points), points.new_ones(len(points), 1)
            return PointColours(rgb, one)
        drawn = PointColours.nothing(points)
        drawn.rgb[inside], drawn.alpha[inside] = self.function(points[inside]), 1.0
        return drawn


class BaselineModel(PictureModel):
    """Any of the baselines; its configuration says which."""

    config: BaselineModelConfig
    checkpoint_version = 1

    def populate_modules(self) -> None:
        """Build the function."""
        super().populate_modules()
        self.function: PictureFunction = self.config.function.setup(plane=self.plane, seed=self.config.seed)
        self._picture: FunctionPicture | None = None

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """Return parameters by the name of their optimizer."""
        return self.function.param_groups()

    def fit_of(self, data: PictureDataManager, trainer: FitTrainer) -> FunctionFit:
        """Make a fit of the function."""
        picture = torch.from_numpy(data.train_dataset.picture.colours()).to(self.device)
        return FunctionFit(
            self.function, self.config, picture, data.find_pixels(), self.bit_depth, trainer, self.changed
        )

    def fitted(self) -> Drawable:
        """Return the picture as it is now."""
        if self._picture is None:
            self._picture = FunctionPicture(self.plane, self.function, self.bit_depth, self.profile)
        return self._picture

    def changed(self) -> None:
        """Forget the picture, whenever a parameter was changed."""
        self._picture = None
