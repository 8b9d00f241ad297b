"""Learning-rate schedules, and that their state survives a checkpoint."""

import io
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from nerfstudio.engine.schedulers import SchedulerConfig
from torch.optim.lr_scheduler import LRScheduler

from gainer_ns.image.optimizers import CosineSchedulerConfig, StepsSchedulerConfig

Made = tuple[torch.optim.Optimizer, LRScheduler]
configs = pytest.mark.parametrize(
    "config", [StepsSchedulerConfig(max_steps=40), CosineSchedulerConfig(max_steps=40, warmup_steps=4)]
)


def made(config: SchedulerConfig, rate: float = 0.1) -> Made:
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    return optimizer, config.setup().get_scheduler(optimizer, rate)


def rates(config: SchedulerConfig, steps: int, rate: float = 0.1) -> list[float]:
    optimizer, scheduler = made(config, rate)
    result = []
    for _ in range(steps):
        result.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return result


def test_steps() -> None:
    config = StepsSchedulerConfig(max_steps=100, milestones=(0.5, 0.75, 0.9), factor=0.33)
    found = rates(config, 110)
    for step, drops in ((0, 0), (49, 0), (50, 1), (74, 1), (75, 2), (89, 2), (90, 3), (109, 3)):
        assert math.isclose(found[step], 0.1 * 0.33**drops), step


def test_steps_of_the_paper() -> None:
    config = StepsSchedulerConfig()
    found = rates(config, 30_000, rate=1e-3)
    assert [found.index(rate) for rate in sorted(set(found), reverse=True)] == [0, 15_000, 22_500, 27_000]


def test_cosine() -> None:
    config = CosineSchedulerConfig(max_steps=100, warmup_steps=9)
    found = rates(config, 130)
    assert math.isclose(found[0], 0.1 * 0.1), "a tenth of the way up"
    assert found[:10] == sorted(found[:10]) and found[10:] == sorted(found[10:], reverse=True)
    assert math.isclose(found[50], 0.05) and math.isclose(found[25], 0.1 * 0.5 * (1 + math.sqrt(0.5)))
    assert found[100] == found[129] == 0.0
    assert all(rate > 0 for rate in found[:100])


@pytest.mark.parametrize("max_steps", [0, 1])
def test_cosine_of_next_to_no_length(max_steps: int) -> None:
    assert all(math.isfinite(rate) and rate >= 0 for rate in rates(CosineSchedulerConfig(max_steps=max_steps), 3))


def plain(state: Any) -> bool:
    if isinstance(state, dict):
        return all(type(key) is str and plain(value) for key, value in state.items())
    if isinstance(state, list | tuple):
        return all(map(plain, state))
    return state is None or type(state) in (bool, int, float, str)


@configs
def test_state_is_plain_numbers_and_resumes(config: SchedulerConfig, tmp_path: Path) -> None:
    optimizer, scheduler = made(config)
    for _ in range(31):
        optimizer.step()
        scheduler.step()
    assert plain(scheduler.state_dict()), scheduler.state_dict()
    torch.save({"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}, tmp_path / "state.pt")
    loaded = torch.load(tmp_path / "state.pt", weights_only=True)
    other_optimizer, other = made(config)
    other.load_state_dict(loaded["scheduler"])
    other_optimizer.load_state_dict(loaded["optimizer"])
    assert other_optimizer.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
    for _ in range(5):
        for one in (optimizer, other_optimizer):
            one.step()
        scheduler.step()
        other.step()
        assert other_optimizer.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


def test_the_check_of_plain_numbers_sees_others() -> None:
    """nerfstudio's own schedulers are why: their state is not read back without unpickling whatever is there."""
    import numpy as np

    state = {"base_lrs": [np.float64(0.1)]}
    assert not plain(state)
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(file, weights_only=True)
