"""Gaussians on a square lattice, where the nearest ones of a point need no search."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, TypeAlias

import torch
import warp as wp
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from gainer_ns.devices import block_size
from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.block_sum import BLOCK_NODES, LISTED_WEIGHTS, WEIGHT_MARGIN, WEIGHT_STEPS
from gainer_ns.gaussians.footprints import PixelExtent
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.gaussians.lattice_kernels import block_kernel
from gainer_ns.gaussians.pyramid import level_count, pyramid
from gainer_ns.ways import Way

MIN_SIGMA, MAX_SIGMA = 0.4, 0.7
"""In lattice steps: narrower Gaussians weigh nothing 3 steps away, wider ones weigh more than 1e-4 beyond."""
NEAR_NODES = 21
"""Nodes within 2.5 steps of one: whoever reads as many nearest Gaussians reads all of a block but what weighs 1e-4."""
MAX_OFFSET = 0.01
"""Farthest that a mean may be from its node, in lattice steps."""
MAX_NODES_PER_GAUSSIAN, MAX_NODES = 16, 1 << 24
"""A sparser lattice would take more memory than its Gaussians do, unless it is small."""
EDGE_SLOPE = 1.02
"""Change of what is there across a frame, by a pixel: a little over 1, so that border pixels are whole."""
BORDER_NODES = BLOCK_NODES
"""Empty nodes around those with Gaussians, so that all blocks are whole."""
_ROWS_AT_ONCE = 64
"""Rows of nodes whose own values are found at once: as much as stays in a processor's cache."""

Corner: TypeAlias = tuple[float, float]
"""Plane coordinates."""


