"""Levels as bytes of a file: nothing is lost, and damage is found."""

import lzma

import pytest
import torch
from torch import Tensor

from gainer_ns.storage.level_streams import packed_levels, unpacked_levels

DAMAGES = ValueError, ArithmeticError, LookupError, TypeError, RuntimeError, lzma.LZMAError


def some_levels(seed: int, count: int, largest: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    places = torch.randint(-5, 200, (count, 2), generator=generator)
    scale = torch.rand(7, generator=generator)
    return torch.cat([places, (torch.randn(count, 7, generator=generator) * scale * largest).long()], dim=1)


def sorted_rows(levels: Tensor) -> list[list[int]]:
    return sorted(levels.tolist())


@pytest.mark.parametrize("count", [1, 16, 1000])
@pytest.mark.parametrize("largest", [0, 3, 200, 70_000])
def test_nothing_is_lost_but_the_order(count: int, largest: int) -> None:
    for seed in range(3):
        levels = some_levels(seed, count, largest)
        found = unpacked_levels(packed_levels(levels), count)
        assert sorted_rows(found) == sorted_rows(levels)
        assert torch.equal(unpacked_levels(packed_levels(found), count), found)


def test_they_take_about_their_entropy() -> None:
    levels = some_levels(0, 20_000, 30)
    shares = [column.unique(return_counts=True)[1] / len(levels) for column in levels[:, 2:].T]
    entropy = sum(float(-(share * share.log2()).sum()) for share in shares) / 8
    places = 8 / 8  # two cells to each Gaussian, about
    assert packed_levels(levels).data.numel() / len(levels) < entropy * 1.05 + places


@pytest.mark.parametrize("field", ["sizes", "low", "data"])
@pytest.mark.parametrize("value", [[], [[]], [[-1]], [[1 << 60]], None, "words", [[0]] * 9])
def test_other_parts_are_refused(field: str, value: object) -> None:
    streams = packed_levels(some_levels(1, 50, 20))
    changed = torch.zeros(3) if field == "data" else value
    with pytest.raises(DAMAGES):
        unpacked_levels(streams._replace(**{field: changed}), 50)


@pytest.mark.parametrize("count", [0, 49, 51, 10_000])
def test_another_count_is_refused(count: int) -> None:
    with pytest.raises(DAMAGES):
        unpacked_levels(packed_levels(some_levels(1, 50, 20)), count)
