"""Samples as bytes inside other files: they come back as they were, and no others do."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from gainer_ns.io import packed_samples as packing
from gainer_ns.io.packed_samples import packed_samples, unpacked_samples

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([3, 4]))


@given(st.data(), st.sampled_from([np.uint8, np.uint16]))
def test_samples_come_back(data: st.DataObject, dtype: type) -> None:
    samples = data.draw(arrays(dtype, SHAPES | SHAPES.map(lambda shape: shape[:2])))
    again = unpacked_samples(packed_samples(samples), samples.shape[1], samples.shape[0])
    assert again.dtype == samples.dtype and np.array_equal(again, samples), "clear pixels keep their colours, too"


def test_large_ones_are_png(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)
    monkeypatch.setattr(packing, "_MAX_WEBP_PIXELS", 34)
    data = packed_samples(samples)
    assert data[1:4] == b"PNG" and np.array_equal(unpacked_samples(data, 7, 5), samples)


@pytest.mark.parametrize("size", [(3, 4), (4, 4), (2**14, 2**14)])
def test_another_size_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="belong"):
        unpacked_samples(packed_samples(np.zeros((3, 4, 3), np.uint8)), *size)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_damaged_bytes_are_refused(dtype: type) -> None:
    data = packed_samples(np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(dtype))
    for length in range(0, len(data) - 20, 37):
        with pytest.raises((ValueError, OSError)):
            unpacked_samples(data[:length], 30, 20)


def test_other_kinds_are_refused() -> None:
    file = io.BytesIO()
    Image.new("RGB", (4, 3)).save(file, "GIF")
    with pytest.raises((ValueError, OSError)):
        unpacked_samples(file.getvalue(), 4, 3)
