import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gainer_ns.errors import GainerError
from gainer_ns.frames import CAMERA_DISTANCE, PinholeCamera, PixelSpace
from gainer_ns.lifting.camera_paths import camera_path, orbit
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.lifting.views import CameraView, read_camera_path

CAMERA = PinholeCamera(48, 36, (60.0, 60.0), (22.5, 19.25))


def test_rays_of_the_photos_view_are_its_cameras() -> None:
    pixels = torch.rand(50, 2) * 40
    rays = CameraView(CAMERA).rays(pixels)
    torch.testing.assert_close(rays.origins, torch.tensor([[0, 0, CAMERA_DISTANCE]]).expand(50, 3))
    pixel, _ = CAMERA.project(rays.directions)
    torch.testing.assert_close(pixel, pixels, atol=1e-4, rtol=0)
    torch.testing.assert_close(rays.directions.norm(dim=1), torch.ones(50))


def test_rays_of_a_camera_path_are_nerfstudios(tmp_path: Path) -> None:
    from nerfstudio.cameras.camera_paths import get_path_from_json

    said = camera_path(orbit(5), CAMERA)
    (tmp_path / "orbit.json").write_text(json.dumps(said))
    path, cameras = read_camera_path(tmp_path / "orbit.json"), get_path_from_json(said)
    assert len(path.views) == 5
    for number, view in enumerate(path.views):
        coords = torch.tensor([[3.5, 4.5], [20.5, 40.5]])  # rows and columns
        expected = cameras.generate_rays(camera_indices=number, coords=coords)
        rays = view.rays(coords.flip(1))
        torch.testing.assert_close(rays.directions, expected.directions, atol=1e-6, rtol=0)
        torch.testing.assert_close(rays.origins, expected.origins, atol=1e-6, rtol=0)


def test_a_smaller_picture_is_the_mean_of_its_pixels(lifted_scene: Callable[..., LiftedScene]) -> None:
    scene = lifted_scene((1.0,), (16, 12, 32, 24))
    (rgb, alpha), (small, faint) = scene.raster(), scene.raster(0.5)
    mean = torch.nn.functional.avg_pool2d
    torch.testing.assert_close(mean(alpha.permute(2, 0, 1), 2)[0], faint[..., 0], atol=1e-5, rtol=0)
    weighed = mean((rgb * alpha).permute(2, 0, 1), 2).permute(1, 2, 0)
    torch.testing.assert_close(weighed, small * faint, atol=1e-5, rtol=0)


def test_crops_are_parts_of_the_picture(lifted_scene: Callable[..., LiftedScene]) -> None:
    scene, shares = lifted_scene(), []
    whole, part = scene.raster(2.0)[0], scene.raster(2.0, (10, 5, 20, 15), shares.append)[0]
    torch.testing.assert_close(part, whole[10:30, 20:40], atol=1e-6, rtol=0)
    assert shares[-1] == 1
    with pytest.raises(GainerError, match="outside"):
        scene.raster(1.0, (60, 0, 70, 5))


def test_an_opaque_scene_is_opaque(lifted_scene: Callable[..., LiftedScene]) -> None:
    assert float(lifted_scene().raster()[1].min()) == 1
    assert not lifted_scene().has_alpha and lifted_scene((1.0,), (16, 12, 32, 24)).has_alpha


def test_pixels_at_a_depth_are_the_photos_pixels() -> None:
    space, places = PixelSpace(CAMERA, 1.7), torch.rand(30, 3, dtype=torch.float64) * 40
    world = space.to_world(places)
    torch.testing.assert_close(space.from_world(world), places)
    pixel, depth = CAMERA.project(world - torch.tensor([0, 0, CAMERA_DISTANCE]))
    flat = torch.cat([places[:, :2], torch.zeros(30, 1)], dim=1)
    seen, at = CAMERA.project(space.to_world(flat) - torch.tensor([0, 0, CAMERA_DISTANCE]))
    torch.testing.assert_close(seen, places[:, :2])
    torch.testing.assert_close(at, torch.full_like(at, 1.7))
    torch.testing.assert_close(depth, 1.7 - places[:, 2] * space.pixel_size)
    assert bool((pixel[:, 0] != places[:, 0]).any())
    torch.testing.assert_close(torch.cdist(world, world), torch.cdist(places, places) * 1.7 / 60)
    step = space.to_world(places + torch.tensor([1.0, 2.0, 3.0])) - world
    torch.testing.assert_close(step[0], space.jacobian()[0] @ torch.tensor([1.0, 2, 3], dtype=torch.float64))
