"""A lifted photo: layers of discs in space, and what cameras see of them through nerfstudio's volumetric renderers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.field_components.field_heads import FieldHeadNames
from nerfstudio.model_components.renderers import AccumulationRenderer, DepthRenderer, RGBRenderer
from torch import Tensor

from gainer_ns.frames import CAMERA_DISTANCE, ImagePlane, PinholeCamera
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.lifting.crossings import Crossings
from gainer_ns.lifting.field import SOLID_TRANSMITTANCE, GainerField
from gainer_ns.lifting.joined import PhotoView, Sight, joined_outputs
from gainer_ns.lifting.layer import LiftedLayer
from gainer_ns.lifting.sampler import SurfaceSampler
from gainer_ns.lifting.views import MAX_RAYS_AT_ONCE, CameraView, averaged

_SHELLS_ACROSS_SCENE = 512
"""How many times the half width of a shell goes into the depth of a scene: two of a thousand samples lie on it."""
_SPARE_SAMPLE = 0.05
"""Pixels that are larger than the photo's by no more than this share need no further ray."""
_MAX_SAMPLES = 16
"""Most rays across a pixel."""
_MAX_SCENE_DEPTH = 4.0
"""Scenes that are deeper, in world units, count as this deep: what is farther, a sky perhaps, is in no need of it."""


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

    @property
    def shown_layers(self) -> tuple[LiftedLayer, ...]:
        """The object, and the background where it was lifted, without what was made up behind their edges."""
        return tuple(layer for layer in self.layers if layer.hidden_of is None)

    @cached_property
    def ranks(self) -> tuple[int, ...]:
        """Which of its photo's surfaces each layer is, or continues: 0 the object, 1 the background behind it."""
        ranks: list[int] = []
        for number, layer in enumerate(self.layers):
            before = [each for each in self.layers[:number] if each.view == layer.view and each.hidden_of is None]
            ranks.append(len(before) if layer.hidden_of is None else ranks[layer.hidden_of])
        return tuple(ranks)

    @property
    def own_layers(self) -> tuple[LiftedLayer, ...]:
        """Those that the photo which ``camera`` took shows: of a single photo, all."""
        return self.in_midst.shown_layers

    @cached_property
    def midst(self) -> int:
        """Number of the photo that ``camera`` took."""
        place = CameraView(self.camera).pose
        near = (
            number for number, each in enumerate(self.views) if torch.allclose(each.pose.to(place), place, atol=1e-5)
        )
        return next(near, 0)

    @property
    def in_midst(self) -> LiftedScene:
        """What the photo that ``camera`` took tells alone, with what was made up around it: of a single photo, all."""
        if not self.views:
            return self
        layers = [layer for layer in self.layers if layer.view == self.midst]
        firsts = [self.layers.index(layer) for layer in layers]
        own = [
            layer if layer.hidden_of is None else replace(layer, hidden_of=firsts.index(layer.hidden_of))
            for layer in layers
        ]
        return replace(self, layers=tuple(own), views=())

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
        return len(torch.cat([layer.pixels for layer in self.in_midst.layers]).unique()) < self.plane.pixels

    @cached_property
    def half_width(self) -> float:
        """Half the thickness of the shells in which surfaces have density, in world units."""
        depths = [CAMERA_DISTANCE - layer.gaussians.means[:, 2] for layer in self.shown_layers]
        deepest = max((float(each.max()) for each in depths if len(each) > 0), default=1.0)
        return min(deepest, _MAX_SCENE_DEPTH) / _SHELLS_ACROSS_SCENE

    @cached_property
    def field(self) -> GainerField:
        """The field that nerfstudio asks about points in space."""
        return GainerField(self.layers, self.views or (CameraView(self.camera),), self.half_width)

    @torch.no_grad()
    def outputs(
        self, rays: RayBundle, background: Float[Tensor, "3"], crossings: Crossings | None = None
    ) -> dict[str, Tensor]:
        """Render rays.

        Args:
            rays: [m] rays; where they have nears and fars, nothing counts outside of those.
            background: Colour behind everything.
            crossings: Where they cross the layers, if that is known already.

        Returns:
            rgb [m, 3]; accumulation [m, 1]; depth (expected) and median_depth [m, 1], distances along the unit rays in
            world units.
        """
        if self.views:
            return over(self._joined(rays), background)
        samples = SurfaceSampler(self.half_width)(rays, layers=self.layers, crossings=crossings)
        seen = self.field(samples)
        weights = samples.get_weights(seen[FieldHeadNames.DENSITY])
        depth = DepthRenderer("expected")(weights, samples)
        median = DepthRenderer("median")(weights, samples)
        accumulation = AccumulationRenderer()(weights)
        return {
            "rgb": RGBRenderer.combine_rgb(seen[FieldHeadNames.RGB], weights, background.to(depth)),
            "accumulation": accumulation,
            "depth": depth,
            "median_depth": torch.where(accumulation > 0.5, median, depth),
        }

    @cached_property
    def _alone(self) -> tuple[list[LiftedScene], list[LiftedScene]]:
        """What each of several photos shows, as if it were the only one, and that with what was made up."""

        def alone(layers: tuple[LiftedLayer, ...], number: int) -> LiftedScene:
            return replace(self, layers=tuple(layer for layer in layers if layer.view == number), views=())

        numbers = range(len(self.views))
        return [alone(self.shown_layers, n) for n in numbers], [alone(self.layers, n) for n in numbers]

    def _joined(self, rays: RayBundle, view: CameraView | None = None) -> dict[str, Tensor]:
        """Render rays over black, of several photos; all those of a view at once, where it is given."""
        black = torch.zeros(3, device=self.device)

        def sight(alone: LiftedScene) -> Sight:
            def look(own: RayBundle, numbers: Int[Tensor, " m"]) -> dict[str, Tensor]:
                return alone.outputs(own, black, None if view is None else alone.drawn(view, rays).of(numbers))

            return look

        shown, made_up = ([sight(alone) for alone in each] for each in self._alone)
        return joined_outputs(self.views, shown, made_up, rays)

    @torch.no_grad()
    def seen_by(self, view: CameraView, background: Float[Tensor, "3"]) -> dict[str, Tensor]:
        """Render what a camera sees, a ray through the middle of each of its pixels; see :meth:`outputs`.

        All rays of a camera meet a surface at once where it is drawn triangle by triangle; that pays on processors,
        while graphics cards follow single rays.
        """
        rays = view.all_rays(self.device)
        if self.device.type == "cuda":
            return self.outputs(rays, background)
        if self.views:
            return over(self._joined(rays, view), background)
        return self.outputs(rays, background, self.drawn(view, rays))

    def drawn(self, view: CameraView, rays: RayBundle) -> Crossings:
        """Return where the rays of a camera cross the layers, drawn triangle by triangle."""
        crossings = Crossings(len(rays), self.device)
        for number, layer in enumerate(self.layers):
            crossings.draw(view, layer.surface, layer.states, number)
        crossings.stretched(1 / -(rays.directions * view.pose[:, 2].to(rays.directions)).sum(dim=1))
        return crossings

    def picture_for(self, view: CameraView, background: Float[Tensor, "3"]) -> dict[str, Tensor]:
        """Render what a camera sees, each pixel averaged over its area where the photo's are smaller.

        Returns:
            What :meth:`outputs` returns, [h, w, c].
        """
        width, height, samples = view.camera.width, view.camera.height, self._samples(view)
        rows = max(1, MAX_RAYS_AT_ONCE // (width * samples**2))
        bands: list[dict[str, Tensor]] = []
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            part = view.part((0, top, width, bottom), width * samples, (bottom - top) * samples)
            seen = self.seen_by(part, background)
            bands.append({name: averaged(each, bottom - top, width, (samples, samples)) for name, each in seen.items()})
        return {name: torch.cat([band[name] for band in bands]) for name in bands[0]}

    def _samples(self, view: CameraView) -> int:
        """Return how many rays across a pixel of a camera meet most discs that it sees."""
        gaps = [layer.gaps_on(view) for layer in self.shown_layers]
        gap = torch.cat(gaps).median() if sum(map(len, gaps)) else 1.0
        return min(max(1, math.ceil(1 / float(gap) - _SPARE_SAMPLE)), _MAX_SAMPLES)

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

        def look(part: CameraView) -> tuple[Tensor, Tensor]:
            seen = self.seen_by(part, background)
            rgb, alpha = seen["rgb"] / (1 - SOLID_TRANSMITTANCE), seen["accumulation"] / (1 - SOLID_TRANSMITTANCE)
            return rgb, torch.where(alpha > 1 - SOLID_TRANSMITTANCE, 1.0, alpha)

        return (view or CameraView(self.camera)).raster(look, scale, crop, self.device, progress)


def over(seen: dict[str, Tensor], background: Float[Tensor, "3"]) -> dict[str, Tensor]:
    """Return what was rendered over black, over a background."""
    return {**seen, "rgb": seen["rgb"] + (1 - seen["accumulation"]) * background.to(seen["rgb"])}
