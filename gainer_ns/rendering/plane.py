"""A fitted picture, baked: layers of Gaussians on a plane, drawn at any points of it.

The image model, the command line, the viewer and the benchmarks all draw through :class:`BakedPicture`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.footprints import PixelExtent
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.motion.rest_map import PointRows
from gainer_ns.rendering.drawable import Drawable, drawn_in_blocks
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.point_colours import PointColours
from gainer_ns.rendering.sheet import Sheet
from gainer_ns.rendering.windows import Drawn, Window
from gainer_ns.ways import Way

_OPAQUE_ALPHA = 1 - 1e-6
"""From this alpha on, what lies behind does not show."""
_MOST_HIDDEN = 0.5
"""Where more than this share of what lies behind may show, all of it is read: points in rows are read faster."""

AnyLayer: TypeAlias = Layer | Sheet
"""What a picture is made of: Gaussians as they are, or as something has posed them."""


@dataclass(frozen=True)
class BakedPicture(Drawable):
    """Everything that rendering needs; no optimiser, no hash grid, no source image.

    Attributes:
        plane: The picture's plane.
        layers: From back to front; a fitted picture has one. Edited ones have sheets.
        bit_depth: Bits a channel of the source: 8 or 16.
        profile: What the colours mean; None for sRGB.
    """

    plane: ImagePlane
    layers: tuple[AnyLayer, ...]
    bit_depth: int = 8
    profile: ColourProfile | None = None

    @property
    def has_alpha(self) -> bool:
        """Whether the picture may be transparent inside its frame."""
        return all(layer.has_alpha for layer in self.layers)

    @property
    def framed(self) -> bool:
        """Whether nothing can be seen beyond the picture's frame."""
        return all(isinstance(layer, Layer) and layer.half_extent is not None for layer in self.layers)

    @property
    def averaging_samples(self) -> int | None:
        """How many samples across and down a pixel are enough where each is an average; None where none is.

        Sheets end at points, so that edges would be jagged.
        """
        tables = (isinstance(layer, Layer) and layer.has_table(self.plane.pixel_size) for layer in self.layers)
        return 1 if self.framed and all(tables) else None

    @property
    def only_layer(self) -> Layer:
        """The layer of a picture that has one, as fitted ones have."""
        (layer,) = self.layers
        assert isinstance(layer, Layer), "an edited picture has sheets"
        return layer

    @property
    def is_edited(self) -> bool:
        """Whether it is no longer as it was fitted."""
        return len(self.layers) != 1 or self.layers[0].is_moved

    @property
    def gaussians(self) -> GaussianSet:
        """The Gaussians, where they are, of a picture that has one layer, as fitted ones have."""
        (layer,) = self.layers
        return layer.gaussians

    @property
    def device(self) -> torch.device:
        """Where the picture is."""
        return self.layers[0].device

    @property
    def rest_layers(self) -> tuple[Layer, ...]:
        """What its layers are read from, each once: themselves, or what sheets were before all poses."""
        found: dict[int, Layer] = {}
        for layer in self.layers:
            while isinstance(layer, Sheet):
                layer = layer.rest
            found[id(layer)] = layer
        return tuple(found.values())

    def with_gaussians(self, gaussians: GaussianSet) -> BakedPicture:
        """Return the same picture of one layer with other Gaussians."""
        return replace(self, layers=(self.only_layer.with_gaussians(gaussians),))

    @property
    def way(self) -> Way:
        """How it is read between its pixels."""
        return self.layers[0].way

    def sampled(self, way: Way) -> BakedPicture:
        """Return the picture, read in another way between the pixels that it had at rest."""
        return replace(self, layers=tuple(layer.sampled(way, self.plane) for layer in self.layers))

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
            layers.append(layer.converted(self.profile, profile))
        return replace(self, layers=tuple(layers), profile=profile)

    def to(self, device: torch.device | str) -> BakedPicture:
        """Return the same picture on a device; the decoders move in place, and what sheets share stays shared."""
        moved: dict[int, Layer] = {}

        def there(layer: AnyLayer) -> AnyLayer:
            if isinstance(layer, Sheet):
                return replace(layer, rest=there(layer.rest))
            if id(layer) not in moved:
                moved[id(layer)] = layer.to(device)
            return moved[id(layer)]

        return replace(self, layers=tuple(there(layer).to(device) for layer in self.layers))

    @torch.no_grad()
    def at(self, points: Float[Tensor, "m 2"], extent: PixelExtent | None = None) -> PointColours:
        """Draw any points of the plane, in blocks; those that are not finite or outside the frame are transparent."""
        return drawn_in_blocks(self._block, points.float(), extent, self.block_points)

    @torch.no_grad()
    def over(self, rows: PointRows, extent: PixelExtent | None = None) -> PointColours:
        """Draw points in rows and columns; see :meth:`gainer_ns.rendering.drawable.Drawable.over`."""
        front: Drawn | None = None
        for layer in reversed(self.layers):
            window = self._window(layer, rows)
            if window.size == 0:
                continue
            hidden = None if front is None else _hidden(front, window)
            shown = window.size if hidden is None else window.size - int(hidden.sum())
            if shown > (1 - _MOST_HIDDEN) * window.size or hidden is None:
                back = layer.over(window.rows(rows), extent)
            elif shown > 0:
                through = (~hidden).nonzero()[:, 0]
                points = window.rows(rows).points
                back = PointColours.nothing(points)
                own = None if extent is None else extent[through]
                for whole, part in zip(back, layer.at(points[through], own), strict=True):
                    whole[through] = part
            else:
                continue
            drawn = Drawn(window, back)
            front = drawn if front is None else front.over(drawn)
        if front is None:
            return PointColours.nothing(rows.points)
        return front.across(Window.whole(rows)).colours

    def _window(self, layer: AnyLayer, rows: PointRows) -> Window:
        """Return the window of the points at which a layer may show something."""
        if len(self.layers) == 1:
            return Window.whole(rows)
        return Window.of(layer.bounds, rows, self.plane.pixel_size)

    def _block(self, points: Float[Tensor, "m 2"], extent: PixelExtent | None) -> PointColours:
        front = self.layers[-1].at(points, extent)
        for layer in reversed(self.layers[:-1]):
            through = (front.alpha[:, 0] < _OPAQUE_ALPHA).nonzero()[:, 0]
            if len(through) == 0:
                break
            own = None if extent is None else extent[through]
            back = PointColours(*(part[through] for part in front)).over(layer.at(points[through], own))
            front = PointColours(*(part.index_copy(0, through, new) for part, new in zip(front, back, strict=True)))
        return front


def _hidden(front: Drawn, window: Window) -> Bool[Tensor, " m"] | None:
    """Return which points of a window lie behind something opaque; None for none of them."""
    common = front.window.intersection(window)
    if common.size == 0:
        return None
    alpha = front.colours.alpha.view(front.window.shape)
    hidden = torch.zeros(window.shape, dtype=torch.bool, device=alpha.device)
    hidden[common.within(window).slices] = alpha[common.within(front.window).slices] >= _OPAQUE_ALPHA
    return hidden.flatten()
