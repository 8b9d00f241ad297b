"""Selections: where their edge is, how soft it is, and which are refused."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from gainer_ns.editing.deformations import with_jacobian
from gainer_ns.editing.selection import Selection
from gainer_ns.io.places import PlacedError

WIDTH, HEIGHT = 60, 40


def selection(data: Any) -> Selection:
    return Selection.model_validate(data)


def centres() -> torch.Tensor:
    """Centres of the pixels, [m, 2], row by row."""
    x, y = torch.arange(WIDTH) + 0.5, torch.arange(HEIGHT) + 0.5
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2).double()


@pytest.fixture
def mask(tmp_path: Path) -> Callable[..., str]:
    """``mask(left, right)``: the path of a mask picture, white between two columns."""

    def make(left: int = 10, right: int = 30, width: int = WIDTH, height: int = HEIGHT, value: int = 255) -> str:
        values = np.zeros((height, width), np.uint8)
        values[:, left:right] = value
        path = tmp_path / f"{left}-{right}-{width}-{value}.png"
        Image.fromarray(values).save(path)
        return str(path)

    return make


box = {"box": [10, 8, 30, 26]}
disc = {"disc": {"center": [25.5, 20], "radius": 9}}
polygon = {"polygon": [[2, 3], [50, 8], [30, 36]]}
shapes = st.sampled_from([box, disc, polygon])
feathers = st.sampled_from([0, 1, 6.5, 20])
tree = st.recursive(
    st.builds(lambda shape, feather: {**shape, "feather": feather}, shapes, feathers) | shapes | st.just("all"),
    lambda parts: st.builds(
        lambda kind, parts, feather: {kind: parts} if feather is None else {kind: parts, "feather": feather},
        st.sampled_from(["union", "minus", "intersect"]),
        st.lists(parts, min_size=2, max_size=3),
        st.none() | feathers,
    ),
    max_leaves=5,
)


def reference(data: Any, points: torch.Tensor, feather: float = 0.0) -> torch.Tensor:
    """The field, written out once more."""
    if data == "all":
        return torch.full((len(points),), 1e6, dtype=torch.float64)
    feather = data.get("feather", feather)
    if "union" in data:
        return torch.stack([reference(part, points, feather) for part in data["union"]]).amax(0)
    if "intersect" in data:
        return torch.stack([reference(part, points, feather) for part in data["intersect"]]).amin(0)
    if "minus" in data:
        first, *rest = [reference(part, points, feather) for part in data["minus"]]
        return torch.stack([first, *(1 - other for other in rest)]).amin(0)
    x, y = points.T
    if "disc" in data:
        depth = 9 - torch.hypot(x - 25.5, y - 20)
    elif "box" in data:
        outside = torch.hypot(
            (10 - x).clamp(min=0) + (x - 30).clamp(min=0), (8 - y).clamp(min=0) + (y - 26).clamp(min=0)
        )
        depth = torch.where(outside > 0, -outside, torch.stack([x - 10, 30 - x, y - 8, 26 - y]).amin(0))
    else:
        corners = [torch.tensor(corner, dtype=torch.float64) for corner in polygon["polygon"]]
        edges = [(a, b - a) for a, b in pairwise([*corners, corners[0]])]
        sides = [(e[0] * (y - a[1]) - e[1] * (x - a[0])) / e.norm() for a, e in edges]
        distances = [(points - a - ((points - a) @ e / (e @ e)).clamp(0, 1)[:, None] * e).norm(dim=1) for a, e in edges]
        inside = torch.stack(sides).amin(0) > 0
        depth = torch.stack(distances).amin(0) * torch.where(inside, 1, -1)
    return 0.5 + depth / max(feather, 1)


@given(tree)
def test_fields_of_anything(data: Any) -> None:
    torch.testing.assert_close(selection(data).field(centres()), reference(data, centres()))


@given(tree)
def test_weights_of_anything(data: Any) -> None:
    chosen = selection(data)
    weights = chosen.weights(centres())
    assert ((weights >= 0) & (weights <= 1)).all()
    if not chosen.is_soft:
        assert set(weights.tolist()) <= {0.0, 1.0}
    sure = (chosen.field(centres()) - 0.5).abs() > 0.5  # beyond every border
    assert (weights[sure] == (chosen.field(centres())[sure] > 0.5)).all()


@pytest.mark.parametrize("shape", [box, disc, polygon])
def test_fields_are_distances(shape: dict[str, Any]) -> None:
    field = selection(shape).field(centres())
    wide = selection({**shape, "feather": 8}).field(centres())
    torch.testing.assert_close((field - 0.5) / 8 + 0.5, wide)
    slope = with_jacobian(lambda points: selection(shape).field(points)[:, None].expand(-1, 2), centres())[1][:, 0]
    torch.testing.assert_close(slope.norm(dim=1)[1:-1].quantile(0.1), torch.tensor(1.0).double(), atol=1e-6, rtol=0)


def test_a_soft_border_is_a_smoothstep() -> None:
    chosen = selection({"box": [10, -500, 50, 500], "feather": 8})
    x = torch.linspace(0, 20, 41, dtype=torch.float64)
    t = ((x - 6) / 8).clamp(0, 1)
    points = torch.stack([x, torch.full_like(x, 20)], dim=1)
    torch.testing.assert_close(chosen.weights(points), t * t * (3 - 2 * t))
    assert chosen.is_soft and not selection(box).is_soft


def test_weights_have_forward_and_backward_derivatives(mask: Callable[..., str]) -> None:
    for data in (
        {**box, "feather": 6},
        {**disc, "feather": 6},
        {**polygon, "feather": 6},
        {"mask": mask(), "feather": 6},
    ):
        chosen, points = selection(data), centres() + 0.123
        backward = with_jacobian(lambda p, c=chosen: c.weights(p)[:, None], points)[1][:, 0]
        for axis, step in enumerate(torch.eye(2).to(points)):
            forward = torch.func.jvp(chosen.weights, (points,), (step.expand_as(points),))[1]
            torch.testing.assert_close(forward, backward[:, axis])
        assert backward.isfinite().all() and backward.abs().max() > 0.1
    at_the_centre = torch.tensor([[25.5, 20.0]], requires_grad=True)
    assert torch.autograd.grad(selection(disc).field(at_the_centre).sum(), at_the_centre)[0].isfinite().all()


def test_types_are_kept(mask: Callable[..., str]) -> None:
    for data in ("all", box, disc, polygon, {"mask": mask()}, {"minus": ["all", disc]}):
        for dtype in (torch.float32, torch.float64):
            points = centres().to(dtype)
            assert selection(data).field(points).dtype == dtype == selection(data).weights(points).dtype


def test_masks_are_read_once(mask: Callable[..., str]) -> None:
    chosen = selection({"mask": mask()})
    before = chosen.weights(centres())
    Path(str(chosen.mask)).unlink()
    assert torch.equal(chosen.weights(centres()), before) and before.sum() == 20 * HEIGHT
    assert chosen == selection({"mask": str(chosen.mask)}), "what has been read is no part of what it says"


def test_gray_masks_weigh_by_their_values(mask: Callable[..., str]) -> None:
    chosen = selection({"mask": mask(value=102)})
    assert chosen.is_soft
    weights = chosen.weights(centres()).reshape(HEIGHT, WIDTH)
    torch.testing.assert_close(weights[0, 10:30], torch.full((20,), 0.4).double(), atol=1e-6, rtol=0)
    assert weights[:, :10].max() == 0 == weights[:, 30:].max()
    chosen.check(WIDTH, HEIGHT)


def test_parts_take_the_feather_of_the_whole() -> None:
    whole = selection({"union": [box, {**disc, "feather": 2}], "feather": 10})
    alone = torch.maximum(
        selection({**box, "feather": 10}).field(centres()), selection({**disc, "feather": 2}).field(centres())
    )
    torch.testing.assert_close(whole.field(centres()), alone)
    assert not selection({"union": [{**box, "feather": 0}], "feather": 10}).is_soft


def test_bounds(mask: Callable[..., str]) -> None:
    def bounds(data: Any) -> tuple[float, ...]:
        return selection(data).bounds(WIDTH, HEIGHT)

    assert bounds("all") == (0, 0, 60, 40)
    assert bounds({**box, "feather": 9}) == (10, 8, 30, 26)
    assert bounds(disc) == (16.5, 11, 34.5, 29) and bounds(polygon) == (2, 3, 50, 36)
    assert bounds({"mask": mask()}) == (10, 0, 30, 40)
    assert bounds({"union": [box, disc]}) == (10, 8, 34.5, 29)
    assert bounds({"intersect": [box, disc]}) == (16.5, 11, 30, 26)
    assert bounds({"minus": [box, disc]}) == (10, 8, 30, 26)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({}, "selects nothing; write all, or one of"),
        ({"feather": 3}, "selects nothing"),
        ("everything", "must be all, or a mapping with one of"),
        ({**box, **disc}, "has both box and disc"),
        ({"all": True, "feather": 3}, "no edge to feather"),
        ({"box": [30, 8, 10, 26]}, "is empty"),
        ({"box": [10, 8, 10, 26]}, "is empty"),
        ({"box": [10, 8, 30]}, "box.3"),
        ({"box": [10, 8, 30, float("nan")]}, "finite"),
        ({"box": [10, 8, 30, 1e300]}, "less than or equal to 1000000"),
        ({"box": ["10", 8, 30, 26]}, "valid number"),
        ({"polygon": [[0, 0], [1, 1]]}, "at least 3 points, not 2"),
        ({"polygon": [[0, 0], [1, 1], [7, 7]]}, "has no area"),
        ({"polygon": [[3, 3], [3, 3], [3, 3]]}, "has no area"),
        ({"disc": {"center": [3, 3], "radius": 0}}, "greater than 0"),
        ({"disc": {"center": [3, 3]}}, "disc.radius"),
        ({"union": []}, "at least 1"),
        ({"minus": [box]}, "at least 2"),
        ({**box, "feather": -1}, "greater than or equal to 0"),
        ({**box, "feathers": 1}, "Extra inputs"),
    ],
)
def test_what_is_no_selection(data: Any, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        selection(data)


def refusal(data: Any, width: int = WIDTH, height: int = HEIGHT) -> tuple[tuple[int | str, ...], str]:
    with pytest.raises(PlacedError) as caught:
        selection(data).check(width, height)
    assert "\n" not in caught.value.problem
    return caught.value.loc, caught.value.problem


OUTSIDE = "lies outside the picture, which is 60 x 40 pixels; x points right and y down, from its top-left corner"


@pytest.mark.parametrize(
    "data", [{"box": [60, 0, 70, 10]}, {"box": [-9, 0, 0, 10]}, {"box": [0, 40, 9, 41]}, {"box": [0, -5, 9, -0.1]}]
)
def test_outside_the_picture(data: Any) -> None:
    assert refusal(data) == (("box",), OUTSIDE)
    assert refusal({"union": [box, {"minus": ["all", data]}]}) == (("union", 1, "minus", 1, "box"), OUTSIDE)


def test_what_selects_no_pixel() -> None:
    small = {"disc": {"center": [25, 20], "radius": 0.3}}  # at a corner of four pixels
    nothing = "selects no pixel of the picture, which is 60 x 40 pixels; "
    assert refusal(small) == (("disc",), nothing + "make it larger")
    assert refusal({"minus": [disc, box, disc]}) == (("minus",), nothing + "make its parts overlap less")
    assert refusal({"minus": [box, "all"]}) == (("minus",), nothing + "make its parts overlap less")
    apart = {"intersect": [{"box": [0, 0, 9, 9]}, {"box": [20, 20, 29, 29]}]}
    assert refusal(apart) == (("intersect",), nothing + "make its parts overlap")
    beside = {"polygon": [[-50, 20], [20, 90], [-50, 90]]}  # outside, unlike the box around it
    assert refusal(beside) == (("polygon",), nothing + "make it larger")


def test_one_pixel_is_enough() -> None:
    selection({"box": [31.4, 17.4, 31.6, 17.6]}).check(WIDTH, HEIGHT)
    selection({"minus": ["all", {"box": [0, 0, 60, 39.2]}]}).check(WIDTH, HEIGHT)
    selection({"box": [-500, 39, 900, 900]}).check(WIDTH, HEIGHT)
    selection({"box": [4999.2, 3999.2, 5000, 4000]}).check(5000, 4000)
    selection({"minus": ["all", {"box": [0, 0, 500, 299]}]}).check(500, 300)
    selection("all").check(1, 1)


def test_masks_must_fit(mask: Callable[..., str], tmp_path: Path) -> None:
    selection({"mask": mask()}).check(WIDTH, HEIGHT)
    other = mask(width=50)
    size = f"{other} is 50 x 40 pixels, the picture 60 x 40; save the mask at the picture's size"
    assert refusal({"mask": other}) == (("mask",), size)
    black = mask(value=0)
    assert refusal({"mask": black}) == (("mask",), f"{black} is black all over; paint what it selects white")
    missing = f"{tmp_path / 'no.png'}: does not exist; check the spelling and the folder"
    assert refusal({"union": [box, {"mask": tmp_path / "no.png"}]}) == (("union", 1, "mask"), missing)
    (tmp_path / "text.png").write_text("not a picture")
    assert "is not a picture of a known kind" in refusal({"mask": tmp_path / "text.png"})[1]


@given(tree)
def test_written_and_read_again(data: Any) -> None:
    chosen = selection(data)
    assert selection(chosen.model_dump(exclude_defaults=True)) == chosen


def test_labels_of_masks(tmp_path: Path) -> None:
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[:, 10:30], labels[:, 40:] = 1, 2
    path = str(tmp_path / "labels.png")
    Image.fromarray(labels).save(path)
    for label in (1, 2):
        chosen = selection({"mask": path, "label": label})
        chosen.check(WIDTH, HEIGHT)
        np.testing.assert_array_equal(chosen.weights(centres()).reshape(HEIGHT, WIDTH), labels == label)
    place, problem = refusal({"mask": path})
    assert place == ("mask",) and "such as label: 1" in problem
