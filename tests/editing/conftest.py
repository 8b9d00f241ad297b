"""What the tests of editing share: small pictures, fitted exactly in a moment, and ways to edit and compare them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from gainer_ns.editing.script import Script
from gainer_ns.editing.stage import Stage
from gainer_ns.fields.decoder import Decoder
from gainer_ns.fitting.bands import PictureBands, fit_opacities
from gainer_ns.fitting.gauss_newton import GaussNewtonConfig
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet, isotropic
from gainer_ns.gaussians.opacity import near_visible_pixels, nearest_visible_pixel, opacity_field
from gainer_ns.gaussians.placement import lattice_means
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture


class Seen(NamedTuple):
    """A picture as it is drawn.

    Attributes:
        rgb: [h, w, 3], not multiplied by alpha.
        alpha: [h, w].
    """

    rgb: np.ndarray
    alpha: np.ndarray

    @property
    def premultiplied(self) -> np.ndarray:
        """Colours times alpha, and alpha: [h, w, 4]."""
        return np.concatenate([self.rgb * self.alpha[..., None], self.alpha[..., None]], axis=2)

    def __getitem__(self, where: Any) -> "Seen":  # type: ignore[override]
        return Seen(self.rgb[where], self.alpha[where])


@pytest.fixture(scope="session")
def fitted() -> Callable[..., BakedPicture]:
    """``fitted(colours, opacity=None)``: a picture whose pixels are these, from [h, w, 3] and [h, w] in [0, 1]."""

    def make(colours: Tensor, opacity: Tensor | None = None) -> BakedPicture:
        plane = ImagePlane(colours.shape[1], colours.shape[0])
        flat, pixels, near = colours.reshape(-1, 3).float(), torch.arange(plane.pixels), None
        if opacity is not None:
            near = near_visible_pixels(opacity)
            flat = flat[nearest_visible_pixel(opacity).flatten()]
            pixels = near.flatten().nonzero()[:, 0]
        means = lattice_means(plane, inside=near)
        decoder = Decoder(8, hidden_layers=0).eval()
        features = decoder.features_for(flat[plane.pixel_at(means)]).clone()
        gaussians = GaussianSet(means, isotropic(0.64 * plane.pixel_size, 2), features, 10 * plane.pixel_size)
        opacities = None
        if opacity is not None:
            field = opacity_field(opacity.float()).flatten()
            start = GaussianSet(means, gaussians.covariances, features, gaussians.radius, field[plane.pixel_at(means)])
            opacities = fit_opacities(plane, start, 21, pixels, field[pixels])
        bands, config = PictureBands(plane, gaussians, 21, pixels), GaussNewtonConfig()
        for step in range(3):
            damping = config.damping * config.damping_decay**step
            bands.gauss_newton_step(features, decoder, flat[pixels], damping, config)
        gaussians = GaussianSet(means, gaussians.covariances, features, gaussians.radius, opacities)
        return BakedPicture(plane, (Layer(gaussians, decoder, 21, plane.half_extent),))

    return make


@pytest.fixture(scope="session")
def smooth() -> Callable[..., Tensor]:
    """``smooth(width, height, seed)``: random colours [h, w, 3] in [0.1, 0.9] that change over some pixels."""

    def make(width: int, height: int, seed: int = 0, grain: int = 6) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand(1, 3, height // grain + 3, width // grain + 3, generator=generator)
        fine = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=True)
        return (0.1 + 0.8 * fine[0].permute(1, 2, 0)).clamp(0.1, 0.9)

    return make


@pytest.fixture(scope="session")
def landscape(fitted: Callable[..., BakedPicture], smooth: Callable[..., Tensor]) -> BakedPicture:
    """A smooth random picture of 64 x 48 pixels."""
    return fitted(smooth(64, 48))


@pytest.fixture(scope="session")
def cutout(fitted: Callable[..., BakedPicture], smooth: Callable[..., Tensor]) -> BakedPicture:
    """A disc of radius 15 with a soft edge in 48 x 48 clear pixels."""
    y, x = torch.meshgrid(torch.arange(48) + 0.5, torch.arange(48) + 0.5, indexing="ij")
    opacity = (0.5 + (15 - torch.hypot(x - 24, y - 24)) / 2).clamp(0, 1)
    return fitted(smooth(48, 48, seed=3), opacity)


@pytest.fixture(scope="session")
def staged() -> Callable[..., Stage]:
    """``staged(picture, *edits, layers, **words)``: a picture taken apart by a script of these edits."""

    def make(
        picture: BakedPicture,
        *edits: Mapping[str, Any],
        pictures: Mapping[str, BakedPicture] | None = None,
        **words: Any,
    ) -> Stage:
        return Stage(Script.model_validate({"edits": list(edits), **words}), picture, pictures)

    return make


@pytest.fixture(scope="session")
def seen() -> Callable[..., Seen]:
    """``seen(picture, scale, crop)``: the picture as it is drawn."""

    def draw(picture: BakedPicture, scale: float = 1.0, crop: tuple[float, float, float, float] | None = None) -> Seen:
        rgb, alpha = picture.raster(scale, crop)
        return Seen(rgb.numpy(), alpha[..., 0].numpy())

    return draw


@pytest.fixture(scope="session")
def edited(staged: Callable[..., Stage], seen: Callable[..., Seen]) -> Callable[..., Seen]:
    """``edited(picture, *edits, t, scale, crop, **words)``: the picture as it is drawn after these edits."""

    def draw(
        picture: BakedPicture,
        *edits: Mapping[str, Any],
        t: float = 1.0,
        scale: float = 1.0,
        crop: tuple[float, float, float, float] | None = None,
        **words: Any,
    ) -> Seen:
        return seen(staged(picture, *edits, **words).at(t), scale, crop)

    return draw


@pytest.fixture(scope="session")
def psnr() -> Callable[[Seen, Seen], float]:
    """``psnr(a, b)``: how alike two drawn pictures are, in dB, colours and alpha together."""

    def compare(a: Seen, b: Seen) -> float:
        error = np.square(a.premultiplied - b.premultiplied).mean()
        return float(-10 * np.log10(max(error, 1e-12)))

    return compare
