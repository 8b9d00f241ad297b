import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gainer_ns.editing.operations import Operation
from gainer_ns.editing.vocabulary import OPERATIONS

BOX = (10.0, 20.0, 50.0, 40.0)
EXAMPLES = [
    ("move", {"by": [3, -4, 5]}),
    ("rotate", {"degrees": 25, "axis": "x"}),
    ("rotate", {"degrees": -40, "axis": [1, 2, -0.5], "center": [3, 4, 5]}),
    ("scale", {"factor": [2, 0.5, 3]}),
    ("scale", {"factor": 1.5, "center": [0, 0, -4]}),
    ("bend", {"degrees": 70, "axis": [[10, 30], [50, 30]], "about": "y"}),
    ("bend", {"degrees": -50, "axis": [[10, 30, 5], [40, 10, -5]], "about": [0, 1, 1]}),
]


def operation(word: str, said: dict) -> Operation:
    return OPERATIONS[word].model_validate(said)


def points(count: int = 200) -> torch.Tensor:
    return torch.rand(count, 3, dtype=torch.float64) * 80 - 10


@pytest.mark.parametrize(("word", "said"), EXAMPLES)
def test_jacobians_are_those_of_the_map(word: str, said: dict) -> None:
    places, step = points(), 1e-5
    made = operation(word, said)
    _, jacobians = made.moved(places, amount=0.7, box=BOX)
    for axis in range(3):
        shift = torch.zeros(3, dtype=torch.float64)
        shift[axis] = step
        ahead, behind = (made.map(places + sign * shift, amount=0.7, box=BOX) for sign in (1, -1))
        close = ((ahead - behind) / (2 * step) - jacobians[:, :, axis]).abs().amax(dim=1) < 1e-6
        assert float(close.double().mean()) > 0.98, "but for points across which a bend begins or ends"


@pytest.mark.parametrize(("word", "said"), EXAMPLES)
def test_nothing_of_it_changes_nothing(word: str, said: dict) -> None:
    places = points()
    moved, jacobians = operation(word, said).moved(places, amount=0.0, box=BOX)
    assert torch.equal(moved, places)
    assert torch.equal(jacobians, torch.eye(3, dtype=torch.float64).expand(len(places), 3, 3))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("move", {"by": [3, -4]}),
        ("rotate", {"degrees": 25}),
        ("rotate", {"degrees": 25, "center": [3, 4]}),
        ("scale", {"factor": 2, "center": [0, 7]}),
        ("scale", {"factor": [2, 0.5]}),
        ("bend", {"degrees": 70, "axis": [[10, 30], [50, 20]]}),
    ],
)
def test_what_a_flat_script_says_means_the_same(word: str, said: dict) -> None:
    flat = points()
    flat[:, 2] = 0
    expected = OPERATIONS[word].model_validate(said).map(flat[:, :2], amount=0.6, box=BOX)
    seen = operation(word, said).map(flat, amount=0.6, box=BOX)
    torch.testing.assert_close(seen[:, :2], expected)
    torch.testing.assert_close(seen[:, 2], flat[:, 2])


@pytest.mark.parametrize(
    ("axis", "start", "end"),
    [
        ("z", [1, 0, 0], [0, -1, 0]),  # right goes up
        ("x", [0, -1, 0], [0, 0, 1]),  # up comes forward
        ("y", [1, 0, 0], [0, 0, 1]),  # right comes forward
    ],
)
def test_a_quarter_turn(axis: str, start: list[float], end: list[float]) -> None:
    turned = operation("rotate", {"degrees": 90, "axis": axis, "center": [0, 0]})
    seen = turned.map(torch.tensor([start], dtype=torch.float64), amount=1, box=BOX)
    torch.testing.assert_close(seen, torch.tensor([end], dtype=torch.float64))
    bent = operation("bend", {"degrees": 90, "axis": [[0, 0, 0], [1e-3 * part for part in start]], "about": axis})
    seen = bent.map(torch.tensor([start], dtype=torch.float64), amount=1, box=BOX)
    torch.testing.assert_close(seen, torch.tensor([end], dtype=torch.float64), atol=2e-3, rtol=0)


