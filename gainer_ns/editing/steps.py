"""What moves pieces of pictures: points with their Jacobians, steps of an edit, and how much points follow them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from gainer_ns.editing.deformations import with_jacobian
from gainer_ns.editing.falloff import Falloff
from gainer_ns.editing.material_motion import MaterialOperation, MaterialSource
from gainer_ns.editing.operations import Operation
from gainer_ns.editing.selection import Selection
from gainer_ns.frames import Bounds, PixelSpace
from gainer_ns.gaussians.small_matrices import determinant, inverse, product, singular_range

_MAX_TORN_SHARE = 0.01
"""So little of the border may fold or tear: specks, and what lies beyond the edge of the material."""
_MOST_STRETCH = 3.0
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


def in_pixels(placed: Placed, space: PixelSpace) -> Placed:
    """Return points of the world in a space of pixels."""
    back = inverse(space.jacobian().to(placed.jacobians))
    return Placed(space.from_world(placed.points), product(back, placed.jacobians))


def in_world(placed: Placed, space: PixelSpace) -> Placed:
    """Return points of a space of pixels in the world."""
    out = space.jacobian().to(placed.jacobians)
    return Placed(space.to_world(placed.points), product(out, placed.jacobians))


@dataclass(frozen=True)
class Step:
    """What one edit does to one piece.

    Attributes:
        edit: Number of the edit.
        operations: What it does, in this order.
        box: Left, top, right and bottom of what it selected, in pixels of the canvas.
        selection: How much each point follows, by where it was fitted; None for a piece that follows as a whole.
        source: The material of the piece, for operations that need to know it.
        space: Of the pixels of a lifted photo at the depth of what it selected; None on the plane.
    """

    edit: int
    operations: tuple[Operation, ...]
    box: Bounds
    selection: Selection | Falloff | None = None
    source: MaterialSource | None = None
    space: PixelSpace | None = None

    @property
    def unit(self) -> float:
        """Side of a pixel, in the units of points: of the canvas, or of the world."""
        return 1.0 if self.space is None else self.space.pixel_size

    @property
    def turns(self) -> bool:
        """Whether it turns what it moves."""
        return any(operation.turns for operation in self.operations)

    def following(self, operations: tuple[Operation, ...], selection: Selection | Falloff | None = None) -> Step:
        """Return the same step with other operations, and perhaps with another selection."""
        return replace(self, operations=operations, selection=selection or self.selection)

    def moved(self, placed: Placed, amount: float, weights: Weights | None) -> Placed:
        """Move points by so much of the edit."""
        if self.space is not None:
            return in_world(self._flat.moved(in_pixels(placed, self.space), amount, weights), self.space)
        if weights is not None:
            there, pull = self.shared(placed, amount, weights.values)
            return Placed(there.points, there.jacobians + weights.changes(pull))
        points, jacobians = placed.points, placed.jacobians
        for operation in self.operations:
            if isinstance(operation, MaterialOperation):
                points, own = operation.moved_on(self._source, points, amount)
            else:
                points, own = operation.moved(points, amount=amount, box=self.box)
            jacobians = product(own.to(jacobians), jacobians)
        return Placed(points, jacobians)

    def shared(self, placed: Placed, amount: float, shares: Float[Tensor, " m"]) -> tuple[Placed, Float[Tensor, "m d"]]:
        """Move each point by its share of so much of the edit, the same all around it.

        Returns:
            Where points are, and how that changes with the share.
        """
        if self.space is not None:
            there, pull = self._flat.shared(in_pixels(placed, self.space), amount, shares)
            return in_world(there, self.space), pull @ self.space.jacobian()[0].mT.to(pull)
        points, jacobians = placed.points, placed.jacobians
        pull = torch.zeros_like(points)
        for operation in self.operations:
            if isinstance(operation, MaterialOperation):
                whole, own = operation.moved_on(self._source, points, amount)
                share = shares[:, None].to(points)
                own = torch.lerp(torch.eye(points.shape[1]).to(own), own, share[..., None].to(own))
                points, by_share = points + share * (whole - points), whole - points
            else:
                given = torch.cat([points, (amount * shares)[:, None].to(points)], dim=1)
                points, own = with_jacobian(_by_share(operation, self.box), given)
                own, by_share = own[:, :, :-1], amount * own[:, :, -1]
            own = own.to(jacobians)
            pull = (own @ pull[..., None].to(own))[..., 0] + by_share.to(own)
            jacobians = product(own, jacobians)
        return Placed(points, jacobians), pull

    def pinned(
        self,
        placed: Placed,
        amount: float,
        pixels: Float[Tensor, "m 2"],
        anchors: Float[Tensor, "m 2"] | None,
    ) -> Placed:
        """Return points of the world, as they were lifted, after so much of the edit, which moves material first.

        Each goes at its own depth to where the photo would show it then.

        Args:
            placed: The points, with Jacobians by pixels of the photo.
            amount: Of the edit.
            pixels: Where the photo shows the points.
            anchors: See ``Weights.of``.
        """
        first, *others = self.operations
        assert isinstance(first, MaterialOperation) and self.space is not None
        moved, slopes = first.moved_on(self._source, pixels, amount, anchors)
        inside, far = in_pixels(placed, self.space), self.space.depth / self.unit
        larger = 1 - inside.points[:, 2:] / far  # than a pixel at the depth of what is selected
        by = torch.cat([moved - pixels, torch.zeros_like(larger)], dim=1)
        bent = larger[..., None] * functional.pad(slopes - torch.eye(2).to(slopes), (0, 1, 0, 1))
        bent = bent - by[..., None] * inside.jacobians[:, 2:, :] / far
        there = in_world(Placed(inside.points + larger * by, inside.jacobians + bent), self.space)
        return self.following(tuple(others)).moved(there, amount, None)

    def carried(
        self, points: Float[Tensor, "m 2"], amount: float, weights: Float[Tensor, " m"] | None, key: Hashable = None
    ) -> Float[Tensor, "m 2"]:
        """Move points of the plane as ``moved`` does, without their Jacobians."""
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
    def _flat(self) -> Step:
        """The same among pixels."""
        return replace(self, space=None)

    @property
    def _source(self) -> MaterialSource:
        assert self.source is not None
        return self.source


def _by_share(operation: Operation, box: Bounds) -> Callable[[Float[Tensor, "m e"]], Float[Tensor, "m d"]]:
    """Return what an operation does to points whose last coordinate is how much of it there is."""
    return lambda block: operation.map(block[:, :-1], amount=block[:, -1], box=box)


@dataclass(frozen=True)
class Weights:
    """How much points follow a selection.

    Attributes:
        values: [m], from 0 to 1.
        gradients: [m, 2], 1 / pixel of the picture that is selected from.
    """

    values: Float[Tensor, " m"]
    gradients: Float[Tensor, "m 2"]

    def __getitem__(self, chosen: Tensor) -> Weights:
        """Of some of the points."""
        return Weights(self.values[chosen], self.gradients[chosen])

    def changes(self, pull: Float[Tensor, "m d"]) -> Float[Tensor, "m d e"]:
        """Return what a pull that grows with them adds to Jacobians."""
        return along_picture(pull[:, :, None] * self.gradients.to(pull)[:, None, :])

    @classmethod
    def of(
        cls, selection: Selection | Falloff, points: Float[Tensor, "m 2"], anchors: Float[Tensor, "m 2"] | None = None
    ) -> Weights:
        """Return those of points in pixels of the picture that is selected from.

        Args:
            selection: How much follows.
            points: In pixels.
            anchors: Pixels that the points belong to, from which on weights go on straight; None for themselves.
        """
        if isinstance(selection, Falloff):
            around = selection.distance.at(points, anchors)
            return cls(selection.shares(around), selection.share_slopes(around))
        sources = points if anchors is None else anchors
        if not selection.is_soft:
            return cls(selection.weights(sources), torch.zeros_like(sources))
        values, gradients = with_jacobian(lambda block: selection.weights(block)[:, None], sources)
        return cls(values[:, 0] + (gradients[:, 0] * (points - sources)).sum(dim=1), gradients[:, 0])


def along_picture(slopes: Float[Tensor, "m d 2"]) -> Float[Tensor, "m d e"]:
    """Return slopes along a picture as Jacobians, which in space have a third column: nothing changes across it."""
    return functional.pad(slopes, (0, slopes.shape[1] - 2))


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
    return float((folds | tears).float().mean()) <= _MAX_TORN_SHARE if len(folds) else True
