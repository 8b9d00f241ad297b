"""The fit of a baseline inside nerfstudio's own training loop: Adam on all pixels, or on some of them each step."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_bench.baselines.picture_function import PictureFunction
from gainer_ns.fitting.loop import FitLoop, FitTrainer, error_sizes
from gainer_ns.memory import check_free
from gainer_ns.rendering.drawable import BLOCK_POINTS

if TYPE_CHECKING:
    from gainer_bench.baselines.model import BaselineModelConfig

SAMPLED_PIXELS = 1 << 15
"""How many pixels tell the PSNR on the way, unless all are quickly drawn; at the end all of them do."""
TRIAL_POINTS = 256
"""How many points tell what is kept of one for its gradient."""
BYTES_PER_KEPT_BYTE = 1.3
"""How much memory a step takes for each byte that is kept, about."""
PSNR_TIME_FACTOR = 1.3
"""Factor of the time of fitting after which PSNR is measured again: curves are drawn over its logarithm."""
FIRST_PSNR_SECONDS = 0.1
"""Seconds of fitting after which it is measured first."""


class FunctionFit(FitLoop):
    """Fits a function to a picture.

    Args:
        function: What is fitted.
        recipe: How.
        picture: [h, w, 3], colours of the whole picture.
        pixels: Row-major indices of the fitted pixels.
        bit_depth: Bits of the source's values, 8 or 16.
        trainer: Is told when the fit is done, and saves checkpoints.
        changed: Called after every step, when parameters have changed.

    Time goes to what the function does before the first step, and to Adam.
    """

    def __init__(
        self,
        function: PictureFunction,
        recipe: BaselineModelConfig,
        picture: Float[Tensor, "h w 3"],
        pixels: Int[Tensor, " m"],
        bit_depth: int,
        trainer: FitTrainer,
        changed: Callable[[], None],
    ) -> None:
        super().__init__(bit_depth, trainer, changed, recipe.fit_seconds)
        self._function, self._recipe, self._picture = function, recipe, picture
        self._points = function.plane.pixel_centres(pixels)
        self._target = picture.reshape(-1, 3)[pixels]
        self._random = torch.Generator().manual_seed(recipe.seed)
        self._measured: Tensor | None = None if function.at_once else self._some(SAMPLED_PIXELS)
        self._next_psnr = FIRST_PSNR_SECONDS
        self.seconds = {"begin": 0.0, "adam": 0.0}

    def outputs(self) -> dict[str, Tensor]:
        """Return colours rgb [m, 3] of the pixels of this step, and target [m, 3], what they should be."""
        rows = None if self._recipe.pixels_per_step is None else self._some(self._recipe.pixels_per_step)
        if rows is None:
            return {"rgb": self._function(self._points), "target": self._target}
        return {"rgb": self._function(self._points[rows]), "target": self._target[rows]}

    def _some(self, count: int) -> Int[Tensor, " m"] | None:
        """Return rows drawn at random, with repetition; None where that would be all of them."""
        if count >= len(self._target):
            return None
        return torch.randint(len(self._target), (count,), generator=self._random).to(self._target.device)

    def _before_step(self, step: int) -> None:
        self._started = time.monotonic()
        if step == 0:
            self._function.begin(self._picture)
            self._check_room()
            self._spent("begin", self._started)
            self._started = time.monotonic()
        if self._recipe.rates_follow_clock:
            self._schedule_by_time(self._recipe.steps)

    def _check_room(self) -> None:
        """Refuse a step for whose points there is no memory; what draws all at once keeps nothing for each of them."""
        few = min(TRIAL_POINTS, len(self._points) // 2)
        if self._function.at_once or few == 0 or self._points.is_cuda:  # where torch says so itself, at once
            return
        kept = [0, 0]
        for number, points in enumerate((self._points[:few], self._points[: 2 * few])):

            def keep(tensor: Tensor, number: int = number) -> Tensor:
                kept[number] += tensor.numel() * tensor.element_size()
                return tensor

            with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                self._function(points)
        count = min(self._recipe.pixels_per_step or len(self._points), len(self._points))
        remedy = "lower --pipeline.model.pixels-per-step, which is all pixels unless it is set"
        check_free(BYTES_PER_KEPT_BYTE * count * (kept[1] - kept[0]) / few, f"a step on {count:,} pixels", remedy)

    def _after_step(self, step: int) -> None:
        self._changed()
        self._spent("adam", self._started)
        if self._ends_with(step):
            self._measured = None
            self._measure(step)
            self.finished = True
        elif (spent := sum(self.seconds.values())) >= self._next_psnr:
            self._measure(step)
            self._next_psnr = spent * PSNR_TIME_FACTOR

    def _ends_with(self, step: int) -> bool:
        if self._limit is None or not self._recipe.rates_follow_clock:  # whatever comes first
            return step + 1 >= self._recipe.steps or self._time_used >= 1
        return self._time_used >= 1

    def state_dict(self) -> dict[str, Any]:
        """Return what the next steps depend on: see :meth:`gainer_ns.fitting.loop.FitLoop.state_dict`."""
        return super().state_dict() | {"random": self._random.get_state(), "next_psnr": self._next_psnr}

    def load_state_dict(self, state: dict[str, Any], step: int) -> None:
        """Go on to draw the pixels that would have been drawn next."""
        super().load_state_dict(state, step)
        if state:
            self._random.set_state(state["random"])
            self._next_psnr = state["next_psnr"]

    @torch.no_grad()
    def _error_sizes(self) -> tuple[float, float]:
        points = self._points if self._measured is None else self._points[self._measured]
        target = self._target if self._measured is None else self._target[self._measured]
        block = len(points) if self._function.at_once else BLOCK_POINTS
        return error_sizes(torch.cat([self._function(part) for part in points.split(block)]) - target)
