"""One layer of a picture: Gaussians with their decoder, read at any points of the plane."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.gaussians.aggregation import search_and_aggregate
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.lattice import NEAR_NODES, Lattice
from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.gaussians.ordering import spread_order
from gainer_ns.gaussians.small_matrices import singular_range
from gainer_ns.io.colour_profiles import Conversion

_LEAST_MINIFICATION = 1.25
"""Less than this is not told: sampling would round it to 1."""


class PointColours(NamedTuple):
    """Colours and opacities of points.

    Attributes:
        rgb: [m, 3], unclamped and not multiplied by alpha; 0 where nothing is.
        alpha: [m, 1], between 0 and 1.
        minification: [m, 1], how many lengths of the source lie within one length here, along the direction in which
            these are most; 1 where nothing was deformed.
    """

    rgb: Float[Tensor, "m 3"]
    alpha: Float[Tensor, "m 1"]
    minification: Float[Tensor, "m 1"]

    @classmethod
    def nothing(cls, like: Float[Tensor, "m 2"]) -> PointColours:
        """Return what is seen where nothing is."""
        rgb = like.new_zeros(len(like), 3)
        return cls(rgb, rgb[:, :1].clone(), torch.ones_like(rgb[:, :1]))

    def averaged(self, samples: int) -> PointColours:
        """Average runs of so many points; colours weigh by alpha, so that nothing bleeds in from holes."""
        if samples == 1:
            return self
        rgb, alpha, minification = (values.view(-1, samples, values.shape[-1]) for values in self)
        mean_alpha = alpha.mean(dim=1)
        return PointColours(
            (rgb * alpha).mean(dim=1) / mean_alpha.clamp(min=1e-20), mean_alpha, minification.amax(dim=1)
        )


@dataclass(frozen=True)
class Layer:
    """Gaussians, and how points read them. Points never read the Gaussians of two layers.

    Attributes:
        gaussians: Means, covariances, features and opacities.
        decoder: From features to colours.
        num_neighbours: How many Gaussians a point reads.
        half_extent: Half the width and height, in plane units, of the frame beyond which nothing is shown; None where
            the opacities alone say where the layer ends.
        support_radii: [n], how far from each Gaussian, in plane units before its deformation, it is shown where it is
            the nearest: what has broken would smear its colours over the gaps else. On an undeformed square lattice
            those from 0.71 of its spacing on change nothing. None for the Gaussians' radius.
        fade: Over which distance beyond its support radius a Gaussian fades away, in the same units.
        conversion: From the colours that the decoder tells to those of the picture that the layer is in; None where
            these are the same.
    """

    gaussians: GaussianSet
    decoder: Decoder
    num_neighbours: int
    half_extent: tuple[float, float] | None = None
    support_radii: Float[Tensor, " n"] | None = None
    fade: float = 0.0
    conversion: Conversion | None = None

    def __post_init__(self) -> None:
        if self.support_radii is not None and tuple(self.support_radii.shape) != (len(self.gaussians),):
            shape = tuple(self.support_radii.shape)
            raise ValueError(f"support_radii of shape {shape} for {len(self.gaussians)} Gaussians")

    @cached_property
    def index(self) -> NeighbourIndex:
        """The neighbour index over the means, built on first use."""
        gaussians = self.gaussians
        return NeighbourIndex(gaussians.means, gaussians.radius, gaussians.inverse_jacobians)

    @cached_property
    def _precisions(self) -> Float[Tensor, "s d d"]:
        return self.gaussians.precisions

    @cached_property
    def _columns(self) -> Float[Tensor, "n c"]:
        """What is averaged: features, and opacities as a first column where there are some."""
        gaussians = self.gaussians
        if gaussians.opacities is None:
            return gaussians.features
        return torch.cat([gaussians.opacities[:, None], gaussians.features], dim=1)

    @cached_property
    def _slopes(self) -> Float[Tensor, "n c d"] | None:
        """How the first columns change away from the means."""
        gaussians = self.gaussians
        if gaussians.opacities is None or (gaussians.slopes is None and gaussians.opacity_slopes is None):
            return gaussians.slopes
        first = torch.zeros_like(gaussians.means) if gaussians.opacity_slopes is None else gaussians.opacity_slopes
        return first[:, None] if gaussians.slopes is None else torch.cat([first[:, None], gaussians.slopes], dim=1)

    @cached_property
    def _minifications(self) -> Float[Tensor, " s"] | None:
        """The minification at each Gaussian; None where it does not matter."""
        inverses = self.gaussians.inverse_jacobians
        if inverses is None or len(inverses) == 0:
            return None
        minifications = singular_range(inverses)[1]
        return minifications if float(minifications.max()) > _LEAST_MINIFICATION else None

    @cached_property
    def bounds(self) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
        """Lowest and highest coordinates, in plane units, at which there can be anything."""
        if self.half_extent is not None:
            half = self.gaussians.means.new_tensor(self.half_extent) * (1 + 1e-6)
            return -half, half
        means = self.gaussians.means
        if len(means) == 0:
            return means.new_full((2,), torch.inf), means.new_full((2,), -torch.inf)
        margin = 0.0 if self.gaussians.opacities is not None else self.gaussians.radius
        return means.amin(dim=0) - margin, means.amax(dim=0) + margin

    def coarse(self, fraction: float) -> Layer:
        """Return a fraction of the Gaussians, spread over the picture and as much larger as there are fewer of them.

        Slopes, which hold for their own surroundings only, are left out, and colours beyond those of any picture, which
        were for the sake of neighbours, are clamped.
        """
        count = max(1, round(fraction * len(self.gaussians)))
        if count >= len(self.gaussians):
            return self
        chosen, growth = spread_order(self.gaussians.means)[:count].sort().values, len(self.gaussians) / count
        kept = self.gaussians[chosen]
        if kept.slopes is not None and self.decoder.mlp is None:
            kept = replace(kept, features=self.decoder.features_for(self.decoder.decode(kept.features).clamp(0, 1)))
        wider = {"covariances": kept.covariances * growth, "radius": kept.radius * math.sqrt(growth)}
        kept = replace(kept, **wider, slopes=None, opacity_slopes=None)
        radii = None if self.support_radii is None else self.support_radii[chosen]
        return replace(self, gaussians=kept, support_radii=radii)

    def with_gaussians(self, gaussians: GaussianSet) -> Layer:
        """Return the same layer with other Gaussians; as many where each has a support radius."""
        return replace(self, gaussians=gaussians)

    def to(self, device: torch.device | str) -> Layer:
        """Return the same layer on a device; the decoder moves in place."""
        radii = None if self.support_radii is None else self.support_radii.to(device)
        return replace(self, gaussians=self.gaussians.to(device), decoder=self.decoder.to(device), support_radii=radii)

    @torch.no_grad()
    def at(self, points: Float[Tensor, "m 2"]) -> PointColours:
        """Draw any points of the plane; those that are not finite are transparent."""
        low, high = self.bounds
        within = (points >= low) & (points <= high)
        inside = within[:, 0] & within[:, 1]  # a quarter of the time of all(dim=1)
        if len(self.gaussians) > 0 and bool(inside.all()):
            return self._inside(points)
        drawn = PointColours.nothing(points)
        if len(self.gaussians) > 0 and bool(inside.any()):
            for whole, part in zip(drawn, self._inside(points[inside]), strict=True):
                whole[inside] = part
        return drawn

    @cached_property
    def lattice(self) -> Lattice | None:
        """The lattice on which the Gaussians stand, where nothing has moved yet and points read a whole block of it."""
        whole = self.num_neighbours >= NEAR_NODES and self.support_radii is None
        return Lattice.of(self.gaussians) if whole else None

    @cached_property
    def _lattice_table(self) -> Tensor:
        """What the lattice's nodes hold: opacity, and colours where decoding is linear, features elsewhere."""
        assert self.lattice is not None
        gaussians = self.gaussians
        values = self.decoder.decode(gaussians.features) if self.decoder.mlp is None else gaussians.features
        if gaussians.opacities is not None:
            values = torch.cat([gaussians.opacities[:, None], values], dim=1)
        return self.lattice.table(values)

    def _on_lattice(self, points: Float[Tensor, "m 2"], lattice: Lattice) -> PointColours:
        read = lattice.read(points, self._lattice_table)
        alpha, values = read[:, -1:], read[:, :-1]
        if self.gaussians.opacities is not None:
            alpha, values = alpha * values[:, :1].clamp(0, 1), values[:, 1:]
        rgb = values if self.decoder.mlp is None else self.decoder.decode(values)
        if self.conversion is not None:
            rgb = self.conversion(rgb)
        return PointColours(rgb * (alpha > 0), alpha, torch.ones_like(alpha))

    def _inside(self, points: Float[Tensor, "m 2"]) -> PointColours:
        if self.lattice is not None:
            return self._on_lattice(points, self.lattice)
        gaussians = self.gaussians
        read, nearest = search_and_aggregate(
            self.index, points, self.num_neighbours, gaussians.means, self._precisions, self._columns, self._slopes
        )
        nearest = nearest[:, None]
        seen = nearest >= 0
        alpha = seen.to(gaussians.features.dtype)
        if gaussians.opacities is not None:
            alpha, read = alpha * read[:, :1].clamp(0, 1), read[:, 1:]
        if self.support_radii is not None:
            alpha = alpha * self._presence(points, nearest[:, 0].clamp(min=0), self.support_radii)
        shown = (alpha[:, 0] > 0).nonzero()[:, 0]
        if len(shown) == len(points):
            rgb = self._colours(read)
        else:
            rgb = points.new_zeros(len(points), self.decoder.channels)
            rgb[shown] = self._colours(read[shown])
        minification = torch.ones_like(alpha)
        if self._minifications is not None:
            minification = torch.where(
                seen, self._minifications.expand(len(gaussians))[nearest.clamp(min=0)], minification
            )
        return PointColours(rgb, alpha, minification)

    def _colours(self, features: Float[Tensor, "m f"]) -> Float[Tensor, "m 3"]:
        colours = self.decoder.decode(features)
        return colours if self.conversion is None else self.conversion(colours)

    def _presence(
        self, points: Float[Tensor, "m 2"], nearest: Int[Tensor, " m"], support_radii: Float[Tensor, " n"]
    ) -> Float[Tensor, "m 1"]:
        """Return each point's share of its nearest Gaussian: 1 up to the support radius, 0 beyond the fade."""
        steps, inverses = points - self.gaussians.means[nearest], self.gaussians.inverse_jacobians
        if inverses is not None:
            steps = torch.einsum("nij,nj->ni", inverses.expand(len(support_radii), 2, 2)[nearest], steps)
        beyond = steps.norm(dim=1, keepdim=True) - support_radii[nearest, None]
        return (1 - beyond / max(self.fade, 1e-12)).clamp(0, 1)
