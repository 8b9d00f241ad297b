"""Skeletons, and how much material follows them."""

import cmath
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gainer_ns.motion.material import Material
from gainer_ns.motion.shown import Shown
from gainer_ns.motion.skeleton import Bone, Skeleton
from gainer_ns.motion.skin_weights import heat_weights, shares_of

from .test_material import two_arms

JOINTS = {"hip": 20 + 12j, "knee": 80 + 12j, "foot": 140 + 14j, "toe": 155 + 10j}
LEG = Skeleton(JOINTS, [Bone("hip", "knee", None), Bone("knee", "foot", 0), Bone("foot", "toe", 1)])
angle = st.floats(-math.pi, math.pi)
angles = st.tuples(angle, angle, angle).map(np.array)
ones = np.ones(3)


@given(angles)
def test_joints_turn_by_their_angles(turns: np.ndarray) -> None:
    posed = LEG.posed(turns, ones)
    at = {name: LEG.at(name, posed) for name in JOINTS}
    assert at["hip"] == JOINTS["hip"]
    total = 0.0
    for bone, turn in zip(LEG.bones, turns, strict=True):
        total += turn
        rest, now = JOINTS[bone.end] - JOINTS[bone.start], at[bone.end] - at[bone.start]
        np.testing.assert_allclose(now, rest * cmath.exp(1j * total), atol=1e-9)


@given(angles, st.floats(0.3, 3))
def test_scales_are_passed_on(turns: np.ndarray, factor: float) -> None:
    posed = LEG.posed(turns, np.array([1, factor, 1]))
    at = {name: LEG.at(name, posed) for name in JOINTS}
    lengths = {
        bone.end: abs(at[bone.end] - at[bone.start]) / abs(JOINTS[bone.end] - JOINTS[bone.start]) for bone in LEG.bones
    }
    np.testing.assert_allclose([lengths["knee"], lengths["foot"], lengths["toe"]], [1, factor, factor])


@given(angles, st.tuples(angle, st.floats(1, 119)))
def test_a_foot_is_where_it_is_held(turns: np.ndarray, target: tuple[float, float]) -> None:
    goal = JOINTS["hip"] + cmath.rect(target[1], target[0])
    found = LEG.reaching("foot", goal, turns, ones)
    np.testing.assert_allclose(LEG.at("foot", LEG.posed(found, ones)), goal, atol=1e-4)
    assert found[2] == turns[2]


def test_what_is_out_of_reach_is_pointed_at() -> None:
    found = LEG.reaching("foot", 1000 + 12j, np.array([0.5, -0.9, 0.0]), ones)
    foot = LEG.at("foot", LEG.posed(found, ones))
    assert abs(foot - (20 + abs(60) + abs(60 + 2j) + 12j)) < 0.01
    # A bone that nothing before it ends at turns alone.
    found = LEG.reaching("knee", 20 + 500j, np.zeros(3), ones)
    np.testing.assert_allclose(LEG.at("knee", LEG.posed(found, ones)), 20 + 72j, atol=1e-6)


def test_a_knee_bends_to_the_side_that_it_is_on() -> None:
    for side in (1, -1):
        bent = np.array([0.6 * side, -1.2 * side, 0.0])
        start = LEG.at("knee", LEG.posed(bent, ones))
        found = LEG.reaching("foot", 90 + 12j, bent, ones)
        knee = LEG.at("knee", LEG.posed(found, ones))
        assert np.sign(knee.imag - 12) == np.sign(start.imag - 12)


@settings(max_examples=20)
@given(angles, st.integers(0, 2**32 - 1))
def test_joints_that_bones_share_are_exact_whatever_follows(turns: np.ndarray, seed: int) -> None:
    share = np.random.default_rng(seed).random(1)
    posed = LEG.posed(turns, ones)
    weights = np.stack([share, 1 - share, 0 * share], axis=1)
    moved = LEG.carried(np.array([JOINTS["knee"]]), weights, posed)
    np.testing.assert_allclose(moved[0], LEG.at("knee", posed), atol=1e-9)


@given(st.floats(-3.0, 3.0), st.floats(0, 1))
def test_a_joint_does_not_collapse(turn: float, share: float) -> None:
    """What follows two bones in part keeps its distance from their joint, where matrices would shrink it to nothing."""
    posed = LEG.posed(np.array([0.0, turn, 0.0]), ones)
    point = JOINTS["knee"] + 9j
    moved = LEG.carried(np.array([point]), np.array([[1 - share, share, 0.0]]), posed)
    assert abs(moved[0] - JOINTS["knee"]) == pytest.approx(9)


@pytest.fixture(scope="module")
def bar() -> Material:
    return Material(Shown(np.ones((24, 160), bool)), max_functions=600)


def test_a_bent_leg(bar: Material) -> None:
    """Far from the knee the shin turns by its angle to 0.1 degrees, and a 90-degree bend keeps areas fairly well."""
    ends = [(JOINTS[bone.start], JOINTS[bone.end]) for bone in LEG.bones[:2]]
    weights = heat_weights(bar, ends)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    leg = Skeleton(JOINTS, LEG.bones[:2])
    posed = leg.posed(np.array([0.0, math.pi / 2]), np.ones(2))
    x, y = (each.ravel() for each in np.meshgrid(np.arange(0.5, 160, 2), np.arange(0.5, 24, 2)))
    points = x + 1j * y
    shares = shares_of(bar.rows(points).value @ weights)

    def moved(away: complex) -> np.ndarray:
        return leg.carried(points + away, shares_of(bar.rows(points + away).value @ weights), posed)

    assert (shares >= 0).all() and np.abs(shares.sum(axis=1) - 1).max() < 1e-12
    along_x, along_y = (moved(step) - moved(-step) for step in (0.01, 0.01j))
    foot, hip = x > 150, x < 12
    turned = np.degrees(np.angle(along_x))
    assert np.abs(turned[foot] - 90).max() < 0.1 and np.abs(turned[hip]).max() < 0.1
    areas = (along_x.conjugate() * along_y).imag / 0.02**2
    assert np.abs(areas - 1).mean() < 0.12
    assert areas[np.abs(y - 12) < 6].min() > 0.2  # no collapse about the knee


def test_weights_do_not_pass_through_the_air() -> None:
    """What is beside an arm, across a gap, follows the body."""
    material = Material(Shown(two_arms()))
    bones = [(40 + 20j, 40 + 140j), (70 + 25j, 70 + 140j)]
    shares = shares_of(
        material.rows(np.array([59.5 + 120j, 63 + 120j, 112 + 102j])).value @ heat_weights(material, bones)
    )
    assert shares[0, 0] > 0.99 and shares[1, 1] > 0.99
    assert shares[2, 1] > 0.9  # a speck, by what is near
