"""The fit of a picture with a Gaussian at the centre of each pixel: one step, in closed form."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.fitting.loop import FitLoop, FitTrainer, error_sizes
from gainer_ns.fitting.picture_fit import FitPlan
from gainer_ns.gaussians.opacity import OPACITY_OVERSHOOT, opacity_field
from gainer_ns.gaussians.prefilter import NodeAverages
from gainer_ns.memory import check_free

_BYTES_PER_PIXEL, _BYTES_PER_CUT_OUT_PIXEL = 8, 200
"""What a fit takes at most, beside its target and what it fits: by rows, or all at once where there are holes."""
_BYTES_PER_COLUMN = 6000
"""The same for a column of a picture without holes: some rows and what is around them, in a few stages."""
_MAX_CORRECTIONS = 6
"""Each adds about 25 dB, and two are usual: what the first leaves is beside holes, where neighbours are missing."""
_MIN_PSNR = 100.0
"""In dB, of the fitted pixels: a correction costs little."""
_TOLERANCE_LEVELS = 0.25
"""Largest error of a value: half of what rounding forgives, since whoever draws rounds a little, too."""
_OPACITY_TOLERANCE_LEVELS = 0.125
_LOGGED_PIXELS = 1 << 20
"""Pixels whose colours are told to whoever logs a step, at most; the fit itself measures all."""


class CutOutReading:
    """What the nodes of a lattice read where Gaussians stand at some of them only.

    Args:
        averages: What they read where one stands at each.
        under: Row-major indices of the nodes with a Gaussian.
        pixels: The same of those that read.
    """

    def __init__(self, averages: NodeAverages, under: Int[Tensor, " n"], pixels: Int[Tensor, " m"]) -> None:
        self.averages, self.under, self.pixels = averages, under, pixels
        self._shares = self._averaged(torch.ones(1, len(under), device=under.device))

    def __matmul__(self, values: Float[Tensor, "c n"]) -> Float[Tensor, "c m"]:
        """Return what is read of the Gaussians' values: the averages of those there are."""
        return self._averaged(values) / self._shares

    def _averaged(self, values: Float[Tensor, "c n"]) -> Float[Tensor, "c m"]:
        return self.averages.of(self._spread(values, self.under)).flatten(1)[:, self.pixels]

    def _spread(self, values: Float[Tensor, "c n"], where: Int[Tensor, " n"]) -> Float[Tensor, "c h w"]:
        spread = values.new_zeros(len(values), self.averages.height * self.averages.width)
        spread[:, where] = values
        return spread.view(len(values), self.averages.height, self.averages.width)

    def interpolate(
        self, picture: Float[Tensor, "c h w"], is_met: Callable[[Float[Tensor, "c m"]], bool]
    ) -> tuple[Float[Tensor, "c n"], Float[Tensor, "c m"]]:
        """Find values whose averages are a picture: by the prefilter, and again of what that leaves.

        Args:
            picture: Continued to where it is transparent.
            is_met: Tells whether the averages are near enough.

        Returns:
            The values, and their averages.
        """
        target = picture.flatten(1)[:, self.pixels]
        values = self.averages.undone(picture).flatten(1)[:, self.under]
        found = self @ values
        for _ in range(_MAX_CORRECTIONS):
            if is_met(found):
                break
            missing = self._spread(target - found, self.pixels)
            corrected = values + self.averages.undone(missing).flatten(1)[:, self.under]
            nearer = self @ corrected
            if not float((nearer - target).square().sum()) < float((found - target).square().sum()):
                break
            values, found = corrected, nearer
        return values, found


