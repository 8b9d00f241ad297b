"""How much a sheet follows the motion of a region: wholly inside it, and around it less and less."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.editing.deformations import with_jacobian
from gainer_ns.editing.selection import Selection
from gainer_ns.frames import Bounds
from gainer_ns.motion.shown import Shown, as_complex, as_pixels

if TYPE_CHECKING:
    from gainer_ns.motion.band import Band
    from gainer_ns.motion.material import Material, Spots

_REACH_SPREADS = 8.0
"""How far distances are told, in lengths over which heat fades."""
_SPREAD_CELLS = 1.5
"""That length in cells of the material."""
_MAX_CELLS = 1500
_MIN_CELLS = 4.0
"""If fewer cells lie between the region and where distances end, those of the region's shape alone are told."""
_MAX_FUNCTIONS = 5000
_HEAT = 100.0
"""How much hotter than its surroundings the region is held."""
_COLDEST = 1e-6
_SLACK = 1e-9
"""Keeps soluble what parts of the material that are smaller than a cell leave open."""
_STEEPEST = 1.875
"""How much of it falls off over a width where it is steepest."""
_MOST_USED = 0.9
"""A falloff is at most so wide beside all that there is to fall off over, so that something stays."""


class Surroundings(NamedTuple):
    """Where some points are around a region.

    Attributes:
        distances: [m], in pixels, 0 inside the region.
        slopes: [m, 2], how these change along x and y.
        near: [k], which of the points the material tells of.
        spots: Where on it those are.
    """

    distances: Float[np.ndarray, " m"]
    slopes: Float[np.ndarray, "m 2"]
    near: Int[np.ndarray, " k"]
    spots: Spots | None


@dataclass(frozen=True, eq=False)
class RegionDistance:
    """How far around a region points are, along what hangs together; see :meth:`around`.

    Attributes:
        region: The region.
        reach: How far distances are told, in pixels; farther away they are at least as large.
        inner: Deeper inside nothing is asked.
        material: What is around the region; None where there is too little of it to tell more than the region's shape.
        heat: [n], coefficients on the material.
        spread: Over which heat fades, in pixels.
    """

    region: Selection
    reach: float
    inner: float = 0.0
    material: Material | None = None
    heat: Float[np.ndarray, " n"] | None = None
    spread: float = 1.0

    @classmethod
    def around(cls, region: Selection, shown: Shown, reach: float, bounds: Bounds) -> RegionDistance:
        """Find how far from a region what surrounds it is.

        The logarithm of the solution of the screened Poisson equation (Varadhan 1967; Crane, Weischedel and Wardetzky
        2013, Geodesics in heat) is a distance without kinks, which goes only where the material does.

        Args:
            region: From which distances are.
            shown: What of the picture is visible.
            reach: How far they are asked for, in pixels.
            bounds: Of the region.
        """
        from scipy import sparse  # which edits of everything do without
        from scipy.sparse.linalg import splu

        from gainer_ns.motion.material import Material

        low, high = (math.floor(side - reach) for side in bounds[:2]), (math.ceil(side + reach) for side in bounds[2:])
        window = shown.window(*low, *high)
        pixels = window.pixels
        depth = region.depth(pixels)
        depth = depth + (0.5 - depth.max()).clamp(min=0)  # something is inside, however small it is
        spread = reach / _REACH_SPREADS
        band = int(((depth > -reach) & (depth < 1)).sum())
        cell = max(spread / _SPREAD_CELLS, math.sqrt(band / _MAX_CELLS), 1.0)
        inner, spread = 2 * cell + 1, max(spread, _SPREAD_CELLS * cell)
        around = (depth > -reach) & (depth < inner)
        if reach < _MIN_CELLS * cell or not bool((around & (depth > 0)).any()):
            return cls(region, reach)
        mask = np.zeros_like(window.mask)
        mask[window.mask] = around.numpy()
        material = Material(window._replace(mask=mask), cell=cell, max_functions=_MAX_FUNCTIONS)
        samples, areas = material.samples, material.sample_areas / spread**2
        inside = region.depth(as_pixels(material.sample_points)).numpy() > 0
        if not inside.any():
            return cls(region, reach)
        hot = samples.value.T @ sparse.diags(_HEAT * areas * inside)
        kept = samples.value.T @ sparse.diags(areas) @ samples.value
        slopes = sparse.vstack([samples.along_x, samples.along_y])
        passed = slopes.T @ sparse.diags(np.tile(material.sample_areas, 2)) @ slopes
        system = passed + kept + hot @ samples.value + _SLACK * sparse.identity(material.size)
        factor = splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A")
        return cls(region, reach, inner, material, factor.solve(hot @ np.ones(len(areas))), spread)

    def at(
        self, points: Float[Tensor, "m 2"], anchors: Float[Tensor, "m 2"] | None = None, *, sloped: bool = True
    ) -> Surroundings:
        """Return how far points are from the region.

        Args:
            points: In pixels.
            anchors: Pixels that tell to which part of the material each belongs; None for the nearest of it.
            sloped: Whether slopes are asked for.
        """
        points = points.detach().double().cpu()
        sources = points if anchors is None else anchors.double().cpu()
        depth = self.region.depth(sources)
        distances, slopes = (-depth).clamp(min=0).numpy(), np.zeros((len(points), 2))
        if self.material is None or self.heat is None:
            if sloped:
                near = ((depth < 0) & (depth > -self.reach)).nonzero()[:, 0]
                slopes[near] = with_jacobian(lambda some: -self.region.depth(some)[:, None], points[near])[1][:, 0]
            return Surroundings(distances, slopes, np.zeros(0, np.int64), None)
        near = ((depth > -self.reach) & (depth < self.inner)).numpy().nonzero()[0]
        spots = self.material.spots(as_complex(points[near]), as_complex(sources[near]))
        distances[near], slopes[near] = self._told(self.material, spots)
        return Surroundings(distances, slopes, near, spots)

    def _told(self, material: Material, spots: Spots) -> tuple[np.ndarray, np.ndarray]:
        """Return the distances of spots of the material, and how these change along x and y."""
        assert self.heat is not None
        heat, along = material.read(spots, self.heat[:, None])
        heat = heat[:, 0].clip(min=_COLDEST)
        slopes = -self.spread * along[:, 0] / heat[:, None]
        ahead = slopes[:, 0] * spots.beyond.real + slopes[:, 1] * spots.beyond.imag
        distances = (ahead - self.spread * np.log(heat)).clip(min=0.0)
        return distances, slopes * (distances > 0)[:, None]

    @cached_property
    def samples(self) -> Surroundings | None:
        """Where the material's sample points are; None where the shape alone tells distances."""
        if self.material is None:
            return None
        spots = self.material.sample_spots
        return Surroundings(*self._told(self.material, spots), np.arange(len(spots.cells)), spots)

    @cached_property
    def anchors(self) -> Float[Tensor, "q 2"] | None:
        """Pixels that the sample points belong to; None where what lies at a pixel hangs together."""
        pixels = None if self.material is None else self.material.sample_pixels
        return None if pixels is None else as_pixels(pixels)

    @property
    def sample_points(self) -> Float[Tensor, "q 2"] | None:
        """The material's sample points, in pixels."""
        return None if self.material is None else as_pixels(self.material.sample_points)

    @property
    def widest(self) -> float:
        """How wide a falloff may be, so that something stays."""
        return self.reach if self.samples is None else _MOST_USED * min(self.reach, float(self.samples.distances.max()))


