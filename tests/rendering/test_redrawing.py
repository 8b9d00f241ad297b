"""Frames of which only what has changed is drawn anew."""

from typing import Any

import pytest
import torch
from torch import Tensor

import gainer_ns as gn
from gainer_ns.editing.script import Script
from gainer_ns.editing.stage import Stage
from gainer_ns.gaussians.footprints import PixelExtent
from gainer_ns.motion.rest_map import PointRows
from gainer_ns.rendering.changes import changed_bounds
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.raster import RasterGrid
from gainer_ns.rendering.redrawing import Redrawer
from gainer_ns.rendering.windows import Window

WIDTH, HEIGHT = 200, 120
DISC = {"disc": {"center": [60, 50], "radius": 15}}
SCRIPTS: dict[str, list[dict[str, Any]]] = {
    "moved disc": [{"select": DISC, "mode": "piece", "move": {"by": [70, 20]}}],
    "behind": [{"select": DISC, "mode": "piece", "move": {"by": [70, 20]}, "order": "back"}],
    "waits, then moves": [{"select": DISC, "mode": "piece", "move": {"by": [30, 0]}, "keyframes": {0.5: 0, 1: 1}}],
    "soft disc": [{"select": {**DISC, "feather": 12}, "rotate": {"degrees": 40}}],
    "torn soft disc": [{"select": {**DISC, "feather": 12}, "move": {"by": [60, 0]}}],
    "torn soft disc that changes its order": [
        {"select": {**DISC, "feather": 12}, "move": {"by": [60, 0]}, "order": {0: 1, 1: -1}, "keyframes": {0: 1, 1: 1}}
    ],
    "turned half": [{"select": {"box": [0, 0, 100, 120]}, "rotate": {"degrees": 20}}],
    "shrunk disc": [{"select": DISC, "scale": {"factor": 0.4}}],
    "two discs": [
        {"select": DISC, "mode": "piece", "move": {"by": [20, 0]}},
        {"select": {"disc": {"center": [150, 80], "radius": 12}}, "mode": "piece", "move": {"by": [0, -30]}},
    ],
    "cut": [{"cut": {"line": [[100, 0], [110, 120]], "gap": 12}}],
    "all of it": [{"rotate": {"degrees": 10}}],
}


@pytest.fixture(scope="module")
def picture() -> BakedPicture:
    coarse = torch.rand(1, 3, HEIGHT // 6, WIDTH // 6, generator=torch.Generator().manual_seed(1))
    colours = torch.nn.functional.interpolate(coarse, size=(HEIGHT, WIDTH), mode="bicubic")[0].permute(1, 2, 0)
    drawn = gn.fit(colours.clamp(0, 1).numpy())._drawn
    assert isinstance(drawn, BakedPicture)
    return drawn


def premultiplied(drawn: tuple[Tensor, Tensor]) -> Tensor:
    return torch.cat([drawn[0] * drawn[1], drawn[1]], dim=2)


def staged(picture: BakedPicture, name: str) -> Stage:
    return Stage(Script.model_validate({"edits": SCRIPTS[name]}), picture)


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize(("scale", "crop"), [(1.0, None), (1.7, (-20, 10, 170.3, 110)), (0.3, None)])
def test_a_redrawn_frame_is_as_one_drawn_alone(
    name: str, scale: float, crop: tuple[float, float, float, float] | None, picture: BakedPicture
) -> None:
    stage, redrawer = staged(picture, name), Redrawer()
    for t in (0.0, 0.02, 0.05, 0.4, 0.5, 0.55, 1.0, 1.0, 0.2):
        found = premultiplied(redrawer.raster(stage.at(t), scale, crop))
        expected = premultiplied(stage.at(t).raster(scale, crop))
        # Positions within tiles may differ by 0.01 pixels: far less than what any frame left behind would show.
        assert (found - expected).abs().max() < 2.5 / 255


@pytest.mark.parametrize("name", ["moved disc", "soft disc", "two discs", "waits, then moves"])
def test_little_is_painted_of_what_little_changes(
    name: str, picture: BakedPicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted: list[int] = []
    paint = BakedPicture.paint

    def counting(self: BakedPicture, grid: RasterGrid, window: Window, *rest: Any) -> None:
        painted.append(window.size)
        paint(self, grid, window, *rest)

    monkeypatch.setattr(BakedPicture, "paint", counting)
    stage, redrawer = staged(picture, name), Redrawer()
    for number in range(11):
        redrawer.raster(stage.at(number / 10))
    # A frame with more pieces than the one before, or with a finer grid, is drawn as a whole.
    assert painted[0] == WIDTH * HEIGHT and sorted(painted[1:])[len(painted) // 2] < 0.6 * WIDTH * HEIGHT
    if name == "waits, then moves":  # what stands still is not drawn at all
        assert len(painted) == 1 + 5


def test_a_kept_frame_does_not_change(picture: BakedPicture) -> None:
    stage, redrawer = staged(picture, "moved disc"), Redrawer()
    first = redrawer.raster(stage.at(0.5))
    before = premultiplied(first).clone()
    redrawer.raster(stage.at(1.0))
    assert torch.equal(premultiplied(first), before)


def test_other_pictures_and_grids_are_drawn_anew(picture: BakedPicture) -> None:
    stage, redrawer = staged(picture, "moved disc"), Redrawer()
    redrawer.raster(stage.at(0.5))
    assert redrawer.raster(stage.at(0.5), 2.0)[0].shape == (2 * HEIGHT, 2 * WIDTH, 3)
    assert redrawer.raster(stage.at(0.5), 2.0, (0, 0, 50, 50))[0].shape == (100, 100, 3)
    other = Stage(stage.script, picture.in_profile(None))
    assert torch.equal(redrawer.raster(other.at(0.5))[0], other.at(0.5).raster()[0])


def test_where_nothing_has_changed_nothing_is_said_to_have(picture: BakedPicture) -> None:
    for name in SCRIPTS:
        stage = staged(picture, name)
        assert changed_bounds(stage.at(0.3), stage.at(0.3)) == []


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("is_draft", [True, False])
def test_redrawn_rows_are_as_those_drawn_alone(name: str, is_draft: bool, picture: BakedPicture) -> None:
    stage, redrawer = staged(picture, name), Redrawer()
    rows = PointRows(torch.linspace(-0.55, 0.45, 131), torch.linspace(0.3, -0.2, 70))
    extent = None if is_draft else PixelExtent(1 / 130, picture.plane.pixel_size)
    for t in (0.0, 0.3, 0.35, 0.4, 0.4, 1.0):
        found, expected = redrawer.over(stage.at(t), rows, extent), stage.at(t).over(rows, extent)
        torch.testing.assert_close(found.alpha * found.rgb, expected.alpha * expected.rgb, rtol=0, atol=0.01)
        torch.testing.assert_close(found.alpha, expected.alpha, rtol=0, atol=0.01)
    other = PointRows(rows.x, rows.y[:30].contiguous())
    assert torch.equal(redrawer.over(stage.at(1.0), other, extent).rgb, stage.at(1.0).over(other, extent).rgb)
