"""What is in the way of bodies: solid ground, walls, discs and boxes, and how bodies slide along them.

Coordinates are widths of the picture: x right, y down. The shapes are flat; in space they go on along z.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from gainer_ns.editing.selection import Box, Disc, ScriptModel
from gainer_ns.editing.shapes import depth_in_box
from gainer_ns.physics.lengths import Bounds, Length, LengthVector, check_one_of

SurfaceKind = Literal["sticky", "slip", "separate"]
"""What holds on to bodies (sticky), lets them slide but not leave (slip), or lets them slide and leave (separate)."""

FLOOR_FRICTION, OTHER_FRICTION = 0.4, 0.2
"""Coulomb's coefficients where a scene does not say: of floors, and of everything else."""


@dataclass(frozen=True)
class Collider(ABC):
    """Something solid that does not move.

    Attributes:
        surface: Whether bodies stick to it, slide along it, or may leave it.
        friction: Coulomb's coefficient: how much of the pressure holds back what slides.
    """

    surface: SurfaceKind = "separate"
    friction: float = OTHER_FRICTION

    @abstractmethod
    def depth(self, points: Float[Tensor, "m d"]) -> Float[Tensor, " m"]:
        """Return how deep points are inside, in widths: 0 on its surface, negative outside."""

    @abstractmethod
    def normals(self, points: Float[Tensor, "m d"]) -> Float[Tensor, "m d"]:
        """Return unit vectors out of it, by way of the surface's nearest point: minus the depth's gradient."""

    @property
    @abstractmethod
    def middle(self) -> tuple[float, ...]:
        """Where it is: its middle, or a point on its surface where it has none."""

    def touches(self, box: Bounds) -> bool:
        """Tell whether any of it is in a box, given as left, top, right and bottom."""
        left, top, right, bottom = box
        x, y = self.middle[:2]
        # A half space is in a box where a corner is; a disc or a level box where the point next to its middle is.
        nearest = min(max(x, left), right), min(max(y, top), bottom)
        points = [(left, top), (right, top), (left, bottom), (right, bottom), nearest]
        return bool((self.depth(torch.tensor(points, dtype=torch.float64)) > -1e-6).any())


@dataclass(frozen=True)
class HalfSpace(Collider):
    """Everything on one side of a plane.

    Attributes:
        point: On the plane.
        normal: Out of what is solid; unit length. Either may have a third number, for z.
    """

    point: tuple[float, ...] = (0.0, 0.0)
    normal: tuple[float, ...] = (0.0, -1.0)

    @property
    def middle(self) -> tuple[float, ...]:
        """A point on the plane."""
        return self.point

    def depth(self, points: Float[Tensor, "m d"]) -> Float[Tensor, " m"]:
        """Return how deep points are inside, in widths."""
        return -((points - self._vector(self.point, points)) * self._vector(self.normal, points)).sum(dim=-1)

    def normals(self, points: Float[Tensor, "m d"]) -> Float[Tensor, "m d"]:
        """Return its normal, for each point."""
        return self._vector(self.normal, points).expand_as(points)

    @staticmethod
    def _vector(numbers: tuple[float, ...], points: Tensor) -> Tensor:
        return points.new_tensor([*numbers, 0.0][: points.shape[-1]])


@dataclass(frozen=True)
class SolidDisc(Collider):
    """A disc; in space a cylinder. Lengths are widths."""

    center: tuple[float, float] = (0.0, 0.0)
    radius: float = 1.0

    @property
    def middle(self) -> tuple[float, ...]:
        """Its centre."""
        return self.center

    def depth(self, points: Float[Tensor, "m d"]) -> Float[Tensor, " m"]:
        """Return how deep points are inside, in widths."""
        return self.radius - torch.linalg.vector_norm(self._offsets(points), dim=-1)

    def normals(self, points: Float[Tensor, "m d"]) -> Float[Tensor, "m d"]:
        """Point away from the centre; at the centre itself upwards."""
        return _padded(_unit(self._offsets(points)), points)

    def _offsets(self, points: Tensor) -> Tensor:
        return points[:, :2] - points.new_tensor(self.center)


