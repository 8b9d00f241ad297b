"""Adam with all of its numbers: nerfstudio's configuration leaves the betas out."""

from __future__ import annotations

from dataclasses import dataclass

from nerfstudio.engine.optimizers import AdamOptimizerConfig


@dataclass
class BetasAdamConfig(AdamOptimizerConfig):
    """Adam with betas of one's own."""

    betas: tuple[float, float] = (0.9, 0.999)
    """How much of the last steps' gradients, and of their squares, is remembered. Full-picture gradients have little
    noise, so their squares need not be remembered for long."""
