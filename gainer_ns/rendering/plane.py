"""A fitted picture, baked: layers of Gaussians on a plane, drawn at any points of it.

The image model, the command line, the viewer and the benchmarks all draw through :class:`BakedPicture`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.io.colour_profiles import ColourProfile, Conversion
from gainer_ns.rendering.drawable import Drawable, drawn_in_blocks
from gainer_ns.rendering.layer import Layer, PointColours

_OPAQUE_ALPHA = 1 - 1e-6
"""From this alpha on, what lies behind does not show."""


@dataclass(frozen=True)
class BakedPicture(Drawable):
    """Everything that rendering needs; no optimiser, no hash grid, no source image.

    Attributes:
        plane: The picture's plane.
        layers: From back to front; a fitted picture has one.
        bit_depth: Bits a channel of the source: 8 or 16.
        profile: What the colours mean; None for sRGB.
    """

    plane: ImagePlane
    layers: tuple[Layer, ...]
    bit_depth: int = 8
    profile: ColourProfile | None = None

    @property
    def has_alpha(self) -> bool:
        """Whether the picture may be transparent inside its frame."""
        return all(layer.gaussians.opacities is not None or layer.support_radii is not None for layer in self.layers)

    @property
    def framed(self) -> bool:
        """Whether nothing can be seen beyond the picture's frame."""
        return all(layer.half_extent is not None for layer in self.layers)

    @property
    def only_layer(self) -> Layer:
        """The layer of a picture that has one, as fitted ones have."""
        (layer,) = self.layers
        return layer

    @property
    def gaussians(self) -> GaussianSet:
        """The Gaussians of a picture that has one layer, as fitted ones have."""
        return self.only_layer.gaussians

    @property
    def device(self) -> torch.device:
        """Where the picture is."""
        return self.layers[0].gaussians.means.device

    def with_gaussians(self, gaussians: GaussianSet) -> BakedPicture:
        """Return the same picture of one layer with other Gaussians."""
        return replace(self, layers=(self.only_layer.with_gaussians(gaussians),))

    def coarse(self, fraction: float) -> BakedPicture:
        """Return the picture by a part of its Gaussians: see :meth:`gainer_ns.rendering.layer.Layer.coarse`."""
        return replace(self, layers=tuple(layer.coarse(fraction) for layer in self.layers))

    def in_profile(self, profile: ColourProfile | None) -> BakedPicture:
        """Return the picture with its colours converted to another profile.

        Raises:
            GainerError: Nothing can be converted to it.
        """
        if profile == self.profile:
            return self
        layers = []
        for layer in self.layers:
            own = self.profile if layer.conversion is None else layer.conversion.source
            layers.append(replace(layer, conversion=None if own == profile else Conversion(own, profile)))
        return replace(self, layers=tuple(layers), profile=profile)

    def to(self, device: torch.device | str) -> BakedPicture:
        """Return the same picture on a device; the decoders move in place."""
        return replace(self, layers=tuple(layer.to(device) for layer in self.layers))

    @torch.no_grad()
    def at(self, points: Float[Tensor, "m 2"]) -> PointColours:
        """Draw any points of the plane, in blocks; those that are not finite or outside the frame are transparent."""
        return drawn_in_blocks(self._block, points.float(), self.block_points)

    def _block(self, points: Float[Tensor, "m 2"]) -> PointColours:
        """Return the layers over one another, from the front on; what lies behind an opaque one is not read."""
        front = self.layers[-1].at(points)
        for layer in reversed(self.layers[:-1]):
            through = (front.alpha[:, 0] < _OPAQUE_ALPHA).nonzero()[:, 0]
            if len(through) == 0:
                break
            front = _behind(front, layer.at(points[through]), through)
        return front


def _behind(front: PointColours, back: PointColours, where: Int[Tensor, " b"]) -> PointColours:
    """Return what is in front, over what lies behind some of its points."""
    before, alpha = front.rgb[where], front.alpha[where]
    shows = (1 - alpha) * back.alpha
    total = alpha + shows
    mixed = (before * alpha + back.rgb * shows) / total.clamp(min=1e-20)
    minification = torch.where(
        shows > 0, torch.maximum(front.minification[where], back.minification), front.minification[where]
    )
    parts = zip(front, (mixed * (total > 0), total, minification), strict=True)
    return PointColours(*(whole.index_copy(0, where, part) for whole, part in parts))
