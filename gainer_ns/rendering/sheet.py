"""A layer that something has posed: read at rest, where its rest map says that each point of the canvas lay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.footprints import PixelExtent
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.motion.grain_map import GrainMap
from gainer_ns.motion.liquid_field import LiquidField
from gainer_ns.motion.rest_map import PointRows, RestMap, RestPoints
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.point_colours import PointColours
from gainer_ns.rendering.presence import Presence
from gainer_ns.ways import Way

MAX_MAP_ERROR_PX = 0.004
"""How far off, in pixels at rest, a point may be read where points in rows are interpolated."""


@dataclass(frozen=True)
class Sheet:
    """A picture's layer, or a part of it, where something has moved it.

    Attributes:
        rest: What is read: a layer as it was fitted, or what was posed before.
        plane: Of what is read.
        canvas: That it is shown on.
        rest_map: From points of the canvas to points of the plane; None where nothing has moved.
        presence: Which part of what is read there is; None for all.
    """

    rest: Layer | Sheet
    plane: ImagePlane
    canvas: ImagePlane
    rest_map: RestMap | GrainMap | LiquidField | None
    presence: Presence | None = None

    def __len__(self) -> int:
        """Count the Gaussians of what is read."""
        return len(self.rest)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.rest.device

    @property
    def has_alpha(self) -> bool:
        """Whether it may be transparent where it is: it has moved out of the frame, or ends within it."""
        return True

    @property
    def is_moved(self) -> bool:
        """Whether it is no longer as it was fitted."""
        return True

    def converted(self, own: ColourProfile | None, profile: ColourProfile | None) -> Sheet:
        """Return the sheet of a picture in its own profile as one of a picture in another."""
        return replace(self, rest=self.rest.converted(own, profile))

    @property
    def way(self) -> Way:
        """How what is read is read between its pixels."""
        return self.rest.way

    def sampled(self, way: Way, plane: ImagePlane | None = None) -> Sheet:
        """Return the sheet, read in another way between the pixels that it had at rest."""
        return replace(self, rest=self.rest.sampled(way, self.plane))

    def coarse(self, fraction: float) -> Sheet:
        """Return the sheet by a part of its Gaussians: see :meth:`gainer_ns.rendering.layer.Layer.coarse`."""
        return replace(self, rest=self.rest.coarse(fraction))

    def to(self, device: torch.device | str) -> Sheet:
        """Return the same sheet on a device; the decoder moves in place."""
        if self.device == torch.empty(0, device=device).device:
            return self
        presence = self.presence and self.presence.to(device)
        return replace(
            self, rest=self.rest.to(device), rest_map=self.rest_map and self.rest_map.to(device), presence=presence
        )

    @cached_property
    def gaussians(self) -> GaussianSet:
        """The Gaussians where they have gone, those that there are: means move, covariances turn with the map."""
        gaussians = self.rest.gaussians
        if self.presence is not None:
            present = self.presence.at(gaussians.means, self.plane)
            shown = present[:, 0] > 0
            gaussians, present = gaussians[shown], present[shown, 0]
            opacities = present if gaussians.opacities is None else torch.minimum(gaussians.opacities, present)
            gaussians = replace(gaussians, opacities=opacities)
        if self.rest_map is None:
            return gaussians
        return gaussians.transformed(*self.rest_map.forward(gaussians.means))

    @torch.no_grad()
    def at(self, points: Float[Tensor, "m 2"], extent: PixelExtent | None = None) -> PointColours:
        """Draw any points of the canvas; see :meth:`gainer_ns.rendering.layer.Layer.at`."""
        return self._at_rest(points, None if self.rest_map is None else self.rest_map.at(points), extent)

    def read(self, points: Float[Tensor, "m 2"], extent: PixelExtent) -> PointColours:
        """Draw any points of the canvas, of which something else is made."""
        return self.at(points, extent)

    @torch.no_grad()
    def over(self, rows: PointRows, extent: PixelExtent | None = None) -> PointColours:
        """Draw points in rows and columns; see :meth:`at`."""
        if self.rest_map is None:
            return self._at_rest(rows.points, None, extent)
        found = self.rest_map.over(rows, MAX_MAP_ERROR_PX * self.plane.pixel_size)
        return self._at_rest(found.positions, found, extent)

    def _at_rest(
        self, points: Float[Tensor, "m 2"], found: RestPoints | None, extent: PixelExtent | None
    ) -> PointColours:
        """Return what is read where points lay."""
        extent = extent or PixelExtent(0.0, self.plane.pixel_size)
        if found is not None:
            points, extent = found.positions, extent.through(found.inverse_jacobians, self.plane.pixel_size)
        drawn = self.rest.read(points, extent)
        coverage, shade = (None, None) if found is None else (found.coverage, found.shade)
        if self.presence is None and coverage is None and shade is None:
            return drawn
        rgb, alpha = drawn
        if shade is not None:
            rgb = torch.lerp(rgb, (shade > 0).to(rgb), shade.abs())
        if self.presence is not None:
            alpha = torch.minimum(alpha, self.presence.at(points, self.plane, extent.typical_side))
        if coverage is not None:
            alpha = alpha * coverage
        return PointColours(rgb * (alpha > 0), alpha)

    @cached_property
    def bounds(self) -> tuple[Float[Tensor, "2"], Float[Tensor, "2"]]:
        """Lowest and highest coordinates, in units of the canvas, at which there can be anything."""
        return self.rest.bounds if self.rest_map is None else self.rest_map.bounds
