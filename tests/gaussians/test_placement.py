"""Where Gaussians start."""

import pytest
import torch

from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.placement import lattice_means, lattice_spacing, uniform_means

PLANE = ImagePlane(12, 7)


def in_pixels(means: torch.Tensor, plane: ImagePlane = PLANE) -> torch.Tensor:
    return plane.pixel_from_plane(means.double())


def test_one_a_pixel_is_the_pixel_centres_row_by_row() -> None:
    means = lattice_means(PLANE)
    assert means.dtype == torch.float32
    assert torch.equal(means, PLANE.pixel_centres(torch.arange(84)))
    assert in_pixels(means)[:3].round(decimals=3).tolist() == [[0.5, 0.5], [1.5, 0.5], [2.5, 0.5]]
    assert in_pixels(means)[12].round(decimals=3).tolist() == [0.5, 1.5]


@pytest.mark.parametrize(
    ("size", "density", "columns", "rows"),
    [
        ((12, 8), 1.0, 12, 8),
        ((12, 8), 4.0, 24, 16),
        ((12, 8), 2.25, 18, 12),
        ((12, 8), 0.25, 6, 4),
        ((12, 8), 1e-4, 1, 1),
        ((100, 3), 0.01, 10, 1),
        ((1, 1), 1.0, 1, 1),
        ((1, 1), 9.0, 3, 3),
        ((1, 1), 0.2, 1, 1),
    ],
)
def test_number_of_means(size: tuple[int, int], density: float, columns: int, rows: int) -> None:
    plane = ImagePlane(*size)
    pixel = in_pixels(lattice_means(plane, density), plane)
    assert len(pixel) == columns * rows
    x, y = pixel.view(rows, columns, 2).unbind(-1)
    cell = torch.tensor([plane.width / columns, plane.height / rows], dtype=torch.float64)
    torch.testing.assert_close(x[0], (torch.arange(columns).double() + 0.5) * cell[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(y[:, 0], (torch.arange(rows).double() + 0.5) * cell[1], rtol=0, atol=1e-5)
    torch.testing.assert_close(x, x[:1].expand_as(x), rtol=0, atol=0)
    torch.testing.assert_close(y, y[:, :1].expand_as(y), rtol=0, atol=0)


@pytest.mark.parametrize("density", [1.0, 4.0, 0.25])
def test_spacing_is_the_distance_of_lattice_neighbours(density: float) -> None:
    plane = ImagePlane(16, 12)
    means = lattice_means(plane, density)
    distance = torch.cdist(means.double(), means.double()).fill_diagonal_(torch.inf).min(dim=1).values
    torch.testing.assert_close(distance, torch.full_like(distance, lattice_spacing(plane, density)), rtol=1e-4, atol=0)


@pytest.mark.parametrize("density", [1.0, 0.3, 3.0])
def test_jitter_stays_within_its_bounds(density: float) -> None:
    plane = ImagePlane(64, 50)
    regular, moved = lattice_means(plane, density), lattice_means(plane, density, jitter=0.25, seed=3)
    columns, rows = (len(in_pixels(regular, plane)[:, axis].round(decimals=3).unique()) for axis in (0, 1))
    cell = torch.tensor([64 / columns, 50 / rows], dtype=torch.float64)
    shift = (in_pixels(moved, plane) - in_pixels(regular, plane)) / cell
    assert shift.abs().max() <= 0.25 + 1e-4
    assert shift.abs().amax(dim=0).min() > 0.24, "the whole range is used, along both axes"
    assert shift.mean(dim=0).abs().max() < 0.02


def test_seeds() -> None:
    state = torch.get_rng_state()
    for place in (
        lambda seed: lattice_means(PLANE, jitter=0.2, seed=seed),
        lambda seed: uniform_means(PLANE, 100, seed=seed),
        lambda seed: uniform_means(PLANE, 100, inside=torch.ones(7, 12, dtype=torch.bool), seed=seed),
    ):
        assert torch.equal(place(4), place(4)) and not torch.equal(place(4), place(5))
    assert torch.equal(torch.get_rng_state(), state), "nobody else's random numbers change"


def test_inside_keeps_the_means_of_these_pixels() -> None:
    inside = torch.rand(7, 12) < 0.4
    expected = PLANE.pixel_centres(inside.flatten().nonzero()[:, 0])
    assert torch.equal(lattice_means(PLANE, inside=inside), expected)
    dense = in_pixels(lattice_means(PLANE, 9.0, jitter=0.1, inside=inside)).floor().long()
    assert bool(inside[dense[:, 1], dense[:, 0]].all())
    assert abs(len(dense) - 9 * int(inside.sum())) < 0.1 * len(dense)


def test_jitter_beyond_the_picture_counts_as_its_border() -> None:
    inside = torch.zeros(7, 12, dtype=torch.bool)
    inside[0], inside[:, 0] = True, True
    assert len(lattice_means(PLANE, jitter=2.0, inside=inside)) > 0


def test_nothing_inside() -> None:
    nothing = torch.zeros(7, 12, dtype=torch.bool)
    assert lattice_means(PLANE, inside=nothing).shape == (0, 2)
    assert uniform_means(PLANE, 50, inside=nothing).shape == (0, 2)
    assert uniform_means(PLANE, 0).shape == (0, 2)


def test_uniform_covers_the_picture_evenly() -> None:
    plane = ImagePlane(40, 20)
    means = uniform_means(plane, 20_000, seed=1)
    assert means.shape == (20_000, 2) and means.dtype == torch.float32
    pixel = in_pixels(means, plane)
    assert pixel.min() > -1e-4 and bool((pixel.amax(dim=0) < torch.tensor([40.0001, 20.0001])).all())
    counts = torch.bincount(pixel[:, 1].div(5).long().clamp(0, 3) * 8 + pixel[:, 0].div(5).long().clamp(0, 7))
    assert (counts - 625).abs().max() < 5 * 25, "5 standard deviations"


def test_uniform_inside_covers_these_pixels_evenly() -> None:
    inside = torch.zeros(7, 12, dtype=torch.bool)
    inside[1, 2], inside[5, 9], inside[5, 10] = True, True, True
    pixel = in_pixels(uniform_means(PLANE, 3000, inside=inside, seed=1))
    found, counts = (pixel + 1e-6).floor().long().unique(dim=0, return_counts=True)
    assert found.tolist() == [[2, 1], [9, 5], [10, 5]]
    assert (counts - 1000).abs().max() < 130, "5 standard deviations"
    assert (pixel - pixel.floor()).std(dim=0).sub(12**-0.5).abs().max() < 0.02, "and each pixel evenly"


@pytest.mark.parametrize("masked", [True, False])
def test_uniform_runs_along_the_rows(masked: bool) -> None:
    inside = torch.rand(7, 12) < 0.5 if masked else None
    pixel = in_pixels(uniform_means(PLANE, 500, inside=inside))
    rows = (pixel[:, 1] + 1e-6).floor()
    assert bool((rows.diff() >= 0).all())
    for row in rows.unique():
        assert bool((pixel[rows == row, 0].diff() >= -1e-6).all())


def test_one_pixel_picture() -> None:
    plane = ImagePlane(1, 1)
    assert lattice_means(plane).tolist() == [[0.0, 0.0]]
    assert uniform_means(plane, 30).abs().max() <= 0.5
