"""A lifted photo: layers of discs in space, and what rays see of them through nerfstudio's volumetric renderers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int32
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.field_components.field_heads import FieldHeadNames
from nerfstudio.model_components.renderers import AccumulationRenderer, DepthRenderer, RGBRenderer
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.fields.gainer_field import CHANNELS, GainerField
from gainer_ns.frames import PinholeCamera
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.lifting.crossings import DiscTree
from gainer_ns.lifting.sampler import LAYER, SurfaceSampler

FAINTEST = -0.75
"""Discs of lower opacity show nothing within their reach: opacity rises by 1 from pixel to pixel at most."""
CROSSINGS = 4
"""How many surfaces a ray may cross before it is lost sight of."""


@dataclass(frozen=True)
class LiftedLayer:
    """Discs in space, and how points read them. Points never read the discs of two layers.

    Attributes:
        gaussians: Means, covariances, features and inverse Jacobians, in world units.
        decoder: From features to red, green, blue and opacity.
        num_neighbours: How many Gaussians a point reads.
        pixels: [n], row-major indices of the photo's pixels that the Gaussians belong to: those of a rim belong to the
            pixel whose surface they continue.
    """

    gaussians: GaussianSet
    decoder: Decoder
    num_neighbours: int
    pixels: Int32[Tensor, " n"]

    @cached_property
    def field(self) -> GainerField:
        """What nerfstudio asks about points in space."""
        return GainerField(self.gaussians, self.decoder, self.num_neighbours)

    @cached_property
    def opacities(self) -> Float[Tensor, " n"]:
        """Opacities at the means, not clamped: below 0 where a surface has ended."""
        return self.decoder.decode(self.field.read(self.gaussians.means).features)[:, CHANNELS - 1]

    @cached_property
    def tree(self) -> DiscTree:
        """Where there is something to be seen."""
        return DiscTree(self.gaussians[self.opacities > FAINTEST])

    def with_gaussians(self, gaussians: GaussianSet) -> LiftedLayer:
        """The same layer with other Gaussians."""
        return replace(self, gaussians=gaussians)


@dataclass(frozen=True)
class LiftedScene:
    """A photo in space.

    Attributes:
        camera: The one that took the photo; it stands where :mod:`gainer_ns.frames` says.
        layers: What was lifted, each a surface of its own.
        unit: Length of a world unit in the units of the depth: the distance of the scene's middle.
        metric: Whether the depth was in metres.
    """

    camera: PinholeCamera
    layers: tuple[LiftedLayer, ...]
    unit: float
    metric: bool

    @torch.no_grad()
    def outputs(self, rays: RayBundle, background: Float[Tensor, "3"]) -> dict[str, Tensor]:
        """What rays see.

        Args:
            rays: [m] rays; where they have nears and fars, nothing counts outside of those.
            background: Colour behind everything.

        Returns:
            rgb [m, 3]; accumulation [m, 1]; depth (expected) and median_depth [m, 1], distances along the unit rays in
            world units.
        """
        samples = SurfaceSampler(CROSSINGS)(rays, self.layers)
        shape = samples.shape
        rgb, density = rays.origins.new_zeros(*shape, 3), rays.origins.new_zeros(*shape, 1)
        assert samples.metadata is not None
        layer_of = samples.metadata[LAYER][..., 0]
        for number, layer in enumerate(self.layers):
            mine = layer_of == number
            if bool(mine.any()):
                seen = layer.field(samples[mine])
                rgb[mine], density[mine] = seen[FieldHeadNames.RGB], seen[FieldHeadNames.DENSITY]
        weights = samples.get_weights(density)
        depth = DepthRenderer("expected")(weights, samples)
        median = DepthRenderer("median")(weights, samples)
        accumulation = AccumulationRenderer()(weights)
        return {
            "rgb": RGBRenderer.combine_rgb(rgb, weights, background.to(rgb)),
            "accumulation": accumulation,
            "depth": depth,
            "median_depth": torch.where(accumulation > 0.5, median, depth),
        }
