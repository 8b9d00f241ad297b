"""What an edit does to a piece of a lifted photo, in pixels at the depth of what it selected."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from gainer_ns.editing.falloff import Falloff
from gainer_ns.editing.material_motion import MaterialOperation, MaterialSource
from gainer_ns.editing.operations import Operation
from gainer_ns.editing.selection import Selection
from gainer_ns.editing.steps import PieceMotion, Placed, Step, Weights
from gainer_ns.frames import PixelSpace
from gainer_ns.gaussians.small_matrices import inverse, product


@dataclass(frozen=True)
class SpaceStep:
    """What one edit does to one piece, in the space of pixels at the depth of what it selected.

    Attributes:
        step: In that space.
        space: The space.
    """

    step: PieceMotion
    space: PixelSpace

    @property
    def edit(self) -> int:
        """Number of the edit."""
        return self.step.edit

    @property
    def selection(self) -> Selection | Falloff | None:
        """How much each disc follows, by the pixel that it belongs to; None for a piece that follows as a whole."""
        return self.step.selection

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What the edit does."""
        return self.step.operations if isinstance(self.step, Step) else ()

    @property
    def unit(self) -> float:
        """Side of a pixel in world units."""
        return self.space.pixel_size

    @property
    def turns(self) -> bool:
        """Whether it turns what it moves."""
        return any(operation.turns for operation in self.operations)

    def moved(self, placed: Placed, amount: float, weights: Weights | None) -> Placed:
        """Return points of the world after so much of the edit; see ``Step.moved``."""
        return self._outside(self.step.moved(self._inside(placed), amount, weights))

    def shared(self, placed: Placed, amount: float, shares: Float[Tensor, " m"]) -> tuple[Placed, Float[Tensor, "m 3"]]:
        """Move each point of the world by its share; see ``Step.shared``."""
        there, pull = self._edit.shared(self._inside(placed), amount, shares)
        return self._outside(there), pull @ self.space.jacobian()[0].mT.to(pull)

    @property
    def knows_material(self) -> bool:
        """Whether it moves material as that hangs together; see ``pinned``."""
        return isinstance(self.step, Step) and self.step.knows_material

    def pinned(
        self,
        placed: Placed,
        amount: float,
        source: MaterialSource,
        pixels: Float[Tensor, "m 2"],
        anchors: Float[Tensor, "m 2"] | None,
    ) -> Placed:
        """Return points of the world, as they were lifted, after so much of the edit, which moves material first.

        Each goes at its own depth to where the photo would show it then.

        Args:
            placed: The points, with Jacobians by pixels of the photo.
            amount: Of the edit.
            source: The material.
            pixels: Where the photo shows the points.
            anchors: See ``Weights.of``.
        """
        first, *others = self._edit.operations
        assert isinstance(first, MaterialOperation)
        moved, slopes = first.moved_on(source, pixels, amount, anchors)
        inside, far = self._inside(placed), self.space.depth / self.unit
        larger = 1 - inside.points[:, 2:] / far  # than a pixel at the depth of what is selected
        by = torch.cat([moved - pixels, torch.zeros_like(larger)], dim=1)
        bent = larger[..., None] * functional.pad(slopes - torch.eye(2).to(slopes), (0, 1, 0, 1))
        bent = bent - by[..., None] * inside.jacobians[:, 2:, :] / far
        there = self._outside(Placed(inside.points + larger * by, inside.jacobians + bent))
        return self.following(tuple(others)).moved(there, amount, None)

    def carried(
        self, points: Float[Tensor, "m 2"], amount: float, weights: Float[Tensor, " m"] | None, key: Hashable = None
    ) -> Float[Tensor, "m 2"]:
        """Refuse: what moves in space moves with its Jacobians."""
        raise NotImplementedError

    def following(self, operations: tuple[Operation, ...], selection: Selection | Falloff | None = None) -> SpaceStep:
        """Return the same step with other operations, and perhaps with another selection."""
        return replace(self, step=self._edit.following(operations, selection))

    @property
    def _edit(self) -> Step:
        assert isinstance(self.step, Step)
        return self.step

    def _inside(self, placed: Placed) -> Placed:
        back = inverse(self.space.jacobian().to(placed.jacobians))
        return Placed(self.space.from_world(placed.points), product(back, placed.jacobians))

    def _outside(self, placed: Placed) -> Placed:
        out = self.space.jacobian().to(placed.jacobians)
        return Placed(self.space.to_world(placed.points), product(out, placed.jacobians))
