"""Signed distances, beside ones found by trying every point of the border, and masks read from files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path as Outline
from PIL import Image
from scipy.ndimage import distance_transform_edt, map_coordinates

from gainer_ns.editing.shapes import MaskField, bilinear, depth_in_box, depth_in_polygon

STAR = [(10.0, 2.0), (13.0, 9.0), (20.0, 10.0), (14.0, 14.0), (16.0, 21.0), (10.0, 16.0), (3.0, 20.0), (6.0, 13.0)]


def lattice(width: float, height: float, step: float = 0.73) -> torch.Tensor:
    """Points over and around a picture, [m, 2], float64; none on a whole number."""
    x, y = (torch.arange(-5.1, side + 5, step, dtype=torch.float64) for side in (width, height))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)


def brute_depth(points: torch.Tensor, corners: list[tuple[float, float]]) -> torch.Tensor:
    """Distance to the nearest of many points of the outline; matplotlib says which points are inside."""
    ends = torch.tensor(corners, dtype=torch.float64)
    along = torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None, None]
    outline = (ends + along * (ends.roll(-1, 0) - ends)).reshape(-1, 2)
    distance = torch.cdist(points, outline).amin(dim=1)
    inside = torch.from_numpy(Outline([*corners, corners[0]], closed=True).contains_points(points.numpy()))
    return torch.where(inside, distance, -distance)


def test_depth_in_box() -> None:
    points = lattice(30, 20)
    expected = brute_depth(points, [(3, 4), (25, 4), (25, 17), (3, 17)])
    torch.testing.assert_close(depth_in_box(points, (3, 4, 25, 17)), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("corners", [STAR, STAR[::-1], STAR[:3], [*STAR, STAR[-1]]])
def test_depth_in_polygon(corners: list[tuple[float, float]]) -> None:
    points = lattice(24, 24)
    depth = depth_in_polygon(points, points.new_tensor(corners))
    torch.testing.assert_close(depth, brute_depth(points, corners), atol=1e-3, rtol=0)
    torch.testing.assert_close(depth_in_polygon(points.float(), torch.tensor(corners)), depth.float())


def test_crossing_outlines_follow_the_even_odd_rule() -> None:
    corners = torch.tensor([(0.0, 0.0), (10.0, 10.0), (10.0, 0.0), (0.0, 10.0)])
    depth = depth_in_polygon(torch.tensor([(1.0, 5.0), (9.0, 5.0), (5.0, 1.0), (5.0, 9.0)]), corners)
    assert (depth > 0).tolist() == [True, True, False, False]
    twice = torch.tensor([(0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0)]).repeat(2, 1)
    assert depth_in_polygon(torch.tensor([(4.0, 4.0)]), twice).item() == -4.0


@given(st.lists(st.tuples(*[st.integers(0, 12)] * 2), min_size=3, max_size=8), st.integers(0, 1))
def test_polygons_of_any_kind(corners: list[tuple[int, int]], flip: int) -> None:
    points = lattice(12, 12, step=1.9)
    depth = depth_in_polygon(points, points.new_tensor(corners[:: -1 if flip else 1]))
    shifted = depth_in_polygon(points + 100, points.new_tensor(corners) + 100)
    torch.testing.assert_close(depth, shifted)
    assert (depth.abs() <= torch.cdist(points, points.new_tensor(corners)).amin(dim=1) + 1e-9).all()


def test_polygons_go_in_blocks() -> None:
    corners = torch.tensor(STAR).repeat_interleave(2**15, dim=0)  # The same outline, in four points a block
    points = lattice(24, 24, step=7.0).float()
    torch.testing.assert_close(depth_in_polygon(points, corners), depth_in_polygon(points, torch.tensor(STAR)))
    assert depth_in_polygon(points[:0], corners).shape == (0,)


def mask_of(values: np.ndarray) -> MaskField:
    return MaskField(values.astype(np.float32))


def blob(width: int = 40, height: int = 30) -> np.ndarray:
    """A ragged black and white mask."""
    rng = np.random.default_rng(0)
    smooth = np.asarray(
        Image.fromarray(rng.random((6, 8), np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    )
    return (smooth > 0.5).astype(np.float32)


def test_mask_depth_is_scipys() -> None:
    inside = blob() > 0.5
    expected = distance_transform_edt(inside) - distance_transform_edt(~inside)
    expected -= np.where(inside, 0.5, -0.5)
    np.testing.assert_allclose(mask_of(blob()).depths, expected, atol=1e-4)


def test_a_painted_box_is_as_deep_as_the_box() -> None:
    values = np.zeros((20, 30))
    values[5:15, 8:24] = 1
    points = lattice(30, 20)
    level = points[(points[:, 1] > 8) & (points[:, 1] < 12) & (points[:, 0] > 4) & (points[:, 0] < 12)]
    for feather in (0.0, 4.0):
        field = mask_of(values).field(level, feather)
        expected = 0.5 + depth_in_box(level, (8, 5, 24, 15)) / max(feather, 1)
        near = (expected - 0.5).abs() < 1 / max(feather, 1)
        torch.testing.assert_close(field[near], expected[near], atol=1e-5, rtol=0)


def test_grays_are_kept_without_a_feather() -> None:
    values = np.tile(np.clip(np.arange(40) / 30, 0, 1), (5, 1))
    values[:, 33:] = 0.4  # gray beside white
    centres = torch.stack(torch.meshgrid(torch.arange(40) + 0.5, torch.arange(5) + 0.5, indexing="xy"), -1).reshape(
        -1, 2
    )
    mask = mask_of(values)
    read = mask.field(centres, 0.0).clamp(0, 1).reshape(5, 40)
    np.testing.assert_allclose(read, values, atol=0.021)
    between = mask.field(torch.tensor([[20.0, 2.5], [33.0, 2.5]]), 0.0)
    torch.testing.assert_close(between, torch.tensor([19.5 / 30, 0.7]))
    assert mask.has_grays and mask.is_soft


def test_an_antialiased_edge_is_not_soft() -> None:
    y, x = np.mgrid[:60, :60] + 0.5
    disc = np.clip(20.5 - np.hypot(x - 30, y - 30), 0, 1)
    assert mask_of(disc).has_grays and not mask_of(disc).is_soft
    assert not mask_of(blob()).has_grays and not mask_of(blob()).is_soft
    assert mask_of(np.clip((28 - np.hypot(x - 30, y - 30)) / 16, 0, 1)).is_soft


@pytest.mark.parametrize(("value", "sign"), [(0.0, -1), (1.0, 1)])
@pytest.mark.parametrize("feather", [0.0, 8.0])
def test_masks_without_an_edge(value: float, sign: int, feather: float) -> None:
    mask = mask_of(np.full((3, 4), value))
    assert (sign * mask.field(lattice(4, 3), feather) > 1).all()
    assert mask.has_any == (value > 0) and mask.bounds == ((0, 0, 4, 3) if value else (0, 0, 0, 0))


def test_bounds() -> None:
    values = np.zeros((20, 30))
    values[5:15, 8:24] = 0.3
    assert mask_of(values).bounds == (8, 5, 24, 15)
    values[7, 9:12] = 0.9
    assert mask_of(values).bounds == (9, 7, 12, 8)


@given(st.integers(1, 5), st.integers(1, 5))
def test_bilinear_is_scipys(width: int, height: int) -> None:
    grid = np.random.default_rng(0).random((height, width))
    points = lattice(width, height)
    expected = map_coordinates(grid, (points.numpy() - 0.5).T[::-1], order=1, mode="nearest")
    np.testing.assert_allclose(bilinear(torch.from_numpy(grid), points), expected, atol=1e-12)


def test_opacity_counts_where_there_is_some(tmp_path: Path) -> None:
    rgba = np.zeros((4, 6, 4), np.uint8)
    rgba[1:3, 2:5, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "cutout.png")
    np.testing.assert_array_equal(MaskField.read(tmp_path / "cutout.png").values, rgba[..., 3] / 255)
    rgba[..., 3] = 255
    rgba[..., :3] = 102
    Image.fromarray(rgba).save(tmp_path / "opaque.png")
    np.testing.assert_allclose(MaskField.read(tmp_path / "opaque.png").values, 0.4, atol=1e-6)
    rgba[..., :3] = (255, 51, 0)
    Image.fromarray(rgba).save(tmp_path / "opaque.png")
    luma = 0.299 + 0.587 * 0.2
    np.testing.assert_allclose(MaskField.read(tmp_path / "opaque.png", "luma").values, luma, atol=1e-6)
    Image.fromarray(rgba[..., 0]).save(tmp_path / "gray.png")
    assert (MaskField.read(tmp_path / "gray.png").values == 1).all()
