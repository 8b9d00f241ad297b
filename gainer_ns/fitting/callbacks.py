"""The fit of a picture inside nerfstudio's own training loop.

A step is an Adam step until ``adam_steps``, and from then on a Gauss-Newton step of the finish. nerfstudio's loop runs
both, so progress, logging, checkpoints, ``--max-num-iterations`` and resume work as they do for every method.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation
from nerfstudio.utils import writer
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.utils.writer import EventName
from torch import Tensor

from gainer_ns.encodings.knn_encoding import GaussianKNNEncoding, PointReading
from gainer_ns.fields.decoder import Decoder
from gainer_ns.fitting.bands import PictureBands
from gainer_ns.fitting.memory import check_memory
from gainer_ns.fitting.opacity import fit_opacities
from gainer_ns.fitting.solver import FinishConfig
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.opacity import MARGIN, near_what_shows, nearest_shown, opacity_field

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import Trainer

SECONDS_BETWEEN_CHECKPOINTS = 30.0
"""How much of a fit an interruption can lose."""
LEAST_GAIN = 0.05
"""The finish gives up when a step improves the picture by less (dB)."""
STEPS_BETWEEN_PSNR = 10
"""How often an Adam step reports its PSNR."""


@dataclass
class FitPlan:
    """What is fitted, and how far."""

    plane: ImagePlane
    """The picture's plane."""
    opacity: Float[Tensor, "h w"] | None
    """The picture's own opacity; None for a picture without alpha."""
    encoding: GaussianKNNEncoding
    """Its Gaussians."""
    decoder: Decoder
    """From features to colours."""
    adam_steps: int
    """Steps by Adam before the finish."""
    finish_steps: int
    """Most Gauss-Newton steps."""
    target_psnr: float
    """Where the finish stops (dB), once every value is exact."""
    bit_depth: int
    """Bits of the source's values, 8 or 16."""
    finish: FinishConfig
    """How a Gauss-Newton step is taken."""


