"""Control grids of maps of pixels."""

from collections.abc import Hashable

import pytest
import torch
from torch import Tensor

from gainer_ns.editing import deformations
from gainer_ns.frames import ImagePlane
from gainer_ns.motion.sampling import STEPS_PX, sampled_grid, steps_within

PLANE = ImagePlane(96, 64)
BOX = (-1.0, -1.0, 97.0, 65.0)


@pytest.mark.parametrize(
    ("period", "step"), [(200.0, STEPS_PX[0]), (30.0, STEPS_PX[1]), (7.0, STEPS_PX[-1])], ids=["long", "short", "tiny"]
)
def test_a_grid_is_as_fine_as_the_map_needs(period: float, step: float) -> None:
    def waves(points: Tensor, key: Hashable) -> Tensor:
        return deformations.wave(points, 2.0, period)

    grid, is_rough = sampled_grid(waves, PLANE, PLANE, BOX)
    assert not is_rough and grid.step == pytest.approx((step / 96, -step / 96))
    pixels = 64 * torch.rand(200, 2).double()
    moved = PLANE.pixel_from_plane(grid.at(PLANE.plane_from_pixel(pixels)))
    apart = (moved - waves(pixels, None)).norm(dim=1)
    assert float(apart.square().mean().sqrt()) < (0.02 if step > STEPS_PX[-1] else 0.2)


def test_the_canvas_may_be_another() -> None:
    canvas = ImagePlane(200, 300)
    grid, _ = sampled_grid(lambda points, key: 2 * points + 5, PLANE, canvas, BOX)
    pixels = torch.tensor([[10.0, 20.0], [95.5, 0.5]]).double()
    moved = canvas.pixel_from_plane(grid.at(PLANE.plane_from_pixel(pixels)))
    torch.testing.assert_close(moved, 2 * pixels + 5, rtol=0, atol=1e-3)


def test_the_same_key_stands_for_the_same_pixels() -> None:
    seen: dict[Hashable, Tensor] = {}

    def move(points: Tensor, key: Hashable) -> Tensor:
        assert torch.equal(seen.setdefault(key, points), points)
        return deformations.wave(points, 3.0, 5.0)

    for _ in range(2):
        sampled_grid(move, PLANE, PLANE, BOX)
    assert len(seen) == 2 * len(STEPS_PX) - 1


@pytest.mark.parametrize("max_nodes", [200, 1000, 10_000])
def test_there_are_no_more_nodes_than_asked_for(max_nodes: int) -> None:
    def waves(points: Tensor, key: Hashable) -> Tensor:
        return deformations.wave(points, 2.0, 7.0)

    steps = steps_within(BOX, max_nodes)
    grid, is_rough = sampled_grid(waves, PLANE, PLANE, BOX, steps)
    assert grid.nodes.shape[0] * grid.nodes.shape[1] <= max_nodes
    assert is_rough == (steps[-1] > STEPS_PX[-1])
