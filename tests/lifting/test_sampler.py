"""Where samples lie: on the smooth surface that discs are tangent to, as long as its shell is thick."""

from typing import Any

import pytest
import torch
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from gainer_ns.fields.gainer_field import SHELL_THICKNESSES
from gainer_ns.frames import PinholeCamera, looking_from
from gainer_ns.lifting.discs import DISC_THICKNESS_PX
from gainer_ns.lifting.model import LiftModel
from gainer_ns.lifting.sampler import LAYER_KEY, NO_LAYER, SurfaceSampler

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
    samples = SurfaceSampler(4)(rays, two_planes.fitted().layers)
    assert samples.metadata is not None and samples.shape == (2, 4)
    assert samples.metadata[LAYER_KEY][..., 0].tolist() == [
        [0, 1, NO_LAYER, NO_LAYER],
        [1, NO_LAYER, NO_LAYER, NO_LAYER],
    ]
    first = -1.0 / (rays.directions[0] @ torch.tensor(NORMAL))
    second = -2.0 / rays.directions[:, 2]
    found = middles(samples)
    torch.testing.assert_close(found[0, 0], first, rtol=1e-5, atol=0)
    torch.testing.assert_close(torch.stack([found[0, 1], found[1, 0]]), second, rtol=1e-5, atol=0)
    assert (samples.deltas[samples.metadata[LAYER_KEY] == NO_LAYER] == 0).all()
    assert found.isfinite().all() and float(found.max()) < 10


@pytest.mark.parametrize("right", [0.0, 30.0, 70.0])
def test_length_is_the_shells_thickness_at_any_angle(
    two_planes: LiftModel, camera: PinholeCamera, rays_from: Any, right: float
) -> None:
    rays = rays_from(camera, looking_from(right=right, above=0.0))
    samples = SurfaceSampler(1)(rays, two_planes.fitted().layers[1:])
    assert samples.metadata is not None and samples.deltas is not None
    hit = samples.metadata[LAYER_KEY] == 0
    assert hit.any()
    pixel = 2.0 / 60.0
    lengths = samples.deltas[hit]
    torch.testing.assert_close(
        lengths, torch.full_like(lengths, SHELL_THICKNESSES * DISC_THICKNESS_PX * pixel), rtol=1e-3, atol=0
    )


def test_samples_lie_on_the_surface_and_not_on_its_discs(
    camera: PinholeCamera, sphere_depth: Any, colours_of: Any, lift: Any, rgbd_layer: Any, rays_from: Any
) -> None:
    middle, radius = (0.0, 0.0, -1.2), 0.8
    layer = lift(camera, rgbd_layer(colours_of(camera), sphere_depth(camera, middle, radius))).fitted().layers[0]
    rays = rays_from(camera, looking_from(right=6.0, above=2.0))
    samples = SurfaceSampler(1)(rays, [layer])
    assert samples.metadata is not None
    hit = (samples.metadata[LAYER_KEY] == 0)[:, 0, 0]
    points = rays.origins[hit] + middles(samples)[hit] * rays.directions[hit]
    reading = layer.field.read(points)
    count = torch.zeros(len(rays.origins)), torch.full((len(rays.origins),), 1e10)
    flat = layer.tree.crossings(rays.origins, rays.directions, *count, 1)[hit]
    on_discs = layer.field.read(rays.origins[hit] + flat * rays.directions[hit])
    assert float(reading.offsets.abs().quantile(0.9)) < 0.3 * float(on_discs.offsets.abs().quantile(0.9))


def test_the_nearest_of_all_layers_are_kept(two_planes: LiftModel, camera: PinholeCamera) -> None:
    rays = rays_through(camera, [(10.25, 12.7)])
    backwards = two_planes.fitted().layers[::-1]
    samples = SurfaceSampler(2)(rays, backwards)
    only = SurfaceSampler(1)(rays, backwards)
    assert samples.metadata is not None and only.metadata is not None
    assert samples.metadata[LAYER_KEY].flatten().tolist() == [1, 0] and only.metadata[LAYER_KEY].flatten().tolist() == [
        1
    ]
    assert (middles(samples).diff(dim=1) > 0).all()


def test_nears_and_fars(two_planes: LiftModel, camera: PinholeCamera) -> None:
    rays = rays_through(camera, [(10.25, 12.7)] * 3)
    distance = middles(SurfaceSampler(2)(rays, two_planes.fitted().layers))[0]
    between = float(distance.mean())
    rays.nears, rays.fars = torch.tensor([[0.0], [between], [9.0]]), torch.tensor([[between], [9.0], [10.0]])
    samples = SurfaceSampler(2)(rays, two_planes.fitted().layers)
    assert samples.metadata is not None
    assert samples.metadata[LAYER_KEY][..., 0].tolist() == [[0, NO_LAYER], [1, NO_LAYER], [NO_LAYER, NO_LAYER]]


def test_rays_that_meet_nothing(two_planes: LiftModel) -> None:
    away = RayBundle(torch.zeros(3, 3), torch.tensor([[0.0, 0.0, 1.0]]).expand(3, 3), pixel_area=torch.ones(3, 1))
    samples = SurfaceSampler(4)(away, two_planes.fitted().layers)
    assert samples.metadata is not None and (samples.metadata[LAYER_KEY] == NO_LAYER).all()
    assert middles(samples).isfinite().all() and (samples.deltas == 0).all()
