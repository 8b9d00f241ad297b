"""The words of an edit script that move a part of a lifted photo, in space.

All coordinates are pixels of the photo, as large as they are at the depth of what is selected: x right, y down, z
towards the camera. So what lies at z = 0 moves as in a flat picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

import torch
from jaxtyping import Float
from pydantic import AfterValidator, Discriminator, Tag, model_validator
from torch import Tensor

from gainer_ns.editing import deformations
from gainer_ns.editing.deformations import Box
from gainer_ns.editing.operations import Number, Operation, Point, Positive


def _either(flat: str, deep: str, longest: int) -> Discriminator:
    return Discriminator(lambda value: deep if isinstance(value, list | tuple) and len(value) > longest else flat)


AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}

Triple: TypeAlias = tuple[Number, Number, Number]
Place: TypeAlias = Annotated[
    Annotated[Point, Tag("flat")] | Annotated[Triple, Tag("deep")], _either("flat", "deep", longest=2)
]
"""A point or an offset; z is 0 where it is left out."""


def _with_length(vector: Triple) -> Triple:
    if math.hypot(*vector) < 1e-6:
        raise ValueError("has no direction; write x, y, z or a vector [x, y, z] that is not 0")
    return vector


Direction: TypeAlias = Annotated[
    Annotated[Literal["x", "y", "z"], Tag("word")]
    | Annotated[tuple[Number, Number, Number], AfterValidator(_with_length), Tag("vector")],
    Discriminator(lambda value: "vector" if isinstance(value, list | tuple) else "word"),
]


def _with_ends(line: tuple[Place, Place]) -> tuple[Place, Place]:
    start, end = (in_space(place) for place in line)
    if math.dist(start, end) < 1e-6:
        raise ValueError("is a line whose two points are the same; give two different ones")
    return line


Line: TypeAlias = Annotated[tuple[Place, Place], AfterValidator(_with_ends)]
Factors: TypeAlias = Annotated[
    Annotated[Positive, Tag("number")]
    | Annotated[tuple[Positive, Positive], Tag("pair")]
    | Annotated[tuple[Positive, Positive, Positive], Tag("triple")],
    Discriminator(
        lambda value: "number" if not isinstance(value, list | tuple) else "triple" if len(value) > 2 else "pair"
    ),
]


def in_space(place: Sequence[float], z: float = 0.0) -> Triple:
    """A place of two or three coordinates as one of three."""
    x, y, *rest = place
    return x, y, rest[0] if rest else z


def direction(named: str | Triple) -> Triple:
    """A unit vector of an axis named x, y or z, or of any vector."""
    vector = (
        {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}[named] if isinstance(named, str) else named
    )
    length = math.hypot(*vector)
    return vector[0] / length, vector[1] / length, vector[2] / length


def rotate(points: Float[Tensor, "m 3"], degrees: float, axis: Triple, center: Triple) -> Float[Tensor, "m 3"]:
    """Turns around a unit axis through a centre, counter-clockwise as seen by one whom the axis points at.

    (Rodrigues' formula; y points down, so the space is left-handed, and the cross product has its sides changed.)
    """
    offset, unit = points - points.new_tensor(center), points.new_tensor(axis)
    across = offset - (offset @ unit)[:, None] * unit
    angle = math.radians(degrees)
    turned = torch.linalg.cross(offset, unit.expand_as(offset))
    return points - 2 * math.sin(0.5 * angle) ** 2 * across + math.sin(angle) * turned


def bend(
    points: Float[Tensor, "m 3"], degrees: float, axis: tuple[Triple, Triple], about: Triple
) -> Float[Tensor, "m 3"]:
    """Bends a line into a circular arc: :func:`gainer_ns.editing.deformations.bend` in the plane of two directions.

    Args:
        points: Points to move.
        degrees: How far the line's far end turns.
        axis: The line.
        about: The unit vector that it turns about, which does not point along the line.
    """
    start, end = points.new_tensor(axis)
    length = math.dist(*axis)
    along = (end - start) / length
    left = torch.nn.functional.normalize(torch.linalg.cross(along, points.new_tensor(about)), dim=0)
    flat = torch.stack([(points - start) @ along, -((points - start) @ left)], dim=1)
    forward, right = (deformations.bend(flat, degrees, ((0.0, 0.0), (length, 0.0))) - flat).unbind(dim=1)
    return points + forward[:, None] * along - right[:, None] * left


class Move(Operation):
    """Moves the selection in space."""

    by: Place
    """How far: to the right, down and, if there is a third number, towards the camera, in pixels."""

    def _map(self, points: Tensor, amount: float, box: Box) -> Tensor:
        return deformations.move(points, by=[amount * part for part in in_space(self.by)])


class Rotate(Operation):
    """Turns the selection in space."""

    degrees: Number
    """How far, counter-clockwise as one sees it whom the axis points at."""
    axis: Direction = "z"
    """What it turns around: z as in a picture, x tips the top towards the camera, y brings the right side forward; or a
    vector [x, y, z]."""
    center: Place | None = None
    """What stays where it is; the middle of the selection if left out."""

    def _map(self, points: Tensor, amount: float, box: Box) -> Tensor:
        return rotate(points, amount * self.degrees, direction(self.axis), _center(self.center, box))


class Scale(Operation):
    """Enlarges or shrinks the selection in space."""

    factor: Factors
    """How many times larger; one number, or one for the width, one for the height and perhaps one for the depth."""
    center: Place | None = None
    """What stays where it is; the middle of the selection if left out."""

    def _map(self, points: Tensor, amount: float, box: Box) -> Tensor:
        factor = in_space(self.factor, 1.0) if isinstance(self.factor, tuple) else (self.factor,) * 3
        power = [part**amount for part in factor]
        return deformations.scale(points, factor=power, center=_center(self.center, box))


class Bend(Operation):
    """Bends the selection along a line, which becomes an arc of a circle and keeps its length."""

    degrees: Number
    """How far the line's far end turns, counter-clockwise as one sees it whom the direction about points at."""
    axis: Line
    """The line. What lies before its first point stays, what lies beyond its second goes on straight."""
    about: Direction = "z"
    """What the far end turns about: z bends within the picture; a line to the right bends forward about y, a line
    upwards about x; or a vector."""

    @model_validator(mode="after")
    def _across(self) -> Bend:
        (x0, y0, z0), (x1, y1, z1) = (in_space(place) for place in self.axis)
        a, b, c = x1 - x0, y1 - y0, z1 - z0
        x, y, z = direction(self.about)
        if math.hypot(b * z - c * y, c * x - a * z, a * y - b * x) < 1e-6 * math.hypot(a, b, c):
            raise ValueError("turns about the line itself; choose an about that points across the line")
        return self

    def _map(self, points: Tensor, amount: float, box: Box) -> Tensor:
        start, end = (in_space(place) for place in self.axis)
        return bend(points, amount * self.degrees, (start, end), direction(self.about))


LIFTED_OPERATIONS: dict[str, type[Operation]] = {"move": Move, "rotate": Rotate, "scale": Scale, "bend": Bend}
"""The word that a script for a lifted photo uses for each operation."""


def _center(center: Sequence[float] | None, box: Box) -> Triple:
    left, top, right, bottom = box
    return (0.5 * (left + right), 0.5 * (top + bottom), 0.0) if center is None else in_space(center)
