"""The words of an edit script."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from gainer_ns.editing import deformations
from gainer_ns.editing.material_motion import MaterialOperation
from gainer_ns.editing.operations import Cut, Operation, Rotate
from gainer_ns.editing.vocabulary import OPERATIONS
from gainer_ns.errors import GainerError

BOX = (10.0, 20.0, 90.0, 80.0)
AXIS = [[12, 70], [81.5, 33]]
EXAMPLES: dict[str, dict[str, Any]] = {
    "move": {"by": [3, -4.5]},
    "rotate": {"degrees": 33},
    "scale": {"factor": [0.5, 2]},
    "mirror": {"direction": "vertical", "center": [40, 55]},
    "stretch": {"factor": 2, "axis": AXIS},
    "bend": {"degrees": 40, "axis": AXIS},
    "twirl": {"degrees": 90},
    "wave": {"amplitude": 2.5, "period": 40, "direction": 20, "phase": 70},
    "perspective": {"corners": [[14, 12], [83, 29], [96, 85], [3, 71]]},
    "cut": {"line": AXIS, "gap": 12},
    "drag": {"handles": [{"from": [20, 30], "to": [24, 21]}, {"from": [70, 40], "to": [81, 43]}], "fixed": [[10, 80]]},
    "lattice": {"offsets": [[[3, 1], [-2, 4], [0, 0]], [[1, -5], [6, 2], [-3, -3]]]},
}
FORMULAS = [word for word, kind in OPERATIONS.items() if not issubclass(kind, MaterialOperation)]
every_word = pytest.mark.parametrize("word", FORMULAS)


def operation(word: str, **parameters: object) -> Operation:
    return OPERATIONS[word].model_validate(parameters or EXAMPLES[word])


def some_points(count: int = 200) -> Tensor:
    return -20.0 + 140.0 * torch.rand(count, 2)


def close(actual: Tensor, expected: Tensor, within: float = 1e-4) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=within)


@every_word
def test_nothing_is_exactly_nothing(word: str) -> None:
    points = some_points()
    close(operation(word).map(points, amount=0.0, box=BOX), points, 0.0)
    moved, jacobians = operation(word).moved(points, amount=0.0, box=BOX)
    close(moved, points, 0.0)
    close(jacobians, torch.eye(2).expand(200, 2, 2), 0.0)


@every_word
def test_starts_smoothly(word: str) -> None:
    """A hair's breadth of an operation moves by a hair's breadth, to either side."""
    points = some_points().double()
    for amount in (1e-6, -1e-6):
        moved, _ = operation(word).moved(points, amount=amount, box=BOX)
        shift = (moved - points).norm(dim=1).max()
        assert 0 < shift < 1e-3


@every_word
@settings(max_examples=15)
@given(amount=st.floats(-0.3, 1.3))
def test_jacobians_belong_to_the_map(word: str, amount: float) -> None:
    points = some_points(20).double()
    moved, jacobians = operation(word).moved(points, amount=amount, box=BOX)
    close(moved, operation(word).map(points, amount=amount, box=BOX), 0.0)
    assert torch.isfinite(jacobians).all()
    near = points + 1e-7
    linear = moved + (jacobians @ torch.full((2, 1), 1e-7).double())[..., 0]
    smooth = (operation(word).map(near, amount=amount, box=BOX) - linear).abs().amax(dim=1) < 1e-9
    assert smooth.double().mean() > 0.9  # all but points at a crease


@pytest.mark.parametrize("word", [word for word in FORMULAS if word != "mirror"])
def test_all_is_the_deformation(word: str) -> None:
    points = some_points()
    box = {"box": BOX} if word in ("perspective", "lattice") else {}
    center = {"center": (50, 50)} if word in ("rotate", "scale", "twirl") else {}
    radius = {"radius": 30} if word == "twirl" else {}
    parameters = EXAMPLES[word]
    if word == "drag":
        handles = parameters["handles"]
        parameters = {
            "handles_from": [handle["from"] for handle in handles],
            "handles_to": [handle["to"] for handle in handles],
            "fixed": parameters["fixed"],
        }
    expected = getattr(deformations, {"lattice": "free_form"}.get(word, word))(
        points, **parameters, **box, **center, **radius
    )
    close(operation(word).map(points, amount=1.0, box=BOX), expected, 1e-5)


@pytest.mark.parametrize("word", ["move", "rotate", "scale", "stretch"])
@given(first=st.floats(-0.5, 1.5), second=st.floats(-0.5, 1.5))
def test_parts_add_up(word: str, first: float, second: float) -> None:
    points = some_points().double()
    scaled = operation(word)
    twice = scaled.map(scaled.map(points, amount=first, box=BOX), amount=second, box=BOX)
    close(twice, scaled.map(points, amount=first + second, box=BOX), 1e-8)


def test_half_a_perspective_takes_corners_half_way() -> None:
    corners = torch.tensor([[10.0, 20], [90, 20], [90, 80], [10, 80]]).double()
    goal = torch.tensor(EXAMPLES["perspective"]["corners"])
    close(operation("perspective").map(corners, amount=0.5, box=BOX), 0.5 * (corners + goal), 1e-9)


def test_a_perspective_that_folds_on_its_way() -> None:
    upside_down = operation("perspective", corners=[[90, 80], [10, 80], [10, 20], [90, 20]])
    upside_down.map(some_points(), amount=1.0, box=BOX)
    with pytest.raises(GainerError, match="not a convex quadrilateral"):
        upside_down.map(some_points(), amount=0.5, box=BOX)


def test_centers_can_be_given() -> None:
    center = torch.tensor([[7.0, 8.0]])
    for word, parameters in (("rotate", {"degrees": 50}), ("scale", {"factor": 2}), ("twirl", {"degrees": 50})):
        close(operation(word, **parameters, center=[7, 8]).map(center, amount=1.0, box=BOX), center)
        moved = operation(word, **parameters, center=[7, 8]).map(center + 3, amount=1.0, box=BOX)
        assert (moved - center - 3).abs().max() > 0.5


def test_a_rotation_to_a_center_at_the_corner() -> None:
    """A centre of zeros is a centre, not one left out."""
    corner = torch.zeros(1, 2)
    close(operation("rotate", degrees=90, center=[0, 0]).map(corner, amount=1.0, box=BOX), corner)


def test_each_half_of_a_cut_moves_as_a_whole() -> None:
    points, whole = some_points().double(), operation("cut")
    assert isinstance(whole, Cut)
    left, right = (half.map(points, amount=0.7, box=BOX) for half in whole.halves)
    expected = torch.where((whole.left_of(points) >= 0)[:, None], left, right)
    close(whole.map(points, amount=0.7, box=BOX), expected, 1e-9)


@every_word
def test_a_script_may_say_only_what_there_is(word: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        operation(word, **EXAMPLES[word], colour="red")
    with pytest.raises(ValidationError, match="frozen"):
        operation(word).by = 3  # pyright: ignore[reportAttributeAccessIssue]
    assert all(field.description for field in OPERATIONS[word].model_fields.values())
    assert OPERATIONS[word].__doc__


@pytest.mark.parametrize(
    ("word", "changed", "message"),
    [
        ("move", {"by": [1, 2, 3, 4]}, "at most 3"),
        ("move", {"by": [1, float("nan")]}, "finite"),
        ("move", {"by": [1, float("inf")]}, "finite"),
        ("move", {"by": [1, 1e300]}, "less than or equal"),
        ("move", {"by": [True, "2"]}, "valid number"),
        ("rotate", {"degrees": "left"}, "valid number"),
        ("rotate", {"center": [1]}, "required"),
        ("scale", {"factor": 0}, "greater than 0.0"),
        ("scale", {"factor": [1, -1]}, "greater than 0.0"),
        ("scale", {"factor": [1, 2, 3, 4]}, "at most 3"),
        ("scale", {"factor": "big"}, "valid number"),
        ("stretch", {"factor": -2}, "greater than 0.0"),
        ("stretch", {"axis": [[3, 4], [3, 4]]}, "two different points"),
        ("bend", {"axis": [[3, 4], [3, 4]]}, "two different points"),
        ("twirl", {"radius": 0}, "greater than 0.0"),
        ("wave", {"period": 0}, "greater than 0.0"),
        ("perspective", {"corners": [[0, 0], [10, 10], [10, 0], [0, 10]]}, "not a convex quadrilateral"),
        ("perspective", {"corners": [[0, 0], [10, 0], [10, 10]]}, "required"),
        ("cut", {"line": [[3, 4], [3, 4]]}, "two different points"),
        ("cut", {"gap": -1}, "greater than or equal to 0 "),
        ("drag", {"handles": []}, "at least 1 item"),
        ("drag", {"fixed": [[20, 30]]}, "two of them"),
        ("drag", {"handles": [{"from": [1, 2], "to": [3, 4], "via": [5, 6]}]}, "Extra inputs"),
        ("lattice", {"offsets": [[[1, 2], [3, 4]]]}, "at least 2 rows"),
        ("lattice", {"offsets": [[[1, 2]], [[3, 4]]]}, "at least 2 rows"),
        ("lattice", {"offsets": [[[1, 2], [3, 4]], [[5, 6]]]}, "row 2 has 1 offsets, but row 1 has 2"),
    ],
)
def test_impossible_parameters(word: str, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        operation(word, **{**EXAMPLES[word], **changed})
    where = caught.value.errors()[0]["loc"]
    assert where[:1] in ((*changed,), ())  # the parameter, or none where two of them disagree


@pytest.mark.parametrize("word", [word for word in FORMULAS if word != "cut"])
@given(amounts=st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_shares(word: str, amounts: list[float]) -> None:
    """An amount for each point moves each as the same amount for all of them does."""
    points = torch.tensor([[13.0 + 17 * i, 91.0 - 11 * i] for i in range(len(amounts))]).double()
    moved = operation(word).map(points, amount=torch.tensor(amounts, dtype=torch.float64), box=BOX)
    alone = [operation(word).map(points[i : i + 1], amount=share, box=BOX) for i, share in enumerate(amounts)]
    close(moved, torch.cat(alone), 1e-6)


def test_shares_of_what_knows_none() -> None:
    """What must be solved for all points at once takes those that follow in part so much of the way."""

    class Whole(Rotate):
        knows_shares = False

    points = torch.tensor([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]).double()
    whole = Whole(degrees=40, center=(1, 1))
    moved = whole.map(points, amount=torch.tensor([0.0, 0.5, 1.0]).double(), box=BOX)
    end = whole.map(points, amount=1.0, box=BOX)
    close(moved, torch.stack([points[0], (points[1] + end[1]) / 2, end[2]]), 1e-12)
    close(whole.map(points, amount=torch.zeros(3), box=BOX), points, 0.0)


@given(across=st.sampled_from(["horizontal", "vertical"]))
def test_mirror(across: str) -> None:
    """A mirrored selection has its sides changed; half way it is thin, and a word is enough."""
    points = some_points().double()
    mirror = OPERATIONS["mirror"].model_validate(across)
    assert mirror == OPERATIONS["mirror"].model_validate({"direction": across})
    assert mirror.model_dump(exclude_defaults=True) == across
    axis = 0 if across == "horizontal" else 1
    expected = points.clone()
    expected[:, axis] = (BOX[axis] + BOX[axis + 2]) - points[:, axis]
    close(mirror.map(points, amount=1.0, box=BOX), expected, 1e-9)
    expected[:, axis] = (BOX[axis] + BOX[axis + 2]) / 2
    close(mirror.map(points, amount=0.5, box=BOX), expected, 1e-9)
