"""Places, directions and turns in the space of a lifted photo, as a script says them.

All coordinates are pixels of the photo, as large as they are at the depth of what is selected: x right, y down, z
towards the camera. What has two numbers lies at z = 0, and moves there as in a flat picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

import torch
from jaxtyping import Float
from pydantic import AfterValidator, Discriminator, Tag
from torch import Tensor

from gainer_ns.editing import deformations
from gainer_ns.editing.deformations import Amount
from gainer_ns.editing.operation import Across, Down, FiniteNumber, Length, PlaneOffset, PlanePoint, PositiveFactor

_AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}

Triple: TypeAlias = tuple[FiniteNumber, FiniteNumber, FiniteNumber]
_BY_LENGTH = Discriminator(lambda value: "deep" if isinstance(value, list | tuple) and len(value) > 2 else "flat")
SpacePoint: TypeAlias = Annotated[
    Annotated[PlanePoint, Tag("flat")] | Annotated[tuple[Across, Down, Length], Tag("deep")], _BY_LENGTH
]
SpaceOffset: TypeAlias = Annotated[
    Annotated[PlaneOffset, Tag("flat")] | Annotated[tuple[Length, Length, Length], Tag("deep")], _BY_LENGTH
]


def _with_length(vector: Triple) -> Triple:
    if math.hypot(*vector) < 1e-6:
        raise ValueError("has no direction; write x, y, z or a vector [x, y, z] that is not 0")
    return vector


Direction: TypeAlias = Annotated[
    Annotated[Literal["x", "y", "z"], Tag("word")] | Annotated[Triple, AfterValidator(_with_length), Tag("vector")],
    Discriminator(lambda value: "vector" if isinstance(value, list | tuple) else "word"),
]


def _with_ends(line: tuple[SpacePoint, SpacePoint]) -> tuple[SpacePoint, SpacePoint]:
    deformations.check_line([completed(end, 3) for end in line])
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


def completed(coordinates: Sequence[float], dimensions: int, fill: float = 0.0) -> tuple[float, ...]:
    """Return as many coordinates as there are dimensions: those that a script leaves out are filled in."""
    return (*coordinates, *(dimensions - len(coordinates)) * (fill,))


def unit_vector(direction: Direction) -> Triple:
    """Return the unit vector of an axis named x, y or z, or of any vector."""
    x, y, z = _AXES[direction] if isinstance(direction, str) else direction
    length = math.hypot(x, y, z)
    return x / length, y / length, z / length


def is_along(direction: Direction, line: SpaceLine) -> bool:
    """Return whether a direction is that of a line."""
    (x0, y0, z0), (x1, y1, z1) = (completed(end, 3) for end in line)
    a, b, c = x1 - x0, y1 - y0, z1 - z0
    x, y, z = unit_vector(direction)
    return math.hypot(b * z - c * y, c * x - a * z, a * y - b * x) < 1e-6 * math.hypot(a, b, c)


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
