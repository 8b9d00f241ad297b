"""Read features at points of the plane: the K nearest Gaussians, averaged by Gaussian weight (paper, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gainer_ns.errors import GainerError
from gainer_ns.fields.hash_grid import HashGridAtPoints, HashGridConfig
from gainer_ns.gaussians.aggregation import AggregationMatrix, gaussian_weights, learned_weights
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.neighbours import NeighbourIndex, Neighbours

MAX_NEIGHBOURS = 256
"""Most Gaussians that a point may read: a kernel is compiled for every number."""
_MIN_WEIGHT = 1e-3
"""Gaussians that weigh less in a point's mean when it is searched are left out until the next search."""


@dataclass
class KNNEncodingConfig:
    """Options of how points read Gaussians."""

    num_neighbours: int = 16
    """K: how many Gaussians a point reads."""
    radius: float = 10.0
    """Farthest distance at which a Gaussian is read, in spacings of the means."""
    sigma: float = 0.64
    """Standard deviation with which the Gaussians start, in spacings of the means."""
    covariances: Literal["shared", "diagonal", "full"] = "shared"
    """One frozen round covariance for all, or learned ones: axis-aligned, or any ellipse."""
    means: Literal["fixed", "learned"] = "fixed"
    """Whether means stay where they start. Learned ones, in 2D, take learned ellipses and slopes along, and are found
    by Levenberg steps."""
    slopes: int = 0
    """How many of the first channels of what is read of a Gaussian change linearly with the step from its learned mean.
    The first is grey at the start: pictures change more in brightness than in colour."""
    features: Literal["table", "hash-grid"] = "table"
    """Whether each Gaussian has a feature of its own, or reads it from a hash grid until it is baked."""
    feature_dim: int = 8
    """Length of a feature; hash-grid features have one for each level and feature of the grid instead."""
    hash_grid: HashGridConfig = field(default_factory=HashGridConfig)
    """The hash grid, where features come from one."""


class PointReading(NamedTuple):
    """The Gaussians that a set of fixed points reads, found once.

    Attributes:
        matrix: Aggregation from the Gaussians to the points, at the covariances of the time it was made. Of learned
            means it only says which Gaussians each point reads.
        points: [m, d], the points themselves.
        neighbours: The neighbours behind the matrix; None where Gaussians are frozen and nobody needs them again.
    """

    matrix: AggregationMatrix
    points: Float[Tensor, "m d"]
    neighbours: Neighbours | None


