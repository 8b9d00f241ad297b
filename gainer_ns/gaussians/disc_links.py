"""Discs that know their neighbours on the photo's lattice: what is read between them, and the triangles they span.

A place on such a surface is a disc and a step from it in widths of a disc. It is read from the block of discs around
the nearest one by separable Gaussian weights (paper, section 3.2): the search for neighbours, answered by the lattice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import warp as wp
from jaxtyping import Bool, Float, Int32
from torch import Tensor

from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.aggregation import AggregationMatrix
from gainer_ns.gaussians.disc_link_kernels import (
    BLOCK_RADIUS,
    BLOCK_SIDE,
    list_blocks_kernel,
    read_block_kernel,
)
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.gaussians.neighbours import Neighbours

NO_DISC = -1
"""In place of a disc's number: there is none."""
TRIANGLE_STEPS = ((0, 0), (1, 0), (1, 1)), ((0, 0), (0, 1), (1, 1)), ((0, 0), (1, 0), (0, 1)), ((1, 0), (0, 1), (1, 1))
"""Where the corners of a triangle lie in its square of discs (column, row), by its kind: the first two make up a
square, the others are what is left of one of which a corner is missing."""


@dataclass(frozen=True, eq=False)
class DiscLinks:
    """Which discs are neighbours on a surface.

    Attributes:
        neighbours: [n, 4], numbers of the discs to the right, below, to the left and above; ``NO_DISC`` where the
            surface ends.
    """

    neighbours: Int32[Tensor, "n 4"]

    @classmethod
    def of(cls, right: Int32[Tensor, " n"], below: Int32[Tensor, " n"]) -> DiscLinks:
        """Complete links of which two directions are known."""
        return cls(torch.stack([right, below, _reversed(right), _reversed(below)], dim=1).contiguous())

    def __len__(self) -> int:
        return len(self.neighbours)

    def __getitem__(self, chosen: Bool[Tensor, " n"]) -> DiscLinks:
        """Select discs; links to all others are cut."""
        number = torch.full((len(self) + 1,), NO_DISC, dtype=torch.int32, device=chosen.device)
        number[:-1][chosen] = torch.arange(int(chosen.sum()), dtype=torch.int32, device=chosen.device)
        return DiscLinks(number[self.neighbours[chosen].long()])  # NO_DISC is the number of the last, which is none

    def without(self, right: Bool[Tensor, " n"], below: Bool[Tensor, " n"]) -> DiscLinks:
        """Cut those links to the right and below."""
        links = self.neighbours
        return DiscLinks.of(links[:, 0].masked_fill(right, NO_DISC), links[:, 1].masked_fill(below, NO_DISC))

    @cached_property
    def triangles(self) -> Int32[Tensor, "t 4"]:
        """Three discs each, and the kind: see ``TRIANGLE_STEPS``."""
        right, below = self.neighbours[:, 0].long(), self.neighbours[:, 1].long()
        corner = torch.arange(len(self), device=right.device)
        below_right, right_below = _following(right, below), _following(below, right)
        upper, lower = below_right >= 0, right_below >= 0
        # Around squares that miss a corner: what lies before the diagonal, and behind it.
        before = (right >= 0) & (below >= 0) & ~upper & ~lower
        left, above = self.neighbours[:, 2].long(), self.neighbours[:, 3].long()
        behind = (left >= 0) & (above >= 0) & (_following(left, above) < 0) & (_following(above, left) < 0)
        sides = (
            (upper, (corner, right, below_right)),
            (lower, (corner, below, right_below)),
            (before, (corner, right, below)),
            (behind, (above, left, corner)),
        )
        kinds = [
            torch.stack([*(disc[there] for disc in discs), torch.full_like(corner[there], kind)], dim=1)
            for kind, (there, discs) in enumerate(sides)
        ]
        triangles = torch.cat(kinds)
        return triangles[triangles[:, 0].argsort(stable=True)].int().contiguous()

    def matrix(self, sigma: float) -> AggregationMatrix:
        """Return the aggregation matrix from the discs to their own means.

        Args:
            sigma: Standard deviation of a Gaussian, in discs.
        """
        blocks = torch.empty(len(self), BLOCK_SIDE**2, dtype=torch.int32, device=self.neighbours.device)
        inputs = [Typed(self.neighbours, wp.vec4i), Typed(blocks, wp.int32)]
        kernels.launch(list_blocks_kernel, len(self), inputs, blocks.device)
        away = torch.arange(-BLOCK_RADIUS, BLOCK_RADIUS + 1, device=blocks.device)
        weights = torch.exp(-0.5 * (away[:, None].square() + away.square()) / sigma**2).flatten() * (blocks >= 0)
        weights = weights / weights.sum(dim=1, keepdim=True)
        return AggregationMatrix.from_neighbours(Neighbours(blocks, weights), weights, len(self))

    def read(
        self,
        discs: Int32[Tensor, " m"],
        steps: Float[Tensor, "m 2"],
        columns: Float[Tensor, "n f"],
        sigma: float,
    ) -> Float[Tensor, "m f"]:
        """Average columns at places; the reference is :func:`gainer_ns.gaussians.reference.read_block`.

        Args:
            discs: The disc nearest to each place.
            steps: From its mean to the place, in discs: right and down.
            columns: One row a disc.
            sigma: Standard deviation of a Gaussian, in discs.
        """
        width = columns.shape[1]
        result = torch.empty(len(discs), width, device=columns.device)
        inputs = [
            Typed(discs.contiguous(), wp.int32),
            Typed(steps.float().contiguous(), wp.vec2),
            Typed(self.neighbours, wp.vec4i),
            Typed(columns.detach().float().contiguous(), kernels.vector(width)),
            0.5 / sigma**2,
            Typed(result, kernels.vector(width)),
        ]
        kernels.launch(read_block_kernel(width), len(discs), inputs, result.device)
        return result

    def to(self, device: torch.device | str) -> DiscLinks:
        """Move to a device."""
        return DiscLinks(self.neighbours.to(device))


def _reversed(towards: Int32[Tensor, " n"]) -> Int32[Tensor, " n"]:
    """Return, of links in one direction, those in the opposite one."""
    back = torch.full_like(towards, NO_DISC)
    linked = (towards >= 0).nonzero()[:, 0]
    back[towards[linked].long()] = linked.int()
    return back


def _following(first: Tensor, second: Tensor) -> Tensor:
    """Return where a link and then another one lead."""
    return torch.where(first >= 0, second[first.clamp(min=0)], NO_DISC)
