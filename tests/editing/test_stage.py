"""Pictures taken apart by a script and put together again."""

import gc
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from torch import Tensor

from gainer_ns.editing.pieces import Piece
from gainer_ns.editing.stage import Stage
from gainer_ns.errors import GainerError
from gainer_ns.rendering.plane import BakedPicture

Draw = Callable[..., Any]
Compare = Callable[[Any, Any], float]

SELECTIONS: dict[str, Any] = {
    "all": "all",
    "a box between pixels": {"box": [10, 8, 40, 30]},
    "a box through pixel centres": {"box": [10.5, 8.5, 40.5, 30.5]},
    "a feathered box": {"box": [12, 10, 40, 34], "feather": 8},
    "a polygon": {"polygon": [[10.5, 10.5], [46.5, 12.5], [30.5, 40.5]]},
    "a disc": {"disc": {"center": [24.5, 24.5], "radius": 10}},
    "a feathered disc": {"disc": {"center": [26, 24], "radius": 11}, "feather": 5},
}
NOTHING: dict[str, list[dict[str, Any]]] = {
    "move": [{"move": {"by": [0, 0]}}],
    "rotate": [{"rotate": {"degrees": 360}}],
    "scale": [{"scale": {"factor": 1}}],
    "cut": [{"cut": {"line": [[0, 20.5], [64, 20.5]], "gap": 0}}],
    "slanting cut": [{"cut": {"line": [[0, 5], [64, 40]], "gap": 0}}],
}


@pytest.fixture
def stripes() -> Tensor:
    """Columns of black and white in turns: what shrinking must average."""
    return (torch.arange(60) % 2).float().expand(48, 60)[..., None].expand(48, 60, 3) * 0.8 + 0.1


@pytest.fixture(scope="session")
def halves(fitted: Callable[..., BakedPicture], smooth: Callable[..., Tensor]) -> BakedPicture:
    """A textured dark half on the left, and a light one on the right, 64 x 48."""
    left, right = 0.5 * smooth(64, 48, seed=1, grain=3), 0.5 + 0.5 * smooth(64, 48, seed=2, grain=3)
    return fitted(torch.where(torch.arange(64)[None, :, None] < 32, left, right))


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize("kind", ["landscape", "cutout"])
def test_edits_that_change_nothing_show_nothing(
    kind: str, name: str, scale: int, request: pytest.FixtureRequest, edited: Draw, seen: Draw, psnr: Compare
) -> None:
    picture = request.getfixturevalue(kind)
    before = seen(picture, scale)
    for (word, edits), (order, mode) in product(NOTHING.items(), (("front", "piece"), ("back", "sheet"))):
        if mode == "sheet" and word == "rotate":
            continue  # what follows in part turns in part
        words = {"select": SELECTIONS[name], "order": order, **({} if "cut" in word else {"mode": mode})}
        edits = [{**words, **edit} for edit in edits]
        assert psnr(edited(picture, *edits, scale=scale), before) > 60, (word, order, mode)


@pytest.mark.parametrize("name", [name for name in SELECTIONS if "feathered" not in name])
@pytest.mark.parametrize("kind", ["landscape", "cutout"])
def test_turning_there_and_back_is_nothing(
    kind: str, name: str, request: pytest.FixtureRequest, edited: Draw, seen: Draw, psnr: Compare
) -> None:
    picture = request.getfixturevalue(kind)
    for order, mode in product(("front", "back"), ("sheet", "piece")):
        words = {"select": SELECTIONS[name], "order": order, "mode": mode}
        there, back = ({**words, "rotate": {"degrees": d}} for d in (15, -15))
        # Surroundings that give way to both turns, each told on cells of several pixels, come back to 0.1 px.
        least = 40 if mode == "sheet" and name != "all" else 60
        assert psnr(edited(picture, there, back), seen(picture)) > least, (order, mode)


def test_a_mask_selects_as_its_shape_does(landscape: BakedPicture, edited: Draw, psnr: Compare, tmp_path: Path) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[8:30, 10:40] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    by_mask, by_box = (
        edited(landscape, {"select": select, "mode": "piece", "move": {"by": [14, 9]}})
        for select in ({"mask": str(tmp_path / "mask.png")}, {"box": [10, 8, 40, 30]})
    )
    assert psnr(by_mask, by_box) > 40  # corners are rounded differently


