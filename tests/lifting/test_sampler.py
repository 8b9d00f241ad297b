"""Where samples lie: on the surfaces that rays cross, as long as their shells are thick; and what ever more samples of
nerfstudio's own samplers come to."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from nerfstudio.cameras.rays import RayBundle, RaySamples
from nerfstudio.field_components.field_heads import FieldHeadNames
from nerfstudio.model_components.ray_samplers import PDFSampler, UniformSampler
from nerfstudio.model_components.renderers import RGBRenderer
from torch import Tensor

from gainer_ns.frames import PinholeCamera, looking_from
from gainer_ns.lifting.crossings import NO_LAYER
from gainer_ns.lifting.field import LAYER_KEY
from gainer_ns.lifting.model import LiftModel
from gainer_ns.lifting.sampler import SurfaceSampler
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.lifting.views import CameraView

NORMAL = (0.4, -0.3, 1.0)


@pytest.fixture(scope="module")
def two_planes(camera: PinholeCamera, plane_depth: Any, colours_of: Any, lift: Any, rgbd_layer: Any) -> LiftModel:
    """One that leans in the left half of the photo, and one behind all of it."""
    near, far = plane_depth(camera, NORMAL, 1.0), plane_depth(camera, (0.0, 0.0, 1.0), 2.0)
    near[:, 24:] = 0
    return lift(camera, rgbd_layer(colours_of(camera), near), rgbd_layer(colours_of(camera), far))


def middles(samples: Any) -> Tensor:
    return ((samples.frustums.starts + samples.frustums.ends) / 2)[..., 0]


def rays_through(camera: PinholeCamera, pixels: list[tuple[float, float]]) -> RayBundle:
    directions = torch.nn.functional.normalize(camera.rays(torch.tensor(pixels)), dim=-1)
    origins = torch.tensor([0.0, 0.0, 1.0]).expand_as(directions)
    return RayBundle(origins, directions, pixel_area=torch.ones(len(pixels), 1))


def test_one_sample_on_each_surface(two_planes: LiftModel, camera: PinholeCamera) -> None:
    rays = rays_through(camera, [(10.25, 12.7), (40.3, 20.1)])
    samples = SurfaceSampler(0.01)(rays, two_planes.fitted().layers)
    assert samples.metadata is not None and samples.shape == (2, 4)
    assert samples.metadata[LAYER_KEY][..., 0].tolist() == [[0, *[NO_LAYER] * 3], [1, *[NO_LAYER] * 3]]
    first = -1.0 / (rays.directions[0] @ torch.tensor(NORMAL))
    second = -2.0 / rays.directions[1, 2]
    found = middles(samples)
    torch.testing.assert_close(found[:, 0], torch.stack([first, second]), rtol=1e-5, atol=0)
    assert (samples.deltas[samples.metadata[LAYER_KEY] == NO_LAYER] == 0).all()
    assert found.isfinite().all() and float(found.max()) < 10


@pytest.mark.parametrize("right", [0.0, 30.0, 70.0])
def test_opacity_is_the_same_at_any_angle(
    camera: PinholeCamera, colours_of: Any, lift: Any, rgbd_layer: Any, rays_from: Any, right: float
) -> None:
    veil = rgbd_layer(colours_of(camera), torch.full((36, 48), 2.0), torch.full((36, 48), 0.5))
    scene = lift(camera, veil, unit=2.0).fitted()
    rays = rays_from(camera, looking_from(right=right, above=0.0))
    seen = scene.outputs(rays, torch.zeros(3))["accumulation"]
    hit = seen > 0.45  # its frame fades out
    assert hit.any()
    torch.testing.assert_close(seen[hit], torch.full_like(seen[hit], 0.5), rtol=0, atol=1e-3)
    rays = rays[hit[:, 0]]
    rays.nears, rays.fars = torch.zeros(len(rays), 1), torch.full((len(rays), 1), 2.0)
    dense = integrated(scene, UniformSampler(num_samples=2048, train_stratified=False)(rays))[1].sum(dim=1)
    assert float((dense - 0.5).abs().median()) < 0.01


def integrated(scene: LiftedScene, samples: RaySamples) -> tuple[Tensor, Tensor]:
    """Colours over black, and weights, by nerfstudio's own renderer."""
    seen = scene.field(samples)
    weights = samples.get_weights(seen[FieldHeadNames.DENSITY])
    return RGBRenderer.combine_rgb(seen[FieldHeadNames.RGB], weights, torch.zeros(3)), weights


@pytest.fixture(scope="module")
def step(camera: PinholeCamera, colours_of: Any, lift: Any, rgbd_layer: Any) -> LiftedScene:
    """A photo with a nearer box in it, whose hidden background is made up."""
    depth = torch.full((36, 48), 2.0)
    depth[10:26, 15:33] = 1.2
    return lift(camera, rgbd_layer(colours_of(camera), depth), unit=2.0).fitted()


