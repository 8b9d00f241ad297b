"""How much of an edit there is at a time.

Time ``t`` runs from 0 to 1 over a film, whatever its length. The easings are Robert Penner's ("Programming Macromedia
Flash MX", 2002, chapter 7), which CSS and every animation program know too; "smooth" is the smoothstep polynomial.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from gainer_ns.editing.selection import ScriptModel

Easing = Literal["linear", "smooth", "in", "out", "back", "bounce", "elastic"]
"""How an amount goes from one keyframe to the next: in starts slowly, out ends slowly, smooth does both, back and
elastic overshoot, bounce falls back."""


def _bounce(t: float) -> float:
    """Return a fall and three bounces, each a parabola that ends at 1."""
    pieces = ((1.0, 0.0, 0.0), (2.0, 1.5, 0.75), (2.5, 2.25, 0.9375), (2.75, 2.625, 0.984375))
    middle, height = next((middle, height) for end, middle, height in pieces if 2.75 * t <= end)
    return 7.5625 * (t - middle / 2.75) ** 2 + height


def _elastic(t: float) -> float:
    """Return a spring that is let go."""
    return 1.0 + 2.0 ** (-10.0 * t) * math.sin((10.0 * t - 0.75) * 2.0 * math.pi / 3.0)


_CURVES: dict[str, Callable[[float], float]] = {
    "linear": lambda t: t,
    "smooth": lambda t: t * t * (3.0 - 2.0 * t),
    "in": lambda t: t**3,
    "out": lambda t: 1.0 - (1.0 - t) ** 3,
    "back": lambda t: 1.0 + 2.70158 * (t - 1.0) ** 3 + 1.70158 * (t - 1.0) ** 2,  # overshoots by a tenth
    "bounce": _bounce,
    "elastic": _elastic,
}


def eased(t: float, easing: Easing = "smooth") -> float:
    """Return an easing's curve, from exactly 0 at ``t`` = 0 to exactly 1 at 1; held before and after."""
    return float(t > 0) if not 0 < t < 1 else _CURVES[easing](t)


Time = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Amount = Annotated[float, Field(strict=True, allow_inf_nan=False)]


def _by_time(keyframes: dict[float, float]) -> dict[float, float]:
    return dict(sorted(keyframes.items()))


def between_keyframes(keyframes: Mapping[float, Any], t: float, easing: Easing) -> Any:
    """Return the value at time ``t``, from values at times in order; held before the first and after the last.

    Numbers, and numbers in tuples, are blended; all else is held until the next keyframe.
    """
    times = list(keyframes)
    after = bisect_right(times, t)
    if after in (0, len(times)):
        return keyframes[times[max(after - 1, 0)]]
    start, end = times[after - 1], times[after]
    return _blended(keyframes[start], keyframes[end], eased((t - start) / (end - start), easing))


def _blended(one: Any, other: Any, share: float) -> Any:
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        return tuple(_blended(a, b, share) for a, b in zip(one, other, strict=True))
    if isinstance(one, float | int) and isinstance(other, float | int):
        return one + share * (other - one)
    return one


def check_order(times: Iterable[float]) -> None:
    """Raise a ValueError if times of keyframes do not grow from each to the next."""
    if any(later <= earlier for earlier, later in pairwise(times)):
        raise ValueError("keyframes: times must grow from each to the next")


class Timed(ScriptModel):
    """Something that happens in the course of a film.

    Attributes:
        keyframes: Amounts at times: 0 is nothing, 1 all of it, 2 twice and -1 the opposite; held before the first and
            after the last. Without them it goes from 0 at time 0 to 1 at time 1.
        easing: How the amount goes from each keyframe to the next.
    """

    keyframes: Annotated[dict[Time, Amount], Field(min_length=1), AfterValidator(_by_time)] | None = None
    easing: Easing = "smooth"

    def amount(self, t: float) -> float:
        """Return how much of it there is at time ``t``."""
        keyframes = {0.0: 0.0, 1.0: 1.0} if self.keyframes is None else self.keyframes
        return between_keyframes(keyframes, t, self.easing)

    @property
    def peak(self) -> float:
        """The amount at which it does most."""
        return 1.0 if self.keyframes is None else max(self.keyframes.values(), key=abs)

    @property
    def extremes(self) -> tuple[float, ...]:
        """The least and the largest amount, without 0."""
        amounts = (1.0,) if self.keyframes is None else self.keyframes.values()
        return tuple(amount for amount in {min(amounts), max(amounts)} if amount != 0)
