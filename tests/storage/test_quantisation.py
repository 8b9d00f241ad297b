"""Features in 8 bits a channel."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.fitting.bands import PictureBands
from gainer_ns.fitting.gauss_newton import GaussNewtonConfig
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.storage.quantisation import QuantisedFeatures, quantised, rounded

MakeGaussians = Callable[..., GaussianSet]
Psnr = Callable[[Tensor, Tensor], float]
PLANE = ImagePlane(24, 20)


class Fit:
    """A fitted picture."""

    def __init__(
        self, gaussians: GaussianSet, target: Tensor, *, hidden_layers: int = 2, band_pixels: int = 10**6
    ) -> None:
        self.target = target
        self.decoder = Decoder(gaussians.features.shape[1], hidden_layers=hidden_layers)
        self.bands = PictureBands(PLANE, gaussians, 16, torch.arange(PLANE.pixels), band_pixels=band_pixels)
        self.features = self.decoder.features_for(target)
        for _ in range(3):
            self.bands.gauss_newton_step(self.features, self.decoder, target, 1e-6, GaussNewtonConfig())

    def colours(self, features: Tensor) -> Tensor:
        return self.bands.decode(features, self.decoder)

    def quantised(self) -> QuantisedFeatures:
        before = self.features.clone()
        result = quantised(self.bands, self.features, self.decoder)
        assert torch.equal(self.features, before), "what was there stays as it is"
        return result


def test_rounded() -> None:
    features = torch.randn(1000, 5) * torch.tensor([1.0, 100.0, 1e-3, 1.0, 0.0]) + torch.tensor(
        [0.0, 5.0, 9.0, 1e4, 7.0]
    )
    result = rounded(features)
    assert result.levels.dtype == torch.uint8 and result.levels.shape == features.shape
    assert result.levels[:, :4].amin(dim=0).tolist() == [0] * 4, "the whole range of levels is used"
    assert result.levels[:, :4].amax(dim=0).tolist() == [255] * 4
    error = (result.features() - features).abs().amax(dim=0)
    assert bool((error <= 0.5 * result.step + 1e-6 * features.abs().amax(dim=0)).all())
    assert torch.equal(result.features()[:, 4], features[:, 4]), "a channel that never changes is exact"


def test_rounding_again_changes_nothing() -> None:
    once = rounded(torch.randn(300, 4)).features()
    torch.testing.assert_close(rounded(once).features(), once, rtol=0, atol=1e-6)


@pytest.mark.parametrize("hidden_layers", [0, 2])
@pytest.mark.parametrize("kind", ["noise", "smooth"])
def test_later_channels_take_up_what_rounding_lost(
    kind: str,
    hidden_layers: int,
    gaussians: MakeGaussians,
    smooth_picture: Callable[[ImagePlane], Tensor],
    psnr: Psnr,
) -> None:
    target = torch.rand(PLANE.pixels, 3) if kind == "noise" else smooth_picture(PLANE)
    fit = Fit(gaussians(PLANE), target, hidden_layers=hidden_layers)
    result = fit.quantised()
    assert result.levels.dtype == torch.uint8 and result.levels.shape == (PLANE.pixels, 8)
    assert result.low.shape == result.step.shape == (8,)
    colours = fit.colours(result.features())
    assert psnr(colours, target) > 72, "two levels of 8 bits say more than one"
    assert psnr(colours, target) > 20 + psnr(fit.colours(rounded(fit.features).features()), target)
    assert (colours - target).abs().max() < 0.5 / 255, "all 8-bit values stay exact"


def test_a_decoder_that_is_far_from_linear(gaussians: MakeGaussians, psnr: Psnr) -> None:
    target = torch.rand(PLANE.pixels, 3)
    fit = Fit(gaussians(PLANE), target)
    with torch.no_grad():
        for parameter in fit.decoder.parameters():
            parameter.add_(parameter.abs().mean() * torch.randn_like(parameter))
    for _ in range(3):
        fit.bands.gauss_newton_step(fit.features, fit.decoder, target, 1e-6, GaussNewtonConfig())
    assert psnr(fit.colours(fit.features), target) > 85
    assert psnr(fit.colours(fit.quantised().features()), target) > 65


def test_groups_of_unequal_size(gaussians: MakeGaussians, psnr: Psnr) -> None:
    """Eleven channels make three groups of three or four."""
    target = torch.rand(PLANE.pixels, 3)
    fit = Fit(gaussians(PLANE, feature_dim=11), target, hidden_layers=0)
    result = fit.quantised()
    assert result.levels.shape == (PLANE.pixels, 11)
    assert psnr(fit.colours(result.features()), target) > 90


@pytest.mark.parametrize("feature_dim", [3, 5])
def test_too_few_channels_for_groups(feature_dim: int, gaussians: MakeGaussians, psnr: Psnr) -> None:
    """Then they are only rounded."""
    target = torch.rand(PLANE.pixels, 3)
    fit = Fit(gaussians(PLANE, feature_dim=feature_dim), target)
    result, expected = fit.quantised(), rounded(fit.features)
    for one, other in zip(result[:3], expected[:3], strict=True):
        assert torch.equal(one, other)
    assert result.bend is None and expected.bend is None
    assert psnr(fit.colours(result.features()), target) > 40


def test_in_bands(gaussians: MakeGaussians, psnr: Psnr) -> None:
    target = torch.rand(PLANE.pixels, 3)
    fit = Fit(gaussians(PLANE), target, band_pixels=24 * 6)
    assert psnr(fit.colours(fit.quantised().features()), target) > 72


@pytest.mark.parametrize("colour", [0.0, 0.5, 1.0])
def test_constant_pictures(colour: float, gaussians: MakeGaussians, psnr: Psnr) -> None:
    """No channel has a range; what is left is exact."""
    target = torch.full((PLANE.pixels, 3), colour)
    fit = Fit(gaussians(PLANE), target, hidden_layers=0)
    result = fit.quantised()
    assert bool(result.features().isfinite().all())
    assert psnr(fit.colours(result.features()), target) > 90


def test_bent_levels_lie_close_where_most_numbers_are() -> None:
    features = torch.randn(4000, 2) * torch.tensor([0.3, 2.0])
    features[0] = torch.tensor([8.0, -60.0])
    even, bent = rounded(features), rounded(features, bent=True)
    assert bent.bend is not None and bent.bend.shape == bent.low.shape == (2,)
    errors = [(one.features() - features).square().mean(dim=0).sqrt() for one in (even, bent)]
    assert bool((errors[1] < 0.5 * errors[0]).all())
    assert bool(((bent.features()[0] - features[0]).abs() < 0.05 * features[0].abs()).all())


def test_features_take_up_what_their_offset_lost(gaussians: MakeGaussians) -> None:
    """Rounded slopes are an offset; features are refitted for them, not for the exact ones."""
    target = torch.rand(PLANE.pixels, 3)
    fit = Fit(gaussians(PLANE, feature_dim=3), target, hidden_layers=0)
    offset = 0.05 * torch.randn(PLANE.pixels, 3)
    levels = quantised(fit.bands, fit.features, fit.decoder, target, offset=offset)
    refitted = fit.decoder.decode(fit.bands.read(levels.features()) + offset)
    kept = fit.decoder.decode(fit.bands.read(fit.features) + offset)
    assert float((refitted - target).square().mean()) < 0.2 * float((kept - target).square().mean())
