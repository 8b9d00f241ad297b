"""Material that gives way to pins."""

import cmath
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gainer_ns.editing.deformations import drag, with_jacobian
from gainer_ns.motion.arap import Arap, Held
from gainer_ns.motion.material import Material
from gainer_ns.motion.modes import Mode
from gainer_ns.motion.shown import Shown

from .test_material import two_arms

MODES: tuple[Mode, ...] = ("rigid", "normal", "distort")
PINS = np.array([30 + 20j, 40 + 80j, 45 + 140j, 72 + 140j])
every_mode = pytest.mark.parametrize("mode", MODES)


@pytest.fixture(scope="module")
def material() -> Material:
    return Material(Shown(two_arms()))


def held(points: np.ndarray = PINS, turned: object = False, starch: float = 0.0) -> Held:
    return Held(points, np.broadcast_to(np.array(turned), len(points)).copy(), np.full(len(points), starch))


@every_mode
@settings(max_examples=15, deadline=None)
@given(
    turn=st.floats(-math.pi, math.pi),
    x=st.floats(-300, 300),
    y=st.floats(-300, 300),
    turned=st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_a_rigid_motion_of_all_pins_is_that_motion(
    material: Material, mode: Mode, turn: float, x: float, y: float, turned: list[bool]
) -> None:
    factor = cmath.exp(1j * turn)
    solver = Arap(material, held(turned=turned), mode)
    found = solver.solve(factor * PINS + complex(x, y), np.full(4, factor))
    np.testing.assert_allclose(found, factor * material.rest + complex(x, y), atol=1e-5)
    assert abs(solver.energy(found)) < 1e-7


@every_mode
def test_one_pin_moves_all(material: Material, mode: Mode) -> None:
    alone = Arap(material, held(PINS[:1]), mode)
    np.testing.assert_allclose(alone.solve(PINS[:1] + 5 - 7j, np.ones(1)), material.rest + 5 - 7j, atol=1e-6)
    turning = Arap(material, held(PINS[:1], turned=True), mode)
    found = turning.solve(PINS[:1], np.array([cmath.exp(0.7j)]))
    np.testing.assert_allclose(found, PINS[0] + cmath.exp(0.7j) * (material.rest - PINS[0]), atol=1e-4)


@every_mode
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_pins_are_exact(material: Material, mode: Mode, seed: int) -> None:
    """Place, turn and size; and nearly so in a disc around a pin that turns."""
    rng = np.random.default_rng(seed)
    to = PINS + 12 * (rng.normal(size=(4, 2)) @ [1, 1j])
    turns = np.exp(0.5j * rng.normal(size=4) + 0.2 * rng.normal(size=4))
    found = Arap(material, held(turned=True), mode).solve(to, turns)
    rows = material.rows(PINS)
    np.testing.assert_allclose(rows.times(found), to, atol=1e-6)
    np.testing.assert_allclose(rows.along_x @ found, turns, atol=1e-7)
    np.testing.assert_allclose(rows.along_y @ found, 1j * turns, atol=1e-7)
    around = 1.0 * np.exp(2j * np.pi * np.arange(12) / 12)
    for pin, goal, turn in zip(PINS, to, turns, strict=True):
        np.testing.assert_allclose(material.rows(pin + around).times(found), goal + turn * around, atol=0.05)


@pytest.mark.parametrize("mode", ["rigid", "normal"])
def test_every_step_lowers_the_energy(material: Material, mode: Mode) -> None:
    solver = Arap(material, held(turned=[True, False, False, True]), mode)
    to, turns = PINS + np.array([0, 6 - 4j, -20j, 30 - 30j]), np.exp(1j * np.array([0, 0, 0, 0.8]))
    energies = [solver.energy(solver.solve(to, turns, steps)) for steps in range(1, 40)]
    assert all(later <= earlier * (1 + 1e-6) for earlier, later in pairwise(energies))
    assert energies[-1] == pytest.approx(energies[-5], rel=1e-3)
    long = solver.solve(to, turns, 1000)
    np.testing.assert_allclose(solver.solve(to, turns), long, atol=0.05)


def test_energy_is_below_that_of_moving_least_squares() -> None:
    """For the same handles, over the same places."""
    material = Material(Shown(np.ones((120, 120), bool)))
    pins = np.array([20 + 20j, 100 + 20j, 60 + 60j, 20 + 100j, 100 + 100j])
    to = pins + np.array([0, 10 + 8j, 5 - 12j, 0, -8 - 20j])
    solver = Arap(material, held(pins))
    found = solver.solve(to, np.ones(5))
    points = material.sample_points
    pairs = [torch.from_numpy(np.stack([each.real, each.imag], axis=1)) for each in (points, pins, to)]
    _, jacobians = with_jacobian(lambda block: drag(block, pairs[1].tolist(), pairs[2].tolist()), pairs[0])

    def energy(along_x: np.ndarray, along_y: np.ndarray) -> float:
        similar = along_x - 1j * along_y
        turn = similar / np.abs(similar)
        off = np.abs(along_x - turn) ** 2 + np.abs(along_y - 1j * turn) ** 2
        return float(material.sample_areas @ off)

    columns = jacobians.numpy()[:, 0] + 1j * jacobians.numpy()[:, 1]
    rows = material.samples
    assert energy(rows.along_x @ found, rows.along_y @ found) < 0.8 * energy(columns[:, 0], columns[:, 1])


def plain_arap(points: np.ndarray, triangles: np.ndarray, fixed: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Sorkine and Alexa's, on a mesh, by dense matrices: cotangent weights, a rotation for each vertex's edges."""
    count = len(points)
    weights = np.zeros((count, count))
    for a, b, c in triangles:
        for i, j, k in ((a, b, c), (b, c, a), (c, a, b)):
            one, other = points[i] - points[k], points[j] - points[k]
            cotangent = (one.conjugate() * other).real / abs((one.conjugate() * other).imag)
            weights[i, j] += cotangent / 2
            weights[j, i] += cotangent / 2
    laplacian = np.diag(weights.sum(axis=1)) - weights
    free = np.setdiff1d(np.arange(count), fixed)
    edges = points[:, None] - points[None]
    found = points.copy()
    found[fixed] = to
    for _ in range(400):
        similar = (weights * edges.conjugate() * (found[:, None] - found[None])).sum(axis=1)
        turn = similar / np.abs(similar)
        right = (weights * 0.5 * (turn[:, None] + turn[None]) * edges).sum(axis=1)
        known = right[free] - laplacian[np.ix_(free, fixed)] @ to
        found[free] = np.linalg.solve(laplacian[np.ix_(free, free)], known)
    return found


def test_a_bend_keeps_areas_as_well_as_a_mesh_does() -> None:
    """A bar of which the last piece is turned by 90 degrees and laid around the corner."""
    material = Material(Shown(np.ones((24, 160), bool)), max_functions=600)
    x, y = (each.ravel() for each in np.meshgrid(np.arange(0, 161, 4.0), np.arange(0, 25, 4.0)))
    points, wide = x + 1j * y, 41
    corners = (np.arange(6)[:, None] * wide + np.arange(40)).ravel()
    halves = [[corners, corners + 1, corners + wide], [corners + 1, corners + wide + 1, corners + wide]]
    triangles = np.concatenate([np.stack(half, axis=1) for half in halves])
    start, end = x <= 20, x >= 140
    turned = 95 + 65j + 1j * (points - (150 + 12j))
    fixed = (start | end).nonzero()[0]
    mesh = plain_arap(points, triangles, fixed, np.where(start, points, turned)[fixed])

    def areas(found: np.ndarray) -> np.ndarray:
        a, b, c = (found[triangles[:, k]] for k in range(3))
        return ((b - a).conjugate() * (c - a)).imag

    pins = np.array([5 + 6j, 5 + 18j, 18 + 12j, 142 + 12j, 155 + 6j, 155 + 18j])
    to = np.where(pins.real < 80, pins, 95 + 65j + 1j * (pins - (150 + 12j)))
    turns = np.where(pins.real < 80, 1, 1j)
    found = Arap(material, held(pins, turned=True)).solve(to, turns)
    ours = material.rows(points).times(found)
    off = [np.abs(areas(each) / areas(points) - 1).mean() for each in (ours, mesh)]
    assert (areas(ours) > 0).all()
    assert off[0] < 1.1 * off[1], off


def test_arms_are_not_dragged_by_a_body(material: Material) -> None:
    """An arm is raised away from the body that it hangs beside; the body's edge stays."""
    pins = np.array([40 + 20j, 40 + 80j, 40 + 140j, 72 + 140j])
    found = Arap(material, held(pins)).solve(pins + np.array([0, 0, 0, 40 - 10j]), np.ones(4))
    edge = 59.5 + 1j * np.arange(70.5, 140)
    assert np.abs(material.rows(edge).times(found) - edge).max() < 1.5
    hand = np.array([62.5 + 139j])
    assert abs(material.rows(hand).times(found)[0] - hand[0]) > 30


def test_starch_keeps_its_shape(material: Material) -> None:
    to = PINS + np.array([0, 10, 0, 0])
    around = PINS[1] + 10 * np.exp(2j * np.pi * np.arange(16) / 16)

    def bent(starch: float) -> float:
        found = Arap(material, held(starch=starch)).solve(to, np.ones(4))
        rows = material.rows(around)
        return float(np.abs(np.abs(rows.along_x @ found) - 1).max())

    assert bent(12.0) < 0.5 * bent(0.0)


def test_specks_follow_what_is_near(material: Material) -> None:
    """What no pin holds keeps its place beside what is nearest to it."""
    factor = cmath.exp(0.4j)
    found = Arap(material, held()).solve(factor * PINS, np.full(4, factor))
    speck = np.array([111 + 101j, 113 + 103j])
    np.testing.assert_allclose(material.rows(speck).times(found), factor * speck, atol=1e-4)


def test_nothing_depends_on_what_was_asked_before(material: Material) -> None:
    solver = Arap(material, held())
    first = solver.solve(PINS + 5, np.ones(4))
    solver.solve(PINS + np.array([0, 30j, 0, -40j]), np.ones(4))
    assert (solver.solve(PINS + 5, np.ones(4)) == first).all()


def test_values_spread_from_pins(material: Material) -> None:
    solver = Arap(material, held())
    values = np.array([0.0, 0.0, 0.0, 3.0])
    spread = solver.spread(values)
    np.testing.assert_allclose(material.rows(PINS).value @ spread, values, atol=1e-6)
    arm, body = material.rows(np.array([72 + 120j])).value @ spread, material.rows(np.array([55 + 120j])).value @ spread
    assert arm[0] > 2 > 0.5 > body[0]
