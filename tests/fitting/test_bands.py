"""A picture in bands against the same picture whole."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.fitting import bands as bands_module
from gainer_ns.fitting.bands import HALO_ROWS, PictureBands
from gainer_ns.fitting.gauss_newton import GaussNewtonConfig
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.placement import lattice_means

MakeGaussians = Callable[..., GaussianSet]
TALL = ImagePlane(12, 150)
BAND = 12 * 31
"""Pixels of a band of 31 rows: five bands, the last one lower than the others."""


def all_pixels(plane: ImagePlane) -> Tensor:
    return torch.arange(plane.pixels)


def fitted(bands: PictureBands, target: Tensor, decoder: Decoder, steps: int) -> Tensor:
    """Features after some steps that solve their equations nearly exactly."""
    config = GaussNewtonConfig(max_products=400, tolerance=1e-4, gradient_tolerance=1e-5)
    features = decoder.features_for(torch.full((len(bands._gaussians), 3), 0.5))
    for _ in range(steps):
        assert bands.gauss_newton_step(features, decoder, target, config.damping, config).products > 0
    return features


def test_decoding_in_bands(gaussians: MakeGaussians) -> None:
    jittered, decoder = gaussians(TALL, jitter=0.3), Decoder(8)
    features = torch.randn(len(jittered), 8)
    whole = PictureBands(TALL, jittered, 4, all_pixels(TALL)).decode(features, decoder)
    parts = PictureBands(TALL, jittered, 4, all_pixels(TALL), band_pixels=BAND).decode(features, decoder)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("hidden_layers", [0, 2])
def test_finish_in_bands_leaves_no_seam(
    hidden_layers: int, gaussians: MakeGaussians, psnr: Callable[[Tensor, Tensor], float]
) -> None:
    lattice_set, decoder = gaussians(TALL), Decoder(8, hidden_layers=hidden_layers)
    target = torch.rand(TALL.pixels, 3)
    whole = PictureBands(TALL, lattice_set, 16, all_pixels(TALL))
    parts = PictureBands(TALL, lattice_set, 16, all_pixels(TALL), band_pixels=BAND)
    of_whole, of_parts = fitted(whole, target, decoder, 2), fitted(parts, target, decoder, 2)
    # What a pixel says fades by half with every pixel of distance: 24 rows of halo leave less than a millionth.
    torch.testing.assert_close(of_parts, of_whole, rtol=0, atol=2e-3)
    error = (whole.decode(of_parts, decoder) - target).abs().view(150, -1).amax(dim=1)
    assert psnr(whole.decode(of_parts, decoder), target) > 90
    borders = torch.tensor([31, 62, 93, 124])
    at_borders = torch.stack([error[borders - 1], error[borders]]).max()
    assert at_borders < 4 * error.max().clamp(min=1e-5)
    elsewhere = error.clone()
    elsewhere[borders - 1], elsewhere[borders] = 0, 0
    assert at_borders < 3 * elsewhere.max().clamp(min=1e-6)


def test_halo_is_needed(gaussians: MakeGaussians, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of seams would see one: without a halo there is a line where bands meet."""
    monkeypatch.setattr(bands_module, "HALO_ROWS", 0)
    lattice_set, decoder = gaussians(TALL), Decoder(8, hidden_layers=0)
    target = torch.rand(TALL.pixels, 3)
    parts = PictureBands(TALL, lattice_set, 16, all_pixels(TALL), band_pixels=BAND)
    features = fitted(parts, target, decoder, 1)
    whole = PictureBands(TALL, lattice_set, 16, all_pixels(TALL))
    error = (whole.decode(features, decoder) - target).abs().view(150, -1).amax(dim=1)
    assert error[30:32].max() > 100 * error[10:20].max()


def test_channels_that_may_not_change(gaussians: MakeGaussians) -> None:
    lattice_set, decoder, config = gaussians(TALL), Decoder(8), GaussNewtonConfig()
    parts = PictureBands(TALL, lattice_set, 4, all_pixels(TALL), band_pixels=BAND)
    features = torch.randn(TALL.pixels, 8)
    before = features.clone()
    assert (
        parts.gauss_newton_step(
            features, decoder, torch.rand(TALL.pixels, 3), 1e-5, config, channels=slice(2, 5)
        ).products
        > 0
    )
    assert torch.equal(features[:, :2], before[:, :2]) and torch.equal(features[:, 5:], before[:, 5:])
    assert bool((features[:, 2:5] != before[:, 2:5]).any(dim=1).all()), "every Gaussian took part"


def test_nothing_better_is_said_by_zero(gaussians: MakeGaussians) -> None:
    lattice_set, decoder = gaussians(TALL), Decoder(8, hidden_layers=0)
    parts = PictureBands(TALL, lattice_set, 4, all_pixels(TALL), band_pixels=BAND)
    features = torch.zeros(TALL.pixels, 8)
    target = torch.full((TALL.pixels, 3), 0.5)
    assert parts.gauss_newton_step(features, decoder, target, 1e-5, GaussNewtonConfig()).products == 0
    assert not features.any()


