"""The default engine timed beside another, which need not be there."""

import pytest
import torch

from gainer_bench.mpm_speed import MpmSpeed
from gainer_ns.errors import GainerError


def test_the_engine_is_timed_also_without_taichi(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    try:
        MpmSpeed(particles=300, cells=16, frames=2).run()
    finally:
        torch.set_num_threads(threads)
    assert "| medium |" in capsys.readouterr().out


def test_what_cannot_be_timed_is_refused() -> None:
    with pytest.raises(GainerError, match="mud"):
        MpmSpeed(material="mud").run()
