"""The words of an edit script that move a selection: one small model for each, with everything a script may say."""

from __future__ import annotations

import math
from typing import Annotated, TypeAlias

import torch
from jaxtyping import Float
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator
from torch import Tensor

from gainer_ns.editing import deformations
from gainer_ns.editing.deformations import Box

# The bounds are far beyond any picture; they keep the arithmetic finite.
Number: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e9, le=1e9)]
Positive: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=1e-6, le=1e9)]
Point: TypeAlias = tuple[Number, Number]


def _checked(segment: tuple[Point, Point]) -> tuple[Point, Point]:
    deformations.check_line(segment)
    return segment


Segment: TypeAlias = Annotated[tuple[Point, Point], AfterValidator(_checked)]
Factors: TypeAlias = Annotated[
    Annotated[Positive, Tag("number")] | Annotated[tuple[Positive, Positive], Tag("pair")],
    Discriminator(lambda value: "pair" if isinstance(value, list | tuple) else "number"),
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Operation(_Model):
    """One way to move what is selected.

    A subclass gives ``_map``, or ``moved`` where it knows its Jacobians better than automatic differentiation does.
    All coordinates are pixels of the source picture, and all angles degrees, counter-clockwise as seen.
    """

    def map(self, points: Float[Tensor, "m d"], *, amount: float, box: Box) -> Float[Tensor, "m d"]:
        """Where the operation takes points.

        Args:
            points: Points in pixels; on the plane, or for lifted photos in space.
            amount: 0 is exactly nothing, 1 is all; what lies between or a little beyond is natural for the operation.
            box: Left, top, right and bottom of the selection.

        Raises:
            GainerError: If what lies between cannot be, such as corners that fold the picture on their way.
        """
        return points if amount == 0 else self._map(points, amount, box)

    def _map(self, points: Tensor, amount: float, box: Box) -> Tensor:
        raise NotImplementedError

    def moved(
        self, points: Float[Tensor, "m d"], *, amount: float, box: Box
    ) -> tuple[Float[Tensor, "m d"], Float[Tensor, "m d d"]]:
        """Where the operation takes points, and the Jacobian of the map at each of them. See ``map``."""
        if amount == 0:
            return points, torch.eye(points.shape[1]).to(points).repeat(len(points), 1, 1)
        return deformations.with_jacobian(lambda block: self.map(block, amount=amount, box=box), points)


class Move(Operation):
    """Moves the selection."""

    by: Point
    """How far: to the right and down, in pixels."""

    def _map(self, points: Tensor, amount: float, box: Box) -> Tensor:
        return deformations.move(points, by=_times(self.by, amount))


class Rotate(Operation):
    """Turns the selection."""

    degrees: Number
    """How far, counter-clockwise."""
    center: Point | None = None
    """What stays where it is; the middle of the selection if left out."""

    def _map(self, points: Tensor, amount: float, box: Box) -> Tensor:
        return deformations.rotate(points, degrees=amount * self.degrees, center=self.center or _middle(box))


class Scale(Operation):
    """Enlarges or shrinks the selection."""

    factor: Factors
    """How many times larger; one number, or one for the width and one for the height."""
    center: Point | None = None
    """What stays where it is; the middle of the selection if left out."""

    def _map(self, points: Tensor, amount: float, box: Box) -> Tensor:
        factor = self.factor if isinstance(self.factor, tuple) else (self.factor, self.factor)
        power = (factor[0] ** amount, factor[1] ** amount)
        return deformations.scale(points, factor=power, center=self.center or _middle(box))


class Stretch(Operation):
    """Stretches the selection along a line."""

    factor: Positive
    """How many times longer; below 1 is shorter."""
    axis: Segment
    """The line: what lies level with its first point stays, and the line points to where the rest goes."""

    def _map(self, points: Tensor, amount: float, box: Box) -> Tensor:
        return deformations.stretch(points, factor=self.factor**amount, axis=self.axis)


class Bend(Operation):
    """Bends the selection along a line, which becomes an arc of a circle and keeps its length."""

    degrees: Number
    """How far the line's far end turns, counter-clockwise."""
    axis: Segment
    """The line. What lies before its first point stays, what lies beyond its second goes on straight."""

    def _map(self, points: Tensor, amount: float, box: Box) -> Tensor:
        return deformations.bend(points, degrees=amount * self.degrees, axis=self.axis)


class Twirl(Operation):
    """Turns the middle of the selection most, and what lies farther out less and less."""

    degrees: Number
    """How far the centre turns, counter-clockwise."""
    center: Point | None = None
    """The centre; the middle of the selection if left out."""
    radius: Positive | None = None
    """Where the turn has faded away, in pixels; half the selection's shorter side if left out."""

    def _map(self, points: Tensor, amount: float, box: Box) -> Tensor:
        radius = self.radius or 0.5 * min(box[2] - box[0], box[3] - box[1])
        return deformations.twirl(points, amount * self.degrees, center=self.center or _middle(box), radius=radius)


class Wave(Operation):
    """Lays a sine wave over the selection."""

    amplitude: Number
    """How far points move to either side, in pixels."""
    period: Positive
    """From crest to crest, in pixels."""
    direction: Number = 0.0
    """Where the wave runs, in degrees from the right; points move across it."""
    phase: Number = 0.0
    """Where in its period the wave is at the picture's top-left corner, in degrees."""

    def _map(self, points: Tensor, amount: float, box: Box) -> Tensor:
        return deformations.wave(points, amount * self.amplitude, self.period, self.direction, self.phase)


class Perspective(Operation):
    """Shows the selection in perspective: the four corners of its box go to four given points."""

    corners: tuple[Point, Point, Point, Point]
    """Where the box's top-left, top-right, bottom-right and bottom-left corners go."""

    @field_validator("corners")
    @classmethod
    def _convex(cls, corners: tuple[Point, ...]) -> tuple[Point, ...]:
        deformations.check_corners(corners)
        return corners

    def _map(self, points: Tensor, amount: float, box: Box) -> Tensor:
        left, top, right, bottom = box
        start = ((left, top), (right, top), (right, bottom), (left, bottom))
        corners = [_between(a, b, amount) for a, b in zip(start, self.corners, strict=True)]
        return deformations.perspective(points, box=box, corners=corners)


class Cut(Operation):
    """Cuts the selection in two along a line and moves the halves apart."""

    line: Segment
    """The cut, which goes on straight beyond both points."""
    gap: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=1e9)]
    """How far apart the halves come to lie, in pixels."""

    def _map(self, points: Tensor, amount: float, box: Box) -> Tensor:
        return deformations.cut(points, line=self.line, gap=amount * self.gap)

    def left_of(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, " m"]:
        """How far points are to the left of the line, in pixels, as one sees it going from its first to its second."""
        return deformations.left_of(points, self.line)

    @property
    def halves(self) -> tuple[Move, Move]:
        """What it does to the half on the left, and to the half on the right: each moves as a whole."""
        (x0, y0), (x1, y1) = self.line
        step = 0.5 * self.gap / math.dist(*self.line)
        left = (step * (y1 - y0), -step * (x1 - x0))
        return Move(by=left), Move(by=(-left[0], -left[1]))