@given(st.floats(-360, 360), st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.1, 1)))
def test_a_turn_keeps_lengths_and_its_axis(degrees: float, axis: tuple[float, float, float]) -> None:
    places = points(20)
    made = operation("rotate", {"degrees": degrees, "axis": list(axis), "center": [1, 2, 3]})
    moved, jacobians = made.moved(places, amount=1, box=BOX)
    torch.testing.assert_close(torch.cdist(moved, moved), torch.cdist(places, places), atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.linalg.det(jacobians), torch.ones(20, dtype=torch.float64))
    on_axis = torch.tensor([[1.0, 2, 3]], dtype=torch.float64) + torch.tensor([axis], dtype=torch.float64)
    torch.testing.assert_close(made.map(on_axis, amount=1, box=BOX), on_axis)


def test_a_bent_line_keeps_its_length_and_ends_turned() -> None:
    line = torch.zeros(1001, 3, dtype=torch.float64)
    line[:, 0] = torch.linspace(10, 50, 1001)
    bent = operation("bend", {"degrees": 90, "axis": [[10, 0], [50, 0]], "about": "y"}).map(line, amount=1, box=BOX)
    radius = 40 / (math.pi / 2)
    torch.testing.assert_close(bent[-1], torch.tensor([10 + radius, 0, radius], dtype=torch.float64))
    assert float(bent.diff(dim=0).norm(dim=1).sum()) == pytest.approx(40, rel=1e-5)


@pytest.mark.parametrize(
    ("word", "said", "problem"),
    [
        ("rotate", {"degrees": 10, "axis": "w"}, "x"),
        ("rotate", {"degrees": 10, "axis": [0, 0, 0]}, "no direction"),
        ("bend", {"degrees": 10, "axis": [[1, 2], [1, 2, 0]]}, "two different"),
        ("bend", {"degrees": 10, "axis": [[1, 2], [5, 2]], "about": "x"}, "across the line"),
        ("move", {"by": [1, 2, 3, 4]}, "3 items"),
        ("scale", {"factor": [1, -2, 3]}, "greater than"),
    ],
)
def test_what_cannot_be_is_refused(word: str, said: dict, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        operation(word, said)


PLANAR = [
    ("mirror", "vertical"),
    ("stretch", {"factor": 1.4, "axis": [[10, 30], [50, 30]]}),
    ("twirl", {"degrees": 50}),
    ("wave", {"amplitude": 3, "period": 17, "direction": 30}),
    ("perspective", {"corners": [[12, 18], [55, 22], [50, 42], [8, 38]]}),
    ("drag", {"handles": [{"from": [20, 30], "to": [26, 27]}], "fixed": [[45, 30]]}),
    ("lattice", {"offsets": [[[0, 0], [2, 1]], [[1, 0], [0, 3]]]}),
]


@pytest.mark.parametrize(("word", "said"), PLANAR)
def test_words_of_the_plane_move_points_as_in_it_and_keep_how_deep_they_are(word: str, said: dict) -> None:
    places, flat = points(), OPERATIONS[word].model_validate(said)
    deep, shares = operation(word, said), torch.rand(len(places), dtype=torch.float64)
    assert bool(((deep.map(places, amount=1.0, box=BOX) - places)[:, :2].abs() > 0.01).any())
    for amount in (0.6, shares):
        there = deep.map(places, amount=amount, box=BOX)
        torch.testing.assert_close(there[:, :2], flat.map(places[:, :2], amount=amount, box=BOX))
        assert torch.equal(there[:, 2], places[:, 2])
    _, jacobians = deep.moved(places, amount=0.6, box=BOX)
    assert torch.equal(jacobians[:, 2], torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64).expand(len(places), 3))
