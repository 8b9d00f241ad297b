"""What the recipes of all methods have in common."""

from __future__ import annotations

from dataclasses import dataclass, field

from nerfstudio.models.base_model import ModelConfig

from gainer_ns.fitting.panel import PanelConfig
from gainer_ns.fitting.solver import FinishConfig
from gainer_ns.frames import ImagePlane


@dataclass
class RecipeConfig(ModelConfig):
    """How a picture becomes a model, whatever the model is."""

    enable_collider: bool = False
    """Rays meet what is there, and nothing else bounds them."""
    fit_seconds: float | None = None
    """Stop after so many seconds of fitting; learning rates then fall with time instead of steps. None for no limit."""
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Colour shown where nothing is."""
    seed: int = 0
    """Seed of everything random in the model."""
    panel: PanelConfig = field(default_factory=PanelConfig)
    """What the viewer offers besides."""

    def planned_adam_steps(self, pixels: int) -> int:
        """Adam steps, for a picture of so many pixels: the length of the learning rates' schedules."""
        raise NotImplementedError

    def planned_steps(self, pixels: int) -> int:
        """Most steps of any kind, for a picture of so many pixels."""
        return self.planned_adam_steps(pixels)

    def model_bytes(self, plane: ImagePlane) -> int:
        """About how large a checkpoint's parameters are, for a picture of a size."""
        raise NotImplementedError


@dataclass
class GaussianRecipeConfig(RecipeConfig):
    """How a photo becomes Gaussians, whether they stay in its plane or go into space."""

    hidden_layers: int = 2
    """Hidden layers of the decoder's MLP; 0 leaves its linear path alone."""
    hidden_dim: int = 64
    """Width of a hidden layer."""
    finish: FinishConfig = field(default_factory=FinishConfig)
    """How a Gauss-Newton step is taken."""
    finish_steps: int = 12
    """Most Gauss-Newton steps; 0 leaves the finish out."""
    target_psnr: float = 80.0
    """The finish stops here (dB), once every value is exact at the picture's own 8 or 16 bits as well."""

    def decoder_bytes(self, features: int) -> int:
        """How large the weights of the decoder are."""
        return 4 * self.hidden_dim * (features + max(0, self.hidden_layers) * self.hidden_dim)

    def planned_steps(self, pixels: int) -> int:
        """Adam steps and Gauss-Newton steps."""
        return self.planned_adam_steps(pixels) + self.finish_steps
