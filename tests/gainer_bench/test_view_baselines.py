from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gainer_bench.view_baselines import BASELINES, MeshedView, SplattedView, surface_hits, visible_in_both
from gainer_bench.views import Intrinsics, NovelViewMethod, ViewPair

W, H, F = 48, 32, 40.0
K = Intrinsics(F, F, W / 2, H / 2)


def moved_by(x: float = 0.0, z: float = 0.0) -> np.ndarray:
    T = np.eye(4)
    T[:3, 3] = x, 0, z
    return T


def pair_of(depth: np.ndarray, T: np.ndarray, alpha: np.ndarray | None = None) -> ViewPair:
    colours = np.random.default_rng(0).uniform(size=(H, W, 3))
    return ViewPair("test", colours, alpha, depth.astype(np.float32), K, colours, alpha, K, T, "made")


def square_in_front() -> np.ndarray:
    """A square at depth 2, columns 16 to 31 and rows 8 to 23, in front of a wall at depth 4."""
    depth = np.full((H, W), 4.0)
    depth[8:24, 16:32] = 2
    return depth


@pytest.mark.parametrize("method", BASELINES.values(), ids=BASELINES)
def test_a_shift_by_whole_pixels_is_exact(method: NovelViewMethod) -> None:
    pair = pair_of(np.full((H, W), 4.0), moved_by(-0.3))  # 3 px to the left
    found = method(pair).render(K, pair.T_target_from_source, W, H)
    assert found.accumulation[:, : W - 3] == pytest.approx(1) and (found.accumulation[:, W - 3 :] == 0).all()
    assert found.rgb[:, : W - 4] == pytest.approx(pair.source_colours[:, 3:-1], abs=0.01)
    assert found.depth[:, : W - 3] == pytest.approx(4.0, rel=1e-5)


@pytest.mark.parametrize("method", BASELINES.values(), ids=BASELINES)
def test_what_is_near_hides_what_is_far_and_leaves_a_hole(method: NovelViewMethod) -> None:
    pair = pair_of(square_in_front(), moved_by(-0.4))  # the square by 8 px, the wall by 4
    found = method(pair).render(K, pair.T_target_from_source, W, H)
    row = slice(10, 22)
    assert found.depth[row, 9:23] == pytest.approx(2.0, rel=1e-5)
    assert found.rgb[row, 9:23] == pytest.approx(pair.source_colours[row, 17:31], abs=0.01)
    assert (found.accumulation[row, 25:27] == 0).all()  # the wall beside it that the source does not show
    assert found.depth[row, 30:40] == pytest.approx(4.0, rel=1e-5)


@given(x=st.floats(-0.5, 0.5), z=st.floats(-1.5, 1.0), slant=st.floats(-0.5, 0.5))
def test_a_slanted_plane_is_seen_without_pinholes_where_it_is(x: float, z: float, slant: float) -> None:
    rays = K.rays(W, H)
    depth = 4 / (1 - slant * rays[..., 0])  # the plane Z = 4 + slant X
    T = moved_by(x, z)
    hits = surface_hits(depth, K, K, T, W, H)
    origin, seen = -T[:3, 3], K.rays(W, H)
    along = (4 + slant * origin[0] - origin[2]) / (1 - slant * seen[..., 0])
    place = K.project(origin + seen * along[..., None])
    inside = ((place > 1) & (place < [W - 1, H - 1])).all(axis=-1)
    assert np.isfinite(hits.depth[inside]).all()
    assert hits.depth[inside] == pytest.approx(along[inside], rel=1e-4)
    assert hits.place[inside] == pytest.approx(place[inside], abs=2e-2)
    splats = SplattedView(pair_of(depth, T)).render(K, T, W, H)
    assert (splats.accumulation[inside] == 1).all()
    assert splats.depth[inside] == pytest.approx(along[inside], rel=0.03)


def test_bicubic_and_bilinear_texture_differ() -> None:
    pair = pair_of(np.full((H, W), 4.0), moved_by(-0.05))
    first, second = (MeshedView(pair, order).render(K, pair.T_target_from_source, W, H).rgb for order in (1, 3))
    middle = (pair.source_colours[:, 10:20] + pair.source_colours[:, 11:21]) / 2
    assert first[:, 10:20] == pytest.approx(middle, abs=0.01)
    assert np.abs(first - second).max() > 0.05


def test_the_mesh_is_cut_at_depth_edges_and_at_unknown_depth() -> None:
    depth = square_in_front()
    depth[2, 40] = 0
    hits = surface_hits(depth, K, K, moved_by(0.0), W * 1, H)
    assert np.isinf(hits.depth[2, 40]) and np.isfinite(hits.depth[2, 38:40]).all()
    between = surface_hits(depth, K, K._replace(cx=K.cx + 0.5), np.eye(4), W, H).depth
    assert np.isinf(between[10:22, 16]).all() and np.isfinite(between[10:22, 18:31]).all()
    whole = surface_hits(depth, K, K._replace(cx=K.cx + 0.5), np.eye(4), W, H, edge=np.inf).depth
    assert np.isfinite(whole[10:22, 16]).all()


def test_visible_is_what_lies_on_the_surface() -> None:
    seen = visible_in_both(pair_of(square_in_front(), moved_by(-0.4)))
    assert (seen.visible == seen.surface).all()
    assert not seen.visible[:, W - 4 :].any() and not seen.visible[10:22, 25:27].any()
    assert seen.visible[10:22, 9:23].all() and seen.visible[:7, : W - 5].all()


def test_what_something_of_unknown_depth_may_hide_does_not_count() -> None:
    depth = square_in_front()
    depth[8:24, 16:28] = 0  # most of the square, whose right part is known
    seen = visible_in_both(pair_of(depth, moved_by(-0.4)))
    hidden = seen.surface & ~seen.visible
    assert hidden[10:22, 8:11].all()  # wall, behind where the square would be
    hidden[8:24, 7:12] = False
    assert not hidden.any() and seen.visible[10:22, 21:23].all()


def test_transparent_pixels_hide_nothing() -> None:
    depth = np.where(square_in_front() == 2, 0, 4.0)
    depth[15, 18] = 2
    opaque = (depth > 0).astype(np.float32)
    T = moved_by(-0.4)
    transparent = visible_in_both(pair_of(depth, T, opaque))
    unknown = visible_in_both(pair_of(depth, T, np.ones((H, W), np.float32)))
    assert (transparent.visible == transparent.surface).all()
    assert unknown.visible.sum() < unknown.surface.sum()


@pytest.mark.parametrize("method", BASELINES.values(), ids=BASELINES)
def test_cut_outs_keep_their_alpha(method: NovelViewMethod) -> None:
    pair = replace(pair_of(np.full((H, W), 4.0), moved_by()), source_alpha=np.full((H, W), 0.25, np.float32))
    found = method(pair).render(K, np.eye(4), W, H)
    assert found.accumulation == pytest.approx(0.25, abs=1e-3)
    assert found.rgb == pytest.approx(pair.source_colours, abs=0.01)


@pytest.mark.parametrize("method", BASELINES.values(), ids=BASELINES)
def test_nothing_is_drawn_of_nothing(method: NovelViewMethod) -> None:
    found = method(pair_of(np.zeros((H, W)), moved_by())).render(K, np.eye(4), 10, 6)
    assert found.rgb.shape == (6, 10, 3) and (found.accumulation == 0).all() and np.isfinite(found.rgb).all()
