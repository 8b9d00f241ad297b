import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from gainer_ns.frames import PinholeCamera
from gainer_ns.lifting.surface import EDGE_THRESHOLD, MAX_MIXED_PX, MAX_SLOPE, DepthSurface, continue_edges, fit_surface

SMALL = PinholeCamera(20, 15, (30.0, 30.0), (9.0, 8.5))


def step(near: float = 1.0, far: float = 2.0) -> Tensor:
    """Two walls that face the camera, [15, 20]: the near one in columns 0 to 9."""
    depth = torch.full((15, 20), far)
    depth[:, :10] = near
    return depth


@given(
    tilt=st.floats(0, 75),
    azimuth=st.floats(0, 360),
    height=st.floats(0.2, 50),
    focal_length=st.floats(15, 200),
    single=st.booleans(),
)
def test_planes_come_back_exactly(
    plane_depth: Any, tilt: float, azimuth: float, height: float, focal_length: float, single: bool
) -> None:
    camera = PinholeCamera(20, 15, (focal_length, focal_length), (9.0, 8.5))
    t, a = math.radians(tilt), math.radians(azimuth)
    normal = math.sin(t) * math.cos(a), math.sin(t) * math.sin(a), math.cos(t)
    depth = plane_depth(camera, normal, height)
    # Seen from its front everywhere, and no steeper than what counts as a surface.
    assume(bool((depth > 0).all()) and max(map(abs, normal[:2])) * float(depth.max()) < 0.9 * MAX_SLOPE * height)
    surface = fit_surface(depth.float() if single else depth, focal_length)
    # Inverse depths are solved for together, to the precision of the largest: what is far off is known less well.
    tolerance = (1e-5 if single else 1e-7) / float(depth.min())
    torch.testing.assert_close(surface.inverse_depth.double(), 1 / depth, rtol=0, atol=tolerance)
    gradient = torch.tensor([-normal[0], normal[1]], dtype=torch.float64) / (focal_length * height)
    assert float((surface.gradient - gradient).abs().max()) < tolerance
    assert bool(surface.known.all())


def test_a_plane_has_no_edges_and_no_rim(plane_depth: Any) -> None:
    surface = fit_surface(plane_depth(SMALL, (0.9, -0.4, 0.5), 2.0), 30.0)
    assert len(continue_edges(surface).pixel) == 0
    assert float(surface.edge_distance.min()) > 1  # the picture's own frame is no edge


@pytest.mark.parametrize("far", [1.2, 2.0, 40.0])
@pytest.mark.parametrize("turned", [False, True], ids=["upright", "turned"])
def test_a_step_is_cut(far: float, turned: bool) -> None:
    depth = step(far=far).T.contiguous() if turned else step(far=far)
    surface = fit_surface(depth, 30.0)
    torch.testing.assert_close(surface.inverse_depth, 1 / depth.double(), rtol=1e-6, atol=0)
    torch.testing.assert_close(surface.gradient, torch.zeros_like(surface.gradient), rtol=0, atol=1e-6)
    distance = surface.edge_distance.T if turned else surface.edge_distance
    assert (distance[:, 9:11] == 1).all() and (distance[:, 8] == 2).all() and (distance[:, 11] == 2).all()
    rim = continue_edges(surface)
    at = rim.pixel // 15 if turned else rim.pixel % 20  # columns, as if upright
    source = rim.source // 15 if turned else rim.source % 20
    assert rim.hidden.any() and not rim.hidden.all()
    # The near wall goes on over the far one, and the far one a little behind the near one; nothing lies in between.
    for hidden, height in ((False, 1.0), (True, 1 / far)):
        of = rim.hidden == hidden
        torch.testing.assert_close(
            rim.inverse_depth[of], torch.full_like(rim.inverse_depth[of], height), rtol=1e-6, atol=0
        )
        assert (source[of] == (10 if hidden else 9)).all()
        assert ((at[of] < 10) == hidden).all()
        assert float(rim.distance[of].min()) == 1
    assert (rim.distance.round() >= (at - source).abs()).all()


