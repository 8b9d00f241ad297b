"""Deflated tensors."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gainer_ns.storage.deflated import deflated, inflated

DTYPES = [torch.uint8, torch.float16, torch.float32, torch.float64, torch.int32]


@given(st.lists(st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=4)), max_size=4), st.integers())
def test_tensors_come_back(kinds: list[tuple[torch.dtype, list[int]]], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed % 2**31)
    tensors = {
        str(number): (torch.rand(shape, generator=generator) * 200).to(dtype)
        for number, (dtype, shape) in enumerate(kinds)
    }
    again = inflated(*deflated(tensors))
    assert again.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert again[name].dtype == tensor.dtype and torch.equal(again[name], tensor)


def test_what_repeats_is_stored_once() -> None:
    values = torch.rand(50, 40)
    header, found = deflated({"a": values, "b": values.clone(), "c": values + 1})
    assert found.keys() == {"a", "c"} and torch.equal(inflated(header, found)["b"], values)


def test_numbers_that_hardly_change_take_little() -> None:
    _, found = deflated({"a": torch.linspace(0, 1, 4096).round(decimals=2).view(64, 64)})
    assert found["a"].numel() < 4096


@pytest.mark.parametrize(
    "entry",
    [
        ["F32", [7], "a"],
        ["F32", [9], "a"],
        ["F32", [-8], "a"],
        ["F32", [2**40], "a"],
        ["F16", [8], "a"],
        ["F31", [8], "a"],
    ],
)
def test_headers_that_make_no_sense(entry: list[Any]) -> None:
    _, found = deflated({"a": torch.rand(8)})
    with pytest.raises((ValueError, LookupError)):
        inflated({"a": entry}, found)


def test_nothing_is_allocated_that_the_bytes_do_not_tell() -> None:
    """A stream of zeros that goes on behind what is asked for is refused, too."""
    _, found = deflated({"a": torch.zeros(1 << 20)})
    with pytest.raises(ValueError, match="as many numbers"):
        inflated({"a": ["F32", [16], "a"]}, found)
