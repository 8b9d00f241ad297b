"""The fit of a picture by Gaussians that are learned entirely: they start from its spline, and take Levenberg steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.fitting.levenberg import levenberg_step
from gainer_ns.fitting.loop import FitLoop, FitTrainer, error_sizes
from gainer_ns.fitting.picture_fit import FitPlan
from gainer_ns.fitting.rounding import ROUNDS, Rounding
from gainer_ns.gaussians import placement
from gainer_ns.gaussians.aggregation import search_and_aggregate
from gainer_ns.memory import check_free
from gainer_ns.rendering.matte import Matte

_BYTES_PER_POINT_AND_NEIGHBOUR = 40
"""Of what points read, there and back, while it is made."""
_FIRST_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 0.1, 0.02, 10.0
_LESS, _MORE, _MUCH_MORE = 0.7, 1.5, 3.0
"""What damping is multiplied by after a whole step, after a part of one, and after none."""
_SLOPE_STEP_PX = 0.5
"""From a mean, to where the spline tells slopes."""
_UNROUNDED_SHARE = 0.5
"""Of the steps, after which rounding begins."""
_ASIDE_PX = (0.5, 0.5), (0.5, 0.0), (0.0, 0.5)
"""From pixel centres, to the points between them that are fitted in turn; the first of these last."""
_LEAST_SHARE = 0.02
"""Of a point, so that what is as good as transparent has colours too."""
Features = Callable[[Float[Tensor, "m 2"]], Float[Tensor, "m 3"]]
"""What should be read at places, in pixels."""


class LearnedFit(FitLoop):
    """Fits one picture, all of whose Gaussians are learned; arguments as of :class:`LatticeFit`.

    Fitted at the centres of pixels alone, few Gaussians are free to be anything between them, and an edit shows it
    there: so the spline through the pixels is fitted half way between these, too, across, down and both in turn.
    """

    def __init__(
        self, plan: FitPlan, target: Float[Tensor, "m 3"], trainer: FitTrainer, changed: Callable[[], None]
    ) -> None:
        super().__init__(plan.bit_depth, trainer, changed, plan.recipe.fit_seconds)
        self.plan, self.target = plan, target
        self._encoding, self._decoder = plan.learned
        self._steps, self._damping = plan.recipe.finish_steps, _FIRST_DAMPING
        points = (2 if plan.recipe.between_pixels else 1) * len(target)
        needed = _BYTES_PER_POINT_AND_NEIGHBOUR * self._encoding.config.num_neighbours * points
        check_free(needed, f"fitting {len(target) / 1e6:.1f} megapixels", plan.less_memory)
        self._pixels = plan.pixels(target.device)
        self._centres = plan.plane.pixel_centres(self._pixels)
        self._matte = None if plan.opacity is None else Matte(plan.opacity.to(target.device), plan.plane)
        self._features: Features | None = None
        self._rounding: Rounding | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return what the next steps depend on: see :meth:`gainer_ns.fitting.loop.FitLoop.state_dict`."""
        rounding = None if self._rounding is None else self._rounding.state_dict()
        return super().state_dict() | {"damping": self._damping, "rounding": rounding}

    def load_state_dict(self, state: dict[str, Any], step: int) -> None:
        """Go on with the damping that it had come to, and with what is not rounded yet."""
        super().load_state_dict(state, step)
        self._damping = state.get("damping", self._damping)
        if (rounding := state.get("rounding")) is not None:
            self._rounding = self._rounding_for(rounding["error"])
            self._rounding.restore(rounding["done"])

    @torch.no_grad()
    def outputs(self) -> dict[str, Tensor]:
        """Return colours rgb [m, 3] of the fitted pixels, and target [m, 3], what they should be."""
        encoding = self._encoding
        read, _ = search_and_aggregate(
            encoding.index,
            self._centres,
            encoding.config.num_neighbours,
            encoding.means,
            encoding.precisions,
            encoding.features,
            encoding.slopes,
        )
        return {"rgb": self._decoder.decode(read), "target": self.target}

    def _before_step(self, step: int) -> None:
        started = time.monotonic()
        if self._features is None:
            self._features = self._start(is_first=step == 0)
        self._round(max(step / self._steps, self._time_used))
        free = None if self._rounding is None else self._rounding.free
        done = levenberg_step(self._encoding, *self._fitted_points(step), self._damping, free)
        change = _LESS if done.scale == 1 else _MORE if done.scale > 0 else _MUCH_MORE
        self._damping = min(max(self._damping * change, _LEAST_DAMPING), _MOST_DAMPING)
        self._encoding.forget_index()
        self._spent("levenberg", started)

    def _after_step(self, step: int) -> None:
        self.finished = self._ends_with(step)
        if self.finished:
            self._round(1.0)
        self._changed()
        self._measure(step)
        if self.finished and self._encoding.matte is not None:
            self._encoding.opacities = Matte(self._encoding.matte, self.plan.plane).coefficients(self._encoding.means)

    def _round(self, progress: float) -> None:
        """Round as much of the Gaussians as is due after a share of the steps."""
        due = int(ROUNDS * (progress - _UNROUNDED_SHARE) / (1 - _UNROUNDED_SHARE))
        if self.plan.recipe.rounding == 0 or due < 1:
            return
        if self._rounding is None:
            if progress >= 1:  # there was no time in which others could make up for it
                return
            self._rounding = self._rounding_for(self._error_sizes()[0] ** 0.5)
        if progress >= 1:
            self._rounding.finish()
        else:
            self._rounding.advance(due)

    def _rounding_for(self, error: float) -> Rounding:
        recipe = self.plan.recipe
        return Rounding(self._encoding, self.plan.plane, error, recipe.rounding, recipe.seed)

    def _ends_with(self, step: int) -> bool:
        return step + 1 >= self._steps or self._time_used >= 1

    def _error_sizes(self) -> tuple[float, float]:
        found = self.outputs()
        mean_square, largest = error_sizes((error := found["rgb"] - found["target"]) * self._shares(None))
        return mean_square, largest if self._matte is None else float(error.abs().max())

    def _shares(self, between: Float[Tensor, "m 2"] | None) -> Float[Tensor, "m 1"] | float:
        """Return the opacity at points, or of the fitted pixels: premultiplied by it, colours count as they show."""
        if self._matte is None:
            return 1.0
        if between is None:
            return self._matte.alpha.flatten()[self._pixels][:, None]
        return self._matte.at(between)

    def _fitted_points(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return points of a step, what they should read, and roots of what they count."""
        assert self._features is not None
        plane, weight, points = self.plan.plane, self.plan.recipe.between_pixels, self._centres
        target = self._decoder.features_for(self.target)
        shares = points.new_ones(len(points), 1) * self._shares(None)
        if weight > 0:
            aside = _ASIDE_PX[(self._steps - 1 - step) % len(_ASIDE_PX)]
            between = plane.pixel_from_plane(points.double()) + points.new_tensor(aside)
            between = between.minimum(between.new_tensor([plane.width - 0.5, plane.height - 0.5]))
            others = plane.plane_from_pixel(between).float()
            points, target = torch.cat([points, others]), torch.cat([target, self._features(between)])
            shares = torch.cat([shares, weight**0.5 * torch.ones_like(shares) * self._shares(others)])
        return points.contiguous(), target.contiguous(), shares[:, 0].clamp(min=_LEAST_SHARE)

    def _start(self, *, is_first: bool) -> Features:
        """Return what should be read at any places, in pixels; before the first step, let the Gaussians start there."""
        from gainer_ns.spline import CubicSpline  # here, so that importing the methods stays light

        plane, picture = self.plan.plane, self.plan.continued_picture(self._pixels, self.target)
        spline = CubicSpline(picture.cpu().numpy())

        def features(places: Float[Tensor, "m 2"]) -> Float[Tensor, "m 3"]:
            inside = places.clamp(min=0.5).minimum(places.new_tensor([plane.width - 0.5, plane.height - 0.5]))
            colours = torch.from_numpy(spline.at(inside.cpu().numpy()).astype(np.float32))
            return self._decoder.features_for(colours.to(self.target))

        if is_first:
            self._place(picture, features)
        return features

    def _place(self, picture: Float[Tensor, "h w 3"], features: Features) -> None:
        """Place Gaussians where the picture has detail, with the colours and half the slopes of its spline."""
        encoding, plane, recipe = self._encoding, self.plan.plane, self.plan.recipe
        if recipe.placement == "detail":
            inside = recipe.pixels_with_gaussians(plane, self.plan.opacity)
            encoding.put(*placement.means_by_detail(plane, picture, len(encoding), inside=inside, seed=recipe.seed))
        assert encoding.features_table is not None and encoding.slopes_table is not None
        places = plane.pixel_from_plane(encoding.means.double())
        encoding.features_table.data = features(places)
        sloped = encoding.slopes_table.shape[1]
        for axis, sign in enumerate((1.0, -1.0)):  # pixels count y downwards
            step = places.new_zeros(2)
            step[axis] = _SLOPE_STEP_PX
            rise = (features(places + step) - features(places - step)) * (0.5 * sign * float(encoding.spacing))
            encoding.slopes_table.data[:, :, axis] = rise[:, :sloped] / (2 * _SLOPE_STEP_PX * plane.pixel_size)