@pytest.mark.parametrize("by", [(7, 4), (-9, 0)])
def test_moving_by_whole_pixels_moves_pixels(
    by: tuple[int, int], landscape: BakedPicture, edited: Draw, seen: Draw, psnr: Compare
) -> None:
    before, after = seen(landscape), edited(landscape, {"move": {"by": list(by)}})
    inner = slice(12, 36), slice(12, 52)
    there = slice(12 + by[1], 36 + by[1]), slice(12 + by[0], 52 + by[0])
    assert psnr(after[there], before[inner]) > 80
    columns = slice(0, by[0]) if by[0] > 0 else slice(64 + by[0], 64)
    assert after.alpha[:, columns].max() < 0.02, "what is left behind is a hole"
    shown = slice(by[0], 64) if by[0] > 0 else slice(0, 64 + by[0])
    np.testing.assert_allclose(after.alpha[by[1] :, shown], 1, atol=0.02)


def test_turning_is_counter_clockwise(landscape: BakedPicture, edited: Draw, seen: Draw, psnr: Compare) -> None:
    before, after = seen(landscape), edited(landscape, {"rotate": {"degrees": 90}})
    square = slice(2, 46), slice(10, 54)  # around the centre; the picture is 48 high
    turned = type(before)(np.rot90(before[square].rgb), np.rot90(before[square].alpha))
    assert psnr(after[square], turned) > 60


def test_what_moves_hides_what_it_covers(halves: BakedPicture, edited: Draw, seen: Draw, psnr: Compare) -> None:
    before = seen(halves)
    after = edited(halves, {"select": {"box": [0, 0, 32, 48]}, "mode": "piece", "move": {"by": [20, 0]}})
    covered = slice(0, 48), slice(20, 49)  # the part that moved, up to 3 pixels from its edge
    assert psnr(after[covered], before[slice(0, 48), slice(0, 29)]) > 45
    assert after.rgb[covered].max() < 0.5, "only the dark half shows"
    assert psnr(after[slice(0, 48), slice(55, 64)], before[slice(0, 48), slice(55, 64)]) > 60
    assert not after.alpha[:, :19].any(), "it leaves a hole"


def test_what_moves_behind_is_hidden(halves: BakedPicture, edited: Draw, seen: Draw, psnr: Compare) -> None:
    before = seen(halves)
    edit = {"select": {"box": [0, 0, 32, 48]}, "mode": "piece", "order": "back", "move": {"by": [20, 0]}}
    after = edited(halves, edit)
    right, still_seen = (slice(0, 48), slice(33, 64)), (slice(0, 48), slice(23, 31))
    assert psnr(after[right], before[right]) > 60
    assert psnr(after[still_seen], before[slice(0, 48), slice(3, 11)]) > 45
    assert not after.alpha[:, :19].any()


@pytest.mark.parametrize("order", ["front", "back"])
def test_a_small_movement_opens_no_crack(order: str, landscape: BakedPicture, edited: Draw) -> None:
    for by in (0.05, 0.3, 0.6):
        after = edited(
            landscape, {"select": {"box": [0, 0, 30.5, 48]}, "order": order, "mode": "piece", "move": {"by": [-by, 0]}}
        )
        assert after.alpha[3:-3, 3:-3].min() > 0.95, by


def test_a_small_pull_on_a_soft_selection_stretches_its_surroundings(
    landscape: BakedPicture, staged: Callable[..., Stage], seen: Draw, psnr: Compare
) -> None:
    edit = {"select": {"disc": {"center": [32, 24], "radius": 12}, "feather": 6}, "move": {"by": [2, 0]}}
    stage = staged(landscape, edit)
    assert len(stage.pieces) == 1
    before, after = seen(landscape), seen(stage.at(1.0))
    assert after.alpha.min() > 0.999
    middle = slice(22, 26), slice(30, 35)
    assert psnr(after[slice(22, 26), slice(32, 37)], before[middle]) > 60
    assert psnr(after[slice(0, 5), slice(0, 64)], before[slice(0, 5), slice(0, 64)]) > 60
    assert np.abs(np.diff(after.rgb, axis=1)).max() < 2 * np.abs(np.diff(before.rgb, axis=1)).max(), "nothing is torn"


