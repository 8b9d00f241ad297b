"""The words of an edit script that move a selection: one small model for each, with everything a script may say."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, TypeAlias

import torch
from jaxtyping import Float
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)
from torch import Tensor

from gainer_ns.editing import deformations
from gainer_ns.editing.deformations import Amount
from gainer_ns.editing.operation import (
    FiniteNumber,
    Length,
    Operation,
    PlaneOffset,
    PlanePoint,
    PositiveFactor,
    PositiveLength,
)
from gainer_ns.editing.percentages import LENGTH
from gainer_ns.editing.selection import ScriptModel
from gainer_ns.editing.space import (
    Direction,
    SpaceFactors,
    SpaceLine,
    SpaceOffset,
    SpacePoint,
    bend_about,
    completed,
    is_along,
    rotate_about,
    unit_vector,
)
from gainer_ns.frames import Bounds


def _checked(segment: tuple[PlanePoint, PlanePoint]) -> tuple[PlanePoint, PlanePoint]:
    deformations.check_line(segment)
    return segment


PlaneLine: TypeAlias = Annotated[tuple[PlanePoint, PlanePoint], AfterValidator(_checked)]


class Move(Operation):
    """Moves the selection."""

    is_planar = False

    by: SpaceOffset
    """How far: to the right and down, and of a lifted photo perhaps towards the camera, in pixels."""

    def _map(self, points: Tensor, amount: Amount, box: Bounds) -> Tensor:
        return deformations.move(points, by=[amount * part for part in completed(self.by, points.shape[1])])


class Rotate(Operation):
    """Turns the selection."""

    is_planar, words_of_space, turns = False, ("axis",), True

    degrees: FiniteNumber
    """How far, counter-clockwise as one sees it whom the axis points at."""
    center: SpacePoint | None = None
    """What stays where it is; the middle of the selection if left out."""
    axis: Direction = "z"
    """Of a lifted photo, what it turns around: z as in a picture, x tips the top towards the camera, y brings the right
    side forward; or a vector [x, y, z]."""

    def _map(self, points: Tensor, amount: Amount, box: Bounds) -> Tensor:
        center = completed(self.center or middle(box), points.shape[1])
        if points.shape[1] == 2:
            return deformations.rotate(points, degrees=amount * self.degrees, center=center)
        return rotate_about(points, amount * self.degrees, unit_vector(self.axis), center)


class Scale(Operation):
    """Enlarges or shrinks the selection."""

    is_planar = False

    factor: SpaceFactors
    """How many times larger; one number, or one for the width, one for the height and of a lifted photo perhaps one for
    the depth."""
    center: SpacePoint | None = None
    """What stays where it is; the middle of the selection if left out."""

    def _map(self, points: Tensor, amount: Amount, box: Bounds) -> Tensor:
        dimensions = points.shape[1]
        factors = (
            completed(self.factor, dimensions, 1.0) if isinstance(self.factor, tuple) else (self.factor,) * dimensions
        )
        power = [factor**amount for factor in factors]
        return deformations.scale(points, factor=power, center=completed(self.center or middle(box), dimensions))


class Mirror(Operation):
    """Mirrors the selection; on the way it turns through thin."""

    direction: Literal["horizontal", "vertical"]
    """Which sides change places: horizontal is left and right, vertical is top and bottom; alone, just the word."""
    center: PlanePoint | None = None
    """What stays where it is; the middle of the selection if left out."""

    @model_validator(mode="before")
    @classmethod
    def _read_word(cls, data: Any) -> Any:
        return {"direction": data} if isinstance(data, str) else data

    @model_serializer(mode="wrap")
    def _write_word(self, write: SerializerFunctionWrapHandler) -> Any:
        return self.direction if self.center is None and not self.is_keyed else self._with_keyframes(write(self))

    def _map(self, points: Tensor, amount: Amount, box: Bounds) -> Tensor:
        factor = 1.0 - 2.0 * amount
        factors = (factor, 1.0) if self.direction == "horizontal" else (1.0, factor)
        return deformations.scale(points, factors, center=self.center or middle(box))


class Stretch(Operation):
    """Stretches the selection along a line."""

    factor: PositiveFactor
    """How many times longer; below 1 is shorter."""
    axis: PlaneLine
    """The line: what lies level with its first point stays, and the line points to where the rest goes."""

    def _map(self, points: Tensor, amount: Amount, box: Bounds) -> Tensor:
        return deformations.stretch(points, factor=self.factor**amount, axis=self.axis)


class Bend(Operation):
    """Bends the selection along a line, which becomes an arc of a circle and keeps its length."""

    is_planar, words_of_space, turns = False, ("about",), True

    degrees: FiniteNumber
    """How far the line's far end turns, counter-clockwise as one sees it whom the direction about points at."""
    axis: SpaceLine
    """The line. What lies before its first point stays, what lies beyond its second goes on straight."""
    about: Direction = "z"
    """Of a lifted photo, what the far end turns about: z bends within the picture; a line to the right bends forward
    about y, a line upwards about x; or a vector."""

    @model_validator(mode="after")
    def _across(self) -> Bend:
        if is_along(self.about, self.axis):
            raise ValueError("turns about the line itself; choose an about that points across the line")
        return self

    def _map(self, points: Tensor, amount: Amount, box: Bounds) -> Tensor:
        start, end = (completed(end, points.shape[1]) for end in self.axis)
        if points.shape[1] == 2:
            return deformations.bend(points, degrees=amount * self.degrees, axis=(start, end))
        return bend_about(points, amount * self.degrees, (start, end), unit_vector(self.about))


