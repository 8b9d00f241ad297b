"""Functions on visible material."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gainer_ns.motion.material import MAX_FUNCTIONS, Material
from gainer_ns.motion.shown import Shown


def two_arms(gap: int = 2) -> np.ndarray:
    """A body with an arm beside it, joined at the top, and a speck apart."""
    mask = np.zeros((160, 120), bool)
    mask[10:150, 20:60] = True
    mask[10:150, 60 + gap : 80 + gap] = True
    mask[10:30, 60 : 60 + gap] = True
    mask[100:106, 110:116] = True
    return mask


def slit(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points to both sides of the gap, far from where it ends."""
    y = np.arange(80.5, 148)
    return 59.5 + 1j * y, 62.5 + 1j * y


@pytest.mark.parametrize("pixel", [1.0, 0.4])
def test_rest_is_where_everything_is(pixel: float) -> None:
    material = Material(Shown(two_arms()), (7.0, -3.5), pixel)
    points = (np.random.default_rng(0).uniform(-20, 140, (500, 2)) @ [1, 1j]) * pixel + 7 - 3.5j
    rows = material.rows(points)
    np.testing.assert_allclose(rows.times(material.rest), points, atol=1e-9)
    np.testing.assert_allclose(rows.along_x @ material.rest, 1, atol=1e-9)
    np.testing.assert_allclose(rows.along_y @ material.rest, 1j, atol=1e-9)
    np.testing.assert_allclose(rows.value @ np.ones(material.size), 1, atol=1e-12)
    for bend in material.bends:
        np.testing.assert_allclose(bend @ material.rest, 0, atol=1e-9)


def test_the_box_is_that_of_what_is_visible() -> None:
    assert Material(Shown(two_arms()), (7.0, -3.5), 0.5).box == (17.0, 1.5, 65.0, 71.5)


@pytest.mark.parametrize("gap", [1, 2, 9])
def test_arms_are_not_glued_to_a_body(gap: int) -> None:
    """What moves the far end of one arm alone leaves the other where it was, however coarse the cells are."""
    material = Material(Shown(two_arms(gap)), max_functions=300)
    assert material.cell > 6
    y = np.arange(100.5, 148)
    body, arm = (material.functions[material.nearest(x + 1j * y)[1]] for x in (59.5, 60.5 + gap))
    assert not set(body.ravel()) & set(arm.ravel())


def test_functions_are_smooth_within_the_material() -> None:
    """No jump and no kink across the sides of cells, where the material goes on."""
    material = Material(Shown(two_arms()))
    found = np.random.default_rng(1).normal(size=material.size) + 0j
    sides = material._corner[0] + material.cell * np.arange(1, 20)
    for x in sides[(sides > 22) & (sides < 58)]:
        for y in np.arange(12.3, 148, 7.7):
            left, right = (material.rows(np.array([x + away + 1j * y])) for away in (-1e-7, 1e-7))
            np.testing.assert_allclose(left.value @ found, right.value @ found, atol=1e-5)
            np.testing.assert_allclose(left.along_x @ found, right.along_x @ found, atol=1e-5)
            np.testing.assert_allclose(left.along_y @ found, right.along_y @ found, atol=1e-5)


def test_slopes_are_those_of_values() -> None:
    material = Material(Shown(two_arms()))
    found = np.random.default_rng(2).normal(size=material.size) + 0j
    points = np.array([33.3 + 44.4j, 70.1 + 120.2j, 111.1 + 102.2j, 90 + 200j])
    rows = material.rows(points)
    for step, slope in ((1e-6, rows.along_x), (1e-6j, rows.along_y)):
        across = (material.rows(points + step).value - material.rows(points - step).value) @ found / 2e-6
        np.testing.assert_allclose(across[:3], (slope @ found)[:3], atol=1e-6)


def test_bodies_are_parts_that_hang_together() -> None:
    material = Material(Shown(two_arms()))
    of_points = material.bodies[material.functions[material.nearest(np.array([30 + 50j, 70 + 140j, 112 + 102j]))[1], 0]]
    assert of_points[0] == of_points[1] != of_points[2]
    assert material.bodies.max() == 1


def test_ways_lead_through_the_material() -> None:
    material = Material(Shown(two_arms()))
    start, goal, speck = material.nearest(np.array([50 + 140j, 72 + 140j, 112 + 102j]))[1]
    far = material.geodesic(np.array([start]))
    assert 210 < far[goal] < 270  # up and down again, not across the gap
    assert np.isinf(far[speck])


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 2**32 - 1), st.integers(3, 70), st.integers(3, 70), st.floats(0.02, 0.9))
def test_any_mask_will_do(seed: int, height: int, width: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    material = Material(Shown(mask), max_functions=400)
    points = np.random.default_rng(seed + 1).uniform(0, 70, (30, 2)) @ [1, 1j]
    np.testing.assert_allclose(material.rows(points).times(material.rest), points, atol=1e-7)
    assert (material.shares > 0).all()


def test_large_masks_are_looked_at_in_blocks() -> None:
    mask = np.zeros((2400, 1800), bool)
    mask[300:2000, 500:1500] = True
    material = Material(Shown(mask))
    assert material.size <= MAX_FUNCTIONS
    points = np.array([600 + 600j, 1400 + 1900j])
    np.testing.assert_allclose(material.rows(points).times(material.rest), points, atol=1e-9)
