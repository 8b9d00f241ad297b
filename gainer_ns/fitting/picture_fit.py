"""The fit of a picture, step by step, whoever's loop takes the steps.

A step is an Adam step until ``adam_steps``, and from then on a Gauss-Newton step. Both are steps of one loop, so that
progress, logging, checkpoints, limits and resume are the loop's, as they are for every method.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.fields.knn_encoding import PointReading
from gainer_ns.fitting.bands import BandsStep, PictureBands, fit_opacities
from gainer_ns.fitting.loop import FitTrainer, GaussNewtonLoop, error_sizes
from gainer_ns.fitting.memory import check_memory
from gainer_ns.fitting.recipe import LearnedPicture, PictureRecipe
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.opacity import nearest_visible_pixel, opacity_field, supporting_pixels

_ADAM_TIME_SHARE = 0.8
"""Share of a limited time that belongs to Adam, where Gauss-Newton steps follow."""
_STEPS_BETWEEN_PSNR = 10
"""How often an Adam step reports its PSNR."""


def fitted_pixels(
    plane: ImagePlane, opacity: Float[Tensor, "h w"] | None, device: torch.device | str = "cpu"
) -> Int[Tensor, " m"]:
    """Return row-major indices, ascending, of the pixels that are fitted: all, or those with any opacity.

    See section 3.3 of the paper.
    """
    if opacity is None:
        return torch.arange(plane.pixels, device=device)
    return (opacity.flatten() > 0).nonzero()[:, 0].to(device)


def fitted_colours(colours: Float[Tensor, "h w 3"], opacity: Float[Tensor, "h w"] | None) -> Float[Tensor, "m 3"]:
    """Return the colours of the pixels that are fitted; where these are all, they are not copied."""
    flat = colours.reshape(-1, 3)
    return flat if opacity is None else flat[(opacity.flatten() > 0).to(flat.device)]


@dataclass
class FitPlan:
    """What is fitted, and how far."""

    plane: ImagePlane
    """The picture's plane."""
    opacity: Float[Tensor, "h w"] | None
    """The picture's own opacity; None for a picture without alpha."""
    learned: LearnedPicture
    """Its Gaussians and their decoder."""
    bit_depth: int
    """Bits of the source's values, 8 or 16."""
    recipe: PictureRecipe
    """How far, and how."""
    less_memory: str = "reduce the picture, or fit fewer Gaussians a pixel"
    """What to do where there is too little memory."""

    def pixels(self, device: torch.device | str) -> Int[Tensor, " m"]:
        """Return row-major indices, ascending, of the fitted pixels."""
        return fitted_pixels(self.plane, self.opacity, device)

    def continued_picture(self, pixels: Int[Tensor, " m"], target: Float[Tensor, "m 3"]) -> Float[Tensor, "h w 3"]:
        """Return the colours of the fitted pixels, and those of the nearest visible ones where it is transparent."""
        colours = target.new_zeros(self.plane.pixels, 3)
        colours[pixels] = target
        if self.opacity is not None:
            colours = colours[nearest_visible_pixel(self.opacity).flatten().to(colours.device)]
        return colours.view(self.plane.height, self.plane.width, 3)


