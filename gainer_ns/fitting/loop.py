"""Run a fit around the steps that a trainer takes for it: nerfstudio's, or the one beside this file."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.optimizer import Optimizer

from gainer_ns.fitting.recipe import GaussianRecipe
from gainer_ns.interrupts import StopRequest

SECONDS_BETWEEN_CHECKPOINTS = 30.0
"""How much of a fit an interruption can lose."""
SECONDS_BETWEEN_SIGNS = 10.0
"""How often a fit that takes long shows that it lives."""
_MIN_GAIN_DB = 0.05
"""A fit ends when a Gauss-Newton step improves the picture by less."""


class FitOptimizers(Protocol):
    """The optimisers around a fit, and the schedules of their learning rates, by groups of parameters."""

    @property
    def optimizers(self) -> Mapping[str, Optimizer]:
        """The optimisers."""
        ...

    @property
    def schedulers(self) -> Mapping[str, LRScheduler]:
        """The schedules; none for what never steps."""
        ...


class FitTrainer(Protocol):
    """The trainer around a fit."""

    @property
    def optimizers(self) -> FitOptimizers:
        """The optimisers of the Adam steps."""
        ...

    stop_training: bool
    stop: StopRequest

    def report(self, step: int, psnr: float) -> None:
        """Report the PSNR of the picture after a step, in dB."""
        ...

    def say(self, line: str) -> None:
        """Show how far a fit that takes long has come."""
        ...

    def progress(self, share: float) -> None:
        """Show which share, 0 to 1, of the step that is under way is done."""
        ...

    def save_checkpoint(self, step: int) -> None:
        """Save what the fit has come to, in or after a step."""
        ...


def error_sizes(error: Float[Tensor, "m c"]) -> tuple[float, float]:
    """Return the mean square of errors, and the largest one; the errors are spent."""
    return float(error.square().mean(dtype=torch.float64)), float(error.abs_().max())


class FitLoop(ABC):
    """A fit whose steps are counted, timed, reported and saved, and which says when it is done.

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
        step: The last step that was taken to its end; -1 before the first.
        is_under_way: Whether a step has begun that is not taken to its end.
        finished: Whether there is nothing left to do.
    """

    def __init__(
        self, bit_depth: int, trainer: FitTrainer, changed: Callable[[], None], fit_seconds: float | None = None
    ) -> None:
        self.seconds: dict[str, float] = {}
        self.psnr, self.exact = -math.inf, False
        self.history: list[tuple[int, float, float]] = []
        self.step, self.is_under_way, self.finished = -1, False, False
        self._gain = math.inf  # dB, of the last step that measured it
        self._bit_depth, self._trainer, self._changed, self._limit = bit_depth, trainer, changed, fit_seconds
        self._saved = self._said = self._started = time.monotonic()

    def outcome(self) -> str:
        """Tell the quality so far, with the step that it was measured in if that is not the last."""
        quality = f"{self.psnr:.2f} dB" if self.history else "not measured"
        if self.history and self.history[-1][0] != self.step:
            quality += f" in step {self.history[-1][0]}"
        if self.exact:
            quality += f", every {self._bit_depth}-bit value exact"
        return f"{quality}, {sum(self.seconds.values()):.1f} s"

    def state_dict(self) -> dict[str, Any]:
        """Return what the next steps depend on beside parameters and optimisers: plain numbers and tensors."""
        return {
            "seconds": dict(self.seconds),
            "psnr": self.psnr,
            "exact": self.exact,
            "gain": self._gain,
            "history": list(self.history),
        }

    def load_state_dict(self, state: dict[str, Any], step: int) -> None:
        """Resume after ``step``, the last one taken to its end, once parameters and optimisers are loaded.

        The state is empty in checkpoints that were written before it was kept.
        """
        self.step = step
        self.seconds.update(state.get("seconds", {}))
        self.psnr, self.exact = state.get("psnr", self.psnr), state.get("exact", self.exact)
        self._gain, self.history = state.get("gain", self._gain), list(state.get("history", []))
        self.finished = bool(state) and self._ends_with(step)

    @abstractmethod
    def _before_step(self, step: int) -> None: ...

    @abstractmethod
    def _after_step(self, step: int) -> None: ...

    @abstractmethod
    def _ends_with(self, step: int) -> bool:
        """Return whether this step, which was taken, is the last."""

    def begin_step(self, step: int) -> None:
        """Prepare a step, or take it where no optimiser does."""
        self.is_under_way = True
        self._before_step(step)

    def end_step(self, step: int) -> None:
        """Measure, save and report a step, which the optimisers may have taken since :meth:`begin_step`."""
        self._after_step(step)
        self.step, self.is_under_way = step, False
        if self.finished:
            self._trainer.stop_training = True
        self._rest(step)

    @abstractmethod
    def _error_sizes(self) -> tuple[float, float]:
        """Return the mean square of the errors of the fitted colours, and the largest one."""

    def _spent(self, on: str, since: float) -> None:
        self.seconds[on] = self.seconds.get(on, 0.0) + time.monotonic() - since

    def _note(self, step: int, seconds: float, mean_squared_error: float) -> float:
        """Note how good the picture was after a step; return that as PSNR in dB."""
        psnr = -10 * math.log10(max(mean_squared_error, 1e-20))
        self.history.append((step, seconds, psnr))
        return psnr

    @property
    def _time_used(self) -> float:
        """Which share of the time that it may take is over: 0 where there is no limit."""
        return 0.0 if self._limit is None else sum(self.seconds.values()) / max(self._limit, 1e-9)

    def _schedule_by_time(self, steps: int, share: float = 1.0) -> None:
        """Put the learning rates, whose schedules have so many steps.

        Where they should be in this share of the limited time.
        """
        if self._limit is not None:
            for scheduler in self._trainer.optimizers.schedulers.values():
                scheduler.last_epoch = int(min(1.0, self._time_used / share) * steps)

    def _rest(self, step: int) -> None:
        """Save now and then, at a point in or after a step from which the fit can go on, and stop where asked to.

        Raises:
            KeyboardInterrupt: If the user wants to stop.
        """
        began, asked = time.monotonic(), self._trainer.stop.signal is not None
        if asked or began - self._saved > SECONDS_BETWEEN_CHECKPOINTS:
            self._trainer.save_checkpoint(step)
            self._saved = time.monotonic()
            self._started += self._saved - began  # which is not the fit's time
        if began - self._said > SECONDS_BETWEEN_SIGNS and not self.finished:
            self._trainer.say(f"{'In' if self.is_under_way else 'After'} step {step}: {self.outcome()}")
            self._said = began
        self._trainer.stop.answer()

    @torch.no_grad()
    def _measure(self, step: int) -> None:
        """Update PSNR, its gain and exactness, and report the PSNR."""
        before, (mean_square, largest) = self.psnr, self._error_sizes()
        self.psnr = self._note(step, sum(self.seconds.values()), mean_square)
        self.exact = largest < 0.5 / (2**self._bit_depth - 1)  # half a level
        self._trainer.report(step, self.psnr)
        self._gain = self.psnr - before


class GaussNewtonLoop(FitLoop):
    """A fit that ends with Gauss-Newton steps, and with which of them; arguments as of :class:`FitLoop`."""

    def __init__(
        self, recipe: GaussianRecipe, bit_depth: int, trainer: FitTrainer, changed: Callable[[], None]
    ) -> None:
        super().__init__(bit_depth, trainer, changed, recipe.fit_seconds)
        self._target_psnr, self._finish_steps = recipe.target_psnr, recipe.finish_steps

    def _is_done(self, number: int) -> bool:
        """Return whether the Gauss-Newton step of this number, which was measured, is the last."""
        reached = self.psnr >= self._target_psnr and self.exact
        return reached or self._gain < _MIN_GAIN_DB or number + 1 >= self._finish_steps or self._time_used >= 1
