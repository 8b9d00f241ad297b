"""The GaINeR field: what nerfstudio's samplers and renderers ask about points in space (paper, section 3.5)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RaySamples
from nerfstudio.field_components.activations import trunc_exp
from nerfstudio.field_components.field_heads import FieldHeadNames
from nerfstudio.fields.base_field import Field
from torch import Tensor, nn

from gainer_ns.encodings.knn_encoding import GaussianKNNEncoding
from gainer_ns.fields.decoder import Decoder


class GainerField(Field):
    """Gaussian KNN encoding, a colour head and a density head.

    No absolute position reaches the heads, so moving the Gaussians moves what is seen. Where a point has no neighbour
    there is nothing: its density is exactly 0.

    Args:
        encoding: Gaussians in space.
        decoder: The colour head.
        density_bias: Added to the density before its exponential; negative starts with a thin fog.
    """

    def __init__(self, encoding: GaussianKNNEncoding, decoder: Decoder, *, density_bias: float = 0.0) -> None:
        super().__init__()
        self.encoding = encoding
        self.decoder = decoder
        self.density_head = nn.Linear(encoding.feature_dim, 1)
        nn.init.constant_(self.density_head.bias, density_bias)

    def get_density(self, ray_samples: RaySamples) -> tuple[Float[Tensor, "*batch 1"], Float[Tensor, "*batch f"]]:
        """Densities (per world unit) of ray samples, and the features that :meth:`get_outputs` decodes."""
        positions = ray_samples.frustums.get_positions()
        reading = self.encoding.read(positions.reshape(-1, 3))
        features = self.encoding(reading).view(*positions.shape[:-1], -1)
        occupied = (torch.diff(reading.matrix.offsets) > 0).view(*positions.shape[:-1], 1)
        return trunc_exp(self.density_head(features)) * occupied, features

    def get_outputs(
        self, ray_samples: RaySamples, density_embedding: Tensor | None = None
    ) -> dict[FieldHeadNames, Tensor]:
        """Colours in [0, 1] of features; nerfstudio asks for them with the densities, see ``forward``."""
        assert density_embedding is not None, "colours are decoded from the features that came with the densities"
        return {FieldHeadNames.RGB: self.decoder(density_embedding).clamp(0, 1)}

    def forward(self, ray_samples: RaySamples, compute_normals: bool = False) -> dict[FieldHeadNames, Tensor]:
        """Colours and densities of ray samples."""
        if compute_normals:
            raise NotImplementedError("this field has no normals")
        density, features = self.get_density(ray_samples)
        return {**self.get_outputs(ray_samples, features), FieldHeadNames.DENSITY: density}