class LatticeFit(FitLoop):
    """Fits one picture in one step.

    Args:
        plan: What is fitted; its recipe has a closed form.
        target: The colours of its fitted pixels, in the order of the pixels.
        trainer, changed: See :class:`FitLoop`.
    """

    def __init__(
        self, plan: FitPlan, target: Float[Tensor, "m 3"], trainer: FitTrainer, changed: Callable[[], None]
    ) -> None:
        super().__init__(plan.bit_depth, trainer, changed)
        count, width = plan.plane.pixels, plan.plane.width
        needed = _BYTES_PER_PIXEL * count + _BYTES_PER_COLUMN * width
        if plan.opacity is not None:
            needed = _BYTES_PER_CUT_OUT_PIXEL * count
        check_free(needed, f"fitting {count / 1e6:.1f} megapixels", plan.less_memory)
        self.plan, self.target = plan, target
        self._error = torch.inf, torch.inf  # mean square, and largest

    @torch.no_grad()
    def outputs(self) -> dict[str, Tensor]:
        """Return colours rgb [m, 3] of fitted pixels, and target [m, 3], what they should be.

        Of a large picture that shows everywhere, the topmost rows stand for all.
        """
        values = self._values()
        if self._is_whole:
            rows = max(1, min(self.plan.plane.height, _LOGGED_PIXELS // self.plan.plane.width))
            rgb = self._averages().of_rows(lambda some: self._rows_of(values, some), 0, rows).flatten(1).T
        else:
            rgb = (self._reading() @ values.T).T
        return {"rgb": rgb, "target": self.target[: len(rgb)]}

    def _values(self) -> Float[Tensor, "n 3"]:
        encoding, decoder = self.plan.learned
        assert encoding.features_table is not None
        return decoder.decode(encoding.features_table)

    @property
    def _is_whole(self) -> bool:
        """Whether a Gaussian stands at each pixel, and each is fitted."""
        return self.plan.opacity is None

    def _averages(self) -> NodeAverages:
        plane, encoding = self.plan.plane, self.plan.learned.encoding
        return NodeAverages(plane.height, plane.width, encoding.config.sigma, encoding.means.device)

    def _reading(self) -> CutOutReading:
        under = self.plan.plane.pixel_at(self.plan.learned.encoding.means)
        return CutOutReading(self._averages(), under, self.plan.pixels(under.device))

    @torch.no_grad()
    def _before_step(self, step: int) -> None:
        started = time.monotonic()
        if self._is_whole:
            self._fit_strips()
        else:
            self._fit_cut_out()
        self._spent("closed form", started)

    def _rows_of(self, table: Float[Tensor, "n c"], rows: slice) -> Float[Tensor, "c r w"]:
        """Copy rows of a table of the pixels, channel by channel."""
        width = self.plan.plane.width
        chosen = table[rows.start * width : rows.stop * width]
        return chosen.T.contiguous().view(-1, rows.stop - rows.start, width)

    def _is_met(self) -> bool:
        """Tell whether the errors are small enough."""
        mean_square, largest = self._error
        tolerance = 10 ** (-max(self.plan.recipe.target_psnr, _MIN_PSNR) / 10)
        return mean_square < tolerance and largest < _TOLERANCE_LEVELS / (2**self.plan.bit_depth - 1)

    def _fit_strips(self) -> None:
        """Fit some rows after others, so that memory hardly grows with the picture."""
        encoding, decoder = self.plan.learned
        assert encoding.features_table is not None
        averages, width, table = self._averages(), self.plan.plane.width, encoding.features_table.data
        # Numbers that come one by one would lie between what is freed, and keep it from being used again.
        sizes = table.new_zeros(2, averages.height, dtype=torch.float64)

        def fit(first: int, last: int) -> None:
            values, error = averages.interpolated_rows(functools.partial(self._rows_of, self.target), first, last)
            table[first * width : last * width] = decoder.features_for(values.flatten(1).T)
            sizes[1, first] = error.abs_().max()
            sizes[0, first] = error.square_().sum()

        averages.each_strip(fit, self._come_to)
        self._error = float(sizes[0].sum()) / self.target.numel(), float(sizes[1].max())

    def _come_to(self, share: float) -> None:
        """Tell which share of the step is done, and end it where that is wanted: one that begins anew loses little."""
        self._trainer.progress(share)
        self._trainer.stop.answer()

    def _fit_cut_out(self) -> None:
        """Fit what shows of a picture with alpha, whose colours go on where it is transparent."""
        opacity, (encoding, decoder) = self.plan.opacity, self.plan.learned
        assert opacity is not None and encoding.features_table is not None
        reading = self._reading()
        encoding.opacities = self._opacities(reading, opacity.to(self.target.device))

        def is_met(colours: Float[Tensor, "3 m"]) -> bool:
            self._error = error_sizes(colours - self.target.T)
            self._come_to(0.9)
            return self._is_met()

        self._come_to(0.6)  # about, as all shares of a cut-out
        picture = self.plan.continued_picture(reading.pixels, self.target).permute(2, 0, 1).contiguous()
        self._come_to(0.7)
        values, colours = reading.interpolate(picture, is_met)
        is_met(colours)
        encoding.features_table.data = decoder.features_for(values.T)
        self._come_to(1.0)

    def _opacities(self, colours: CutOutReading, opacity: Float[Tensor, "h w"]) -> Float[Tensor, " n"]:
        """Opacities of the Gaussians, whose averages, clamped, are the picture's own (paper, section 3.4)."""
        pixels = colours.under  # a Gaussian stands at all that are visible, and at those around them
        field, ends = opacity_field(opacity), (-OPACITY_OVERSHOOT, 1 + OPACITY_OVERSHOOT)
        self._come_to(0.4)
        target = field.flatten()[None, pixels].clamp(*ends)
        tolerance = _OPACITY_TOLERANCE_LEVELS / (2**self.plan.bit_depth - 1)

        def is_met(averages: Float[Tensor, "1 m"]) -> bool:
            return float((averages.clamp(*ends) - target).abs().max()) < tolerance

        reading = CutOutReading(colours.averages, colours.under, pixels)
        return reading.interpolate(field[None], is_met)[0][0]

    def _after_step(self, step: int) -> None:
        self._changed()
        self._measure(step)
        self.finished = True

    def _ends_with(self, step: int) -> bool:
        return step >= 0

    def _error_sizes(self) -> tuple[float, float]:
        return self._error
