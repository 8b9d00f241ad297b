"""The Gauss-Newton step against dense linear algebra in float64."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.fitting.gauss_newton import GaussNewtonConfig, GaussNewtonStep, gauss_newton_step
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.aggregation import AggregationMatrix, gaussian_weights
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.neighbours import NeighbourIndex

MakeGaussians = Callable[..., GaussianSet]
EXACT = GaussNewtonConfig(max_products=2000, tolerance=1e-6, gradient_tolerance=1e-6)


def aggregation(plane: ImagePlane, gaussians: GaussianSet, k: int = 4) -> AggregationMatrix:
    points = plane.pixel_centres(torch.arange(plane.pixels))
    neighbours = NeighbourIndex(gaussians.means, gaussians.radius).query(points, k)
    weights = gaussian_weights(points, neighbours, gaussians.means, gaussians.precisions)
    return AggregationMatrix.from_neighbours(neighbours, weights, len(gaussians))


def dense_change(
    matrix: AggregationMatrix, features: Tensor, decoder: Decoder, target: Tensor, damping: float, channels: slice
) -> Tensor:
    """``J^T (J J^T + damping)^-1 r``, written out for all pixels and features at once."""
    dense = torch.zeros(matrix.rows, matrix.width, dtype=torch.float64)
    rows = torch.arange(matrix.rows).repeat_interleave(matrix.offsets.diff().long())
    dense.index_put_((rows, matrix.columns.long()), matrix.values.double(), accumulate=True)
    colours, of_pixels = decoder.decode_with_jacobian(matrix @ features)
    of_pixels = of_pixels.double()[:, :, channels]
    jacobian = torch.einsum("mn,mcf->mcnf", dense, of_pixels).flatten(2).flatten(0, 1)
    scale = of_pixels.square().sum(dim=2).mean()
    system = jacobian @ jacobian.T
    system += damping * scale * torch.eye(len(system), dtype=torch.float64)
    solution = jacobian.T @ torch.linalg.solve(system, (target - colours).double().flatten())
    change = torch.zeros(features.shape, dtype=torch.float64)
    change[:, channels] = solution.view(len(features), -1)
    return change


@pytest.mark.parametrize("hidden_layers", [0, 2])
@pytest.mark.parametrize("damping", [1.0, 0.01])
@pytest.mark.parametrize("channels", [slice(None), slice(0, 4), slice(4, 8)])
def test_step_equals_dense_algebra(
    hidden_layers: int, damping: float, channels: slice, gaussians: MakeGaussians
) -> None:
    plane = ImagePlane(8, 6)
    decoder = Decoder(8, hidden_layers=hidden_layers)
    matrix, target = aggregation(plane, gaussians(plane, jitter=0.3)), torch.rand(48, 3)
    features = 0.3 * torch.randn(48, 8)
    step = gauss_newton_step(matrix, features, decoder, target, damping, EXACT, channels=channels)
    assert step.improved
    expected = dense_change(matrix, features, decoder, target, damping, channels)
    torch.testing.assert_close((step.features - features).double(), expected, rtol=0, atol=1e-4)
    others = torch.ones(8, dtype=torch.bool)
    others[channels] = False
    assert torch.equal(step.features[:, others], features[:, others])
    error = float((decoder.decode(matrix @ step.features) - target).square().mean())
    assert math.isclose(step.mean_squared_error, error, rel_tol=1e-5)


def test_linear_decoder_reaches_the_least_squares_solution(gaussians: MakeGaussians) -> None:
    """With next to no damping: of all features that give the picture, those nearest to where the step began."""
    plane, decoder = ImagePlane(8, 6), Decoder(8, hidden_layers=0)
    matrix, target = aggregation(plane, gaussians(plane)), torch.rand(48, 3)
    features = 0.3 * torch.randn(48, 8)
    step = gauss_newton_step(matrix, features, decoder, target, 1e-7, EXACT)
    expected = dense_change(matrix, features, decoder, target, 0.0, slice(None))
    torch.testing.assert_close((step.features - features).double(), expected, rtol=0, atol=1e-3)
    assert step.mean_squared_error < 1e-11


@pytest.mark.parametrize("hidden_layers", [0, 2])
@pytest.mark.parametrize("kind", ["noise", "smooth", "constant"])
def test_small_pictures_are_reached(
    kind: str,
    hidden_layers: int,
    gaussians: MakeGaussians,
    smooth_picture: Callable[[ImagePlane], Tensor],
    psnr: Callable[[Tensor, Tensor], float],
) -> None:
    plane, decoder, config = ImagePlane(24, 20), Decoder(8, hidden_layers=hidden_layers), GaussNewtonConfig()
    pictures = {"noise": torch.rand(480, 3), "smooth": smooth_picture(plane), "constant": torch.full((480, 3), 0.2)}
    matrix, target = aggregation(plane, gaussians(plane), k=16), pictures[kind]
    features, damping = decoder.features_for(target), config.damping
    for _ in range(3):
        step = gauss_newton_step(matrix, features, decoder, target, damping, config)
        assert step.products <= config.max_products
        features, damping = step.features, damping * config.damping_decay
    assert psnr(decoder.decode(matrix @ features), target) > 95


def test_faint_colour_channels_take_no_more_products(gaussians: MakeGaussians) -> None:
    """A decoder that answers to some directions of a feature a tenth as much as to others."""
    plane, target = ImagePlane(24, 20), torch.rand(480, 3)
    matrix, products = aggregation(plane, gaussians(plane), k=16), []
    for scales in ([1.0, 1.0, 1.0], [1.0, 0.4, 0.2]):
        decoder = Decoder(8, hidden_layers=0)
        with torch.no_grad():
            decoder.linear.weight.mul_(torch.tensor(scales)[:, None])
        step = gauss_newton_step(matrix, decoder.features_for(target), decoder, target, 1e-7, GaussNewtonConfig())
        products.append(step.products)
    assert products[1] < 1.3 * products[0]


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), loudness=st.floats(0.1, 30.0), damping=st.sampled_from([0.0, 1e-5, 1.0, 100.0]))
def test_never_worse(seed: int, loudness: float, damping: float) -> None:
    """From anywhere, with a decoder that is anything but linear, and with too few products to solve anything."""
    torch.manual_seed(seed)
    decoder, plane = Decoder(8, seed=seed), ImagePlane(7, 5)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(1 + loudness * torch.rand(()))
    means = torch.rand(20, 2) - 0.5
    means[:, 1] *= 5 / 7
    covariance = (0.1 * torch.eye(2))[None].square()
    matrix = aggregation(plane, GaussianSet(means, covariance, torch.zeros(20, 8), 0.2))
    features, target = loudness * torch.randn(20, 8), torch.rand(35, 3)
    before = float((decoder.decode(matrix @ features) - target).square().mean())
    step = gauss_newton_step(matrix, features, decoder, target, damping, GaussNewtonConfig(max_products=5))
    after = float((decoder.decode(matrix @ step.features) - target).square().mean())
    assert math.isclose(step.mean_squared_error, after, rel_tol=1e-4)
    assert after < before if step.improved else after == before
    assert step.improved or torch.equal(step.features, features)


class Saturated(Decoder):
    """Steep around 1/2 and flat beyond: a whole Gauss-Newton step goes far too far."""

    def forward(self, features: Tensor) -> Tensor:
        return 0.5 + 0.4 * torch.tanh(self.linear(features) - 0.5)


def saturated_step(gaussians: MakeGaussians, max_halvings: int) -> tuple[float, GaussNewtonStep]:
    plane, decoder = ImagePlane(8, 6), Saturated(8, hidden_layers=0)
    matrix = aggregation(plane, gaussians(plane))
    target = torch.full((48, 3), 0.5)
    features = decoder.features_for(torch.full((48, 3), 0.5 + 1.3))  # the tangent overshoots to the other side
    before = float((decoder.decode(matrix @ features) - target).square().mean())
    return before, gauss_newton_step(
        matrix, features, decoder, target, 1e-5, GaussNewtonConfig(max_halvings=max_halvings)
    )


def test_steps_that_go_too_far_are_halved(gaussians: MakeGaussians) -> None:
    before, step = saturated_step(gaussians, max_halvings=5)
    assert step.improved and step.mean_squared_error < 0.5 * before
    before, step = saturated_step(gaussians, max_halvings=0)
    assert not step.improved and step.mean_squared_error == before and step.products > 0


def test_nothing_to_improve(gaussians: MakeGaussians) -> None:
    plane, decoder = ImagePlane(8, 6), Decoder(8)
    matrix, features = aggregation(plane, gaussians(plane)), torch.randn(48, 8)
    step = gauss_newton_step(matrix, features, decoder, decoder.decode(matrix @ features), 1e-5, GaussNewtonConfig())
    assert not step.improved and step.mean_squared_error == 0 and torch.equal(step.features, features)


def test_inputs_stay_as_they_are(gaussians: MakeGaussians) -> None:
    plane, decoder = ImagePlane(8, 6), Decoder(8)
    features, target = torch.randn(48, 8, requires_grad=True), torch.rand(48, 3)
    copies = features.detach().clone(), target.clone()
    parameters = [parameter.detach().clone() for parameter in decoder.parameters()]
    step = gauss_newton_step(aggregation(plane, gaussians(plane)), features, decoder, target, 1e-5, GaussNewtonConfig())
    assert step.improved and not step.features.requires_grad
    assert torch.equal(features.detach(), copies[0]) and torch.equal(target, copies[1]) and features.grad is None
    for parameter, copy in zip(decoder.parameters(), parameters, strict=True):
        assert torch.equal(parameter, copy) and parameter.grad is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_targets_that_are_not_finite_change_nothing(value: float, gaussians: MakeGaussians) -> None:
    plane, decoder = ImagePlane(8, 6), Decoder(8)
    features, target = torch.randn(48, 8), torch.rand(48, 3)
    target[17, 1] = value
    step = gauss_newton_step(aggregation(plane, gaussians(plane)), features, decoder, target, 1e-5, GaussNewtonConfig())
    assert not step.improved and torch.equal(step.features, features)
    assert not math.isfinite(step.mean_squared_error)


@pytest.mark.parametrize("density", [0.9, 0.5, 0.2])
def test_pictures_that_cannot_be_reached(density: float, gaussians: MakeGaussians) -> None:
    """Where there are more pixels than Gaussians, a step goes to the nearest that they can come."""
    plane, decoder = ImagePlane(16, 12), Decoder(3, hidden_layers=0)
    few = gaussians(plane, feature_dim=3, gaussians_per_pixel=density)
    wide = GaussianSet(few.means, few.covariances / density, few.features, few.radius)
    matrix, target = aggregation(plane, wide), torch.rand(192, 3)
    start = torch.zeros(len(wide), 3)
    step = gauss_newton_step(matrix, start, decoder, target, 1e-5, GaussNewtonConfig())
    best = start + dense_change(matrix, start, decoder, target, 1e-9, slice(None))
    least = float((decoder.decode(matrix @ best.float()) - target).square().mean())
    assert 1e-4 < least < step.mean_squared_error < 1.01 * least


def test_pixels_without_a_neighbour(gaussians: MakeGaussians, psnr: Callable[[Tensor, Tensor], float]) -> None:
    """They keep the decoder's colour of no feature at all; the others are fitted as if they were alone."""
    plane, decoder, config = ImagePlane(24, 20), Decoder(8), GaussNewtonConfig()
    whole, target = gaussians(plane), torch.rand(480, 3)
    left = whole.means[:, 0] < -0.1
    half = GaussianSet(whole.means[left], whole.covariances, whole.features[left], 0.5 * plane.pixel_size)
    matrix = aggregation(plane, half)
    assert torch.equal(matrix.offsets.diff() == 0, ~left)
    features = decoder.features_for(target[left])
    for _ in range(3):
        features = gauss_newton_step(matrix, features, decoder, target, 1e-6, config).features
    colours = decoder.decode(matrix @ features)
    assert psnr(colours[left], target[left]) > 60
    torch.testing.assert_close(colours[~left], decoder.decode(torch.zeros(1, 8)).expand(int((~left).sum()), 3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda(gaussians: MakeGaussians) -> None:
    plane, decoder = ImagePlane(24, 20), Decoder(8)
    features, target = torch.randn(480, 8), torch.rand(480, 3)
    results = []
    for device in ("cpu", "cuda"):
        there = gaussians(plane).to(device)
        points = plane.pixel_centres(torch.arange(480, device=device))
        neighbours = NeighbourIndex(there.means, there.radius).query(points, 4)
        weights = gaussian_weights(points, neighbours, there.means, there.precisions)
        matrix = AggregationMatrix.from_neighbours(neighbours, weights, 480)
        step = gauss_newton_step(matrix, features.to(device), decoder.to(device), target.to(device), 0.01, EXACT)
        results.append(step.features.cpu())
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=1e-3)
