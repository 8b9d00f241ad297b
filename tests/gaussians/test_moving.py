"""Weighted means over Gaussians that move: values and gradients against plain torch."""

import pytest
import torch
from torch import Tensor

from gainer_ns.gaussians import reference
from gainer_ns.gaussians.aggregation import AggregationMatrix
from gainer_ns.gaussians.moving import weighted_means
from gainer_ns.gaussians.neighbours import NeighbourIndex

RADIUS = 0.6


def scene(count: int, width: int, sloped: int | None = None) -> tuple[Tensor, list[Tensor], AggregationMatrix, object]:
    generator = torch.Generator().manual_seed(0)
    points, means = torch.rand(50, 2, generator=generator) * 2, torch.rand(count, 2, generator=generator) * 2
    factors = torch.randn(count, 2, 2, generator=generator) + 3 * torch.eye(2)
    square = factors @ factors.mT
    precisions = torch.stack([square[:, 0, 0], square[:, 0, 1], square[:, 1, 1]], dim=1)
    features, slopes = (torch.randn(count, *shape, generator=generator) for shape in ((width,), (sloped or width, 2)))
    neighbours = NeighbourIndex(means, RADIUS).query(points, 4)
    structure = AggregationMatrix.from_neighbours(neighbours, torch.zeros(50, 4), count)
    gaussians = [part.requires_grad_() for part in (means, precisions, features, slopes)]
    return points, gaussians, structure, neighbours


@pytest.mark.parametrize(("count", "width", "sloped"), [(12, 3, 3), (40, 8, 8), (40, 3, 1), (40, 5, 2), (1, 1, 1)])
def test_values_and_gradients_are_those_of_plain_torch(count: int, width: int, sloped: int) -> None:
    points, gaussians, structure, neighbours = scene(count, width, sloped)
    pull = torch.randn(50, width, generator=torch.Generator().manual_seed(1))
    found = weighted_means(points, structure, *gaussians)  # pyright: ignore[reportArgumentType]
    gradients = torch.autograd.grad(found, gaussians, pull)
    doubles = [part.detach().double().requires_grad_() for part in gaussians]
    expected = reference.sloped_means(points.double(), neighbours, *doubles)  # pyright: ignore[reportArgumentType]
    wanted = torch.autograd.grad(expected, doubles, pull.double())
    assert torch.allclose(found.double(), expected, atol=1e-5)
    for one, other in zip(gradients, wanted, strict=True):
        assert torch.allclose(one.double(), other, rtol=1e-3, atol=1e-4)


def test_points_that_read_nothing_are_zero_and_pull_nothing() -> None:
    _, gaussians, _, _ = scene(5, 3)
    far = torch.tensor([[100.0, 100.0]])
    neighbours = NeighbourIndex(gaussians[0].detach(), RADIUS).query(far, 4)
    structure = AggregationMatrix.from_neighbours(neighbours, torch.zeros(1, 4), 5)
    found = weighted_means(far, structure, *gaussians)
    assert torch.equal(found, torch.zeros(1, 3))
    gradients = torch.autograd.grad(found.sum(), gaussians)
    assert all(torch.equal(one, torch.zeros_like(one)) for one in gradients)


def test_far_from_all_means_weights_do_not_vanish() -> None:
    means = torch.tensor([[0.0, 0.0], [0.3, 0.0]])
    precisions = torch.tensor([[1e4, 0.0, 1e4]]).repeat(2, 1)
    features = torch.tensor([[1.0], [2.0]])
    structure = AggregationMatrix.from_neighbours(
        reference.nearest(torch.tensor([[0.4, 0.3]]), means, 2, 1.0), torch.zeros(1, 2), 2
    )
    found = weighted_means(torch.tensor([[0.4, 0.3]]), structure, means, precisions, features, torch.zeros(2, 1, 2))
    assert found.item() == pytest.approx(2.0)


def test_threads_do_not_change_the_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(20000, 2, generator=generator)
    means = torch.rand(10000, 2, generator=generator)
    parts = [
        means,
        torch.tensor([[900.0, 0.0, 900.0]]).repeat(10000, 1),
        torch.randn(10000, 3),
        torch.randn(10000, 3, 2),
    ]
    neighbours = NeighbourIndex(means, 0.1).query(points, 4)
    structure = AggregationMatrix.from_neighbours(neighbours, torch.zeros(20000, 4), 10000)
    results = []
    for threads in (1, 2):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        gaussians = [part.clone().requires_grad_() for part in parts]
        found = weighted_means(points, structure, *gaussians)  # pyright: ignore[reportArgumentType]
        results.append([found, *torch.autograd.grad(found.square().sum(), gaussians)])
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
