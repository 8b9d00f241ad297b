"""Deformations and their Jacobians."""

import math
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gainer_ns.editing.deformations import (
    bend,
    cut,
    drag,
    free_form,
    left_of,
    move,
    perspective,
    rotate,
    scale,
    stretch,
    twirl,
    wave,
    with_jacobian,
)
from gainer_ns.errors import GainerError

BOX = (10.0, 20.0, 90.0, 80.0)
AXIS = ((12.0, 70.0), (81.0, 33.0))
HANDLES = [(20.0, 30.0), (70.0, 40.0), (45.5, 71.0)]
TARGETS = [(24.0, 21.0), (81.0, 43.0), (40.0, 75.0)]
FIXED = [(10.0, 80.0), (90.0, 20.0)]
CORNERS = [(14.0, 12.0), (83.0, 29.0), (96.0, 85.0), (3.0, 71.0)]
OFFSETS = [[(3.0, 1.0), (-2.0, 4.0), (0.0, 0.0)], [(1.0, -5.0), (6.0, 2.0), (-3.0, -3.0)]]
CENTER = (41.0, 52.0)

MAPS: dict[str, Callable[[Tensor], Tensor]] = {
    "move": partial(move, by=(3.0, -4.0)),
    "rotate": partial(rotate, degrees=33.0, center=CENTER),
    "scale": partial(scale, factor=1.7, center=CENTER),
    "scale both": partial(scale, factor=(0.5, 3.0), center=CENTER),
    "stretch": partial(stretch, factor=2.0, axis=AXIS),
    "bend": partial(bend, degrees=-75.0, axis=AXIS),
    "bend hardly": partial(bend, degrees=1e-9, axis=AXIS),
    "bend denormally": partial(bend, degrees=1e-310, axis=AXIS),
    "bend not": partial(bend, degrees=0.0, axis=AXIS),
    "twirl": partial(twirl, degrees=90.0, center=CENTER, radius=30.0),
    "wave": partial(wave, amplitude=2.5, period=40.0, direction=20.0, phase=70.0),
    "perspective": partial(perspective, box=BOX, corners=CORNERS),
    "cut": partial(cut, line=AXIS, gap=12.0),
    "drag": partial(drag, handles_from=HANDLES, handles_to=TARGETS, fixed=FIXED),
    "drag one": partial(drag, handles_from=HANDLES[:1], handles_to=TARGETS[:1]),
    "drag together": partial(drag, handles_from=HANDLES[:2], handles_to=[CENTER, CENTER]),
    "lattice": partial(free_form, box=BOX, offsets=OFFSETS),
}
SPECIAL = torch.tensor(
    [*AXIS, *HANDLES, *FIXED, CENTER, (10.0, 20.0), (90.0, 80.0), (10.0, 80.0), (50.0, 50.0)]
).double()

coordinate = st.floats(-300, 400)
places = st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=30).map(
    lambda listed: torch.tensor(listed, dtype=torch.float64)
)
every_map = pytest.mark.parametrize("map", MAPS.values(), ids=MAPS.keys())


def at(*listed: tuple[float, float]) -> Tensor:
    return torch.tensor(listed, dtype=torch.float64)


def some_points(count: int = 2000, low: float = -50.0, high: float = 150.0) -> Tensor:
    return low + (high - low) * torch.rand(count, 2, dtype=torch.float64)


def close(actual: Tensor, expected: Tensor, within: float = 1e-9) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=within)


# What all of them share


@every_map
@settings(max_examples=8)
@given(points=places)
def test_jacobian_is_forward_modes(map: Callable[[Tensor], Tensor], points: Tensor) -> None:
    """Two different modes of differentiation agree, so that no branch of one of them is wrong."""
    points = torch.cat([points, SPECIAL])
    moved, jacobians = with_jacobian(map, points)
    close(moved, map(points), 0.0)
    expected = torch.func.vmap(torch.func.jacfwd(lambda point: map(point[None])[0]))(points)
    torch.testing.assert_close(jacobians, expected, rtol=1e-7, atol=1e-9)


