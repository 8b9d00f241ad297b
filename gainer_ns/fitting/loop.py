"""What a fit does around the steps that it takes inside nerfstudio's own training loop."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation
from nerfstudio.utils import writer
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.utils.writer import EventName
from torch import Tensor

from gainer_ns.fitting.recipe import GaussianRecipeConfig

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import Trainer

SECONDS_BETWEEN_CHECKPOINTS = 30.0
"""How much of a fit an interruption can lose."""
LEAST_GAIN = 0.05
"""The finish gives up when a step improves the picture by less (dB)."""


class FitLoop(ABC):
    """Counts, times and reports the steps of a fit, saves checkpoints, and says when it is done.

    Args:
        bit_depth: Bits of the source's values, 8 or 16.
        trainer: Is told when the fit is done, and saves checkpoints.
        changed: Called after every step, when parameters have changed.
        fit_seconds: How long it may take; None for no limit.

    Attributes:
        seconds: Time spent so far, by what it was spent on.
        psnr: Of what is fitted, after the last step that measured it, in dB.
        exact: Whether every value was exact then, rounded to the source's bits.
        history: (step, seconds of fitting so far, PSNR in dB) of every step that measured it.
    """

    def __init__(
        self, bit_depth: int, trainer: Trainer, changed: Callable[[], None], fit_seconds: float | None = None
    ) -> None:
        self.seconds: dict[str, float] = {}
        self.psnr, self.exact = -math.inf, False
        self.history: list[tuple[int, float, float]] = []
        self._bit_depth, self._trainer, self._changed, self._limit = bit_depth, trainer, changed, fit_seconds
        self._saved = self._started = time.monotonic()

    def callbacks(self) -> list[TrainingCallback]:
        """What nerfstudio calls around each step."""
        before, after = TrainingCallbackLocation.BEFORE_TRAIN_ITERATION, TrainingCallbackLocation.AFTER_TRAIN_ITERATION
        return [TrainingCallback([before], self._before_step), TrainingCallback([after], self._after_step)]

    @abstractmethod
    def _before_step(self, step: int) -> None: ...

    @abstractmethod
    def _after_step(self, step: int) -> None: ...

    @abstractmethod
    def _errors(self) -> Float[Tensor, "m 3"]:
        """Errors of the fitted colours."""

    def _spent(self, on: str, since: float) -> None:
        self.seconds[on] = self.seconds.get(on, 0.0) + time.monotonic() - since

    def _note(self, step: int, seconds: float, mean_squared_error: float) -> float:
        """Notes how good the picture was after a step, and returns that as PSNR in dB."""
        psnr = -10 * math.log10(max(mean_squared_error, 1e-20))
        self.history.append((step, seconds, psnr))
        return psnr

    @property
    def _time_used(self) -> float:
        """Which share of the time that it may take is over: 0 where there is no limit."""
        return 0.0 if self._limit is None else sum(self.seconds.values()) / max(self._limit, 1e-9)

    def _schedule_by_time(self, steps: int, share: float = 1.0) -> None:
        """Puts the learning rates where they should be at this time, if there is a limit.

        Args:
            steps: Length of their schedules in steps.
            share: Which share of the time the schedules fill.
        """
        if self._limit is not None:
            for scheduler in self._trainer.optimizers.schedulers.values():
                scheduler.last_epoch = int(min(1.0, self._time_used / share) * steps)

    def _save_now_and_then(self, step: int) -> None:
        if time.monotonic() - self._saved > SECONDS_BETWEEN_CHECKPOINTS:
            self._trainer.save_checkpoint(step)
            self._saved = time.monotonic()

    @torch.no_grad()
    def _measure(self, step: int) -> float:
        """Updates PSNR and exactness, shows the PSNR in nerfstudio's table, and returns the gain in dB."""
        error = self._errors()
        before, mean_square = self.psnr, float(error.square().mean(dtype=torch.float64))
        self.psnr = self._note(step, sum(self.seconds.values()), mean_square)
        self.exact = float(error.abs_().max()) < 0.5 / (2**self._bit_depth - 1)  # half a level
        writer.put_scalar(name=EventName.CURR_TEST_PSNR, scalar=self.psnr, step=step)
        return self.psnr - before

    def _stop(self) -> None:
        self._trainer.stop_training = True
        took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items() if seconds > 0.05)
        exact = f"{'every' if self.exact else 'not every'} {self._bit_depth}-bit value exact"
        CONSOLE.log(f"Fitted to {self.psnr:.2f} dB, {exact} ({took})")


class GaussNewtonLoop(FitLoop):
    """A fit that ends with Gauss-Newton steps: it says after which of them enough is reached.

    Args:
        recipe: How far it goes.
        bit_depth, trainer, changed: See :class:`FitLoop`.
    """

    def __init__(
        self, recipe: GaussianRecipeConfig, bit_depth: int, trainer: Trainer, changed: Callable[[], None]
    ) -> None:
        super().__init__(bit_depth, trainer, changed, recipe.fit_seconds)
        self._target_psnr, self._finish_steps = recipe.target_psnr, recipe.finish_steps

    def _is_done(self, number: int, gain: float) -> bool:
        """Whether the Gauss-Newton step of this number, which gained so much (dB), was the last."""
        reached = self.psnr >= self._target_psnr and self.exact
        return reached or gain < LEAST_GAIN or number + 1 >= self._finish_steps or self._time_used >= 1
