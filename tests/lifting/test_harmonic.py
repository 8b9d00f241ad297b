"""Numbers continued into a part of a picture."""

import pytest
import torch

from gainer_ns.lifting import harmonic as harmonics
from gainer_ns.lifting.harmonic import harmonic


@pytest.mark.parametrize("solved", [10**6, 60], ids=["exactly", "by coarser grids"])
def test_what_is_linear_around_a_hole_is_linear_in_it(solved: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harmonics, "_MAX_SOLVED", solved)
    y, x = torch.meshgrid(torch.arange(41.0), torch.arange(57.0), indexing="ij")
    values = torch.stack([0.02 * x - 0.01 * y, torch.full_like(x, 0.3)], dim=-1).double()
    unknown = torch.zeros(41, 57, dtype=torch.bool)
    unknown[8:31, 11:50] = True
    found = harmonic(torch.where(unknown[..., None], 9.0, values), unknown, ~unknown)
    assert float((found - values[unknown]).abs().max()) < (1e-6 if solved > 60 else 0.02)
