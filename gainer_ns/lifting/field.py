"""The GaINeR field: colour and density at points in space, as nerfstudio's samplers ask (paper, section 3.5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RaySamples
from nerfstudio.field_components.field_heads import FieldHeadNames
from nerfstudio.fields.base_field import Field
from torch import Tensor

from gainer_ns.lifting.layer import LiftedLayer, Shown
from gainer_ns.lifting.views import CameraView

DISC_KEY, STEP_KEY, LAYER_KEY = "disc", "step", "layer"
"""Names of the metadata of samples that lie on a surface: the place, and which layer it is of."""
SOLID_TRANSMITTANCE = 1e-5
"""Share of the light that passes through a solid shell."""


class GainerField(Field):
    """Colour and density from the discs near a point, both decoded from one averaged feature.

    Around a surface lies a shell in which density rises towards it and falls behind it, as a tent. A point in it is
    shown as the photo shows it: in the colour and opacity of the place that the ray from the photo's camera through the
    point meets. Density is told along a ray, as that of NeuS (Wang et al. 2021): whatever the angle at which a ray
    crosses a shell, its integral is what the place's opacity takes away of the light. No absolute position reaches the
    decoder, so moving the discs moves what is seen.

    Args:
        layers: What is seen.
        photos: The cameras that took the photos, where they stood.
        half_width: Of a shell, in world units along the camera's axis.
    """

    def __init__(self, layers: Sequence[LiftedLayer], photos: Sequence[CameraView], half_width: float) -> None:
        super().__init__()
        self.layers, self.photos, self.half_width = tuple(layers), tuple(photos), half_width

    @torch.no_grad()
    def get_density(self, ray_samples: RaySamples) -> tuple[Float[Tensor, "*batch 1"], Float[Tensor, "*batch 3"]]:
        """Return densities (per world unit) of ray samples, and their colours.

        Samples of :class:`gainer_ns.lifting.sampler.SurfaceSampler` are as long as the shell that they lie in, and have
        its mean density.
        """
        shape = ray_samples.frustums.shape
        metadata = ray_samples.metadata or {}
        if LAYER_KEY in metadata:
            shown = self._on_surfaces(*(metadata[key].flatten(0, -2) for key in (LAYER_KEY, DISC_KEY, STEP_KEY)))
            density = absorbed(shown.opacity) / (2 * self.half_width)
            rgb = shown.rgb
        else:
            directions = ray_samples.frustums.directions.expand(*shape, 3).reshape(-1, 3)
            density, rgb = self._near(ray_samples.frustums.get_positions().reshape(-1, 3), directions)
        return density.view(*shape, 1), rgb.view(*shape, 3)

    def _on_surfaces(self, layer: Tensor, disc: Tensor, step: Tensor) -> Shown:
        """Return what is shown at places of layers; nothing at those of none."""
        shown = Shown(step.new_zeros(len(step), 3), step.new_zeros(len(step)))
        for number, one in enumerate(self.layers):
            mine = (layer[:, 0] == number).nonzero()[:, 0]
            if len(mine) > 0:
                shown.rgb[mine], shown.opacity[mine] = one.shown(disc[mine, 0], step[mine])
        return shown

    def _near(
        self, points: Float[Tensor, "m 3"], directions: Float[Tensor, "m 3"]
    ) -> tuple[Float[Tensor, " m"], Float[Tensor, "m 3"]]:
        """Return densities, and colours, of points that rays pass, wherever they lie."""
        density, rgb = points.new_zeros(len(points)), points.new_zeros(len(points), 3)
        for layer in self.layers:
            near = layer.near(points, directions, self.half_width, self.photos[layer.view])
            point, slot = near.gaps.isfinite().nonzero(as_tuple=True)
            shown = layer.shown(near.discs[point, slot], near.steps[point, slot])
            tent = (1 - near.gaps[point, slot].abs() / self.half_width) / self.half_width
            each = absorbed(shown.opacity) * tent * near.slopes[point, slot]
            density.index_add_(0, point, each)
            rgb.index_add_(0, point, each[:, None] * shown.rgb)
        return density, rgb / density.clamp(min=1e-30)[:, None]

    def get_outputs(
        self, ray_samples: RaySamples, density_embedding: Tensor | None = None
    ) -> dict[FieldHeadNames, Tensor]:
        """Return colours in [0, 1]; nerfstudio asks for them with the densities, see ``forward``."""
        assert density_embedding is not None, "colours are decoded together with the densities"
        return {FieldHeadNames.RGB: density_embedding}

    def forward(self, ray_samples: RaySamples, compute_normals: bool = False) -> dict[FieldHeadNames, Tensor]:
        """Return colours and densities of ray samples."""
        if compute_normals:
            raise NotImplementedError("this field has no normals")
        density, rgb = self.get_density(ray_samples)
        return {**self.get_outputs(ray_samples, rgb), FieldHeadNames.DENSITY: density}


def absorbed(opacity: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """Return the integral of density that opacity stands for: almost all light at 1."""
    return -torch.log1p(-(1 - SOLID_TRANSMITTANCE) * opacity)
