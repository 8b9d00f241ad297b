"""Features and slopes as one table."""

from dataclasses import replace

import pytest
import torch

from gainer_ns.gaussians import reference
from gainer_ns.gaussians.aggregation import AggregationMatrix, gaussian_weights
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.gaussians.slopes import slopes_along, stacked, stacked_matrix, stacked_rows, with_slopes_along


def sloped(count: int = 40, width: int = 5) -> GaussianSet:
    lower = torch.randn(count, 2, 2).tril() * 0.05
    lower.diagonal(dim1=1, dim2=2).abs_().add_(0.03)
    features, slopes = torch.randn(count, width), torch.randn(count, width, 2)
    return GaussianSet(torch.rand(count, 2), lower @ lower.mT, features, 0.5, slopes=slopes)


@pytest.mark.parametrize("radius", [0.08, 0.5])
def test_one_matrix_reads_features_and_slopes(radius: float) -> None:
    gaussians, points = sloped(), torch.rand(80, 2)
    neighbours = NeighbourIndex(gaussians.means, radius).query(points, 6)
    weights = gaussian_weights(points, neighbours, gaussians.means, gaussians.precisions)
    matrix = AggregationMatrix.from_neighbours(neighbours, weights, len(gaussians))
    found = stacked_matrix(matrix, points, gaussians) @ stacked(gaussians)
    precisions = gaussians.precisions.flatten(1)[:, [0, 1, 3]]
    assert gaussians.slopes is not None
    parts = gaussians.means, precisions, gaussians.features, gaussians.slopes
    torch.testing.assert_close(found, reference.sloped_means(points, neighbours, *parts), rtol=1e-3, atol=1e-4)


def test_there_and_back() -> None:
    gaussians = sloped()
    back = with_slopes_along(gaussians, slopes_along(gaussians))
    torch.testing.assert_close(back.slopes, gaussians.slopes, rtol=1e-3, atol=1e-4)


def test_long_gaussians_have_axes_too() -> None:
    """As edits that stretch make them: in float32 their covariances have no Cholesky factor."""
    gaussians = sloped()
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    long = (turn @ torch.diag(torch.tensor([1.0, 1e-3]).double()).square() @ turn.T).float()
    gaussians = replace(gaussians, covariances=long.expand(len(gaussians), 2, 2))
    back = with_slopes_along(gaussians, slopes_along(gaussians))
    torch.testing.assert_close(back.slopes, gaussians.slopes, rtol=1e-3, atol=1e-3)


def test_rows_of_some() -> None:
    gaussians, chosen = sloped(), torch.tensor([7, 2])
    rows = stacked_rows(chosen, len(gaussians), 2)
    assert torch.equal(stacked(gaussians)[rows], stacked(gaussians[chosen]))


def test_without_slopes_nothing_is_added() -> None:
    gaussians = GaussianSet(torch.rand(4, 2), torch.eye(2)[None], torch.randn(4, 3), 1.0)
    assert stacked(gaussians) is gaussians.features
