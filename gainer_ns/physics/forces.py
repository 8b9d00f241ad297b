"""What accelerates bodies: gravity, and forces that act in a region and for a time.

Lengths are widths of the picture, x to the right and y down; accelerations are widths a squared second.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Float
from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from torch import Tensor

from gainer_ns.editing.selection import ScriptModel, Selection
from gainer_ns.io.places import PlacedError
from gainer_ns.physics.lengths import (
    Fraction,
    Length,
    LengthVector,
    PositiveLength,
    Seconds,
    check_one_of,
    in_pixels,
)

IMPULSE_SECONDS = 1 / 30
"""How long an impulse lasts: a frame of most films."""

Degrees = Annotated[float, Field(strict=True, ge=-1e6, le=1e6, allow_inf_nan=False)]


def by_time(keyframes: dict[float, tuple[float, float]]) -> dict[float, tuple[float, float]]:
    """Return keyframes in the order of their times."""
    return dict(sorted(keyframes.items()))


def between(keyframes: dict[float, tuple[float, float]], t: float) -> tuple[float, float]:
    """Return what keyframes, in order, say at a time: linear between them, held before and after."""
    times = list(keyframes)
    after = bisect_right(times, t)
    if after in (0, len(times)):
        return keyframes[times[max(after - 1, 0)]]
    start, end = times[after - 1], times[after]
    share = (t - start) / (end - start)
    (x0, y0), (x1, y1) = keyframes[start], keyframes[end]
    return x0 + share * (x1 - x0), y0 + share * (y1 - y0)


class Gravity(ScriptModel):
    """What accelerates everything alike. In YAML a number, downwards; or ``[right, down]``; or keyframes of these.

    Attributes:
        keyframes: To the right and down, at times in seconds; linear between them, held before and after.
    """

    keyframes: Annotated[dict[Seconds, LengthVector], AfterValidator(by_time)] = Field(
        default={0.0: (0.0, 5.0)}, min_length=1
    )

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, data: Any) -> Any:
        if isinstance(data, Gravity):
            return data
        if not isinstance(data, Mapping):
            return {"keyframes": {0.0: _vector(data)}}
        keyframes = data.get("keyframes")
        if isinstance(keyframes, Mapping):
            return {**data, "keyframes": {time: _vector(each, "keyframes", time) for time, each in keyframes.items()}}
        return data

    @model_serializer(mode="wrap")
    def _write_short(self, write: SerializerFunctionWrapHandler) -> Any:
        short = {time: down if right == 0 else (right, down) for time, (right, down) in self.keyframes.items()}
        return next(iter(short.values())) if len(short) == 1 else {"keyframes": short}

    def at(self, t: float) -> tuple[float, float]:
        """Return the acceleration to the right and down, at a time in seconds."""
        return between(self.keyframes, t)


def _vector(value: Any, *loc: str | float) -> Any:
    """Return gravity as it may be written, as a vector."""
    if isinstance(value, bool | str | Mapping) or (isinstance(value, list | tuple) and len(value) != 2):
        given = repr(value)[:40] if isinstance(value, str | bool) else f"a {type(value).__name__}"
        given = f"{len(value)} values" if isinstance(value, list | tuple) else given
        allowed = "a number (downwards) or [right, down]" + ("" if loc else ", or a mapping with keyframes")
        raise PlacedError(tuple(map(str, loc)), f"must be {allowed}, not {given}")
    return value if isinstance(value, list | tuple) else (0.0, value)


class Wind(ScriptModel):
    """Blows steadily, or in gusts."""

    acceleration: LengthVector
    """To the right and down, in widths a squared second."""
    gusts: Fraction = 0.0
    """How much it swells and slackens, from 0 (steady) to 1 (between calm and double)."""


class Oscillation(ScriptModel):
    """Pushes to and fro, as a sine."""

    acceleration: LengthVector
    """At its strongest, to the right and down, in widths a squared second."""
    period: PositiveLength
    """From one push to the next in the same direction, in seconds."""
    phase: Degrees = 0.0
    """Where in the sine it starts, in degrees: 0 starts calm, 90 at its strongest."""


class Impulse(ScriptModel):
    """Gives a push, which lasts a thirtieth of a second."""

    velocity: LengthVector
    """By how much it changes velocities, to the right and down, in widths a second."""
    at: Seconds
    """When it starts, in seconds."""


class Attractor(ScriptModel):
    """Draws towards a point, with a pull that grows up to about the radius and fades beyond (Plummer's sphere)."""

    center: LengthVector
    """Where to, in widths of the picture."""
    strength: Length
    """The strongest pull, in widths a squared second; pushes away if negative."""
    radius: PositiveLength
    """Its size, in widths: the pull is strongest at 0.7 of it, and a quarter of that at 3 times of it."""

    def field(self, points: Float[Tensor, "m d"]) -> Float[Tensor, "m 2"]:
        """Return the acceleration at points.

        Source: H. C. Plummer, "On the problem of distribution in globular star clusters", MNRAS 71, 1911.
        """
        offsets = points[:, :2] - points.new_tensor(self.center)
        softened = (offsets.square().sum(dim=-1) + self.radius**2).pow(1.5)
        return offsets * (-self.strength * 1.5 * math.sqrt(3) * self.radius**2 / softened)[:, None]


FORCES: dict[str, type[ScriptModel]] = {
    "wind": Wind,
    "oscillation": Oscillation,
    "impulse": Impulse,
    "attractor": Attractor,
}
"""Kinds of forces by their words."""


class Force(ScriptModel):
    """What accelerates a region for a time: exactly one of the first four.

    Attributes:
        region: Where it acts, in widths of the picture, with a soft border if feathered; everywhere if None.
        start: In YAML ``from``: when it begins, in seconds.
        until: When it ends, in seconds; never if None.
    """

    wind: Wind | None = None
    oscillation: Oscillation | None = None
    impulse: Impulse | None = None
    attractor: Attractor | None = None
    region: Selection | None = None
    start: Seconds = Field(default=0.0, alias="from")
    until: Seconds | None = None

    _width: float = PrivateAttr(1000.0)
    _seed: tuple[int, ...] = PrivateAttr((0,))

    @model_validator(mode="after")
    def _one_kind(self) -> Force:
        check_one_of(self, tuple(FORCES))
        if self.impulse is not None and (self.start > 0 or self.until is not None):
            raise ValueError("an impulse says itself when it is, by at; leave from and until out")
        if self.until is not None and self.until <= self.start:
            raise PlacedError(("until",), f"must be later than from, which is {self.start:g}")
        return self

    def on(self, width: float, seed: int = 0, number: int = 0) -> Force:
        """Place the force on a picture.

        Args:
            width: Of the picture in pixels: where hard edges and masks of the region are.
            seed: Of the gusts.
            number: Of the force in its scene, so that two winds differ.
        """
        force = self.model_copy()
        force._width, force._seed = width, (seed, number)
        return force

    def field(self, points: Float[Tensor, "m d"]) -> Float[Tensor, "m d"]:
        """Return the acceleration at points in widths, at full strength: widths a squared second, 0 out of the region.

        In space the third coordinate makes no difference.
        """
        if self.attractor is not None:
            flat = self.attractor.field(points)
        else:
            flat = points.new_tensor(self._acceleration).expand(len(points), 2)
        if self.region is not None:
            weights = in_pixels(self.region, self._width).weights(points[:, :2] * self._width)
            flat = flat * weights[:, None]
        return torch.nn.functional.pad(flat, (0, points.shape[-1] - 2))

    def acts(self, span: tuple[float, float]) -> bool:
        """Tell whether there may be some of it between two times in seconds."""
        if self.impulse is not None:
            return lasts(self.impulse.at, self.impulse.at + IMPULSE_SECONDS, span)
        return lasts(self.start, self.until, span)

    def amount(self, t: float) -> float:
        """Return how much of the field there is at a time in seconds: 0 before and after, perhaps negative between."""
        if self.impulse is not None:
            share = (t - self.impulse.at) / IMPULSE_SECONDS
            # A smooth bump, whose sum over small steps is its integral wherever they begin.
            return 1 - math.cos(2 * math.pi * share) if 0 <= share < 1 else 0.0
        if t < self.start or (self.until is not None and t >= self.until):
            return 0.0
        if self.oscillation is not None:
            turns = (t - self.start) / self.oscillation.period
            return math.sin(2 * math.pi * turns + math.radians(self.oscillation.phase))
        if self.wind is not None and self.wind.gusts > 0:
            return 1 + self.wind.gusts * gust_strength(t, self._seed)
        return 1.0

    @property
    def _acceleration(self) -> tuple[float, float]:
        """Of what is the same everywhere."""
        if self.impulse is not None:
            return self.impulse.velocity[0] / IMPULSE_SECONDS, self.impulse.velocity[1] / IMPULSE_SECONDS
        pushing = self.wind or self.oscillation
        assert pushing is not None
        return pushing.acceleration


def lasts(start: float, until: float | None, span: tuple[float, float]) -> bool:
    """Tell whether what lasts from one time until another is there in a span; a touch of rounding is not."""
    return start < span[1] - 1e-9 and (until is None or until > span[0] + 1e-9)


def gust_strength(t: float, seed: tuple[int, ...]) -> float:
    """Evaluate a smooth random curve in [-1, 1]: five sines of 0.2 to 3 hertz, the slower ones stronger."""
    return sum(strength * math.sin(rate * t + phase) for strength, rate, phase in _sines(seed))


@lru_cache(maxsize=64)
def _sines(seed: tuple[int, ...]) -> tuple[tuple[float, float, float], ...]:
    """Return strength, radians a second and phase of each; the strengths add up to 1."""
    random = np.random.default_rng(seed)
    frequencies = np.geomspace(0.25, 2.5, 5) * random.uniform(0.8, 1.2, 5)
    strengths = frequencies**-0.5 / (frequencies**-0.5).sum()
    phases = random.uniform(0, 2 * np.pi, 5)
    return tuple(zip(strengths.tolist(), (2 * np.pi * frequencies).tolist(), phases.tolist(), strict=True))
