"""Particles in the order of cells: by counting, and by digits as on a GPU."""

import pytest
import torch

from gainer_ns.physics.engine import SimulationConfig
from gainer_ns.physics.forces import Gravity
from gainer_ns.physics.mpm.cell_order import CellOrder
from gainer_ns.physics.mpm.grid import Grid


@pytest.mark.parametrize("dimensions", [2, 3])
def test_both_ways_are_stable_and_the_same(dimensions: int) -> None:
    config = SimulationConfig((0.0,) * dimensions, (1.0,) * dimensions, Gravity(), (), (), fps=30)
    grid = Grid.over(config, 1 / 9, torch.device("cpu"))
    positions = torch.rand(700, dimensions, generator=torch.Generator().manual_seed(0))
    counted, sorted_ = (CellOrder(grid, positions, by_digits=way) for way in (False, True))
    for _ in range(2):  # each time anew
        counted.sort()
        sorted_.sort()
        assert torch.equal(sorted_.order[: len(positions)], counted.order)
        assert torch.equal(sorted_.cell_start[:-1], counted.cell_start[:-1])
        positions.copy_(positions.flip(0))
