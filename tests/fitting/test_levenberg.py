"""Levenberg steps: derivatives against plain torch, and what a step does."""

import pytest
import torch
from torch import Tensor

from gainer_ns.fields.knn_encoding import GaussianKNNEncoding, KNNEncodingConfig
from gainer_ns.fitting.levenberg import LearnedPart, _Points, levenberg_step
from gainer_ns.fitting.recipe import UNIT_BOX
from gainer_ns.gaussians import reference

COUNT, SPACING = 30, 0.15


def encoding_of(slopes: int) -> GaussianKNNEncoding:
    """Few Gaussians of all shapes in the unit box."""
    config = KNNEncodingConfig(8, sigma=0.7, covariances="full", means="learned", slopes=slopes, feature_dim=3)
    generator = torch.Generator().manual_seed(0)
    means = torch.rand(COUNT, 2, generator=generator) - 0.5
    encoding = GaussianKNNEncoding(config, means, SPACING, unit_box=UNIT_BOX)
    for parameter in (encoding.precision_factors, encoding.features_table, encoding.slopes_table):
        assert parameter is not None
        parameter.data = 0.4 * torch.randn(parameter.shape, generator=generator)
    return encoding


def points_of(count: int) -> Tensor:
    return torch.rand(count, 2, generator=torch.Generator().manual_seed(1)) - 0.5


@pytest.mark.parametrize("slopes", [1, 3])
def test_derivatives_are_those_of_plain_torch(slopes: int) -> None:
    encoding, points = encoding_of(slopes), points_of(50)
    reading, shares = encoding.read(points), torch.linspace(0.5, 2, 50)
    assert reading.neighbours is not None
    kept = reading.neighbours._replace(indices=torch.full_like(reading.neighbours.indices, -1))
    for row, (begin, end) in enumerate(zip(reading.matrix.offsets, reading.matrix.offsets[1:], strict=False)):
        kept.indices[row, : end - begin] = reading.matrix.columns[begin:end]
    learned = LearnedPart.of(encoding)
    sizes = [2, 3, 3, 2 * slopes]

    def read(change: Tensor) -> Tensor:
        moves, growths, colours, rises = change.split(sizes, dim=1)
        precisions = encoding.precisions_of(learned.factors + growths).flatten(1)[:, [0, 1, 3]]
        found = reference.sloped_means(
            points,
            kept,
            learned.means + SPACING * moves,
            precisions,
            learned.colours + colours,
            (learned.slopes + rises.view_as(learned.slopes)) / SPACING,
        )
        return found * shares[:, None]

    none = torch.zeros(COUNT, sum(sizes))
    jacobian = torch.autograd.functional.jacobian(read, none)
    assert isinstance(jacobian, Tensor)
    ours = _Points(encoding, reading.matrix, points, shares)
    with torch.no_grad():
        assert torch.allclose(ours.read(learned) * shares[:, None], read(none), atol=1e-5)
    ours.linearise()
    change, residual = torch.randn(COUNT, sum(sizes)), torch.randn(50, 3)
    pushed = torch.einsum("mcnp,np->mc", jacobian, change)
    pulled = torch.einsum("mcnp,mc->np", jacobian, residual)
    blocks = torch.einsum("mcnp,mcnq->npq", jacobian, jacobian)
    for found, expected in ((ours.push(change), pushed), (ours.pull(residual), pulled), (ours.blocks, blocks)):
        assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))


def test_a_step_lowers_the_error() -> None:
    encoding, points = encoding_of(1), points_of(400)
    target = torch.stack([torch.sin(9 * points[:, 0]), points[:, 1], points.prod(dim=1)], dim=1)
    shares, errors = torch.ones(400), []
    for _ in range(12):
        step = levenberg_step(encoding, points, target, shares, 0.03)
        assert step.error <= step.error_before
        errors.append(step.error)
    assert errors[-1] < 0.03 * errors[0]


def test_no_step_is_taken_where_none_helps() -> None:
    encoding, points = encoding_of(1), points_of(40)
    before = [part.clone() for part in LearnedPart.of(encoding)]
    target = torch.full((40, 3), torch.nan)
    assert levenberg_step(encoding, points, target, torch.ones(40), 0.1).scale == 0
    assert all(torch.equal(one, two) for one, two in zip(before, LearnedPart.of(encoding), strict=True))
