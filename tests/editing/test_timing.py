"""How much of an edit there is at a time."""

import math
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gainer_ns.editing.film_length import frame_times
from gainer_ns.editing.timing import Easing, Timed, eased

EASINGS = get_args(Easing)
times = st.floats(0, 1)
amounts = st.floats(-10, 10)


def penner_bounce(t: float) -> float:
    """Penner's easeOutBounce, as published."""
    if t < 1 / 2.75:
        return 7.5625 * t * t
    if t < 2 / 2.75:
        return 7.5625 * (t - 1.5 / 2.75) * (t - 1.5 / 2.75) + 0.75
    if t < 2.5 / 2.75:
        return 7.5625 * (t - 2.25 / 2.75) * (t - 2.25 / 2.75) + 0.9375
    return 7.5625 * (t - 2.625 / 2.75) * (t - 2.625 / 2.75) + 0.984375


def penner_back(t: float) -> float:
    """Penner's easeOutBack, as published."""
    s = 1.70158
    return (t - 1) * (t - 1) * ((s + 1) * (t - 1) + s) + 1


def penner_elastic(t: float) -> float:
    """Penner's easeOutElastic of period 0.3, as published; it misses 0 and 1 by a thousandth."""
    return 2 ** (-10 * t) * math.sin((t - 0.3 / 4) * 2 * math.pi / 0.3) + 1


@given(times)
def test_curves_are_the_published_ones(t: float) -> None:
    assert eased(t, "linear") == t
    assert eased(t, "smooth") == pytest.approx(3 * t**2 - 2 * t**3, abs=1e-12)
    assert eased(t, "in") == pytest.approx(t**3) and eased(t, "out") == pytest.approx(1 - eased(1 - t, "in"), abs=1e-12)
    assert eased(t, "bounce") == pytest.approx(penner_bounce(t), abs=1e-12)
    assert eased(t, "back") == pytest.approx(penner_back(t), abs=1e-12)
    assert eased(t, "elastic") == pytest.approx(penner_elastic(t), abs=1e-3)


@pytest.mark.parametrize("easing", EASINGS)
def test_curves_go_from_nothing_to_all_without_a_jump(easing: Easing) -> None:
    values = [eased(i / 4096, easing) for i in range(-10, 4107)]
    assert values[10] == 0 and values[-11] == 1 and values[0] == 0 and values[-1] == 1
    assert max(abs(b - a) for a, b in pairwise(values)) < 0.01


def test_back_overshoots_by_a_tenth() -> None:
    assert max(eased(i / 1000, "back") for i in range(1001)) == pytest.approx(1.1, abs=1e-3)


@pytest.mark.parametrize("easing", EASINGS)
def test_without_keyframes_from_nothing_to_all(easing: Easing) -> None:
    timed = Timed(easing=easing)
    assert timed.amount(0) == 0 and timed.amount(1) == 1
    assert timed.amount(0.3) == eased(0.3, easing)


def test_keyframes() -> None:
    timed = Timed(keyframes={0.8: 0.5, 0.2: 1, 0.6: -1}, easing="linear")
    assert list(timed.keyframes or {}) == [0.2, 0.6, 0.8]
    assert [timed.amount(t) for t in (0, 0.2, 0.4, 0.6, 0.7, 0.8, 1)] == pytest.approx([1, 1, 0, -1, -0.25, 0.5, 0.5])
    assert Timed(keyframes={0.5: 0.25}).amount(0.1) == 0.25 == Timed(keyframes={0.5: 0.25}).amount(0.9)


@given(st.dictionaries(times, amounts, min_size=1), st.sampled_from(EASINGS), times)
def test_keyframes_are_met_and_easings_stay_near(keyframes: dict[float, float], easing: Easing, t: float) -> None:
    timed = Timed(keyframes=keyframes, easing=easing)
    for time, amount in keyframes.items():
        assert timed.amount(time) == amount
    low, high = min(keyframes.values()), max(keyframes.values())
    room = 0.0 if easing in ("linear", "smooth", "in", "out", "bounce") else 0.4 * (high - low)
    assert low - room - 1e-9 <= timed.amount(t) <= high + room + 1e-9


@pytest.mark.parametrize(
    "keyframes",
    [{}, {1.5: 0.0}, {-0.1: 0.0}, {0.0: math.nan}, {math.nan: 0.0}, {0.0: math.inf}, {"0": 0.0}, {0.0: "1"}, [0, 1]],
)
def test_bad_keyframes_are_refused(keyframes: object) -> None:
    with pytest.raises(ValidationError):
        Timed.model_validate({"keyframes": keyframes})


def test_unknown_easing_is_refused() -> None:
    with pytest.raises(ValidationError, match="easing"):
        Timed.model_validate({"easing": "sudden"})


def test_frame_times() -> None:
    assert frame_times(None) == [1.0] == frame_times(1)
    assert frame_times(2) == [0.0, 1.0] and frame_times(5) == [0.0, 0.25, 0.5, 0.75, 1.0]


@given(st.integers(2, 500))
def test_films_begin_at_0_and_end_at_1_evenly(frames: int) -> None:
    times = frame_times(frames)
    assert len(times) == frames and times[0] == 0 and times[-1] == 1
    assert all(b - a == pytest.approx(1 / (frames - 1)) for a, b in pairwise(times))


@given(st.integers(2, 500))
def test_a_loop_leaves_out_its_end(frames: int) -> None:
    times = frame_times(frames, True)
    assert len(times) == frames and times[0] == 0
    assert all(b - a == pytest.approx(1 / frames) for a, b in pairwise([*times, 1.0]))


@given(st.integers(2, 500))
def test_there_and_back_shows_no_picture_twice_in_a_row(frames: int) -> None:
    times = frame_times(frames, "pingpong")
    assert len(times) == frames and times.count(0.0) == 1 and times.count(1.0) == 1
    turn = times.index(1.0)
    assert times[: turn + 1] == sorted(times[: turn + 1]) and times[turn:] == sorted(times[turn:], reverse=True)
    steps = [abs(b - a) for a, b in pairwise([*times, 0.0])]
    assert min(steps) > 0 and max(steps) <= 2 * min(steps) + 1e-9
    if frames % 2 == 0:
        assert max(steps) == pytest.approx(min(steps))


def test_one_picture_does_not_loop() -> None:
    assert frame_times(1, True) == frame_times(None, "pingpong") == [1.0]
