"""A lifted photo: layers of discs in space, and what rays see of them through nerfstudio's volumetric renderers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int32
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.field_components.field_heads import FieldHeadNames
from nerfstudio.model_components.renderers import AccumulationRenderer, DepthRenderer, RGBRenderer
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.fields.decoder import Decoder
from gainer_ns.fields.gainer_field import RGBA_CHANNELS, SOLID_TRANSMITTANCE, GainerField
from gainer_ns.frames import ImagePlane, PinholeCamera
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.lifting.crossings import DiscTree
from gainer_ns.lifting.joined import PhotoView, Sight, joined_outputs
from gainer_ns.lifting.sampler import LAYER_KEY, SurfaceSampler
from gainer_ns.lifting.views import CameraView

_MIN_OPACITY = -0.75
"""Discs of lower opacity show nothing within their reach: opacity rises by 1 from pixel to pixel at most."""
_MAX_CROSSINGS = 4
"""How many surfaces a ray may cross before it is lost sight of."""


@dataclass(eq=False)
class LiftedLayer:
    """Discs in space, and how points read them. Points never read the discs of two layers.

    Attributes:
        gaussians: Means, covariances, features and inverse Jacobians, in world units.
        decoder: From features to red, green, blue and opacity.
        num_neighbours: How many Gaussians a point reads.
        pixels: [n], row-major indices of the photo's pixels that the Gaussians belong to: those of a rim belong to the
            pixel whose surface they continue.
        known_opacities: [n], what ``opacities`` would find, where it is known already.
        hidden_of: Number of the layer whose depth edges hide it, where it was made up for that; None where the photo
            shows it.
        view: Number of the photo that it is from.
    """

    gaussians: GaussianSet
    decoder: Decoder
    num_neighbours: int
    pixels: Int32[Tensor, " n"]
    known_opacities: Float[Tensor, " n"] | None = None
    hidden_of: int | None = None
    view: int = 0

    def __len__(self) -> int:
        """Count its Gaussians."""
        return len(self.gaussians)

    @cached_property
    def field(self) -> GainerField:
        """The field that nerfstudio asks about points in space."""
        return GainerField(self.gaussians, self.decoder, self.num_neighbours)

    @cached_property
    def opacities(self) -> Float[Tensor, " n"]:
        """Opacities at the means, not clamped: below 0 where a surface has ended."""
        if self.known_opacities is not None:
            return self.known_opacities
        opacities = self.decoder.decode(self.field.read(self.gaussians.means).features)[:, RGBA_CHANNELS - 1]
        return opacities if self.gaussians.opacities is None else torch.minimum(opacities, self.gaussians.opacities)

    def pixel_centres(self, width: int) -> Float[Tensor, "n 2"]:
        """Return the centres of the pixels that the Gaussians belong to, in a photo of so many columns."""
        pixels = self.pixels.long()
        return torch.stack([pixels % width, pixels // width], dim=1).float() + 0.5

    @cached_property
    def tree(self) -> DiscTree:
        """The discs that show something."""
        return DiscTree(self.gaussians[self.opacities > _MIN_OPACITY])

    def moved(self, gaussians: GaussianSet) -> LiftedLayer:
        """Return the same layer with its Gaussians elsewhere: each still shows what it showed."""
        return replace(self, gaussians=gaussians, known_opacities=self.opacities)


@dataclass(eq=False)
class LiftedScene:
    """A photo in space.

    Attributes:
        camera: The one that took the photo; it stands where :mod:`gainer_ns.frames` says.
        layers: What was lifted, each a surface of its own.
        unit: Length of a world unit in the units of the depth: the distance of the scene's middle.
        metric: Whether the depth was in metres.
        bit_depth: Bits a channel of the photo: 8 or 16.
        profile: What the photo's colours mean; None for sRGB.
        views: The photos of a scene of several, of which ``camera`` is that in their midst; empty for a single photo.
    """

    camera: PinholeCamera
    layers: tuple[LiftedLayer, ...]
    unit: float
    metric: bool
    bit_depth: int = 8
    profile: ColourProfile | None = None
    views: tuple[PhotoView, ...] = ()

    def check_single(self, act: str) -> None:
        """Refuse to do something to a scene of several photos that goes by the pixels of one.

        Raises:
            GainerError: There are several.
        """
        if self.views:
            raise GainerError(
                f"{act} goes by the pixels of one photo, and this scene has {len(self.views)}; lift one of them by "
                "itself (ns-train gainer-lift --data PHOTO)"
            )

    @property
    def shown_layers(self) -> tuple[LiftedLayer, ...]:
        """The object, and the background where it was lifted, without what was made up behind their edges."""
        return tuple(layer for layer in self.layers if layer.hidden_of is None)

    @property
    def own_layers(self) -> tuple[LiftedLayer, ...]:
        """Those that the photo which ``camera`` took shows: of a single photo, all."""
        place = CameraView(self.camera).pose
        own = [
            number for number, view in enumerate(self.views) if torch.allclose(view.pose.to(place), place, atol=1e-5)
        ]
        return tuple(layer for layer in self.shown_layers if layer.view in (own[:1] or [0]))

    @property
    def plane(self) -> ImagePlane:
        """The photo's pixels."""
        return ImagePlane(self.camera.width, self.camera.height)

    @property
    def device(self) -> torch.device:
        """Where the scene is."""
        return self.layers[0].gaussians.means.device

    @cached_property
    def has_alpha(self) -> bool:
        """Whether some pixels of the photo were not lifted."""
        return len(torch.cat([layer.pixels for layer in self.layers]).unique()) < self.plane.pixels

    @torch.no_grad()
    def outputs(self, rays: RayBundle, background: Float[Tensor, "3"]) -> dict[str, Tensor]:
        """Render rays.

        Args:
            rays: [m] rays; where they have nears and fars, nothing counts outside of those.
            background: Colour behind everything.

        Returns:
            rgb [m, 3]; accumulation [m, 1]; depth (expected) and median_depth [m, 1], distances along the unit rays in
            world units.
        """
        if self.views:
            seen = joined_outputs(self.views, *self._sights, rays)
            return {**seen, "rgb": seen["rgb"] + (1 - seen["accumulation"]) * background.to(seen["rgb"])}
        samples = SurfaceSampler(_MAX_CROSSINGS)(rays, self.layers)
        shape = samples.shape
        rgb, density = rays.origins.new_zeros(*shape, 3), rays.origins.new_zeros(*shape, 1)
        assert samples.metadata is not None
        layer_of = samples.metadata[LAYER_KEY][..., 0]
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

    @cached_property
    def _sights(self) -> tuple[list[Sight], list[Sight]]:
        """How each of several photos sees rays: what it shows, and that with what was made up."""
        black = torch.zeros(3, device=self.device)

        def sight(layers: tuple[LiftedLayer, ...], number: int) -> Sight:
            own = replace(self, layers=tuple(layer for layer in layers if layer.view == number), views=())
            return lambda rays: own.outputs(rays, black)

        numbers = range(len(self.views))
        return [sight(self.shown_layers, n) for n in numbers], [sight(self.layers, n) for n in numbers]

    def raster(
        self,
        scale: float = 1.0,
        crop: tuple[float, float, float, float] | None = None,
        progress: Callable[[float], None] | None = None,
        *,
        view: CameraView | None = None,
    ) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w 1"]]:
        """Draw what a camera sees: see :meth:`gainer_ns.lifting.views.CameraView.raster`.

        Args:
            scale: Output pixels per pixel of the camera.
            crop: (x0, y0, x1, y1) in its pixels; None for the whole picture.
            progress: Called now and then with the share, 0 to 1, that is done.
            view: The camera; None for the one that took the photo, where it stood.

        Returns:
            Colours in [0, 1], not multiplied by alpha, and alpha.
        """
        background = torch.zeros(3, device=self.device)

        def look(rays: RayBundle) -> tuple[Tensor, Tensor]:
            seen = self.outputs(rays, background)
            rgb, alpha = seen["rgb"] / (1 - SOLID_TRANSMITTANCE), seen["accumulation"] / (1 - SOLID_TRANSMITTANCE)
            return rgb, torch.where(alpha > 1 - SOLID_TRANSMITTANCE, 1.0, alpha)

        return (view or CameraView(self.camera)).raster(look, scale, crop, self.device, progress)