class PictureFit:
    """Fits one picture, and keeps account of it.

    Args:
        plan: What is fitted, and how far.
        pixels: Row-major indices of the fitted pixels, ascending.
        target: Their colours.
        trainer: Is told when the fit is done, and saves checkpoints.
        changed: Called after every step, when parameters have changed.

    Attributes:
        seconds: Time spent so far on the graph (neighbours and weights), on Adam, on opacities and on the finish.
        psnr: Of the fitted pixels after the last step that measured it, in dB.
        exact: Whether every value was exact then, rounded to the source's bits.
        history: (step, seconds of fitting so far, PSNR in dB) of every step that measured it.
    """

    def __init__(
        self,
        plan: FitPlan,
        pixels: Int[Tensor, " m"],
        target: Float[Tensor, "m 3"],
        trainer: Trainer,
        changed: Callable[[], None],
    ) -> None:
        self.plan, self.pixels, self.target = plan, pixels, target
        self._trainer, self._changed = trainer, changed
        check_memory(len(pixels), len(plan.encoding), plan.encoding, plan.adam_steps)
        self.seconds = {"graph": 0.0, "adam": 0.0, "opacity": 0.0, "finish": 0.0}
        self.psnr, self.exact = -math.inf, False
        self.history: list[tuple[int, float, float]] = []
        self._reading: PointReading | None = None
        self._bands: PictureBands | None = None
        self._finished_colours: Float[Tensor, "m 3"] | None = None
        self._saved = self._started = time.monotonic()

    def callbacks(self) -> list[TrainingCallback]:
        """What nerfstudio calls around each step."""
        before, after = TrainingCallbackLocation.BEFORE_TRAIN_ITERATION, TrainingCallbackLocation.AFTER_TRAIN_ITERATION
        return [TrainingCallback([before], self._before_step), TrainingCallback([after], self._after_step)]

    def colours(self) -> Float[Tensor, "m 3"]:
        """Colours of the fitted pixels as this step leaves them; differentiable while Adam is at work."""
        if self._finished_colours is not None:
            return self._finished_colours
        if self._reading is None:
            started = time.monotonic()
            self._reading = self.plan.encoding.read(self.plan.plane.pixel_centres(self.pixels))
            self.seconds["graph"] += time.monotonic() - started
        return self.plan.decoder(self.plan.encoding(self._reading))

    def _before_step(self, step: int) -> None:
        self._started = time.monotonic()
        if step == 0:
            self._first_features()
        if step >= self.plan.adam_steps:
            self._finish_step(step - self.plan.adam_steps)

    def _after_step(self, step: int) -> None:
        self._changed()
        finishing = step >= self.plan.adam_steps
        self.seconds["finish" if finishing else "adam"] += time.monotonic() - self._started
        if finishing or step % STEPS_BETWEEN_PSNR == 0:
            gain = self._measure(step)
            if finishing and self._is_done(step - self.plan.adam_steps, gain):
                self._stop()
        if step + 1 == self.plan.adam_steps and self.plan.finish_steps == 0:
            self._measure(step)
            self.plan.encoding.bake()
            self._fit_opacities()
            self._stop()
        if time.monotonic() - self._saved > SECONDS_BETWEEN_CHECKPOINTS:
            self._trainer.save_checkpoint(step)
            self._saved = time.monotonic()

    def _first_features(self) -> None:
        """Features that the linear path alone decodes to the colour of the pixel under each mean."""
        encoding, opacity = self.plan.encoding, self.plan.opacity
        if encoding.features_table is None:
            return
        pixel = self.plan.plane.pixel_at(encoding.means)
        if opacity is not None:  # those around what shows begin with its colours, and so nothing else bleeds into it
            pixel = nearest_shown(opacity).flatten().to(pixel.device)[pixel]
        nearest = torch.searchsorted(self.pixels, pixel)
        encoding.features_table.data = self.plan.decoder.features_for(self.target[nearest])

    def _fit_opacities(self) -> None:
        encoding, plane, opacity = self.plan.encoding, self.plan.plane, self.plan.opacity
        if opacity is None:
            return
        started = time.monotonic()
        spacing = max(1.0, float(encoding.spacing) / plane.pixel_size)
        pixels = near_what_shows(opacity, MARGIN * spacing).flatten().nonzero()[:, 0].to(self.pixels.device)
        field = opacity_field(opacity).flatten().to(pixels.device)[pixels]
        gaussians, neighbours = encoding.gaussian_set(), encoding.config.num_neighbours
        encoding.opacities = fit_opacities(plane, gaussians, neighbours, pixels, field, bit_depth=self.plan.bit_depth)
        self.seconds["opacity"] += time.monotonic() - started
        self._started += time.monotonic() - started  # which is not the finish's time

    def _finish_step(self, number: int) -> None:
        encoding, config = self.plan.encoding, self.plan.finish
        if self._bands is None:
            self._reading = None  # Adam is done with it
            encoding.bake()
            self._fit_opacities()
            gaussians = encoding.gaussian_set()
            self._bands = PictureBands(self.plan.plane, gaussians, encoding.config.num_neighbours, self.pixels)
        assert encoding.features_table is not None
        if number < self.plan.finish_steps:
            damping = config.damping * config.damping_decay**number
            features, decoder = encoding.features_table.data, self.plan.decoder
            self._bands.finish(features, decoder, self.target, damping, config)
        self._finished_colours = self._bands.decode(encoding.features_table.data, self.plan.decoder)
        self.seconds["graph"] += self._bands.seconds
        self.seconds["finish"] -= self._bands.seconds
        self._bands.seconds = 0.0

    @torch.no_grad()
    def _measure(self, step: int) -> float:
        """Updates PSNR and exactness, shows the PSNR in nerfstudio's table, and returns the gain in dB."""
        error = self.colours() - self.target
        before, mean_square = self.psnr, float(error.square().mean(dtype=torch.float64))
        self.psnr = -10 * math.log10(max(mean_square, 1e-20))
        self.exact = float(error.abs_().max()) < 0.5 / (2**self.plan.bit_depth - 1)  # half a level
        self.history.append((step, sum(self.seconds.values()), self.psnr))
        writer.put_scalar(name=EventName.CURR_TEST_PSNR, scalar=self.psnr, step=step)
        return self.psnr - before

    def _is_done(self, number: int, gain: float) -> bool:
        reached = self.psnr >= self.plan.target_psnr and self.exact
        return reached or gain < LEAST_GAIN or number + 1 >= self.plan.finish_steps

    def _stop(self) -> None:
        self._trainer.stop_training = True
        took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items() if seconds > 0.05)
        exact = f"{'every' if self.exact else 'not every'} {self.plan.bit_depth}-bit value exact"
        CONSOLE.log(f"Fitted to {self.psnr:.2f} dB, {exact} ({took})")
