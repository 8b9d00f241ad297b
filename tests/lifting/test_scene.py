"""What rays see of a lifted photo, beside surfaces whose truth is a formula."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from gainer_ns.frames import PinholeCamera, looking_from
from gainer_ns.lifting.model import LiftModel
from gainer_ns.lifting.scene import LiftedScene

NORMAL, HEIGHT, UNIT = (0.3, 0.1, 1.0), 2.0, 2.0
BALL = (0.05, -0.1, -2.0), 0.7
BLUE = torch.tensor([0.0, 0.0, 1.0])
NOVEL = {"photo": None, "right": looking_from(right=10.0, above=-5.0), "above": looking_from(right=-4.0, above=12.0)}
views = pytest.mark.parametrize("pose", NOVEL.values(), ids=NOVEL)

Rays = Callable[..., RayBundle]


@pytest.fixture(scope="module")
def large() -> PinholeCamera:
    return PinholeCamera.centred(96, 72, 100.0)


@pytest.fixture(scope="module")
def plane(camera: PinholeCamera, plane_depth: Any, colours_of: Any, lift: Any, rgbd_layer: Any) -> LiftedScene:
    return lift(camera, rgbd_layer(colours_of(camera), plane_depth(camera, NORMAL, HEIGHT)), unit=UNIT).fitted()


@pytest.fixture(scope="module")
def ball(large: PinholeCamera, sphere_depth: Any, colours_of: Any, lift: Any, rgbd_layer: Any) -> LiftedScene:
    return lift(large, rgbd_layer(colours_of(large), sphere_depth(large, *BALL)), unit=UNIT).fitted()


def in_depths(rays: RayBundle) -> tuple[Tensor, Tensor]:
    """Origins and directions in the axes of the photo's camera and the units of its depth, double."""
    return (rays.origins.double() - torch.tensor([0.0, 0.0, 1.0])) * UNIT, rays.directions.double() * UNIT


def distance_of_plane(rays: RayBundle) -> Tensor:
    origins, directions = in_depths(rays)
    normal = torch.tensor(NORMAL, dtype=torch.float64)
    return ((-HEIGHT - origins @ normal) / (directions @ normal))[:, None].float()


def distance_of_ball(rays: RayBundle) -> tuple[Tensor, Tensor]:
    """And how far from the ball's middle rays pass by, in its radius."""
    origins, directions = in_depths(rays)
    middle, radius = torch.tensor(BALL[0], dtype=torch.float64) - origins, BALL[1]
    a, b = directions.square().sum(dim=-1), (directions * middle).sum(dim=-1)
    root = b.square() - a * (middle.square().sum(dim=-1) - radius**2)
    passes = (middle.square().sum(dim=-1) - b.square() / a).sqrt() / radius
    return ((b - root.clamp(min=0).sqrt()) / a)[:, None].float(), passes[:, None].float()


@views
def test_depth_of_a_plane(plane: LiftedScene, camera: PinholeCamera, rays_from: Rays, pose: Tensor | None) -> None:
    rays = rays_from(camera, pose)
    outputs = plane.outputs(rays, BLUE)
    inside = outputs["accumulation"] > 0.999
    assert float(inside.float().mean()) > (0.999 if pose is None else 0.7)
    for name in ("depth", "median_depth"):
        error = outputs[name] / distance_of_plane(rays) - 1
        assert float(error[inside].abs().max()) < 1e-4, name


@views
def test_depth_of_a_ball(ball: LiftedScene, large: PinholeCamera, rays_from: Rays, pose: Tensor | None) -> None:
    rays = rays_from(large, pose)
    outputs, (distance, passes) = ball.outputs(rays, BLUE), distance_of_ball(rays)
    inside = (passes < 0.9) & (outputs["accumulation"] > 0.99)
    assert float(inside.float().mean()) > 0.9 * float((passes < 0.9).float().mean())
    error = (outputs["depth"] / distance - 1).abs()[inside]
    assert float(error.median()) < 0.002 and float(error.quantile(0.95)) < 0.005
    assert (outputs["accumulation"][passes > 1.1] < 0.02).all()


