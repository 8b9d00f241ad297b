"""The fit of a picture with a Gaussian at the centre of each pixel: one step, in closed form."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.fitting.loop import FitLoop, FitTrainer
from gainer_ns.fitting.picture_fit import FitPlan
from gainer_ns.fitting.prefilter import prefilter
from gainer_ns.gaussians.lattice import Lattice, LatticeReading
from gainer_ns.gaussians.opacity import OPACITY_OVERSHOOT, opacity_field, supporting_pixels
from gainer_ns.memory import check_free

_BYTES_PER_PIXEL = 200
"""Peak memory of a fit."""
_MAX_CORRECTIONS = 6
"""Each adds about 25 dB, and two are usual: what the first leaves is at borders, where neighbours are missing."""
_MIN_PSNR = 100.0
"""In dB, of the fitted pixels: a correction costs little."""
_TOLERANCE_LEVELS = 0.25
"""Largest error of a value: half of what rounding forgives, since whoever draws rounds a little, too."""
_OPACITY_TOLERANCE_LEVELS = 0.125


def interpolate(
    reading: LatticeReading,
    picture: Float[Tensor, "h w c"],
    pixels: Int[Tensor, " m"],
    under: Int[Tensor, " n"],
    is_met: Callable[[Float[Tensor, "m c"]], bool],
) -> tuple[Float[Tensor, "n c"], Float[Tensor, "m c"]]:
    """Find values of Gaussians whose averages are a picture: by the prefilter, and again of what that leaves.

    Args:
        reading: What the pixels read of the Gaussians.
        picture: Continued to where it is transparent.
        pixels: Row-major indices of the pixels that are to be met.
        under: The same of the pixel under each Gaussian.
        is_met: Tells whether averages at these pixels are near enough.

    Returns:
        The values, and their averages.
    """
    sigma, target = reading.lattice.sigma, picture.flatten(0, 1)[pixels]
    values = prefilter(picture, sigma).flatten(0, 1)[under]
    averages = reading @ values
    for _ in range(_MAX_CORRECTIONS):
        if is_met(averages):
            break
        missing = torch.zeros_like(picture)
        missing.view(-1, picture.shape[2])[pixels] = target - averages
        corrected = values + prefilter(missing, sigma).flatten(0, 1)[under]
        found = reading @ corrected
        if not float((found - target).square().sum()) < float((averages - target).square().sum()):
            break
        values, averages = corrected, found
    return values, averages


class LatticeFit(FitLoop):
    """Fits one picture in one step.

    Args:
        plan: What is fitted; its recipe has a closed form.
        pixels: Row-major indices of the fitted pixels, ascending.
        target: Their colours.
        trainer, changed: See :class:`FitLoop`.
    """

    def __init__(
        self,
        plan: FitPlan,
        pixels: Int[Tensor, " m"],
        target: Float[Tensor, "m 3"],
        trainer: FitTrainer,
        changed: Callable[[], None],
    ) -> None:
        super().__init__(plan.bit_depth, trainer, changed)
        count = plan.plane.pixels
        check_free(_BYTES_PER_PIXEL * count, f"fitting {count / 1e6:.1f} megapixels", plan.less_memory)
        self.plan, self.pixels, self.target = plan, pixels, target
        self._colours: Float[Tensor, "m 3"] | None = None

    def outputs(self) -> dict[str, Tensor]:
        """Return colours rgb [m, 3] of the fitted pixels, and target [m, 3], what they should be."""
        return {"rgb": self.colours(), "target": self.target}

    @torch.no_grad()
    def colours(self) -> Float[Tensor, "m 3"]:
        """Return the colours of the fitted pixels."""
        if self._colours is None:
            encoding, decoder = self.plan.learned
            lattice = self._lattice()
            assert encoding.features_table is not None
            centres = self.plan.plane.pixel_centres(self.pixels)
            self._colours = decoder.decode(LatticeReading(lattice, centres) @ encoding.features_table)
        return self._colours

    @torch.no_grad()
    def _before_step(self, step: int) -> None:
        started = time.monotonic()
        plane, opacity, (encoding, decoder) = self.plan.plane, self.plan.opacity, self.plan.learned
        lattice, under = self._lattice(), plane.pixel_at(encoding.means)
        assert encoding.features_table is not None
        if opacity is not None:
            encoding.opacities = self._opacities(lattice, opacity.to(under.device), under)
        max_error = _TOLERANCE_LEVELS / (2**self.plan.bit_depth - 1)
        tolerance = 10 ** (-max(self.plan.recipe.target_psnr, _MIN_PSNR) / 10)

        def is_met(colours: Float[Tensor, "m 3"]) -> bool:
            error = colours - self.target
            return float(error.square().mean()) < tolerance and float(error.abs().max()) < max_error

        reading = LatticeReading(lattice, plane.pixel_centres(self.pixels))
        picture = self.plan.continued_picture(self.pixels, self.target)
        values, self._colours = interpolate(reading, picture, self.pixels, under, is_met)
        encoding.features_table.data = decoder.features_for(values)
        self._spent("closed form", started)

    def _lattice(self) -> Lattice:
        """The lattice of the pixels' centres."""
        encoding = self.plan.learned.encoding
        lattice = Lattice.of(encoding.gaussian_set(), float(encoding.spacing))
        assert lattice is not None
        return lattice

    def _opacities(
        self, lattice: Lattice, opacity: Float[Tensor, "h w"], under: Int[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        """Opacities of the Gaussians, whose averages, clamped, are the picture's own (paper, section 3.4)."""
        pixels = supporting_pixels(opacity, 1.0).flatten().nonzero()[:, 0]
        field, ends = opacity_field(opacity), (-OPACITY_OVERSHOOT, 1 + OPACITY_OVERSHOOT)
        target = field.flatten()[pixels, None].clamp(*ends)
        tolerance = _OPACITY_TOLERANCE_LEVELS / (2**self.plan.bit_depth - 1)

        def is_met(averages: Float[Tensor, "m 1"]) -> bool:
            return float((averages.clamp(*ends) - target).abs().max()) < tolerance

        reading = LatticeReading(lattice, self.plan.plane.pixel_centres(pixels))
        return interpolate(reading, field[..., None], pixels, under, is_met)[0][:, 0]

    def _after_step(self, step: int) -> None:
        self._changed()
        self._measure(step)
        self.finished = True

    def _ends_with(self, step: int) -> bool:
        return step >= 0

    def _errors(self) -> Float[Tensor, "m 3"]:
        return self.colours() - self.target
