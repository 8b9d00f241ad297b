"""Means as tensors of a file: as nodes of a lattice, as steps along a curve, or as they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.ordering import morton_cells, morton_codes
from gainer_ns.gaussians.placement import lattice_axes
from gainer_ns.storage.checks import whole_number

Bits = Literal[32, 16, 8]
CURVE_TENSOR = "mean_steps"
"""What files call the steps between scattered means, along a curve."""
_CELLS_PER_PIXEL, _CURVE_BITS = 32, 20
"""Cells of a pixel along an axis, one of which each mean lies in, and bits of a coordinate in them."""
_LatticeSize = tuple[int, int]
"""Columns and rows."""


def means_tensors(means: Float[Tensor, "n 2"], plane: ImagePlane) -> tuple[_LatticeSize | None, dict[str, Tensor]]:
    """Encode means, given in plane units; also return the lattice that they lie on, if they do."""
    if (full := _full_lattice(means, plane)) is not None:
        return full, {}
    nodes = _lattice_nodes(means, plane)
    if nodes is None:
        return None, {"means": means}
    chosen = np.zeros(math.prod(nodes[0]), bool)
    chosen[nodes[1].numpy()] = True
    return nodes[0], {"lattice_mask": torch.from_numpy(np.packbits(chosen))}


def means_from(lattice: Any, tensors: Mapping[str, Tensor], plane: ImagePlane, count: int) -> Float[Tensor, "n 2"]:
    """Decode means; anything raised here means that the file's parts do not fit together.

    ``lattice`` is its columns and rows, as the file's header says, None for none; ``count`` is how many means there
    should be.
    """
    means = _scattered(tensors) if lattice is None else _lattice_means(lattice, tensors, plane, count)
    if len(means) != count:
        raise ValueError("its means do not fit the features")
    return means


def means_along_curve(means: Float[Tensor, "n 2"], plane: ImagePlane) -> tuple[dict[str, Tensor], Int[Tensor, " n"]]:
    """Encode scattered means by the steps between them along a curve that keeps near what is near.

    Returns:
        The tensors, and the order in which the means are stored.
    """
    low, high = means.double().amin(dim=0), means.double().amax(dim=0)
    step = torch.maximum((high - low) / (2**_CURVE_BITS - 1), means.new_tensor(plane.pixel_size / _CELLS_PER_PIXEL))
    codes = morton_codes(((means.double() - low) / step).round().long(), _CURVE_BITS)
    codes, order = codes.sort(stable=True)
    steps = codes.diff(prepend=codes.new_zeros(1))
    return {CURVE_TENSOR: steps, "mean_low": low, "mean_step": step.double()}, order


def _scattered(tensors: Mapping[str, Tensor]) -> Float[Tensor, "n 2"]:
    if CURVE_TENSOR in tensors:
        steps, low, step = (tensors[name] for name in (CURVE_TENSOR, "mean_low", "mean_step"))
        if steps.dtype != torch.int64 or steps.dim() != 1 or not low.shape == step.shape == (2,):
            raise ValueError("its means do not fit together")
        codes = steps.cumsum(0)
        if len(steps) and not 0 <= int(steps.min()) <= int(codes[-1]) < 2 ** (2 * _CURVE_BITS):
            raise ValueError("its means lead nowhere")
        return (morton_cells(codes, _CURVE_BITS) * step + low).float()
    if "mean_levels" not in tensors:  # as versions before the seventh wrote them
        return tensors["means"].float()
    levels, low, step = (tensors[name] for name in ("mean_levels", "mean_low", "mean_step"))
    if levels.dtype != torch.uint16 or not levels.shape[1:] == low.shape == step.shape == (2,):
        raise ValueError("its means do not fit together")
    return levels.to(torch.int32).float() * step + low


def _full_lattice(means: Float[Tensor, "n 2"], plane: ImagePlane) -> _LatticeSize | None:
    """Return columns and rows of the lattice whose every node, row by row, is a mean; None if there is none."""
    if len(means) == 0:
        return None
    columns = int((means[:, 1] != means[0, 1]).byte().argmax()) or len(means)
    size = columns, len(means) // columns
    if columns * size[1] != len(means) or not _is_square(size, plane):
        return None
    x, y = (axis.to(means) for axis in lattice_axes(plane, *size))
    grid = means.reshape(size[1], columns, 2)
    is_full = torch.equal(grid[..., 0], x.expand(grid.shape[:2])) and torch.equal(
        grid[..., 1], y[:, None].expand(grid.shape[:2])
    )
    return size if is_full else None


def _lattice_nodes(means: Float[Tensor, "n 2"], plane: ImagePlane) -> tuple[tuple[int, int], Int[Tensor, " n"]] | None:
    """Return columns and rows of the lattice on some of whose nodes the means lie row by row, and the node of each.

    None if on none.
    """
    means = means.cpu()
    if len(means) == 0:
        return None
    columns, rows = size = _lattice_size(plane.pixel_from_plane(means.double()), plane)
    if columns * rows / 8 > means.nbytes or not _is_square(size, plane):  # the mask would be larger than the means
        return None
    steps = means.new_tensor([columns / plane.width, rows / plane.height], dtype=torch.float64)
    column, row = (plane.pixel_from_plane(means.double()) * steps).floor().long().unbind(-1)
    if bool(((column < 0) | (column >= columns) | (row < 0) | (row >= rows)).any()):
        return None
    nodes = row * columns + column
    exact = torch.equal(_node_means(nodes, size, plane), means)
    return (size, nodes) if exact and bool((nodes.diff() > 0).all()) else None


def _lattice_size(pixels: Float[Tensor, "n 2"], plane: ImagePlane) -> tuple[int, int]:
    """Return columns and rows of the lattice that points, in pixel coordinates, seem to lie on."""
    steps = []
    for coordinates in pixels.unbind(-1):
        gaps = torch.unique(coordinates).diff()
        steps.append(float(gaps[gaps < 1.5 * gaps.min()].mean()) if len(gaps) else math.inf)
    common = min(steps) if math.isfinite(min(steps)) else 1.0  # of points in one row, or in one column
    across, down = (step if math.isfinite(step) else common for step in steps)
    return max(1, round(plane.width / across)), max(1, round(plane.height / down))


def _is_square(size: tuple[int, int], plane: ImagePlane) -> bool:
    """Return whether some density has a square lattice of so many columns and rows."""
    (left, right), (top, bottom) = (
        ((count - 0.5) / length if count > 1 else 0.0, (count + 0.5) / length)
        for count, length in zip(size, (plane.width, plane.height), strict=True)
    )
    return max(left, top) <= min(right, bottom)


def _node_means(nodes: Int[Tensor, " n"], size: tuple[int, int], plane: ImagePlane) -> Float[Tensor, "n 2"]:
    """Return plane coordinates of nodes."""
    x, y = lattice_axes(plane, *size)
    return torch.stack([x[nodes % size[0]], y[nodes // size[0]]], dim=-1)


def _lattice_means(lattice: Any, tensors: Mapping[str, Tensor], plane: ImagePlane, count: int) -> Float[Tensor, "n 2"]:
    """Decode means on a lattice; nothing is allocated for nodes that the file says nothing of."""
    columns, rows = (whole_number(count, 2**31) for count in lattice)
    mask = tensors.get("lattice_mask")
    is_square = _is_square((columns, rows), plane)
    if mask is None and columns * rows == count and is_square:
        return torch.stack(torch.meshgrid(*lattice_axes(plane, columns, rows), indexing="xy"), dim=-1).view(-1, 2)
    if mask is not None and mask.dtype == torch.uint8 and tuple(mask.shape) == (-(-columns * rows // 8),):
        nodes = torch.from_numpy(np.unpackbits(mask.numpy(), count=columns * rows)).nonzero()[:, 0]
    else:
        nodes = None
    if nodes is None or len(nodes) != count or not is_square:
        raise ValueError("its lattice does not fit the features")
    return _node_means(nodes, (columns, rows), plane)