def test_the_photo_from_where_it_was_taken(
    plane: LiftedScene, camera: PinholeCamera, rays_from: Rays, colours_of: Any, decibel: Any
) -> None:
    outputs = plane.outputs(rays_from(camera), BLUE)
    assert decibel(outputs["rgb"] - colours_of(camera).view(-1, 3)) > 60
    assert float(outputs["accumulation"].min()) > 0.9999


def test_what_is_made_up_hides_nothing_and_leaves_no_hole(
    camera: PinholeCamera, plane_depth: Any, colours_of: Any, lift: Any, rgbd_layer: Any, rays_from: Rays
) -> None:
    """A board before a leaning plane: from the photo's place as without, from 8 degrees to the side full."""
    depth = plane_depth(camera, NORMAL, HEIGHT)
    depth[10:26, 15:33] = 1.4
    layer = rgbd_layer(colours_of(camera), depth)
    bare, full = (lift(camera, layer, unit=UNIT, behind_edges=up).fitted() for up in (False, True))
    one, other = (scene.outputs(rays_from(camera), BLUE) for scene in (bare, full))
    for name in ("rgb", "depth", "accumulation"):
        assert float((one[name] - other[name]).abs().max()) < 0.01, name
    for right in (-8.0, 8.0):
        seen = full.outputs(rays_from(camera, looking_from(right=right, above=0.0)), BLUE)
        assert float((seen["accumulation"] < 0.5).float().mean()) < 0.005


def test_the_photo_of_a_ball(
    ball: LiftedScene, large: PinholeCamera, rays_from: Rays, colours_of: Any, sphere_depth: Any, decibel: Any
) -> None:
    outputs = ball.outputs(rays_from(large), BLUE)
    lifted = (sphere_depth(large, *BALL) > 0).flatten()
    assert decibel((outputs["rgb"] - colours_of(large).view(-1, 3))[lifted]) > 40
    assert float(outputs["accumulation"][lifted].mean()) > 0.995
    assert float(outputs["accumulation"][~lifted].max()) < 0.05
    assert float(outputs["accumulation"][~lifted].mean()) < 0.001


def test_a_step_from_the_photo(
    camera: PinholeCamera, colours_of: Any, lift: Any, rgbd_layer: Any, rays_from: Rays, decibel: Any
) -> None:
    depth, photo = torch.full((36, 48), 2.0), colours_of(camera)
    depth[10:26, 15:33] = 1.2
    photo[10:26, 15:33] = 0.3 * photo[10:26, 15:33] + 0.7 * torch.tensor([1.0, 0.0, 0.0])  # seen in its colours too
    outputs = lift(camera, rgbd_layer(photo, depth), unit=UNIT).fitted().outputs(rays_from(camera), BLUE)
    error = (outputs["depth"] * rays_from(camera).directions[:, 2:].abs() * UNIT).view(36, 48) / depth - 1
    edge = torch.zeros(36, 48, dtype=torch.bool)
    edge[8:28, 13:35], edge[12:24, 17:31] = True, False
    assert float(error[~edge].abs().max()) < 0.005 and float((error.abs() < 0.01).float().mean()) > 0.95
    assert decibel(outputs["rgb"] - photo.view(-1, 3)) > 40
    assert float(outputs["accumulation"].min()) > 0.99


@views
def test_nothing_floats_before_a_surface(
    ball: LiftedScene, large: PinholeCamera, rays_from: Rays, pose: Tensor | None
) -> None:
    rays = rays_from(large, pose)
    distance, passes = distance_of_ball(rays)
    whole = (passes < 0.9)[:, 0]  # beyond, a pixel's width along the ray is none across the surface
    clear = distance * (1 - 1.5 / large.focal_length[0])  # a pixel and a half before it
    for share in (0.5, 0.9, 1.0):
        part = rays[whole]
        part.nears, part.fars = torch.zeros_like(distance[whole]), share * clear[whole]
        assert float((ball.outputs(part, BLUE)["accumulation"] < 0.02).float().mean()) > 0.995
    hit = rays[(passes < 1)[:, 0]]
    hit.nears, hit.fars = torch.zeros(len(hit), 1), torch.rand(len(hit), 1) * clear[passes < 1][:, None]
    assert float((ball.outputs(hit, BLUE)["accumulation"] < 0.02).float().mean()) > 0.995