class GaussianKNNEncoding(nn.Module):
    """Gaussians, and the features that points read from them.

    Args:
        config: How points read Gaussians.
        means: [n, d], d = 2 or 3, where they start.
        spacing: Typical distance of neighbouring means, which sigma and radius are multiples of.
        unit_box: (origin [d], side) of the square or cube that holds the means; the hash grid spans it.
        seed: Seed of the initial features.
        opacities: [n], of the Gaussians of a picture with alpha; None where all is opaque.
        matte: [h, w], that alpha itself, where Gaussians are too few to tell it; None where their opacities do.
    """

    means: Float[Tensor, "n d"]
    opacities: Float[Tensor, " n"] | None
    matte: Float[Tensor, "h w"] | None
    spacing: Float[Tensor, ""]

    def __init__(
        self,
        config: KNNEncodingConfig,
        means: Float[Tensor, "n d"],
        spacing: float,
        *,
        unit_box: tuple[Float[Tensor, " d"], float],
        seed: int = 0,
        opacities: Float[Tensor, " n"] | None = None,
        matte: Float[Tensor, "h w"] | None = None,
    ) -> None:
        super().__init__()
        if not 1 <= config.num_neighbours <= MAX_NEIGHBOURS:
            raise GainerError(f"num-neighbours {config.num_neighbours}: choose from 1 to {MAX_NEIGHBOURS}")
        count, dimensions = means.shape
        self.is_moving = config.means == "learned"
        if self.is_moving and (dimensions != 2 or config.covariances != "full" or config.features != "table"):
            raise GainerError("learned means are for planes, and need covariances full and features table")
        if self.is_moving and (config.feature_dim != 3 or not 1 <= config.slopes <= 3):
            raise GainerError("learned means need feature-dim 3, and slopes of 1 to 3 of them")
        if config.slopes and not self.is_moving:
            raise GainerError("slopes need means learned; set that, or leave slopes at 0")
        self.config = config
        self.register_buffer("means", means)
        self.register_buffer("opacities", None if opacities is None else opacities.clone())
        self.register_buffer("matte", None if matte is None else matte.float())
        self.register_buffer("spacing", torch.tensor(spacing, dtype=torch.float64))
        entries = dimensions * (dimensions + 1) // 2
        learned = config.covariances != "shared"
        # Lower triangle of the precisions' Cholesky factors, in units of 1 / sigma; the diagonal as logarithms.
        factors = torch.zeros(count if learned else 1, entries)
        self.precision_factors = nn.Parameter(factors, requires_grad=learned)
        self.slopes_table: nn.Parameter | None = None
        if config.slopes:
            self.slopes_table = nn.Parameter(torch.zeros(count, config.slopes, dimensions))
        self.hash_grid: HashGridAtPoints | None = None
        self.features_table: nn.Parameter | None = None
        self._unit_box = unit_box
        if config.features == "hash-grid":
            self.hash_grid = self._grid_at(means, seed)
            self.feature_dim = self.hash_grid.output_dim
        else:
            self.feature_dim = config.feature_dim
            self.features_table = nn.Parameter(torch.zeros(count, config.feature_dim))
        self._index: NeighbourIndex | None = None

    def __len__(self) -> int:
        return self.means.shape[0]

    @property
    def radius(self) -> float:
        """Farthest distance at which a Gaussian is read, in the units of the means."""
        return self.config.radius * float(self.spacing)

    @property
    def features(self) -> Float[Tensor, "n f"]:
        """The Gaussians' features, from their table or from the hash grid at their means."""
        if self.hash_grid is not None:
            return self.hash_grid()
        assert self.features_table is not None
        return self.features_table

    @property
    def slopes(self) -> Float[Tensor, "n s d"] | None:
        """How what is read of a Gaussian changes with the step from its mean, in the units of the means."""
        return None if self.slopes_table is None else self.slopes_table / float(self.spacing)

    @property
    def precisions(self) -> Float[Tensor, "s d d"]:
        """Inverse covariances, differentiable where they are learned; one row when all share one."""
        return self.precisions_of(self.precision_factors)

    def precisions_of(self, factors: Float[Tensor, "s e"]) -> Float[Tensor, "s d d"]:
        """Return the inverse covariances of :attr:`precision_factors`."""
        dimensions = self.means.shape[1]
        rows, columns = torch.tril_indices(dimensions, dimensions)
        on_diagonal = (rows == columns).to(factors.device)
        factors = torch.where(on_diagonal, factors.exp(), factors)
        if self.config.covariances == "diagonal":
            factors = factors * on_diagonal
        lower = factors.new_zeros(len(factors), dimensions, dimensions)
        lower[:, rows, columns] = factors / (self.config.sigma * float(self.spacing))
        precisions = lower @ lower.transpose(1, 2)
        if self.is_moving:  # longer ones than what is read of them, into which lines grow, overflow under an edit
            precisions = precisions + torch.eye(dimensions).to(lower) / self.radius**2
        return precisions

    def factors_of(self, covariances: Float[Tensor, "n 2 2"]) -> Float[Tensor, "n 3"]:
        """Return the factors of learned covariances in the plane, all of which are shorter than the radius."""
        precisions = torch.linalg.inv(covariances.double())
        if self.is_moving:
            precisions = precisions - torch.eye(2).to(precisions) / self.radius**2
        lower = torch.linalg.cholesky(precisions) * (self.config.sigma * float(self.spacing))
        factors = torch.stack([lower[:, 0, 0].log(), lower[:, 1, 0], lower[:, 1, 1].log()], dim=1)
        return factors.to(self.precision_factors)

    def precision_chain(self, factors: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3 3"]:
        """Return the derivatives of precisions, ``xx, xy, yy``, by their factors, in the plane."""
        first, below, second = factors.unbind(1)
        first, second, zero = first.exp(), second.exp(), torch.zeros_like(first)
        rows = [2 * first**2, zero, zero, first * below, first, zero, zero, 2 * below, 2 * second**2]
        return torch.stack(rows, dim=1).view(-1, 3, 3) / (self.config.sigma * float(self.spacing)) ** 2

    def gaussian_set(self) -> GaussianSet:
        """Return the Gaussians as they are now, baked: plain tensors without the hash grid."""
        with torch.no_grad():
            factors = self.precision_factors.double()  # thin ones lose much as float32
            covariances = torch.linalg.inv(self.precisions_of(factors)).to(self.means)
            features = self.features.detach()
            return GaussianSet(self.means, covariances, features, self.radius, self.opacities, slopes=self.slopes)

    @torch.no_grad()
    def put(self, means: Float[Tensor, "n d"], spacings: Float[Tensor, " n"]) -> None:
        """Move Gaussians that have not been fitted yet; their covariances start in proportion to ``spacings``."""
        self._index = None
        self.means = means.to(self.means, copy=True)
        on_diagonal = torch.tensor([1.0, 0.0, 1.0]).to(spacings)
        self.precision_factors.copy_(-(spacings / float(self.spacing)).log()[:, None] * on_diagonal)

    @torch.no_grad()
    def bake(self) -> None:
        """Turn hash-grid features into a table and drop the grid, where there is one."""
        if self.hash_grid is not None:
            self.features_table = nn.Parameter(self.hash_grid().detach().clone())
            self.hash_grid = None

    def read(self, points: Float[Tensor, "m d"], *, within: NeighbourIndex | None = None) -> PointReading:
        """Find the Gaussians that points read, to be used with :meth:`forward` as often as wanted.

        ``within`` is an index over the means; None for this encoding's own.
        """
        with torch.no_grad():
            if self.is_moving:
                self._index = None  # they have moved since
                neighbours = self.index.query(points, self.config.num_neighbours)
                weights = gaussian_weights(points, neighbours, self.means, self.precisions)
                indices = neighbours.indices.masked_fill(weights < _MIN_WEIGHT, -1)
                matrix = AggregationMatrix.from_neighbours(neighbours._replace(indices=indices), weights, len(self))
                return PointReading(matrix, points.float().contiguous(), neighbours)
            neighbours = (within or self.index).query(points, self.config.num_neighbours)
            weights = gaussian_weights(points, neighbours, self.means, self.precisions)
            matrix = AggregationMatrix.from_neighbours(neighbours, weights, len(self))
            return PointReading(matrix, points, neighbours if self.precision_factors.requires_grad else None)

    def forward(self, reading: PointReading, features: Float[Tensor, "n f"] | None = None) -> Float[Tensor, "m f"]:
        """Aggregate features, differentiable in them and in all that is learned of the Gaussians (paper, section 3.2).

        ``features`` are for callers that read several sets of points; None to make them.
        """
        features = self.features if features is None else features
        if reading.neighbours is None:
            return reading.matrix.aggregate(features)
        weights = learned_weights(reading.points, reading.neighbours, self.means, self.precisions, reading.matrix)
        return reading.matrix.aggregate(features, weights)

    def forget_index(self) -> None:
        """Search anew from now on: means have moved."""
        self._index = None

    @property
    def index(self) -> NeighbourIndex:
        """The index over the means, built on first use."""
        if self._index is None or self._index.device != self.means.device:
            self._index = NeighbourIndex(self.means, self.radius)
        return self._index

    def _grid_at(self, means: Float[Tensor, "n d"], seed: int = 0) -> HashGridAtPoints:
        origin, side = self._unit_box
        return HashGridAtPoints(self.config.hash_grid, (means - origin.to(means)) / side, seed=seed)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """Take the sizes of what is loaded, and bake where the checkpoint is baked."""
        if not any(name.startswith(prefix) for name in state_dict):
            return  # nerfstudio's pipeline loads the model first, and then, leniently, what is left of it: nothing
        self._index = None
        means = state_dict.get(f"{prefix}means")
        if (shifts := state_dict.pop(f"{prefix}shifts", None)) is not None and means is not None:
            # Older checkpoints hold how far learned means have come, in spacings.
            state_dict[f"{prefix}means"] = means = means + float(state_dict[f"{prefix}spacing"]) * shifts
        if means is not None and not torch.equal(means.to(self.means), self.means):
            self.means = means.to(self.means, copy=True)
            if self.hash_grid is not None and f"{prefix}hash_grid.table" in state_dict:
                self.hash_grid = self._grid_at(self.means)
        for name in ("opacities", "matte"):
            stored = state_dict.get(prefix + name)
            setattr(self, name, None if stored is None else stored.to(self.means, copy=True))
        for name in ("precision_factors", "slopes_table"):
            stored, own = state_dict.get(prefix + name), getattr(self, name)
            if stored is not None and own is not None:
                own.data = own.new_empty(stored.shape)
        table = state_dict.get(f"{prefix}features_table")
        if table is not None:
            self.hash_grid = None
            if self.features_table is None:
                self.features_table = nn.Parameter(table.new_empty(table.shape, device=self.means.device))
            self.features_table.data = self.features_table.new_empty(table.shape)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
