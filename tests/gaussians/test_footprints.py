"""What a pixel stands for where a picture shrinks."""

import torch

from gainer_ns.gaussians.footprints import MAX_SAMPLES, Footprints, PixelExtent

POINTS = torch.zeros(3, 2)


def of(*sides: tuple[float, float], pixel: float = 1.0) -> Footprints | None:
    """Of upright pixels that cover so much across and down."""
    inverses = torch.diag_embed(torch.tensor(sides))
    return Footprints.of(PixelExtent(1.0, pixel, inverses), torch.zeros(len(sides), 2))


def test_a_pixel_or_less_stands_for_itself() -> None:
    assert of((1.0, 1.0), (0.3, 1.0005)) is None
    assert Footprints.of(PixelExtent(0.4, 0.5), POINTS) is None
    assert Footprints.of(PixelExtent(3.0, 0.5), POINTS[:0]) is None


def test_longer_sides_have_more_samples() -> None:
    found = of((1.0, 1.0), (2.5, 0.5), (1.2, 3.0), (100.0, 1.0))
    assert found is not None
    assert found.counts.tolist() == [[1, 1], [3, 1], [2, 3], [MAX_SAMPLES, 1]]
    kinds = [(columns, rows, which.tolist()) for columns, rows, which in found.kinds]
    assert kinds == [(1, 1, [0]), (2, 3, [2]), (3, 1, [1]), (MAX_SAMPLES, 1, [3])]
    assert found.sides[1].tolist() == [[2.5, 0.0], [0.0, 0.0]]
    assert len(found[found.counts[:, 0] > 1].sides) == 3


def test_nothing_jumps_where_a_picture_begins_to_shrink() -> None:
    lengths = torch.linspace(1.0, 1.1, 101)
    found = Footprints.of(PixelExtent(1.0, 1.0, lengths[:, None, None] * torch.eye(2)), torch.zeros(101, 2))
    assert found is not None
    sides = found.sides[:, 0, 0]
    assert float(sides[0]) == 0 and float(sides.diff().max()) < 0.03 and torch.equal(sides[60:], lengths[60:])


def test_samples_spread_evenly_over_a_side() -> None:
    found = of((2.0, 4.0))
    assert found is not None
    samples = found.samples(torch.tensor([[10.0, 20.0]]), 2, 4)[0]
    assert sorted(set(samples[:, 0].tolist())) == [9.5, 10.5]
    assert sorted(set(samples[:, 1].tolist())) == [18.5, 19.5, 20.5, 21.5]


def test_extents_go_through_maps() -> None:
    turn = torch.tensor([[[0.0, -1.0], [1.0, 0.0]]])
    once = PixelExtent(2.0, 1.0).through(3 * turn, 0.5)
    assert once.pixel == 0.5 and once.inverse_jacobians is not None
    twice = once.through(turn, 0.25)
    torch.testing.assert_close(twice.inverse_jacobians, -3 * torch.eye(2)[None])
    assert twice[torch.tensor([0])].inverse_jacobians is not None and PixelExtent(1.0, 1.0)[0] == PixelExtent(1.0, 1.0)