@dataclass(frozen=True)
class Lattice:
    """A square lattice with a Gaussian at some of its nodes, all of one round covariance.

    Attributes:
        x: [c], plane coordinates of its columns, ascending; an empty border of a block's width is around the Gaussians.
        y: [r], of its rows, ascending.
        nodes: [n], row-major index of the node of each Gaussian.
        spacing: Of the nodes, plane units.
        sigma: Standard deviation of the Gaussians, in spacings.
    """

    x: Float[Tensor, " c"]
    y: Float[Tensor, " r"]
    nodes: Int[Tensor, " n"]
    spacing: float
    sigma: float

    @classmethod
    def of(cls, gaussians: GaussianSet, spacing: float | None = None) -> Lattice | None:
        """Find the lattice on which Gaussians stand that nothing has deformed.

        Args:
            gaussians: The Gaussians.
            spacing: Of its nodes, plane units, where that is known; None to find it too.

        Returns:
            The lattice; None where they stand on none, or on one that would take much more memory than they do.
        """
        means, covariances = gaussians.means, gaussians.covariances
        moved = gaussians.inverse_jacobians is not None or gaussians.slopes is not None
        if moved or means.shape[1] != 2 or len(covariances) != 1:
            return None
        (xx, xy), (yx, yy) = covariances[0].tolist()
        if len(means) < 2 or xx != yy or xy != 0 or yx != 0 or xx <= 0:
            return None
        is_known, full = spacing is not None, _full_axes(means)
        if spacing is None:
            spacing = _spacing(means if full is None else _two_sides(*full))
        sigma = math.sqrt(xx) / spacing if spacing > 0 else 0.0
        if not MIN_SIGMA <= sigma <= MAX_SIGMA:
            return None
        sides = (means.amax(dim=0) - means.amin(dim=0)) / spacing + 2 * BORDER_NODES + 1
        if not is_known and float(sides.prod()) > max(MAX_NODES, MAX_NODES_PER_GAUSSIAN * len(means)):
            return None
        across, down = (_axis(values, spacing) for values in full or means.unbind(1))
        if across is None or down is None:
            return None
        (x, column), (y, row) = across, down
        nodes = row * len(x) + column if full is None else (row[:, None] * len(x) + column).flatten()
        if any(len(every.unique()) < len(every) for every in ([nodes] if full is None else [column, row])):
            return None
        return cls(x, y, nodes, spacing, sigma)

    def table(self, values: Float[Tensor, "n c"]) -> Float[Tensor, "nodes d"]:
        """Return values of the Gaussians by nodes, and behind them 1 where there is a Gaussian and 0 elsewhere."""
        table = values.new_zeros(len(self.x) * len(self.y), values.shape[1] + 1)
        table[self.nodes] = torch.cat([values, values.new_ones(len(values), 1)], dim=1)
        return table

    @classmethod
    def of_pixels(
        cls, low: tuple[float, float], sides: tuple[int, int], pixel: float, sigma: float, device: torch.device
    ) -> Lattice:
        """Return nodes at the centres of pixels, for tables of what is drawn there.

        Args:
            low: Left and lower end of the pixels, plane units.
            sides: Pixels across and down.
            pixel: Side of a pixel.
            sigma: In pixels.
            device: Where they are wanted.
        """
        x, y = (
            ((torch.arange(-BORDER_NODES, count + BORDER_NODES).to(device).double() + 0.5) * pixel + start).float()
            for start, count in zip(low, sides, strict=True)
        )
        nodes = torch.arange(len(x) * len(y), device=device).view(len(y), len(x))
        inner = slice(BORDER_NODES, -BORDER_NODES)
        return cls(x, y, nodes[inner, inner].flatten(), pixel, sigma)

    def own_values(
        self, table: Float[Tensor, "nodes d"], half_extent: tuple[float, float] | None, *, has_opacities: bool
    ) -> Float[Tensor, "texels d"]:
        """Return the pyramid of what is read at the nodes, of which :meth:`read` makes use; arguments as there.

        Opacities are in [0, 1]; what has one is multiplied by it. Within the frame, or everywhere without one, nodes
        without a Gaussian are clear where there are opacities, and missing otherwise.
        """
        table = table.view(len(self.y), len(self.x), -1)
        own = torch.empty_like(table)
        half = half_extent or (math.inf, math.inf)
        within = (self.y.abs() <= half[1])[:, None, None] & (self.x.abs() <= half[0])[None, :, None]
        step = block_size(_ROWS_AT_ONCE, table.device)
        for first in range(0, len(own), step):
            rows = slice(first, first + step)
            block = self._averages(table, first, own[rows].shape[0])
            block *= (table[rows, :, -1:] > 0) / block[..., -1:].clamp(min=torch.finfo(block.dtype).tiny)
            if has_opacities:
                block[..., -1:] = within[rows]
                block[..., :1] = block[..., :1].clamp(0, 1) * within[rows]
                block[..., 1:-1] *= block[..., :1]
            own[rows] = block
        return pyramid(own)

    def _averages(self, table: Float[Tensor, "r c d"], first: int, count: int) -> Float[Tensor, "k c d"]:
        """Return sums over the blocks of the nodes of some rows, by Gaussian weight; weights of columns and of rows."""
        before, behind = BLOCK_NODES // 2 - 1, BLOCK_NODES // 2
        weights = [math.exp(-0.5 * (step / self.sigma) ** 2) for step in range(-before, behind + 1)]
        top, bottom = max(0, first - before), min(len(table), first + count + behind)
        around = (0, 0, 0, 0, before - (first - top), first + count + behind - bottom)
        found = functional.pad(table[top:bottom], around)
        for axis, length in ((0, count), (1, table.shape[1])):
            parts = [found.narrow(axis, k, length) for k in range(BLOCK_NODES)]
            found = weights[0] * parts[0]
            for weight, part in zip(weights[1:], parts[1:], strict=True):
                found.add_(part, alpha=weight)
            if axis == 0:
                found = functional.pad(found, (0, 0, before, behind))
        return found

    @cached_property
    def _listed_weights(self) -> Float[Tensor, "o k"]:
        """What the nodes of a block weigh along an axis, over what the third weighs, by offsets behind that."""
        count = round((1 + 2 * WEIGHT_MARGIN) * WEIGHT_STEPS) + 1
        offsets = torch.arange(count, dtype=torch.float64)[:, None] / WEIGHT_STEPS - WEIGHT_MARGIN
        nodes = torch.arange(LISTED_WEIGHTS) - (BLOCK_NODES // 2 - 1)
        weights = torch.exp(nodes * (offsets - 0.5 * nodes) / self.sigma**2)
        weights[:, BLOCK_NODES:] = 0
        return weights.float().to(self.x.device)

    def read(
        self,
        points: Float[Tensor, "m 2"],
        table: Float[Tensor, "nodes d"],
        extent: PixelExtent | None = None,
        *,
        half_extent: tuple[float, float] | None = None,
        has_opacities: bool = False,
        way: Way = "smooth",
        own: Callable[[], Float[Tensor, "texels d"]] | None = None,
        ends: bool = True,
    ) -> Float[Tensor, "m d"]:
        """Return the Gaussian-weighted mean at points (eq. 2), of the 6 x 6 nodes around each.

        Args:
            points: Plane coordinates.
            table: As :meth:`table` makes it.
            extent: What each point covers, over which the means are averaged where that is more than a pixel, as
                :class:`~gainer_ns.gaussians.footprints.Footprints` are; None for the points themselves.
            half_extent: Half the width and height of the frame; None where there is none.
            has_opacities: Whether the first column is an opacity: what is clear does not count in averages, and the
                opacity becomes the mean of those in [0, 1].
            way: How it is read between the nodes.
            own: Tells what :meth:`own_values` returns; asked where that is read, which ``clamped`` and ``nearest``
                always do, and what shrinks much.
            ends: Whether the frame ends what is there, within a pixel; points beyond it read what is on it otherwise.

        Returns:
            The means, and behind them 1, or less across the frame; all 0 where there is no Gaussian within the block.
        """
        read = points.new_empty(len(points), table.shape[1])
        wide = kernels.vector(table.shape[1])
        extent = extent or PixelExtent(0.0, 1.0)
        values, levels = table[:0], 0
        if own is not None and (way != "smooth" or extent.may_read_tables(self.spacing)):
            values, levels = own(), level_count(len(self.x), len(self.y))
        inverses = extent.inverse_jacobians
        if inverses is None:
            inverses = torch.eye(2).to(points)[None]
        inputs = [
            Typed(points.float().contiguous(), wp.vec2),
            Typed(inverses.contiguous(), wp.mat22),
            extent.side,
            1 / extent.pixel,
            *extent.samples,
            Typed(self.x, wp.float32),
            Typed(self.y, wp.float32),
            1 / self.spacing,
            Typed(self._listed_weights, kernels.vector(LISTED_WEIGHTS)),
            Typed(table, wide),
            Typed(values, wide),
            levels,
            wp.vec2(*(half_extent or (0.0, 0.0))),
            EDGE_SLOPE if ends and half_extent is not None else 0.0,
            Typed(read, wide),
        ]
        kernel = block_kernel(table.shape[1], has_opacities, way)
        kernels.launch(kernel, len(points), inputs, points.device)
        return read


class GaussianRows(NamedTuple):
    """Gaussians that fill a rectangle of a lattice row by row, as those of an opaque picture do.

    Attributes:
        gaussians: These.
        x: [c], of the columns.
        y: [r], of the rows.
        spacing: Of the lattice.
    """

    gaussians: GaussianSet
    x: Float[Tensor, " c"]
    y: Float[Tensor, " r"]
    spacing: float

    @classmethod
    def of(cls, gaussians: GaussianSet) -> GaussianRows | None:
        """Tell the rows of Gaussians that nothing has deformed; None of others."""
        moved = gaussians.inverse_jacobians is not None or gaussians.slopes is not None
        if moved or len(gaussians.covariances) != 1 or gaussians.opacities is not None or len(gaussians) < 2:
            return None
        axes = _full_axes(gaussians.means)
        return None if axes is None else cls(gaussians, *axes, _spacing(_two_sides(*axes)))

    @property
    def nodes(self) -> int:
        """How many nodes their lattice has, with its border."""
        return (len(self.x) + 2 * BORDER_NODES) * (len(self.y) + 2 * BORDER_NODES)

    def part(self, low: Corner, high: Corner) -> GaussianSet:
        """Return, as a copy, those that points between two corners read: a rectangle, too."""
        spans = []
        for values, least, most in zip((self.x, self.y), low, high, strict=True):
            margin = BLOCK_NODES * self.spacing
            inside = ((values >= least - margin) & (values <= most + margin)).nonzero()[:, 0].tolist() or [0]
            spans.append(slice(inside[0], max(inside[-1] + 1, inside[0] + 2)))
        columns, rows = spans

        def cut(table: Float[Tensor, "n c"]) -> Float[Tensor, "m c"]:
            some = table.view(len(self.y), len(self.x), -1)[rows, columns]
            return some.flatten(0, 1).clone()

        return replace(self.gaussians, means=cut(self.gaussians.means), features=cut(self.gaussians.features))


def _full_axes(means: Float[Tensor, "n 2"]) -> tuple[Float[Tensor, " c"], Float[Tensor, " r"]] | None:
    """Return the x of the columns and the y of the rows of means that fill a rectangle row by row; None of others."""
    x, y = means.unbind(1)
    columns = int((y != y[0]).byte().argmax()) or len(means)
    rows, rest = divmod(len(means), columns)
    if rest:
        return None
    x, y = (values.view(rows, columns) for values in (x, y))
    if not (torch.equal(x, x[:1].expand_as(x)) and torch.equal(y, y[:, :1].expand_as(y))):
        return None
    return x[0].clone(), y[:, 0].clone()


def _two_sides(x: Float[Tensor, " c"], y: Float[Tensor, " r"]) -> Float[Tensor, "n 2"]:
    """Return the means along two sides of a rectangle, one after the other."""
    return torch.stack([torch.cat([x, x[-1:].expand_as(y)]), torch.cat([y[:1].expand_as(x), y])], dim=1)


def _spacing(means: Float[Tensor, "n 2"]) -> float:
    """Return the smallest usual distance of two means that follow one another; 0 where there is none."""
    steps = means.diff(dim=0).abs().flatten()
    steps = steps[steps > 0]
    if len(steps) == 0:
        return 0.0
    least = float(steps.min())
    extent = float((means.amax(dim=0) - means.amin(dim=0)).max())
    # Differences of rounded numbers are rounded, the whole extent hardly is.
    usual = float(steps[steps < 1.5 * max(least, 1e-6 * extent)].double().mean()) if least > 1e-6 * extent else 0.0
    return extent / max(1, round(extent / usual)) if usual > 0 else 0.0


def _axis(values: Float[Tensor, " n"], spacing: float) -> tuple[Float[Tensor, " c"], Int[Tensor, " n"]] | None:
    """Return the coordinates of an axis' nodes and the node of each value; None where they are off the nodes."""
    low, high = float(values.min()), float(values.max())
    length = round((high - low) / spacing) + 1 + 2 * BORDER_NODES
    node = ((values.double() - low) / spacing).round().long() + BORDER_NODES
    axis = low + (torch.arange(length, dtype=torch.float64, device=values.device) - BORDER_NODES) * spacing
    axis = axis.float()
    if float((axis[node] - values).abs().max()) > MAX_OFFSET * spacing:
        return None
    axis[node] = values
    return axis, node
