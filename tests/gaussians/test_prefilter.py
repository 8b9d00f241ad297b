"""The averages of a full lattice, in tiles, are those of plain matrices, and the prefilter undoes them."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet, isotropic
from gainer_ns.gaussians.lattice import MAX_SIGMA, MIN_SIGMA, Lattice
from gainer_ns.gaussians.placement import lattice_means
from gainer_ns.gaussians.prefilter import ROWS_AT_ONCE, NodeAverages

SIZES, SIGMAS = st.integers(1, 2 * ROWS_AT_ONCE + 60), st.floats(MIN_SIGMA, MAX_SIGMA)


def matrix(count: int, sigma: float, before: int, behind: int) -> np.ndarray:
    """Averages along an axis, written down."""
    found = np.zeros((count, count))
    for node in range(count):
        for other in range(max(0, node - before), min(count, node + behind + 1)):
            found[node, other] = np.exp(-0.5 * ((other - node) / sigma) ** 2)
    return found / found.sum(axis=1, keepdims=True)


@given(SIZES, SIZES, st.integers(1, 4), SIGMAS, st.integers(0, 2**31))
def test_tiles_are_the_whole_matrices(height: int, width: int, channels: int, sigma: float, seed: int) -> None:
    samples = torch.rand(channels, height, width, generator=torch.Generator().manual_seed(seed))
    rows, columns = matrix(height, sigma, 3, 2), matrix(width, sigma, 2, 3)
    averages = NodeAverages(height, width, sigma)
    wanted = torch.from_numpy(rows @ samples.double().numpy() @ columns.T)
    torch.testing.assert_close(averages.of(samples).double(), wanted, atol=1e-6, rtol=0)
    wanted = torch.from_numpy(np.linalg.inv(rows) @ samples.double().numpy() @ np.linalg.inv(columns).T)
    torch.testing.assert_close(averages.undone(samples).double(), wanted, atol=2e-5, rtol=0)
    torch.testing.assert_close(averages.of(averages.undone(samples)), samples, atol=3e-6, rtol=0)


@given(st.integers(2, 40), st.integers(2, 40), SIGMAS, st.integers(0, 2**31))
def test_nodes_read_what_points_read_there(height: int, width: int, sigma: float, seed: int) -> None:
    plane = ImagePlane(width, height)
    values = torch.rand(height * width, 3, generator=torch.Generator().manual_seed(seed))
    covariances = isotropic(sigma * plane.pixel_size, 2)
    gaussians = GaussianSet(lattice_means(plane), covariances, values, 10 * plane.pixel_size)
    lattice = Lattice.of(gaussians, plane.pixel_size)
    if lattice is None:  # a sigma at the very bound, rounded
        return
    read = lattice.read(gaussians.means, lattice.table(values))[:, :3].T.reshape(3, height, width)
    averages = NodeAverages(height, width, sigma)
    torch.testing.assert_close(averages.of(values.T.reshape(3, height, width)), read, atol=2e-6, rtol=0)


@pytest.mark.parametrize("sigma", [0.0, -1.0, 0.39, 0.71, float("nan")])
def test_what_cannot_be_undone_is_refused(sigma: float) -> None:
    with pytest.raises(ValueError, match="sigma"):
        NodeAverages(4, 4, sigma)


@pytest.mark.parametrize("threads", [1, 3])
def test_what_is_told_of_strips_ends_the_work_and_threads_are_as_before(threads: int) -> None:
    before, seen = torch.get_num_threads(), []

    def stop(share: float) -> None:
        seen.append(share)
        if len(seen) == 2:
            raise KeyboardInterrupt

    torch.set_num_threads(threads)
    try:
        averages, begun = NodeAverages(100 * ROWS_AT_ONCE, 4, 0.64), []
        with pytest.raises(KeyboardInterrupt):
            averages.each_strip(lambda first, last: (begun.append((first, last)), time.sleep(0.01)), stop)
        assert seen == [0.01, 0.02] and len(begun) < 20
        assert torch.get_num_threads() == threads
        with pytest.raises(ZeroDivisionError):
            averages.each_strip(lambda first, last: 1 // first)
        parts: list[tuple[int, int]] = []
        averages.each_strip(lambda first, last: parts.append((first, last)))
        assert sorted(parts) == [(first, first + ROWS_AT_ONCE) for first in range(0, averages.height, ROWS_AT_ONCE)]
    finally:
        torch.set_num_threads(before)
