"""Regions of a sheet: they move wholly, their surroundings follow, and nothing is cut, torn or mixed."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from gainer_ns.editing.falloff import Falloff, RegionDistance
from gainer_ns.editing.script import Script
from gainer_ns.editing.selection import Selection
from gainer_ns.editing.stage import Stage
from gainer_ns.motion.shown import Shown
from gainer_ns.rendering.plane import BakedPicture

Draw = Callable[..., Any]
Compare = Callable[[Any, Any], float]
WIDTH, HEIGHT = 120, 150
MARGIN = 40
HEAD = {"polygon": [[40, 8], [110, 8], [110, 52], [76, 52], [40, 44]]}
EAR = {"disc": {"center": [66, 14], "radius": 10}}


def figure() -> Tensor:
    """Opacity of a figure that touches the lower border: legs of 5 pixels, a body, a neck, a head and an ear."""
    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    shown = ((x - 50) / 30) ** 2 + ((y - 95) / 22) ** 2 < 1
    shown |= ((x - 78) / 20) ** 2 + ((y - 32) / 14) ** 2 < 1
    shown |= (x - 66) ** 2 + (y - 16) ** 2 < 64
    shown |= ((x - 56 - 0.2 * (90 - y)).abs() < 10) & (y > 30) & (y < 90)
    for left in (26, 40, 58, 70):
        shown |= (x > left) & (x < left + 5) & (y > 95)
    soft = torch.nn.functional.avg_pool2d(shown[None, None].float(), 3, 1, 1, count_include_pad=False)[0, 0]
    return torch.where(shown, soft.clamp(min=0.5), soft).clamp(0, 1) * (soft > 0.3)


@pytest.fixture(scope="module")
def animal(fitted: Callable[..., BakedPicture], smooth: Callable[..., Tensor]) -> BakedPicture:
    return fitted(smooth(WIDTH, HEIGHT, seed=3, grain=6), figure())


def covered(stage: Stage, least: float) -> np.ndarray:
    """Which pixels of the canvas some of what is so opaque at rest comes to, without the rest map."""
    (piece,) = stage.pieces
    y, x = np.mgrid[: HEIGHT * 4, : WIDTH * 4] / 4 + 0.125
    opaque = (figure().numpy() > least).repeat(4, 0).repeat(4, 1)
    there = piece.carried(stage.ends, torch.from_numpy(np.stack([x[opaque], y[opaque]], axis=1))).numpy()
    found = np.zeros((HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN), bool)
    column, row = np.floor(there + MARGIN).astype(int).T
    inside = (row >= 0) & (column >= 0) & (row < found.shape[0]) & (column < found.shape[1])
    found[row[inside], column[inside]] = True
    return found


@pytest.mark.parametrize(
    "edit",
    [
        {"select": HEAD, "rotate": {"degrees": 25}},
        {"select": HEAD, "rotate": {"degrees": -25}},
        {"select": EAR, "scale": {"factor": 1.5}},
        {"select": {**EAR, "feather": 16}, "scale": {"factor": 1.5}},
        {"bend": {"degrees": -65, "axis": [[56, 110], [62, 40]]}},
        {"select": HEAD, "bend": {"degrees": -65, "axis": [[62, 56], [72, 30]]}},
        {"select": {"box": [0, 0, 120, 90]}, "rotate": {"degrees": 20}},
    ],
    ids=["turned", "turned back", "ear", "feathered ear", "bent", "head bent", "upper half"],
)
def test_a_moved_region_leaves_the_sheet_whole(
    edit: dict[str, Any], animal: BakedPicture, staged: Callable[..., Stage], seen: Draw
) -> None:
    stage = staged(animal, edit)
    alpha = seen(stage.at(1.0), 1, (-MARGIN, -MARGIN, WIDTH + MARGIN, HEIGHT + MARGIN)).alpha
    inner = ndimage.binary_erosion(covered(stage, 0.99), np.ones((7, 7)))
    assert inner.sum() > 2000 and alpha[inner].min() >= 0.98, "no hole, no ghost, no crack"
    outer = np.asarray(ndimage.binary_dilation(covered(stage, 0.0), np.ones((5, 5))), bool)
    assert alpha[~outer].max() < 0.5, "nothing clear turns opaque"
    parts: Any = ndimage.label(alpha > 0.5)[0]  # pyright: ignore
    assert np.bincount(parts.flatten())[1:].min() >= 50, "nothing comes loose"


def test_inside_a_region_all_is_as_if_everything_moved(
    animal: BakedPicture, staged: Callable[..., Stage], edited: Draw, seen: Draw, psnr: Compare
) -> None:
    turn = {"rotate": {"degrees": 25, "center": [78, 40]}}
    after, alone = edited(animal, {"select": HEAD, **turn}), edited(animal, turn)
    head = slice(14, 36), slice(76, 92)
    assert psnr(after[head], alone[head]) > 50
    feet = slice(130, 150), slice(0, 120)
    assert psnr(after[feet], seen(animal)[feet]) > 60


def test_what_hangs_beside_a_region_does_not_follow(fitted: Callable[..., BakedPicture]) -> None:
    """Distances are those along what is visible: two bars that hang side by side from a third."""
    visible = torch.zeros(100, 60, dtype=torch.bool)
    visible[:20], visible[:, 10:20], visible[:, 30:40] = True, True, True
    region = Selection.model_validate({"box": [8, 80, 22, 100]})
    distance = RegionDistance.around(region, Shown(visible.numpy()), 128.0, region.bounds(60, 100))
    beside, along = distance.at(torch.tensor([[35.0, 90.0], [15.0, 50.0]])).distances
    assert beside > 3 * 8 and abs(along - 30) < 5, "across what is clear it is far"


@settings(max_examples=20)
@given(
    radius=st.floats(1, 20),
    center=st.tuples(st.floats(10, 90), st.floats(10, 90)),
    reach=st.integers(8, 60),
    data=st.data(),
)
def test_distances_in_the_open(radius: float, center: tuple[float, float], reach: int, data: st.DataObject) -> None:
    """Where all is visible they are those in the plane, to some pixels of the lattice; weights fall from 1 to 0."""
    region = Selection.model_validate({"disc": {"center": center, "radius": radius}})
    left, top, right, bottom = region.bounds(100, 100)
    box = left - reach, top - reach, right + reach, bottom + reach
    distance = RegionDistance.around(region, Shown(np.ones((100, 100), bool)), float(reach), region.bounds(100, 100))
    place = data.draw(
        st.tuples(st.floats(max(0, box[0]), min(100, box[2])), st.floats(max(0, box[1]), min(100, box[3])))
    )
    expected = max(0.0, float(np.hypot(place[0] - center[0], place[1] - center[1])) - radius)
    found = float(distance.at(torch.tensor([place])).distances[0])
    assert abs(found - expected) < 2.5 + 0.35 * expected
    weight = float(Falloff(distance, float(reach)).weights(torch.tensor([place]))[0])
    assert 0 <= weight <= 1 and (weight > 0.99 or expected > 0)


@pytest.mark.parametrize("degrees", [25, 40, 60])
def test_a_bent_neck_keeps_its_width(
    degrees: float, picture: Callable[..., BakedPicture], staged: Callable[..., Stage]
) -> None:
    """Across the way that its middle takes, it loses little; each place turned by its share loses half."""
    shown = torch.zeros(340, 120)
    shown[10:330, 48:72] = 1
    stage = staged(
        picture(120, 340, opacity=shown), {"select": {"box": [40, 0, 80, 90]}, "rotate": {"degrees": degrees}}
    )
    rows = np.arange(80.0, 320.0, 2.0)
    left, middle, right = (
        stage.pieces[0].carried(stage.ends, torch.from_numpy(np.stack([np.full_like(rows, x), rows], axis=1))).numpy()
        for x in (49, 60, 71)
    )
    along = np.gradient(middle, axis=0)
    across = right - left
    widths = np.abs(across[:, 0] * along[:, 1] - across[:, 1] * along[:, 0]) / np.linalg.norm(along, axis=1) / 22
    assert widths.min() > (0.8 if degrees < 60 else 0.7) and widths.max() < 1.25
    np.testing.assert_allclose(middle[-5:, 0], 60, atol=0.05, err_msg="far away nothing moves")


def test_what_cannot_hold_is_said(
    animal: BakedPicture, staged: Callable[..., Stage], caplog: pytest.LogCaptureFixture
) -> None:
    staged(animal, {"select": HEAD, "rotate": {"degrees": 20}})
    assert not caplog.records
    staged(animal, {"select": HEAD, "move": {"by": [-300, 200]}})
    staged(animal, {"select": {**HEAD, "feather": 3}, "move": {"by": [0, 20]}})
    first, second = (record.message for record in caplog.records)
    assert first.startswith("edits[0]: moves farther than") and first.endswith("; write mode: piece to cut it out")
    assert "leave feather out, or write mode: piece" in second


def decibels(one: Any, other: Any, where: np.ndarray) -> float:
    """PSNR of what is seen at some pixels."""
    return float(-10 * np.log10(np.square(one.premultiplied[where] - other.premultiplied[where]).mean() + 1e-20))


def arm_and_body() -> tuple[Tensor, Tensor]:
    """Opacities of an upright body, and of a long arm to its right."""
    body, arm = torch.zeros(110, 190), torch.zeros(110, 190)
    body[10:100, 30:70] = 1
    arm[50:62, 70:180] = 1
    return body, arm


BENT_ARM: dict[str, Any] = {
    "select": {"box": [78, 40, 190, 72]},
    "bend": {"degrees": 180, "axis": [[80, 56], [104, 56]]},  # back over the body, 15 pixels higher
}


def test_a_tear_between_the_nodes_of_the_falloff_is_said(
    picture: Callable[..., BakedPicture], staged: Callable[..., Stage], caplog: pytest.LogCaptureFixture
) -> None:
    lines = torch.zeros(120, 400)
    lines[:, 150:158] = 1.0
    select = {"box": [0, 0, 400, 60], "feather": 1}
    staged(picture(400, 120, opacity=lines), {"select": select, "rotate": {"degrees": 25}})
    assert len(caplog.records) == 1


@pytest.mark.parametrize("t", [0.0, 1.0])
@pytest.mark.parametrize("order", ["front", "back", 3, -2.5, {0: "front", 0.5: "back"}, {0: -1, 1: 2}])
def test_an_arm_passes_before_a_body_or_behind_it(
    order: Any,
    t: float,
    fitted: Callable[..., BakedPicture],
    smooth: Callable[..., Tensor],
    staged: Callable[..., Stage],
    seen: Draw,
) -> None:
    body, arm = arm_and_body()
    colours = smooth(190, 110, seed=5, grain=5)
    edit = {**BENT_ARM, "keyframes": {0: 1.0}}
    stage = staged(fitted(colours, body + arm), {**edit, "order": order})
    after = seen(stage.at(t))
    alone = {
        "arm": seen(staged(fitted(colours, arm), {"bend": edit["bend"], "keyframes": {0: 1.0}}).at(t)),
        "body": seen(fitted(colours, body)),
    }
    front = "arm" if stage.script.edits[0].depth(t) > 0 else "body"
    both = (alone["arm"].alpha > 0.5) & (alone["body"].alpha > 0.5)
    assert both.sum() > 300
    shown = both & ndimage.binary_erosion(alone[front].alpha > 0.99, np.ones((3, 3)))
    assert decibels(after, alone[front], shown) > 50
    assert np.abs(after.rgb[shown] - alone[front].rgb[shown]).max() < 4 / 255, "no pixel is a mixture"
    assert after.alpha[both].min() > 0.98, "what is clear at the edge of the front shows what it covers"


@pytest.mark.parametrize("edge", ["straight", "round"])
def test_a_folded_strip_hides_itself(
    edge: str,
    fitted: Callable[..., BakedPicture],
    smooth: Callable[..., Tensor],
    staged: Callable[..., Stage],
    seen: Draw,
) -> None:
    """By half a turn it comes to lie over itself; in the overlap the part in front is as if it were alone."""
    y, x = torch.meshgrid(torch.arange(110) + 0.5, torch.arange(190) + 0.5, indexing="ij")
    strip = ((y - 60).abs() < 20) & (x > 10) & (x < 170)
    if edge == "round":
        strip &= (x < 130) | ((x - 130) ** 2 + (y - 60) ** 2 < 400)
    far = x > 100
    colours = smooth(190, 110, seed=6, grain=5)
    fold = {"bend": {"degrees": 180, "axis": [[92, 60], [108, 60]]}}
    for select, order in product(({}, {"select": {"box": [88, 30, 190, 90]}}), ("front", "back")):
        after = seen(staged(fitted(colours, strip.float()), {**select, **fold, "order": order}).at(1.0))
        upper = seen(staged(fitted(colours, (strip & far).float()), fold).at(1.0))
        lower = seen(fitted(colours, (strip & ~far & (x < 90)).float()))
        front, behind = (upper, lower) if order == "front" else (lower, upper)
        near_crease = np.arange(190)[None] > 70
        both = (front.alpha > 0.5) & (behind.alpha > 0.5) & ~near_crease
        shown = both & ndimage.binary_erosion(front.alpha > 0.99, np.ones((3, 3)))
        assert shown.sum() > 300
        assert decibels(after, front, shown) > 50
        assert np.abs(after.rgb[shown] - front.rgb[shown]).max() < 4 / 255
        assert after.alpha[both].min() > 0.98


def test_an_automatic_canvas_takes_in_all_that_is_shown(
    animal: BakedPicture, fitted: Callable[..., BakedPicture], smooth: Callable[..., Tensor], seen: Draw
) -> None:
    """No more is seen on a far larger canvas, in any frame; and the canvas is no larger than that by 3 pixels."""
    bend = {"bend": {"degrees": -65, "axis": [[56, 110], [62, 40]]}}
    for edits, frames in (([bend], None), ([{**bend, "keyframes": {0: -1.0, 0.5: 1.0, 1: 0.0}}], 5)):
        words = {"edits": edits, "canvas": "auto", **({"frames": frames} if frames else {})}
        stage = Stage(Script.model_validate(words), animal)
        left, top, right, bottom = (int(side) for side in stage.canvas or ())
        assert not frames or ((right - left) % 2, (bottom - top) % 2) == (0, 0)
        all_shown = [seen(stage.at(t), 1, (-150, -150, 300, 350)).alpha > 0.02 for t in stage.script.times]
        shown = np.any(all_shown, axis=0)
        within = shown[top + 150 : bottom + 150, left + 150 : right + 150]
        assert shown.sum() == within.sum() > 2000, "nothing is clipped"
        assert left < 0 or right > WIDTH
        edges = [within[:3].any(), within[-3:].any(), within[:, :3].any(), within[:, -3:].any()]
        assert all(edges), "nor is there room to spare"
    still = Stage(Script.model_validate({"edits": [{"move": {"by": [0, 0]}}], "canvas": "auto"}), animal)
    assert still.canvas is not None and still.canvas[3] == HEIGHT
    whole = fitted(smooth(40, 30, seed=1, grain=4))
    assert Stage(Script.model_validate({"edits": [{"move": {"by": [2, 0]}}], "canvas": "auto"}), whole).canvas == (
        2,
        0,
        42,
        30,
    )
