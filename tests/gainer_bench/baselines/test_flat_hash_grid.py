"""The baselines' hash grid, and tiny-cuda-nn where it reads the same table."""

import sys
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from gainer_bench.baselines.ingp import FlatHashGrid
from gainer_ns.fields.hash_grid import HashGrid, HashGridConfig

SMALL = HashGridConfig(num_levels=4, base_resolution=3, max_resolution=40, log2_table_size=7, init_scale=1.0)


class StubEncoding(nn.Module):
    """Stands for ``tinycudann.Encoding``: the same constructor, layout and parameter name, read by torch."""

    def __init__(self, n_input_dims: int, encoding_config: dict, dtype: torch.dtype) -> None:
        super().__init__()
        c = encoding_config
        assert c["otype"] == "HashGrid" and dtype == torch.float32
        finest = c["base_resolution"] * c["per_level_scale"] ** (c["n_levels"] - 1)
        sizes = (c["n_levels"], c["n_features_per_level"], c["base_resolution"], round(finest), c["log2_hashmap_size"])
        self.grid = [HashGrid(HashGridConfig(*sizes), 2)]
        self.params = nn.Parameter(torch.zeros(self.grid[0].table.numel()))

    def forward(self, points: Tensor) -> Tensor:
        self.grid[0].table.data = self.params.detach().view_as(self.grid[0].table)
        return self.grid[0](points)


def test_tcnn_reads_our_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tinycudann", SimpleNamespace(Encoding=StubEncoding))
    grid, points = FlatHashGrid(SMALL), torch.rand(5, 2) * 1.2
    assert list(grid.state_dict()) == [name for name, _ in grid.named_parameters()] == ["table"]
    kernel = grid._tcnn
    assert kernel is not None
    features = torch.func.functional_call(kernel, {"params": grid.table.flatten()}, (points.clamp(0, 1),))
    torch.testing.assert_close(features, grid(points).detach())
    grid.__dict__.pop("_tcnn")
    grid.table = nn.Parameter(grid.table.detach()[:-8])
    assert grid._tcnn is None, "another layout is refused"


def test_without_tcnn_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tinycudann", None)
    assert FlatHashGrid(SMALL)._tcnn is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_tcnn_equals_torch() -> None:
    pytest.importorskip("tinycudann")
    config = HashGridConfig(init_scale=1.0)
    fast, slow = FlatHashGrid(config).cuda(), HashGrid(config, 2).cuda()
    points = torch.rand(1000, 2, device="cuda")
    assert fast._tcnn is not None
    torch.testing.assert_close(fast(points), slow(points), rtol=0, atol=5e-3)
    for grid in (fast, slow):
        grid(points).square().sum().backward()
    torch.testing.assert_close(fast.table.grad, slow.table.grad, rtol=0, atol=5e-2)


def test_tcnn_is_not_imported_for_cpu_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tinycudann", raising=False)
    FlatHashGrid(SMALL)(torch.rand(2, 2))
    assert "tinycudann" not in sys.modules
