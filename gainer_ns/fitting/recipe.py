"""What the recipes of all methods have in common."""

from __future__ import annotations

from dataclasses import dataclass, field

from nerfstudio.models.base_model import ModelConfig

from gainer_ns.fitting.panel import PanelConfig
from gainer_ns.fitting.solver import FinishConfig


@dataclass
class RecipeConfig(ModelConfig):
    """How a photo becomes Gaussians, whether they stay in its plane or go into space."""

    enable_collider: bool = False
    """Rays meet what is there, and nothing else bounds them."""
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
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Colour shown where nothing is."""
    seed: int = 0
    """Seed of placement, features and decoder."""
    panel: PanelConfig = field(default_factory=PanelConfig)
    """What the viewer offers besides."""

    def planned_adam_steps(self, pixels: int) -> int:
        """Adam steps before the finish, for a picture of so many pixels."""
        raise NotImplementedError

    def model_bytes(self, pixels: int) -> int:
        """About how large a checkpoint's Gaussians are, for a picture of so many pixels."""
        raise NotImplementedError
