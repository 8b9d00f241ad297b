"""Options that the recipes of all methods have in common, whoever runs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss, smooth_l1_loss

from gainer_ns.fitting.gauss_newton import GaussNewtonConfig
from gainer_ns.frames import ImagePlane


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
    """Loss of the Adam steps; a Gauss-Newton finish minimises the squared error."""

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
    """Most Gauss-Newton steps; 0 leaves the finish out."""
    target_psnr: float = 80.0
    """The finish stops here (dB), once every value is exact at the picture's own 8 or 16 bits as well."""

    def decoder_bytes(self, features: int) -> int:
        """Return the size of the decoder's weights."""
        return 4 * self.hidden_dim * (features + max(0, self.hidden_layers) * self.hidden_dim)

    def planned_steps(self, pixels: int) -> int:
        """Return the number of Adam and Gauss-Newton steps."""
        return self.planned_adam_steps(pixels) + self.finish_steps
