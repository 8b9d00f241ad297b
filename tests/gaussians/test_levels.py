"""Gaussians as whole multiples of steps."""

from dataclasses import replace

import pytest
import torch

from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.levels import gaussians_of, levels_found, numbers_of, rounded, steps_of

PLANE = ImagePlane(90, 60)
EXPONENTS = [-9, -9, -12, -8, -12, -20, -20, -20, -17, -17, -17, -17]


def some_gaussians(seed: int, count: int = 40, thinness: float = 1.0) -> GaussianSet:
    generator = torch.Generator().manual_seed(seed)
    places = torch.rand(count, 2, generator=generator, dtype=torch.float64) * torch.tensor([90.0, 60.0])
    rest = torch.randn(count, 10, generator=generator, dtype=torch.float64)
    rest[:, 1] *= 3 * thinness
    return gaussians_of(torch.cat([places, rest], dim=1), 0.3, PLANE, 3)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_numbers_are_those_of_the_gaussians(seed: int) -> None:
    gaussians = some_gaussians(seed)
    again = gaussians_of(numbers_of(gaussians, PLANE), gaussians.radius, PLANE, 3)
    for name in ("means", "covariances", "features", "slopes"):
        found, expected = getattr(again, name), getattr(gaussians, name)
        assert torch.allclose(found, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max())), name


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rounding_moves_by_half_a_step_and_is_found_again(seed: int) -> None:
    gaussians, steps = some_gaussians(seed), steps_of(EXPONENTS)
    numbers = numbers_of(gaussians, PLANE)
    levels = rounded(numbers, steps, longest=1e9)
    assert float(((levels * steps - numbers) / steps).abs().max()) <= 0.5 + 1e-9
    on_grid = gaussians_of(levels * steps, gaussians.radius, PLANE, 3)
    found = levels_found(on_grid, PLANE)
    assert found is not None
    exponents, again = found
    assert torch.allclose(again * steps_of(exponents), levels * steps)
    assert all(one >= two for one, two in zip(exponents, EXPONENTS, strict=True))


def test_what_is_too_long_shrinks_with_its_direction() -> None:
    gaussians, steps = some_gaussians(3, thinness=20), steps_of(EXPONENTS)
    levels = rounded(numbers_of(gaussians, PLANE), steps, longest=8.0)
    short = gaussians_of(levels * steps, gaussians.radius, PLANE, 3)
    assert float(torch.linalg.eigvalsh(short.covariances)[:, 1].max().sqrt()) <= 8.0 * PLANE.pixel_size
    assert torch.equal(levels[:, 3], rounded(numbers_of(gaussians, PLANE), steps, longest=1e9)[:, 3])


@pytest.mark.parametrize("size", [0.0, 1e-3, 0.1])
def test_small_numbers_are_not_lost(size: float) -> None:
    numbers = rounded(numbers_of(some_gaussians(5), PLANE), steps_of(EXPONENTS), 1e9) * steps_of(EXPONENTS)
    numbers[:, 6] = size * torch.rand(len(numbers), generator=torch.Generator().manual_seed(0))
    assert (levels_found(gaussians_of(numbers, 0.3, PLANE, 3), PLANE) is None) == (size > 0)


def test_numbers_at_random_are_no_levels() -> None:
    gaussians = some_gaussians(4)
    assert levels_found(gaussians, PLANE) is None
    assert levels_found(replace(gaussians, slopes=None), PLANE) is None
    steps = steps_of(EXPONENTS)
    few = gaussians_of(rounded(numbers_of(gaussians, PLANE), steps, 1e9)[:10] * steps, 0.3, PLANE, 3)
    assert levels_found(few, PLANE) is None, "levels of some step by chance"
