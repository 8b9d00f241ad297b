"""Which patches of a folded sheet lie over one another: the kernel beside plain torch."""

import torch

from gainer_ns.gaussians.small_matrices import inverse
from gainer_ns.motion.control_grid import ControlGrid, lattice
from gainer_ns.motion.folds import covering_pairs, layers_of
from gainer_ns.motion.rest_map import RestMap


def rolled() -> RestMap:
    """A strip that is folded twice, a little askew."""
    x, y = lattice(14, 60, (-0.1, -0.1), (0.04, 0.04), "cpu").unbind(2)
    nodes = torch.stack([0.6 * torch.sin(2.6 * x) + 0.05 * y, y + 0.04 * torch.cos(3 * x)], dim=2)
    return RestMap(ControlGrid.through(nodes, (-0.1, -0.1), (0.04, 0.04)))


def test_pairs_are_those_that_separating_axes_leave() -> None:
    rest_map = rolled()
    patches = rest_map.measured
    assert patches is not None
    count, columns = len(patches.corners), rest_map.grid.nodes.shape[1]
    rank = torch.randperm(count, generator=torch.Generator().manual_seed(1))
    cells = torch.arange(len(patches.crowd.single), dtype=torch.int32)
    found = {tuple(pair) for pair in covering_pairs(patches, cells, rank).tolist()}
    steps, expected = inverse(patches.inverses), set()
    for one in range(count):
        into = patches.inverses[one] @ (patches.centres - patches.centres[one])[..., None]
        mine = (into[..., 0].abs() < 0.48 + 0.5 * (patches.inverses[one] @ steps).abs().sum(dim=2)).all(dim=1)
        back = patches.inverses @ (patches.centres - patches.centres[one])[..., None]
        theirs = (back[..., 0].abs() < 0.48 + 0.5 * (patches.inverses @ steps[one]).abs().sum(dim=2)).all(dim=1)
        meet = ((patches.low[one] < patches.high) & (patches.low < patches.high[one])).all(dim=1)
        row, column = patches.corners // columns, patches.corners % columns
        far = ((row - row[one]).abs() > 3) | ((column - column[one]).abs() > 3)
        for other in (mine & theirs & meet & far).nonzero()[:, 0].tolist():
            expected.add((one, other) if rank[one] < rank[other] else (other, one))
    assert found == expected and len(expected) > 500


def test_a_strip_folded_twice_is_layers_none_of_which_covers_itself() -> None:
    layers = layers_of(rolled())
    assert len(layers) == 2, "no point is below two others"
    for layer in layers:
        patches = layer.measured
        assert patches is not None
        cells = torch.arange(len(patches.crowd.single), dtype=torch.int32)
        assert len(covering_pairs(patches, cells, torch.arange(len(patches.corners)))) == 0