@pytest.mark.parametrize(("right", "least"), [(0.0, 38.0), (5.0, 30.0)])
def test_nerfstudios_samplers_come_to_what_surfaces_show(
    step: LiftedScene, camera: PinholeCamera, rays_from: Any, decibel: Any, right: float, least: float
) -> None:
    rays = rays_from(camera, looking_from(right=right, above=0.0))[::3]
    wanted = step.outputs(rays, torch.zeros(3))["rgb"]
    rays.nears, rays.fars = torch.zeros(len(rays), 1), torch.full((len(rays), 1), 1.3)
    samples = UniformSampler(num_samples=1024, train_stratified=False)(rays)
    uniform, weights = integrated(step, samples)
    assert decibel(uniform - wanted) > least
    torch.manual_seed(0)
    fewer = PDFSampler(num_samples=256, include_original=False, train_stratified=False)(rays, samples, weights)
    assert decibel(integrated(step, fewer)[0] - wanted) > least


def test_an_edited_photo_is_a_field_too(step: LiftedScene, camera: PinholeCamera, rays_from: Any, decibel: Any) -> None:
    """Turning the scene and the camera alike changes nothing."""
    pose = looking_from(right=20.0, above=10.0)
    matrix = pose[:, :3]
    shift = pose[:, 3] - matrix @ torch.tensor([0.0, 0.0, 1.0])
    turned = [
        layer.moved(layer.gaussians.transformed(layer.gaussians.means @ matrix.T + shift, matrix[None]))
        for layer in step.layers
    ]
    moved = replace(step, layers=tuple(turned))
    rays, straight = rays_from(camera, pose)[::7], rays_from(camera)[::7]
    for each in (rays, straight):
        each.nears, each.fars = torch.zeros(len(each), 1), torch.full((len(each), 1), 1.3)
    one, other = (
        integrated(scene, UniformSampler(num_samples=512, train_stratified=False)(each))[0]
        for scene, each in ((moved, rays), (step, straight))
    )
    assert decibel(one - other) > 35


def test_the_nearest_of_all_layers_come_first(two_planes: LiftModel, camera: PinholeCamera) -> None:
    rays = rays_through(camera, [(10.25, 12.7)])
    samples = SurfaceSampler(0.01)(rays, two_planes.fitted().layers[::-1])
    assert samples.metadata is not None
    assert samples.metadata[LAYER_KEY][0, 0].item() == 1
    assert (middles(samples).diff(dim=1) >= 0).all()


def test_nears_and_fars(two_planes: LiftModel, camera: PinholeCamera) -> None:
    rays = rays_through(camera, [(10.25, 12.7)] * 3)
    first = float(middles(SurfaceSampler(0.01)(rays, two_planes.fitted().layers))[0, 0])
    between = 0.5 * (first + 2.0)
    rays.nears, rays.fars = torch.tensor([[0.0], [between], [9.0]]), torch.tensor([[between], [9.0], [10.0]])
    samples = SurfaceSampler(0.01)(rays, two_planes.fitted().layers)
    assert samples.metadata is not None
    assert samples.metadata[LAYER_KEY][:, 0, 0].tolist() == [0, 1, NO_LAYER]
    assert (samples.metadata[LAYER_KEY][:, 1:] == NO_LAYER).all()


def test_rays_that_meet_nothing(two_planes: LiftModel) -> None:
    away = RayBundle(torch.zeros(3, 3), torch.tensor([[0.0, 0.0, 1.0]]).expand(3, 3), pixel_area=torch.ones(3, 1))
    samples = SurfaceSampler(0.01)(away, two_planes.fitted().layers)
    assert samples.metadata is not None and (samples.metadata[LAYER_KEY] == NO_LAYER).all()
    assert middles(samples).isfinite().all() and (samples.deltas == 0).all()


def test_a_part_answers_for_itself_whatever_the_whole_was_asked(two_planes: LiftModel, camera: PinholeCamera) -> None:
    layer, photo = two_planes.fitted().layers[1], CameraView(camera)
    rays = rays_through(camera, [(30.5, 12.5), (40.3, 20.1), (10.2, 9.9)])
    points = rays.origins + rays.directions * (-2.0 / rays.directions[:, 2:])
    right, opacities = layer.pixels % camera.width >= 24, torch.ones(len(layer))
    alone = layer.part(right, opacities).near(points, rays.directions, 0.01, photo)
    whole = layer.near(points, rays.directions, 0.01, photo)
    again = layer.part(right, opacities).near(points, rays.directions, 0.01, photo)
    assert torch.equal(again.discs, alone.discs) and torch.equal(again.gaps, alone.gaps)
    assert not torch.equal(whole.discs, alone.discs), "a part has numbers of its own"
