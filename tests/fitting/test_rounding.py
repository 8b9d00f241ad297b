"""Rounding what is learned, part by part."""

import torch

from gainer_ns.fields.knn_encoding import GaussianKNNEncoding, KNNEncodingConfig
from gainer_ns.fitting.levenberg import levenberg_step
from gainer_ns.fitting.recipe import UNIT_BOX
from gainer_ns.fitting.rounding import ROUNDS, Rounding
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.levels import levels_found

COUNT, PLANE = 60, ImagePlane(24, 24)


def encoding_of(seed: int) -> GaussianKNNEncoding:
    """Gaussians of all shapes in the unit box."""
    config = KNNEncodingConfig(8, sigma=0.7, covariances="full", means="learned", slopes=1, feature_dim=3)
    generator = torch.Generator().manual_seed(seed)
    means = torch.rand(COUNT, 2, generator=generator) - 0.5
    encoding = GaussianKNNEncoding(config, means, 0.13, unit_box=UNIT_BOX)
    for parameter in (encoding.precision_factors, encoding.features_table, encoding.slopes_table):
        assert parameter is not None
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator)
    return encoding


def test_covariances_have_the_factors_that_they_were_made_of() -> None:
    encoding = encoding_of(0)
    factors = encoding.factors_of(encoding.gaussian_set().covariances)
    assert torch.allclose(factors, encoding.precision_factors, atol=1e-3)


def test_all_is_levels_in_the_end() -> None:
    encoding = encoding_of(1)
    encoding.precision_factors.data[:3, [0, 2]] -= 6  # longer than what is read of them
    rounding = Rounding(encoding, PLANE, 0.01, 1.0, seed=0)
    assert levels_found(encoding.gaussian_set(), PLANE) is None
    rounding.finish()
    assert levels_found(encoding.gaussian_set(), PLANE) is not None and not bool(rounding.free.any())


def test_what_is_rounded_stays_and_the_rest_makes_up_for_it() -> None:
    errors = {}
    for steps_between in (False, True):
        encoding = encoding_of(2)
        points = torch.rand(900, 2, generator=torch.Generator().manual_seed(3)) - 0.5
        target, shares = torch.stack([torch.sin(9 * points[:, 0]), points[:, 1], points.prod(1)], 1), torch.ones(900)
        error = min(levenberg_step(encoding, points, target, shares, 0.02).error for _ in range(15))
        rounding = Rounding(encoding, PLANE, error**0.5, 1.0, seed=0)
        for done in range(1, ROUNDS):
            rounding.advance(done)
            fixed = ~rounding.free[:, :2]
            before = encoding.means.clone()
            if steps_between:
                levenberg_step(encoding, points, target, shares, 0.02, rounding.free)
            assert torch.equal(encoding.means[fixed], before[fixed])
        rounding.finish()
        encoding.forget_index()
        errors[steps_between] = levenberg_step(encoding, points, target, shares, 0.02).error_before
    assert errors[True] < 0.5 * errors[False]


def test_it_goes_on_where_it_was_left() -> None:
    whole, parts = encoding_of(4), encoding_of(4)
    first = Rounding(whole, PLANE, 0.01, 0.6, seed=5)
    first.advance(9)
    Rounding(parts, PLANE, 0.01, 0.6, seed=5).advance(6)
    again = Rounding(parts, PLANE, 0.01, 0.6, seed=5)
    again.restore(6)
    again.advance(9)
    assert torch.equal(first.free, again.free)
    assert torch.allclose(whole.gaussian_set().covariances, parts.gaussian_set().covariances)
