"""Learning-rate schedules whose state is plain Python numbers.

nerfstudio's own put numpy scalars into checkpoints, which torch no longer loads without unpickling arbitrary objects.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from nerfstudio.engine.schedulers import Scheduler, SchedulerConfig
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.optim.optimizer import Optimizer


@dataclass
class StepsSchedulerConfig(SchedulerConfig):
    """The rate is multiplied by a factor at fractions of the way (paper's official settings)."""

    _target: type = field(default_factory=lambda: StepsScheduler)
    max_steps: int = 30_000
    """Length of the way in steps; a fit sets it to its number of Adam steps."""
    milestones: tuple[float, ...] = (0.5, 0.75, 0.9)
    """Where the rate drops, as fractions of the way."""
    factor: float = 0.33
    """What it is multiplied by."""


class StepsScheduler(Scheduler):
    """See :class:`StepsSchedulerConfig`."""

    config: StepsSchedulerConfig

    def get_scheduler(self, optimizer: Optimizer, lr_init: float) -> LRScheduler:
        """A torch scheduler."""
        drops = [fraction * self.config.max_steps for fraction in self.config.milestones]
        return LambdaLR(optimizer, lambda step: float(self.config.factor ** sum(step >= drop for drop in drops)))


@dataclass
class CosineSchedulerConfig(SchedulerConfig):
    """The rate rises for a few steps, then falls to zero along half a cosine."""

    _target: type = field(default_factory=lambda: CosineScheduler)
    max_steps: int = 1000
    """Length of the way in steps; a fit sets it to its number of Adam steps."""
    warmup_steps: int = 20
    """How many steps the rate rises for."""


class CosineScheduler(Scheduler):
    """See :class:`CosineSchedulerConfig`."""

    config: CosineSchedulerConfig

    def get_scheduler(self, optimizer: Optimizer, lr_init: float) -> LRScheduler:
        """A torch scheduler."""

        def factor(step: int) -> float:
            way = min(1.0, step / max(1, self.config.max_steps))
            return min(1.0, (step + 1) / (self.config.warmup_steps + 1)) * 0.5 * (1 + math.cos(math.pi * way))

        return LambdaLR(optimizer, factor)
