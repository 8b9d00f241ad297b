"""Colliders: depths are distances, and normals point where the depth falls most."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from gainer_ns.physics.colliders import Collider, HalfSpace, Obstacle, SolidBox, SolidDisc, border_colliders

DOMAIN = (-0.25, -0.5, 1.25, 1.0)
NUMBER = st.floats(-1.0, 2.0)


@st.composite
def colliders(draw: st.DrawFn) -> Collider:
    x, y = draw(NUMBER), draw(NUMBER)
    kind = draw(st.sampled_from(["plane", "disc", "box"]))
    if kind == "plane":
        angle = math.radians(draw(st.floats(0, 360)))
        return HalfSpace("separate", 0.2, (x, y), (math.cos(angle), math.sin(angle)))
    if kind == "disc":
        return SolidDisc("slip", 0.0, (x, y), draw(st.floats(0.1, 1.0)))
    return SolidBox("sticky", 0.0, (x, y, x + draw(st.floats(0.1, 1.0)), y + draw(st.floats(0.1, 1.0))))


def nodes(dimensions: int = 2) -> Tensor:
    """Points off all lattices, some inside and some outside of most colliders."""
    generator = torch.Generator().manual_seed(3)
    return 4 * torch.rand(400, dimensions, generator=generator, dtype=torch.float64) - 1.5


@given(colliders(), st.sampled_from([2, 3]))
def test_normals_are_where_the_depth_falls_most(collider: Collider, dimensions: int) -> None:
    points, step = nodes(dimensions), 1e-6
    normals = collider.normals(points)
    assert torch.allclose(normals.norm(dim=1), torch.ones(len(points), dtype=torch.float64))
    slopes = torch.empty_like(points)
    for axis in range(dimensions):
        move = torch.zeros(dimensions, dtype=torch.float64)
        move[axis] = step
        slopes[:, axis] = (collider.depth(points + move) - collider.depth(points - move)) / (2 * step)
    smooth = (slopes.norm(dim=1) - 1).abs() < 1e-4  # not on a ridge, where two sides are equally near
    assert smooth.double().mean() > 0.9
    assert torch.allclose(normals[smooth], -slopes[smooth], atol=1e-4)


@given(colliders())
def test_a_point_is_pushed_out_along_its_normal_by_its_depth(collider: Collider) -> None:
    points = nodes()
    depth = collider.depth(points)
    out = points + depth[:, None] * collider.normals(points)
    assert torch.allclose(collider.depth(out), torch.zeros_like(depth), atol=1e-9)


@given(colliders())
def test_in_space_shapes_go_on_along_z(collider: Collider) -> None:
    flat = nodes()
    deep = torch.cat([flat, torch.linspace(-3, 3, len(flat), dtype=torch.float64)[:, None]], dim=1)
    assert torch.equal(collider.depth(deep), collider.depth(flat))
    assert torch.equal(collider.normals(deep)[:, :2], collider.normals(flat))
    assert not collider.normals(deep)[:, 2].any()


def test_normals_of_special_points_are_unit_vectors() -> None:
    """A disc's centre, a box's centre, corners and sides, in single precision too."""
    disc, box = SolidDisc("slip", 0.0, (0.5, 0.5), 0.2), SolidBox("slip", 0.0, (0.0, 0.0, 1.0, 1.0))
    points = torch.tensor([[0.5, 0.5], [0.0, 0.0], [1.0, 0.5], [0.5, 1.0], [1.0, 1.0]])
    for collider in (disc, box):
        assert torch.allclose(collider.normals(points).norm(dim=1), torch.ones(5))
    assert disc.normals(points)[0].tolist() == [0.0, -1.0]
    assert box.normals(points)[2].tolist() == [1.0, 0.0] and box.normals(points)[3].tolist() == [0.0, 1.0]
    assert box.depth(points).tolist() == [0.5, 0.0, 0.0, 0.0, 0.0]


def depths(found: tuple[Collider, ...], x: float, y: float) -> list[float]:
    return [round(float(one.depth(torch.tensor([[x, y]]))), 5) for one in found]


def test_a_floor_is_below_its_top() -> None:
    (floor,) = Obstacle.model_validate({"floor": {"top": 0.75}}).colliders(DOMAIN)
    assert depths((floor,), 0.3, 0.75) == [0] and depths((floor,), 0.3, 1.0) == [0.25]
    assert floor.normals(torch.zeros(1, 2)).tolist() == [[0, -1]]
    assert (floor.surface, floor.friction) == ("separate", 0.4)
    (bottom,) = Obstacle.model_validate({"floor": {}, "surface": "sticky"}).colliders(DOMAIN)
    assert depths((bottom,), 0.3, 1.5) == [0.5] and bottom.surface == "sticky"


def test_walls_stand_where_they_are_told_or_at_the_borders() -> None:
    found = Obstacle.model_validate({"walls": {"left": 0.25}, "friction": 0.5}).colliders(DOMAIN)
    assert depths(found, 0.0, 0.0) == [0.25, -1.25]
    assert depths(found, 1.5, 0.0) == [-1.25, 0.25]
    assert {one.friction for one in found} == {0.5}


def test_a_planes_normal_may_have_any_length() -> None:
    (plane,) = Obstacle.model_validate({"plane": {"point": [0, 1], "normal": [3, -4]}}).colliders(DOMAIN)
    assert plane.normals(torch.zeros(1, 2)).tolist()[0] == pytest.approx([0.6, -0.8])
    assert depths((plane,), 0.0, 2.0) == [pytest.approx(0.8)]
    assert plane.friction == 0.2


def test_discs_and_boxes_are_solid() -> None:
    (disc,) = Obstacle.model_validate({"disc": {"center": [0.5, 0.5], "radius": 0.25}}).colliders(DOMAIN)
    (box,) = Obstacle.model_validate({"box": [0.25, 0.5, 0.75, 1.0]}).colliders(DOMAIN)
    assert depths((disc, box), 0.5, 0.625) == [0.125, 0.125]
    assert depths((disc, box), 0.5, 0.0) == [-0.25, -0.5]


def test_borders_keep_everything_in() -> None:
    found = border_colliders(DOMAIN)
    inside, beyond = (0.5, 0.25), [(-0.35, 0.25), (1.35, 0.25), (0.5, -0.6), (0.5, 1.1)]
    assert max(depths(found, *inside)) < 0
    assert all(max(depths(found, *point)) == pytest.approx(0.1) for point in beyond)
    assert sorted(one.friction for one in found) == [0, 0, 0, 0.4]
    assert {one.surface for one in found} == {"separate"}


def test_a_floor_or_walls_take_the_place_of_borders() -> None:
    floor, walls = Obstacle.model_validate({"floor": {}}), Obstacle.model_validate({"walls": {}})
    assert [len(border_colliders(DOMAIN, given)) for given in ([], [floor], [walls], [floor, walls])] == [4, 3, 2, 1]


@pytest.mark.parametrize(
    ("data", "touches"),
    [
        ({"floor": {}}, True),
        ({"floor": {"top": 1.5}}, False),
        ({"plane": {"point": [0.5, 3.0], "normal": [1.0, -0.3]}}, True),
        ({"plane": {"point": [0.5, 3.0], "normal": [0, -1]}}, False),
        ({"disc": {"center": [0.5, 1.2], "radius": 0.21}}, True),
        ({"disc": {"center": [0.5, 1.2], "radius": 0.19}}, False),
        ({"disc": {"center": [1.4, 1.15], "radius": 0.2}}, False),
        ({"box": [0.3, 0.3, 0.4, 0.4]}, True),
        ({"box": [-9, 0.3, 9, 0.4]}, True),
        ({"box": [100, 200, 300, 400]}, False),
    ],
)
def test_what_touches_the_domain(data: dict, touches: bool) -> None:
    assert all(one.touches(DOMAIN) for one in Obstacle.model_validate(data).colliders(DOMAIN)) == touches


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "exactly one of floor, walls, plane, disc, box"),
        ({"floor": {}, "walls": {}}, "exactly one of"),
        ({"plane": {"point": [0, 0], "normal": [0, 0]}}, "has no length"),
        ({"box": [1, 0, 0, 1]}, "is empty"),
        ({"floor": {}, "friction": -0.1}, "greater than or equal to 0"),
        ({"floor": {}, "surface": "sticky", "friction": 0.1}, "needs no friction"),
        ({"floor": {}, "surface": "wet"}, "'sticky', 'slip' or 'separate'"),
    ],
)
def test_obstacles_that_make_no_sense_are_refused(data: dict, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Obstacle.model_validate(data)
