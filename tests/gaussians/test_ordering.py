"""Orders of Gaussians of which any first part is spread."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gainer_ns.gaussians.ordering import spread_order


@given(st.integers(0, 300), st.integers(0, 5))
def test_it_is_a_permutation(count: int, seed: int) -> None:
    means = torch.rand(count, 2, generator=torch.Generator().manual_seed(seed))
    order = spread_order(means)
    assert torch.equal(order.sort().values, torch.arange(count))


def test_all_in_one_place() -> None:
    assert len(spread_order(torch.zeros(7, 2)).unique()) == 7


@pytest.mark.parametrize("fraction", [0.05, 0.25, 0.5])
def test_every_part_covers_the_square_evenly(fraction: float) -> None:
    means = torch.rand(4000, 2, generator=torch.Generator().manual_seed(0))
    some = means[spread_order(means)[: int(4000 * fraction)]]
    cells = (some * 5).long()
    counts = torch.bincount(cells[:, 1] * 5 + cells[:, 0], minlength=25).float()
    assert counts.min() > 0.5 * counts.mean() and counts.max() < 1.6 * counts.mean()
