"""What moves pieces in the space of pixels at some depth, moving them in the world."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from gainer_ns.editing.falloff import Falloff
from gainer_ns.editing.selection import Selection
from gainer_ns.editing.steps import PieceMotion, Placed, Weights, in_pixels, in_world
from gainer_ns.frames import PixelSpace


@dataclass(frozen=True)
class SpaceStep:
    """A motion in the space of pixels, as pieces in the world follow it.

    Attributes:
        step: In that space.
        space: The space.
    """

    step: PieceMotion
    space: PixelSpace

    @property
    def edit(self) -> int:
        """Which of the amounts it answers to."""
        return self.step.edit

    @property
    def selection(self) -> Selection | Falloff | None:
        """How much each disc follows, by the pixel that it belongs to; None for a piece that follows as a whole."""
        return self.step.selection

    @property
    def unit(self) -> float:
        """Side of a pixel in world units."""
        return self.space.pixel_size

    def moved(self, placed: Placed, amount: float, weights: Weights | None) -> Placed:
        """Return points of the world after so much of it."""
        return in_world(self.step.moved(in_pixels(placed, self.space), amount, weights), self.space)

    def carried(
        self, points: Float[Tensor, "m 2"], amount: float, weights: Float[Tensor, " m"] | None, key: Hashable = None
    ) -> Float[Tensor, "m 2"]:
        """Refuse: what moves in space moves with its Jacobians."""
        raise NotImplementedError
