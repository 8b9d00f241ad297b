"""How much of an edit there is at a time.

Time ``t`` runs from 0 to 1 over a film, whatever its length. The easings are Robert Penner's ("Programming Macromedia
Flash MX", 2002, chapter 7), which CSS and every animation program know too; "smooth" is the smoothstep polynomial.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Annotated, Literal, TypeVar

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


def frame_times(frames: int | None) -> list[float]:
    """Return the times of a film's frames, from 0 to 1; a single picture (None, or one frame) shows time 1."""
    if frames is None or frames == 1:
        return [1.0]
    return [i / (frames - 1) for i in range(frames)]


Time = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Amount = Annotated[float, Field(strict=True, allow_inf_nan=False)]


def _by_time(keyframes: dict[float, float]) -> dict[float, float]:
    return dict(sorted(keyframes.items()))


Value = TypeVar("Value", float, tuple[float, float])
"""A number or a point."""


def between_keyframes(keyframes: Mapping[float, Value], t: float, easing: Easing) -> Value:
    """Return the value at time ``t``, from values at times in order; held before the first and after the last."""
    times = list(keyframes)
    after = bisect_right(times, t)
    if after in (0, len(times)):
        return keyframes[times[max(after - 1, 0)]]
    start, end = times[after - 1], times[after]
    share = eased((t - start) / (end - start), easing)
    one, other = keyframes[start], keyframes[end]
    if isinstance(one, tuple):
        assert isinstance(other, tuple)
        return one[0] + share * (other[0] - one[0]), one[1] + share * (other[1] - one[1])
    assert not isinstance(other, tuple)
    return one + share * (other - one)


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
