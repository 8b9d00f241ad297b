"""How much a sheet follows the motion of a region: wholly inside it, and around it less and less."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from gainer_ns.editing.selection import Selection
from gainer_ns.frames import Bounds
from gainer_ns.motion.control_grid import cubic_weights, lattice

_MAX_NODES = 128
"""Along the longer side of the lattice on which distances are solved."""
_CLEAR_CONDUCTION = 1.0 / 16.0
"""Of what is clear, where what is visible has 1: a way through it counts as the inverse root of this as long."""
_SMOOTH_STEPS = 2.5
"""Steps of the lattice over which ways of equal length are blended, so that no kink lies between them."""
_EXACT_STEPS = 1.5
"""So near to the region, in steps of the lattice, distances are those of its shape."""


@dataclass(frozen=True, eq=False)
class RegionDistance:
    """How far around a region points are, along what is visible; see :meth:`around`.

    Attributes:
        values: [r, c], pixels, at the middles of squares of ``step`` pixels; negative inside.
        corner: Left and top of the first square.
        step: Side of the squares, in pixels.
        visible: [r, c], which squares show something.
    """

    values: Float[Tensor, "r c"]
    corner: tuple[int, int]
    step: int
    visible: Bool[Tensor, "r c"]

    @classmethod
    def around(
        cls, region: Selection, visible: Bool[Tensor, "h w"], corner: tuple[int, int], box: Bounds
    ) -> RegionDistance:
        """Solve the distances from a region along what is visible, in a box.

        The logarithm of the solution of the screened Poisson equation (Varadhan 1967; Crane, Weischedel and Wardetzky
        2013, Geodesics in heat) is a distance without kinks, which goes around what conducts little.

        Args:
            region: From which distances are.
            visible: Which pixels show something.
            corner: Column and row of the first of them.
            box: Left, top, right and bottom of where distances are asked for, in pixels.
        """
        height, width = visible.shape
        left, top = (max(math.floor(side), first) for side, first in zip(box[:2], corner, strict=True))
        right = max(left + 1, min(math.ceil(box[2]), corner[0] + width))
        bottom = max(top + 1, min(math.ceil(box[3]), corner[1] + height))
        left, top = min(left, right - 1), min(top, bottom - 1)
        step = max(1, math.ceil(max(right - left, bottom - top) / _MAX_NODES))
        shares = _shares(visible, (left - corner[0], top - corner[1], right - corner[0], bottom - corner[1]), step)
        rows, columns = shares.shape
        nodes = _middles((left, top), step, rows, columns)
        outside = -region.depth(nodes).view(rows, columns)
        outside = outside - (outside.min() + 0.5 * step).clamp(min=0)  # something is inside, however small it is
        solved = _solved((outside / step).numpy(), shares.double().numpy())
        return cls(torch.from_numpy(solved * step).float(), (left, top), step, shares > 0.25)

    @property
    def nodes(self) -> Float[Tensor, "m 2"]:
        """The middles of the squares, row by row."""
        return _middles(self.corner, self.step, *self.values.shape)

    @property
    def farthest(self) -> float:
        """The largest distance of anything visible."""
        return float(self.values[self.visible].max()) if bool(self.visible.any()) else 0.0

    def at(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, " m"]:
        """Return the distances of points, in pixels, 0 inside; beyond the squares as at their border.

        Can be differentiated.
        """
        rows, columns = self.values.shape
        place = (points - points.new_tensor(self.corner)) / self.step - 0.5
        place = torch.minimum(place.clamp(min=0), points.new_tensor([columns - 1, rows - 1]))
        first = place.detach().floor()
        (column, row), (across, down) = first.long().unbind(1), (place - first).unbind(1)
        coefficients, width = self._coefficients.to(points), columns + 4
        around = torch.arange(4, device=points.device)
        near = (row[:, None] + around)[:, :, None] * width + (column[:, None] + around)[:, None]
        read = coefficients.flatten()[near]
        return torch.einsum("mr,mc,mrc->m", cubic_weights(down), cubic_weights(across), read).clamp(min=0)

    @cached_property
    def _coefficients(self) -> Float[Tensor, "r c"]:
        """Of the cubic B-spline through the values, mirrored at its border by as much as one of its pieces reaches."""
        from scipy import ndimage

        filtered = ndimage.spline_filter(self.values.numpy(), order=3, output=np.float64, mode="mirror")
        rows, columns = ((1, 3) if length > 3 else (0, 0) for length in filtered.shape)
        padded = np.pad(filtered, (rows, columns), mode="reflect") if rows[0] and columns[0] else None
        return torch.from_numpy(np.pad(filtered, (1, 3), mode="edge") if padded is None else padded)


def _middles(corner: tuple[int, int], step: int, rows: int, columns: int) -> Float[Tensor, "m 2"]:
    """Return the middles of squares, row by row, float64."""
    first = corner[0] + 0.5 * step, corner[1] + 0.5 * step
    return lattice(rows, columns, first, (step, step), "cpu").view(-1, 2)


@dataclass(frozen=True, eq=False)
class Falloff:
    """How much points follow a region: wholly inside it, and around it less and less over a width.

    Attributes:
        distance: From the region.
        width: Over which it falls off, in pixels.
    """

    distance: RegionDistance
    width: float

    @property
    def is_soft(self) -> bool:
        """Whether anything follows in part."""
        return True

    def weights(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, " m"]:
        """Return how much points follow, from 0 to 1, by how far from the region they are."""
        return self.shares(self.distance.at(points))

    @property
    def node_weights(self) -> Float[Tensor, "r c"]:
        """The same at the nodes of the distance."""
        return self.shares(self.distance.values.double())

    def shares(self, distances: Tensor) -> Tensor:
        """Return how much follows of what is so far away."""
        share = (1 - distances / self.width).clamp(0, 1)
        return share**3 * (10 + share * (6 * share - 15))


def _shares(visible: Bool[Tensor, "h w"], box: tuple[int, int, int, int], step: int) -> Float[Tensor, "r c"]:
    """Return how much of each square of a box shows something."""
    left, top, right, bottom = box
    part = visible[top:bottom, left:right].float()
    behind, below = -part.shape[1] % step, -part.shape[0] % step
    return functional.avg_pool2d(functional.pad(part[None, None], (0, behind, 0, below)), step)[0, 0].cpu()


def _solved(outside: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return distances along what conducts, in steps, from those of the shape alone [r, c] and what is visible."""
    from scipy import sparse  # which edits of everything do without
    from scipy.sparse.linalg import spsolve

    conduction = _CLEAR_CONDUCTION + (1 - _CLEAR_CONDUCTION) * np.clip(2 * shares, 0, 1)
    numbers = np.arange(outside.size).reshape(outside.shape)
    starts = np.concatenate([numbers[:, :-1].ravel(), numbers[:-1].ravel()])
    ends = np.concatenate([numbers[:, 1:].ravel(), numbers[1:].ravel()])
    flat = conduction.ravel()
    edges = 2 * flat[starts] * flat[ends] / (flat[starts] + flat[ends])
    size = outside.size
    links = sparse.coo_matrix((edges, (starts, ends)), (size, size))
    links = (links + links.T).tocsr()
    matrix = sparse.diags(np.asarray(links.sum(axis=1)).ravel() + _SMOOTH_STEPS**-2) - links
    given = outside.ravel() <= _EXACT_STEPS
    values = np.exp(-np.clip(outside.ravel(), -_EXACT_STEPS, None) / _SMOOTH_STEPS)
    asked = np.flatnonzero(~given)
    if len(asked):
        right = -(matrix.tocsr()[asked][:, np.flatnonzero(given)] @ values[given])
        values[asked] = spsolve(matrix.tocsc()[asked][:, asked], right)
    far = -_SMOOTH_STEPS * np.log(np.maximum(values, 1e-300))
    return np.where(given, np.clip(outside.ravel(), -_EXACT_STEPS, None), far).reshape(outside.shape)
