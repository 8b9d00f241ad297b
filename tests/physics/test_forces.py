"""Gravity and forces: where they act, when, and by how much."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gainer_ns.physics.forces import FORCES, Force, Gravity, gust_strength

POINTS = torch.tensor([[0.2, 0.3], [0.6, 0.1], [0.9, 0.8]])


def force(**words: Any) -> Force:
    return Force.model_validate(words)


def integral(of: Force, end: float, steps: int, begin: float = 0.0) -> float:
    """The sum of the amounts at the beginnings of steps, as engines take it."""
    dt = (end - begin) / steps
    return sum(of.amount(begin + i * dt) for i in range(steps)) * dt


@pytest.mark.parametrize(
    ("data", "expected"), [(5, (0, 5)), (-2.5, (0, -2.5)), ([1, 2], (1, 2)), ({"keyframes": {0: 3}}, (0, 3))]
)
def test_constant_gravity(data: Any, expected: tuple[float, float]) -> None:
    gravity = Gravity.model_validate(data)
    assert gravity.at(0) == gravity.at(100) == expected
    assert Gravity().at(1) == (0, 5)


def test_gravity_is_linear_between_keyframes_and_held_beside_them() -> None:
    gravity = Gravity.model_validate({"keyframes": {1.5: [4, 0], 0.5: [0, 5]}})
    assert gravity.at(0) == gravity.at(0.5) == (0, 5)
    assert gravity.at(1.0) == pytest.approx((2, 2.5))
    assert gravity.at(1.5) == gravity.at(9) == (4, 0)


@pytest.mark.parametrize("data", [5.0, (1.0, 2.0), {"keyframes": {0.0: 5.0, 1.0: (1.0, 2.0)}}])
def test_gravity_is_written_as_shortly_as_it_is_read(data: Any) -> None:
    assert Gravity.model_validate(data).model_dump() == data


@pytest.mark.parametrize(
    "data",
    [
        "down",
        [1, 2, 3],
        True,
        {"keyframes": {}},
        {"keyframes": {-1: 5}},
        {"keyframes": {0: [1]}},
        {"keyframes": 5},
        {"frames": {}, "keyframes": {0: 1}},
        float("nan"),
    ],
)
def test_gravity_that_makes_no_sense_is_refused(data: Any) -> None:
    with pytest.raises(ValidationError):
        Gravity.model_validate(data)


def test_wind_is_the_same_everywhere_and_always() -> None:
    wind = force(wind={"acceleration": [2, -1]})
    assert wind.field(POINTS).tolist() == [[2, -1]] * 3
    assert wind.amount(0) == wind.amount(99) == 1


def test_gusts_swell_and_slacken_smoothly_by_their_seed() -> None:
    wind = force(wind={"acceleration": [2, 0], "gusts": 0.5})
    times = np.linspace(0, 20, 4001)
    amounts = np.array([wind.on(100, 0, 0).amount(t) for t in times])
    assert 0.5 <= amounts.min() < 0.75 and 1.25 < amounts.max() <= 1.5
    assert np.abs(np.diff(amounts)).max() / (times[1] - times[0]) < 0.5 * 2 * math.pi * 3
    again = [wind.on(100, 0, 0).amount(t) for t in times]
    others = [[wind.on(100, *which).amount(t) for t in times] for which in ((1, 0), (0, 1))]
    assert np.array_equal(amounts, again)
    assert all(np.abs(amounts - other).max() > 0.3 for other in others)


@given(st.floats(0, 1e4), st.integers(0, 2**63 - 1))
def test_gusts_stay_in_bounds(t: float, seed: int) -> None:
    assert -1 <= gust_strength(t, (seed, 0)) <= 1


def test_oscillation_is_a_sine_that_starts_when_it_begins() -> None:
    push = force(oscillation={"acceleration": [3, 0], "period": 2.0, "phase": 90}, **{"from": 0.5, "until": 4.5})
    assert push.amount(0.4) == push.amount(4.5) == 0
    assert [push.amount(t) for t in (0.5, 1.0, 1.5, 2.5)] == pytest.approx([1, 0, -1, 1], abs=1e-12)
    assert push.field(POINTS)[0].tolist() == [3, 0]
    assert integral(push, 4.5, 1000, 0.5) == pytest.approx(0, abs=1e-9)


@given(st.floats(0, 1), st.integers(12, 200), st.floats(0, 0.01))
def test_an_impulse_changes_velocity_by_what_it_says(at: float, steps: int, lag: float) -> None:
    """However fine the steps are, and wherever they begin, if there are a dozen of them."""
    push = force(impulse={"velocity": [1.5, -0.5], "at": at})
    change = push.field(POINTS)[0] * integral(push, at + 2 / 30, 2 * steps, at - lag)
    assert change.tolist() == pytest.approx([1.5, -0.5], rel=0.01)
    assert push.amount(at - 1e-3) == push.amount(at + 1 / 30 + 1e-6) == 0


def test_an_attractor_pulls_towards_its_center() -> None:
    pull = force(attractor={"center": [0.5, 0.5], "strength": 4.0, "radius": 0.2})
    distances = torch.linspace(0, 3, 3001, dtype=torch.float64)
    angle = 0.7
    way = torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
    field = pull.field(0.5 + distances[:, None] * way)
    strengths = -(field * way).sum(dim=1)
    assert torch.allclose(field, -strengths[:, None] * way), "straight towards it"
    assert strengths[0] == 0 and strengths.min() >= 0
    assert float(strengths.max()) == pytest.approx(4.0, rel=1e-4)
    assert float(distances[strengths.argmax()]) == pytest.approx(0.2 / math.sqrt(2), abs=2e-3)
    assert float(strengths[600]) == pytest.approx(1.0, rel=0.02), "a quarter at three radii"
    away = force(attractor={"center": [0.5, 0.5], "strength": -4.0, "radius": 0.2})
    assert torch.allclose(away.field(POINTS), -pull.field(POINTS))


def test_a_region_holds_what_acts() -> None:
    words = {"wind": {"acceleration": [2, 0]}}
    hard = force(**words, region={"box": [0, 0, 0.5, 1]}).on(200)
    assert hard.field(POINTS)[:, 0].tolist() == [2, 0, 0]
    soft = force(**words, region={"box": [0, -9, 0.5, 9], "feather": 0.4}).on(200)
    points = torch.tensor([[0.25, 0.5], [0.4, 0.5], [0.5, 0.5], [0.6, 0.5], [0.75, 0.5]])
    assert soft.field(points)[:, 0].tolist() == pytest.approx([2, 1.6875, 1, 0.3125, 0], abs=1e-4)


@pytest.mark.parametrize("kind", FORCES)
def test_in_space_nothing_is_pushed_along_z(kind: str) -> None:
    words = {
        "wind": {"acceleration": [1, 2]},
        "oscillation": {"acceleration": [1, 2], "period": 1},
        "impulse": {"velocity": [1, 2], "at": 0},
        "attractor": {"center": [0, 0], "strength": 1, "radius": 1},
    }
    one = force(**{kind: words[kind]}, region={"disc": {"center": [0.5, 0.5], "radius": 0.6}}).on(100)
    deep = torch.cat([POINTS, torch.tensor([[-1.0], [0.0], [2.0]])], dim=1)
    assert torch.equal(one.field(deep)[:, :2], one.field(POINTS))
    assert not one.field(deep)[:, 2].any() and one.field(POINTS).any()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({}, "exactly one of wind, oscillation, impulse, attractor"),
        ({"wind": {"acceleration": [1, 0]}, "impulse": {"velocity": [1, 0], "at": 0}}, "exactly one of"),
        ({"wind": {"acceleration": [1, 0]}, "from": 2, "until": 1}, "later than from"),
        ({"impulse": {"velocity": [1, 0], "at": 0}, "until": 1}, "leave from and until out"),
        ({"wind": {"acceleration": [1, 0], "gusts": 1.5}}, "less than or equal to 1"),
        ({"wind": {"acceleration": [1]}}, "acceleration"),
        ({"oscillation": {"acceleration": [1, 0], "period": 0}}, "greater than 0"),
        ({"attractor": {"center": [0, 0], "strength": 1, "radius": 0}}, "greater than 0"),
    ],
)
def test_forces_that_make_no_sense_are_refused(words: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        force(**words)