@every_map
def test_jacobian_is_the_slope(map: Callable[[Tensor], Tensor]) -> None:
    points, step = some_points(), 1e-5
    _, jacobians = with_jacobian(map, points)
    for axis in (0, 1):
        offset = step * torch.eye(2, dtype=torch.float64)[axis]
        after, before = (map(points + offset) - map(points)) / step, (map(points) - map(points - offset)) / step
        smooth = (after - before).abs().amax(dim=1) < 1e-2  # not on the few points at a crease
        assert smooth.double().mean() > 0.99
        close(jacobians[smooth, :, axis], 0.5 * (after + before)[smooth], 1e-5)


@every_map
def test_finite_everywhere(map: Callable[[Tensor], Tensor]) -> None:
    far = at((0, 0), (1e5, -1e5), (-1e5, 1e5), (3e4, 3e4), (-1e5, -3))
    moved, jacobians = with_jacobian(map, torch.cat([SPECIAL, SPECIAL + 1e-9, SPECIAL.nextafter(SPECIAL + 1), far]))
    assert torch.isfinite(moved).all() and torch.isfinite(jacobians).all()


@every_map
def test_dtype_and_shape_are_kept(map: Callable[[Tensor], Tensor]) -> None:
    for count in (0, 1, 7):
        points = some_points(count)
        moved, jacobians = with_jacobian(map, points.float())
        assert moved.dtype == jacobians.dtype == torch.float32
        assert moved.shape == (count, 2) and jacobians.shape == (count, 2, 2)
        close(moved.double(), map(points.float().double()), 1e-4)
    with torch.inference_mode():
        with_jacobian(map, some_points(3))


