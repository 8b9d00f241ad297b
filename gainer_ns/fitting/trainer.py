"""Take the steps of a fit without nerfstudio: the same steps, with nothing around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import Parameter
from torch.optim.adam import Adam
from torch.optim.lr_scheduler import LambdaLR

from gainer_ns.errors import GainerError
from gainer_ns.fitting.lattice_fit import LatticeFit
from gainer_ns.fitting.learned_fit import LearnedFit
from gainer_ns.fitting.loop import FitLoop, FitTrainer
from gainer_ns.fitting.picture_fit import FitPlan, PictureFit, fitted_colours
from gainer_ns.fitting.recipe import LearnedPicture, PictureRecipe
from gainer_ns.fitting.schedules import CosineSchedule, StepsSchedule
from gainer_ns.frames import ImagePlane
from gainer_ns.interrupts import StopRequest
from gainer_ns.rendering.layer import Layer

ADAM_EPSILON = 1e-15
"""Added to the root of Adam's mean squares."""


@dataclass(frozen=True)
class AdamRecipe:
    """Options of Adam.

    Attributes:
        rates: Learning rates at the start, by groups of parameters.
        schedule: How they change; as long as the Adam steps of the fit.
        betas: How much of the last steps' gradients, and of their squares, is remembered.
    """

    rates: Mapping[str, float]
    schedule: CosineSchedule | StepsSchedule
    betas: tuple[float, float] = (0.9, 0.999)


AnyFit: TypeAlias = LatticeFit | PictureFit | LearnedFit
"""The fit of a picture on its plane."""
_NO_ADAM = AdamRecipe({}, CosineSchedule())


class _Optimizers:
    """Adam on groups of parameters, and its schedules; none where there are no steps, since torch compiles for Adam."""

    def __init__(self, groups: Mapping[str, Sequence[Parameter]], adam: AdamRecipe, steps: int) -> None:
        schedule = replace(adam.schedule, max_steps=steps)
        self.optimizers = {
            name: Adam(parameters, lr=adam.rates[name], betas=adam.betas, eps=ADAM_EPSILON)
            for name, parameters in (groups.items() if steps > 0 else ())
        }
        self.schedulers = {name: LambdaLR(one, schedule.factor_at) for name, one in self.optimizers.items()}


class PlainTrainer:
    """A :class:`gainer_ns.fitting.loop.FitTrainer` that runs a fit from its first step to its last and saves nothing.

    ``groups`` are the parameters of Adam, by what they are; None for fits that do all by themselves.
    """

    def __init__(
        self, groups: Mapping[str, Sequence[Parameter]] | None = None, adam: AdamRecipe = _NO_ADAM, adam_steps: int = 0
    ) -> None:
        self.optimizers = _Optimizers(groups or {}, adam, adam_steps)
        self.stop_training = False
        self.stop = StopRequest(at_once=lambda: True)
        self._shown: Callable[[float], None] = lambda share: None

    def report(self, step: int, psnr: float) -> None:
        """Show nothing: the fit keeps its history."""

    def say(self, line: str) -> None:
        """Show nothing: the caller has ``progress``."""

    def progress(self, share: float) -> None:
        """Tell the caller of :meth:`run` which share of the step that is under way is done."""
        self._shown(share)

    def save_checkpoint(self, step: int) -> None:
        """Save nothing: the fit is over in a moment, or its caller's."""

    def run(
        self,
        fit: FitLoop,
        steps: int | None,
        adam_step: Callable[[], Tensor] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        """Take all steps of a fit, or at most ``steps``.

        ``adam_step`` returns the loss of a step, which Adam lessens if anything depends on it; None for fits that do
        all by themselves. ``progress`` is called after every step, and within long ones, with the share, 0 to 1, that
        is done at least.

        Raises:
            GainerError: If the loss is not a number any more.
        """
        step = 0

        def tell(steps_done: float) -> None:
            if progress is not None and steps is not None:
                progress(1.0 if self.stop_training else steps_done / steps)

        while not self.stop_training and (steps is None or step < steps):
            self._shown = lambda share, step=step: tell(step + share)
            fit.begin_step(step)
            if adam_step is not None:
                self._lessen(adam_step)
            fit.end_step(step)
            step += 1
            tell(step)

    def _lessen(self, loss_of_step: Callable[[], Tensor]) -> None:
        """Take an Adam step, unless nothing depends on the loss, and a step of the schedules."""
        for optimizer in self.optimizers.optimizers.values():
            optimizer.zero_grad()
        loss = loss_of_step()
        if not bool(loss.isfinite()):
            raise GainerError("the loss is not a number any more; fit with lower learning rates")
        if loss.requires_grad:
            loss.backward()
            for optimizer in self.optimizers.optimizers.values():
                optimizer.step()
        for scheduler in self.optimizers.schedulers.values():
            scheduler.step()


def fit_of(plan: FitPlan, target: Float[Tensor, "m 3"], trainer: FitTrainer, changed: Callable[[], None]) -> AnyFit:
    """Return the fit of a plan to the colours of its pixels: in closed form where there is one, by steps elsewhere."""
    if plan.learned.encoding.is_moving:
        return LearnedFit(plan, target, trainer, changed)
    closed = plan.recipe.has_closed_form(plan.plane.pixels)
    return (LatticeFit if closed else PictureFit)(plan, target, trainer, changed)


def fit_layer(
    colours: Float[Tensor, "h w 3"],
    opacity: Float[Tensor, "h w"] | None,
    recipe: PictureRecipe,
    adam: AdamRecipe,
    *,
    bit_depth: int = 8,
    device: torch.device | str = "cpu",
    progress: Callable[[float], None] | None = None,
) -> tuple[Layer, AnyFit]:
    """Fit Gaussians to colours and opacity in [0, 1], which are not multiplied (paper, sections 3.2 to 3.4).

    ``bit_depth``, 8 or 16, says from which error on values are exact; ``progress`` is called after every step with the
    share, 0 to 1, that is done at least.

    Returns:
        The Gaussians and their decoder, baked, and the fit, which knows how good they are.

    Raises:
        GainerError: If nothing shows, the recipe contradicts itself, or there is too little memory.
    """
    plane = ImagePlane(colours.shape[1], colours.shape[0])
    encoding, decoder = recipe.begin(plane, opacity)
    learned = LearnedPicture(encoding.to(device), decoder.to(device))
    adam_steps = recipe.planned_adam_steps(plane.pixels)
    trainer = PlainTrainer(learned.groups(), adam, adam_steps)
    target = fitted_colours(colours.to(device), opacity)
    fit = fit_of(FitPlan(plane, opacity, learned, bit_depth, recipe), target, trainer, lambda: None)
    by_time = recipe.fit_seconds is not None and adam_steps > 0
    steps = None if by_time else recipe.planned_steps(plane.pixels)

    def loss() -> Tensor:
        outputs = fit.outputs()
        return recipe.loss_of(outputs["rgb"], outputs["target"])

    trainer.run(fit, steps, loss if isinstance(fit, PictureFit) else None, progress)
    decoder.requires_grad_(False).eval()
    return learned.layer(plane), fit
