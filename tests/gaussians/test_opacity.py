"""Opacity continued beyond 0 and 1, and the pixels around what shows."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

import gainer_ns as gn
from gainer_ns.gaussians.opacity import OPACITY_MARGIN_PX, near_visible_pixels, nearest_visible_pixel, opacity_field


def opacities() -> st.SearchStrategy[Tensor]:
    """Small pictures of opacities, solid and clear pixels among them."""
    levels = st.sampled_from([0.0, 0.0, 1.0, 1.0, 0.5, 1 / 255, 254 / 255, 0.3])
    sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))
    return sizes.flatmap(
        lambda size: st.lists(levels, min_size=size[0] * size[1], max_size=size[0] * size[1]).map(
            lambda values: torch.tensor(values).view(size)
        )
    )


def disc(radius: float, side: int = 31) -> Tensor:
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return (torch.hypot(row - side // 2.0, column - side // 2.0) <= radius).float()


@given(opacities())
def test_clamped_it_is_the_opacity(opacity: Tensor) -> None:
    field = opacity_field(opacity)
    assert torch.equal(field.clamp(0, 1), opacity) and field.dtype == opacity.dtype and field.shape == opacity.shape
    assert bool(field.isfinite().all()) and float(field.abs().max()) < 10


@given(opacities())
def test_only_what_is_solid_or_clear_is_continued(opacity: Tensor) -> None:
    field, between = opacity_field(opacity), (opacity > 0) & (opacity < 1)
    assert torch.equal(field[between], opacity[between])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_opaque(dtype: torch.dtype) -> None:
    """Far above 1, so that no average of it dips below."""
    field = opacity_field(torch.ones(5, 8, dtype=dtype))
    assert field.dtype == dtype and float(field.min()) >= 2


def test_all_clear() -> None:
    assert float(opacity_field(torch.zeros(5, 8)).max()) < -1


def test_an_edge_goes_on_as_steeply_as_it_is() -> None:
    """By 1 a pixel, into both sides."""
    opacity = torch.zeros(9, 20)
    opacity[:, 10:] = 1
    field = opacity_field(opacity)
    assert torch.equal(field, field[:1].expand_as(field))
    slope = field[0].diff()
    assert bool((slope >= -1e-6).all()), "monotone"
    assert bool((slope[7:12] >= 1 - 1e-6).all())
    assert float(field[0, 0]) < -1 and float(field[0, -1]) >= 3, "and stays there far from the edge"


def test_beyond_an_edge_it_is_monotone() -> None:
    """The farther from the edge of a disc, the farther beyond 0 and 1."""
    shape = disc(9.3)
    field = opacity_field(shape).numpy()
    row, column = np.mgrid[:31, :31]
    distance = np.hypot(row - 15, column - 15)
    for inner, outer in ((0, 4), (4, 6), (6, 8), (8, 9.3), (10, 12), (12, 14)):
        near, far = field[(distance <= inner + 0.5)], field[(distance > outer - 0.5)]
        assert near.min() >= field[(distance > inner) & (distance <= outer)].min() - 1e-6 or inner == 0
        assert far.max() <= field[distance <= outer].max() + 1e-6
    along = field[15, 15:]
    assert (np.diff(along) <= 1e-6).all(), "from the middle outwards it only falls"
    assert field[distance < 5].min() >= 2.9, "solid far inside"


def test_one_pixel() -> None:
    opacity = torch.zeros(9, 9)
    opacity[4, 4] = 1
    field = opacity_field(opacity)
    assert torch.equal(field.clamp(0, 1), opacity)
    assert bool((field[4, 4:].diff() < 0).all() | (field[4, 7:] <= field[4, 6]).all())
    hole = opacity_field(1 - opacity)
    assert float(hole[4, 4]) < 0 and torch.equal(hole.clamp(0, 1), 1 - opacity)


def test_a_soft_gradient_is_continued_softly() -> None:
    """Where opacity rises by a hundredth a pixel, it does not rise to 2 within the next, nor bend what is between."""
    opacity = ((torch.arange(140) - 20) / 100).clamp(0, 1).expand(7, 140)
    field = opacity_field(opacity)
    assert torch.equal(field.clamp(0, 1), opacity)
    assert bool((field[0].diff() >= -1e-6).all())
    assert float((field[:, 100:121] - 1).max()) < 0.02 and float(field[:, 121].max()) < 1.3
    colours = torch.full((*opacity.shape, 3), 0.4)
    drawn = gn.fit(torch.cat([colours, opacity[..., None]], dim=2).numpy()).render(scale=4.0, dtype="float32")[..., 3]
    ramp = (((np.arange(560) + 0.5) / 4 - 20.5) / 100).clip(0, 1)
    assert np.abs(drawn - ramp).max() < 0.01


def test_near_what_shows() -> None:
    opacity = torch.zeros(15, 20)
    opacity[7, 9] = 0.004
    near = near_visible_pixels(opacity)
    row, column = torch.meshgrid(torch.arange(15), torch.arange(20), indexing="ij")
    assert torch.equal(near, torch.hypot(row - 7.0, column - 9.0) <= OPACITY_MARGIN_PX) and near.dtype == torch.bool
    assert torch.equal(near_visible_pixels(opacity, 0.5), opacity > 0)
    assert bool(near_visible_pixels(torch.ones(3, 4)).all())


@given(opacities().filter(lambda opacity: bool((opacity > 0).any())))
def test_nearest_shown(opacity: Tensor) -> None:
    nearest = nearest_visible_pixel(opacity)
    height, width = opacity.shape
    shown = (opacity > 0).nonzero().double()
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width)).view(-1, 2).double()
    found = torch.stack([nearest.flatten() // width, nearest.flatten() % width], dim=-1).double()
    assert bool((opacity.flatten()[nearest.flatten()] > 0).all())
    expected = torch.cdist(places, shown).min(dim=1).values
    torch.testing.assert_close((found - places).norm(dim=1), expected)


def test_what_is_nearly_solid_leaves_no_veil_beside_an_edge() -> None:
    """What is solid on the pixels is so between them, also where a few that are a level below are near an edge."""
    alpha = (255 * disc(24.0, 61)).byte().numpy()
    for place in ((30, 18), (31, 18), (30, 19), (31, 19), (22, 36), (40, 40)):
        alpha[place] = 254
    alpha[26:34, 44:50] = 254
    fitted = gn.fit(np.dstack([np.full((61, 61, 3), 90, np.uint8), alpha]))
    solid: Any = ndimage.binary_erosion(alpha == 255, np.ones((5, 5)))
    solid = solid.repeat(4, 0).repeat(4, 1)
    between = fitted.render(scale=4.0, dtype="float32")[..., 3]
    assert between[solid].min() > 0.99
