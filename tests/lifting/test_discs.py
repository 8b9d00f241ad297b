import math
from typing import Any

import pytest
import torch
from torch import Tensor

from gainer_ns.frames import PinholeCamera
from gainer_ns.lifting.discs import DISC_THICKNESS_PX, Discs, place_discs
from gainer_ns.lifting.matting import matte
from gainer_ns.lifting.surface import DepthSurface, continue_edges, fit_surface

CAMERA = PinholeCamera(20, 15, (30.0, 33.0), (9.0, 8.5))
"""One whose pixels are not square."""
FOCAL_LENGTH = 31.5


def lifted(depth: Tensor, colours: Tensor | None = None, opacity: Tensor | None = None) -> Discs:
    """Discs on a depth map; gray where no colours are given."""
    surface = fit_surface(depth, FOCAL_LENGTH)
    return discs_of(surface, CAMERA, torch.full((15, 20, 3), 0.5) if colours is None else colours, opacity)


def discs_of(surface: DepthSurface, camera: PinholeCamera, colours: Tensor, opacity: Tensor | None = None) -> Discs:
    rim = continue_edges(surface)
    return place_discs(surface, rim, matte(colours.double(), surface, rim), camera, opacity)


@pytest.fixture(scope="module")
def wavy() -> Tensor:
    """A surface without edges [15, 20]."""
    row, column = torch.meshgrid(torch.arange(15.0), torch.arange(20.0), indexing="ij")
    return 2 + 0.05 * (0.4 * column).sin() + 0.1 * (0.2 * row).cos()


@pytest.fixture(scope="module")
def on_wavy(wavy: Tensor) -> Discs:
    return lifted(wavy)


def walls(near: float = 1.0, far: float = 2.0) -> Tensor:
    """A near wall in columns 0 to 9, and a far one."""
    depth = torch.full((15, 20), far)
    depth[:, :10] = near
    return depth


def test_means_are_seen_in_their_pixels(wavy: Tensor, on_wavy: Discs, centres: Any) -> None:
    surface = fit_surface(wavy, FOCAL_LENGTH)
    assert len(on_wavy) == 300 and torch.equal(on_wavy.pixel, torch.arange(300))
    pixel, depth = CAMERA.project(on_wavy.means.double())
    torch.testing.assert_close(pixel, centres(CAMERA).view(-1, 2), rtol=0, atol=1e-4)
    torch.testing.assert_close(depth, 1 / surface.inverse_depth.flatten(), rtol=1e-6, atol=0)
    torch.testing.assert_close(depth.float(), wavy.flatten(), rtol=5e-3, atol=0)