@settings(max_examples=25)
@given(
    width=st.integers(1, 9),
    height=st.integers(1, 120),
    rows=st.integers(0, 70),
    share=st.sampled_from([0.0, 0.05, 0.6, 1.0]),
    seed=st.integers(0, 10**6),
)
def test_every_pixel_and_gaussian_belongs_to_one_band(
    width: int, height: int, rows: int, share: float, seed: int
) -> None:
    torch.manual_seed(seed)
    plane = ImagePlane(width, height)
    pixels = (torch.rand(plane.pixels) < share).nonzero()[:, 0]
    means = torch.cat([lattice_means(plane), torch.randn(40, 2) * 0.4, torch.tensor([[0.0, 0.6], [0.1, -0.6]])])
    covariances = torch.eye(2)[None] * plane.pixel_size**2
    gaussians = GaussianSet(means, covariances, torch.zeros(len(means), 1), 3 * plane.pixel_size)
    bands = PictureBands(plane, gaussians, 4, pixels, band_pixels=max(1, rows * width))
    whole = next(iter(PictureBands(plane, gaussians, 4, pixels)))
    of_pixels, of_gaussians = torch.zeros(len(pixels)), torch.zeros(len(means))
    for band in bands:
        of_pixels[band.pixels[band.own_pixels]] += 1
        of_gaussians[band.rows[band.own_rows]] += 1
        # In the band's halo as well, each pixel reads what it reads in the whole picture.
        read = torch.zeros(len(band.pixels), len(means))
        each = band.matrix.offsets.diff().long()
        there = torch.arange(len(band.pixels)).repeat_interleave(each), band.rows[band.matrix.columns.long()]
        read.index_put_(there, band.matrix.values, accumulate=True)
        features = torch.randn(len(means), 5)
        expected = (whole.matrix @ features[whole.rows])[band.pixels]
        torch.testing.assert_close(read @ features, expected, rtol=0, atol=1e-4)
    assert bool((of_pixels == 1).all())
    row = plane.pixel_from_plane(means)[:, 1]
    near = (row > -HALO_ROWS) & (row < height + HALO_ROWS)  # what is farther out is read by no pixel
    assert bool((of_gaussians[near] == 1).all()) and bool((of_gaussians <= 1).all())


def test_small_pictures_are_one_band_and_made_once(gaussians: MakeGaussians) -> None:
    plane = ImagePlane(12, 10)
    bands = PictureBands(plane, gaussians(plane), 4, all_pixels(plane))
    assert bands.seconds == 0
    (one,) = bands
    (two,) = bands
    assert one is two and one.matrix is two.matrix and bands.seconds > 0
    assert bool(one.own_pixels.all()) and bool(one.own_rows.all())


def test_only_some_pixels(gaussians: MakeGaussians, psnr: Callable[[Tensor, Tensor], float]) -> None:
    """A masked picture: the rows of the mask are where they are in the picture, not where they are in the list."""
    inside = torch.zeros(150, 12, dtype=torch.bool)
    inside[10:40, 2:9], inside[100:, 5:] = True, True
    pixels, decoder = inside.flatten().nonzero()[:, 0], Decoder(8)
    masked, target = gaussians(TALL, inside=inside), torch.rand(len(pixels), 3)
    parts = PictureBands(TALL, masked, 4, pixels, band_pixels=BAND)
    features = fitted(parts, target, decoder, 3)
    assert psnr(parts.decode(features, decoder), target) > 90
    whole = PictureBands(TALL, masked, 4, pixels)
    torch.testing.assert_close(whole.decode(features, decoder), parts.decode(features, decoder), rtol=0, atol=1e-5)


def test_means_outside_the_picture_take_part(gaussians: MakeGaussians) -> None:
    """They count to the band of the border, and are changed where they help."""
    regular = gaussians(TALL)
    above = regular.means[:12] + torch.tensor([0.0, TALL.pixel_size])
    below = regular.means[-12:] - torch.tensor([0.0, TALL.pixel_size])
    means = torch.cat([regular.means, above, below])
    wider = GaussianSet(means, regular.covariances, torch.zeros(len(means), 8), regular.radius)
    features, decoder = torch.zeros(len(means), 8), Decoder(8)
    parts = PictureBands(TALL, wider, 16, all_pixels(TALL), band_pixels=BAND)
    parts.gauss_newton_step(features, decoder, torch.rand(TALL.pixels, 3), 1e-5, GaussNewtonConfig())
    assert bool(features[-24:].any(dim=1).all())


def test_no_pixels(gaussians: MakeGaussians) -> None:
    bands = PictureBands(TALL, gaussians(TALL), 4, torch.empty(0, dtype=torch.long), band_pixels=BAND)
    features, decoder = torch.randn(TALL.pixels, 8), Decoder(8)
    before = features.clone()
    assert bands.gauss_newton_step(features, decoder, torch.empty(0, 3), 1e-5, GaussNewtonConfig()).products == 0
    assert torch.equal(features, before) and bands.decode(features, decoder).shape == (0, 3)