def test_slanted_surfaces_keep_their_slopes_beside_an_edge(plane_depth: Any) -> None:
    near, far = (plane_depth(SMALL, *plane) for plane in (((0.4, 0.3, 1.0), 1.0), ((-0.3, 0.2, 1.0), 2.0)))
    left = torch.arange(20).expand(15, 20) < 10
    surface = fit_surface(torch.where(left, near, far), 30.0)
    rim = continue_edges(surface)
    for hidden, plane in ((False, near), (True, far)):
        of = rim.hidden == hidden
        torch.testing.assert_close(rim.inverse_depth[of], 1 / plane.flatten()[rim.pixel[of]], rtol=1e-4, atol=0)


def test_a_crease_is_no_edge(plane_depth: Any) -> None:
    one, other = (plane_depth(SMALL, (lean, 0.0, 1.0), 2.0) for lean in (0.5, -0.5))
    surface = fit_surface(torch.maximum(one, other), 30.0)
    assert len(continue_edges(surface).pixel) == 0


def errors_of(surface: DepthSurface, truth: Tensor) -> Tensor:
    return (surface.inverse_depth * truth - 1).abs()


def test_quantised_depth_is_smoothed(plane_depth: Any) -> None:
    truth = plane_depth(SMALL, (0.2, 0.1, 1.0), 2.0)
    quantised = (truth / 0.03).round() * 0.03  # half a pixel's width
    surface, exact = fit_surface(quantised, 30.0), fit_surface(truth, 30.0)
    before = (truth / quantised - 1).abs()
    assert float(errors_of(surface, truth).mean()) < 0.6 * float(before.mean())
    stairs = torch.diff(1 / quantised, dim=1) - exact.gradient[:, :-1, 0]
    slopes = (surface.gradient - exact.gradient)[..., 0]
    assert float(slopes.square().mean().sqrt()) < 0.3 * float(stairs.square().mean().sqrt())
    assert len(continue_edges(surface).pixel) == 0


@pytest.mark.parametrize("column", [0, 1])
def test_one_of_two_planes_joins_pixels(column: int) -> None:
    """Told from either pixel; the other's, such as one beside an edge, may lead anywhere."""
    x, y = torch.meshgrid(torch.arange(6.0), torch.arange(5.0), indexing="xy")
    gradient = torch.zeros(5, 6, 2, dtype=torch.float64)
    gradient[:, column::2] = torch.tensor([0.1, -0.07]).double()  # of every other column
    surface = DepthSurface((2 + 0.1 * x - 0.07 * y).double(), gradient, 30.0, EDGE_THRESHOLD)
    for step in (1, -1):
        inside = torch.zeros(5, 6, dtype=torch.bool)
        inside[:, max(0, -step) : 6 - max(0, step)] = True
        assert torch.equal(surface.joined(0, step), inside)
        assert not surface.joined(step, 0)[:, 1 - column :: 2].any(), "both are wrong along a column"


