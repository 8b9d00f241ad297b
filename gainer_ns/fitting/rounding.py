"""Round what is learned of Gaussians, part by part: what is not rounded yet takes up what that loses.

Trained so, the whole numbers that a file holds are coarse where others can make up for them: first places and shapes,
some of the Gaussians at a time, then slopes, and colours last.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from gainer_ns.fields.knn_encoding import GaussianKNNEncoding
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.levels import curve_order, exponent_of, gaussians_of, numbers_of, rounded, steps_of

_MEAN_STEP = 1 / 12
"""In spacings."""
_SHAPE_STEPS = 0.125, 0.25, 0.125
"""Of the shape in :mod:`gainer_ns.gaussians.levels`."""
_COLOUR_STEP, _SLOPE_STEP = 2.5, 4.5
"""In root mean square errors of the pixels, of Gaussians of the size that they start with."""
_MAX_LENGTH = 0.99
"""Of a Gaussian, in radii: precisions of learned ones are more than ``1 / radius**2``."""


class _Part(NamedTuple):
    """Columns of the learned numbers, in how many rounds they are rounded."""

    begin: int
    end: int | None
    rounds: int


_PARTS = _Part(0, 5, 8), _Part(8, None, 3), _Part(5, 8, 4)
"""Places and shapes, slopes, colours."""
ROUNDS = sum(part.rounds for part in _PARTS)


class Rounding:
    """Rounds an encoding's learned Gaussians in :data:`ROUNDS` rounds.

    Args:
        encoding: Gaussians with learned means and slopes.
        plane: The picture's.
        error: Root mean square error of its pixels before any is rounded, in proportion to which colours are.
        coarseness: What steps are multiplied by.
        seed: Of which Gaussians are rounded together.
    """

    def __init__(
        self, encoding: GaussianKNNEncoding, plane: ImagePlane, error: float, coarseness: float, seed: int
    ) -> None:
        self.encoding, self.plane, self.error, self._seed = encoding, plane, error, seed
        self.done = 0
        assert encoding.slopes_table is not None
        spacing = float(encoding.spacing) / plane.pixel_size
        slopes = encoding.slopes_table[0].numel()
        value = coarseness * encoding.config.sigma * spacing * error
        steps = [coarseness * _MEAN_STEP * spacing] * 2 + [coarseness * step for step in _SHAPE_STEPS]
        steps += [_COLOUR_STEP * value] * 3 + [_SLOPE_STEP * value] * slopes
        device = encoding.means.device
        self._steps = steps_of([exponent_of(step) for step in steps]).to(device)
        self.free: Bool[Tensor, "n c"] = torch.ones(len(encoding), len(steps), dtype=torch.bool, device=device)

    def state_dict(self) -> dict[str, Any]:
        """Return what it is to be made of again."""
        return {"error": self.error, "done": self.done}

    def advance(self, done: int) -> None:
        """Take rounds until so many are done."""
        while self.done < done:
            self._round(*self._next(), apply=True)

    def finish(self) -> None:
        """Round all that is left, and bring the Gaussians into the order of files."""
        self.advance(ROUNDS)
        encoding = self.encoding
        order = curve_order((numbers_of(encoding.gaussian_set(), self.plane) / self._steps).round().long())
        assert encoding.features_table is not None and encoding.slopes_table is not None
        encoding.means = encoding.means[order]
        for parameter in (encoding.precision_factors, encoding.features_table, encoding.slopes_table):
            parameter.data = parameter.data[order]
        if encoding.opacities is not None:
            encoding.opacities = encoding.opacities[order]
        encoding.forget_index()

    def restore(self, done: int) -> None:
        """Go on after so many rounds, which have been taken of the encoding before."""
        while self.done < done:
            self._round(*self._next(), apply=False)

    def _next(self) -> tuple[_Part, Int[Tensor, " m"]]:
        """Return the part that is next, and the Gaussians of which it is rounded."""
        number = self.done
        for part in _PARTS:
            if number < part.rounds:
                order = torch.randperm(len(self.encoding), generator=torch.Generator().manual_seed(self._seed))
                return part, order[number :: part.rounds].to(self.free.device)
            number -= part.rounds
        raise ValueError("all is rounded")

    def _round(self, part: _Part, chosen: Int[Tensor, " m"], *, apply: bool) -> None:
        self.done += 1
        self.free[chosen, part.begin : part.end] = False
        if not apply:
            return
        encoding, plane = self.encoding, self.plane
        some = encoding.gaussian_set()[chosen]
        numbers = numbers_of(some, plane)
        longest = _MAX_LENGTH * some.radius / plane.pixel_size
        levels = rounded(numbers, self._steps, longest)
        found = gaussians_of(levels * self._steps, some.radius, plane, some.features.shape[1])
        assert encoding.features_table is not None and encoding.slopes_table is not None and found.slopes is not None
        if part.begin == 0:
            encoding.means = encoding.means.index_copy(0, chosen, found.means)
            encoding.precision_factors.data[chosen] = encoding.factors_of(found.covariances)
        elif part.end is None:
            encoding.slopes_table.data[chosen] = found.slopes * float(encoding.spacing)
        else:
            encoding.features_table.data[chosen] = found.features
        encoding.forget_index()
