"""A photo's surface goes on beyond its frame."""

from collections.abc import Callable

import torch
from torch import Tensor

from gainer_ns.frames import PinholeCamera
from gainer_ns.lifting.beyond_frame import frame_layer
from gainer_ns.lifting.matting import matte
from gainer_ns.lifting.rgbd_layers import RgbdLayer
from gainer_ns.lifting.surface import continue_edges, fit_surface


def beyond(layer: RgbdLayer, camera: PinholeCamera) -> tuple[RgbdLayer, PinholeCamera] | None:
    surface = fit_surface(layer.depth, camera.focal_length[0])
    return frame_layer(layer, surface, matte(layer.colours.double(), surface, continue_edges(surface)), camera)


def test_a_wall_and_its_colour_go_on(
    camera: PinholeCamera, rgbd_layer: Callable[..., RgbdLayer], centres: Callable[[PinholeCamera], Tensor]
) -> None:
    colours = torch.full((36, 48, 3), 0.3)
    made = beyond(rgbd_layer(colours, torch.full((36, 48), 2.0)), camera)
    assert made is not None
    layer, larger = made
    assert layer.depth.shape == (larger.height, larger.width) == (48, 60)
    there = layer.depth > 0
    assert bool(there[:6].all()) and not bool(there[20:28, 20:40].any()) and not bool(layer.seen.any())
    torch.testing.assert_close(layer.depth[there], torch.full_like(layer.depth[there], 2.0), rtol=3e-3, atol=0)
    torch.testing.assert_close(layer.colours[there], torch.full_like(layer.colours[there], 0.3), rtol=1e-4, atol=0)
    assert layer.origin is not None
    assert int(layer.origin[0, 0]) == 0 and int(layer.origin[-1, -1]) == 48 * 36 - 1
    ray = larger.rays(centres(larger))[6, 6]
    torch.testing.assert_close(ray, camera.rays(centres(camera))[0, 0])


def test_a_border_that_is_not_of_the_scene_does_not_go_on(
    camera: PinholeCamera, rgbd_layer: Callable[..., RgbdLayer]
) -> None:
    colours = torch.full((36, 48, 3), 0.3)
    colours[-1], colours[:, 0], colours[:, -2:] = 0.0, 1.0, 0.0
    made = beyond(rgbd_layer(colours, torch.full((36, 48), 2.0)), camera)
    assert made is not None
    shown = made[0].colours[made[0].depth > 0]
    torch.testing.assert_close(shown, torch.full_like(shown, 0.3), rtol=1e-4, atol=0)


def test_what_ends_in_nothing_does_not_go_on(camera: PinholeCamera, rgbd_layer: Callable[..., RgbdLayer]) -> None:
    assert beyond(rgbd_layer(torch.zeros(36, 48, 3), torch.zeros(36, 48)), camera) is None


def test_what_ends_by_itself_does_not_go_on(camera: PinholeCamera, rgbd_layer: Callable[..., RgbdLayer]) -> None:
    depth = torch.zeros(36, 48)
    depth[10:20, 10:30] = 2.0
    assert beyond(rgbd_layer(torch.zeros(36, 48, 3), depth), camera) is None