@given(seed=st.integers(0, 1000), noise=st.floats(0, 0.3), share=st.floats(0, 0.5))
def test_whatever_the_depth_the_surface_stays_near_it(seed: int, noise: float, share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    depth = 2 * torch.exp(noise * torch.randn(15, 20, generator=generator, dtype=torch.float64))
    depth[torch.rand(15, 20, generator=generator) < share] = 0
    surface = fit_surface(depth, 30.0)
    assert torch.equal(surface.known, depth > 0)
    assert (surface.inverse_depth[depth <= 0] == 0).all() and (surface.gradient[depth <= 0] == 0).all()
    # Never beyond what is around, to which pixels between two surfaces move.
    inverse, reach = torch.where(depth > 0, 1 / depth, 0.0), 2 * MAX_MIXED_PX + 1
    highest, lowest = (
        sign * torch.nn.functional.max_pool2d(sign * each[None, None], reach, 1, MAX_MIXED_PX)[0, 0]
        for sign, each in ((1, inverse), (-1, torch.where(depth > 0, inverse, torch.inf)))
    )
    found, slack = surface.inverse_depth, 1 + EDGE_THRESHOLD / 2 + 1e-9
    assert ((found <= highest * slack) & (found * slack >= lowest))[depth > 0].all()
    slope = surface.gradient.abs().amax(dim=-1) * 30 / found.clamp(min=1e-9)
    assert float(slope.max()) <= MAX_SLOPE * (1 + EDGE_THRESHOLD)
    rim = continue_edges(surface)
    assert (rim.inverse_depth > 0).all() and rim.inverse_depth.isfinite().all()
    assert surface.known.flatten()[rim.source].all()
    seen = surface.inverse_depth.flatten()[rim.pixel]
    # What lies before what is seen, and what is hidden by it; a margin, since what agrees with the nearest is averaged.
    assert (rim.inverse_depth[~rim.hidden] > (1 - 2 * surface.edge) * seen[~rim.hidden]).all()
    assert (rim.inverse_depth[rim.hidden] < (1 + 2 * surface.edge) * seen[rim.hidden]).all()


def test_unknown_pixels_are_not_lifted(plane_depth: Any) -> None:
    truth = plane_depth(SMALL, (0.3, -0.2, 1.0), 2.0)
    depth = truth.clone()
    depth[5:9, 6:12] = 0
    depth[0, 0], depth[14, 19], depth[3, 3] = -1.0, math.nan, 0
    surface = fit_surface(depth, 30.0)
    assert torch.equal(surface.known, depth > 0)
    assert float(errors_of(surface, truth)[depth > 0].max()) < 1e-7
    assert surface.inverse_depth.isfinite().all() and surface.gradient.isfinite().all()
    distance = surface.edge_distance
    assert (distance[depth <= 0] == 0).all() and (distance[4, 6:12] == 1).all() and float(distance[3, 4]) == 1
    rim = continue_edges(surface)
    torch.testing.assert_close(rim.inverse_depth, 1 / truth.flatten()[rim.pixel], rtol=1e-6, atol=0)
    assert not rim.hidden.any() and not surface.known.flatten()[rim.pixel].any()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_tiny_pictures(height: int, width: int) -> None:
    depth = torch.full((height, width), 1.5)
    surface = fit_surface(depth, 30.0)
    torch.testing.assert_close(surface.inverse_depth, 1 / depth.double())
    assert (surface.gradient == 0).all() and len(continue_edges(surface).pixel) == 0
    assert (surface.edge_distance > 1).all()


def test_one_row_that_leans() -> None:
    inverse = torch.linspace(0.4, 0.6, 12, dtype=torch.float64)[None]
    surface = fit_surface(1 / inverse, 30.0)
    torch.testing.assert_close(surface.inverse_depth, inverse, rtol=1e-7, atol=0)
    torch.testing.assert_close(surface.gradient[..., 0], torch.full_like(inverse, 0.2 / 11), rtol=1e-3, atol=0)
    assert (surface.gradient[..., 1].abs() < 1e-9).all()


def test_one_known_pixel() -> None:
    depth = torch.zeros(15, 20)
    depth[7, 11] = 3.0
    surface = fit_surface(depth, 30.0)
    assert float(surface.inverse_depth[7, 11]) == pytest.approx(1 / 3) and int(surface.known.sum()) == 1
    rim = continue_edges(surface)
    assert (rim.source == 7 * 20 + 11).all() and not rim.hidden.any()
    torch.testing.assert_close(rim.inverse_depth, torch.full_like(rim.inverse_depth, 1 / 3))


def test_nothing_known() -> None:
    surface = fit_surface(torch.zeros(4, 5), 30.0)
    assert not surface.known.any() and len(continue_edges(surface).pixel) == 0
    assert (surface.edge_distance == 0).all()


def test_scale_changes_nothing(sphere_depth: Any) -> None:
    depth = sphere_depth(SMALL, (0.0, 0.0, -3.0), 0.6)
    one, other = fit_surface(depth, 30.0), fit_surface(1000 * depth, 30.0)
    torch.testing.assert_close(one.inverse_depth, 1000 * other.inverse_depth, rtol=1e-9, atol=1e-12)
    assert torch.equal(continue_edges(one).pixel, continue_edges(other).pixel)


def test_depths_between_two_surfaces_belong_to_one_of_them() -> None:
    """As of depth that was reduced: a pixel or two along an edge lie on neither side."""
    depth = torch.full((20, 30), 3.0)
    depth[:, :15] = 1.0
    depth[:, 15], depth[:, 16] = 1.4, 2.2
    found = 1 / fit_surface(depth, 1000.0).inverse_depth
    assert (torch.minimum((found - 1).abs(), (found - 3).abs()) < 0.02).all()
    assert bool((found[:, 14] < 2).all()) and bool((found[:, 17] > 2).all())