def test_the_first_two_columns_are_steps_of_a_pixel_along_the_surface(
    wavy: Tensor, on_wavy: Discs, centres: Any
) -> None:
    surface, place = fit_surface(wavy, FOCAL_LENGTH), centres(CAMERA).view(-1, 2)
    height, slope = surface.inverse_depth.flatten(), surface.gradient.view(-1, 2)
    for axis in (0, 1):
        ends = []
        for sign in (1, -1):
            move = torch.zeros(2, dtype=torch.float64)
            move[axis] = sign * 1e-4
            ends.append(CAMERA.unproject(place + move, height + slope @ move))
        difference = (ends[0] - ends[1]) / 2e-4
        torch.testing.assert_close(on_wavy.jacobians[..., axis].double(), difference, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("normal", [(0.0, 0.0, 1.0), (0.8, 0.1, 1.0), (-0.5, 0.9, 0.7)])
def test_the_third_column_is_a_thickness_towards_the_camera(
    plane_depth: Any, normal: tuple[float, float, float]
) -> None:
    depth = plane_depth(CAMERA, normal, 2.0)
    discs = lifted(depth)
    across = discs.jacobians[..., 2].double()
    assert ((across * discs.means).sum(dim=1) < 0).all()
    unit = torch.tensor(normal, dtype=torch.float64) / math.hypot(*normal)
    torch.testing.assert_close(across / across.norm(dim=1, keepdim=True), unit.expand(300, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        across.norm(dim=1), DISC_THICKNESS_PX * depth.flatten() / FOCAL_LENGTH, rtol=1e-4, atol=0
    )


def test_normals_of_a_ball(sphere_depth: Any) -> None:
    camera, middle = PinholeCamera.centred(96, 72, 150.0), torch.tensor([0.0, 0.0, -3.0])
    depth = sphere_depth(camera, (0.0, 0.0, -3.0), 0.6)
    discs = discs_of(fit_surface(depth, 150.0), camera, torch.full((72, 96, 3), 0.5))
    solid = discs.opacity >= 1
    outward = torch.nn.functional.normalize(discs.means - middle, dim=1)
    normals = torch.nn.functional.normalize(discs.jacobians[..., 2], dim=1)
    facing = (torch.nn.functional.normalize(-discs.means, dim=1) * outward).sum(dim=1) > 0.4
    degrees = torch.rad2deg(torch.acos((outward * normals).sum(dim=1).clamp(max=1)))
    assert float(degrees[solid & facing].quantile(0.95)) < 5


def test_opacity_falls_from_1_to_0_at_an_edge() -> None:
    red, blue = torch.tensor([0.9, 0.1, 0.1]), torch.tensor([0.1, 0.1, 0.9])
    colours = torch.where((walls() < 1.5)[..., None], red, blue)
    discs = lifted(walls(), colours)
    (pixel, depth), own = CAMERA.project(discs.means), 300
    assert torch.equal(discs.pixel[:own], torch.arange(own)) and len(discs) > own
    column = torch.arange(own) % 20
    beside = (column == 9) | (column == 10)
    assert (discs.opacity[:own][beside] == 1).all() and (discs.opacity[:own][~beside] > 1).all()
    rims, at = discs.opacity[own:], pixel[own:, 0].floor()
    before = at >= 10  # the near wall, continued over the far one
    torch.testing.assert_close(depth[own:], torch.where(before, 1.0, 2.0))
    assert (rims[before] <= 1e-6).all() and float(rims[before].max()) == pytest.approx(0)
    assert (discs.pixel[own:][before] % 20 == 9).all() and (discs.pixel[own:][~before] % 20 == 10).all()
    covered = rims[~before][at[~before] == 9]
    assert len(covered) == 15 and (covered >= 1).all()  # solid behind the last pixel of what hides it
    expected = torch.cat([colours.view(-1, 3), torch.where(before[:, None], red, blue)])
    torch.testing.assert_close(discs.colours, expected, rtol=0, atol=0.01)


def test_a_mixed_pixel_at_an_edge_is_taken_apart() -> None:
    """The near wall ends within the pixels of column 10, whose depth is the far wall's."""
    red, blue = torch.tensor([0.9, 0.1, 0.1]), torch.tensor([0.1, 0.1, 0.9])
    share = torch.zeros(15, 20)
    share[:, :10], share[:, 10] = 1.0, 0.4
    colours = share[..., None] * red + (1 - share[..., None]) * blue
    discs = lifted(walls(), colours)
    own, (pixel, depth) = 300, CAMERA.project(discs.means)
    front = (torch.arange(len(discs)) >= own) & (pixel[:, 0].floor() == 10) & (depth < 1.5)
    assert int(front.sum()) == 15
    alpha, before = discs.opacity[front][:, None], discs.colours[front]
    behind = discs.colours[:own].view(15, 20, 3)[:, 10]
    torch.testing.assert_close(alpha, torch.full_like(alpha, 0.4), rtol=0, atol=0.03)
    torch.testing.assert_close(alpha * before + (1 - alpha) * behind, colours[:, 10], rtol=0, atol=0.01)
    assert float((before - red).abs().max()) < 0.05 and float((behind - blue).abs().max()) < 0.05


def test_unknown_pixels_lend_no_colour_and_show_nothing(wavy: Tensor) -> None:
    depth = wavy.clone()
    depth[4:9, 6:13], depth[14, 0] = 0, 0
    discs = lifted(depth)
    known = (depth > 0).flatten()
    assert known[discs.pixel].all()
    pixel, _ = CAMERA.project(discs.means)
    shown_in = (pixel.floor().long() * torch.tensor([1, 20])).sum(dim=1)
    assert (discs.opacity[~known[shown_in]] <= 1e-6).all()
    assert torch.equal(shown_in[: int(known.sum())], known.nonzero()[:, 0])


def test_opacity_of_a_soft_mask(wavy: Tensor) -> None:
    mask = torch.linspace(0.1, 2.0, 20).clamp(max=1).expand(15, 20)
    discs = lifted(wavy, opacity=mask)
    soft = mask.flatten() < 1
    torch.testing.assert_close(discs.opacity[soft], mask.flatten()[soft])
    assert (discs.opacity[~soft] >= 1).all()


def test_full_opacity_is_as_none_is_told() -> None:
    """Also where a surface goes on behind another one, solid for longer than opacities say."""
    plain, opaque = lifted(walls()), lifted(walls(), opacity=torch.ones_like(walls()))
    assert torch.equal(plain.opacity, opaque.opacity) and float(plain.opacity.max()) > 1


def test_a_rim_is_no_more_opaque_than_what_it_continues() -> None:
    depth = torch.zeros(15, 20)
    depth[4:10, 5:12] = 2.0
    discs = lifted(depth, opacity=torch.full((15, 20), 0.5))
    own = 42
    torch.testing.assert_close(discs.opacity[:own], torch.full((own,), 0.5))
    assert (discs.opacity[own:] <= 1e-6).all()


def test_one_pixel_and_none() -> None:
    depth = torch.zeros(15, 20)
    assert len(lifted(depth)) == 0
    depth[7, 11] = 3.0
    discs = lifted(depth)
    assert (discs.pixel == 7 * 20 + 11).all() and float(discs.opacity[0]) == 1 and (discs.opacity[1:] <= 1e-6).all()
    assert discs.means.isfinite().all() and discs.jacobians.isfinite().all()