@dataclass(frozen=True, eq=False)
class Falloff:
    """How much points follow a region: wholly inside it, and around it less and less over a width.

    Attributes:
        distance: From the region.
        width: Over which it falls off, in pixels; less than the distance reaches.
    """

    distance: RegionDistance
    width: float

    @property
    def is_soft(self) -> bool:
        """Whether anything follows in part."""
        return True

    def weights(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, " m"]:
        """Return how much points follow, from 0 to 1, by how far from the region they are."""
        return self.shares(self.distance.at(points)).to(points)

    def shares(self, around: Surroundings) -> Float[Tensor, " m"]:
        """Return how much points follow."""
        share = (1 - around.distances / self.width).clip(0, 1)
        return torch.from_numpy(share**3 * (10 + share * (6 * share - 15)))

    def share_slopes(self, around: Surroundings) -> Float[Tensor, "m 2"]:
        """Return how that changes along x and y, 1 / pixel."""
        share = (1 - around.distances / self.width).clip(0, 1)
        steep = -30 * (share * (1 - share)) ** 2 / self.width
        return torch.from_numpy(steep[:, None] * around.slopes)

    def slopes_at_border(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, "m 2"]:
        """Return how shares change where they change most, around points of the region's border."""
        _, inwards = with_jacobian(lambda some: self.distance.region.depth(some)[:, None], points)
        return _STEEPEST / self.width * inwards[:, 0]

    @cached_property
    def band(self) -> Band | None:
        """The material that follows in part; None where there is too little of it to give way."""
        from gainer_ns.motion.band import Band

        around, material = self.distance.samples, self.distance.material
        if around is None or material is None:
            return None
        return Band(material, self.shares(around).numpy())