class Handle(_Model):
    """A point to take hold of, and where to drag it."""

    start: Point = Field(alias="from")
    """Where the handle is."""
    to: Point
    """Where it goes."""


class Drag(Operation):
    """Drags points of the selection to new places; the rest follows as rigidly as it can."""

    handles: Annotated[tuple[Handle, ...], Field(min_length=1)]
    """The points that are dragged."""
    fixed: tuple[Point, ...] = ()
    """Points that stay where they are."""

    @model_validator(mode="after")
    def _different_places(self) -> Drag:
        deformations.check_handles([*(handle.start for handle in self.handles), *self.fixed])
        return self

    def _map(self, points: Tensor, amount: float, box: Box) -> Tensor:
        start = [handle.start for handle in self.handles]
        to = [_between(handle.start, handle.to, amount) for handle in self.handles]
        return deformations.drag(points, handles_from=start, handles_to=to, fixed=self.fixed)


class Lattice(Operation):
    """Moves a grid of control points that spans the selection's box, and smoothly what lies between them."""

    offsets: tuple[tuple[Point, ...], ...]
    """How far each control point moves, to the right and down in pixels: rows from the top, each from the left."""

    @field_validator("offsets")
    @classmethod
    def _rectangular(cls, offsets: tuple[tuple[Point, ...], ...]) -> tuple[tuple[Point, ...], ...]:
        if len(offsets) < 2 or len(offsets[0]) < 2:
            raise ValueError("a lattice has at least 2 rows of at least 2 offsets")
        for number, row in enumerate(offsets, start=1):
            if len(row) != len(offsets[0]):
                raise ValueError(f"row {number} has {len(row)} offsets, but row 1 has {len(offsets[0])}")
        return offsets

    def _map(self, points: Tensor, amount: float, box: Box) -> Tensor:
        return deformations.lattice(
            points, box=box, offsets=[[_times(offset, amount) for offset in row] for row in self.offsets]
        )


OPERATIONS: dict[str, type[Operation]] = {
    "move": Move,
    "rotate": Rotate,
    "scale": Scale,
    "stretch": Stretch,
    "bend": Bend,
    "twirl": Twirl,
    "wave": Wave,
    "perspective": Perspective,
    "cut": Cut,
    "drag": Drag,
    "lattice": Lattice,
}
"""The word that a script uses for each operation."""


def _middle(box: Box) -> Point:
    left, top, right, bottom = box
    return 0.5 * (left + right), 0.5 * (top + bottom)


def _times(vector: Point, amount: float) -> Point:
    return amount * vector[0], amount * vector[1]


def _between(start: Point, end: Point, amount: float) -> Point:
    return start[0] + amount * (end[0] - start[0]), start[1] + amount * (end[1] - start[1])