class PictureFit(GaussNewtonLoop):
    """The fit of one picture: of the colours ``target`` of its fitted pixels, in the order of these.

    Time goes to the graph (neighbours and weights), to Adam, to opacities and to Gauss-Newton steps ("finish").
    """

    def __init__(
        self,
        plan: FitPlan,
        target: Float[Tensor, "m 3"],
        trainer: FitTrainer,
        changed: Callable[[], None],
    ) -> None:
        super().__init__(plan.recipe, plan.bit_depth, trainer, changed)
        self.plan, self.pixels, self.target = plan, plan.pixels(target.device), target
        self._encoding, self._decoder = plan.learned
        self._planned_adam_steps = plan.recipe.planned_adam_steps(plan.plane.pixels)
        check_memory(len(target), self._encoding, self._planned_adam_steps, plan.less_memory)
        self.seconds = {"graph": 0.0, "adam": 0.0, "opacity": 0.0, "finish": 0.0}
        self._reading: PointReading | None = None
        self._bands: PictureBands | None = None
        self._has_left_adam = False  # baked, and opacities fitted
        self._so_far: BandsStep | None = None  # of a Gauss-Newton step that is under way
        self._final_colours: Float[Tensor, "m 3"] | None = None
        self._adam_steps: float = self._planned_adam_steps
        self._adam_share = _ADAM_TIME_SHARE if self._finish_steps > 0 else 1.0
        if plan.recipe.fit_seconds is not None and self._planned_adam_steps > 0:
            self._adam_steps = math.inf  # until its share of the time is over

    def outputs(self) -> dict[str, Tensor]:
        """Return colours rgb [m, 3] of the points that this step fits, and target [m, 3], what they should be."""
        return {"rgb": self.colours(), "target": self.target}

    def colours(self) -> Float[Tensor, "m 3"]:
        """Return the colours of the fitted points after this step; differentiable while Adam is at work."""
        if self._final_colours is not None:
            return self._final_colours
        if self._reading is None:
            self._reading = self._read()
        return self._decoder(self._encoding(self._reading))

    def state_dict(self) -> dict[str, Any]:
        """Return what the next steps depend on: see :meth:`gainer_ns.fitting.loop.FitLoop.state_dict`."""
        return super().state_dict() | {
            "adam_steps": self._adam_steps,
            "is_finishing": self._has_left_adam,
            "so_far": None if self._so_far is None else tuple(self._so_far),
        }

    def load_state_dict(self, state: dict[str, Any], step: int) -> None:
        """Find again how far Adam goes, and which bands of the next step are done."""
        if self._adam_steps == math.inf:
            self._adam_steps = state.get("adam_steps", self._adam_steps)
        super().load_state_dict(state, step)
        if not state:
            return
        self._has_left_adam = state["is_finishing"]
        if state["so_far"] is not None:
            self._so_far = BandsStep(*state["so_far"])
            self.finished = False

    def _read(self) -> PointReading:
        started = time.monotonic()
        reading = self._encoding.read(self.plan.plane.pixel_centres(self.pixels))
        self._spent("graph", started)
        self._started += time.monotonic() - started  # which is not Adam's time
        return reading

    def _before_step(self, step: int) -> None:
        self._started = time.monotonic()
        if step == 0 and not self._has_left_adam:
            self._first_features()
        if self._adam_steps == math.inf and self._time_used >= self._adam_share:
            self._adam_steps = step + 1 if self._finish_steps == 0 else step
        if step >= self._adam_steps:
            self._gauss_newton_step(step)
        else:
            self._has_left_adam = False
            self._schedule_by_time(self._planned_adam_steps, self._adam_share)

    def _after_step(self, step: int) -> None:
        self._changed()
        is_gauss_newton = step >= self._adam_steps
        self._spent("finish" if is_gauss_newton else "adam", self._started)
        self._so_far = None
        ends_with_adam = step + 1 == self._adam_steps and self._finish_steps == 0
        if is_gauss_newton or ends_with_adam or step % _STEPS_BETWEEN_PSNR == 0:
            self._measure(step)
        if ends_with_adam:
            self._encoding.bake()
            self._fit_opacities()
        if self._ends_with(step):
            self.finished = True

    def _ends_with(self, step: int) -> bool:
        if step < self._adam_steps:
            return step + 1 == self._adam_steps and self._finish_steps == 0
        return self._is_done(int(step - self._adam_steps))

    def _first_features(self) -> None:
        """Start with features that the linear path alone decodes to the colour of the pixel under each mean."""
        encoding, opacity = self._encoding, self.plan.opacity
        if encoding.features_table is None:
            return
        pixel = self.plan.plane.pixel_at(encoding.means)
        if opacity is not None:  # those around what shows begin with its colours, and so nothing else bleeds into it
            pixel = nearest_visible_pixel(opacity).flatten().to(pixel.device)[pixel]
        nearest = torch.searchsorted(self.pixels, pixel)
        encoding.features_table.data = self._decoder.features_for(self.target[nearest])

    def _fit_opacities(self) -> None:
        encoding, plane, opacity = self._encoding, self.plan.plane, self.plan.opacity
        if opacity is None:
            return
        started = time.monotonic()
        near = supporting_pixels(opacity, float(encoding.spacing) / plane.pixel_size)
        pixels = near.flatten().nonzero()[:, 0].to(self.pixels.device)
        field = opacity_field(opacity).flatten().to(pixels.device)[pixels]
        gaussians, neighbours = encoding.gaussian_set(), encoding.config.num_neighbours
        encoding.opacities = fit_opacities(plane, gaussians, neighbours, pixels, field, bit_depth=self.plan.bit_depth)
        self._spent("opacity", started)
        self._started += time.monotonic() - started  # which is not the steps' time

    def _gauss_newton_step(self, step: int) -> None:
        encoding, config, number = self._encoding, self.plan.recipe.finish, int(step - self._adam_steps)
        if not self._has_left_adam:
            self._reading = None  # Adam is done with it
            encoding.bake()
            self._fit_opacities()
            self._has_left_adam, self._so_far = True, BandsStep()
            self._rest(step)
        if self._bands is None:
            gaussians = encoding.gaussian_set()
            self._bands = PictureBands(self.plan.plane, gaussians, encoding.config.num_neighbours, self.pixels)
        assert encoding.features_table is not None
        if number < self._finish_steps:
            damping = config.damping * config.damping_decay**number
            arguments = encoding.features_table.data, self._decoder, self.target, damping, config

            def rest(done: BandsStep) -> None:
                self._so_far = done
                self._spent("finish", self._started)
                self._started = time.monotonic()
                self._rest(step)

            done = self._bands.gauss_newton_step(*arguments, so_far=self._so_far or BandsStep(), after_band=rest)
            if not self.history:  # the first picture there is: that of the features that the fit begins with
                self._note(number - 1, self._bands.seconds, done.error_before)
        self._final_colours = self._bands.decode(encoding.features_table.data, self._decoder)
        self.seconds["graph"] += self._bands.seconds
        self.seconds["finish"] -= self._bands.seconds
        self._bands.seconds = 0.0

    def _error_sizes(self) -> tuple[float, float]:
        return error_sizes(self.colours().detach() - self.target)
