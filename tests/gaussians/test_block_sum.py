"""The sums over a block of nodes, by both of their ways."""

import pytest
import torch
import warp as wp
from torch import Tensor

from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.block_sum import (
    BLOCK_NODES,
    LISTED_WEIGHTS,
    PAIR_WIDTH,
    WEIGHT_MARGIN,
    WEIGHT_STEPS,
    block_sum_source,
    pair_sum_source,
)
from gainer_ns.gaussians.kernels import Typed, vector

COLUMNS = 9


OFFSETS = [[0.0, 0.75], [0.3, -0.5], [1.5, 1.0]]


def listed(offset: Tensor) -> Tensor:
    """What is straight between the entries of a table of any numbers."""
    return TABLE[0] + (offset + WEIGHT_MARGIN)[:, None] * (TABLE[-1] - TABLE[0]) / (1 + 2 * WEIGHT_MARGIN)


ENDS = torch.rand(2, 1, LISTED_WEIGHTS, generator=torch.Generator().manual_seed(0))
TABLE = torch.lerp(ENDS[0], ENDS[1], torch.linspace(0, 1, round((1 + 2 * WEIGHT_MARGIN) * WEIGHT_STEPS) + 1)[:, None])


@pytest.mark.parametrize("width", [1, 3, 4, 5, 8, 11])
@pytest.mark.parametrize("compiler", ["__clang__", "__no_compiler__"])
def test_it_sums_what_nodes_hold_by_the_weights_of_columns_and_rows(width: int, compiler: str) -> None:
    wide, side = vector(width), vector(LISTED_WEIGHTS)

    @wp.func_native(block_sum_source(width).replace("__clang__", compiler))
    def block_sum(
        nodes: wp.array(dtype=wide), first: int, columns: int, table: wp.array(dtype=side), offset: wp.vec2
    ) -> wide: ...

    @wp.kernel(module="unique", enable_backward=False)
    def kernel(
        first: int,
        nodes: wp.array(dtype=wide),
        table: wp.array(dtype=side),
        offsets: wp.array(dtype=wp.vec2),
        result: wp.array(dtype=wide),
    ) -> None:
        i = first + wp.tid()
        result[i] = block_sum(nodes, i, COLUMNS, table, offsets[i])

    nodes = torch.randn(COLUMNS * 8, width, generator=torch.Generator().manual_seed(width))
    offsets, result = torch.tensor(OFFSETS), torch.full((3, width), torch.nan)
    inputs = [Typed(nodes, wide), Typed(TABLE, side), Typed(offsets, wp.vec2), Typed(result, wide)]
    kernels.launch(kernel, 3, inputs, nodes.device)
    torch.testing.assert_close(result, expected(nodes, offsets), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("compiler", ["__clang__", "__no_compiler__"])
def test_of_two_points_it_sums_both(compiler: str) -> None:
    wide, side, two = vector(PAIR_WIDTH), vector(LISTED_WEIGHTS), vector(2 * PAIR_WIDTH)

    @wp.func_native(pair_sum_source().replace("__clang__", compiler))
    def pair_sum(
        nodes: wp.array(dtype=wide),
        first: int,
        columns: int,
        table: wp.array(dtype=side),
        offset: wp.vec2,
        away: wp.vec2,
    ) -> two: ...

    @wp.kernel(module="unique", enable_backward=False)
    def kernel(
        first: int,
        nodes: wp.array(dtype=wide),
        table: wp.array(dtype=side),
        offsets: wp.array(dtype=wp.vec2),
        away: wp.vec2,
        result: wp.array(dtype=two),
    ) -> None:
        i = first + wp.tid()
        result[i] = pair_sum(nodes, i, COLUMNS, table, offsets[i], away)

    nodes = torch.randn(COLUMNS * 8, PAIR_WIDTH, generator=torch.Generator().manual_seed(0))
    offsets, away, result = torch.rand(3, 2), torch.tensor([0.3, -0.2]), torch.full((3, 2 * PAIR_WIDTH), torch.nan)
    inputs = [Typed(nodes, wide), Typed(TABLE, side), Typed(offsets, wp.vec2), wp.vec2(0.3, -0.2), Typed(result, two)]
    kernels.launch(kernel, 3, inputs, nodes.device)
    both = torch.cat([expected(nodes, offsets + away), expected(nodes, offsets - away)], dim=1)
    torch.testing.assert_close(result, both, rtol=1e-5, atol=1e-5)


def expected(nodes: Tensor, offsets: Tensor) -> Tensor:
    """Sums over the blocks that begin at the first nodes, one at each."""
    grid = nodes.view(8, COLUMNS, -1)
    blocks = torch.stack([grid[:BLOCK_NODES, i : i + BLOCK_NODES] for i in range(len(offsets))])
    across, down = (listed(offset)[:, :BLOCK_NODES] for offset in offsets.unbind(1))
    return torch.einsum("nr,nc,nrcd->nd", down, across, blocks)
