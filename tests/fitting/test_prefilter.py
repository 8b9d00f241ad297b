"""The prefilter undoes the average of a lattice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gainer_ns.fitting.prefilter import prefilter


def averaged(values: torch.Tensor, sigma: float) -> torch.Tensor:
    """Averages at the nodes, with the picture mirrored at its borders as often as the Gaussian reaches."""
    taps = np.arange(-6, 7)
    weights = np.exp(-0.5 * (taps / sigma) ** 2)
    weights /= weights.sum()
    matrices = []
    for count in values.shape[:2]:
        matrix = np.zeros((count, count))
        for node in range(count):
            for tap, weight in zip(taps, weights, strict=True):
                place = (node + tap) % (2 * count)
                matrix[node, place if place < count else 2 * count - 1 - place] += weight
        matrices.append(torch.from_numpy(matrix))
    return torch.einsum("ai,bj,ijc->abc", *matrices, values.double())


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 4), st.floats(0.3, 0.8), st.integers(0, 2**31))
def test_its_averages_are_the_samples(height: int, width: int, channels: int, sigma: float, seed: int) -> None:
    samples = torch.rand(height, width, channels, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(averaged(prefilter(samples, sigma), sigma), samples.double(), atol=2e-4, rtol=0)


@pytest.mark.parametrize("sigma", [0.0, -1.0, 1.01, float("nan")])
def test_what_cannot_be_undone_is_refused(sigma: float) -> None:
    with pytest.raises(ValueError, match="sigma"):
        prefilter(torch.rand(4, 4, 1), sigma)
