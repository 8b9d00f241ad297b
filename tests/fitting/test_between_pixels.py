"""Points between the pixels, and the colours that are wanted there."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gainer_ns.fitting.between_pixels import PointsBetweenPixels
from gainer_ns.frames import ImagePlane


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 20), st.integers(3, 20), st.integers(0, 2**31))
def test_each_pixel_has_one_point_and_none_is_beyond_the_outermost_centres(width: int, height: int, seed: int) -> None:
    plane = ImagePlane(width, height)
    pixels = torch.arange(plane.pixels)
    points, _ = PointsBetweenPixels(plane, torch.rand(height, width, 3), pixels).draw(seed)
    assert torch.equal(plane.pixel_at(points), pixels)
    at = plane.pixel_from_plane(points.double())
    assert bool((at >= 0.5 - 1e-4).all())
    assert bool((at <= torch.tensor([width, height]) - 0.5 + 1e-4).all())


def test_a_ramp_has_its_own_colours_there() -> None:
    plane = ImagePlane(60, 40)
    x, y = np.meshgrid(np.arange(60) + 0.5, np.arange(40) + 0.5)
    ramp = torch.from_numpy(np.stack([x, y, 0 * x + 50], axis=-1) / 100).float()
    inner = (torch.from_numpy((x > 22) & (x < 38) & (y > 15) & (y < 25))).flatten().nonzero()[:, 0]
    points, colours = PointsBetweenPixels(plane, ramp, inner).draw(0)
    expected = plane.pixel_from_plane(points.double()) / 100
    assert len(points) == len(inner)
    assert torch.allclose(colours[:, :2].double(), expected, atol=1e-5)
    assert torch.allclose(colours[:, 2], torch.full((len(inner),), 0.5))


def test_other_draws_are_other_points_and_the_same_seed_draws_the_same() -> None:
    plane = ImagePlane(9, 7)
    between = PointsBetweenPixels(plane, torch.rand(7, 9, 3), torch.arange(63))
    first, again, other = between.draw(1), between.draw(1), between.draw(2)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
