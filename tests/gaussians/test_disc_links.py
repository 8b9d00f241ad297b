"""Discs linked as the pixels of a lattice, parts of which are cut away."""

import pytest
import torch

from gainer_ns.gaussians import reference
from gainer_ns.gaussians.disc_links import NO_DISC, TRIANGLE_STEPS, DiscLinks

WIDTH, HEIGHT, SIGMA = 9, 7, 0.64


def lattice() -> DiscLinks:
    number = torch.arange(WIDTH * HEIGHT, dtype=torch.int32).view(HEIGHT, WIDTH)
    right, below = torch.full_like(number, NO_DISC), torch.full_like(number, NO_DISC)
    right[:, :-1], below[:-1] = number[:, 1:], number[1:]
    return DiscLinks.of(right.flatten(), below.flatten())


@pytest.fixture
def cut() -> tuple[DiscLinks, torch.Tensor]:
    """What a random third leaves, and the places of its discs."""
    kept = torch.rand(WIDTH * HEIGHT, generator=torch.Generator().manual_seed(1)) > 0.3
    place = torch.stack([torch.arange(WIDTH * HEIGHT) % WIDTH, torch.arange(WIDTH * HEIGHT) // WIDTH], dim=1)
    return lattice()[kept], place[kept]


def test_links_lead_to_neighbours_and_back(cut: tuple[DiscLinks, torch.Tensor]) -> None:
    links, place = cut
    for direction, step in enumerate(([1, 0], [0, 1], [-1, 0], [0, -1])):
        towards = links.neighbours[:, direction].long()
        linked = towards >= 0
        assert (place[towards[linked]] - place[linked] == torch.tensor(step)).all()
        back = links.neighbours[towards[linked], (direction + 2) % 4]
        assert torch.equal(back.long(), linked.nonzero()[:, 0])


def test_reading_is_the_weighted_mean_of_the_block(cut: tuple[DiscLinks, torch.Tensor]) -> None:
    links, _ = cut
    generator = torch.Generator().manual_seed(2)
    columns = torch.randn(len(links), 5, generator=generator)
    discs = torch.randint(len(links), (200,), generator=generator, dtype=torch.int32)
    steps = 1.4 * torch.rand(200, 2, generator=generator) - 0.7
    expected = reference.read_block(discs, steps, links.neighbours, columns, SIGMA)
    torch.testing.assert_close(links.read(discs, steps, columns, SIGMA), expected)
    own, still = torch.arange(len(links), dtype=torch.int32), torch.zeros(len(links), 2)
    torch.testing.assert_close(links.matrix(SIGMA) @ columns, links.read(own, still, columns, SIGMA))


def test_triangles_cover_a_lattice_once(cut: tuple[DiscLinks, torch.Tensor]) -> None:
    assert len(lattice().triangles) == 2 * (WIDTH - 1) * (HEIGHT - 1)
    links, place = cut
    steps = torch.tensor(TRIANGLE_STEPS)[links.triangles[:, 3].long()]
    corners = place[links.triangles[:, :3].long()]
    assert (corners - corners[:, :1] == steps - steps[:, :1]).all()
    middles = corners.double().mean(dim=1)
    assert len(middles.unique(dim=0)) == len(middles)


def test_a_square_that_misses_a_corner_is_half_covered() -> None:
    for missing in range(4):
        kept = torch.ones(WIDTH * HEIGHT, dtype=torch.bool)
        kept[[30, 31, 30 + WIDTH, 31 + WIDTH][missing]] = False
        # Each of the four squares around what is missing keeps one of its two triangles.
        assert len(lattice()[kept].triangles) == 2 * (WIDTH - 1) * (HEIGHT - 1) - 4