def test_derivatives_do_not_import_the_compiler() -> None:
    """torch._dynamo takes a second or more, at the first derivative that is taken forwards."""
    code = (
        "import sys, torch; from gainer_ns.editing.deformations import bend, with_jacobian; "
        "with_jacobian(lambda points: bend(points, 30, ((0, 0), (1, 0))), torch.rand(5, 2)); "
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    points = some_points(100)
    whole = with_jacobian(MAPS["drag"], points)
    monkeypatch.setattr("gainer_ns.editing.deformations._BLOCK_POINTS", 7)
    for one, many in zip(whole, with_jacobian(MAPS["drag"], points), strict=True):
        close(one, many, 1e-12)


# Each by itself


def test_move() -> None:
    close(move(at((1, 2)), (3, -4)), at((4, -2)))


def test_rotation_is_counter_clockwise_as_seen() -> None:
    close(rotate(at((51, 52)), 90.0, CENTER), at((41, 42)))  # from the right of the centre to above it


def test_rotations_compose() -> None:
    points = some_points(low=0, high=4000).float()
    close(rotate(points, 360.0, (2000, 1000)), points, 1e-3)
    close(rotate(rotate(points, 15.0, (2000, 1000)), -15.0, (2000, 1000)), points, 1e-3)
    points = points.double()
    close(rotate(rotate(points, 15.0, CENTER), 20.0, CENTER), rotate(points, 35.0, CENTER))


def test_scale() -> None:
    close(scale(at((51, 62)), 1.5, CENTER), at((56, 67)))
    close(scale(at((51, 62)), (0.5, 2.0), CENTER), at((46, 72)))


def test_stretch() -> None:
    axis = ((10, 10), (20, 10))
    close(stretch(at((10, 7), (12, 7), (30, 9), (8, 1)), 3.0, axis), at((10, 7), (16, 7), (70, 9), (4, 1)))
    start, end = at(*AXIS)
    close(stretch(end[None], 2.0, AXIS), (2 * end - start)[None])


@given(degrees=st.floats(-720, 720), fraction=st.floats(0, 1))
def test_bend_keeps_the_length_of_its_line(degrees: float, fraction: float) -> None:
    """On the line all stretch is 1, and the line has turned by its share of the angle, counter-clockwise as seen."""
    start, end = at(*AXIS)
    on_line = (start + fraction * (end - start))[None]
    direction = (end - start) / (end - start).norm()
    _, jacobian = with_jacobian(partial(bend, degrees=degrees, axis=AXIS), on_line)
    close((jacobian[0] @ direction)[None], rotate(direction[None], fraction * degrees, (0, 0)), 1e-6)


def test_bend_makes_an_arc() -> None:
    """A quarter circle, to above its line because it turns counter-clockwise, then straight up."""
    axis, radius = ((10, 50), (70, 50)), 120 / math.pi
    moved = bend(at((10, 50), (40, 50), (70, 50), (75, 50), (5, 47), (75, 47)), 90.0, axis)
    middle = (10 + radius * math.sqrt(0.5), 50 - radius * (1 - math.sqrt(0.5)))
    end = (10 + radius, 50 - radius)
    beyond, beside = (end[0], end[1] - 5), (end[0] - 3, end[1] - 5)
    close(moved, at((10, 50), middle, end, beyond, (5, 47), beside))


@given(degrees=st.floats(-360, 360), points=places)
def test_area_under_bend(degrees: float, points: Tensor) -> None:
    start, end = at(*AXIS)
    length = float((end - start).norm())
    along = (end - start) / length
    forward, aside = (points - start) @ along, (points - start) @ torch.stack([along[1], -along[0]])
    inside = (forward >= 0) & (forward <= length)
    expected = torch.where(inside, 1 - math.radians(degrees) / length * aside, 1.0)
    _, jacobians = with_jacobian(partial(bend, degrees=degrees, axis=AXIS), points)
    off_crease = ((forward.abs() > 1e-9) & ((forward - length).abs() > 1e-9)).nonzero()[:, 0]
    close(torch.linalg.det(jacobians)[off_crease], expected[off_crease], 1e-8)


@given(exponent=st.floats(-320, 0), sign=st.sampled_from([-1, 1]))
def test_bend_is_smooth_down_to_nothing(exponent: float, sign: int) -> None:
    points = some_points(100)
    degrees = sign * 10.0**exponent
    moved, jacobians = with_jacobian(partial(bend, degrees=degrees, axis=AXIS), points)
    close(moved, points, 1e-9 + 10 * abs(degrees))
    close(jacobians, torch.eye(2).double().expand(100, 2, 2), 1e-12 + 0.1 * abs(degrees))


def test_twirl() -> None:
    map = partial(twirl, degrees=90.0, center=CENTER, radius=30.0)
    angle = torch.rand(50, dtype=torch.float64) * math.tau
    circle = torch.tensor(CENTER).double() + 30.0 * torch.stack([angle.cos(), angle.sin()], dim=1)
    outside = torch.tensor(CENTER).double() + 1.0001 * (circle - torch.tensor(CENTER))
    unmoved = torch.eye(2).double().expand(50, 2, 2)
    for rim in (circle, outside):
        moved, jacobians = with_jacobian(map, rim)
        close(moved, rim)
        close(jacobians, unmoved, 1e-6)
    near = at(CENTER) + at((1e-4, 0.0))
    close(map(near) - at(CENTER), at((0.0, -1e-4)), 1e-12)
    points = some_points()
    close((map(points) - at(CENTER)).norm(dim=1), (points - at(CENTER)).norm(dim=1))


def test_wave_moves_across_its_direction() -> None:
    close(wave(at((10, 5), (30, 5), (20, 9)), 3.0, 40.0), at((10, 2), (30, 8), (20, 9)))
    close(wave(at((5, -10), (5, -30)), 3.0, 40.0, direction=90.0), at((2, -10), (8, -30)))
    close(wave(at((0, 5)), 3.0, 40.0, phase=90.0), at((0, 2)))


def test_perspective_is_exact_at_corners() -> None:
    close(perspective(at((10, 20), (90, 20), (90, 80), (10, 80)), BOX, CORNERS), at(*CORNERS))


def test_perspective_keeps_lines() -> None:
    start, end = at((15, 30)), at((80, 70))
    share = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None]
    moved = perspective(start + share * (end - start), BOX, CORNERS)
    first, others = moved[-1] - moved[0], moved - moved[0]
    close(first[0] * others[:, 1] - first[1] * others[:, 0], torch.zeros(9).double(), 1e-8)


