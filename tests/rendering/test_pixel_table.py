"""What has moved, and stands on no lattice, is read of a table of its pixels; see also ``test_compact.py``."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gainer_ns.editing.script import read_script
from gainer_ns.editing.stage import Stage
from gainer_ns.rendering import pixel_table
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture

MakePicture = Callable[..., BakedPicture]
WIDTH, HEIGHT, RADIUS = 48, 40, 13.0


def distance(degrees: float = 0.0, centre: tuple[float, float] = (18.0, 20.0)) -> Tensor:
    """Distances of pixels from a place, turned about the middle."""
    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    angle = torch.tensor(degrees).deg2rad()
    x, y = x - WIDTH / 2, y - HEIGHT / 2
    x, y = x * angle.cos() - y * angle.sin() + WIDTH / 2, x * angle.sin() + y * angle.cos() + HEIGHT / 2
    return torch.hypot(x - centre[0], y - centre[1])


@pytest.fixture
def cut_out(picture: MakePicture) -> BakedPicture:
    """A disc with a soft edge, of Gaussians that stand on no lattice."""
    opacity = (RADIUS - distance() + 0.5).clamp(0, 1)
    return picture(WIDTH, HEIGHT, opacity=opacity, colours=torch.tensor([[0.7, 0.3, 0.1]]), jitter=0.3)


def edited(source: BakedPicture, **edit: object) -> BakedPicture:
    script = {"edits": [edit], "canvas": [0, 0, WIDTH, HEIGHT]}
    return Stage(read_script(script, WIDTH, HEIGHT), source, {}).at(1.0)


def test_a_cut_out_ends_where_it_ended(cut_out: BakedPicture, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = edited(cut_out, rotate={"degrees": 25})
    rgb, alpha = frame.raster()
    away = distance(25) - RADIUS
    assert len(cut_out.only_layer._tables) == 1
    assert not alpha[away > 2].any() and bool((alpha[away < -2] == 1).all())
    shown = alpha[..., 0] > 0.01
    torch.testing.assert_close(rgb[shown], torch.tensor([0.7, 0.3, 0.1]).expand_as(rgb[shown]), atol=0.01, rtol=0)
    monkeypatch.setattr(Layer, "has_table", lambda *_: False)
    assert float((frame.raster()[1] - alpha).abs().mean()) < 0.01


def test_at_the_pixels_it_shows_what_the_picture_does(picture: MakePicture, cut_out: BakedPicture) -> None:
    for source in (picture(WIDTH, HEIGHT, jitter=0.3), cut_out):
        rgb, alpha = source.raster()
        found, there = edited(source, move={"by": [5, -3]}).raster()
        moved = found[4:-7, 9:-4], there[4:-7, 9:-4]
        torch.testing.assert_close(moved[1], alpha[7:-4, 4:-9], atol=1e-3, rtol=0)
        torch.testing.assert_close(moved[0] * moved[1], (rgb * alpha)[7:-4, 4:-9], atol=2e-3, rtol=0)


@pytest.mark.parametrize("why", ["enlarged", "no memory"])
def test_otherwise_neighbours_tell(why: str, picture: MakePicture, monkeypatch: pytest.MonkeyPatch) -> None:
    source = picture(WIDTH, HEIGHT, jitter=0.3)
    if why == "no memory":
        monkeypatch.setattr(pixel_table, "free_memory", lambda: 1000)
    frame = edited(source, scale={"factor": 1.5}) if why == "enlarged" else edited(source, rotate={"degrees": 10})
    drawn = frame.raster()[0]
    assert not source.only_layer._tables
    monkeypatch.setattr(Layer, "has_table", lambda *_: False)
    assert torch.equal(frame.raster()[0], drawn)


def test_what_is_enlarged_in_part_is_read_both_ways(picture: MakePicture, monkeypatch: pytest.MonkeyPatch) -> None:
    source = picture(WIDTH, HEIGHT, jitter=0.3)
    frame = edited(source, select={"disc": {"center": [24, 20], "radius": 8}, "feather": 8}, scale={"factor": 2})
    drawn = frame.raster()[0]
    monkeypatch.setattr(Layer, "has_table", lambda *_: False)
    same = (frame.raster()[0] == drawn).all(dim=2)
    assert bool(same[17:23, 21:27].all()) and float(same.float().mean()) < 0.9
