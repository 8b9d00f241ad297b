"""The sum over a block of nodes, by both of its ways."""

import pytest
import torch
import warp as wp

from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.block_sum import BLOCK_NODES, block_sum_source
from gainer_ns.gaussians.kernels import Typed, vector

COLUMNS = 9


@pytest.mark.parametrize("width", [1, 3, 4, 5, 8, 11])
@pytest.mark.parametrize("compiler", ["__clang__", "__no_compiler__"])
def test_it_sums_what_nodes_hold_by_the_weights_of_columns_and_rows(width: int, compiler: str) -> None:
    wide, side = vector(width), vector(BLOCK_NODES)

    @wp.func_native(block_sum_source(width).replace("__clang__", compiler))
    def block_sum(nodes: wp.array(dtype=wide), first: int, columns: int, across: side, down: side) -> wide: ...

    @wp.kernel(module="unique", enable_backward=False)
    def kernel(
        first: int,
        nodes: wp.array(dtype=wide),
        across: wp.array(dtype=side),
        down: wp.array(dtype=side),
        result: wp.array(dtype=wide),
    ) -> None:
        i = first + wp.tid()
        result[i] = block_sum(nodes, i, COLUMNS, across[i], down[i])

    random = torch.Generator().manual_seed(width)
    nodes = torch.randn(COLUMNS * 8, width, generator=random)
    across, down = torch.rand(2, 3, BLOCK_NODES, generator=random)
    result = torch.full((3, width), torch.nan)
    inputs = [Typed(nodes, wide), Typed(across, side), Typed(down, side), Typed(result, wide)]
    kernels.launch(kernel, 3, inputs, nodes.device)

    grid = nodes.view(8, COLUMNS, width)
    for i, block in enumerate(grid[:BLOCK_NODES, i : i + BLOCK_NODES] for i in range(3)):
        torch.testing.assert_close(result[i], torch.einsum("r,c,rcd->d", down[i], across[i], block))