def test_perspective_of_a_parallelogram_is_affine() -> None:
    corners = [(5.0, 5.0), (45.0, 25.0), (52.0, 60.0), (12.0, 40.0)]
    _, jacobians = with_jacobian(partial(perspective, box=BOX, corners=corners), some_points(50))
    expected = torch.tensor([[40 / 80, 7 / 60], [20 / 80, 35 / 60]]).double()
    close(jacobians, expected.expand(50, 2, 2), 1e-7)


@pytest.mark.parametrize(
    "corners",
    [
        [(0, 0), (10, 10), (10, 0), (0, 10)],
        [(0, 0), (10, 0), (2, 2), (0, 10)],
        [(0, 0), (10, 0), (20, 0), (30, 0)],
        [(5, 5), (5, 5), (5, 5), (5, 5)],
        [(0, 0), (0, 10), (10, 10), (10, 0)],
    ],
    ids=["folded", "dented", "flat", "a point", "the wrong way round"],
)
def test_impossible_corners(corners: list[tuple[float, float]]) -> None:
    with pytest.raises(GainerError, match="not a convex quadrilateral"):
        perspective(some_points(3), BOX, corners)


def test_cut() -> None:
    points, line = at((5, 40), (5, 60), (-99, 49), (500, 51)), ((0, 50), (10, 50))
    close(left_of(points, line), torch.tensor([10.0, -10.0, 1.0, -1.0]).double())
    close(cut(points, line, 12.0), at((5, 34), (5, 66), (-99, 43), (500, 57)))
    close(left_of(points, line[::-1]), -left_of(points, line))
    close(cut(points, line[::-1], 12.0), cut(points, line, 12.0))


def test_drag_is_exact_at_handles() -> None:
    for dtype in (torch.float64, torch.float32):
        moved = drag(at(*HANDLES, *FIXED).to(dtype), HANDLES, TARGETS, FIXED)
        close(moved, at(*TARGETS, *FIXED).to(dtype), 1e-12)


def test_drag_follows_the_paper() -> None:
    """Equations 3 and 8 of Schaefer et al. 2006 as they stand, which fail only at the handles themselves."""
    points, p, q = some_points(200), at(*HANDLES, *FIXED), at(*TARGETS, *FIXED)
    weights = 1.0 / (points[:, None] - p).square().sum(dim=2, keepdim=True)
    p_star, q_star = ((weights * handles).sum(dim=1) / weights.sum(dim=1) for handles in (p, q))
    p_hat, q_hat, offset = p - p_star[:, None], q - q_star[:, None], points - p_star

    def rows(v: Tensor) -> Tensor:  # (v, -v perpendicular)
        return torch.stack([v, torch.stack([v[..., 1], -v[..., 0]], dim=-1)], dim=-2)

    a = weights[..., None] * rows(p_hat) @ rows(offset)[:, None].transpose(-1, -2)
    f = (q_hat[:, :, None] @ a).sum(dim=1)[:, 0]
    expected = offset.norm(dim=1, keepdim=True) * f / f.norm(dim=1, keepdim=True) + q_star
    close(drag(points, HANDLES, TARGETS, FIXED), expected, 1e-9)


@settings(max_examples=30)
@given(degrees=st.floats(-179, 179), by=st.tuples(coordinate, coordinate), points=places)
def test_drag_of_a_rigid_motion_is_that_motion(degrees: float, by: tuple[float, float], points: Tensor) -> None:
    def rigid(places: Tensor) -> Tensor:
        return move(rotate(places, degrees, CENTER), by)

    points = torch.cat([points, at(*HANDLES)])
    map = partial(drag, handles_from=HANDLES, handles_to=rigid(at(*HANDLES)).tolist())
    for actual, expected in zip(with_jacobian(map, points), with_jacobian(rigid, points), strict=True):
        close(actual, expected, 1e-8)


