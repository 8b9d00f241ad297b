"""The words of an edit script that move a part of a lifted photo, in space: what of them is not as in a flat picture.

The others move what is selected as in the picture, each point at its own depth. All coordinates are pixels of the
photo, as large as they are at the depth of what is selected: x right, y down, z towards the camera. So what lies at
z = 0 moves as in a flat picture.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, TypeAlias

import torch
from jaxtyping import Float
from pydantic import AfterValidator, Discriminator, Tag, model_validator
from torch import Tensor

from gainer_ns.editing import deformations, operations
from gainer_ns.editing.deformations import Amount
from gainer_ns.editing.operation import (
    Across,
    Down,
    FiniteNumber,
    Length,
    Operation,
    PlaneOffset,
    PlanePoint,
    PositiveFactor,
)
from gainer_ns.editing.operations import completed, middle
from gainer_ns.editing.vocabulary import OPERATIONS
from gainer_ns.frames import Bounds

_AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}

Triple: TypeAlias = tuple[FiniteNumber, FiniteNumber, FiniteNumber]
_BY_LENGTH = Discriminator(lambda value: "deep" if isinstance(value, list | tuple) and len(value) > 2 else "flat")
SpacePoint: TypeAlias = Annotated[
    Annotated[PlanePoint, Tag("flat")] | Annotated[tuple[Across, Down, Length], Tag("deep")], _BY_LENGTH
]
"""A point; z is 0 where it is left out."""
SpaceOffset: TypeAlias = Annotated[
    Annotated[PlaneOffset, Tag("flat")] | Annotated[tuple[Length, Length, Length], Tag("deep")], _BY_LENGTH
]
"""How far; along z it is 0 where it is left out."""


def _with_length(vector: Triple) -> Triple:
    if math.hypot(*vector) < 1e-6:
        raise ValueError("has no direction; write x, y, z or a vector [x, y, z] that is not 0")
    return vector


Direction: TypeAlias = Annotated[
    Annotated[Literal["x", "y", "z"], Tag("word")]
    | Annotated[tuple[FiniteNumber, FiniteNumber, FiniteNumber], AfterValidator(_with_length), Tag("vector")],
    Discriminator(lambda value: "vector" if isinstance(value, list | tuple) else "word"),
]


def _with_ends(line: tuple[SpacePoint, SpacePoint]) -> tuple[SpacePoint, SpacePoint]:
    if math.dist(*(completed(end, 3) for end in line)) < 1e-6:
        raise ValueError("is a line whose two points are the same; give two different ones")
    return line


SpaceLine: TypeAlias = Annotated[tuple[SpacePoint, SpacePoint], AfterValidator(_with_ends)]
SpaceFactors: TypeAlias = Annotated[
    Annotated[PositiveFactor, Tag("number")]
    | Annotated[tuple[PositiveFactor, PositiveFactor], Tag("pair")]
    | Annotated[tuple[PositiveFactor, PositiveFactor, PositiveFactor], Tag("triple")],
    Discriminator(
        lambda value: "number" if not isinstance(value, list | tuple) else "triple" if len(value) > 2 else "pair"
    ),
]


def unit_vector(direction: Direction) -> Triple:
    """Return the unit vector of an axis named x, y or z, or of any vector."""
    x, y, z = _AXES[direction] if isinstance(direction, str) else direction
    length = math.hypot(x, y, z)
    return x / length, y / length, z / length


def rotate_about(
    points: Float[Tensor, "m 3"], degrees: Amount, axis: Triple, center: tuple[float, ...]
) -> Float[Tensor, "m 3"]:
    """Turn around a unit axis through a centre, counter-clockwise as seen by one whom the axis points at.

    (Rodrigues' formula; y points down, so the space is left-handed, and the cross product has its sides changed.)
    """
    offset, unit = points - points.new_tensor(center), points.new_tensor(axis)
    across = offset - (offset @ unit)[:, None] * unit
    angle = torch.as_tensor(degrees, dtype=points.dtype, device=points.device)[..., None] * (math.pi / 180.0)
    turned = torch.linalg.cross(offset, unit.expand_as(offset))
    return points - 2 * (0.5 * angle).sin().square() * across + angle.sin() * turned


def bend_about(
    points: Float[Tensor, "m 3"], degrees: Amount, axis: tuple[tuple[float, ...], tuple[float, ...]], about: Triple
) -> Float[Tensor, "m 3"]:
    """Bend a line into a circular arc: :func:`gainer_ns.editing.deformations.bend` in the plane of two directions.

    The line's far end turns by ``degrees`` about a unit vector that does not point along the line.
    """
    start, end = points.new_tensor(axis)
    length = math.dist(*axis)
    along = (end - start) / length
    left = torch.nn.functional.normalize(torch.linalg.cross(along, points.new_tensor(about)), dim=0)
    flat = torch.stack([(points - start) @ along, -((points - start) @ left)], dim=1)
    forward, right = (deformations.bend(flat, degrees, ((0.0, 0.0), (length, 0.0))) - flat).unbind(dim=1)
    return points + forward[:, None] * along - right[:, None] * left


class LiftedMove(operations.Move):
    """Moves the selection in space."""

    is_planar = False

    by: SpaceOffset
    """How far: to the right, down and, if there is a third number, towards the camera, in pixels."""


class LiftedRotate(operations.Rotate):
    """Turns the selection in space."""

    is_planar = False

    degrees: FiniteNumber
    """How far, counter-clockwise as one sees it whom the axis points at."""
    axis: Direction = "z"
    """What it turns around: z as in a picture, x tips the top towards the camera, y brings the right side forward; or a
    vector [x, y, z]."""
    center: SpacePoint | None = None
    """What stays where it is; the middle of the selection if left out."""

    def _map(self, points: Tensor, amount: Amount, box: Bounds) -> Tensor:
        center = completed(self.center or middle(box), 3)
        return rotate_about(points, amount * self.degrees, unit_vector(self.axis), center)


class LiftedScale(operations.Scale):
    """Enlarges or shrinks the selection in space."""

    is_planar = False

    factor: SpaceFactors
    """How many times larger; one number, or one for the width, one for the height and perhaps one for the depth."""
    center: SpacePoint | None = None
    """What stays where it is; the middle of the selection if left out."""


class LiftedBend(operations.Bend):
    """Bends the selection along a line, which becomes an arc of a circle and keeps its length."""

    is_planar = False

    degrees: FiniteNumber
    """How far the line's far end turns, counter-clockwise as one sees it whom the direction about points at."""
    axis: SpaceLine
    """The line. What lies before its first point stays, what lies beyond its second goes on straight."""
    about: Direction = "z"
    """What the far end turns about: z bends within the picture; a line to the right bends forward about y, a line
    upwards about x; or a vector."""

    @model_validator(mode="after")
    def _across(self) -> LiftedBend:
        (x0, y0, z0), (x1, y1, z1) = (completed(end, 3) for end in self.axis)
        a, b, c = x1 - x0, y1 - y0, z1 - z0
        x, y, z = unit_vector(self.about)
        if math.hypot(b * z - c * y, c * x - a * z, a * y - b * x) < 1e-6 * math.hypot(a, b, c):
            raise ValueError("turns about the line itself; choose an about that points across the line")
        return self

    def _map(self, points: Tensor, amount: Amount, box: Bounds) -> Tensor:
        start, end = (completed(end, 3) for end in self.axis)
        return bend_about(points, amount * self.degrees, (start, end), unit_vector(self.about))


LIFTED_OPERATIONS: dict[str, type[Operation]] = {
    **OPERATIONS,
    "move": LiftedMove,
    "rotate": LiftedRotate,
    "scale": LiftedScale,
    "bend": LiftedBend,
}
"""The word that a script for a lifted photo uses for each operation."""