def test_no_sheet_joins_what_a_step_parts(camera: PinholeCamera, colours_of: Any, lift: Any, rgbd_layer: Any) -> None:
    depth = torch.full((36, 48), 4.0)
    depth[:, :24] = 1.0
    scene = lift(camera, rgbd_layer(colours_of(camera), depth)).fitted()
    # Rays from left to right, between the two walls, over all heights.
    y, z = torch.meshgrid(torch.linspace(-1, 1, 21), torch.linspace(-2.7, -0.3, 25), indexing="xy")
    origins = torch.stack([torch.full_like(y, -8.0), y, z], dim=-1).view(-1, 3)
    rays = RayBundle(origins, torch.tensor([[1.0, 0.0, 0.0]]).expand_as(origins), torch.ones(len(origins), 1))
    assert (scene.outputs(rays, BLUE)["accumulation"] == 0).all()


@pytest.fixture(scope="module")
def layered(camera: PinholeCamera, colours_of: Any, lift: Any, rgbd_layer: Any) -> Callable[[float], LiftModel]:
    """``layered(opacity)``: a red square of that opacity, 1.2 away, before the photo, 2 away."""

    def model(opacity: float) -> LiftModel:
        front = torch.zeros(36, 48)
        front[10:26, 15:33] = 1.2
        red = torch.tensor([0.8, 0.1, 0.1]).expand(36, 48, 3)
        back = rgbd_layer(colours_of(camera), torch.full((36, 48), 2.0))
        return lift(camera, rgbd_layer(red, front, opacity * (front > 0)), back, unit=UNIT)

    return model


@pytest.mark.parametrize("opacity", [1.0, 0.5])
@pytest.mark.parametrize("turned", [False, True])
def test_the_front_hides_the_back(
    layered: Any, camera: PinholeCamera, rays_from: Rays, colours_of: Any, opacity: float, turned: bool
) -> None:
    scene = layered(opacity).fitted()
    if turned:  # the order of layers is none of depth
        scene = replace(scene, layers=scene.layers[::-1])
    outputs = {name: value.view(36, 48, -1) for name, value in scene.outputs(rays_from(camera), BLUE).items()}
    photo, red = colours_of(camera), torch.tensor([0.8, 0.1, 0.1])
    inside = outputs["rgb"][12:24, 17:31]
    torch.testing.assert_close(
        inside, opacity * red + (1 - opacity) * photo[12:24, 17:31], rtol=0, atol=0.005 + 0.01 * (1 - opacity)
    )
    around = torch.ones(36, 48, dtype=torch.bool)
    around[8:28, 13:35] = False
    torch.testing.assert_close(outputs["rgb"][around], photo[around], rtol=0, atol=0.002)
    assert float(outputs["accumulation"].min()) > 0.999
    slant = rays_from(camera).directions[:, 2].abs().view(36, 48, 1)
    depth = (outputs["depth"] * slant * UNIT)[12:24, 17:31]
    torch.testing.assert_close(depth, torch.full_like(depth, 1.2 * opacity + 2 * (1 - opacity)), rtol=5e-3, atol=0)


