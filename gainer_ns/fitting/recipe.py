"""Recipes: the options by which a picture becomes a model, whoever runs them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import l1_loss, mse_loss, smooth_l1_loss

from gainer_ns.errors import GainerError
from gainer_ns.fields.decoder import Decoder
from gainer_ns.fields.hash_grid import grid_numbers
from gainer_ns.fields.knn_encoding import GaussianKNNEncoding, KNNEncodingConfig
from gainer_ns.fitting.gauss_newton import GaussNewtonConfig
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians import placement
from gainer_ns.gaussians.lattice import MAX_SIGMA, MIN_SIGMA, NEAR_NODES
from gainer_ns.gaussians.opacity import near_visible_pixels, opacity_field, supporting_pixels
from gainer_ns.memory import check_free
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.matte import Matte

UNIT_BOX = torch.tensor([-0.5, -0.5]), 1.0
"""Origin and side of the square that holds any picture's plane, which a hash grid spans."""
_CLOSED_FORM_BYTES_PER_PIXEL = 4 * (3 + 2 + 3) + 4
"""Peak memory of a fit in closed form: colours, means and features, which fill one after the other, and a little."""
_COLOUR_MARGIN_PX = 1.5
"""How far around visible pixels there are Gaussians where a matte says where the picture ends."""
_SPARSE_ADAM_STEPS = 1000
"""Adam steps below one Gaussian a pixel, unless the user says otherwise."""


@dataclass
class Recipe:
    """How a picture becomes a model, whatever the model is."""

    fit_seconds: float | None = None
    """Stop after so many seconds of fitting; learning rates then fall with time instead of steps. None for no limit."""
    seed: int = 0
    """Seed of everything random in the model."""

    def check(self, pixels: int) -> None:
        """Refuse, before anything is written, options that cannot fit a picture of so many pixels here.

        Raises:
            GainerError: If they cannot.
        """

    def planned_adam_steps(self, pixels: int) -> int:
        """Return the number of Adam steps for a picture of so many pixels.

        The length of the learning rates' schedules.
        """
        raise NotImplementedError

    def planned_steps(self, pixels: int) -> int:
        """Return the most steps of any kind, for a picture of so many pixels."""
        return self.planned_adam_steps(pixels)

    def model_bytes(self, plane: ImagePlane) -> int:
        """Estimate the size of a checkpoint's parameters, for a picture of a size."""
        raise NotImplementedError


@dataclass
class PixelsRecipe(Recipe):
    """How colours of pixels are fitted, whatever makes them."""

    loss: Literal["l1", "mse", "smooth-l1"] = "mse"
    """Loss of the Adam steps; Gauss-Newton steps minimise the squared error."""

    def loss_of(self, rgb: Float[Tensor, "m 3"], target: Float[Tensor, "m 3"]) -> Float[Tensor, ""]:
        """Return the loss of colours against their targets."""
        return {"mse": mse_loss, "l1": l1_loss, "smooth-l1": smooth_l1_loss}[self.loss](rgb, target)


@dataclass
class GaussianRecipe(Recipe):
    """How a photo becomes Gaussians, whether they stay in its plane or go into space."""

    hidden_layers: int = 2
    """Hidden layers of the decoder's MLP; 0 leaves its linear path alone."""
    hidden_dim: int = 64
    """Width of a hidden layer."""
    finish: GaussNewtonConfig = field(default_factory=GaussNewtonConfig)
    """How a Gauss-Newton step is taken."""
    finish_steps: int = 12
    """Most Gauss-Newton steps after those of Adam; 0 for none."""
    target_psnr: float = 80.0
    """Gauss-Newton steps stop here (dB), once every value is exact at the picture's own 8 or 16 bits as well."""

    def decoder_bytes(self, features: int) -> int:
        """Return the size of the decoder's weights."""
        return 4 * self.hidden_dim * (features + max(0, self.hidden_layers or 0) * self.hidden_dim)

    def planned_steps(self, pixels: int) -> int:
        """Return the number of Adam and Gauss-Newton steps."""
        return self.planned_adam_steps(pixels) + self.finish_steps


