"""A photo's surface goes on beyond its frame."""

from collections.abc import Callable

import torch
from torch import Tensor

from gainer_ns.frames import PinholeCamera
from gainer_ns.lifting.beyond_frame import frame_layer
from gainer_ns.lifting.rgbd_layers import RgbdLayer


def test_a_wall_and_its_colour_go_on(
    camera: PinholeCamera, rgbd_layer: Callable[..., RgbdLayer], centres: Callable[[PinholeCamera], Tensor]
) -> None:
    colours = torch.full((36, 48, 3), 0.3)
    made = frame_layer(rgbd_layer(colours, torch.full((36, 48), 2.0)), camera)
    assert made is not None
    layer, larger = made
    assert layer.depth.shape == (larger.height, larger.width) == (48, 60)
    beyond = layer.depth > 0
    assert bool(beyond[:6].all()) and not bool(beyond[20:28, 20:40].any()) and not bool(layer.seen.any())
    torch.testing.assert_close(layer.depth[beyond], torch.full_like(layer.depth[beyond], 2.0), rtol=1e-4, atol=0)
    torch.testing.assert_close(layer.colours[beyond], torch.full_like(layer.colours[beyond], 0.3), rtol=1e-4, atol=0)
    assert layer.origin is not None
    assert int(layer.origin[0, 0]) == 0 and int(layer.origin[-1, -1]) == 48 * 36 - 1
    ray = larger.rays(centres(larger))[6, 6]
    torch.testing.assert_close(ray, camera.rays(centres(camera))[0, 0])


def test_what_ends_in_nothing_does_not_go_on(camera: PinholeCamera, rgbd_layer: Callable[..., RgbdLayer]) -> None:
    assert frame_layer(rgbd_layer(torch.zeros(36, 48, 3), torch.zeros(36, 48)), camera) is None
