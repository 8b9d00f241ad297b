"""Bodies of a scene: which part of the picture each is, what it is made of, and how it starts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import AfterValidator, Field, model_validator
from torch import Tensor

from gainer_ns.editing.selection import ScriptModel, Selection
from gainer_ns.io.places import PlacedError
from gainer_ns.physics.lengths import Bounds, Fraction, LengthVector, in_pixels, is_empty, share_of
from gainer_ns.physics.materials import ChosenMaterial


def _not_empty(part: Bounds) -> Bounds:
    if is_empty(part):
        raise ValueError("is empty; write [left, top, right, bottom] from 0 to 1, with left < right and top < bottom")
    return part


class Body(ScriptModel):
    """A part of the picture that moves, or that others hang on to.

    Attributes:
        select: Which part, in widths of the picture; what an earlier body took is not taken again.
        part: Which part of what the picture shows, as shares of the box around that. Both must hold.
        material: What it is made of.
        velocity: At the start: to the right and down, in widths a second.
        spin: At the start: degrees a second, counter-clockwise as seen, about its centre of mass.
    """

    select: Selection = Selection(all=True)
    part: Annotated[tuple[Fraction, Fraction, Fraction, Fraction], AfterValidator(_not_empty)] | None = None
    material: ChosenMaterial
    velocity: LengthVector = (0.0, 0.0)
    spin: Annotated[float, Field(strict=True, ge=-1e5, le=1e5, allow_inf_nan=False)] = 0.0

    @model_validator(mode="after")
    def _pinned_stays(self) -> Body:
        for word in ("velocity", "spin"):
            if self.is_pinned and getattr(self, word) not in (0.0, (0.0, 0.0)):
                raise PlacedError((word,), f"what is pinned does not move; leave {word} out, or take another material")
        return self

    @property
    def is_pinned(self) -> bool:
        """Whether it does not move at all."""
        return self.material.material.behaviour == "pinned"

    def region(self, width: float, content: Bounds) -> Selection:
        """Return what it takes of a picture of a width, given the box around what that shows; all in pixels."""
        select = in_pixels(self.select, width)
        if self.part is None:
            return select
        part = Selection.model_construct(box=share_of(self.part, content), feather=0.0)
        return part if select.all else Selection.model_construct(intersect=(select, part))

    def velocities(self, positions: Float[Tensor, "n d"], volumes: Float[Tensor, " n"]) -> Float[Tensor, "n d"]:
        """Return how its particles move at the start, as a rigid body does, in widths a second.

        Args:
            positions: Of its particles, widths.
            volumes: What each weighs among them.
        """
        centre = (positions * volumes[:, None]).sum(dim=0) / volumes.sum()
        x, y = (positions - centre).unbind(-1)[:2]
        turn = math.radians(self.spin)
        velocities = torch.zeros_like(positions)
        velocities[:, 0] = self.velocity[0] + turn * y  # y points down, so counter-clockwise takes what is low right
        velocities[:, 1] = self.velocity[1] - turn * x
        return velocities


def body_fields(regions: Iterable[Selection], points: Float[Tensor, "m 2"]) -> Float[Tensor, "b m"]:
    """Return how far inside each of some regions points are, where what is in several belongs to the first of them.

    Points and regions are in pixels; fields are those of ``Selection.field``: 0.5 on the edge, more inside.
    """
    taken = torch.full_like(points[:, 0], -math.inf)
    fields = []
    for region in regions:
        own = region.field(points)
        fields.append(torch.minimum(own, 1 - taken))
        taken = torch.maximum(taken, own)
    return torch.stack(fields)
