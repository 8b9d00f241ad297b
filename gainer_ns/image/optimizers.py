"""Optimisers and schedules as nerfstudio configures them, with all of their numbers and states it can load again.

nerfstudio's Adam leaves the betas out. Its schedules put numpy scalars into checkpoints, which torch no longer loads
without unpickling arbitrary objects; the state of these is plain Python numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nerfstudio.engine.optimizers import AdamOptimizerConfig
from nerfstudio.engine.schedulers import Scheduler, SchedulerConfig
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.optim.optimizer import Optimizer

from gainer_ns.fitting.schedules import CosineSchedule, StepsSchedule


@dataclass
class BetasAdamConfig(AdamOptimizerConfig):
    """Adam with betas of one's own."""

    betas: tuple[float, float] = (0.9, 0.999)
    """How much of the last steps' gradients, and of their squares, is remembered. Full-picture gradients have little
    noise, so their squares need not be remembered for long."""


class PlainScheduler(Scheduler):
    """A schedule of the learning rate, whose state is plain Python numbers."""

    config: CosineSchedulerConfig | StepsSchedulerConfig

    def get_scheduler(self, optimizer: Optimizer, lr_init: float) -> LRScheduler:
        """Return a torch scheduler."""
        return LambdaLR(optimizer, lambda step: self.config.factor_at(step))


@dataclass
class StepsSchedulerConfig(SchedulerConfig, StepsSchedule):
    """See :class:`gainer_ns.fitting.schedules.StepsSchedule`."""

    _target: type = field(default_factory=lambda: PlainScheduler)


@dataclass
class CosineSchedulerConfig(SchedulerConfig, CosineSchedule):
    """See :class:`gainer_ns.fitting.schedules.CosineSchedule`."""

    _target: type = field(default_factory=lambda: PlainScheduler)
