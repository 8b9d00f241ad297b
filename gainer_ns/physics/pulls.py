"""Pulls: hands that take hold of what is near a place, and draw it along a path.

Lengths are widths of the picture, x to the right and y down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Bool, Float
from pydantic import AfterValidator, Field, model_validator
from torch import Tensor

from gainer_ns.editing.selection import ScriptModel
from gainer_ns.frames import Bounds
from gainer_ns.io.places import PlacedError
from gainer_ns.physics.forces import between, by_time, lasts
from gainer_ns.physics.lengths import LengthVector, PositiveLength, Seconds

MAX_REACH = 0.25
"""A hand that is farther away than so many widths pulls no more than from there: what is held follows, and holds."""
Strength = Annotated[float, Field(strict=True, gt=0, le=1000, allow_inf_nan=False)]
"""So that a hand, which looks 60 times a second at what it holds, is calm: below the square of 60."""


class Pull(ScriptModel):
    """A hand: holds what lies around a place when it begins, as a damped spring, and goes along a path with it.

    Attributes:
        at: Where it takes hold.
        radius: Of what it holds, which is held most in the middle.
        strength: Widths a squared second for each width that what is held lags behind.
        to: Where the hand is, at times in seconds; linear between them. It stays where it is if None, and so pins.
        start: In YAML ``from``: when it takes hold, in seconds.
        until: When it lets go, in seconds; never if None.
    """

    at: LengthVector
    radius: PositiveLength = 0.08
    strength: Strength = 400.0
    to: Annotated[dict[Seconds, LengthVector], AfterValidator(by_time), Field(min_length=1)] | None = None
    start: Seconds = Field(default=0.0, alias="from")
    until: Seconds | None = None

    @model_validator(mode="after")
    def _ends_later(self) -> Pull:
        if self.until is not None and self.until <= self.start:
            raise PlacedError(("until",), f"must be later than from, which is {self.start:g}")
        return self

    def hand(self, t: float) -> tuple[float, float]:
        """Return where the hand is at a time in seconds."""
        return self.at if self.to is None else between(self.to, t)

    def touches(self, box: Bounds) -> bool:
        """Tell whether it ever reaches into a box: where it takes hold, or on its way."""
        reach, (left, top, right, bottom) = self.radius, box
        places = (self.at, *(self.to or {}).values())
        return any(left - reach < x < right + reach and top - reach < y < bottom + reach for x, y in places)


@dataclass(frozen=True)
class Tug:
    """What a hand does for a moment: an acceleration around a place, the same at all times.

    Attributes:
        centre: [2], widths.
        acceleration: [2], widths a squared second, of what is in the middle; None towards the centre, by ``strength``.
        radius: Beyond which there is none.
        strength: Widths a squared second for each width from the centre.
    """

    centre: Float[Tensor, "2"]
    acceleration: Float[Tensor, "2"] | None
    radius: float
    strength: float

    def field(self, points: Float[Tensor, "m d"]) -> Float[Tensor, "m d"]:
        """Return the acceleration at points, 0 along z."""
        away = points[:, :2] - self.centre.to(points)
        weights = (1 - away.square().sum(dim=1) / self.radius**2).clamp(min=0).square()
        pulling = -self.strength * away if self.acceleration is None else self.acceleration.to(points)
        return torch.nn.functional.pad(weights[:, None] * pulling, (0, points.shape[1] - 2))

    def amount(self, t: float) -> float:
        """Return 1: there is all of it as long as it lasts."""
        return 1.0


class Grip:
    """A hand that has taken hold.

    Attributes:
        members: [n], which particles it holds: what is elastic or rigid. It draws near what flows or crumbles.
        start: [2], where their middle was then.
    """

    def __init__(self, members: Bool[Tensor, " n"], start: Float[Tensor, "2"]) -> None:
        self.members, self.start = members, start

    @classmethod
    def of(cls, pull: Pull, positions: Float[Tensor, "n d"], firm: Bool[Tensor, " n"]) -> Grip:
        """Take hold of those of the particles that are firm and near."""
        flat = positions[:, :2]
        members = firm & ((flat - flat.new_tensor(pull.at)).norm(dim=1) < pull.radius)
        return cls(members, flat[members].mean(dim=0) if bool(members.any()) else flat.new_tensor(pull.at))

    def tug(self, pull: Pull, t: float, positions: Float[Tensor, "n d"], velocities: Float[Tensor, "n d"]) -> Tug:
        """Return what the hand does at a time, given where the particles are."""
        hand = positions.new_tensor(pull.hand(t))
        if not bool(self.members.any()):
            return Tug(hand, None, pull.radius, pull.strength)
        centre, velocity = (each[self.members, :2].mean(dim=0) for each in (positions, velocities))
        lag = hand - positions.new_tensor(pull.at) + self.start - centre
        lag = lag * min(1.0, MAX_REACH / max(float(lag.norm()), 1e-9))
        return Tug(centre, pull.strength * lag - 2 * math.sqrt(pull.strength) * velocity, pull.radius, pull.strength)


class Grips:
    """All hands of a simulation, and what they hold.

    Args:
        firm: [n], which particles can be held: what is elastic or rigid.
    """

    def __init__(self, firm: Bool[Tensor, " n"]) -> None:
        self._firm = firm
        self._grips: dict[int, Grip] = {}

    def tugs(
        self, pulls: tuple[Pull, ...], span: tuple[float, float], positions: Tensor, velocities: Tensor
    ) -> list[Tug]:
        """Return what hands do from one time to another, by where the particles are at the first.

        Args:
            pulls: Of the scene; those that have been asked about before come first, and in the same order.
            span: Seconds.
            positions: [n, d], widths.
            velocities: [n, d], widths a second.
        """
        tugs = []
        for number, pull in enumerate(pulls):
            if lasts(pull.start, pull.until, span):
                if number not in self._grips:
                    self._grips[number] = Grip.of(pull, positions, self._firm)
                tugs.append(self._grips[number].tug(pull, span[0], positions, velocities))
        return tugs

    def as_dict(self, pulls: tuple[Pull, ...]) -> dict[str, Tensor]:
        """Return tensors that tell what is held; none where there are no pulls."""
        if not pulls:
            return {}
        device = self._firm.device
        held = torch.zeros(len(pulls), len(self._firm), dtype=torch.bool, device=device)
        starts = torch.full((len(pulls), 2), math.nan, device=device)
        for number, grip in self._grips.items():
            held[number], starts[number] = grip.members, grip.start
        return {"held": held.to(torch.uint8), "held_from": starts}

    def resume(self, held: Tensor, held_from: Tensor) -> None:
        """Go on from such tensors."""
        held, held_from = held.bool().to(self._firm.device), held_from.to(self._firm.device)
        begun = held_from.isfinite().all(dim=1).nonzero()[:, 0].tolist()
        self._grips = {number: Grip(held[number], held_from[number]) for number in begun}