class LearnedPicture(NamedTuple):
    """The parameters of a picture: its Gaussians, and the decoder from features to colours."""

    encoding: GaussianKNNEncoding
    decoder: Decoder

    def groups(self) -> dict[str, list[Parameter]]:
        """Group the parameters of Adam by what they are."""
        encoding = self.encoding
        grid, table = encoding.hash_grid, encoding.features_table
        return {
            "decoder": list(self.decoder.parameters()),
            "features": list(grid.parameters()) if grid is not None else [] if table is None else [table],
            "covariances": [encoding.precision_factors],
        }
        return groups

    def layer(self, plane: ImagePlane) -> Layer:
        """Bake what has been learned so far: without optimiser and hash grid."""
        neighbours = self.encoding.config.num_neighbours
        matte = None if self.encoding.matte is None else Matte(self.encoding.matte, plane)
        return Layer(self.encoding.gaussian_set(), self.decoder, neighbours, plane.half_extent, matte=matte)


@dataclass
class PictureRecipe(GaussianRecipe, PixelsRecipe):
    """How a picture becomes Gaussians on its plane (paper, sections 3.2 to 3.4)."""

    gaussians_per_pixel: float = 1.0
    """Density of the Gaussians; from 1 on, the picture is reached exactly."""
    num_gaussians: int | None = None
    """Number of Gaussians; overrides the density."""
    placement: Literal["lattice", "uniform", "detail"] = "lattice"
    """Means on a square lattice, drawn uniformly as in the paper, or, learned ones, dense where there is detail."""
    jitter: float = 0.0
    """Largest random displacement of a lattice mean, in spacings; 0 interpolates best between pixels."""
    feature_dim: int | None = None
    """Length of a Gaussian's feature (a hash grid has its own). None for 3, colours, where the fit has a closed form,
    and 8 elsewhere."""
    hidden_layers: int | None = None
    """Hidden layers of the decoder's MLP; 0 leaves its linear path alone. None for 0 where the fit has a closed form,
    and 2 elsewhere."""
    encoding: KNNEncodingConfig = field(default_factory=lambda: KNNEncodingConfig(num_neighbours=21))
    """How points read Gaussians, from one Gaussian a pixel on."""
    sparse_encoding: KNNEncodingConfig = field(
        default_factory=lambda: KNNEncodingConfig(num_neighbours=9, covariances="full")
    )
    """How points read Gaussians below one a pixel."""
    between_pixels: float = 0.0
    """What points half way between the pixels count, which edits show, beside the pixels. Needs learned means. 0 gives
    the highest PSNR of the pixels, and the worst edits."""
    rounding: float = 0.0
    """How coarse the steps are that what is learned ends as multiples of: at 0.6 a Gaussian takes 6 to 7 bytes of a
    file, at 1 about 5, for 1 to 2 dB less; 0 for no rounding. Needs learned means."""
    adam_steps: int | None = None
    """Steps by Adam on the whole picture, of means that stay; None for none from one Gaussian a pixel on, where
    Gauss-Newton steps alone are as good and faster, and 1000 below."""

    def density(self, pixels: int) -> float:
        """Return the number of Gaussians a pixel in a picture of so many pixels.

        Raises:
            GainerError: If there are none, or no number of them.
        """
        density = self.gaussians_per_pixel if self.num_gaussians is None else self.num_gaussians / pixels
        if not 0 < density < math.inf:
            raise GainerError(f"{density:g} Gaussians a pixel: gaussians-per-pixel must be above 0")
        return density

    def planned_adam_steps(self, pixels: int) -> int:
        """Return the number of Adam steps, by the user's word or by the density."""
        if self.planned_encoding(pixels).means == "learned":
            return 0
        if self.adam_steps is not None:
            return self.adam_steps
        return 0 if self.density(pixels) >= 1 else _SPARSE_ADAM_STEPS

    def model_bytes(self, plane: ImagePlane) -> int:
        """Estimate the size of a checkpoint's parameters."""
        copies = 3 if self.planned_adam_steps(plane.pixels) else 1  # Adam keeps two numbers beside each of the model's
        encoding = self.planned_encoding(plane.pixels)
        numbers = int(self.density(plane.pixels) * plane.pixels * (encoding.feature_dim + 2))
        if encoding.features == "hash-grid":
            numbers += grid_numbers(encoding.hash_grid, 2)
        return copies * (4 * numbers + self.decoder_bytes(encoding.feature_dim))

    def planned_encoding(self, pixels: int) -> KNNEncodingConfig:
        """Return how points read Gaussians at this density."""
        encoding = self.encoding if self.density(pixels) >= 1 else self.sparse_encoding
        return replace(encoding, feature_dim=self.feature_dim or (3 if self.has_closed_form(pixels) else 8))

    def planned_hidden_layers(self, pixels: int) -> int:
        """Return the number of hidden layers of the decoder's MLP."""
        if self.hidden_layers is not None:
            return self.hidden_layers
        return 0 if self.has_closed_form(pixels) else 2

    def has_closed_form(self, pixels: int) -> bool:
        """Tell whether a Gaussian stands at the centre of each pixel, all alike, and nothing is left to Adam."""
        encoding = self.encoding
        alike = encoding.means == "fixed" and encoding.covariances == "shared" and encoding.features == "table"
        centred = self.placement == "lattice" and self.jitter == 0 and self.density(pixels) == 1
        kernel = MIN_SIGMA <= encoding.sigma <= MAX_SIGMA and encoding.num_neighbours >= NEAR_NODES
        linear = not self.hidden_layers and (self.feature_dim or 3) >= 3
        return alike and centred and kernel and linear and not self.adam_steps and self.finish_steps > 0 and pixels > 1

    def planned_steps(self, pixels: int) -> int:
        """Return 1 where the fit has a closed form, and the number of Adam and Gauss-Newton steps elsewhere."""
        return 1 if self.has_closed_form(pixels) else super().planned_steps(pixels)

    def check(self, pixels: int) -> None:
        """Refuse means, Gauss-Newton steps and points that do not go together, and more than there is memory for."""
        if self.has_closed_form(pixels):
            what = f"fitting {pixels / 1e6:.1f} megapixels"
            check_free(_CLOSED_FORM_BYTES_PER_PIXEL * pixels, what, "reduce the picture, or close other programs")
        moving = self.planned_encoding(pixels).means == "learned"
        if moving and (self.adam_steps or self.planned_hidden_layers(pixels) or self.finish_steps < 1):
            raise GainerError("learned means take finish-steps alone, without Adam steps and hidden layers")
        if self.between_pixels and not moving:
            raise GainerError("between-pixels is for learned means; fit gainer-compact, or leave it at 0")
        if self.rounding and not moving:
            raise GainerError("rounding is for learned means; fit gainer-compact, or leave it at 0")
        if not 0 <= self.rounding <= 8:
            raise GainerError(f"rounding {self.rounding:g}: choose a coarseness from 0 to 8")
        if not 0 <= self.between_pixels <= 1:
            raise GainerError(f"between-pixels {self.between_pixels:g}: choose a weight from 0 to 1")

    def pixels_with_gaussians(
        self, plane: ImagePlane, opacity: Float[Tensor, "h w"] | None
    ) -> Bool[Tensor, "h w"] | None:
        """Return which pixels get Gaussians, for a picture of an opacity; None for all of them."""
        if opacity is None:
            return None
        if self.planned_encoding(plane.pixels).means == "learned":  # a matte says where it ends
            return near_visible_pixels(opacity, _COLOUR_MARGIN_PX)
        return supporting_pixels(
            opacity, placement.lattice_spacing(plane, self.density(plane.pixels)) / plane.pixel_size
        )

    def begin(self, plane: ImagePlane, opacity: Float[Tensor, "h w"] | None) -> LearnedPicture:
        """Place the Gaussians and make their decoder.

        ``opacity`` is the picture's own, None for a picture without alpha.

        Raises:
            GainerError: If the numbers contradict one another, or leave no Gaussian.
        """
        density, planned = self.density(plane.pixels), self.planned_encoding(plane.pixels)
        self.check(plane.pixels)
        spacing = placement.lattice_spacing(plane, density)
        inside = self.pixels_with_gaussians(plane, opacity)
        if self.placement == "lattice":
            means = placement.lattice_means(plane, density, jitter=self.jitter, inside=inside, seed=self.seed)
        else:
            pixels = plane.pixels if inside is None else int(inside.sum())
            means = placement.uniform_means(plane, round(density * pixels), inside=inside, seed=self.seed)
        if len(means) == 0:
            raise GainerError(f"{density:g} Gaussians a pixel leave none in this picture; raise gaussians-per-pixel")
        opacities = None if opacity is None else opacity.flatten()[plane.pixel_at(means)]
        if opacity is not None and not self.has_closed_form(plane.pixels):  # which finds them itself
            opacities = opacity_field(opacity).flatten()[plane.pixel_at(means)]
        matte = opacity if planned.means == "learned" else None
        encoding = GaussianKNNEncoding(
            planned, means, spacing, unit_box=UNIT_BOX, seed=self.seed, opacities=opacities, matte=matte
        )
        decoder = Decoder(
            encoding.feature_dim,
            hidden_layers=self.planned_hidden_layers(plane.pixels),
            hidden_dim=self.hidden_dim,
            seed=self.seed,
            grey_first=encoding.config.slopes > 0,
            plain=self.has_closed_form(plane.pixels),
        )
        return LearnedPicture(encoding, decoder)
