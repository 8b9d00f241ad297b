"""What depth edges hide: the farther surface goes on behind the nearer one."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gainer_ns.lifting import hidden_surface
from gainer_ns.lifting.hidden_surface import HIDDEN_REACH_SHARE, hidden_layer
from gainer_ns.lifting.matting import matte
from gainer_ns.lifting.rgbd_layers import RgbdLayer
from gainer_ns.lifting.surface import continue_edges, fit_surface

HEIGHT, WIDTH = 40, 60
BOX = slice(10, 30), slice(20, 45)
"""A board that stands before a wall."""
RED, BLUE = torch.tensor([0.8, 0.1, 0.1]), torch.tensor([0.1, 0.2, 0.9])


def hidden_by(depth: Tensor) -> RgbdLayer | None:
    """What a red wall hides behind what is nearer than 1.5, which is blue."""
    colours = torch.where((depth < 1.5)[..., None], BLUE, RED)
    surface = fit_surface(depth, 60.0)
    rim = continue_edges(surface)
    edges = matte(colours.double(), surface, rim)
    return hidden_layer(RgbdLayer(colours, depth, None, depth > 0), surface, rim, edges)


def wall(slope: float = 0.0) -> Tensor:
    """A wall 2 away, which recedes to the right; its inverse depth is a plane."""
    return 1 / (0.5 - slope * torch.arange(float(WIDTH)).expand(HEIGHT, WIDTH) / WIDTH)


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_a_wall_goes_on_behind_a_board(slope: float) -> None:
    depth = wall(slope).clone()
    depth[BOX] = 1.0
    found = hidden_by(depth)
    assert found is not None and not found.seen.any() and found.opacity is None
    there = found.depth > 0
    inside = torch.zeros_like(there)
    inside[BOX] = True
    assert (there <= inside).all(), "only behind the board"
    assert there[BOX][1:-1, 1:-1].float().mean() > 0.5
    torch.testing.assert_close(found.depth[there], wall(slope)[there], rtol=0.03, atol=0)
    assert (found.colours[there] - RED).abs().max() < 0.02
    assert found.origin is not None and not inside.flatten()[found.origin[there]].any(), "it is edited with the wall"


def test_it_ends_where_no_view_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hidden_surface, "HIDDEN_REACH_SHARE", HIDDEN_REACH_SHARE / 2)
    depth = wall().clone()
    depth[BOX] = 1.0
    found = hidden_by(depth)
    assert found is not None
    there = found.depth[BOX] > 0
    assert there[0].any() and not there[8:-8, 8:-8].any()


def test_nothing_is_hidden_by_one_surface() -> None:
    assert hidden_by(wall(0.3)) is None
    assert hidden_by(torch.zeros(HEIGHT, WIDTH)) is None


def test_one_bad_depth_hides_nothing() -> None:
    depth = wall().clone()
    depth[20, 30] = 1.0
    assert hidden_by(depth) is None


def test_what_nobody_knows_hides_nothing() -> None:
    """Unknown depth is not in front of the wall."""
    depth = wall().clone()
    depth[BOX] = 0.0
    assert hidden_by(depth) is None


def test_between_two_surfaces_the_farther_one_goes_on() -> None:
    """A board before a wall, and a stick before both: behind the stick there is the board, or the wall."""
    depth = wall().clone()
    depth[BOX] = 1.4
    depth[:, 30:33] = 0.8
    found = hidden_by(depth)
    assert found is not None
    board = found.depth[16:24, 31]
    assert ((board - 1.4).abs() < 0.05).all()
    upper = found.depth[2:7, 31]
    assert ((upper - 2).abs() < 0.1).all()


def test_layers_keep_their_places() -> None:
    layer = RgbdLayer(torch.zeros(2, 2, 3), torch.ones(2, 2), None, torch.ones(2, 2, dtype=torch.bool))
    assert layer.origin is None and replace(layer, origin=torch.zeros(2, 2, dtype=torch.long)).origin is not None