def test_a_veil_before_nothing(layered: Any, camera: PinholeCamera, rays_from: Rays) -> None:
    scene = layered(0.5).fitted()
    scene = replace(scene, layers=scene.layers[:1])
    outputs = {name: value.view(36, 48, -1) for name, value in scene.outputs(rays_from(camera), BLUE).items()}
    inside = outputs["accumulation"][12:24, 17:31]
    torch.testing.assert_close(inside, torch.full_like(inside, 0.5), rtol=0, atol=0.005)
    blended = 0.5 * torch.tensor([0.8, 0.1, 0.1]) + 0.5 * BLUE
    torch.testing.assert_close(outputs["rgb"][12:24, 17:31], blended.expand(12, 14, 3), rtol=0, atol=0.005)
    assert (outputs["accumulation"][0] == 0).all() and (outputs["rgb"][0] == BLUE).all()


def test_looking_away_shows_the_background(plane: LiftedScene, camera: PinholeCamera, rays_from: Rays) -> None:
    pose = looking_from(right=180.0, above=0.0)
    pose[2, 3] = 1.5
    outputs = plane.outputs(rays_from(camera, pose), BLUE)
    assert (outputs["accumulation"] == 0).all() and (outputs["rgb"] == BLUE).all()
    assert outputs["depth"].isfinite().all() and outputs["median_depth"].isfinite().all()


def test_from_behind_it_is_mirrored(
    camera: PinholeCamera, colours_of: Any, lift: Any, rgbd_layer: Any, rays_from: Rays, decibel: Any
) -> None:
    centred = PinholeCamera.centred(48, 36, 60.0)
    scene = lift(centred, rgbd_layer(colours_of(centred), torch.full((36, 48), 2.0)), unit=UNIT).fitted()
    behind = scene.outputs(rays_from(centred, looking_from(right=180.0, above=0.0)), BLUE)
    assert (behind["accumulation"] > 0.99).all()
    assert decibel(behind["rgb"].view(36, 48, 3).flip(1) - colours_of(centred)) > 40


def test_rays_without_and_with_bounds_see_the_same(plane: LiftedScene, camera: PinholeCamera, rays_from: Rays) -> None:
    free, bounded = rays_from(camera), rays_from(camera)
    bounded.nears, bounded.fars = torch.zeros(len(bounded), 1), torch.full((len(bounded), 1), 50.0)
    one, other = plane.outputs(free, BLUE), plane.outputs(bounded, BLUE)
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_no_discs(camera: PinholeCamera, rays_from: Rays, colours_of: Any, lift: Any, rgbd_layer: Any) -> None:
    nothing = lift(camera, rgbd_layer(colours_of(camera), torch.zeros(36, 48)), finish_steps=0).fitted()
    outputs = nothing.outputs(rays_from(camera), BLUE)
    assert (outputs["accumulation"] == 0).all() and (outputs["rgb"] == BLUE).all() and outputs["depth"].isfinite().all()


def test_moved_discs_are_seen_where_they_went(
    plane: LiftedScene, camera: PinholeCamera, rays_from: Rays, decibel: Any
) -> None:
    """Turning the scene and the camera alike changes nothing."""
    (layer,), pose = plane.layers, looking_from(right=35.0, above=20.0)
    back = torch.eye(4)[:3].clone()
    back[2, 3] = 1.0
    matrix = pose[:, :3]
    shift = pose[:, 3] - matrix @ back[:, 3]
    gaussians = layer.gaussians.transformed(layer.gaussians.means @ matrix.T + shift, matrix[None])
    moved = replace(plane, layers=(layer.moved(gaussians),))
    one, other = plane.outputs(rays_from(camera), BLUE), moved.outputs(rays_from(camera, pose), BLUE)
    assert decibel(one["rgb"] - other["rgb"]) > 50
    torch.testing.assert_close(one["depth"], other["depth"], rtol=1e-3, atol=0)


def test_opacities_and_pixels_of_a_layer(plane: LiftedScene, ball: LiftedScene) -> None:
    assert torch.equal(plane.layers[0].pixels.long(), torch.arange(48 * 36))
    assert float(plane.layers[0].opacities.min()) > 0.95
    opacities = ball.layers[0].opacities
    assert float(opacities.max()) >= 1 and float(opacities.min()) < -0.5
