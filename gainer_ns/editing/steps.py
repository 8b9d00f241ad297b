"""What moves pieces of pictures: points with their Jacobians, steps of an edit, and how much points follow them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.editing.deformations import with_jacobian
from gainer_ns.editing.falloff import Falloff
from gainer_ns.editing.material_motion import MaterialOperation, MaterialSource
from gainer_ns.editing.operations import Operation
from gainer_ns.editing.script import BaseEdit
from gainer_ns.editing.selection import Selection
from gainer_ns.frames import Bounds, PixelSpace
from gainer_ns.gaussians.small_matrices import determinant, inverse, product, singular_range

INVISIBLE_PX = 0.02
"""A movement that nobody sees: the digits of an OBJ file move by less."""
_MOST_STRETCH = 4.0
"""How many times more than the edit itself the border of a soft selection may be stretched or shrunk."""


@dataclass(frozen=True)
class Placed:
    """Where points are, and how a small step at their origin shows there.

    Attributes:
        points: [m, 2], pixels of the canvas; of a lifted photo [m, 3], in space.
        jacobians: [m, 2, 2], by pixels of the piece's own picture; or [m, 3, 3], by the world's units.
    """

    points: Float[Tensor, "m d"]
    jacobians: Float[Tensor, "m d d"]

    def __getitem__(self, chosen: Tensor) -> Placed:
        """Of some of the points."""
        return Placed(self.points[chosen], self.jacobians[chosen])


class PieceMotion(Protocol):
    """What moves a piece: an edit, or a simulation."""

    @property
    def edit(self) -> int:
        """Which of the amounts it answers to."""
        ...

    @property
    def selection(self) -> Selection | Falloff | None:
        """How much each point follows, by where it was fitted; None for a piece that follows as a whole."""
        ...

    def moved(self, placed: Placed, amount: float, weights: Weights | None) -> Placed:
        """Move points by so much of it, with their Jacobians."""
        ...

    def carried(
        self, points: Float[Tensor, "m 2"], amount: float, weights: Float[Tensor, " m"] | None, key: Hashable = None
    ) -> Float[Tensor, "m 2"]:
        """Move points of the plane, without their Jacobians; the same key stands for the same points."""
        ...


class EditStep(PieceMotion, Protocol):
    """What an edit does to a piece, which may become something else."""

    def following(self, operations: tuple[Operation, ...]) -> EditStep:
        """Return the same step with other operations."""
        ...


@dataclass(frozen=True)
class Step:
    """What one edit does to one piece.

    Attributes:
        edit: Number of the edit.
        operations: What it does, in this order.
        box: Left, top, right and bottom of what it selected, in pixels of the canvas.
        selection: How much each point follows, by where it was fitted; None for a piece that follows as a whole.
        source: The material of the piece, for operations that need to know it.
    """

    edit: int
    operations: tuple[Operation, ...]
    box: Bounds
    selection: Selection | Falloff | None = None
    source: MaterialSource | None = None

    def following(self, operations: tuple[Operation, ...]) -> Step:
        """Return the same step with other operations."""
        return replace(self, operations=operations)

    def moved(self, placed: Placed, amount: float, weights: Weights | None) -> Placed:
        """Move points by so much of the edit."""
        points, jacobians = placed.points, placed.jacobians
        for operation in self.operations:
            if isinstance(operation, MaterialOperation):
                moved, own = operation.moved_on(self._source, points, amount)
                whole = Placed(moved, product(own.to(jacobians), jacobians))
                there = whole if weights is None else _in_part(Placed(points, jacobians), whole, weights)
                points, jacobians = there.points, there.jacobians
                continue
            if weights is None:
                points, own = operation.moved(points, amount=amount, box=self.box)
                jacobians = product(own.to(jacobians), jacobians)
                continue
            shares = (amount * weights.values)[:, None].to(points)
            points, own = with_jacobian(_by_share(operation, self.box), torch.cat([points, shares], dim=1))
            own, by_share = own.to(jacobians).split([points.shape[1], 1], dim=2)
            jacobians = product(own, jacobians) + amount * by_share * weights.gradients.to(jacobians)[:, None, :]
        return Placed(points, jacobians)

    def carried(
        self, points: Float[Tensor, "m 2"], amount: float, weights: Float[Tensor, " m"] | None, key: Hashable = None
    ) -> Float[Tensor, "m 2"]:
        """Move points as ``moved`` does, without their Jacobians."""
        share = amount if weights is None else amount * weights.to(points)
        for operation in self.operations:
            if isinstance(operation, MaterialOperation):
                moved = operation.carried(self._source, points, amount, key)
                points = moved if weights is None else points + weights[:, None].to(points) * (moved - points)
            else:
                points = operation.map(points, amount=share, box=self.box)
        return points

    def depths(self, points: Float[Tensor, "m 2"], amount: float, key: Hashable = None) -> Float[Tensor, " m"] | None:
        """Return how near points are, as they lay before the step; the larger the nearer, None for all alike."""
        first = self.operations[0] if self.operations else None
        return first.depths(self._source, points, amount, key) if isinstance(first, MaterialOperation) else None

    @property
    def knows_material(self) -> bool:
        """Whether it moves material as that hangs together."""
        return any(isinstance(operation, MaterialOperation) for operation in self.operations)

    def lateness(self, before: Sequence[PieceMotion]) -> str:
        """Return what is wrong if something moves material before what needs to know it; nothing if all is well."""
        late = any(isinstance(operation, MaterialOperation) for operation in self.operations[1:])
        if late or (self.knows_material and any(step.edit != self.edit for step in before)):
            return "pins and rig come before all else that moves the same part; put them first"
        return ""

    @property
    def _source(self) -> MaterialSource:
        assert self.source is not None
        return self.source


def _by_share(operation: Operation, box: Bounds) -> Callable[[Float[Tensor, "m e"]], Float[Tensor, "m d"]]:
    """Return what an operation does to points whose last coordinate is how much of it there is."""
    return lambda block: operation.map(block[:, :-1], amount=block[:, -1], box=box)


def _in_part(start: Placed, whole: Placed, weights: Weights) -> Placed:
    """Return where points go that follow a movement in part, on a straight line."""
    away = whole.points - start.points
    followed = start.jacobians + weights.values[:, None, None] * (whole.jacobians - start.jacobians)
    followed = followed + away[:, :, None] * weights.gradients[:, None, :]
    return Placed(start.points + weights.values[:, None] * away, followed)


@dataclass(frozen=True)
class Weights:
    """How much points follow a selection.

    Attributes:
        values: [m], from 0 to 1.
        gradients: [m, 2], 1 / pixel; or [m, 3], by the world's units.
    """

    values: Float[Tensor, " m"]
    gradients: Float[Tensor, "m d"]

    def __getitem__(self, chosen: Tensor) -> Weights:
        """Of some of the points."""
        return Weights(self.values[chosen], self.gradients[chosen])

    @classmethod
    def of(cls, selection: Selection | Falloff, points: Float[Tensor, "m 2"]) -> Weights:
        """Return those of points in pixels of the picture that is selected from."""
        if not selection.is_soft:
            return cls(selection.weights(points), torch.zeros_like(points))
        values, gradients = with_jacobian(lambda block: selection.weights(block)[:, None], points)
        return cls(values[:, 0], gradients[:, 0])


@dataclass(frozen=True)
class SpaceStep:
    """What one edit does to one piece, in the space of pixels at the depth of what it selected.

    Attributes:
        step: In that space.
        space: The space.
        weights: How much each Gaussian follows; None for a piece that follows as a whole.
    """

    step: PieceMotion
    space: PixelSpace
    weights: Weights | None = None

    @property
    def edit(self) -> int:
        """Number of the edit."""
        return self.step.edit

    @property
    def selection(self) -> None:
        """Nothing: weights belong to the Gaussians."""
        return None

    def moved(self, placed: Placed, amount: float, weights: Weights | None) -> Placed:
        """Return points of the world after so much of the edit; see ``Step.moved``."""
        out = self.space.jacobian().to(placed.jacobians)
        inside = Placed(self.space.from_world(placed.points), product(inverse(out), placed.jacobians))
        moved = self.step.moved(inside, amount, weights)
        return Placed(self.space.to_world(moved.points), product(out, moved.jacobians))

    def carried(
        self, points: Float[Tensor, "m 2"], amount: float, weights: Float[Tensor, " m"] | None, key: Hashable = None
    ) -> Float[Tensor, "m 2"]:
        """Refuse: what moves in space moves with its Jacobians."""
        raise NotImplementedError

    def following(self, operations: tuple[Operation, ...]) -> SpaceStep:
        """Return the same step with other operations."""
        assert isinstance(self.step, Step)
        return replace(self, step=self.step.following(operations))


def border_holds(start: Placed, whole: Placed, followed: Placed) -> bool:
    """Return whether the soft border of a selection neither folds over nor is stretched or shrunk much.

    Args:
        start: Where points of the border are.
        whole: Where they would go if they followed wholly.
        followed: Where they go.
    """
    back = inverse(start.jacobians)
    of_whole, of_border = product(whole.jacobians, back), product(followed.jacobians, back)
    (least, most), (smallest, largest) = singular_range(of_whole), singular_range(of_border)
    folds = determinant(of_border) * determinant(of_whole) <= 0
    tears = (largest > _MOST_STRETCH * most.clamp(min=1)) | (smallest * _MOST_STRETCH < least.clamp(max=1))
    return not bool((folds | tears).any())


@dataclass(frozen=True)
class SelectionBorder:
    """What lies at the border of an edit's selection, in one piece.

    Attributes:
        start: Where it is before the edit.
        step: The edit.
        weights: How much it follows; None where the border is hard, and nothing follows in part.
    """

    start: Placed
    step: EditStep
    weights: Weights | None

    def may_follow(self, edit: BaseEdit) -> bool:
        """Return whether nothing folds or tears if it follows an edit, of the same selection."""
        return all(self._holds(operations, edit.peak) for operations in edit.extreme_operations)

    def _holds(self, operations: tuple[Operation, ...], amount: float) -> bool:
        step = self.step.following(operations)
        whole = step.moved(self.start, amount, None)
        if self.weights is None:
            return bool(((whole.points - self.start.points).norm(dim=1) < INVISIBLE_PX).all())
        return border_holds(self.start, whole, step.moved(self.start, amount, self.weights))
