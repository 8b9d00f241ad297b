"""Learning rate schedules."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class StepsSchedule:
    """The rate is multiplied by a factor at fractions of the Adam steps (paper's official settings)."""

    max_steps: int = 30_000
    """Length in steps; a fit sets it to its number of Adam steps."""
    milestones: tuple[float, ...] = (0.5, 0.75, 0.9)
    """Where the rate drops, as fractions of the length."""
    factor: float = 0.33
    """What it is multiplied by."""

    def factor_at(self, step: int) -> float:
        """Return the factor of the first rate before a step."""
        drops = [fraction * self.max_steps for fraction in self.milestones]
        return float(self.factor ** sum(step >= drop for drop in drops))


@dataclass
class CosineSchedule:
    """The rate rises for a few steps, then falls to zero along half a cosine."""

    max_steps: int = 1000
    """Length in steps; a fit sets it to its number of Adam steps."""
    warmup_steps: int = 20
    """How many steps the rate rises for."""

    def factor_at(self, step: int) -> float:
        """Return the factor of the first rate before a step."""
        progress = min(1.0, step / max(1, self.max_steps))
        return min(1.0, (step + 1) / (self.warmup_steps + 1)) * 0.5 * (1 + math.cos(math.pi * progress))
