"""How deep points lie inside a box, a polygon or a painted mask: signed distances, in pixels, positive inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.io.masks import MaskLabel, read_mask

_NEVER_GRAY = 0.02
"""Values this close to 0 or 1 are black or white: JPEG files blur masks by about as much."""


def depth_in_box(points: Float[Tensor, "m 2"], box: Sequence[float]) -> Float[Tensor, " m"]:
    """Return the signed distance from the border of a box (left, top, right, bottom), positive inside.

    Source: I. Quilez, "2D distance functions", iquilezles.org.
    """
    low, high = points.new_tensor(box[:2]), points.new_tensor(box[2:])
    beyond = (points - (low + high) / 2).abs() - (high - low) / 2
    # vector_norm has a gradient (0) at 0, which a square root has not.
    outside = torch.linalg.vector_norm(beyond.clamp(min=0), dim=-1)
    return -outside - beyond.amax(dim=-1).clamp(max=0)


def depth_in_polygon(points: Float[Tensor, "m 2"], corners: Float[Tensor, "e 2"]) -> Float[Tensor, " m"]:
    """Return the signed distance from the border of a polygon, positive inside by the even-odd rule.

    Source: I. Quilez, "2D distance functions", iquilezles.org.
    """
    edges = corners.roll(-1, dims=0) - corners
    squared_lengths = (edges * edges).sum(dim=-1).clamp(min=1e-12)
    (start_x, start_y), (edge_x, edge_y) = corners.T, edges.T
    depths = []
    for block in points.split(max(1, 2**16 // len(corners))):
        # All edges say which is nearest and how many are crossed, in plain numbers; only the nearest is differentiated.
        x, y = (side[:, None] - start for side, start in zip(block.detach().T, (start_x, start_y), strict=True))
        along = ((x * edge_x + y * edge_y) / squared_lengths).clamp(0, 1)
        nearest = ((x - along * edge_x).square() + (y - along * edge_y).square()).argmin(dim=1)
        is_crossed = (y < 0) != (y < edge_y)
        is_right = is_crossed & (x * edge_y.abs() < y * edge_x * edge_y.sign())
        offsets, edge = block - corners[nearest], edges[nearest]
        along = ((offsets * edge).sum(dim=-1) / squared_lengths[nearest]).clamp(0, 1)
        distance = torch.linalg.vector_norm(offsets - along[:, None] * edge, dim=-1)
        depths.append(torch.where(is_right.sum(dim=-1) % 2 == 1, distance, -distance))
    return torch.cat(depths) if depths else points[:, 0]


@dataclass(frozen=True, eq=False)
class MaskField:
    """A painted mask, to be read anywhere. Beyond its border it goes on as at the border.

    Attributes:
        values: float32 [height, width] in [0, 1]: 1 is selected.
    """

    values: np.ndarray
    _grids: dict[tuple[torch.device, float], Tensor] = field(default_factory=dict, repr=False)

    @staticmethod
    def read(path: Path, label: MaskLabel | None = None) -> MaskField:
        """Read a mask from a picture file; see :func:`gainer_ns.io.masks.read_mask`."""
        return MaskField(read_mask(path, label))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.values.shape[1], self.values.shape[0]

    @property
    def has_any(self) -> bool:
        """Whether anything is selected."""
        return bool(self.values.max() > _NEVER_GRAY)

    @cached_property
    def _is_gray(self) -> np.ndarray:
        """Whether a pixel is neither black nor white, [height, width]."""
        return (self.values > _NEVER_GRAY) & (self.values < 1 - _NEVER_GRAY)

    @property
    def has_grays(self) -> bool:
        """Whether there are grays at all, if only along an antialiased edge."""
        return bool(self._is_gray.any())

    @cached_property
    def is_soft(self) -> bool:
        """Whether grays go on further than an antialiased edge does: a tenth of them beyond 2 pixels from the edge."""
        far = np.abs(self.depths[self._is_gray]) > 2
        return bool(far.size and far.mean() > 0.1)

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of what is at least half selected, or selected at all where nothing is half."""
        level = 0.5 if self.values.max() > 0.5 else _NEVER_GRAY
        inside = self.values > level
        columns, rows = np.flatnonzero(inside.any(axis=0)), np.flatnonzero(inside.any(axis=1))
        if not len(columns):
            return 0.0, 0.0, 0.0, 0.0
        return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)

    @cached_property
    def depths(self) -> np.ndarray:
        """Signed distance of every pixel's centre from the edge, where values pass 0.5, float32 [height, width].

        The edge runs half way between centres on either side, so a pixel beside it is half a pixel deep.
        """
        inside = self.values > 0.5
        return np.where(inside, _distances(~inside) - 0.5, 0.5 - _distances(inside))

    def field(self, points: Float[Tensor, "m 2"], feather: float) -> Float[Tensor, " m"]:
        """Return how far inside points are; see ``Selection.field``. Without a feather, grays are read as they are."""
        key = (points.device, feather)
        if key not in self._grids:
            self._grids[key] = torch.from_numpy(self._grid(feather)).to(points.device)
        return bilinear(self._grids[key], points)

    def _grid(self, feather: float) -> np.ndarray:
        """Return ``field`` at the centres of the pixels, float32 [height, width]."""
        if feather > 0:
            return np.float32(0.5) + self.depths / np.float32(max(feather, 1.0))
        # 0 and 1 right beside what is neither, so that between pixels too the grays are as they were painted.
        outside, inside = self.values <= _NEVER_GRAY, self.values >= 1 - _NEVER_GRAY
        return np.where(outside, 1 - _distances(~outside), np.where(inside, _distances(~inside), self.values))


def _distances(region: np.ndarray) -> np.ndarray:
    """Return each pixel's distance to the nearest of a region, float32 [height, width]; large without one."""
    if not region.any():
        return np.full(region.shape, 1e6, np.float32)
    return cv2.distanceTransform((~region).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def bilinear(grid: Float[Tensor, "height width"], points: Float[Tensor, "m 2"]) -> Float[Tensor, " m"]:
    """Interpolate values at pixel centres, in pixel coordinates; beyond the border as at the border."""
    height, width = grid.shape
    limit = points.new_tensor([width - 1, height - 1])
    place = torch.minimum((points - 0.5).clamp(min=0), limit)
    corner = place.floor()
    (x0, y0), (u, v) = corner.long().unbind(-1), (place - corner).unbind(-1)
    x1, y1 = (x0 + 1).clamp(max=width - 1), (y0 + 1).clamp(max=height - 1)

    def read(x: Tensor, y: Tensor) -> Tensor:
        return grid.flatten()[y * width + x].to(points.dtype)

    above = torch.lerp(read(x0, y0), read(x1, y0), u)
    below = torch.lerp(read(x0, y1), read(x1, y1), u)
    return torch.lerp(above, below, v)