@pytest.mark.parametrize(
    ("select", "words", "pieces"),
    [
        ({"disc": {"center": [20, 24], "radius": 10}, "feather": 6}, {}, 1),
        ({"union": [{"box": [4, 4, 20, 20]}, {"polygon": [[4, 4], [30, 4], [20, 30]]}]}, {}, 1),
        ({"minus": [{"box": [4, 4, 30, 30]}, {"disc": {"center": [20, 24], "radius": 5}}]}, {"mode": "sheet"}, 1),
        ({"disc": {"center": [20, 24], "radius": 10}, "feather": 6}, {"mode": "piece"}, 2),
        ({"mask": "mask.png"}, {}, 2),
        ({"mask": "mask.png"}, {"mode": "sheet"}, 1),
        ({"union": [{"mask": "mask.png"}, {"box": [4, 4, 20, 20]}]}, {}, 2),
        ({"box": [4, 4, 30, 30]}, {"cut": {"line": [[15, 0], [16, 40]], "gap": 2}}, 3),
    ],
)
def test_what_is_cut_out(
    select: dict[str, Any],
    words: dict[str, Any],
    pieces: int,
    landscape: BakedPicture,
    staged: Callable[..., Stage],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Regions stay a part of the sheet, painted outlines and what is cut in two do not, unless the script says it."""
    mask = np.zeros((48, 64), np.uint8)
    mask[8:30, 10:40] = 255
    monkeypatch.chdir(tmp_path)
    Image.fromarray(mask).save("mask.png")
    for by in (1, 25):
        assert len(staged(landscape, {"select": select, "move": {"by": [by, 0]}, **words}).pieces) == pieces


def test_a_twirl_within_its_selection_cuts_nothing(landscape: BakedPicture, staged: Callable[..., Stage]) -> None:
    for select in ({"disc": {"center": [30, 24], "radius": 16}}, {"box": [10, 8, 50, 40]}):
        assert len(staged(landscape, {"select": select, "twirl": {"degrees": 90}}).pieces) == 1


def test_edits_of_one_selection_move_one_piece(
    landscape: BakedPicture, staged: Callable[..., Stage], seen: Draw, psnr: Compare
) -> None:
    box = {"box": [10, 10, 30, 30]}
    steps = staged(landscape, *({"select": box, "mode": "piece", "move": {"by": by}} for by in ([20, 0], [-5, 8])))
    once = staged(landscape, {"select": box, "mode": "piece", "move": {"by": [15, 8]}})
    assert len(steps.pieces) == len(once.pieces) == 2
    assert psnr(seen(steps.at(1.0)), seen(once.at(1.0))) > 60


def test_a_part_of_what_moved_moves_on_with_it(
    landscape: BakedPicture, edited: Draw, seen: Draw, psnr: Compare
) -> None:
    """A selection says what was there in the picture as it was fitted, wherever that has gone."""
    whole, part = {"box": [8, 8, 32, 40]}, {"box": [12, 12, 20, 20]}
    edits = [{"select": whole, "move": {"by": [24, 0]}}, {"select": part, "move": {"by": [0, 18]}}]
    edits = [{**edit, "mode": "piece"} for edit in edits]
    after, before = edited(landscape, *edits), seen(landscape)
    assert psnr(after[slice(31, 37), slice(37, 43)], before[slice(13, 19), slice(13, 19)]) > 45
    left_behind = slice(14, 18), slice(38, 42)
    assert psnr(after[left_behind], before[left_behind]) > 60, "through the hole, what lies under the moved part shows"


def test_a_cut_leaves_a_gap_and_no_smear(landscape: BakedPicture, edited: Draw, seen: Draw, psnr: Compare) -> None:
    after, before = edited(landscape, {"cut": {"line": [[0, 24], [64, 24]], "gap": 10}}), seen(landscape)
    assert not after.alpha[20:28].any()
    wide = slice(2, 62)
    assert psnr(after[slice(0, 18), wide], before[slice(5, 23), wide]) > 60
    assert psnr(after[slice(30, 48), wide], before[slice(25, 43), wide]) > 60


def test_a_gap_in_a_part_of_the_picture(landscape: BakedPicture, edited: Draw) -> None:
    box = {"box": [10, 10, 50, 38]}
    after = edited(landscape, {"select": box, "cut": {"line": [[30, 0], [30, 48]], "gap": 6}})
    assert after.alpha[14:34, 28:32].max() < 0.01
    np.testing.assert_allclose(after.alpha[:6], 1, atol=1e-3)


@pytest.mark.parametrize("factor", [3, [3, 1]])
def test_stretching_leaves_no_hole(
    factor: Any, landscape: BakedPicture, edited: Draw, seen: Draw, psnr: Compare
) -> None:
    after = edited(landscape, {"scale": {"factor": factor}})
    np.testing.assert_allclose(after.alpha, 1, atol=1e-4)
    if factor == 3:
        assert psnr(after, seen(landscape, 3, (64 / 3, 16, 128 / 3, 32))) > 40


def test_shrinking_averages(fitted: Callable[..., BakedPicture], stripes: Tensor, edited: Draw) -> None:
    after = edited(fitted(stripes), {"scale": {"factor": [1 / 3, 1]}})
    shown = after.rgb[4:-4, 22:38]
    assert np.abs(shown - 0.5).max() < 0.16, "three columns a pixel: a third more of one than of the other, at most"
    even = edited(fitted(stripes), {"scale": {"factor": [1 / 4, 1]}}).rgb[4:-4, 24:36]
    np.testing.assert_allclose(even, 0.5, atol=0.03)


def test_soft_edges_stay_soft_and_solid_parts_solid(
    cutout: BakedPicture, edited: Draw, seen: Draw, psnr: Compare
) -> None:
    before = seen(cutout)
    y, x = np.mgrid[:48, :48] + 0.5
    distance = np.hypot(x - 24, y - 24)
    for edit in ({"rotate": {"degrees": 30}}, {"scale": {"factor": 1.5}}):
        after = edited(cutout, edit)
        radius = 15 * edit.get("scale", {"factor": 1})["factor"]
        assert after.alpha[distance < radius - 3].min() > 0.98
        assert after.alpha[distance > radius + 3].max(initial=0) < 0.02
        assert ((after.alpha > 0.2) & (after.alpha < 0.8)).sum() > 20
    assert psnr(before[12:36, 12:36], before[12:36, 12:36]) > 60
    moved = edited(cutout, {"move": {"by": [5, 3]}})
    np.testing.assert_allclose(moved.alpha[3:, 5:], before.alpha[:-3, :-5], atol=2 / 255)


def test_a_black_object_stays_visible(fitted: Callable[..., BakedPicture], edited: Draw) -> None:
    opacity = torch.zeros(32, 40)
    opacity[8:24, 6:22] = 1
    after = edited(fitted(torch.zeros(32, 40, 3), opacity), {"move": {"by": [10, 2]}})
    assert after.alpha[11:25, 17:31].min() > 0.999
    assert after.rgb[11:25, 17:31].max() < 1 / 255
    assert not after.alpha[:, :14].any()


def test_further_pictures_lie_where_they_are_placed(
    landscape: BakedPicture, cutout: BakedPicture, staged: Callable[..., Stage], seen: Draw, psnr: Compare
) -> None:
    def with_layer(*edits: dict[str, Any], **words: Any) -> Any:
        layer = {"picture": "disc.safetensors", "place": [10, -4], "scale": 1, **words}
        stage = staged(landscape, *edits, pictures={"disc": cutout}, layers={"disc": layer})
        return seen(stage.at(1.0))

    before, disc = seen(landscape), seen(cutout)
    front = with_layer()
    middle = slice(12, 28), slice(26, 42)
    assert psnr(front[middle], disc[slice(16, 32), slice(16, 32)]) > 60
    assert psnr(front[slice(0, 48), slice(0, 14)], before[slice(0, 48), slice(0, 14)]) > 60
    assert psnr(with_layer(order="back"), before) > 60, "the main picture hides it"
    double = with_layer(scale=2, place=[-16, -24])
    assert psnr(double[slice(14, 34), slice(22, 42)], seen(cutout, 2)[slice(38, 58), slice(38, 58)]) > 60
    moved = with_layer({"layer": "disc", "move": {"by": [8, 0]}})
    assert psnr(moved[slice(12, 28), slice(34, 50)], disc[slice(16, 32), slice(16, 32)]) > 60
    away = with_layer({"select": {"box": [0, 0, 64, 48]}, "move": {"by": [200, 0]}})
    assert psnr(away[middle], front[middle]) > 60, "edits of the main picture leave layers alone"


def test_a_selection_is_checked_against_the_layer_it_is_in(
    landscape: BakedPicture, cutout: BakedPicture, staged: Callable[..., Stage]
) -> None:
    edit = {"layer": "disc", "select": {"box": [50, 0, 60, 10]}, "move": {"by": [1, 0]}}  # the layer is 48 wide
    with pytest.raises(GainerError, match="48"):
        staged(landscape, edit, pictures={"disc": cutout}, layers={"disc": {"picture": "disc.safetensors"}})


def test_in_the_course_of_a_film(
    landscape: BakedPicture, staged: Callable[..., Stage], seen: Draw, psnr: Compare
) -> None:
    select = {"box": [10, 10, 30, 30]}
    keyframes = {0: 0.0, 0.5: 1.0, 1: 0.0}
    words = {"select": select, "mode": "piece"}
    stage = staged(landscape, {**words, "move": {"by": [20, 0]}, "keyframes": keyframes, "easing": "linear"})
    still = staged(landscape, {**words, "move": {"by": [10, 0]}})
    before = seen(landscape)
    assert psnr(seen(stage.at(0.0)), before) > 60
    assert psnr(seen(stage.at(1.0)), before) > 60
    assert psnr(seen(stage.at(0.25)), seen(still.at(1.0))) > 60
    assert psnr(seen(stage.at(0.5)), before) < 30


def test_what_does_not_change_is_not_posed_again(landscape: BakedPicture, staged: Callable[..., Stage]) -> None:
    first, second = {"box": [4, 4, 20, 20]}, {"box": [36, 24, 56, 44]}
    stage = staged(
        landscape,
        {"select": first, "mode": "piece", "move": {"by": [10, 0]}, "keyframes": {0: 0.0, 0.5: 1.0}},
        {"select": second, "mode": "piece", "move": {"by": [0, -10]}, "keyframes": {0: 1.0}},
    )
    start, middle, end, later = (stage.at(t) for t in (0.1, 0.4, 0.6, 1.0))
    assert all(one is other for one, other in zip(end.layers, later.layers, strict=True))
    same = [one is other for one, other in zip(start.layers, middle.layers, strict=True)]
    assert same.count(True) == 1, "what the second edit holds still; the two others change: one moves, one is uncovered"


@pytest.mark.parametrize("mode", ["sheet", "piece"])
@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize("kind", ["landscape", "cutout"])
def test_a_stage_that_follows_shows_what_a_new_one_would(
    kind: str, name: str, mode: str, request: pytest.FixtureRequest, staged: Callable[..., Stage]
) -> None:
    picture = request.getfixturevalue(kind)
    first = {"select": {"box": [4, 4, 50, 30]}, "mode": mode, "move": {"by": [1, 2]}}
    moves = (
        {"move": {"by": [3, 2]}},
        {"rotate": {"degrees": 20}},
        {"move": {"by": [0.5, 0]}, "scale": {"factor": 0.9}},
    )
    words = {"select": SELECTIONS[name], "mode": mode}
    stages = [staged(picture, first, {**words, **move}) for move in moves]
    followed = False
    for new in (*stages[1:], stages[0], stages[1]):
        stage = staged(picture, first, {**words, "move": {"by": [3, 2]}})
        stage.at(1.0)
        follows = stage.follow(new.script)
        followed |= follows
        for t in (1.0, 0.5) if follows else ():
            for one, other in zip(stage.at(t).raster(), new.at(t).raster(), strict=True):
                assert torch.equal(one, other)
    assert followed


def test_nothing_is_done_anew_for_each_pixel_while_a_hand_drags(
    landscape: BakedPicture, staged: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    def moved(by: float) -> dict[str, Any]:
        return {"select": {"box": [20, 10, 40, 30]}, "mode": "piece", "move": {"by": [by, 0]}}

    stage = staged(landscape, moved(5))
    before = stage.at(1.0)
    looked_at: list[Any] = []
    monkeypatch.setattr(Piece, "_own_pixels", property(looked_at.append))
    assert stage.follow(staged(landscape, moved(9)).script)
    looked_at.clear()  # what the other stage asked for
    after = stage.at(1.0)
    assert not looked_at and len(before.layers) == len(after.layers) == 2
    for one, other in zip(before.layers, after.layers, strict=True):
        assert one.presence.field is other.presence.field  # pyright: ignore


def test_a_stage_follows_only_what_it_need_not_cut_for(landscape: BakedPicture, staged: Callable[..., Stage]) -> None:
    box, move = {"box": [10, 8, 40, 30]}, {"move": {"by": [3, 2]}}
    stage = staged(landscape, {"select": box, **move})
    before = stage.at(1.0).raster()[0]
    for edits in (
        [{"select": {"box": [10, 8, 40, 31]}, **move}],
        [{"select": box, **move, "order": "back"}],
        [{"select": box, "cut": {"line": [[0, 20], [64, 20]], "gap": 4}}],
        [{"select": box, **move}, {"select": box, **move}],
        [{"select": box, **move, "mode": "piece"}],
    ):
        assert not stage.follow(staged(landscape, *edits).script)
        assert torch.equal(stage.at(1.0).raster()[0], before)
    assert stage.follow(staged(landscape, {"select": box, "move": {"by": [40, 2]}}).script)


def test_the_hole_is_what_was_cut_out(landscape: BakedPicture, staged: Callable[..., Stage]) -> None:
    edit = {"select": {"box": [10, 12, 30, 32]}, "mode": "piece", "move": {"by": [25, 0]}}
    hole = staged(landscape, edit).hole()
    assert bool(hole[12:32, 10:30].all()) and 400 <= int(hole.sum()) < 500
    assert not bool(staged(landscape, {"rotate": {"degrees": 20}}).hole().any())


def test_the_canvas_may_reach_beyond_the_picture(
    landscape: BakedPicture, edited: Draw, seen: Draw, psnr: Compare
) -> None:
    after = edited(landscape, {"move": {"by": [-10, -6]}}, crop=(-20, -12, 64, 48))
    assert after.alpha.shape == (60, 84)
    assert psnr(after[slice(7, 53), slice(11, 73)], seen(landscape)[slice(1, 47), slice(1, 63)]) > 60
    assert not after.alpha[:5].any() and not after.alpha[:, 75:].any()


@pytest.mark.slow
def test_memory_stays_flat(landscape: BakedPicture, staged: Callable[..., Stage]) -> None:
    edits = [
        {"select": {"disc": {"center": [20, 24], "radius": 10}, "feather": 6}, "move": {"by": [25, 0]}},
        {"select": {"box": [30, 10, 60, 40]}, "rotate": {"degrees": 50}},
        {"bend": {"degrees": 40, "axis": [[0, 24], [64, 24]]}},
    ]
    stage, process, used = staged(landscape, *edits), psutil.Process(), []
    for number in range(120):
        stage.at(number / 119).raster()
        gc.collect()
        used.append(process.memory_info().rss)
    assert max(used[60:]) - max(used[20:60]) < 4 << 20


def test_a_frame_that_opens_is_told_of(
    fitted: Callable[..., BakedPicture], staged: Callable[..., Stage], caplog: pytest.LogCaptureFixture
) -> None:
    photo, box = fitted(torch.rand(40, 60, 3)), {"box": [20, 12, 40, 28]}
    for select, words in (({**box, "feather": 10}, {}), (box, {"background": {"color": "red"}}), ("all", {})):
        staged(photo, {"select": select, "rotate": {"degrees": 20}}, **words)
    assert not [record for record in caplog.records if "frame" in record.message]
    staged(photo, {"select": box, "rotate": {"degrees": 60}})
    assert "edits[0]: pulls the picture's frame in; feather: 10 keeps the frame, background:" in caplog.text


def test_joints_far_outside_are_told_of(
    fitted: Callable[..., BakedPicture], staged: Callable[..., Stage], caplog: pytest.LogCaptureFixture
) -> None:
    joints = {"hip": [5, 5], "knee": [20, 30], "hand": [-20, 5], "toe": [20, 300]}
    bones = {"thigh": ["hip", "knee"], "arm": ["hip", "hand"], "foot": ["knee", "toe"]}
    staged(fitted(torch.rand(40, 60, 3)), {"rig": {"joints": joints, "bones": bones, "pose": {"thigh": 5}}})
    assert caplog.messages == ["edits[0].rig.joints: toe lies far outside the picture, which is 60 x 40 pixels"]
