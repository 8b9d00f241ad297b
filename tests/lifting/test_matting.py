"""Mixed pixels along depth edges, taken apart again."""

import pytest
import torch
from torch import Tensor

from gainer_ns.lifting.matting import Matte, matte
from gainer_ns.lifting.surface import Rim, continue_edges, fit_surface

FRONT, BACK = torch.tensor([0.9, 0.1, 0.2]), torch.tensor([0.1, 0.3, 0.8])
EDGE_COLUMN = 12
"""The first column of what is behind."""


def taken_apart(columns: dict[int, float]) -> tuple[Tensor, Rim, Matte]:
    """Colours at a step in depth, of whose front some columns show a part; the rim there, and the matte."""
    depth = torch.full((16, 24), 4.0, dtype=torch.float64)
    depth[:, :EDGE_COLUMN] = 2.0
    share = (torch.arange(24) < EDGE_COLUMN).double().expand(16, 24).clone()
    for column, part in columns.items():
        share[:, column] = part
    colours = share[..., None] * FRONT + (1 - share[..., None]) * BACK
    surface = fit_surface(depth, 30.0)
    rim = continue_edges(surface)
    return colours, rim, matte(colours, surface, rim)


@pytest.mark.parametrize("part", [0.25, 0.5, 0.75])
def test_a_mixed_pixel_of_what_is_before(part: float) -> None:
    column = EDGE_COLUMN - 1
    _, rim, result = taken_apart({column: part})
    torch.testing.assert_close(result.coverage[:, column], torch.full((16,), part).double(), rtol=0, atol=0.03)
    torch.testing.assert_close(result.colours[:, column], FRONT.double().expand(16, 3), rtol=0, atol=0.03)
    behind = rim.hidden & (rim.pixel % 24 == column)
    assert behind.sum() == 16
    torch.testing.assert_close(result.rim_colours[behind], BACK.double().expand(16, 3), rtol=0, atol=0.03)


@pytest.mark.parametrize("part", [0.25, 0.5, 0.75])
def test_a_mixed_pixel_of_what_is_behind(part: float) -> None:
    _, rim, result = taken_apart({EDGE_COLUMN: part})
    before = ~rim.hidden & (rim.pixel % 24 == EDGE_COLUMN)
    assert before.sum() == 16
    torch.testing.assert_close(result.rim_coverage[before], torch.full((16,), part).double(), rtol=0, atol=0.03)
    torch.testing.assert_close(result.colours[:, EDGE_COLUMN], BACK.double().expand(16, 3), rtol=0, atol=0.03)


def test_the_parts_mix_to_what_the_photo_shows() -> None:
    colours, rim, result = taken_apart({EDGE_COLUMN - 1: 0.4, EDGE_COLUMN: 0.3})
    width = colours.shape[1]
    for column in (EDGE_COLUMN - 1, EDGE_COLUMN):
        hidden = column < EDGE_COLUMN
        mine = (rim.hidden == hidden) & (rim.pixel % width == column)
        rows = rim.pixel[mine] // width
        own, other = result.colours[rows, column], result.rim_colours[mine]
        front, back = (own, other) if hidden else (other, own)
        share = (result.coverage[rows, column] if hidden else result.rim_coverage[mine])[:, None]
        torch.testing.assert_close(share * front + (1 - share) * back, colours[rows, column], rtol=0, atol=1e-6)


def test_a_clean_edge_stays_clean() -> None:
    colours, _, result = taken_apart({})
    torch.testing.assert_close(result.colours, colours, rtol=0, atol=1e-6)
    assert (result.coverage > 0.999).all() and (result.rim_coverage < 0.001).all()


def test_alike_colours_are_not_taken_for_a_mixture() -> None:
    depth = torch.full((16, 24), 4.0, dtype=torch.float64)
    depth[:, :EDGE_COLUMN] = 2.0
    colours = 0.5 + 0.01 * torch.rand(16, 24, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    surface = fit_surface(depth, 30.0)
    result = matte(colours, surface, continue_edges(surface))
    assert (result.coverage > 0.95).all() and (result.rim_coverage < 0.05).all()
