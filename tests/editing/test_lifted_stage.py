from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from gainer_ns.editing.lifted_stage import LiftedStage
from gainer_ns.editing.script import Script
from gainer_ns.errors import GainerError
from gainer_ns.lifting.midst import pixels_in_midst
from gainer_ns.lifting.scene import LiftedScene

Make = Callable[..., LiftedScene]
BOX = {"box": [16, 12, 32, 24]}


def staged(scene: LiftedScene, *edits: dict[str, Any]) -> LiftedStage:
    return LiftedStage(Script.model_validate({"edits": list(edits)}), scene)


def drawn(scene: LiftedScene, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    rgb, alpha = scene.raster(scale)
    return rgb, alpha[..., 0]


def edited(scene: LiftedScene, *edits: dict[str, Any], t: float = 1.0, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    return drawn(staged(scene, *edits).at(t), scale)


@pytest.mark.parametrize(
    "edit",
    [
        {"select": BOX, "move": {"by": [0, 0]}},
        {"select": BOX, "rotate": {"degrees": 360, "axis": "y"}},
        {"select": {**BOX, "feather": 6}, "scale": {"factor": 1}},
        {"bend": {"degrees": 0, "axis": [[0, 18], [48, 18]], "about": "y"}},
        {"select": BOX, "move": {"by": [9, 9, 9]}, "keyframes": {"0": 0, "1": 0}},
    ],
)
def test_an_edit_that_does_nothing_changes_no_bit(edit: dict[str, Any], lifted_scene: Make) -> None:
    scene = lifted_scene((0.8, 1.2), (16, 12, 32, 24))
    edit = {**edit, "keyframes": {float(t): a for t, a in edit["keyframes"].items()}} if "keyframes" in edit else edit
    for before, after in zip(drawn(scene), edited(scene, edit), strict=True):
        assert torch.equal(before, after)


def test_a_piece_moves_by_pixels_and_leaves_a_hole(lifted_scene: Make) -> None:
    scene = lifted_scene()
    before, _ = drawn(scene)
    after, alpha = edited(scene, {"select": BOX, "mode": "piece", "move": {"by": [10, -5, 0.01]}})
    torch.testing.assert_close(after[9:17, 28:40], before[14:22, 18:30], atol=2e-3, rtol=0)
    hole = alpha[18:22, 18:25]
    assert float(hole.max()) < 1e-3 and float(alpha[:6].min()) > 0.999
    torch.testing.assert_close(after[28:, :], before[28:, :], atol=1e-6, rtol=0)


@pytest.mark.parametrize("select", [BOX, {**BOX, "feather": 8}, "all"], ids=["hard", "soft", "all"])
def test_a_stage_that_follows_shows_what_a_new_one_would(select: Any, lifted_scene: Make) -> None:
    scene = lifted_scene((0.8, 1.2), (16, 12, 32, 24))
    moves = ({"move": {"by": [1, 0.5, 0]}}, {"rotate": {"degrees": 3, "axis": "y"}}, {"move": {"by": [1.5, 0.5, 0.5]}})
    stage = staged(scene, {"select": select, **moves[0]})
    stage.at(1.0)
    for move in moves[1:]:
        new = staged(scene, {"select": select, **move})
        assert stage.follow(new.script)
        for one, other in zip(drawn(stage.at(1.0)), drawn(new.at(1.0)), strict=True):
            assert torch.equal(one, other)
    for edit in ({"select": {"box": [16, 12, 32, 25]}, **moves[0]}, {"select": select, **moves[0], "layer": "object"}):
        assert not stage.follow(staged(scene, edit).script)


def test_what_comes_nearer_looks_larger(lifted_scene: Make) -> None:
    scene = lifted_scene((1.0,), (16, 12, 32, 24))
    _, before = drawn(scene)
    _, after = edited(scene, {"move": {"by": [0, 0, 30]}})  # half of the 60 pixels that it is away
    assert float(after.sum()) == pytest.approx(4 * float(before.sum()), rel=0.12)


def test_an_edge_that_was_cut_is_a_pixel_wide(lifted_scene: Make) -> None:
    scene = lifted_scene()
    disc = {"disc": {"center": [24, 18], "radius": 9}}
    moved = staged(scene, {"select": disc, "mode": "piece", "move": {"by": [0, 0, -0.01]}}).at(1.0)
    assert float(drawn(moved)[1].min()) > 0.99, "no seam where nothing has moved away"
    (piece,) = (layer for layer in moved.layers if len(layer.gaussians) < 1000)
    _, alpha = drawn(LiftedScene(scene.camera, (piece,), 1.0, True), 8.0)
    assert float(alpha.mean() * 48 * 36) == pytest.approx(3.1416 * 81, rel=0.02)
    y, x = torch.meshgrid((torch.arange(36 * 8) + 0.5) / 8, (torch.arange(48 * 8) + 0.5) / 8, indexing="ij")
    inside = 9 - torch.hypot(x - 24, y - 18)
    assert float(alpha[inside > 1].min()) > 0.99 and float(alpha[inside < -1].max()) < 0.01


def test_colours_right_beside_a_cut_are_the_photos(lifted_scene: Make) -> None:
    scene = lifted_scene()
    before, _ = drawn(scene)
    after, alpha = edited(scene, {"select": BOX, "move": {"by": [0, 0, 0.05]}})
    torch.testing.assert_close(after, before, atol=0.02, rtol=0)
    assert float(alpha.min()) > 0.99


def test_an_object_moves_with_its_rim_and_the_background_stays(lifted_scene: Make) -> None:
    scene = lifted_scene((0.8, 1.2), (16, 12, 32, 24))
    (before, _), (after, alpha) = drawn(scene), edited(scene, {"select": BOX, "move": {"by": [10, 0]}})
    torch.testing.assert_close(after[14:22, 28:40], before[14:22, 18:30], atol=2e-3, rtol=0)
    assert float(alpha.min()) > 0.999, "behind the object is the background"
    behind, _ = drawn(LiftedScene(scene.camera, scene.layers[1:], 1.0, True))
    torch.testing.assert_close(after[13:23, 17:25], behind[13:23, 17:25], atol=1e-4, rtol=0)


def test_the_background_moves_alone_with_what_is_hidden(lifted_scene: Make) -> None:
    scene = lifted_scene((0.8, 1.2), (16, 12, 32, 24))
    before, _ = drawn(scene)
    after, _ = edited(scene, {"layer": "background", "move": {"by": [12, 0]}})
    torch.testing.assert_close(after[14:22, 18:30], before[14:22, 18:30], atol=2e-3, rtol=0)
    torch.testing.assert_close(after[2:10, 14:40], before[2:10, 2:28], atol=2e-3, rtol=0)
    shown, _ = edited(scene, {"select": {"minus": ["all", BOX]}, "mode": "piece", "move": {"by": [12, 0]}})
    assert float((shown[2:10, 14:40] - after[2:10, 14:40]).abs().max()) < 2e-3, "what the photo shows moves alike"


@pytest.mark.parametrize("feather", [0, 12])
def test_a_region_pulls_its_surroundings_along(feather: float, lifted_scene: Make) -> None:
    scene = lifted_scene()
    select = {"box": [18, 14, 28, 22], **({"feather": feather} if feather else {})}
    (before, _), (after, alpha) = drawn(scene), edited(scene, {"select": select, "move": {"by": [3, 0]}})
    assert float(alpha[:, 1:].min()) > 0.99, "nothing tears"
    torch.testing.assert_close(after[:, :2], before[:, :2], atol=1e-3, rtol=0)
    torch.testing.assert_close(after[17:19, 24:28], before[17:19, 21:25], atol=5e-3, rtol=0)
    cut = edited(scene, {"select": BOX, "move": {"by": [3, 0]}, "mode": "piece"})[1]
    assert float(cut.min()) < 0.1, "but a piece leaves a hole"


def stepped(scene: LiftedScene) -> LiftedScene:
    """What is right of the middle, three tenths nearer: a depth edge within one layer."""
    (layer,) = scene.layers
    nearer = layer.pixels % scene.camera.width >= scene.camera.width // 2
    factor = torch.where(nearer, 0.7, 1.0)[:, None]
    eye = torch.tensor([0.0, 0.0, 1.0])
    means = eye + factor * (layer.gaussians.means - eye)
    moved = layer.gaussians.transformed(means, factor[..., None] * torch.eye(3))
    return replace(scene, layers=(layer.moved(moved),))


def test_across_a_depth_edge_nothing_follows(lifted_scene: Make) -> None:
    scene = stepped(lifted_scene())
    stage = staged(scene, {"select": {"box": [12, 10, 24, 26]}, "move": {"by": [-3, 1]}})
    (piece,) = stage.pieces
    away = (piece.discs_after(stage.ends).points - piece.layer.gaussians.means).norm(dim=1).view(36, 48)
    pixel = 1 / 60
    assert float(away[18, 18]) == pytest.approx(10**0.5 * pixel, rel=0.01)
    assert float(away[18, 10]) > pixel and float(away[7, 18]) > pixel / 2, "on its own surface what is near follows"
    assert float(away[:, 24:].max()) < 0.02 * pixel, "what lies before it does not"


@pytest.mark.parametrize("word", ["pins", "rig"])
def test_pins_and_bones_go_where_the_photo_would_show_them(word: str, lifted_scene: Make) -> None:
    scene = stepped(lifted_scene())
    joints = {"a": [8, 18], "b": [16, 18], "c": [22, 18]}
    rig = {"joints": joints, "bones": {"one": ["a", "b"], "two": ["b", "c"]}, "pose": {"two": 20}}
    pins = [{"at": [16.5, 18.5], "to": [15, 16]}, {"at": [4.5, 30.5]}, {"at": [40.5, 18.5]}, {"at": [30.5, 8.5]}]
    stage = staged(scene, {"rig": rig} if word == "rig" else {"pins": pins})
    (piece,) = stage.pieces
    there = piece.discs_after(stage.ends)
    seen, _ = scene.camera.project(there.points - torch.tensor([0, 0, 1.0]))
    if word == "pins":
        for pin in pins:
            x, y = pin["at"]
            found = seen[int(y) * 48 + int(x)]
            torch.testing.assert_close(found, torch.tensor(pin.get("to", pin["at"])).double(), atol=0.1, rtol=0)
        near = stage.at(1.0).raster()[1][6:30, 30:42]
        assert float(near.min()) > 0.98, "nothing tears on the part that lies before"
    torch.testing.assert_close(there.points[:, 2], piece.layer.gaussians.means[:, 2].double())
    assert float((seen - piece.layer.pixel_centres(48)).norm(dim=1).max()) > 2


def test_pins_of_a_region_that_is_not_cut_out_are_refused(lifted_scene: Make) -> None:
    with pytest.raises(GainerError, match=r"edits\[0\].select: pins and rig move all of a lifted photo"):
        staged(lifted_scene(), {"select": BOX, "pins": [{"at": [20, 18], "to": [24, 18]}]})


def test_edits_of_the_same_selection_move_the_same_piece(lifted_scene: Make) -> None:
    scene = lifted_scene()
    box = {"select": BOX, "mode": "piece"}
    twice = staged(scene, {**box, "move": {"by": [4, 0]}}, {**box, "move": {"by": [4, 0]}})
    assert len(twice.pieces) == 2
    for one, other in zip(drawn(twice.at(1.0)), edited(scene, {**box, "move": {"by": [8, 0]}}), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


def test_a_turned_piece_shows_its_side(lifted_scene: Make) -> None:
    scene = lifted_scene((1.0,), (16, 12, 32, 24))
    alphas = [edited(scene, {"rotate": {"degrees": degrees, "axis": "y"}})[1] for degrees in (0, 60, -60)]
    widths = [float(alpha[18].sum()) for alpha in alphas]
    assert widths[1] == pytest.approx(widths[0] / 2, abs=1.5)
    sides = [float(alpha[:, 24:].sum() - alpha[:, :24].sum()) for alpha in alphas]
    assert sides[1] > 5 > -5 > sides[2], "the right side comes nearer, or goes farther away"


def test_what_was_not_lifted_cannot_be_selected(lifted_scene: Make) -> None:
    scene = lifted_scene((1.0,), (16, 12, 32, 24))
    with pytest.raises(GainerError, match=r"edits\[0\].select: selects nothing that was lifted"):
        staged(scene, {"select": {"box": [0, 0, 10, 10]}, "move": {"by": [1, 1]}})


def test_a_cut_parts_what_it_selects_along_its_line(lifted_scene: Make) -> None:
    """Each half moves as a whole, and what lay in between is a hole."""
    scene = lifted_scene()
    before, _ = drawn(scene)
    after, alpha = edited(scene, {"cut": {"line": [[24, 0], [24, 36]], "gap": 8}})
    torch.testing.assert_close(after[4:32, 6:18], before[4:32, 10:22], atol=2e-3, rtol=0)
    torch.testing.assert_close(after[4:32, 30:42], before[4:32, 26:38], atol=2e-3, rtol=0)
    assert float(alpha[4:32, 22:26].max()) < 1e-3
    assert float(alpha[4:32, 6:18].min()) > 0.999 and float(alpha[4:32, 30:42].min()) > 0.999


@pytest.mark.parametrize(
    "operation",
    [
        {"mirror": "horizontal"},
        {"stretch": {"factor": 1.4, "axis": [[0, 18], [48, 18]]}},
        {"twirl": {"degrees": 60}},
        {"wave": {"amplitude": 2, "period": 20}},
        {"perspective": {"corners": [[14, 11], [35, 10], [33, 26], [15, 25]]}},
        {"drag": {"handles": [{"from": [24, 18], "to": [26, 19]}], "fixed": [[18, 14]]}},
        {"lattice": {"offsets": [[[0, 0], [2, 1]], [[1, 0], [0, 2]]]}},
    ],
    ids=lambda operation: next(iter(operation)),
)
def test_words_of_the_plane_move_what_is_selected(operation: dict[str, Any], lifted_scene: Make) -> None:
    """As in the picture: a front that fills its selection looks as the flat picture does after the same edit."""
    scene = lifted_scene((1.0,), (0, 0, 48, 36))
    before, _ = drawn(scene)
    after, alpha = edited(scene, {"select": "all", **operation})
    assert bool(after.isfinite().all())
    assert float(((after - before).abs().amax(dim=2) > 0.02).float().mean()) > 0.1
    assert float(alpha[12:24, 16:32].min()) > 0.99


def seen_object(scene: LiftedScene, number: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what is nearer than the wall, as one of several photos would show it."""
    view = scene.views[number]
    seen = scene.seen_by(view, torch.zeros(3))
    assert float(seen["accumulation"].min()) > 0.99, "a hole"
    near = (seen["median_depth"].view(view.camera.height, view.camera.width) < 1).nonzero()
    (top, left), (bottom, right) = near.amin(dim=0).tolist(), (near.amax(dim=0) + 1).tolist()
    return left, top, right, bottom


@pytest.mark.parametrize(
    ("edit", "moved"),
    [
        ({"select": BOX, "mode": "piece", "move": {"by": [10, -4]}}, (26, 8, 42, 20)),
        ({"layer": "object", "move": {"by": [-5, 6]}}, (11, 18, 27, 30)),
        ({"layer": "object", "rotate": {"degrees": 90, "center": [24, 18]}}, (18, 10, 30, 26)),
    ],
)
def test_what_several_photos_show_moves_alike_in_all(
    edit: dict[str, Any], moved: tuple[int, int, int, int], joined_scene: Make
) -> None:
    scene = joined_scene()
    after = staged(scene, edit).at(1.0)
    assert seen_object(scene, 0) == (16, 12, 32, 24) and seen_object(scene, 1) == (10, 12, 26, 24)
    left, top, right, bottom = moved
    for number, parallax in enumerate((0, 6)):
        wanted = left - parallax, top, right - parallax, bottom
        assert max(abs(a - b) for a, b in zip(seen_object(after, number), wanted, strict=True)) <= 1


def test_what_only_one_photo_shows_goes_with_what_is_next_to_it(joined_scene: Make) -> None:
    """Each disc goes by where the first photo shows its surface, though something else hides it there."""
    scene = joined_scene()
    for layer, rank, pixels in zip(scene.layers, scene.ranks, pixels_in_midst(scene), strict=True):
        seen, _ = scene.camera.project(layer.gaussians.means - torch.tensor([0, 0, 1.0]))
        if rank == 0:
            solid = layer.opacities > 0.9
            torch.testing.assert_close(pixels[solid], seen[solid], atol=0.01, rtol=0)
            continue
        x, y = pixels.unbind(dim=1)
        behind = (x > 17) & (x < 31) & (y > 13) & (y < 23)
        assert not bool(behind.any()) or layer.view == 0, "the wall behind the object is the wall beside it"
        assert float((pixels - seen).norm(dim=1).max()) < 20


def test_of_several_photos_what_follows_in_part_is_refused(joined_scene: Make) -> None:
    with pytest.raises(GainerError, match=r"edits\[0\]\.select: .*this scene has several; write mode: piece"):
        staged(joined_scene(), {"select": {"disc": {"center": [24, 18], "radius": 4}}, "move": {"by": [2, 0]}})
