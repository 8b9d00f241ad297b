"""The GaINeR field: colour and density at points in space, as nerfstudio's samplers ask (paper, section 3.5)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.rays import RaySamples
from nerfstudio.field_components.field_heads import FieldHeadNames
from nerfstudio.fields.base_field import Field
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.gaussians.aggregation import search_and_aggregate
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.neighbours import NeighbourIndex

SHELL_THICKNESSES = 4.0
"""Thickness of the shell in which a surface has density, in thicknesses of a disc: a pixel of the photo."""
SOLID_TRANSMITTANCE = 1e-5
"""Share of the light that passes through a solid shell."""
RGBA_CHANNELS = 4
"""Channels that the decoder makes of a feature: red, green, blue and opacity."""


class SurfaceReading(NamedTuple):
    """The averages that points read of the discs near them.

    Attributes:
        features: [m, f].
        normals: [m, 3], across the surface that the discs lie on, as long as one over a disc's thickness.
        offsets: [m], of the points from that surface, in thicknesses.
        limits: [m], most opacity that there is, not clamped; infinite where the Gaussians have no opacities.
        seen: [m], whether there is a disc near at all.
    """

    features: Float[Tensor, "m f"]
    normals: Float[Tensor, "m 3"]
    offsets: Float[Tensor, " m"]
    limits: Float[Tensor, " m"]
    seen: Bool[Tensor, " m"]


class GainerField(Field):
    """Colour and density from the Gaussians near a point, both decoded from one averaged feature.

    No absolute position reaches the decoder, so moving the Gaussians moves what is seen. The discs' planes, averaged by
    the same weights as the features, are the surface that density lies on: a shell of a pixel's thickness (an implicit
    moving-least-squares surface: Kolluri, Provably Good Moving Least Squares, 2008). Beyond it density is exactly 0.

    Args:
        gaussians: Flat discs in space, with their inverse Jacobians. Their opacities, where they have some, end a
            surface that an edit cut.
        decoder: From features to red, green, blue and opacity.
        num_neighbours: How many Gaussians a point reads.
    """

    def __init__(self, gaussians: GaussianSet, decoder: Decoder, num_neighbours: int) -> None:
        super().__init__()
        assert gaussians.inverse_jacobians is not None, "lifted Gaussians know how they lie in space"
        self.gaussians, self.decoder, self.num_neighbours = gaussians, decoder, num_neighbours
        self._index = NeighbourIndex(gaussians.means, gaussians.radius, gaussians.inverse_jacobians)
        self._precisions = gaussians.precisions
        normals = gaussians.inverse_jacobians[:, 2].expand(len(gaussians), 3)
        # Single precision would lose the offsets of surfaces far from the origin.
        heights = (normals.double() * gaussians.means.double()).sum(dim=1, keepdim=True).to(normals)
        limits = [] if gaussians.opacities is None else [gaussians.opacities[:, None]]
        self._columns = torch.cat([gaussians.features, normals, heights, *limits], dim=1)

    @torch.no_grad()
    def read(self, points: Float[Tensor, "m 3"]) -> SurfaceReading:
        """Average the discs near points."""
        gaussians = self.gaussians
        read, nearest = search_and_aggregate(
            self._index, points, self.num_neighbours, gaussians.means, self._precisions, self._columns
        )
        width = gaussians.features.shape[1]
        features, normals, heights = read[:, : width + 4].split([width, 3, 1], dim=1)
        limits = torch.full_like(heights, torch.inf) if gaussians.opacities is None else read[:, width + 4 :]
        offsets = (normals * points).sum(dim=1) - heights[:, 0]
        return SurfaceReading(features, normals, offsets, limits[:, 0], nearest >= 0)

    def get_density(self, ray_samples: RaySamples) -> tuple[Float[Tensor, "*batch 1"], Float[Tensor, "*batch c"]]:
        """Return densities (per world unit) of ray samples, and the colours decoded with them."""
        positions = ray_samples.frustums.get_positions()
        reading = self.read(positions.reshape(-1, 3))
        decoded = self.decoder.decode(reading.features)
        rgb, opacity = decoded.split([RGBA_CHANNELS - 1, 1], dim=-1)
        opacity = torch.minimum(opacity, reading.limits[:, None])
        inside = reading.seen & (reading.offsets.abs() <= SHELL_THICKNESSES / 2)
        through = -torch.log1p(-(1 - SOLID_TRANSMITTANCE) * opacity.clamp(0, 1))
        density = through * (reading.normals.norm(dim=1) / SHELL_THICKNESSES * inside)[:, None]
        shape = positions.shape[:-1]
        return density.view(*shape, 1), rgb.reshape(*shape, RGBA_CHANNELS - 1)

    def get_outputs(
        self, ray_samples: RaySamples, density_embedding: Tensor | None = None
    ) -> dict[FieldHeadNames, Tensor]:
        """Return colours in [0, 1]; nerfstudio asks for them with the densities, see ``forward``."""
        assert density_embedding is not None, "colours are decoded together with the densities"
        return {FieldHeadNames.RGB: density_embedding.clamp(0, 1)}

    def forward(self, ray_samples: RaySamples, compute_normals: bool = False) -> dict[FieldHeadNames, Tensor]:
        """Return colours and densities of ray samples."""
        if compute_normals:
            raise NotImplementedError("this field has no normals")
        density, rgb = self.get_density(ray_samples)
        return {**self.get_outputs(ray_samples, rgb), FieldHeadNames.DENSITY: density}