@dataclass(frozen=True)
class SolidBox(Collider):
    """A box, its sides level and upright: left, top, right and bottom, in widths."""

    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    @property
    def middle(self) -> tuple[float, ...]:
        """Its middle."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    def depth(self, points: Float[Tensor, "m d"]) -> Float[Tensor, " m"]:
        """Return how deep points are inside, in widths."""
        return depth_in_box(points[:, :2], self.box)

    def normals(self, points: Float[Tensor, "m d"]) -> Float[Tensor, "m d"]:
        """Point inside towards the nearest side, outside away from the nearest point."""
        flat = points[:, :2]
        low, high = points.new_tensor(self.box[:2]), points.new_tensor(self.box[2:])
        offsets = flat - (low + high) / 2
        beyond = offsets.abs() - (high - low) / 2
        side = torch.nn.functional.one_hot(beyond.argmax(dim=-1), 2).to(points)
        inward = torch.where(offsets < 0, -1.0, 1.0).to(points)
        outside = beyond.clamp(min=0) * inward
        is_outside = (beyond > 0).any(dim=-1, keepdim=True)
        return _padded(torch.where(is_outside, _unit(outside), side * inward), points)


def _unit(vectors: Tensor) -> Tensor:
    """Return vectors of length 1; upwards where they have none."""
    lengths = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    up = vectors.new_tensor([0.0, -1.0])
    return torch.where(lengths > 0, vectors / lengths.clamp(min=torch.finfo(vectors.dtype).tiny), up)


def _padded(vectors: Tensor, points: Tensor) -> Tensor:
    """Return vectors of the plane with as many coordinates as points have."""
    return torch.nn.functional.pad(vectors, (0, points.shape[-1] - 2))


class Floor(ScriptModel):
    """Solid ground, with its surface at the domain's bottom if ``top`` is None."""

    top: Length | None = None


class Walls(ScriptModel):
    """Two upright walls, with their surfaces at the domain's borders where they are None."""

    left: Length | None = None
    right: Length | None = None


class Plane(ScriptModel):
    """Solid ground that may slope.

    Attributes:
        point: On its surface.
        normal: Out of the ground, of any length: ``[0, -1]`` is level ground below.
    """

    point: LengthVector
    normal: LengthVector

    @field_validator("normal")
    @classmethod
    def _has_length(cls, normal: tuple[float, float]) -> tuple[float, float]:
        if math.hypot(*normal) < 1e-9:
            raise ValueError("has no length; write which way the ground faces, such as [0, -1] for upwards")
        return normal


class Obstacle(ScriptModel):
    """What is in the way: exactly one of the first five.

    Attributes:
        surface: Whether bodies stick to it, slide along it (slip), or may leave it too (separate).
        friction: Coulomb's coefficient of what slides; 0.4 of floors and 0.2 of all else if None.
    """

    floor: Floor | None = None
    walls: Walls | None = None
    plane: Plane | None = None
    disc: Disc | None = None
    box: Box | None = None
    surface: SurfaceKind = "separate"
    friction: Annotated[float, Field(strict=True, ge=0, le=100, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Obstacle:
        check_one_of(self, ("floor", "walls", "plane", "disc", "box"))
        if self.surface == "sticky" and self.friction is not None:
            raise ValueError("a sticky surface needs no friction; leave friction out, or write surface: separate")
        return self

    def colliders(self, domain: Bounds) -> tuple[Collider, ...]:
        """Return what it is in a domain, given as left, top, right and bottom."""
        default = OTHER_FRICTION if self.floor is None else FLOOR_FRICTION
        how = self.surface, default if self.friction is None else self.friction
        left, _, right, bottom = domain
        if self.floor is not None:
            return (HalfSpace(*how, (left, _given(self.floor.top, bottom)), (0.0, -1.0)),)
        if self.walls is not None:
            return (
                HalfSpace(*how, (_given(self.walls.left, left), bottom), (1.0, 0.0)),
                HalfSpace(*how, (_given(self.walls.right, right), bottom), (-1.0, 0.0)),
            )
        if self.plane is not None:
            length = math.hypot(*self.plane.normal)
            return (HalfSpace(*how, self.plane.point, tuple(part / length for part in self.plane.normal)),)
        if self.disc is not None:
            return (SolidDisc(*how, self.disc.center, self.disc.radius),)
        assert self.box is not None
        return (SolidBox(*how, self.box),)


def _given(number: float | None, default: float) -> float:
    return default if number is None else number


def border_colliders(domain: Bounds, obstacles: Iterable[Obstacle] = ()) -> tuple[Collider, ...]:
    """Return the borders of a domain as colliders, but for those that floors and walls replace."""
    colliders: list[Collider] = [HalfSpace("separate", 0.0, domain[:2], (0.0, 1.0))]
    obstacles = tuple(obstacles)
    if all(obstacle.walls is None for obstacle in obstacles):
        colliders += Obstacle(walls=Walls(), friction=0.0).colliders(domain)
    if all(obstacle.floor is None for obstacle in obstacles):
        colliders += Obstacle(floor=Floor()).colliders(domain)
    return tuple(colliders)
