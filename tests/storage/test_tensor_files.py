"""Files written part by part are those of the library, byte by byte."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from gainer_ns.storage.tensor_files import file_parts

DTYPES = [torch.uint8, torch.uint16, torch.float16, torch.float32, torch.float64, torch.int64]
TENSORS = st.dictionaries(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=5).filter(
        lambda name: name != "__metadata__"
    ),
    st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=3)),
    max_size=8,
)


@given(TENSORS, st.dictionaries(st.just("header"), st.text(st.characters(codec="utf-8"), max_size=20), max_size=1))
def test_they_are_the_librarys(kinds: dict[str, tuple[torch.dtype, list[int]]], metadata: dict[str, str]) -> None:
    tensors = {name: (100 * torch.rand(shape)).to(dtype) for name, (dtype, shape) in kinds.items()}
    assert b"".join(file_parts(tensors, metadata)) == save(tensors, metadata or None)


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="complex64"):
        list(file_parts({"one": torch.zeros(3, dtype=torch.complex64)}, {}))