def test_drag_has_no_jump_in_its_slope_at_a_handle() -> None:
    around = at(HANDLES[0]) + 1e-6 * at((1, 0), (0, 1), (-1, 0), (0, -1), (0, 0))
    _, jacobians = with_jacobian(MAPS["drag"], around)
    close(jacobians[:4], jacobians[4:].expand(4, 2, 2), 1e-5)


def test_drag_without_a_turn_moves() -> None:
    points = some_points(20)
    close(drag(points, HANDLES[:1], TARGETS[:1]), points + at(TARGETS[0]) - at(HANDLES[0]))
    close(drag(points, HANDLES, HANDLES, FIXED), points)


def test_handles_at_one_place() -> None:
    with pytest.raises(GainerError, match=r"two of them.*\[20, 30\]"):
        drag(some_points(3), HANDLES, TARGETS, HANDLES[:1])
    with pytest.raises(GainerError, match="there are none"):
        drag(some_points(3), [], [])


def grid_line(first: float, last: float, count: int) -> Tensor:
    return torch.linspace(first, last, count, dtype=torch.float64)


offset = st.tuples(st.floats(-20, 20), st.floats(-20, 20))


@given(data=st.data(), rows=st.integers(2, 5), columns=st.integers(2, 5))
def test_lattice_is_exact_at_control_points(data: st.DataObject, rows: int, columns: int) -> None:
    row = st.lists(offset, min_size=columns, max_size=columns)
    offsets = data.draw(st.lists(row, min_size=rows, max_size=rows))
    x, y = grid_line(10, 90, columns), grid_line(20, 80, rows)
    control = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).flatten(0, 1)
    close(free_form(control, BOX, offsets) - control, torch.tensor(offsets, dtype=torch.float64).flatten(0, 1))


def test_lattice_without_offsets_is_exact() -> None:
    points = some_points(100)
    close(free_form(points, BOX, [[(0.0, 0.0)] * 3] * 4), points, 0.0)


def test_lattice_of_linear_offsets_is_linear() -> None:
    def affine(points: Tensor) -> Tensor:
        return points @ at((0.1, -0.2), (0.3, 0.05)) + 3.0

    x, y = grid_line(10, 90, 4), grid_line(20, 80, 3)
    offsets = affine(torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)).tolist()
    points = torch.tensor([10.0, 20.0]) + some_points(300, 0, 1) * torch.tensor([80.0, 60.0])
    close(free_form(points, BOX, offsets), points + affine(points))


def test_lattice_is_smooth_across_its_cells() -> None:
    control = torch.rand(5, 6, 2, dtype=torch.float64) * 20
    map = partial(free_form, box=BOX, offsets=control.tolist())
    seam = torch.stack([torch.full((50,), 10.0 + 16.0 * 2), torch.linspace(20, 80, 50)], dim=1).double()
    nudge = at((1e-7, 0))
    close(with_jacobian(map, seam - nudge)[1], with_jacobian(map, seam + nudge)[1], 1e-5)


@given(points=places)
def test_lattice_beyond_its_box_goes_with_the_border(points: Tensor) -> None:
    border = torch.stack([points[:, 0].clamp(10, 90), points[:, 1].clamp(20, 80)], dim=1)
    close(free_form(points, BOX, OFFSETS) - points, free_form(border, BOX, OFFSETS) - border)


def test_an_empty_box() -> None:
    for function, extra in ((free_form, {"offsets": OFFSETS}), (perspective, {"corners": CORNERS})):
        with pytest.raises(GainerError, match="empty"):
            function(some_points(3), box=(10, 20, 10, 40), **extra)


@pytest.mark.parametrize("function", [stretch, bend, cut])
def test_a_line_without_a_direction(function: Callable[..., Tensor]) -> None:
    with pytest.raises(GainerError, match="two different points"):
        function(some_points(3), 2.0 if function is not cut else ((5, 5), (5, 5)), ((5, 5), (5, 5)))


@given(factor=st.floats(0.1, 10), points=places)
def test_scale_and_back(factor: float, points: Tensor) -> None:
    close(scale(scale(points, factor, CENTER), 1 / factor, CENTER), points, 1e-9)
    close(stretch(stretch(points, factor, AXIS), 1 / factor, AXIS), points, 1e-9)