class Twirl(Operation):
    """Turns the middle of the selection most, and what lies farther out less and less."""

    turns = True

    degrees: FiniteNumber
    """How far the centre turns, counter-clockwise."""
    center: PlanePoint | None = None
    """The centre; the middle of the selection if left out."""
    radius: PositiveLength | None = None
    """Where the turn has faded away, in pixels; half the selection's shorter side if left out."""

    def _map(self, points: Tensor, amount: Amount, box: Bounds) -> Tensor:
        radius = self.radius or 0.5 * min(box[2] - box[0], box[3] - box[1])
        return deformations.twirl(points, amount * self.degrees, center=self.center or middle(box), radius=radius)


class Wave(Operation):
    """Lays a sine wave over the selection."""

    amplitude: Length
    """How far points move to either side, in pixels."""
    period: PositiveLength
    """From crest to crest, in pixels."""
    direction: FiniteNumber = 0.0
    """Where the wave runs, in degrees from the right; points move across it."""
    phase: FiniteNumber = 0.0
    """Where in its period the wave is at the picture's top-left corner, in degrees."""

    def _map(self, points: Tensor, amount: Amount, box: Bounds) -> Tensor:
        return deformations.wave(points, amount * self.amplitude, self.period, self.direction, self.phase)


class Perspective(Operation):
    """Shows the selection in perspective: the four corners of its box go to four given points."""

    corners: tuple[PlanePoint, PlanePoint, PlanePoint, PlanePoint]
    """Where the box's top-left, top-right, bottom-right and bottom-left corners go."""

    @field_validator("corners")
    @classmethod
    def _convex(cls, corners: tuple[PlanePoint, ...]) -> tuple[PlanePoint, ...]:
        deformations.check_corners(corners)
        return corners

    def _map(self, points: Tensor, amount: Amount, box: Bounds) -> Tensor:
        left, top, right, bottom = box
        start = ((left, top), (right, top), (right, bottom), (left, bottom))
        corners = [_between(a, b, amount) for a, b in zip(start, self.corners, strict=True)]
        for share in _some_shares(amount) if isinstance(amount, Tensor) else ():
            deformations.check_corners([_between(a, b, share) for a, b in zip(start, self.corners, strict=True)])
        return deformations.perspective(points, box=box, corners=corners)


class Cut(Operation):
    """Cuts the selection in two along a line and moves the halves apart."""

    line: PlaneLine
    """The cut, which goes on straight beyond both points."""
    gap: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=1e9), LENGTH]
    """How far apart the halves come to lie, in pixels."""

    def _map(self, points: Tensor, amount: Amount, box: Bounds) -> Tensor:
        return deformations.cut(points, line=self.line, gap=amount * self.gap)

    def left_of(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, " m"]:
        """Return how many pixels points are to the left of the line, as one sees it who goes along it."""
        return deformations.left_of(points, self.line)

    @property
    def halves(self) -> tuple[Move, Move]:
        """What it does to the half on the left, and to the half on the right: each moves as a whole."""
        (x0, y0), (x1, y1) = self.line
        step = 0.5 * self.gap / math.dist(*self.line)
        left = (step * (y1 - y0), -step * (x1 - x0))
        return Move(by=left), Move(by=(-left[0], -left[1]))


class Handle(ScriptModel):
    """A point to take hold of, and where to drag it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    start: PlanePoint = Field(alias="from")
    """Where the handle is."""
    to: PlanePoint
    """Where it goes."""


class Drag(Operation):
    """Drags points of the selection to new places; the rest follows as rigidly as it can."""

    handles: Annotated[tuple[Handle, ...], Field(min_length=1)]
    """The points that are dragged."""
    fixed: tuple[PlanePoint, ...] = ()
    """Points that stay where they are."""

    @model_validator(mode="after")
    def _different_places(self) -> Drag:
        deformations.check_handles([*(handle.start for handle in self.handles), *self.fixed])
        return self

    def _map(self, points: Tensor, amount: Amount, box: Bounds) -> Tensor:
        start = [handle.start for handle in self.handles]
        to = [_between(handle.start, handle.to, amount) for handle in self.handles]
        return deformations.drag(points, handles_from=start, handles_to=to, fixed=self.fixed)


class FreeForm(Operation):
    """Moves a grid of control points that spans the selection's box, and smoothly what lies between them."""

    offsets: tuple[tuple[PlaneOffset, ...], ...]
    """How far each control point moves, to the right and down in pixels: rows from the top, each from the left."""

    @field_validator("offsets")
    @classmethod
    def _rectangular(cls, offsets: tuple[tuple[PlaneOffset, ...], ...]) -> tuple[tuple[PlaneOffset, ...], ...]:
        if len(offsets) < 2 or len(offsets[0]) < 2:
            raise ValueError("a lattice has at least 2 rows of at least 2 offsets")
        for number, row in enumerate(offsets, start=1):
            if len(row) != len(offsets[0]):
                raise ValueError(f"row {number} has {len(row)} offsets, but row 1 has {len(offsets[0])}")
        return offsets

    def _map(self, points: Tensor, amount: Amount, box: Bounds) -> Tensor:
        away = deformations.free_form(points, box=box, offsets=self.offsets) - points
        return points + (amount[:, None].to(points) if isinstance(amount, Tensor) else amount) * away


def middle(box: Bounds) -> PlanePoint:
    """Return the middle of a box."""
    left, top, right, bottom = box
    return 0.5 * (left + right), 0.5 * (top + bottom)


def _between(start: PlanePoint, end: PlanePoint, amount: Amount) -> Any:
    return start[0] + amount * (end[0] - start[0]), start[1] + amount * (end[1] - start[1])


def _some_shares(amounts: Float[Tensor, " m"]) -> list[float]:
    """Return some amounts from the least to the most that any point has."""
    if len(amounts) == 0:
        return []
    low, high = torch.stack(amounts.detach().aminmax()).tolist()
    return [low + share * (high - low) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
