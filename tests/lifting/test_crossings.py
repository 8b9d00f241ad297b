"""Where rays meet the triangles between discs: drawn, or followed one by one, they meet the same."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from gainer_ns.frames import PinholeCamera, looking_from
from gainer_ns.lifting.crossings import Crossings
from gainer_ns.lifting.sampler import crossings_of
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.lifting.views import CameraView

Make = Callable[..., LiftedScene]


def drawn(scene: LiftedScene, view: CameraView) -> Crossings:
    rays = view.all_rays(scene.device)
    found = Crossings(len(rays), scene.device)
    for number, layer in enumerate(scene.layers):
        found.draw(view, layer.surface, layer.states, number)
    found.stretched(-1 / (rays.directions * view.pose[:, 2]).sum(dim=1))
    return found


@pytest.mark.parametrize("right", [0.0, 4.0, 170.0])
def test_drawn_and_followed_rays_meet_the_same(lifted_scene: Make, right: float) -> None:
    scene = lifted_scene((1.0, 1.5, 1.7), (10, 8, 30, 25))
    view = CameraView(scene.camera, looking_from(right=right, above=2.0))
    one, other = drawn(scene, view), crossings_of(view.all_rays(scene.device), scene.layers)
    assert float(one.crossed.float().mean()) > 0.2
    same = one.crossed == other.crossed
    assert float(same.float().mean()) > 0.999  # a ray may just meet, or just miss, a border
    both = one.crossed & other.crossed
    torch.testing.assert_close(one.nearness[both], other.nearness[both], rtol=1e-5, atol=0)
    places = [layered(scene, found)[both] for found in (one, other)]
    torch.testing.assert_close(*places, rtol=0, atol=2e-3)


def layered(scene: LiftedScene, found: Crossings) -> torch.Tensor:
    """Pixels of the photo that rays have met, beside the numbers of the layers, [m, h, 3]."""
    result = torch.zeros(*found.discs.shape, 3)
    for number, layer in enumerate(scene.layers):
        mine = found.crossed & (found.layers == number)
        centres, _ = scene.camera.project(layer.gaussians.means - torch.tensor([0.0, 0.0, 1.0]))
        result[mine] = torch.cat(
            [centres[found.discs[mine].long()] + found.steps[mine], torch.full((int(mine.sum()), 1), number)], dim=1
        )
    return result


def test_the_photos_own_rays_meet_its_discs(lifted_scene: Make) -> None:
    scene = lifted_scene()
    found = drawn(scene, CameraView(scene.camera))
    assert (found.discs[:, 0] == torch.arange(48 * 36)).all() and float(found.steps[:, 0].abs().max()) < 1e-3


def test_nothing_is_met_behind_what_is_solid(lifted_scene: Make) -> None:
    scene = lifted_scene((1.0, 1.5))
    for found in (drawn(scene, CameraView(scene.camera)), drawn_backwards(scene)):
        assert found.crossed[:, 0].all() and not found.crossed[:, 1:].any()
        torch.testing.assert_close(found.nearness[18 * 48 + 24, 0], torch.tensor(1.0), rtol=1e-3, atol=0)


def drawn_backwards(scene: LiftedScene) -> Crossings:
    return drawn(replace(scene, layers=scene.layers[::-1]), CameraView(scene.camera))


def test_what_an_edit_tears_is_not_drawn(lifted_scene: Make) -> None:
    scene = lifted_scene()
    (layer,) = scene.layers
    gaussians = layer.gaussians
    right = layer.pixel_centres(48)[:, 0] > 24
    apart = replace(gaussians, means=gaussians.means + 0.2 * right[:, None] * torch.tensor([1.0, 0.0, 0.0]))
    torn = replace(scene, layers=(layer.moved(apart),))
    seen = torn.seen_by(CameraView(scene.camera), torch.zeros(3))["accumulation"].view(36, 48)
    assert float(seen[:, 25:34].max()) == 0 and float(seen[:, :23].min()) > 0.99


def test_a_stretched_surface_stays_closed(lifted_scene: Make) -> None:
    scene = lifted_scene()
    (layer,) = scene.layers
    gaussians, wide = layer.gaussians, torch.diag(torch.tensor([20.0, 20.0, 1.0]))
    wider = gaussians.transformed(gaussians.means * torch.tensor([20.0, 20.0, 1.0]), wide[None])
    seen = replace(scene, layers=(layer.moved(wider),)).seen_by(CameraView(scene.camera), torch.zeros(3))
    assert float(seen["accumulation"].min()) > 0.999


def test_a_camera_inside_and_one_that_looks_away(lifted_scene: Make) -> None:
    scene = lifted_scene()
    away = looking_from(right=180.0, above=0.0)
    away[2, 3] = 1.5
    inside = looking_from(right=90.0, above=0.0)
    inside[:, 3] = torch.tensor([0.0, 0.0, 1e-4])
    camera = PinholeCamera.centred(20, 10, 15.0)
    for pose in (away, inside):
        seen = scene.seen_by(CameraView(camera, pose), torch.ones(3))
        assert all(bool(value.isfinite().all()) for value in seen.values())
    assert float(scene.seen_by(CameraView(camera, away), torch.ones(3))["accumulation"].max()) == 0
